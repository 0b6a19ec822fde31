//! Tables that are broken in every way that we could think of.

use std::fs;

use kiln_config::{Data, DataSource};

use crate::{
    broken::{check, put},
    fixture::{data, load},
};

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
