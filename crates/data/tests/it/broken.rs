//! Broken files and impossible settings: each leads to an error that names the place and the remedy, and never to a
//! panic.

use std::{fs, path::Path};

use kiln_config::{ClassLabel, Data, DataSource, Holdout};
use kiln_data::{DataError, DataSet};

use crate::{
    TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, data, good_pictures, gzip, idx, load, put,
    write_idx, write_picture,
};

/// A broken folder: the name of the case, the function that breaks a good folder, and fragments of the message.
type FileCase = (&'static str, fn(&Path), &'static [&'static str]);

fn check(name: &str, result: Result<DataSet, DataError>, fragments: &[&str]) {
    let message = match result {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{name}: loaded without an error"),
    };
    for fragment in fragments {
        assert!(message.contains(fragment), "{name}: \"{fragment}\" is not in: {message}");
    }
}

fn check_folders(source: DataSource, good: fn(&Path), cases: &[FileCase]) {
    for (name, break_files, fragments) in cases {
        let folder = tempfile::tempdir().unwrap();
        good(folder.path());
        break_files(folder.path());
        check(name, load(&data(source, folder.path())), fragments);
    }
}

/// Replaces a file by a compressed one.
fn put_gzip(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    fs::remove_file(folder.join(name)).unwrap();
    put(folder, &format!("{name}.gz"), bytes);
}

const IDX: &[FileCase] = &[
    (
        "an empty file",
        |f| put(f, TRAIN_IMAGES, []),
        &["truncated IDX header", TRAIN_IMAGES, "4 bytes", "found 0"],
    ),
    ("three bytes", |f| put(f, TRAIN_LABELS, [0, 0, 8]), &["truncated IDX header", TRAIN_LABELS, "found 3"]),
    (
        "half a header",
        |f| put(f, TRAIN_IMAGES, [0, 0, 8, 3, 0, 0]),
        &["truncated IDX header", "12 bytes", "found 2"],
    ),
    (
        "text",
        |f| put(f, TRAIN_IMAGES, "<html>404</html>"),
        &["not an IDX file", "00 00 08", "is this the right file"],
    ),
    ("a picture", |f| put(f, TEST_IMAGES, b"\x89PNG\r\n\x1a\n0000"), &["not an IDX file", TEST_IMAGES]),
    ("an unknown type", |f| put(f, TRAIN_IMAGES, idx(0x42, &[6, 2, 3], 0..36)), &["not an IDX file", "42"]),
    (
        "a reserved type",
        |f| put(f, TRAIN_IMAGES, idx(0x0A, &[6, 2, 3], 0..36)),
        &["unsupported IDX element type"],
    ),
    (
        "floats that are not pixels",
        |f| put(f, TRAIN_IMAGES, idx(0x0D, &[6, 2, 3], (0..144).map(|byte| byte | 0x40))),
        &["not a pixel", "32-bit floats", "0 to 255, or 0 to 1", "value 1"],
    ),
    (
        "half of the doubles",
        |f| put(f, TRAIN_IMAGES, idx(0x0E, &[6, 2, 3], 0..36)),
        &["288 bytes", "at most 36"],
    ),
    (
        "integers beyond a byte",
        |f| put(f, TRAIN_IMAGES, idx(0x0B, &[6, 2, 3], 0..72)),
        &["not a pixel", "16-bit integers", "value 1"],
    ),
    (
        "test pixels beyond those of training",
        |f| put(f, TRAIN_IMAGES, idx(8, &[6, 2, 3], (0..36).map(|at| at % 2))),
        &["not a pixel", TEST_IMAGES, "0 to 1, as in the training images"],
    ),
    (
        "labels that are not whole numbers",
        |f| put(f, TRAIN_LABELS, idx(0x0D, &[6], [0x3F, 0xC0, 0, 0].repeat(6))),
        &["not a label", TRAIN_LABELS, "1.5"],
    ),
    (
        "too many classes",
        |f| {
            let labels: Vec<u8> = (0..1001_u16).flat_map(u16::to_be_bytes).collect();
            put(f, TRAIN_LABELS, idx(0x0B, &[1001], labels));
            put(f, TRAIN_IMAGES, idx(8, &[1001, 2, 3], (0..6006).map(|at| at as u8)));
        },
        &["too many classes", "1001 different labels"],
    ),
    (
        "swapped files",
        |f| put(f, TRAIN_IMAGES, idx(8, &[6], 0..6)),
        &["number of IDX dimensions", "expected 3", "swapped"],
    ),
    (
        "labels of rank 3",
        |f| put(f, TEST_LABELS, idx(8, &[4, 1, 1], 0..4)),
        &["expected 1 (labels), found 3"],
    ),
    (
        "images of rank 5",
        |f| put(f, TRAIN_IMAGES, idx(8, &[6, 1, 2, 3, 3], 0..108)),
        &["number of IDX dimensions", "found 5"],
    ),
    (
        "images in two colours",
        |f| put(f, TRAIN_IMAGES, idx(8, &[6, 2, 3, 2], 0..72)),
        &["impossible images", "[6, 2, 3, 2]"],
    ),
    (
        "flat images that are not squares",
        |f| put(f, TRAIN_IMAGES, idx(8, &[6, 6], 0..36)),
        &["impossible images", "[6, 6]", "square"],
    ),
    (
        "colour only in training",
        |f| put(f, TRAIN_IMAGES, idx(8, &[6, 2, 3, 3], 0..108)),
        &["image sizes differ", "2x3 pixels in 3 colours", "found 2x3"],
    ),
    (
        "no dimension",
        |f| put(f, TRAIN_IMAGES, [0, 0, 8, 0, 1, 1, 1, 1]),
        &["number of IDX dimensions", "found 0"],
    ),
    ("no images", |f| put(f, TRAIN_IMAGES, idx(8, &[0, 2, 3], [])), &["empty IDX file", "[0, 2, 3]"]),
    (
        "images without pixels",
        |f| put(f, TRAIN_IMAGES, idx(8, &[6, 0, 3], [])),
        &["empty IDX file", "[6, 0, 3]"],
    ),
    ("no labels", |f| put(f, TRAIN_LABELS, idx(8, &[0], [])), &["empty IDX file", TRAIN_LABELS]),
    ("a size beyond 64 bits", |f| put(f, TRAIN_IMAGES, idx(8, &[u32::MAX; 3], [])), &["impossible IDX size"]),
    (
        "a size beyond reason",
        |f| put(f, TRAIN_IMAGES, idx(8, &[1 << 20, 1 << 10, 1 << 10], [])),
        &["impossible IDX size"],
    ),
    (
        "a pixel too few",
        |f| put(f, TRAIN_IMAGES, idx(8, &[6, 2, 3], 0..35)),
        &["truncated IDX file", "36 bytes", "35"],
    ),
    (
        "only a header",
        |f| put(f, TEST_IMAGES, idx(8, &[4, 2, 3], [])),
        &["truncated IDX file", "found at most 0"],
    ),
    (
        "a pixel too many",
        |f| put(f, TRAIN_IMAGES, idx(8, &[6, 2, 3], 0..37)),
        &["over-long IDX file", "expected 36", "found 37"],
    ),
    ("a label too many", |f| put(f, TEST_LABELS, idx(8, &[4], 0..9)), &["over-long IDX file", "found 9"]),
    (
        "fewer labels than images",
        |f| put(f, TRAIN_LABELS, idx(8, &[5], [0, 1, 0, 1, 0])),
        &["do not match", "expected 6 labels", "found 5"],
    ),
    (
        "more labels than images",
        |f| put(f, TEST_LABELS, idx(8, &[5], [0, 1, 0, 1, 0])),
        &["do not match", "expected 4 labels"],
    ),
    (
        "a test label beyond the classes",
        |f| put(f, TEST_LABELS, idx(8, &[4], [0, 1, 7, 1])),
        &["label out of range", "label 2", "expected 0 to 1, found 7"],
    ),
    ("one class", |f| put(f, TRAIN_LABELS, idx(8, &[6], [0; 6])), &["only one class", TRAIN_LABELS]),
    (
        "test images of another size",
        |f| put(f, TEST_IMAGES, idx(8, &[4, 3, 2], 0..24)),
        &["image sizes differ", "2x3", "found 3x2"],
    ),
    (
        "a missing file",
        |f| fs::remove_file(f.join(TEST_LABELS)).unwrap(),
        &["missing data", "no t10k-labels", "data.path"],
    ),
    (
        "four missing files",
        |f| {
            for name in [TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS] {
                fs::remove_file(f.join(name)).unwrap();
            }
        },
        &["no train-images-idx3-ubyte, no train-labels"],
    ),
    (
        "text with the extension gz",
        |f| put_gzip(f, TRAIN_IMAGES, "not gzip at all"),
        &["damaged gzip file", ".gz", "delete it"],
    ),
    ("an empty gzip file", |f| put_gzip(f, TRAIN_IMAGES, []), &["damaged gzip file", "end of file"]),
    (
        "half a gzip file",
        |f| {
            let whole = gzip(&idx(8, &[6, 2, 3], 0..36));
            put_gzip(f, TRAIN_IMAGES, &whole[..whole.len() / 2]);
        },
        &["damaged gzip file", TRAIN_IMAGES],
    ),
    (
        "a gzip file without its checksum",
        |f| {
            let whole = gzip(&idx(8, &[6, 2, 3], 0..36));
            put_gzip(f, TRAIN_IMAGES, &whole[..whole.len() - 8]);
        },
        &["damaged gzip file"],
    ),
    (
        "a gzip file with a flipped bit",
        |f| {
            let mut whole = gzip(&idx(8, &[6, 2, 3], 0..36));
            let last = whole.len() - 6;
            whole[last] ^= 1;
            put_gzip(f, TRAIN_IMAGES, whole);
        },
        &["damaged gzip file"],
    ),
    (
        "gzip with a tail",
        |f| {
            let mut whole = gzip(&idx(8, &[6, 2, 3], 0..36));
            whole.extend(b"tail");
            put_gzip(f, TRAIN_IMAGES, whole);
        },
        &["damaged gzip file"],
    ),
    (
        "a gzip bomb",
        |f| put_gzip(f, TRAIN_IMAGES, gzip(&idx(8, &[6, 2, 3], std::iter::repeat_n(0, 3_000_000)))),
        &["over-long IDX file", "expected 36", "found 3000000"],
    ),
    (
        "a gzip file that promises gigabytes",
        |f| put_gzip(f, TRAIN_IMAGES, gzip(&idx(8, &[4000, 1000, 1000], 0..36))),
        &["truncated IDX file", "4000000000 bytes"],
    ),
    (
        "a folder with the name of a file",
        |f| {
            fs::remove_file(f.join(TRAIN_IMAGES)).unwrap();
            fs::create_dir(f.join(TRAIN_IMAGES)).unwrap();
        },
        &["missing data", "no train-images"],
    ),
];

#[test]
fn broken_idx_files_are_refused_by_name() {
    check_folders(DataSource::Idx, write_idx, IDX);
}

/// A broken csv file: the name of the case, the text, and fragments of the message.
type CsvCase = (&'static str, &'static [u8], &'static [&'static str]);

const CSV: &[CsvCase] = &[
    ("an empty file", b"", &["empty table"]),
    ("blank lines", b"\n\n\n", &["empty table"]),
    ("only a header", b"a,b,label\n", &["table without rows"]),
    (
        "another label column",
        b"a,b,Kind of\n1,2,x\n",
        &["no label column", "expected a column \"label\"", "1 is the first, -1 the last"],
    ),
    (
        "a label column with a similar name",
        b"a,b,labels\n1,2,x\n",
        &["did you mean data.label_column=\"labels\"?"],
    ),
    ("no label column", b"width,height,kind\n1,2,x\n", &["found \"width\", \"height\", \"kind\""]),
    (
        "no header",
        b"1,2,x\n3,4,y\n",
        &["no label column", "3 columns without names", "data.label_column=-1", "data.names"],
    ),
    ("only labels", b"label\nx\ny\n", &["no feature columns"]),
    ("only features", b"a\n1\n2\n", &["no feature columns"]),
    (
        "a short row",
        b"a,b,label\n1,2,x\n3,y\n5,6,y\n",
        &["ragged row", "line 3", "expected 3 cells", "found 2"],
    ),
    ("a long row", b"a,b,label\n1,2,x\n1,2,x,4\n1,2,y\n", &["ragged row", "line 3", "found 4"]),
    ("a truncated row", b"a,b,label\n1,2,x\n1,2,y\n7", &["ragged row", "line 4", "found 1"]),
    ("a short row of a file from Windows", b"a,b,label\r\n1,2,x\r\n\r\n3,y\r\n5,6,y\r\n", &["line 4"]),
    ("a short row of an old Macintosh", b"a,b,label\r1,2,x\r3,y\r5,6,y\r", &["line 3"]),
    ("infinity", b"a,label\ninf,x\n1,y\n2,x\n", &["not a number", "line 2, column \"a\"", "\"inf\""]),
    ("minus infinity", b"a,label\n-Infinity,x\n1,y\n2,x\n", &["a finite number", "\"-Infinity\""]),
    ("a number beyond 64-bit floats", b"a,label\n1e400,x\n1,y\n2,x\n", &["a finite number", "\"1e400\""]),
    ("one class", b"a,label\n1,x\n2,x\n", &["only one class", "\"x\" alone"]),
    ("no class", b"a,label\n1,\n2,NA\n", &["only one class", "found none"]),
    ("constant columns", b"a,label\n1,x\n1,y\n1,x\n", &["no feature columns", "\"a\" (constant)"]),
    ("bytes that are not text", b"a,label\n1,x\n\xc3\x28,y\n", &["nothing held out"]),
    (
        "too few rows to hold some out",
        b"a,label\n1,x\n2,y\n",
        &["nothing held out", "data.test", "none of 2"],
    ),
    ("JSON", b"{\"a\": 1, \"label\": \"x\"}\n", &["not a table", "JSON"]),
    ("an HTML page", b"<!DOCTYPE html><html></html>", &["not a table", "HTML"]),
    ("a control character", b"\x1b[31m,b\n1,x\n", &["no label column", "\\u{1b}"]),
];

#[test]
fn broken_csv_files_are_refused_by_line_and_column() {
    for (name, text, fragments) in CSV {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        fs::write(&path, text).unwrap();
        check(name, load(&data(DataSource::Csv, path)), fragments);
    }
}

#[test]
fn a_csv_test_file_must_fit_the_training_file() {
    let cases: &[CsvCase] = &[
        ("fewer columns", b"a,label\n1,x\n", &["columns differ", "\"a\", \"b\", found no \"b\""]),
        (
            "a new class",
            b"a,b,label\n1,2,x\n1,2,z\n",
            &["class without training data", "line 3", "\"x\", \"y\"", "\"z\""],
        ),
        ("no rows", b"a,b,label\n", &["table without rows", "test.csv"]),
        ("a broken cell", b"a,b,label\n1,2x,x\n", &["test.csv, line 2, column \"b\""]),
    ];
    for (name, text, fragments) in cases {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "train.csv", "a,b,label\n1,2,x\n3,4,y\n");
        put(folder.path(), "test.csv", text);
        let data = Data {
            test_path: Some(folder.path().join("test.csv")),
            ..data(DataSource::Csv, folder.path().join("train.csv"))
        };
        check(name, load(&data), fragments);
    }
}

