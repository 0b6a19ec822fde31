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
    let mut seen = Seen::new(table, column, rows);
    let missing = seen.missing;
    let left_out = |kind: Kind, why: String| Ok(Column::left_out(name, kind, why, missing));
    if seen.missing == rows.len() {
        return left_out(Kind::Empty, "no training row has a value".to_owned());
    }
    if let Some(kind) = choice {
        return as_chosen(&mut seen, kind, scaling);
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
    if let Some(column) = as_number(&mut seen, scaling)? {
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
fn as_chosen(seen: &mut Seen<'_>, kind: Kind, scaling: Scaling) -> Result<Column, TableError> {
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
            let treatment = seen.number(written, scaling);
            Ok(seen.column(Kind::Number, why, treatment))
        }
    }
}

/// A column of numbers, if it is one: of numbers alone, or of many with a few words that stand for no value.
fn as_number(seen: &mut Seen<'_>, scaling: Scaling) -> Result<Option<Column>, TableError> {
    let Some(&(example, _)) = seen.texts.first() else {
        let (why, maybe_names) = (seen.why_number(), seen.are_few_whole());
        let treatment = seen.number(None, scaling);
        let column = seen.column(Kind::Number, why, treatment);
        return Ok(Some(Column { maybe_names, ..column }));
    };
    if seen.is_listed() {
        return Ok(None);
    }
    if let Some(written) = seen.written() {
        let why = match written {
            (_, Some(unit)) => format!("numbers, all with the unit {}", quoted(unit)),
            (_, None) => format!("numbers, some written as {}", quoted(example)),
        };
        let treatment = seen.number(Some(written), scaling);
        return Ok(Some(seen.column(Kind::Number, why, treatment)));
    }
    if seen.words().any(is_code) {
        return Ok(None);
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
    let treatment = seen.number(None, scaling);
    let column = seen.column(Kind::Number, why, treatment);
    Ok(Some(Column { has_words: true, ..column }))
}

/// True for digits with a zero in front, as in the zip code 02134.
fn is_code(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit())
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
mod tests;
