//! Whole loads of good data from every source.

use std::fs;

use burn_dataset::Dataset;
use kiln_config::{ClassLabel, Data, DataSource, Holdout, Normalization};
use kiln_data::{DataSet, Example, Folders, NoProgress, Normalizer, Raw, Shape, Split, describe};
use kiln_table::Treatment;

use crate::fixture::{TRAIN_IMAGES, data, gzip, idx, load, write_idx, write_picture};

fn raw(split: &Split) -> Vec<Vec<f32>> {
    (0..split.len()).map(|position| split.raw(position).to_floats()).collect()
}

#[test]
fn digits_need_no_network_and_no_files() {
    let set = load(&Data::default()).unwrap();
    assert_eq!((set.name.as_str(), set.features(), set.class_count()), ("digits", 64, 10));
    let validation = set.validation.unwrap();
    assert_eq!((set.train.len(), validation.len(), set.test.len()), (1293, 144, 360));
    assert_eq!(set.normalizer, Normalizer::Divide { divisor: 16.0 });
    assert!(validation.counts(10).into_iter().all(|count| (13..=16).contains(&count)));
}

#[test]
fn the_seed_decides_the_validation_split_and_never_the_test_split() {
    let folders = Folders { data_dir: None, cache: "no-such-folder".into() };
    let load = |seed| kiln_data::load(&Data::default(), seed, &folders, &NoProgress).unwrap();
    let rows =
        |split: &Split| (0..split.len()).map(|position| split.source_row(position)).collect::<Vec<_>>();
    let (first, again, other) = (load(1), load(1), load(2));
    assert_eq!(rows(&first.train), rows(&again.train));
    assert_ne!(rows(&first.train), rows(&other.train));
    assert_eq!(rows(&first.test), rows(&other.test));
    let mut all: Vec<u32> =
        [&first.train, first.validation.as_ref().unwrap(), &first.test].into_iter().flat_map(rows).collect();
    all.sort_unstable();
    assert_eq!(all, (0..1797).collect::<Vec<_>>());
}

#[test]
fn classes_are_kept_in_the_order_in_which_they_are_named_and_limits_are_stratified() {
    let classes = vec![ClassLabel::Number(7), ClassLabel::Name("3".into())];
    let set = load(&Data { classes, limit: Some(100), test_limit: Some(20), ..Data::default() }).unwrap();
    assert_eq!(set.classes, ["7", "3"]);
    assert_eq!((set.train.len(), set.validation.unwrap().len(), set.test.len()), (90, 10, 20));
    assert_eq!(set.test.counts(2), [10, 10]);
}

#[test]
fn idx_files_are_read_plain_or_compressed_with_the_same_hash() {
    let folder = tempfile::tempdir().unwrap();
    write_idx(folder.path());
    let plain = load(&data(DataSource::Idx, folder.path())).unwrap();
    assert_eq!(plain.shape, Shape::Image { height: 2, width: 3, channels: 1 });
    assert_eq!(plain.classes, ["0", "1"]);
    assert_eq!((plain.train.len(), plain.test.len()), (6, 4));
    assert_eq!(plain.train.raw(1), Raw::Bytes(&[6, 7, 8, 9, 10, 11]));
    assert_eq!((plain.train.label(1), plain.test.labels()), (1, &[1, 0, 1, 0][..]));
    assert!(plain.validation.is_none());

    fs::remove_file(folder.path().join(TRAIN_IMAGES)).unwrap();
    fs::write(folder.path().join(format!("{TRAIN_IMAGES}.gz")), gzip(&idx(8, &[6, 2, 3], 0..36))).unwrap();
    let compressed = load(&data(DataSource::Idx, folder.path())).unwrap();
    assert_eq!((&compressed.sha256, raw(&compressed.train)), (&plain.sha256, raw(&plain.train)));
    assert_ne!(compressed.files[0].bytes, plain.files[0].bytes);
}

#[test]
fn a_table_gives_scaled_columns_and_named_classes() {
    let folder = tempfile::tempdir().unwrap();
    let (train, test) = (folder.path().join("train.csv"), folder.path().join("test.csv"));
    fs::write(&train, "size,kind,weight\n0,wolf,5\n10,ant,7\n5,wolf,5\n").unwrap();
    fs::write(&test, "size,kind,weight\n20,ant,9\n").unwrap();
    let settings =
        Data { label_column: "kind".into(), test_path: Some(test), ..data(DataSource::Csv, train) };
    let set = load(&settings).unwrap();
    assert_eq!(set.shape, Shape::Columns(vec!["size".into(), "weight".into()]));
    assert_eq!(
        (set.classes.as_slice(), set.train.labels()),
        (&["ant".to_owned(), "wolf".to_owned()][..], &[1, 0, 1][..])
    );
    let mut features = vec![0.0; 2];
    set.normalizer.write(set.train.raw(1), &mut features);
    assert_eq!(features, vec![1.0, 1.0]);
    set.normalizer.write(set.test.raw(0), &mut features);
    assert_eq!(features, vec![2.0, 2.0]);
    assert_eq!(set.train.render(0, &set.shape), "size   = 0\nweight = 5\n");
    let example: Example = Dataset::get(&set.train, 1).unwrap();
    assert_eq!(example, Example { features: vec![10.0, 7.0], label: 0 });
}

