//! Taking columns for what they are, and fitting their treatment, on the training rows alone.

use crate::column::{Column, Kind};
use crate::date::format_of;
use crate::number::marks_of;
use crate::seen::Seen;
use crate::treatment::Treatment;
use crate::words::{listed, quoted};
use crate::{Fault, Scaling, Table, TableError};

/// What the user says of columns. A name stands for the column of that name, `*` for every column that is not named elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// Left out.
    pub drop: Vec<String>,
    /// Taken for numbers.
    pub number: Vec<String>,
    /// Taken for names of things.
    pub category: Vec<String>,
    /// Taken for dates.
    pub date: Vec<String>,
}

impl Choices {
    /// What the column `name` is to be.
    fn of(&self, name: &str) -> Option<Kind> {
        let lists = [
            (Kind::Dropped, &self.drop),
            (Kind::Category, &self.category),
            (Kind::Date, &self.date),
            (Kind::Number, &self.number),
        ];
        let first = |wanted: &str| lists.iter().find(|(_, names)| names.iter().any(|name| name == wanted));
        first(name).or_else(|| first("*")).map(|&(kind, _)| kind)
    }
}

/// Rows below which nothing is taken for an id or a text.
const ROWS_FOR_IDS: usize = 20;
/// Different numbers above which a column is one of numbers, whatever few words are among them.
const MANY_NUMBERS: usize = 20;

/// What `column` of `table` is, by its training `rows`.
///
/// # Errors
/// Where the user says what it is, and it is not; or a cell is almost a number.
pub(crate) fn fit_column(
    table: &Table,
    column: usize,
    rows: &[u32],
    choices: &Choices,
    scaling: Scaling,
) -> Result<Column, TableError> {
    let name = &table.names()[column];
    let choice = choices.of(name);
    if choice == Some(Kind::Dropped) {
        return Ok(Column::left_out(name, Kind::Dropped, "data.columns.drop names it", 0));
    }
    let seen = Seen::new(table, column, rows);
    let left_out = |kind: Kind, why: String| Ok(Column::left_out(name, kind, why, seen.missing));
    if seen.missing == rows.len() {
        return left_out(Kind::Empty, "no training row has a value".to_owned());
    }
    if let Some(kind) = choice {
        return as_chosen(&seen, kind, scaling);
    }
    let distinct = seen.distinct_numbers + seen.texts.len();
    if distinct == 1 && seen.missing == 0 {
        return left_out(Kind::Constant, "every training row has the same value".to_owned());
    }
    if seen.texts.is_empty()
        && let Some(why) = seen.is_id()
    {
        return left_out(Kind::Id, why);
    }
    if let Some(column) = as_number(&seen, scaling)? {
        return Ok(column);
    }
    if seen.numbers.is_empty()
        && let Some(column) = as_boolean_or_date(&seen, scaling)
    {
        return Ok(column);
    }
    let filled = rows.len() - seen.missing;
    if filled >= ROWS_FOR_IDS && distinct * 2 > filled {
        let has_words = seen.words().filter(|text| text.contains(' ')).count() * 2 > seen.texts.len();
        let kind = if distinct == filled && !has_words { Kind::Id } else { Kind::Text };
        return left_out(kind, format!("{distinct} different values in {filled} rows"));
    }
    // Where the file lists the values, they are what it writes: 01 is not 1.
    let is_exact = table.is_listed(column);
    let why = format!("{distinct} different values");
    Ok(seen.column(Kind::Category, why, seen.category(is_exact)))
}

/// A column that the user says is of `kind`.
fn as_chosen(seen: &Seen<'_>, kind: Kind, scaling: Scaling) -> Result<Column, TableError> {
    let why = format!("data.columns.{} names it", kind.name());
    match kind {
        Kind::Category => Ok(seen.column(kind, why, seen.category(true))),
        Kind::Date => {
            let format = format_of(&seen.words()).filter(|_| seen.numbers.is_empty());
            let format = format.ok_or_else(|| not_all(seen, "dates, all written in one way", kind))?;
            Ok(seen.column(kind, format!("{why}; written as {format}"), seen.date(format, scaling)))
        }
        _ => {
            let written = seen.written();
            if written.is_none() && !seen.texts.is_empty() {
                return Err(not_all(seen, "numbers", kind));
            }
            Ok(seen.column(Kind::Number, why, seen.number(written, scaling)))
        }
    }
}

