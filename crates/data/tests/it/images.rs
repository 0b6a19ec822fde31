//! Good data sets of images in all their variants: IDX files, and folders of pictures.

use std::fs;
use std::path::Path;

use image::{DynamicImage, GrayImage, ImageBuffer, Luma, LumaA, Rgb, RgbImage, Rgba, RgbaImage};
use kiln_config::{Automatic, Channels, Data, DataSource, Transpose, Unreadable};
use kiln_data::{DataFolders, DataSet, Framing, Profile, RawValues, Shape, describe, inputs, labelled};

use crate::{
    FILE_NAMES, TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, data, good_pictures, gzip, idx, load,
    put, write_idx, write_picture,
};

fn read(folder: &Path) -> DataSet {
    load(&data(DataSource::Idx, folder)).unwrap()
}

fn rename(folder: &Path, names: [&str; 4]) {
    for (from, to) in FILE_NAMES.into_iter().zip(names) {
        fs::create_dir_all(folder.join(to).parent().unwrap()).unwrap();
        fs::rename(folder.join(from), folder.join(to)).unwrap();
    }
}

fn pixels(set: &DataSet, at: usize) -> &[u8] {
    let RawValues::Bytes(pixels) = set.train.raw(at) else { panic!("images are bytes") };
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
fn the_bytes_and_not_the_name_tell_whether_a_file_is_compressed() {
    let folder = tempfile::tempdir().unwrap();
    write_idx(folder.path());
    let plain = read(folder.path());
    fs::write(folder.path().join(TRAIN_IMAGES), gzip(&idx(8, &[6, 2, 3], 0..36))).unwrap();
    fs::rename(folder.path().join(TEST_LABELS), folder.path().join(format!("{TEST_LABELS}.gz"))).unwrap();
    assert_eq!(read(folder.path()).sha256, plain.sha256);
    let own = folder.path().join("own");
    fs::write(&own, gzip(&idx(8, &[2, 2, 3], 0..12))).unwrap();
    let images = inputs(&own, &Profile::of(&plain), Framing::Resize).unwrap();
    assert_eq!(images.examples.raw(1), RawValues::Bytes(&[6, 7, 8, 9, 10, 11]));
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
fn the_classes_are_the_labels_that_occur() {
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
    // QMNIST has more than the class, such as the writer.
    let rows: Vec<u8> =
        [4_i32, 9, 5, 9, 4, 9, 5, 9, 4, 9, 5, 9].iter().flat_map(|n| n.to_be_bytes()).collect();
    fs::write(folder.path().join(TRAIN_LABELS), idx(0x0C, &[6, 2], rows)).unwrap();
    fs::write(folder.path().join(TEST_LABELS), idx(8, &[4], [5, 4, 5, 4])).unwrap();
    let set = read(folder.path());
    assert!(set.notices[0].contains("2 numbers each"), "{:?}", set.notices);
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
    assert!(set.notices[0].contains("0 and 1: read as 0 and 255"), "{:?}", set.notices);
    // A single dark image is read with the white level of the training images.
    let own = folder.path().join("own-idx3-ubyte");
    fs::write(&own, idx(8, &[1, 2, 3], [0, 0, 0, 0, 0, 1])).unwrap();
    let seen = inputs(&own, &Profile::of(&set), Framing::Resize).unwrap();
    assert_eq!(seen.examples.raw(0), RawValues::Bytes(&[0, 0, 0, 0, 0, 255]));
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
    let folders = DataFolders { data_dir: Some(root.path().to_owned()), cache: "no-such-folder".into() };
    // The error about wrong bytes shows that the files were found.
    let error = describe(&settings, 0, &folders).unwrap_err().to_string();
    assert!(error.contains("wrong checksum") && error.contains("MNIST/raw"), "{error}");
}

/// The `[data]` section for the pictures in `folder`, resized to 2x2.
fn settings(folder: &Path) -> Data {
    Data { image_size: [2, 2], ..data(DataSource::ImageFolder, folder) }
}

fn save(path: &Path, picture: impl Into<DynamicImage>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    picture.into().save(path).unwrap();
}

fn solid(colour: [u8; 3]) -> RgbImage {
    RgbImage::from_pixel(2, 2, Rgb(colour))
}

/// The features of the first training example of a class.
fn first_of(set: &DataSet, class: &str) -> Vec<u8> {
    let class = set.classes.iter().position(|name| name == class).unwrap() as u32;
    let at = set.train.labels().iter().position(|&label| label == class).unwrap();
    let RawValues::Bytes(pixels) = set.train.raw(at) else { panic!("pictures are bytes") };
    pixels.to_vec()
}

#[track_caller]
fn notes(set: &DataSet, words: &[&str]) {
    for word in words {
        assert!(set.notices.iter().any(|notice| notice.contains(word)), "{word:?} in {:#?}", set.notices);
    }
}

#[test]
fn colour_is_kept_unless_grey_is_configured() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..5 {
        // Red and green with the same luma, and a class without colour.
        save(&folder.path().join(format!("red/{number}.png")), solid([255, 0, 0]));
        save(&folder.path().join(format!("green/{number}.png")), solid([0, 76, 0]));
        write_picture(&folder.path().join(format!("grey/{number}.png")), 2, 40 + number);
    }
    let set = load(&settings(folder.path())).unwrap();
    assert_eq!((&set.shape, set.features()), (&Shape::Image { height: 2, width: 2, channels: 3 }, 12));
    assert_eq!(first_of(&set, "red"), [255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(first_of(&set, "green"), [0, 0, 0, 0, 76, 76, 76, 76, 0, 0, 0, 0]);
    let grey = first_of(&set, "grey");
    assert_eq!(grey, [grey[0]; 12]);
    notes(&set, &["training pictures with colour: 10 of 15", "data.channels"]);

    let grey = load(&Data { channels: Channels::Grey, ..settings(folder.path()) }).unwrap();
    assert_eq!(grey.shape, Shape::Image { height: 2, width: 2, channels: 1 });
    assert_eq!(first_of(&grey, "red"), [54; 4]);
    assert_eq!(grey.sha256, set.sha256);

    // A picture for the trained network is read in the same way.
    let profile = Profile::of(&set);
    let own = folder.path().join("own.png");
    save(&own, RgbImage::from_pixel(9, 9, Rgb([10, 20, 30])));
    let seen = inputs(&own, &profile, Framing::Resize).unwrap().examples;
    assert_eq!(seen.raw(0), RawValues::Bytes(&[10, 10, 10, 10, 20, 20, 20, 20, 30, 30, 30, 30]));
    let drawn = inputs(&own, &profile, Framing::Handwriting);
    assert!(drawn.is_err(), "a single colour is not a drawing");
    let other = labelled(&folder.path().join("."), &settings(folder.path()), &profile).unwrap();
    assert_eq!((other.len(), other.width()), (15, 12));
}

#[test]
fn grey_pictures_stay_grey_unless_colour_is_configured() {
    let folder = tempfile::tempdir().unwrap();
    good_pictures(folder.path());
    let set = load(&settings(folder.path())).unwrap();
    assert_eq!(set.shape, Shape::Image { height: 2, width: 2, channels: 1 });
    let rgb = load(&Data { channels: Channels::Rgb, ..settings(folder.path()) }).unwrap();
    assert_eq!(rgb.shape, Shape::Image { height: 2, width: 2, channels: 3 });
    let (one, three) = (first_of(&set, "cat"), first_of(&rgb, "cat"));
    assert_eq!(three, one.repeat(3));
}

#[test]
fn every_format_is_read_under_any_name() {
    let folder = tempfile::tempdir().unwrap();
    good_pictures(folder.path());
    let cat = folder.path().join("cat");
    let levels = GrayImage::from_fn(4, 4, |x, _| Luma([(x * 60) as u8]));
    for (name, extension) in [
        ("a.webp", "webp"),
        ("b.bmp", "bmp"),
        ("c.gif", "gif"),
        ("d.tif", "tiff"),
        ("e.pgm", "pgm"),
        ("f.qoi", "qoi"),
        ("g.jfif", "jpg"),
        ("h.png", "webp"),
        ("i", "png"),
        ("j.data", "bmp"),
    ] {
        let written = folder.path().join(format!("picture.{extension}"));
        // RGB, because QOI and WebP do not have grey.
        DynamicImage::from(levels.clone()).into_rgb8().save(&written).unwrap();
        fs::rename(written, cat.join(name)).unwrap();
    }
    let set = load(&settings(folder.path())).unwrap();
    assert_eq!(set.train.len() + set.test.len(), 20);
    assert!(set.notices.iter().all(|notice| !notice.contains("skipped")), "{:?}", set.notices);
}

#[test]
fn files_that_are_not_pictures_are_skipped_with_a_notice() {
    let folder = tempfile::tempdir().unwrap();
    good_pictures(folder.path());
    let plain = load(&settings(folder.path())).unwrap();
    let cat = folder.path().join("cat");
    for name in ["README.txt", "GT-00000.csv", ".DS_Store", "thumbs.db", "Desktop.ini", "bad\u{1b}[31m.txt"] {
        put(&cat, name, "x");
    }
    write_picture(&cat.join("@eaDir/0.png"), 2, 1);
    write_picture(&folder.path().join("__MACOSX/cat/0.png"), 2, 1);
    write_picture(&cat.join("0.png.seen.png"), 2, 1);
    let set = load(&settings(folder.path())).unwrap();
    assert_eq!((&set.sha256, &set.classes), (&plain.sha256, &plain.classes));
    notes(
        &set,
        &[
            "not pictures of a class: \"__MACOSX\"",
            "and 3 more",
            "earlier prediction: \"cat/0.png.seen.png\"",
        ],
    );
    assert!(set.notices.iter().all(|notice| !notice.contains('\u{1b}')), "{:?}", set.notices);
}

#[cfg(unix)]
#[test]
fn a_pipe_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    good_pictures(folder.path());
    let pipe = folder.path().join("cat/pipe.png");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    notes(&load(&settings(folder.path())).unwrap(), &["cat/pipe.png"]);
}

#[test]
fn pictures_that_cannot_be_read_are_left_out_if_configured() {
    let folder = tempfile::tempdir().unwrap();
    good_pictures(folder.path());
    let plain = load(&settings(folder.path())).unwrap();
    put(&folder.path().join("cat"), "8.png", "");
    put(&folder.path().join("dog"), "9.jpg", "no picture");
    let skip = Data { unreadable: Unreadable::Skip, ..settings(folder.path()) };
    let set = load(&skip).unwrap();
    assert_eq!(set.train.len(), plain.train.len());
    notes(&set, &["left out 2 pictures that cannot be read: \"cat/8.png\", \"dog/9.jpg\""]);
    for number in 0..5 {
        put(&folder.path().join("dog"), &format!("{number}.png"), "");
    }
    let error = load(&skip).unwrap_err().to_string();
    assert!(error.contains("class without pictures") && error.contains("dog"), "{error}");
}

#[test]
fn splits_are_taken_from_their_folders() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("outer");
    for split in ["Train", "valid", "testing"] {
        good_pictures(&root.join(split));
    }
    write_picture(&root.join("valid/cat/9.png"), 4, 77);
    let set =
        load(&Data { validation: kiln_config::Holdout::Fraction(0.1), ..settings(folder.path()) }).unwrap();
    assert_eq!((set.train.len(), set.validation.as_ref().unwrap().len(), set.test.len()), (10, 11, 10));
    notes(
        &set,
        &["validation split has its own folder, with 11 pictures", "also among the training pictures"],
    );
    assert_eq!(
        set.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(),
        ["train/cat", "train/dog", "test/cat", "test/dog", "val/cat", "val/dog"]
    );
}

#[test]
fn a_test_folder_without_classes_is_not_a_test_split() {
    let folder = tempfile::tempdir().unwrap();
    good_pictures(&folder.path().join("train"));
    write_picture(&folder.path().join("test/1.png"), 4, 1);
    let set = load(&settings(folder.path())).unwrap();
    assert_eq!((set.train.len(), set.test.len()), (8, 2));
    notes(&set, &["1 picture in \"test\" without classes", "`kiln predict`"]);
    let test_path = Some(folder.path().join("test"));
    let error = load(&Data { test_path, ..settings(folder.path()) }).unwrap_err().to_string();
    assert!(error.contains("pictures without classes") && error.contains("`kiln predict`"), "{error}");
}

#[test]
fn a_table_may_have_the_classes_of_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let mut table = "image,kind\n".to_owned();
    for number in 0..10 {
        write_picture(&folder.path().join(format!("pictures/{number}.png")), 4, number * 10);
        table += &format!("{number}.png,{}\n", if number % 2 == 0 { "even" } else { "odd" });
    }
    write_picture(&folder.path().join("pictures/unknown.png"), 4, 7);
    put(folder.path(), "labels.csv", &table);
    let set = load(&settings(folder.path())).unwrap();
    assert_eq!(set.classes, ["even", "odd"]);
    assert_eq!((set.train.counts(2), set.test.counts(2)), (vec![4, 4], vec![1, 1]));
    notes(&set, &["pictures/unknown.png"]);
    let direct = load(&settings(&folder.path().join("pictures"))).unwrap();
    assert_eq!(direct.sha256, set.sha256);
}