fn without_classes(folder: &Path) {
    for class in ["cat", "dog"] {
        fs::remove_dir_all(folder.join(class)).unwrap();
    }
}

/// The header of a PNG file that claims to be 60,000 pixels wide and high, with a correct checksum.
const HUGE_PNG: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xea\x60\0\0\xea\x60\x08\0\0\0\0\xa5\xb9\x2a\x9e\0\0\0\0IEND\xae\x42\x60\x82";

const PICTURES: &[FileCase] = &[
    ("no classes", without_classes, &["no class folders", "a folder with the name of the class"]),
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
    (
        "text with the extension png",
        |f| put(&f.join("cat"), "9.png", "no picture"),
        &["unreadable picture", "9.png"],
    ),
    (
        "an empty picture",
        |f| put(&f.join("dog"), "9.jpg", ""),
        &["unreadable picture", "9.jpg", "found an empty file", "data.unreadable"],
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
        "a format that Kiln cannot read",
        |f| put(&f.join("cat"), "9.heic", "\0\0\0\x18ftypheic"),
        &["unreadable picture", "9.heic", "save it again as PNG"],
    ),
    ("a bitmap of two bytes", |f| put(&f.join("cat"), "9.bmp", "BM"), &["unreadable picture", "9.bmp"]),
    (
        "a truncated JPEG picture",
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
        "a name with terminal control characters",
        |f| put(&f.join("cat"), "\u{1b}[31m\n.png", "no picture"),
        &["unreadable picture", "\\u{1b}[31m\\n.png"],
    ),
    (
        "only folders in a class",
        |f| write_picture(&f.join("eel/more/0.png"), 4, 1),
        &["class without pictures", "only folders, such as \"more\"", "data.path"],
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

#[test]
fn paths_that_lead_nowhere_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    for source in [DataSource::Idx, DataSource::ImageFolder, DataSource::Mnist, DataSource::Kmnist] {
        check(
            "a missing path",
            load(&data(source, folder.path().join("no"))),
            &["missing data", "found nothing"],
        );
        check("a file", load(&data(source, &file)), &["missing data", "found a file"]);
    }
    check(
        "no csv",
        load(&data(DataSource::Csv, folder.path().join("no.csv"))),
        &["a file with a table, found nothing"],
    );
    check("a folder", load(&data(DataSource::Csv, folder.path())), &["a file with a table, found a folder"]);
    for source in [DataSource::Idx, DataSource::Csv, DataSource::ImageFolder] {
        let data = Data { source, ..Data::default() };
        check("no path", load(&data), &["no path to the data: data.path", "set data.path"]);
    }
}

#[test]
fn other_bytes_under_a_published_name_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_idx(folder.path());
    for source in [DataSource::Mnist, DataSource::FashionMnist] {
        check(
            "plain",
            load(&data(source, folder.path())),
            &["wrong checksum", TRAIN_IMAGES, "data.source=idx"],
        );
    }
    put_gzip(folder.path(), TRAIN_IMAGES, gzip(&idx(8, &[6, 2, 3], 0..36)));
    check("gzip", load(&data(DataSource::Kmnist, folder.path())), &["wrong checksum", "51467d22", ".gz"]);
}

