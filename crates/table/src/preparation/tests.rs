use super::*;
use crate::table::tests::read;
use crate::{Kind, Remarks};

/// The preparation of `text`, fitted on all of its rows, and the table.
pub(crate) fn fitted(text: &str, choices: &Choices) -> Result<(Preparation, Table), String> {
    let table = read(text, &ReadOptions { header: Some(true), ..ReadOptions::default() })?;
    let rows: Vec<u32> = (0..table.rows() as u32).collect();
    Preparation::fit(&table, &rows, &[], choices, Scaling::Unit, &[])
        .map(|preparation| (preparation, table))
        .map_err(|error| error.to_string())
}

fn plain(text: &str) -> Preparation {
    fitted(text, &Choices::default()).unwrap().0
}

/// The features of the rows of `text` as whatever is read later.
fn features(preparation: &Preparation, text: &str) -> Vec<Vec<f32>> {
    let table = read(text, &preparation.read_options()).unwrap();
    let mut features = vec![0.0; preparation.features()];
    let rows = preparation.rows(table).unwrap();
    rows.iter()
        .map(|raw| {
            preparation.encode(raw, &mut features);
            features.clone()
        })
        .collect()
}

const TEXT: &str = "n,yes,c,when,k\n0,no,a,2024-01-01,x\n4,yes,b,2024-01-03,x\n,yes,,2024-01-03,y\n1,,b,,y\n";

#[test]
fn each_kind_has_its_features_and_no_value_is_one_of_them() {
    let preparation = plain(TEXT);
    let names = [
        "n",
        "n is missing",
        "yes",
        "yes is missing",
        "c=a",
        "c=b",
        "c is missing",
        "when.day",
        "when.weekday",
        "when.days",
        "when is missing",
        "k=x",
        "k=y",
    ];
    assert_eq!(preparation.feature_names(), names);
    assert_eq!(preparation.raw_width(), 7);
    let third = 2.0 / 3.0;
    assert_eq!(
        features(&preparation, TEXT),
        [
            [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            [1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0],
            // The median stands in for a number, the share of yes for a word.
            [0.25, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0],
            [0.25, 0.0, third, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0],
        ]
    );
}

#[test]
fn units_are_those_of_the_training_rows() {
    let preparation = plain("a,b\n0 km,1\n1.5 km,2\n3 km,3\n");
    let found = features(&preparation, "a,b\n6 km,1\n1.5,1\nkm,1\n");
    assert_eq!(found, [[2.0, 0.0], [0.5, 0.0], [0.5, 0.0]]);
    let table = read("a,b\n6 mi,1\n", &preparation.read_options()).unwrap();
    assert!(preparation.rows(table).unwrap_err().to_string().contains("a finite number, found \"6 mi\""));
}

#[test]
fn columns_are_found_by_name_or_by_place() {
    let preparation = plain("a,b\n0,x\n2,y\n");
    let wanted = [[0.5, 1.0, 0.0]];
    assert_eq!(features(&preparation, "more,b,a\n7,x,1\n"), wanted);
    assert_eq!(features(&preparation, "1,x\n"), wanted);
    let table = read("a,c\n1,x\n", &preparation.read_options()).unwrap();
    let message = preparation.rows(table).unwrap_err().to_string();
    assert!(
        message.contains("expected the columns of the training data: \"a\", \"b\", found no \"b\""),
        "{message}"
    );
}

#[test]
fn what_no_training_row_had_is_remarked() {
    let preparation = plain("n,b,c\n0,yes,u\n2,no,v\n");
    let later = "n,b,c\n5,yes,w\nunknown,maybe,u\n1e300,no,?\n";
    let wanted = [[2.5, 1.0, 0.0, 0.0], [0.5, 0.5, 1.0, 0.0], [5e299_f64 as f32, 0.0, 0.0, 0.0]];
    let found = features(&preparation, later);
    assert_eq!(found[..2], wanted[..2]);
    assert_eq!(found[2][0], f32::MAX);
    let rows = preparation.rows(read(later, &preparation.read_options()).unwrap()).unwrap();
    let mut remarks = Remarks::default();
    let notes: Vec<String> =
        rows.iter().map(|raw| preparation.remark(raw, |used| ["n", "b", "c"][used], &mut remarks)).collect();
    assert_eq!(
        notes,
        [
            "n: outside 0 to 2; c: unknown \"c\"",
            "n: missing; b: unknown \"b\"",
            "n: outside 0 to 2; c: missing"
        ]
    );
    assert_eq!(
        preparation.remark(&[1.0, 1.0, 0.0], |_| unreachable!("all is known"), &mut Remarks::default()),
        ""
    );
    assert_eq!(
        (remarks.unknown.clone(), remarks.outside.clone(), remarks.missing.clone()),
        (vec![0, 1, 1], vec![2, 0, 0], vec![1, 0, 1])
    );
    assert_eq!(
        preparation.sentences(&remarks),
        [
            "values that no training row had, which count as nothing known: \"b\" (1), \"c\" (1)",
            "values outside the range of the training rows: \"n\" (2)",
            "cells without a value, where no training row lacked one: \"n\" (1), \"c\" (1)",
        ]
    );
    let words: Vec<String> = preparation.words(rows.row(0)).into_iter().map(|(_, words)| words).collect();
    assert_eq!(words, ["5", "yes", "not known"]);
}

#[test]
fn rows_that_are_predicted_are_kept_as_rows_of_a_table_are() {
    let preparation = plain(TEXT);
    let options = preparation.read_options();
    let expected = preparation.rows(read(TEXT, &options).unwrap()).unwrap();
    let reader = Box::new(std::io::Cursor::new(TEXT));
    let mut records = crate::Records::read(reader, Path::new("t.csv"), &options).unwrap();
    let places = preparation.places(records.layout(), Path::new("t.csv")).unwrap();
    let (mut record, mut raw) = (Record::default(), Vec::new());
    while records.next(&mut record).unwrap() {
        preparation.record(&record, &places, false, &mut raw).unwrap();
    }
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&raw), bits(&expected.iter().flatten().copied().collect::<Vec<_>>()));
}

