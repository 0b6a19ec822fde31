//! Folders of pictures as people have them.

use std::fs;
use std::path::Path;

use image::{DynamicImage, GrayImage, ImageBuffer, Luma, LumaA, Rgb, RgbImage, Rgba, RgbaImage};
use kiln_config::{Channels, Data, DataSource, Unreadable};
use kiln_data::{DataSet, Framing, Profile, Raw, Shape, inputs, labelled};

use crate::broken::put;
use crate::fixture::{data, good_pictures, load, write_picture};

/// The pictures in `folder`, resized to 2x2.
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
    let Raw::Bytes(pixels) = set.train.raw(at) else { panic!("pictures are bytes") };
    pixels.to_vec()
}

#[track_caller]
fn notes(set: &DataSet, words: &[&str]) {
    for word in words {
        assert!(set.notices.iter().any(|notice| notice.contains(word)), "{word:?} in {:#?}", set.notices);
    }
}

#[test]
fn colour_is_kept_where_there_is_any_and_left_out_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..5 {
        // Red and green of one luma, which grey cannot tell apart, and a class without colour.
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

    // What comes to the trained network is read in the same way.
    let profile = Profile::of(&set);
    let own = folder.path().join("own.png");
    save(&own, RgbImage::from_pixel(9, 9, Rgb([10, 20, 30])));
    let seen = inputs(&own, &profile, Framing::Resize).unwrap().examples;
    assert_eq!(seen.raw(0), Raw::Bytes(&[10, 10, 10, 10, 20, 20, 20, 20, 30, 30, 30, 30]));
    let drawn = inputs(&own, &profile, Framing::Handwriting);
    assert!(drawn.is_err(), "one colour all over shows nothing");
    let other = labelled(&folder.path().join("."), &settings(folder.path()), &profile).unwrap();
    assert_eq!((other.len(), other.width()), (15, 12));
}

#[test]
fn grey_pictures_stay_grey_unless_colour_is_asked_for() {
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
fn every_format_is_read_whatever_its_name() {
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
        // Of these, QOI and WebP alone have no grey.
        DynamicImage::from(levels.clone()).into_rgb8().save(&written).unwrap();
        fs::rename(written, cat.join(name)).unwrap();
    }
    let set = load(&settings(folder.path())).unwrap();
    assert_eq!(set.train.len() + set.test.len(), 20);
    assert!(set.notices.iter().all(|notice| !notice.contains("passed over")), "{:?}", set.notices);
}

#[test]
fn what_is_no_picture_is_passed_over_and_told() {
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
        &["no picture of a class: \"__MACOSX\"", "and 3 more", "earlier prediction: \"cat/0.png.seen.png\""],
    );
    assert!(set.notices.iter().all(|notice| !notice.contains('\u{1b}')), "{:?}", set.notices);
}

#[cfg(unix)]
#[test]
fn a_pipe_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    good_pictures(folder.path());
    let pipe = folder.path().join("cat/pipe.png");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    notes(&load(&settings(folder.path())).unwrap(), &["cat/pipe.png"]);
}

#[test]
fn pictures_that_cannot_be_read_are_left_out_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    good_pictures(folder.path());
    let plain = load(&settings(folder.path())).unwrap();
    put(&folder.path().join("cat"), "8.png", "");
    put(&folder.path().join("dog"), "9.jpg", "no picture");
    let skip = Data { unreadable: Unreadable::Skip, ..settings(folder.path()) };
    let set = load(&skip).unwrap();
    assert_eq!(set.train.len(), plain.train.len());
    notes(&set, &["left out 2 pictures, for they cannot be read: \"cat/8.png\", \"dog/9.jpg\""]);
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
    notes(&set, &["validation split has a folder of its own, with 11 pictures", "in training too"]);
    assert_eq!(
        set.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(),
        ["train/cat", "train/dog", "test/cat", "test/dog", "val/cat", "val/dog"]
    );
}

#[test]
fn a_test_folder_without_classes_is_for_prediction() {
    let folder = tempfile::tempdir().unwrap();
    good_pictures(&folder.path().join("train"));
    write_picture(&folder.path().join("test/1.png"), 4, 1);
    let set = load(&settings(folder.path())).unwrap();
    assert_eq!((set.train.len(), set.test.len()), (8, 2));
    notes(&set, &["the 1 picture in \"test\"", "`predict`"]);
    let test_path = Some(folder.path().join("test"));
    let error = load(&Data { test_path, ..settings(folder.path()) }).unwrap_err().to_string();
    assert!(error.contains("pictures without classes") && error.contains("`predict`"), "{error}");
}

#[test]
fn a_table_may_say_what_pictures_show() {
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
fn light_ink_on_nothing_stays_visible() {
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
fn few_of_16_bits_are_stretched_for_all_pictures_alike() {
    let folder = tempfile::tempdir().unwrap();
    let deep = |level: u16| ImageBuffer::<Luma<u16>, _>::from_pixel(2, 2, Luma([level]));
    for number in 0..5 {
        save(&folder.path().join(format!("dark/{number}.png")), deep(100 + number));
        save(&folder.path().join(format!("light/{number}.png")), deep(4095));
    }
    let set = load(&settings(folder.path())).unwrap();
    assert_eq!((first_of(&set, "dark")[0] / 2, first_of(&set, "light")[0]), (3, 255));
    notes(&set, &["use 12 of them: 4095 counts as white"]);
    let own = folder.path().join("own.png");
    save(&own, deep(2048));
    let seen = inputs(&own, &Profile::of(&set), Framing::Resize).unwrap();
    assert_eq!(seen.examples.raw(0), Raw::Bytes(&[128; 4]));
    // All of 16 bits, and opacity has its own.
    save(
        &folder.path().join("light/5.png"),
        ImageBuffer::<LumaA<u16>, _>::from_pixel(2, 2, LumaA([60_000, 65_535])),
    );
    let set = load(&settings(folder.path())).unwrap();
    assert_eq!((first_of(&set, "dark")[0], first_of(&set, "light")[0]), (0, 16));
}

#[test]
fn blank_pictures_and_copies_are_told() {
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
            "training pictures of one colour all over: 1 of 10 (\"dog/blank.png\")",
            "copies among the training pictures, within a class: 1 (\"cat/5.png = cat/0.png\")",
            "copies among the training pictures, under another class: 4 (\"dog/0.png = cat/0.png\"",
        ],
    );
}
