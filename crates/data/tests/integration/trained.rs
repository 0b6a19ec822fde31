//! Examples for a network that is trained already: other labelled data, and a user's own.

use std::fs;
use std::path::Path;

use kiln_config::{Data, DataSource};
use kiln_data::{Framing, Profile, Raw, Split, TableRows, inputs, inputs_of_values, labelled};

use crate::fixture::{
    TEST_IMAGES, TEST_LABELS, data, good_pictures, gzip, idx, load, write_idx, write_picture,
};

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
    assert_eq!(split.raw(1), Raw::Bytes(&[6, 7, 8, 9, 10, 11]));
    fs::write(other.path().join(TEST_LABELS), idx(8, &[2], [1, 2])).unwrap();
    refused(labelled(other.path(), &settings, &profile), &["label 1", "0 to 1", "found 2"]);
    fs::write(other.path().join(format!("{TEST_IMAGES}.gz")), gzip(&idx(8, &[2, 3, 2], 0..12))).unwrap();
    refused(labelled(other.path(), &settings, &profile), &["2x3 pixels", "3x2"]);
    refused(labelled(&other.path().join("none"), &settings, &profile), &["none", "found nothing"]);
}

#[test]
fn labelled_pictures_take_the_levels_of_the_training_images() {
    // The digits have 16 levels.
    let profile = Profile::of(&load(&Data::default()).unwrap());
    let folder = tempfile::tempdir().unwrap();
    write_picture(&folder.path().join("3/a.png"), 20, 255);
    write_picture(&folder.path().join("7/b.png"), 8, 128);
    let split = labelled(folder.path(), &Data::default(), &profile).unwrap();
    assert_eq!((split.labels(), split.width()), (&[3, 7][..], 64));
    assert_eq!((split.raw(0), split.raw(1)), (Raw::Bytes(&[16; 64]), Raw::Bytes(&[8; 64])));
    write_picture(&folder.path().join("ten/c.png"), 8, 128);
    refused(labelled(folder.path(), &Data::default(), &profile), &["\"ten\"", "\"0\", \"1\", \"2\""]);
}

#[test]
fn generated_examples_have_no_other_data() {
    let settings = Data { source: DataSource::Moons, ..Data::default() };
    let profile = Profile::of(&load(&settings).unwrap());
    refused(labelled(Path::new("any.csv"), &settings, &profile), &["any.csv", "another seed"]);
}

#[test]
fn images_come_from_idx_files_and_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let (_, profile) = idx_profile(folder.path());
    let images = inputs(&folder.path().join(TEST_IMAGES), &profile, Framing::Handwriting).unwrap();
    assert_eq!((images.examples.len(), images.is_prepared), (4, false));
    assert_eq!(images.examples.raw(0), Raw::Bytes(&[100, 101, 102, 103, 104, 105]));
    let picture = folder.path().join("own.png");
    write_picture(&picture, 9, 77);
    let resized = inputs(&picture, &profile, Framing::Resize).unwrap();
    assert_eq!((resized.examples.raw(0), resized.is_prepared), (Raw::Bytes(&[77; 6]), true));
    refused(inputs(&picture, &profile, Framing::Handwriting), &["own.png", "one grey level"]);
    refused(inputs(folder.path(), &profile, Framing::Resize), &["a folder"]);
    fs::write(&picture, "no picture").unwrap();
    refused(inputs(&picture, &profile, Framing::Resize), &["own.png", "a whole PNG, JPEG"]);
}

#[test]
fn a_transparent_ground_is_paper() {
    let folder = tempfile::tempdir().unwrap();
    let (_, profile) = idx_profile(folder.path());
    let path = folder.path().join("ink.png");
    let ink = image::RgbaImage::from_fn(30, 20, |x, _| image::Rgba([0, 0, 0, if x < 15 { 255 } else { 0 }]));
    ink.save(&path).unwrap();
    let seen = inputs(&path, &profile, Framing::Resize).unwrap();
    let Raw::Bytes(pixels) = seen.examples.raw(0) else { panic!("pictures are bytes") };
    assert_eq!((pixels[0], pixels[2]), (0, 255));
    // What it was trained on was read in the same way.
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

/// The features of the rows of `split`, as the network of `profile` takes them.
fn features(profile: &Profile, split: &Split) -> Vec<Vec<f32>> {
    let mut features = vec![0.0; profile.shape.features()];
    let row = |position| {
        profile.normalizer.write(split.raw(position), &mut features);
        features.clone()
    };
    (0..split.len()).map(row).collect()
}

#[test]
fn a_network_of_the_first_version_takes_numbers_from_anywhere() {
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
    // Nothing was fitted that could stand in for a number.
    fs::write(&path, "x,y\n1,\n1,2\n").unwrap();
    refused(inputs(&path, &profile, Framing::Resize), &["line 2, column \"y\"", "a number, found nothing"]);
    let mut rows = TableRows::open(&path, &profile).unwrap();
    let faults = rows.next_block(9).unwrap().unwrap().faults;
    assert!(faults[0].as_ref().unwrap().contains("column \"y\": expected a number") && faults[1].is_none());
}

#[test]
fn values_stand_for_the_number_columns_of_a_table() {
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