#[test]
fn folders_within_a_class_belong_to_it() {
    let folder = tempfile::tempdir().unwrap();
    good_pictures(folder.path());
    write_picture(&folder.path().join("cat/more/a.png"), 4, 9);
    let set = load(&settings(folder.path())).unwrap();
    assert_eq!(set.train.len() + set.test.len(), 11);
}

#[test]
fn light_ink_on_a_transparent_ground_stays_visible() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..5 {
        let drawn = |level: u8, column| {
            RgbaImage::from_fn(2, 2, |x, _| Rgba([level, level, level, if x == column { 255 } else { 0 }]))
        };
        save(&folder.path().join(format!("white/{number}.png")), drawn(255, 0));
        save(&folder.path().join(format!("black/{number}.png")), drawn(0, 0));
    }
    let set = load(&settings(folder.path())).unwrap();
    assert_eq!(first_of(&set, "white"), [255, 0, 255, 0]);
    assert_eq!(first_of(&set, "black"), [0, 255, 0, 255]);
}

#[test]
fn levels_of_12_bits_are_stretched_in_all_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let deep = |level: u16| ImageBuffer::<Luma<u16>, _>::from_pixel(2, 2, Luma([level]));
    for number in 0..5 {
        save(&folder.path().join(format!("dark/{number}.png")), deep(100 + number));
        save(&folder.path().join(format!("light/{number}.png")), deep(4095));
    }
    let set = load(&settings(folder.path())).unwrap();
    assert_eq!((first_of(&set, "dark")[0] / 2, first_of(&set, "light")[0]), (3, 255));
    notes(&set, &["use only 12 bits: level 4095 is white"]);
    let own = folder.path().join("own.png");
    save(&own, deep(2048));
    let seen = inputs(&own, &Profile::of(&set), Framing::Resize).unwrap();
    assert_eq!(seen.examples.raw(0), RawValues::Bytes(&[128; 4]));
    // Levels of 16 bits are not stretched, and opacity does not count.
    save(
        &folder.path().join("light/5.png"),
        ImageBuffer::<LumaA<u16>, _>::from_pixel(2, 2, LumaA([60_000, 65_535])),
    );
    let set = load(&settings(folder.path())).unwrap();
    assert_eq!((first_of(&set, "dark")[0], first_of(&set, "light")[0]), (0, 16));
}

#[test]
fn blank_pictures_and_copies_lead_to_notices() {
    let folder = tempfile::tempdir().unwrap();
    let drawn = |seed: u32| GrayImage::from_fn(2, 2, |x, y| Luma([(seed * 50 + x * 20 + y * 7) as u8]));
    for number in 0..4 {
        save(&folder.path().join(format!("cat/{number}.png")), drawn(number));
        save(&folder.path().join(format!("dog/{number}.png")), drawn(number));
    }
    save(&folder.path().join("cat/5.png"), drawn(0));
    write_picture(&folder.path().join("dog/blank.png"), 2, 200);
    let set = load(&settings(folder.path())).unwrap();
    notes(
        &set,
        &[
            "training pictures with a single colour: 1 of 10 (\"dog/blank.png\")",
            "copies among the training pictures, in the same class: 1 (\"cat/5.png = cat/0.png\")",
            "copies among the training pictures, in another class: 4 (\"dog/0.png = cat/0.png\"",
        ],
    );
}