#[test]
fn test_rows_of_a_table_are_held_out_by_class() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.csv");
    let rows: Vec<String> =
        (0..40).map(|row| format!("{row},{}\n", if row < 30 { "a" } else { "b" })).collect();
    fs::write(&path, format!("x,label\n{}", rows.concat())).unwrap();
    let set = load(&Data { validation: Holdout::Count(4), ..data(DataSource::Csv, path) }).unwrap();
    assert_eq!(set.test.counts(2), [6, 2]);
    assert_eq!(set.validation.unwrap().counts(2), [3, 1]);
    assert_eq!(set.train.counts(2), [21, 7]);
}

#[test]
fn the_scaling_is_fitted_on_what_is_left_for_training() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.csv");
    let rows: Vec<String> = (0..20).map(|row| format!("{row},{}\n", row % 2)).collect();
    fs::write(&path, format!("x,label\n{}", rows.concat())).unwrap();
    let settings =
        Data { validation: Holdout::Count(8), test: Holdout::Count(4), ..data(DataSource::Csv, path) };
    let set = load(&settings).unwrap();
    let values: Vec<f32> = raw(&set.train).concat();
    let least = values.iter().copied().fold(f32::INFINITY, f32::min);
    let greatest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    assert!(
        greatest - least < 19.0,
        "this seed must hold out an end of the range for the test to mean anything"
    );
    let scale = |set: &DataSet| match &set.normalizer {
        Normalizer::Table(preparation) => match &preparation.columns[0].treatment {
            Some(Treatment::Number { scale, .. }) => (scale.offset as f32, scale.spread as f32),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert_eq!(scale(&set), (least, greatest - least));
    let standard = load(&Data { normalization: Normalization::Standard, ..settings }).unwrap();
    assert!(scale(&standard).0 > least);
}

#[test]
fn pictures_are_resized_and_their_folders_are_the_classes() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..5 {
        write_picture(&folder.path().join(format!("dog/{number}.png")), 4, 200);
        write_picture(&folder.path().join(format!("cat/{number}.JPG")), 9, 100);
    }
    fs::write(folder.path().join(".hidden"), "x").unwrap();
    fs::write(folder.path().join("cat/.hidden"), "x").unwrap();
    fs::write(folder.path().join("LICENSE"), "x").unwrap();
    let set = load(&Data { image_size: [2, 3], ..data(DataSource::ImageFolder, folder.path()) }).unwrap();
    assert_eq!((set.classes.as_slice(), set.features()), (&["cat".to_owned(), "dog".to_owned()][..], 6));
    assert_eq!((set.train.counts(2), set.test.counts(2)), (vec![4, 4], vec![1, 1]));
    for position in 0..set.train.len() {
        let expected = if set.train.label(position) == 1 { 200 } else { 100 };
        let Raw::Bytes(pixels) = set.train.raw(position) else { panic!("pictures are bytes") };
        assert!(pixels.iter().all(|pixel| pixel.abs_diff(expected) <= 2), "{pixels:?}");
    }
}

#[test]
fn test_pictures_may_have_a_folder_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    for (role, count) in [("train", 3), ("test", 2)] {
        for number in 0..count {
            write_picture(&folder.path().join(format!("{role}/a/{number}.png")), 2, 1);
            write_picture(&folder.path().join(format!("{role}/b/{number}.png")), 2, 2);
        }
    }
    let by_name = load(&data(DataSource::ImageFolder, folder.path())).unwrap();
    assert_eq!((by_name.train.len(), by_name.test.len()), (6, 4));
    let test_path = Some(folder.path().join("test"));
    let settings = Data { test_path, ..data(DataSource::ImageFolder, folder.path().join("train")) };
    assert_eq!(load(&settings).unwrap().sha256, by_name.sha256);
}

#[test]
fn a_description_counts_what_is_there_and_downloads_nothing() {
    let nowhere = Folders { data_dir: None, cache: "no-such-folder".into() };
    let mnist = describe(&Data { source: DataSource::Mnist, ..Data::default() }, 0, &nowhere).unwrap();
    assert_eq!((mnist.content, mnist.download_bytes), (None, 11_594_722));
    assert_eq!(mnist.location.unwrap(), nowhere.cache.join("mnist"));

    let digits = describe(&Data::default(), 0, &nowhere).unwrap();
    let content = digits.content.unwrap();
    assert_eq!(content.train.iter().sum::<usize>() + content.test.unwrap().iter().sum::<usize>(), 1797);
    assert_eq!(content.sha256, load(&Data::default()).unwrap().sha256);
}
