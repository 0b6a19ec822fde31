//! Workbooks and Parquet files: the same twelve rows in each.

#![allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]
#![cfg(all(feature = "excel", feature = "parquet"))]

use std::path::Path;

use kiln_table::{Choices, ColumnRef, Preparation, ReadOptions, Scaling, Table};

#[test]
fn a_workbook_and_a_parquet_file_are_read_like_a_csv() {
    for name in ["rows.xlsx", "rows.parquet"] {
        let path = Path::new("tests/data").join(name);
        let label = Some(ColumnRef::Name("label".to_owned()));
        let table =
            Table::read(&path, &ReadOptions { label, ..ReadOptions::default() }, &mut |_| {}).unwrap();
        assert_eq!((table.rows(), table.line(0)), (12, 2), "{name}");
        assert_eq!(table.names(), ["when", "size", "count", "kind", "is new", "label"]);
        let rows: Vec<u32> = (0..12).collect();
        let (choices, label) = (Choices::default(), table.label().unwrap());
        let preparation = Preparation::fit(&table, &rows, &[label], &choices, Scaling::Unit, &[]).unwrap();
        let kinds: Vec<&str> = preparation.columns.iter().map(|column| column.kind.name()).collect();
        assert_eq!(kinds, ["date", "number", "number", "category", "boolean"], "{name}");
        let words = preparation.words(preparation.rows(table).unwrap().row(5));
        let words: Vec<&str> = words.iter().map(|(_, word)| word.as_str()).collect();
        assert_eq!(words, ["2024-01-06 06:00", "6.25", "5", "ä, b", "false"], "{name}");
    }
}
