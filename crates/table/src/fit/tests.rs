use super::*;
use crate::preparation::tests::fitted;

/// What the column is whose rows have the cells that `cell` gives, beside a column of numbers.
fn column(rows: usize, cell: impl Fn(usize) -> String) -> Column {
    column_as(rows, cell, &Choices::default()).unwrap()
}

fn column_as(rows: usize, cell: impl Fn(usize) -> String, choices: &Choices) -> Result<Column, String> {
    let lines: Vec<String> =
        (0..rows).map(|row| format!("{},\"{}\"\n", row % 7, cell(row).replace('"', "\"\""))).collect();
    let (preparation, _) = fitted(&format!("a,b\n{}", lines.concat()), choices)?;
    Ok(preparation.columns[1].clone())
}

fn cycled(cells: &'static [&'static str]) -> impl Fn(usize) -> String {
    move |row| cells[row % cells.len()].to_owned()
}

#[test]
fn columns_are_taken_for_what_they_are() {
    let cases: &[(&'static [&'static str], Kind)] = &[
        (&["1", "2.5", "-3e2", ""], Kind::Number),
        (&["1,5", "2", "0,25"], Kind::Number),
        (&["1,234", "5", "12,345,678"], Kind::Number),
        (&["45%", "7 %"], Kind::Number),
        (&["$5", "-$7.50", "(3)"], Kind::Number),
        (&["1 234,5", "2,5 €"], Kind::Number),
        (&["36 months", "60 months", ""], Kind::Number),
        (&["2 rooms", "1 room"], Kind::Category),
        (&["01", "02", "10"], Kind::Category),
        (&["Yes", "no", "YES", "?"], Kind::Boolean),
        (&["True", "False"], Kind::Boolean),
        (&["yes", "no", "maybe"], Kind::Category),
        (&["0", "1", "2", "3+"], Kind::Category),
        (&["x", ""], Kind::Category),
        (&["2024-01-31", "1999-12-01", ""], Kind::Date),
        (&["31.12.2023", "01.01.2024"], Kind::Date),
        (&["10:30", "23:59"], Kind::Date),
        (&["x"], Kind::Constant),
        (&["3"], Kind::Constant),
        (&["", "?", "."], Kind::Empty),
    ];
    for &(cells, kind) in cases {
        assert_eq!(column(60, cycled(cells)).kind, kind, "{cells:?}");
    }
    assert_eq!(column(60, |row| format!("k{row:04}")).kind, Kind::Id);
    assert_eq!(column(60, |row| format!("a note on {row}")).kind, Kind::Text);
    assert_eq!(column(15, |row| format!("k{row:04}")).kind, Kind::Category);
}

#[test]
fn numbers_of_rows_are_ids_and_times_are_none() {
    let first = |name: &str, cell: &dyn Fn(usize) -> usize| {
        let lines: Vec<String> = (0..120).map(|row| format!("{},{}\n", cell(row), row % 5)).collect();
        fitted(&format!("{name},x\n{}", lines.concat()), &Choices::default()).unwrap().0.columns[0].kind
    };
    assert_eq!(first("row_id", &|row| row * 977 % 1201), Kind::Id);
    assert_eq!(first("n", &|row| row + 1), Kind::Id);
    assert_eq!(first("n", &|row| 120 - row), Kind::Number);
    assert_eq!(first("n", &|row| 1_262_304_000 + row), Kind::Number);
    assert_eq!(first("paid", &|row| row * 977 % 1201), Kind::Number);
}

#[test]
fn words_among_numbers_stand_for_no_value() {
    let unknown = column(90, |row| if row % 3 == 1 { "unknown".to_owned() } else { format!("{row}.5") });
    assert_eq!((unknown.kind, unknown.missing), (Kind::Number, 0));
    assert_eq!(unknown.why, "numbers but for \"unknown\", first in line 3, which counts as missing");
    assert!(matches!(unknown.treatment, Some(Treatment::Number { indicator: true, .. })));
    // Few numbers among many words are names like these.
    let names = column(90, |row| if row % 3 > 0 { format!("v{}", row % 9) } else { (row % 2).to_string() });
    assert_eq!(names.kind, Kind::Category);
}

#[test]
fn numbers_that_cannot_be_computed_with_are_refused_by_line() {
    for broken in ["inf", "1e400", "0x10", "١", "1O5"] {
        let cell = |row: usize| if row == 44 { broken.to_owned() } else { row.to_string() };
        let message = column_as(90, cell, &Choices::default()).unwrap_err();
        let wanted = format!(
            "not a number: t.csv, line 46, column \"b\": expected a finite number, found \"{broken}\""
        );
        assert!(message.starts_with(&wanted), "{message}");
    }
}

#[test]
fn the_most_frequent_values_have_features_and_the_others_are_rare() {
    let many =
        column(700, |row| if row < 600 { format!("v{:03}", row % 100) } else { format!("w{}", row % 9) });
    let Some(Treatment::Category { values, rare, .. }) = many.treatment else { panic!("a category") };
    assert_eq!((values.len(), rare), (100, 9));
    assert_eq!((values[0].as_str(), values[99].as_str()), ("v000", "w8"));
}

#[test]
fn the_user_says_what_a_column_is() {
    let name = || vec!["b".to_owned()];
    let as_category = Choices { category: name(), ..Choices::default() };
    let all_but_one = Choices { category: vec!["*".to_owned()], number: name(), ..Choices::default() };
    let as_date = Choices { date: name(), ..Choices::default() };
    let digits = |row: usize| (row % 4).to_string();
    assert_eq!(column_as(60, digits, &as_category).unwrap().kind, Kind::Category);
    assert_eq!(column_as(60, digits, &all_but_one).unwrap().kind, Kind::Number);
    assert_eq!(
        column_as(60, digits, &Choices { drop: name(), ..Choices::default() }).unwrap().kind,
        Kind::Dropped
    );
    assert_eq!(column_as(60, cycled(&["2024-01-31"]), &as_date).unwrap().kind, Kind::Date);
    let refused =
        |cell: &dyn Fn(usize) -> String, choices: &Choices| column_as(60, cell, choices).unwrap_err();
    let message = refused(&cycled(&["1", "few"]), &all_but_one);
    assert!(
        message
            .contains("line 3, column \"b\": expected numbers, as data.columns.number says, found \"few\""),
        "{message}"
    );
    let message = refused(&digits, &as_date);
    assert!(message.contains("t.csv, column \"b\": expected dates, all written in one way"), "{message}");
    assert!(message.contains("as data.columns.date says, found numbers"), "{message}");
    let message = refused(&cycled(&["2024-01-31", "31.12.2023"]), &as_date);
    assert!(
        message.contains("line 3, column \"b\"") && message.contains("found \"31.12.2023\""),
        "{message}"
    );
}
