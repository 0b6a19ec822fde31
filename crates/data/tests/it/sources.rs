//! Good data from every source; examples for trained networks: other labelled data, and a user's own. The real MNIST is
//! tested if `KILN_DATA_DIR` tells where it is.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Instant,
};

use burn_dataset::Dataset;
use kiln_config::{ClassLabel, Data, DataSource, Holdout, LabelColumn, Normalization};
use kiln_data::{
    DataFolders, DataSet, Downloads, Example, Framing, NoProgress, Normalizer, Profile, RawValues, Shape,
    Split, TableRows, describe, inputs, inputs_of_values, labelled, load_with,
};
use kiln_table::Treatment;

use crate::{
    TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, data, good_pictures, gzip, idx, load, write_idx, write_picture,
};

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
    let folders = DataFolders { data_dir: None, cache: "no-such-folder".into() };
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
fn classes_keep_the_order_of_the_experiment_and_limits_are_stratified() {
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
    assert_eq!(plain.train.raw(1), RawValues::Bytes(&[6, 7, 8, 9, 10, 11]));
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
fn the_scaling_is_fitted_on_the_training_rows_only() {
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
        "this seed must hold out an end of the range, or the test proves nothing"
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
        let RawValues::Bytes(pixels) = set.train.raw(position) else { panic!("pictures are bytes") };
        assert!(pixels.iter().all(|pixel| pixel.abs_diff(expected) <= 2), "{pixels:?}");
    }
}

