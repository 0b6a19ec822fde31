//! Data that is broken in every way that we could think of: each gives an error that says what is wrong,
//! where, and what to do, and none a panic.

use std::{fs, path::Path};

use kiln_config::{ClassLabel, Data, DataSource, Holdout};
use kiln_data::DataError;

use crate::fixture::{
    TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, data, gzip, idx, load, write_idx, write_picture,
};

/// A fault in the files of a folder: what it is called, how it is made, and what the message must say.
type FileCase = (&'static str, fn(&Path), &'static [&'static str]);

fn check(name: &str, result: Result<kiln_data::DataSet, DataError>, fragments: &[&str]) {
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

fn put(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    fs::write(folder.join(name), bytes).unwrap();
}

/// Replaces a file by a compressed one.
fn put_gzip(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    fs::remove_file(folder.join(name)).unwrap();
    put(folder, &format!("{name}.gz"), bytes);
}

const IDX: &[FileCase] = &[
    ("no byte", |f| put(f, TRAIN_IMAGES, []), &["truncated IDX header", TRAIN_IMAGES, "4 bytes", "found 0"]),
    ("three bytes", |f| put(f, TRAIN_LABELS, [0, 0, 8]), &["truncated IDX header", TRAIN_LABELS, "found 3"]),
    (
        "half a header",
        |f| put(f, TRAIN_IMAGES, [0, 0, 8, 3, 0, 0]),
        &["truncated IDX header", "12 bytes", "found 2"],
    ),
    (
        "text",
        |f| put(f, TRAIN_IMAGES, "<html>404</html>"),
        &["not an IDX file", "00 00 08", "is this the file"],
    ),
    ("a picture", |f| put(f, TEST_IMAGES, b"\x89PNG\r\n\x1a\n0000"), &["not an IDX file", TEST_IMAGES]),
    ("an unknown type", |f| put(f, TRAIN_IMAGES, idx(0x42, &[6, 2, 3], 0..36)), &["not an IDX file", "42"]),
    (
        "a reserved type",
        |f| put(f, TRAIN_IMAGES, idx(0x0A, &[6, 2, 3], 0..36)),
        &["unsupported IDX element type"],
    ),
    (
        "floats",
        |f| put(f, TRAIN_IMAGES, idx(0x0D, &[6, 2, 3], 0..144)),
        &["32-bit floats", "convert the values"],
    ),
    ("doubles", |f| put(f, TRAIN_IMAGES, idx(0x0E, &[6, 2, 3], 0..36)), &["64-bit floats"]),
    ("signed bytes", |f| put(f, TRAIN_LABELS, idx(0x09, &[6], 0..6)), &["signed bytes", TRAIN_LABELS]),
    ("short integers", |f| put(f, TRAIN_LABELS, idx(0x0B, &[6], 0..12)), &["16-bit integers"]),
    ("integers", |f| put(f, TRAIN_LABELS, idx(0x0C, &[6], 0..24)), &["32-bit integers"]),
    (
        "swapped files",
        |f| put(f, TRAIN_IMAGES, idx(8, &[6], 0..6)),
        &["number of IDX dimensions", "expected 3", "swapped"],
    ),
    ("labels of rank 2", |f| put(f, TEST_LABELS, idx(8, &[4, 1], 0..4)), &["expected 1 (labels), found 2"]),
    ("colour images", |f| put(f, TRAIN_IMAGES, idx(8, &[6, 2, 3, 3], 0..108)), &["found 4"]),
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
        "a header alone",
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
            [TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS]
                .map(|name| fs::remove_file(f.join(name)).unwrap())
                .into_iter()
                .collect()
        },
        &["no train-images-idx3-ubyte, no train-labels"],
    ),
    (
        "text called gzip",
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
        "a folder of a file's name",
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

/// A fault in a csv file: its text, and what the message must say.
type CsvCase = (&'static str, &'static [u8], &'static [&'static str]);

const CSV: &[CsvCase] = &[
    ("no byte", b"", &["empty csv file"]),
    ("blank lines", b"\n\n\n", &["empty csv file"]),
    ("a header alone", b"a,b,label\n", &["csv file without rows"]),
    ("a repeated column", b"a,b,a,label\n1,2,3,x\n", &["repeated csv column", "\"a\" in columns 1 and 3"]),
    ("two label columns", b"label,a,label\nx,1,y\n", &["repeated csv column", "\"label\""]),
    ("an unnamed column", b"a,,label\n1,2,x\n", &["csv column without a name", "line 1, column 2"]),
    (
        "another label column",
        b"a,b,Labels\n1,2,x\n",
        &["no label column", "\"label\"", "did you mean data.label_column=\"Labels\"?"],
    ),
    ("no label column", b"width,height,kind\n1,2,x\n", &["found width, height, kind"]),
    ("semicolons", b"a;b;label\n1;2;x\n", &["no label column", "separate the columns with commas"]),
    ("tabs", b"a\tb\tlabel\n1\t2\tx\n", &["separate the columns with commas"]),
    ("labels alone", b"label\nx\ny\n", &["no feature columns"]),
    ("features alone", b"a\n1\n2\n", &["no feature columns"]),
    ("a short row", b"a,b,label\n1,2,x\n3,y\n", &["ragged csv row", "line 3", "expected 3 cells", "found 2"]),
    ("a long row", b"a,b,label\n1,2,x,4\n", &["ragged csv row", "line 2", "found 4"]),
    ("a row cut off", b"a,b,label\n1,2,x\n1,2,y\n7", &["ragged csv row", "line 4", "found 1"]),
    ("a word", b"a,b,label\n1,2,x\n1,two,y\n", &["not a number", "line 3, column \"b\"", "found \"two\""]),
    ("NaN", b"a,label\n1,x\nNaN,y\n", &["not a number", "line 3, column \"a\"", "\"NaN\""]),
    ("infinity", b"a,label\ninf,x\n1,y\n", &["line 2", "\"inf\""]),
    ("minus infinity", b"a,label\n-Infinity,x\n1,y\n", &["a finite number", "\"-Infinity\""]),
    ("a number beyond 32-bit floats", b"a,label\n1e39,x\n1,y\n", &["a finite number", "\"1e39\""]),
    ("an empty cell", b"a,b,label\n1,,x\n", &["line 2, column \"b\"", "an empty cell"]),
    ("a decimal comma", b"a,label\n\"1,5\",x\n", &["found \"1,5\""]),
    ("a date", b"day,label\n2024-05-01,x\n", &["column \"day\"", "2024-05-01"]),
    ("a row without a label", b"a,label\n1,x\n2,\n", &["row without a label", "line 3, column \"label\""]),
    ("one class", b"a,label\n1,x\n2,x\n", &["only one class", "\"x\" alone"]),
    ("a header in Latin-1", b"gr\xf6\xdfe,label\n1,x\n", &["not a text file", "UTF-8"]),
    ("a label in Latin-1", b"a,label\n1,M\xfcnchen\n", &["not a text file", "line 2, column \"label\""]),
    ("a number with stray bytes", b"a,label\n1\xff,x\n", &["not a number", "line 2"]),
    ("nul bytes", b"\0\0\0\0", &["no feature columns"]),
    ("too few rows to hold any out", b"a,label\n1,x\n2,y\n", &["nothing held out", "data.test", "none of 2"]),
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
        ("fewer columns", b"a,label\n1,x\n", &["csv columns differ", "expected a, b, found a"]),
        ("another order", b"b,a,label\n1,2,x\n", &["csv columns differ", "found b, a"]),
        (
            "a new class",
            b"a,b,label\n1,2,x\n1,2,z\n",
            &["class without training data", "line 3", "x, y", "\"z\""],
        ),
        ("no rows", b"a,b,label\n", &["csv file without rows", "test.csv"]),
        ("a broken cell", b"a,b,label\n1,?,x\n", &["test.csv, line 2, column \"b\""]),
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

fn good_pictures(folder: &Path) {
    for class in ["cat", "dog"] {
        for number in 0..5 {
            write_picture(&folder.join(class).join(format!("{number}.png")), 4, 10 * number);
        }
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
    ("no classes", without_classes, &["no class folders", "a folder of its name"]),
    (
        "pictures without class folders",
        |f| {
            without_classes(f);
            write_picture(&f.join("a.png"), 4, 1);
        },
        &["no class folders"],
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
    ("an empty picture", |f| put(&f.join("dog"), "9.jpg", ""), &["unreadable picture", "9.jpg"]),
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
        "another format",
        |f| put(&f.join("cat"), "9.bmp", "BM"),
        &["not a picture", "9.bmp", ".png, .jpg or .jpeg"],
    ),
    (
        "a folder in a class",
        |f| fs::create_dir(f.join("cat/more")).unwrap(),
        &["not a picture", "found a folder"],
    ),
    (
        "a test class without training pictures",
        |f| {
            good_pictures(&f.join("train"));
            write_picture(&f.join("test/eel/0.png"), 4, 1);
        },
        &["class without training data", "cat, dog", "\"eel\""],
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
            "nothing there",
            load(&data(source, folder.path().join("no"))),
            &["missing data", "found nothing"],
        );
        check("a file", load(&data(source, &file)), &["missing data", "found a file"]);
    }
    check(
        "no csv",
        load(&data(DataSource::Csv, folder.path().join("no.csv"))),
        &["a csv file, found nothing"],
    );
    check("a folder", load(&data(DataSource::Csv, folder.path())), &["a csv file, found a folder"]);
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
    check("no test data", load(&data), &["nothing to test on: data.test", "data.test_path"]);
}
