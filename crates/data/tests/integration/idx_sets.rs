//! Data sets of IDX files as they are spread.

use std::fs;
use std::path::Path;

use kiln_config::{Automatic, Data, DataSource, Transpose};
use kiln_data::{DataSet, Folders, Framing, Profile, Raw, Shape, describe, inputs, labelled};

use crate::fixture::{
    TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, data, gzip, idx, load, write_idx,
};

fn read(folder: &Path) -> DataSet {
    load(&data(DataSource::Idx, folder)).unwrap()
}

fn rename(folder: &Path, names: [&str; 4]) {
    for (from, to) in [TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS].into_iter().zip(names) {
        fs::create_dir_all(folder.join(to).parent().unwrap()).unwrap();
        fs::rename(folder.join(from), folder.join(to)).unwrap();
    }
}

fn pixels(set: &DataSet, at: usize) -> &[u8] {
    let Raw::Bytes(pixels) = set.train.raw(at) else { panic!("images are bytes") };
    pixels
}

#[test]
fn the_same_files_are_the_same_set_under_every_name() {
    let folder = tempfile::tempdir().unwrap();
    write_idx(folder.path());
    let plain = read(folder.path());
    assert_eq!(plain.notices, <[String; 0]>::default());
    for names in [
        [
            "train-images.idx3-ubyte",
            "train-labels.idx1-ubyte",
            "t10k-images.idx3-ubyte",
            "t10k-labels.idx1-ubyte",
        ],
        [
            "Train-Images-idx3-ubyte",
            "train-labels-idx1-ubyte",
            "test-images-idx3-ubyte",
            "test-labels-idx1-ubyte",
        ],
        [
            "qmnist/raw/qmnist-train-images-idx3-ubyte",
            "qmnist/raw/qmnist-train-labels-idx2-int",
            "qmnist/raw/qmnist-test-images-idx3-ubyte",
            "qmnist/raw/qmnist-test-labels-idx2-int",
        ],
    ] {
        let folder = tempfile::tempdir().unwrap();
        write_idx(folder.path());
        rename(folder.path(), names);
        let set = read(folder.path());
        assert_eq!((set.train.len(), set.test.len()), (6, 4), "{names:?}");
        assert_eq!(pixels(&set, 5), pixels(&plain, 5));
    }
}

#[test]
fn compression_is_told_by_the_bytes_and_not_by_the_name() {
    let folder = tempfile::tempdir().unwrap();
    write_idx(folder.path());
    let plain = read(folder.path());
    fs::write(folder.path().join(TRAIN_IMAGES), gzip(&idx(8, &[6, 2, 3], 0..36))).unwrap();
    fs::rename(folder.path().join(TEST_LABELS), folder.path().join(format!("{TEST_LABELS}.gz"))).unwrap();
    assert_eq!(read(folder.path()).sha256, plain.sha256);
    let own = folder.path().join("own");
    fs::write(&own, gzip(&idx(8, &[2, 2, 3], 0..12))).unwrap();
    let images = inputs(&own, &Profile::of(&plain), Framing::Resize).unwrap();
    assert_eq!(images.examples.raw(1), Raw::Bytes(&[6, 7, 8, 9, 10, 11]));
}

#[test]
fn emnist_is_set_upright_and_its_labels_begin_at_one() {
    let folder = tempfile::tempdir().unwrap();
    write_idx(folder.path());
    fs::write(folder.path().join(TRAIN_LABELS), idx(8, &[6], [1, 2, 3, 1, 2, 3])).unwrap();
    fs::write(folder.path().join(TEST_LABELS), idx(8, &[4], [1, 2, 3, 1])).unwrap();
    rename(
        folder.path(),
        [
            "emnist-letters-train-images-idx3-ubyte",
            "emnist-letters-train-labels-idx1-ubyte",
            "emnist-letters-test-images-idx3-ubyte",
            "emnist-letters-test-labels-idx1-ubyte",
        ],
    );
    let set = read(folder.path());
    assert_eq!(set.classes, ["1", "2", "3"]);
    assert_eq!(set.train.labels(), [0, 1, 2, 0, 1, 2]);
    assert_eq!(set.shape, Shape::Image { height: 3, width: 2, channels: 1 });
    assert_eq!(pixels(&set, 0), [0, 3, 1, 4, 2, 5]);
    assert_eq!(set.notices.len(), 2, "{:?}", set.notices);
    assert!(set.notices[0].contains("1 to 3") && set.notices[1].contains("data.transpose"));

    let settings = data(DataSource::Idx, folder.path());
    let test = labelled(folder.path(), &settings, &Profile::of(&set)).unwrap();
    assert_eq!((test.labels(), test.raw(0)), (set.test.labels(), set.test.raw(0)));
    let file = folder.path().join("emnist-letters-test-images-idx3-ubyte");
    let seen = inputs(&file, &Profile::of(&set), Framing::Resize).unwrap();
    assert_eq!(seen.examples.raw(0), set.test.raw(0));

    let as_it_is = Data { transpose: Transpose::Switch(false), ..settings.clone() };
    assert_eq!(pixels(&load(&as_it_is).unwrap(), 0), [0, 1, 2, 3, 4, 5]);
    assert_eq!(settings.transpose, Transpose::Auto(Automatic::Auto));
}