#[test]
fn test_pictures_may_have_their_own_folder() {
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
fn a_description_counts_local_examples_and_downloads_nothing() {
    let nowhere = DataFolders { data_dir: None, cache: "no-such-folder".into() };
    let mnist = describe(&Data { source: DataSource::Mnist, ..Data::default() }, 0, &nowhere).unwrap();
    assert_eq!((mnist.content, mnist.download_bytes), (None, 11_594_722));
    assert_eq!(mnist.location.unwrap(), nowhere.cache.join("mnist"));

    let digits = describe(&Data::default(), 0, &nowhere).unwrap();
    let content = digits.content.unwrap();
    assert_eq!(content.train.iter().sum::<usize>() + content.test.unwrap().iter().sum::<usize>(), 1797);
    assert_eq!(content.sha256, load(&Data::default()).unwrap().sha256);
}

/// Loads the training table `text`, and the test table `tested` if given.
fn table(text: &str, tested: Option<&str>, more: impl FnOnce(Data) -> Data) -> DataSet {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    fs::write(place("train.csv"), text).unwrap();
    let test_path = tested.map(|rows| {
        fs::write(place("test.csv"), rows).unwrap();
        place("test.csv")
    });
    load(&more(Data { test_path, ..data(DataSource::Csv, place("train.csv")) })).unwrap()
}

fn rows(count: usize, row: impl Fn(usize) -> String) -> String {
    (0..count).map(row).collect()
}

#[test]
fn labels_that_differ_only_in_spelling_are_joined_if_configured() {
    let spellings = ["Bad", "bad", "BAD.", "\" bad\"", "bad", "good", "Good", "good"];
    let text = format!("x,label\n{}", rows(80, |row| format!("{row},{}\n", spellings[row % 8])));
    let apart = table(&text, None, |data| data);
    assert_eq!(apart.class_count(), 6);
    let question =
        |notice: &&String| notice.contains("are they the same?") && notice.contains("data.join_labels=true");
    assert_eq!(apart.notices.iter().filter(question).count(), 1, "{:?}", apart.notices);
    // Other files may have still other spellings.
    let later = "x,label\n1,BAD\n2,gOOd\n3,bad\n";
    let one = table(&text, Some(later), |data| Data { join_labels: true, ..data });
    assert_eq!(one.classes, ["bad", "good"], "the most frequent spelling");
    assert_eq!(one.train.counts(2), [50, 30]);
    assert_eq!(one.test.labels(), [0, 1, 0]);
    assert!(!one.notices.iter().any(|notice| notice.contains("are they the same?")), "{:?}", one.notices);
    let joined = one.notices.iter().find(|notice| notice.contains("are the same: ")).unwrap();
    assert!(joined.contains("\"Bad\" as \"bad\"") && joined.contains("\"Good\" as \"good\""), "{joined}");
    // The first of equally frequent spellings.
    let numbers = ["1", "1.0", "01", "2"];
    let text = format!("x,label\n{}", rows(40, |row| format!("{row},{}\n", numbers[row % 4])));
    assert_eq!(table(&text, None, |data| Data { join_labels: true, ..data }).classes, ["01", "2"]);
}

#[test]
fn test_rows_that_equal_training_rows_are_counted_and_many_are_a_warning() {
    let text = format!("x,y,label\n{}", rows(200, |row| format!("{row}.25,{},{}\n", row % 7, row % 2)));
    let notices_of = |equal: usize| {
        let row = |row: usize| {
            if row < equal { format!("{row}.25,{},0\n", row % 7) } else { format!("{row}.5,1,1\n") }
        };
        let set = table(&text, Some(&format!("x,y,label\n{}", rows(100, row))), |data| data);
        set.notices.into_iter().filter(|notice| notice.contains("equal a training row")).collect::<Vec<_>>()
    };
    assert_eq!(notices_of(0), <[String; 0]>::default());
    assert_eq!(notices_of(5), ["5 of 100 test rows equal a training row"]);
    assert_eq!(
        notices_of(6),
        ["6 of 100 test rows equal a training row, so their figures are better than on new rows"]
    );
}

#[test]
fn a_notice_tells_that_a_file_without_a_header_is_read_by_position() {
    let body = |count| rows(count, |row| format!("{row}.5,{},{}\n", row % 7, row % 2));
    let last = |data| Data { label_column: LabelColumn::Position(-1), validation: Holdout::Count(0), ..data };
    let notices_of = |set: DataSet| {
        set.notices.into_iter().filter(|notice| notice.contains("no header")).collect::<Vec<_>>()
    };
    let plain = notices_of(table(&body(40), None, last));
    assert!(plain.len() == 1 && plain[0].contains("3 columns are identified by position"), "{plain:?}");
    let header = "x,y,label\n";
    let beside = notices_of(table(&format!("{header}{}", body(40)), Some(&body(10)), |data| data));
    let wanted = "test data: the file has no header: its 3 columns are matched with those of the training table by position";
    // The class is in the same column as in the training table.
    assert_eq!(beside, [wanted]);
    let named = table(&format!("{header}{}", body(40)), Some(&format!("{header}{}", body(10))), |data| data);
    assert_eq!(notices_of(named), <[String; 0]>::default());
}

fn idx_profile(folder: &Path) -> (Data, Profile) {
    write_idx(folder);
    let settings = data(DataSource::Idx, folder);
    let profile = Profile::of(&load(&settings).unwrap());
    (settings, profile)
}

#[track_caller]
fn refused<T: std::fmt::Debug, E: std::fmt::Display>(result: Result<T, E>, words: &[&str]) {
    let message = result.map_err(|error| error.to_string()).unwrap_err();
    for word in words {
        assert!(message.contains(word), "{word:?} in {message}");
    }
}

#[test]
fn labelled_idx_files_need_the_test_pair_the_size_and_the_classes() {
    let own = tempfile::tempdir().unwrap();
    let (settings, profile) = idx_profile(own.path());
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join(format!("{TEST_IMAGES}.gz")), gzip(&idx(8, &[2, 2, 3], 0..12))).unwrap();
    fs::write(other.path().join(TEST_LABELS), idx(8, &[2], [1, 0])).unwrap();
    let split = labelled(other.path(), &settings, &profile).unwrap();
    assert_eq!((split.len(), split.labels()), (2, &[1, 0][..]));
    assert_eq!(split.raw(1), RawValues::Bytes(&[6, 7, 8, 9, 10, 11]));
    fs::write(other.path().join(TEST_LABELS), idx(8, &[2], [1, 2])).unwrap();
    refused(labelled(other.path(), &settings, &profile), &["label 1", "0 to 1", "found 2"]);
    fs::write(other.path().join(format!("{TEST_IMAGES}.gz")), gzip(&idx(8, &[2, 3, 2], 0..12))).unwrap();
    refused(labelled(other.path(), &settings, &profile), &["2x3 pixels", "3x2"]);
    refused(labelled(&other.path().join("none"), &settings, &profile), &["none", "found nothing"]);
}