/// A column of numbers, if it is one: of numbers alone, or of many with a few words that stand for no value.
fn as_number(seen: &Seen<'_>, scaling: Scaling) -> Result<Option<Column>, TableError> {
    let Some(&(example, _)) = seen.texts.first() else {
        let column = seen.column(Kind::Number, seen.why_number(), seen.number(None, scaling));
        return Ok(Some(Column { maybe_names: seen.are_few_whole(), ..column }));
    };
    if seen.is_listed() {
        return Ok(None);
    }
    if let Some(written) = seen.written() {
        let why = match written {
            (_, Some(unit)) => format!("numbers, all with the unit {}", quoted(unit)),
            (_, None) => format!("numbers, some written as {}", quoted(example)),
        };
        return Ok(Some(seen.column(Kind::Number, why, seen.number(Some(written), scaling))));
    }
    let texts: usize = seen.texts.iter().map(|&(_, count)| count).sum();
    let are_rare = texts * 20 <= seen.numbers.len();
    let are_many = seen.distinct_numbers > MANY_NUMBERS;
    check_broken_numbers(seen, are_many && are_rare)?;
    // Such as "unknown", in however many rows.
    let are_few = seen.texts.len() <= 3
        && texts <= seen.numbers.len()
        && seen.words().all(|text| !text.chars().any(char::is_numeric));
    if !are_many || !(are_rare || are_few) {
        return Ok(None);
    }
    let strays = listed(seen.words(), 3);
    let line = seen.first_line(example);
    let why = format!("numbers but for {strays}, first in line {line}, which counts as missing");
    Ok(Some(seen.column(Kind::Number, why, seen.number(None, scaling))))
}

fn as_boolean_or_date(seen: &Seen<'_>, scaling: Scaling) -> Option<Column> {
    if let Some(treatment) = seen.boolean() {
        let why = match &treatment {
            Treatment::Boolean { no, yes, .. } => format!("two words, {} and {}", quoted(no), quoted(yes)),
            _ => String::new(),
        };
        return Some(seen.column(Kind::Boolean, why, treatment));
    }
    let format = format_of(&seen.words()).filter(|_| !seen.is_listed())?;
    let why = format!("every value is a date written as {format}");
    Some(seen.column(Kind::Date, why, seen.date(format, scaling)))
}

/// An error if a text in a column of numbers is meant as a number, and is none that can be computed with: `inf`, `1e400`,
/// `0x10`, digits of other scripts; or, where nearly all are numbers, anything with a digit in it.
fn check_broken_numbers(seen: &Seen<'_>, are_mostly_numbers: bool) -> Result<(), TableError> {
    let is_broken = |text: &&str| {
        text.parse::<f64>().is_ok_and(f64::is_infinite)
            || text.starts_with("0x")
            || text.chars().any(|c| c.is_numeric() && !c.is_ascii())
            || (are_mostly_numbers && text.bytes().any(|byte| byte.is_ascii_digit()))
    };
    let Some(text) = seen.words().find(is_broken).filter(|_| !seen.numbers.is_empty()) else {
        return Ok(());
    };
    let fault = Fault::new(seen.table.path(), "a finite number", quoted(text)).place(seen.place(text));
    let remedy = format!(
        "correct it, or list it in data.missing; data.columns.category={} takes the column for names",
        quoted(seen.name())
    );
    Err(TableError::unfit("not a number", fault.remedy(remedy)))
}

/// Not all cells are what the user says, of `kind`.
fn not_all(seen: &Seen<'_>, what: &str, kind: Kind) -> TableError {
    let is_good = |text: &str| match kind {
        Kind::Date => format_of(&std::iter::once(text)).is_some(),
        _ => marks_of(&std::iter::once(text)).is_some(),
    };
    let odd = seen.words().find(|text| !is_good(text));
    let column = format!("column {}", quoted(seen.name()));
    let (found, place) = match odd.or_else(|| seen.words().last().filter(|_| seen.numbers.is_empty())) {
        Some(text) => (quoted(text), seen.place(text)),
        None if seen.texts.is_empty() => ("numbers".to_owned(), column),
        None => ("numbers among them".to_owned(), column),
    };
    let expected = format!("{what}, as data.columns.{} says", kind.name());
    let fault = Fault::new(seen.table.path(), expected, found).place(place);
    let remedy =
        "correct it, list what stands for no value in data.missing, or leave the column to be found out";
    TableError::unfit("a column of another kind", fault.remedy(remedy))
}

#[cfg(test)]
mod tests {
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
            (&["01", "02", "10"], Kind::Number),
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
        let names =
            column(90, |row| if row % 3 > 0 { format!("v{}", row % 9) } else { (row % 2).to_string() });
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
            message.contains(
                "line 3, column \"b\": expected numbers, as data.columns.number says, found \"few\""
            ),
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
}
