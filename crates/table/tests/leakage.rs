//! What a preparation is depends on the training rows alone, whatever the other rows hold.
#![allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

use std::io::Cursor;
use std::path::Path;

use kiln_table::{Choices, ColumnRef, Kind, Preparation, ReadOptions, Records, Scaling, Table};
use proptest::prelude::*;
use proptest::sample::select;

/// Rows of the table; every other one is trained on.
const ROWS: usize = 60;
const HEADER: &str = "row,amount,price,when,ready,colour,odd,code,note,same,label";

/// A row like those of the training data.
fn row(at: usize) -> Vec<String> {
    let cell = |text: &str| text.to_owned();
    vec![
        at.to_string(),
        if at % 11 == 4 { String::new() } else { format!("{}.25", at * 7 % 50) },
        format!("\"${},{:03}\"", at % 9 + 1, at * 37 % 1000),
        format!("2024-{:02}-{:02}", at % 12 + 1, at % 28 + 1),
        cell(["yes", "no", ""][at % 3 % 2]),
        cell(["red", "green", "blue"][at / 2 % 3]),
        if at == 20 { cell("none yet") } else { (at * 3).to_string() },
        format!("k{}", at % 5),
        format!("note {at} of {}", at * 31 % 97),
        cell("x"),
        cell(["a", "b"][at / 2 % 2]),
    ]
}

fn table(rows: &[Vec<String>]) -> Table {
    let lines: Vec<String> = rows.iter().map(|row| row.join(",")).collect();
    let text = format!("{HEADER}\n{}\n", lines.join("\n"));
    let label = Some(ColumnRef::Name("label".to_owned()));
    let options = ReadOptions { label, header: Some(true), ..ReadOptions::default() };
    let records = Records::read(Box::new(Cursor::new(text)), Path::new("t.csv"), &options).unwrap();
    Table::take(records, &options, &mut |_| {}).unwrap()
}

fn fitted(rows: &[Vec<String>], scaling: Scaling) -> Preparation {
    let table = table(rows);
    let train: Vec<u32> = (0..ROWS as u32).filter(|row| row % 2 == 0).collect();
    let aside = [table.label().unwrap()];
    Preparation::fit(&table, &train, &aside, &Choices::default(), scaling, &[]).unwrap()
}

#[test]
fn the_columns_are_of_every_kind() {
    let rows: Vec<Vec<String>> = (0..ROWS).map(row).collect();
    let kinds: Vec<Kind> = fitted(&rows, Scaling::Unit).columns.iter().map(|column| column.kind).collect();
    let (number, category) = (Kind::Number, Kind::Category);
    let rest = [Kind::Date, Kind::Boolean, category, number, category, Kind::Text, Kind::Constant];
    assert_eq!(kinds[1..3], [number, number]);
    assert_eq!(kinds[3..], rest);
}

/// What may stand in a row that is not trained on: anything.
fn other_cell() -> impl Strategy<Value = String> {
    let odd = [
        "",
        "?",
        "none yet",
        "1e300",
        "-5",
        "007",
        "$9",
        "2024-13-45",
        "31.12.2023",
        "violet",
        "yes",
        "x y z",
    ];
    prop_oneof![
        select(odd.to_vec()).prop_map(str::to_owned),
        "[a-z]{1,4}",
        any::<i32>().prop_map(|number| number.to_string()),
        (-1e9..1e9).prop_map(|number: f64| number.to_string()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn other_rows_change_nothing(
        others in proptest::collection::vec(proptest::collection::vec(other_cell(), 10), ROWS / 2),
        scaling in prop_oneof![Just(Scaling::Unit), Just(Scaling::Standard), Just(Scaling::Robust), Just(Scaling::Quantile)],
    ) {
        let mut rows: Vec<Vec<String>> = (0..ROWS).map(row).collect();
        let before = fitted(&rows, scaling);
        for (at, mut cells) in others.into_iter().enumerate() {
            cells.push("c".to_owned());
            rows[2 * at + 1] = cells;
        }
        let after = fitted(&rows, scaling);
        prop_assert_eq!(serde_json::to_string(&after).unwrap(), serde_json::to_string(&before).unwrap());
        prop_assert_eq!(after, before);
    }

    #[test]
    fn nor_does_their_order(order in Just((0..ROWS / 2).collect::<Vec<_>>()).prop_shuffle()) {
        let rows: Vec<Vec<String>> = (0..ROWS).map(row).collect();
        let mut mixed = rows.clone();
        for (at, from) in order.into_iter().enumerate() {
            mixed[2 * at + 1] = rows[2 * from + 1].clone();
        }
        for scaling in [Scaling::Standard, Scaling::Quantile] {
            prop_assert_eq!(fitted(&mixed, scaling), fitted(&rows, scaling));
        }
    }
}