#[test]
fn labelled_pictures_take_the_levels_of_the_training_images() {
    // The pixels of `digits` range from 0 to 16.
    let profile = Profile::of(&load(&Data::default()).unwrap());
    let folder = tempfile::tempdir().unwrap();
    write_picture(&folder.path().join("3/a.png"), 20, 255);
    write_picture(&folder.path().join("7/b.png"), 8, 128);
    let split = labelled(folder.path(), &Data::default(), &profile).unwrap();
    assert_eq!((split.labels(), split.width()), (&[3, 7][..], 64));
    assert_eq!((split.raw(0), split.raw(1)), (RawValues::Bytes(&[16; 64]), RawValues::Bytes(&[8; 64])));
    write_picture(&folder.path().join("ten/c.png"), 8, 128);
    refused(labelled(folder.path(), &Data::default(), &profile), &["\"ten\"", "\"0\", \"1\", \"2\""]);
}

#[test]
fn generated_sources_cannot_be_tested_on_files() {
    let settings = Data { source: DataSource::Moons, ..Data::default() };
    let profile = Profile::of(&load(&settings).unwrap());
    refused(labelled(Path::new("any.csv"), &settings, &profile), &["any.csv", "the same in every run"]);
}

#[test]
fn images_come_from_idx_files_and_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let (_, profile) = idx_profile(folder.path());
    let images = inputs(&folder.path().join(TEST_IMAGES), &profile, Framing::Handwriting).unwrap();
    assert_eq!((images.examples.len(), images.is_prepared), (4, false));
    assert_eq!(images.examples.raw(0), RawValues::Bytes(&[100, 101, 102, 103, 104, 105]));
    let picture = folder.path().join("own.png");
    write_picture(&picture, 9, 77);
    let resized = inputs(&picture, &profile, Framing::Resize).unwrap();
    assert_eq!((resized.examples.raw(0), resized.is_prepared), (RawValues::Bytes(&[77; 6]), true));
    refused(inputs(&picture, &profile, Framing::Handwriting), &["own.png", "one grey level"]);
    refused(inputs(folder.path(), &profile, Framing::Resize), &["a folder"]);
    fs::write(&picture, "no picture").unwrap();
    refused(inputs(&picture, &profile, Framing::Resize), &["own.png", "a whole PNG, JPEG"]);
}

#[test]
fn a_transparent_ground_becomes_paper() {
    let folder = tempfile::tempdir().unwrap();
    let (_, profile) = idx_profile(folder.path());
    let path = folder.path().join("ink.png");
    let ink = image::RgbaImage::from_fn(30, 20, |x, _| image::Rgba([0, 0, 0, if x < 15 { 255 } else { 0 }]));
    ink.save(&path).unwrap();
    let seen = inputs(&path, &profile, Framing::Resize).unwrap();
    let RawValues::Bytes(pixels) = seen.examples.raw(0) else { panic!("pictures are bytes") };
    assert_eq!((pixels[0], pixels[2]), (0, 255));
    // Labelled pictures are read in the same way.
    let pictures = tempfile::tempdir().unwrap();
    fs::create_dir_all(pictures.path().join("0")).unwrap();
    fs::copy(&path, pictures.path().join("0/ink.png")).unwrap();
    let trained = labelled(pictures.path(), &Data::default(), &profile).unwrap();
    assert_eq!(trained.raw(0), seen.examples.raw(0));
}

#[test]
fn the_framing_is_that_of_the_training_pictures() {
    let folder = tempfile::tempdir().unwrap();
    good_pictures(folder.path());
    let pictures = Profile::of(&load(&data(DataSource::ImageFolder, folder.path())).unwrap());
    assert_eq!(Framing::of(&pictures), Framing::Resize);
    let own = tempfile::tempdir().unwrap();
    assert_eq!(Framing::of(&idx_profile(own.path()).1), Framing::Resize);
    assert_eq!(Framing::of(&Profile::of(&load(&Data::default()).unwrap())), Framing::Handwriting);
}

/// The scaled features of the examples of `split`.
fn features(profile: &Profile, split: &Split) -> Vec<Vec<f32>> {
    let mut features = vec![0.0; profile.shape.features()];
    let row = |position| {
        profile.normalizer.write(split.raw(position), &mut features);
        features.clone()
    };
    (0..split.len()).map(row).collect()
}