#[test]
fn labels_are_the_classes_that_occur() {
    let folder = tempfile::tempdir().unwrap();
    write_idx(folder.path());
    fs::write(folder.path().join(TRAIN_LABELS), idx(8, &[6, 1], [0, 1, 0, 1, 255, 1])).unwrap();
    let set = read(folder.path());
    assert_eq!(set.classes, ["0", "1", "255"]);
    assert!(
        set.notices[0].contains("the labels are \"0\", \"1\", \"255\": these are the 3 classes"),
        "{:?}",
        set.notices
    );
    // QMNIST has the writer and more beside the class.
    let rows: Vec<u8> =
        [4_i32, 9, 5, 9, 4, 9, 5, 9, 4, 9, 5, 9].iter().flat_map(|n| n.to_be_bytes()).collect();
    fs::write(folder.path().join(TRAIN_LABELS), idx(0x0C, &[6, 2], rows)).unwrap();
    fs::write(folder.path().join(TEST_LABELS), idx(8, &[4], [5, 4, 5, 4])).unwrap();
    let set = read(folder.path());
    assert!(set.notices[0].contains("of the 2 numbers"), "{:?}", set.notices);
    assert_eq!(
        (set.classes.as_slice(), set.test.labels()),
        (&["4".to_owned(), "5".to_owned()][..], &[1, 0, 1, 0][..])
    );
}

#[test]
fn numbers_of_every_type_are_pixels() {
    let folder = tempfile::tempdir().unwrap();
    write_idx(folder.path());
    let floats =
        |count: usize| (0..count).flat_map(|at| ((at % 3) as f32 / 2.0).to_be_bytes()).collect::<Vec<u8>>();
    fs::write(folder.path().join(TRAIN_IMAGES), idx(0x0D, &[6, 2, 3], floats(36))).unwrap();
    fs::write(folder.path().join(TEST_IMAGES), idx(0x0D, &[4, 2, 3], floats(24))).unwrap();
    let set = read(folder.path());
    assert_eq!(pixels(&set, 0), [0, 128, 255, 0, 128, 255]);
    assert!(set.notices[0].contains("32-bit floats from 0 to 1"), "{:?}", set.notices);

    fs::write(folder.path().join(TRAIN_IMAGES), idx(8, &[6, 2, 3], (0..36).map(|at| at % 2))).unwrap();
    fs::write(folder.path().join(TEST_IMAGES), idx(8, &[4, 2, 3], (0..24).map(|_| 0))).unwrap();
    let set = read(folder.path());
    assert_eq!(pixels(&set, 0), [0, 255, 0, 255, 0, 255]);
    assert!(set.notices[0].contains("0 and 1: taken as 0 and 255"), "{:?}", set.notices);
    // One image alone, with little in it, is read as those of training were.
    let own = folder.path().join("own-idx3-ubyte");
    fs::write(&own, idx(8, &[1, 2, 3], [0, 0, 0, 0, 0, 1])).unwrap();
    let seen = inputs(&own, &Profile::of(&set), Framing::Resize).unwrap();
    assert_eq!(seen.examples.raw(0), Raw::Bytes(&[0, 0, 0, 0, 0, 255]));
}

#[test]
fn images_may_be_flat_or_in_colour() {
    let folder = tempfile::tempdir().unwrap();
    write_idx(folder.path());
    fs::write(folder.path().join(TRAIN_IMAGES), idx(8, &[6, 2, 4, 3], 0..144)).unwrap();
    fs::write(folder.path().join(TEST_IMAGES), idx(8, &[4, 3, 2, 4], 0..96)).unwrap();
    let set = read(folder.path());
    assert_eq!(set.shape, Shape::Image { height: 2, width: 4, channels: 3 });
    assert_eq!(pixels(&set, 0)[..8], [0, 3, 6, 9, 12, 15, 18, 21]);
    assert_eq!(set.test.raw(0).to_floats()[..3], [0.0, 1.0, 2.0]);
    fs::write(folder.path().join(TRAIN_IMAGES), idx(8, &[6, 4], 0..24)).unwrap();
    fs::write(folder.path().join(TEST_IMAGES), idx(8, &[4, 4], 0..16)).unwrap();
    assert_eq!(read(folder.path()).shape, Shape::Image { height: 2, width: 2, channels: 1 });
}

#[test]
fn without_test_files_test_data_is_held_out() {
    let folder = tempfile::tempdir().unwrap();
    write_idx(folder.path());
    fs::remove_file(folder.path().join(TEST_IMAGES)).unwrap();
    fs::remove_file(folder.path().join(TEST_LABELS)).unwrap();
    let set = read(folder.path());
    assert_eq!((set.train.len(), set.test.len()), (5, 1));
    assert!(set.notices[0].contains("no test files"), "{:?}", set.notices);
}

#[test]
fn a_published_set_is_found_where_torchvision_keeps_it() {
    let root = tempfile::tempdir().unwrap();
    let raw = root.path().join("MNIST/raw");
    fs::create_dir_all(&raw).unwrap();
    write_idx(&raw);
    let settings = Data { source: DataSource::Mnist, ..Data::default() };
    let folders = Folders { data_dir: Some(root.path().to_owned()), cache: "no-such-folder".into() };
    // These are not MNIST's bytes, which shows that they were found.
    let error = describe(&settings, 0, &folders).unwrap_err().to_string();
    assert!(error.contains("wrong checksum") && error.contains("MNIST/raw"), "{error}");
}
