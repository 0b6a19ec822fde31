//! Picture folders that are broken in every way that we could think of.

use std::{fs, path::Path};

use kiln_config::DataSource;

use crate::{
    broken::{FileCase, check_folders, put},
    fixture::{good_pictures, write_picture},
};

fn without_classes(folder: &Path) {
    for class in ["cat", "dog"] {
        fs::remove_dir_all(folder.join(class)).unwrap();
    }
}

/// The header of a PNG file that claims to be 60,000 pixels wide and high, with a correct checksum.
const HUGE_PNG: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xea\x60\0\0\xea\x60\x08\0\0\0\0\xa5\xb9\x2a\x9e\0\0\0\0IEND\xae\x42\x60\x82";

const PICTURES: &[FileCase] = &[
    ("no classes", without_classes, &["no class folders", "a folder of its name"]),
    (
        "pictures without class folders",
        |f| {
            without_classes(f);
            write_picture(&f.join("a.png"), 4, 1);
        },
        &["pictures without classes", "\"a.png\"", "labels.csv", "predict"],
    ),
    (
        "classes in the names of files",
        |f| {
            without_classes(f);
            for name in ["cat.0.png", "cat.1.png", "dog.2.png", "dog.3.png"] {
                write_picture(&f.join(name), 4, 1);
            }
        },
        &["pictures without classes", "begin with cat and dog"],
    ),
    ("one class", |f| fs::remove_dir_all(f.join("dog")).unwrap(), &["only one class", "\"cat\" alone"]),
    ("an empty class", |f| fs::create_dir(f.join("eel")).unwrap(), &["class without pictures", "eel"]),
    (
        "a class of hidden files",
        |f| {
            fs::create_dir(f.join("eel")).unwrap();
            put(&f.join("eel"), ".hidden.png", "x");
        },
        &["class without pictures"],
    ),
    ("text called png", |f| put(&f.join("cat"), "9.png", "no picture"), &["unreadable picture", "9.png"]),
    (
        "an empty picture",
        |f| put(&f.join("dog"), "9.jpg", ""),
        &["unreadable picture", "9.jpg", "found no byte", "data.unreadable"],
    ),
    (
        "half a picture",
        |f| {
            let whole = fs::read(f.join("cat/0.png")).unwrap();
            put(&f.join("cat"), "0.png", &whole[..whole.len() / 2]);
        },
        &["unreadable picture", "0.png"],
    ),
    (
        "a picture with a flipped bit",
        |f| {
            let mut whole = fs::read(f.join("cat/0.png")).unwrap();
            whole[20] ^= 1;
            put(&f.join("cat"), "0.png", whole);
        },
        &["unreadable picture", "0.png"],
    ),
    (
        "a decompression bomb",
        |f| put(&f.join("cat"), "0.png", HUGE_PNG),
        &["unreadable picture", "exceeds limit"],
    ),
    (
        "a format that is not read",
        |f| put(&f.join("cat"), "9.heic", "\0\0\0\x18ftypheic"),
        &["unreadable picture", "9.heic", "save it again as PNG"],
    ),
    ("a bitmap of two bytes", |f| put(&f.join("cat"), "9.bmp", "BM"), &["unreadable picture", "9.bmp"]),
    (
        "a JPEG picture that was cut",
        |f| {
            write_picture(&f.join("cat/9.jpg"), 64, 100);
            let whole = fs::read(f.join("cat/9.jpg")).unwrap();
            put(&f.join("cat"), "9.jpg", &whole[..whole.len() - 20]);
        },
        &["unreadable picture", "9.jpg", "breaks off"],
    ),
    (
        "several pictures that cannot be read",
        |f| {
            for number in 10..35 {
                put(&f.join("cat"), &format!("{number}.png"), "no picture");
            }
            put(&f.join("dog"), "x.png", "");
        },
        &[
            "unreadable pictures",
            "26 that cannot",
            "cat/10.png",
            "cat/29.png",
            "and 6 more",
            "data.unreadable",
        ],
    ),
    (
        "a name that a terminal would obey",
        |f| put(&f.join("cat"), "\u{1b}[31m\n.png", "no picture"),
        &["unreadable picture", "\\u{1b}[31m\\n.png"],
    ),
    (
        "folders alone in a class",
        |f| write_picture(&f.join("eel/more/0.png"), 4, 1),
        &["class without pictures", "folders alone, such as \"more\"", "data.path"],
    ),
    (
        "a test class without training pictures",
        |f| {
            good_pictures(&f.join("train"));
            write_picture(&f.join("test/eel/0.png"), 4, 1);
        },
        &["class without training data", "\"cat\", \"dog\"", "\"eel\""],
    ),
    (
        "a test folder without classes",
        |f| {
            good_pictures(&f.join("train"));
            fs::create_dir(f.join("test")).unwrap();
        },
        &["no class folders", "test"],
    ),
];

#[test]
fn broken_picture_folders_are_refused_by_path() {
    check_folders(DataSource::ImageFolder, good_pictures, PICTURES);
}