#[test]
fn a_network_of_the_first_version_takes_tables_and_values() {
    let profile: Profile = serde_json::from_str(
        r#"{"source": "csv", "shape": {"columns": ["x", "y"]}, "classes": ["a", "b"], "greatest_pixel": null,
            "normalizer": {"kind": "columns", "offset": [1.0, 0.0], "spread": [2.0, 0.0]}}"#,
    )
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv");
    fs::write(&path, "y,label,x\n7,b,5\n8,a,1\n").unwrap();
    let wanted = [[2.0, 0.0], [0.0, 0.0]];
    let mut rows = TableRows::open(&path, &profile).unwrap();
    assert_eq!(features(&profile, &rows.next_block(9).unwrap().unwrap().examples), wanted);
    let unlabelled = inputs(&path, &profile, Framing::Resize).unwrap();
    assert_eq!(features(&profile, &unlabelled.examples), wanted);
    let values = inputs_of_values(&[5.0, 7.0, 1.0, 8.0], &profile).unwrap();
    assert_eq!(features(&profile, &values.examples), wanted);
    let labelled = labelled(&path, &data(DataSource::Csv, &path), &profile).unwrap();
    assert_eq!(
        (labelled.labels(), features(&profile, &labelled)),
        (&[1, 0][..], wanted.map(Vec::from).to_vec())
    );
    // No value was fitted to replace a missing number.
    fs::write(&path, "x,y\n1,\n1,2\n").unwrap();
    refused(inputs(&path, &profile, Framing::Resize), &["line 2, column \"y\"", "a number, found no value"]);
    let mut rows = TableRows::open(&path, &profile).unwrap();
    let faults = rows.next_block(9).unwrap().unwrap().faults;
    assert!(faults[0].as_ref().unwrap().contains("column \"y\": expected a number") && faults[1].is_none());
}

#[test]
fn values_are_the_numeric_columns_of_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.csv");
    let trained = |text: &str| {
        fs::write(&path, text).unwrap();
        Profile::of(&load(&data(DataSource::Csv, &path)).unwrap())
    };
    // The second column is constant and left out.
    let rows: String = (0..20).map(|row| format!("{row},5,{}\n", row % 2)).collect();
    let numbers = trained(&format!("n,c,label\n{rows}"));
    let values = inputs_of_values(&[0.0, 10.0], &numbers).unwrap();
    let found = features(&numbers, &values.examples);
    assert!(found.len() == 2 && found[0][0] < found[1][0], "{found:?}");
    let rows: String = (0..20).map(|row| format!("{row},{},{}\n", ["a", "b"][row % 2], row % 2)).collect();
    let words = trained(&format!("n,w,label\n{rows}"));
    refused(inputs_of_values(&[1.0, 0.0], &words), &["column \"w\", which is a category", "as a table"]);
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that checks nothing must say so")]
fn the_loaded_mnist_is_the_published_mnist() {
    let Some(data_dir) = env::var_os("KILN_DATA_DIR").map(PathBuf::from) else {
        eprintln!("SKIPPED: set KILN_DATA_DIR to a folder with MNIST to run this test");
        return;
    };
    let folders = DataFolders { data_dir: Some(data_dir), cache: "no-such-folder".into() };
    let offline = Downloads { mirrors: Some(Vec::new()), ..Downloads::default() };
    let data = Data {
        source: DataSource::Mnist,
        validation: Holdout::Count(0),
        normalization: Normalization::Standard,
        ..Data::default()
    };
    let start = Instant::now();
    let set = load_with(&data, 42, &folders, &offline, &NoProgress).unwrap();
    eprintln!("MNIST was loaded in {:.3} s", start.elapsed().as_secs_f64());

    assert_eq!(set.train.counts(10), [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
    assert_eq!(set.test.counts(10), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
    assert_eq!(set.train.labels()[..5], [5, 0, 4, 1, 9]);
    // The constants of torchvision's MNIST examples.
    let Normalizer::Standardize { mean, deviation, .. } = set.normalizer else {
        panic!("pixels are standardized")
    };
    assert!((mean - 0.1307).abs() < 5e-5 && (deviation - 0.3081).abs() < 5e-5, "{mean} {deviation}");
    let image = set.train.render_values(0, &set.shape);
    assert!(
        image
            .lines()
            .nth(5)
            .unwrap()
            .ends_with("3  18  18  18 126 136 175  26 166 255 247 127   0   0   0   0")
    );
}