#[test]
fn settings_that_leave_nothing_are_refused_by_key() {
    let digits = Data::default();
    let cases: &[(&str, Data, &[&str])] = &[
        (
            "an unknown name",
            Data { classes: vec![ClassLabel::Name("ten".into())], ..digits.clone() },
            &["unknown class: data.classes", "0 (0), 1 (1)", "\"ten\""],
        ),
        (
            "an unknown number",
            Data { classes: vec![ClassLabel::Number(10)], ..digits.clone() },
            &["unknown class", "\"10\""],
        ),
        (
            "a class twice",
            Data { classes: vec![ClassLabel::Number(1), ClassLabel::Name("1".into())], ..digits.clone() },
            &["repeated class", "\"1\" twice"],
        ),
        (
            "one class",
            Data { classes: vec![ClassLabel::Number(1)], ..digits.clone() },
            &["only one class: data.classes"],
        ),
        (
            "all for validation",
            Data { validation: Holdout::Count(1437), ..digits.clone() },
            &["nothing to train on: data.validation", "fewer than the 1437"],
        ),
        (
            "more than all for validation",
            Data { validation: Holdout::Count(9999), ..digits.clone() },
            &["nothing to train on"],
        ),
        (
            "a share of nothing",
            Data { limit: Some(4), ..digits.clone() },
            &["nothing held out: data.validation", "none of 4"],
        ),
        (
            "no training examples",
            Data { limit: Some(0), ..digits.clone() },
            &["nothing to train on", "data.limit"],
        ),
        (
            "no test examples",
            Data { test_limit: Some(0), ..digits.clone() },
            &["nothing to test on", "data.test_limit"],
        ),
    ];
    for (name, data, fragments) in cases {
        check(name, load(data), fragments);
    }
    let folder = tempfile::tempdir().unwrap();
    good_pictures(folder.path());
    let data = Data { test: Holdout::Count(0), ..data(DataSource::ImageFolder, folder.path()) };
    let set = load(&data).unwrap();
    assert!(set.test.is_empty(), "no test data is wanted");
}
