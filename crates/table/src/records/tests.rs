use std::io::{Cursor, Write};

use super::*;

fn rows(mut records: Records) -> Vec<Vec<String>> {
    let (mut record, mut rows) = (Record::default(), Vec::new());
    while records.next(&mut record).unwrap() {
        records.check(&record).unwrap();
        rows.push(record.cells().map(str::to_owned).collect());
    }
    rows
}

fn read(bytes: Vec<u8>) -> Result<Records, TableError> {
    Records::read(Box::new(Cursor::new(bytes)), Path::new("t"), &ReadOptions::default())
}

#[test]
fn gzip_is_known_by_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.csv");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(b"a,b\n1,x\n2,y\n").unwrap();
    let bytes = encoder.finish().unwrap();
    let options = ReadOptions::default();
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(rows(Records::open(&path, &options).unwrap()), [["1", "x"], ["2", "y"]]);
    std::fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
    let message = Records::open(&path, &options).err().unwrap().to_string();
    assert!(message.starts_with("damaged gzip file"), "{message}");
    std::fs::write(&path, b"\x1f\x8bno gzip").unwrap();
    let message = Records::open(&path, &options).err().unwrap().to_string();
    assert!(message.starts_with("damaged gzip file"), "{message}");
}

#[test]
fn rows_may_be_longer_than_what_is_looked_at() {
    let wide = |first: &str| format!("{first},{}\n", vec!["0.123456789"; 40_000].join(","));
    let text = format!("{}{}", wide("a"), wide("b"));
    let records = read(text.into_bytes()).unwrap();
    assert_eq!(records.layout().names.len(), 40_001);
    assert_eq!(rows(records).len(), 2);
}

#[test]
fn other_encodings_are_noticed() {
    let records = read(b"gr\xf6\xdfe,k\n1,x\n2,y\n".to_vec()).unwrap();
    assert_eq!(records.layout().names, ["größe", "k"]);
    assert_eq!(records.layout().notices, ["the file is no UTF-8: taken for windows-1252 (data.encoding)"]);
    let options = ReadOptions { encoding: Some("utf-7".to_owned()), ..ReadOptions::default() };
    let message = Records::read(Box::new(Cursor::new(b"a,b\n".to_vec())), Path::new("t"), &options);
    assert!(message.err().unwrap().to_string().starts_with("unknown encoding: data.encoding"));
}

#[test]
fn what_is_no_table_is_called_by_its_name() {
    for (bytes, wanted) in [
        (&b"PAR1\x15\x04"[..], "a Parquet file; write it as CSV"),
        (b"PK\x03\x04abcd", "a ZIP archive or a"),
        (b"<!DOCTYPE html><p>", "a page of HTML"),
        (b"<?xml version='1.0'?>", "an XML document"),
        (b"{\"a\": 1}\n{\"a\": 2}\n", "JSON; write it as CSV"),
        (b"[{\"a\": 1}]", "JSON; write it as CSV"),
        (b"+1 1:0.5 3:1\n-1 2:1\n", "a LIBSVM file"),
    ] {
        let message = read(bytes.to_vec()).err().unwrap().to_string();
        assert!(message.starts_with("no table: t: expected") && message.contains(wanted), "{message}");
    }
}