#[test]
fn a_cell_that_is_not_what_its_column_holds_is_refused_by_line() {
    let preparation = plain(TEXT);
    for (cells, wanted) in [
        ("3x,no,a,2024-01-01,x", "t.csv, line 2, column \"n\": expected a finite number, found \"3x\""),
        (
            "3,no,a,01/02/2024,x",
            "column \"when\": expected a date written as the others, found \"01/02/2024\"",
        ),
        ("3,no,a,20240101,x", "column \"when\": expected a date written as the others, found 20240101"),
    ] {
        let table = read(&format!("n,yes,c,when,k\n{cells}\n"), &preparation.read_options()).unwrap();
        let message = preparation.rows(table).unwrap_err().to_string();
        assert!(message.contains(wanted), "{message}");
    }
}

#[test]
fn a_table_without_a_column_to_learn_from_is_refused() {
    let message = fitted("a,b\n1,\n1,\n", &Choices::default()).unwrap_err();
    assert!(
        message.contains("expected a column to learn from, found \"a\" (constant), \"b\" (empty)"),
        "{message}"
    );
    let numbers = Preparation::numbers(&["a".to_owned()]);
    assert_eq!((numbers.columns[0].kind, numbers.features()), (Kind::Number, 1));
}

#[test]
fn a_word_in_a_number_column_of_a_row_to_be_predicted_is_a_mistake() {
    let preparation = plain("a,b\n0,x\n2,y\n");
    let reader = Box::new(std::io::Cursor::new("a,b\nfree,x\n"));
    let mut records = crate::Records::read(reader, Path::new("t.csv"), &preparation.read_options()).unwrap();
    let places = preparation.places(records.layout(), Path::new("t.csv")).unwrap();
    let mut record = Record::default();
    assert!(records.next(&mut record).unwrap());
    let message = preparation.record(&record, &places, false, &mut Vec::new()).unwrap_err();
    assert_eq!(message, "column \"a\": expected a finite number, found \"free\"");
}
