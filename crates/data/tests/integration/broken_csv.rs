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
    ("no byte", b"", &["empty table"]),
    ("blank lines", b"\n\n\n", &["empty table"]),
    ("a header alone", b"a,b,label\n", &["table without rows"]),
    (
        "another label column",
        b"a,b,Kind of\n1,2,x\n",
        &["no label column", "expected a column \"label\"", "1 is the first, -1 the last"],
    ),
    (
        "a label column nearly so called",
        b"a,b,labels\n1,2,x\n",
        &["did you mean data.label_column=\"labels\"?"],
    ),
    ("no label column", b"width,height,kind\n1,2,x\n", &["found \"width\", \"height\", \"kind\""]),
    (
        "no header",
        b"1,2,x\n3,4,y\n",
        &["no label column", "3 columns without names", "data.label_column=-1", "data.names"],
    ),
    ("labels alone", b"label\nx\ny\n", &["no feature columns"]),
    ("features alone", b"a\n1\n2\n", &["no feature columns"]),
    (
        "a short row",
        b"a,b,label\n1,2,x\n3,y\n5,6,y\n",
        &["ragged row", "line 3", "expected 3 cells", "found 2"],
    ),
    ("a long row", b"a,b,label\n1,2,x\n1,2,x,4\n1,2,y\n", &["ragged row", "line 3", "found 4"]),
    ("a row cut off", b"a,b,label\n1,2,x\n1,2,y\n7", &["ragged row", "line 4", "found 1"]),
    ("a short row of a file from Windows", b"a,b,label\r\n1,2,x\r\n\r\n3,y\r\n5,6,y\r\n", &["line 4"]),
    ("a short row of an old Macintosh", b"a,b,label\r1,2,x\r3,y\r5,6,y\r", &["line 3"]),
    ("infinity", b"a,label\ninf,x\n1,y\n2,x\n", &["not a number", "line 2, column \"a\"", "\"inf\""]),
    ("minus infinity", b"a,label\n-Infinity,x\n1,y\n2,x\n", &["a finite number", "\"-Infinity\""]),
    ("a number beyond 64-bit floats", b"a,label\n1e400,x\n1,y\n2,x\n", &["a finite number", "\"1e400\""]),
    ("one class", b"a,label\n1,x\n2,x\n", &["only one class", "\"x\" alone"]),
    ("no class", b"a,label\n1,\n2,NA\n", &["only one class", "found none"]),
    ("constant columns", b"a,label\n1,x\n1,y\n1,x\n", &["no feature columns", "\"a\" (constant)"]),
    ("bytes that are no text", b"a,label\n1,x\n\xc3\x28,y\n", &["nothing held out"]),
    ("too few rows to hold any out", b"a,label\n1,x\n2,y\n", &["nothing held out", "data.test", "none of 2"]),
    ("JSON", b"{\"a\": 1, \"label\": \"x\"}\n", &["no table", "JSON"]),
    ("a page", b"<!DOCTYPE html><html></html>", &["no table", "HTML"]),
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
