//! What stands above the data of a table: the names of its columns, or none.

use std::collections::HashSet;

use crate::date::format_of;
use crate::missing::is_missing;
use crate::number::{Marks, cell_number, is_plain_number, styled_number};
use crate::{ReadOptions, Record};

/// Which rows of a table are no data, and which of them names its columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// Rows above the data.
    pub(crate) rows: usize,
    /// The one that names the columns.
    pub(crate) names: Option<usize>,
}

impl Head {
    /// The head of the table that begins with `rows`, of `width` columns, numbers being written as `decimal_comma` says.
    pub(crate) fn of(rows: &[Record], width: usize, decimal_comma: bool, options: &ReadOptions) -> Self {
        if options.header.is_none() && counts_the_table(rows, width) {
            return Self { rows: 1, names: None };
        }
        let has_names = options.header.unwrap_or_else(|| {
            if options.names.is_empty() {
                has_names(rows, decimal_comma, options)
            } else {
                is_of_names(&rows[0], &options.names) || stands_above_numbers(rows, decimal_comma)
            }
        });
        if !has_names && rows.len() > 1 && !options.known.is_empty() && is_of_names(&rows[1], &options.known)
        {
            return Self { rows: 2, names: Some(1) };
        }
        if !has_names {
            return Self::default();
        }
        if !has_second_line(rows, decimal_comma) {
            return Self { rows: 1, names: Some(0) };
        }
        // Names, or the units of what is named above.
        let wanted = |row: &Record| {
            if options.known.is_empty() {
                options.label.as_ref().is_some_and(|label| label.is_named_in(row.cells()))
            } else {
                is_of_names(row, &options.known)
            }
        };
        let distinct: HashSet<&str> = rows[1].cells().collect();
        let is_second = !wanted(&rows[0]) && (wanted(&rows[1]) || distinct.len() == rows[1].len());
        Self { rows: 2, names: Some(usize::from(is_second)) }
    }
}

/// Whether the first of `rows` names the columns of the others: it has the name of the label; or no cell of it is a value, and
/// it differs from what is below it.
pub(crate) fn has_names(rows: &[Record], decimal_comma: bool, options: &ReadOptions) -> bool {
    let (first, body) = (&rows[0], &rows[1..]);
    if !options.known.is_empty() {
        return is_of_names(first, &options.known);
    }
    if options.label.as_ref().is_some_and(|label| label.is_named_in(first.cells())) {
        return true;
    }
    let texts: Vec<&str> = first.cells().collect();
    let has_value = texts.iter().any(|cell| is_value(cell, decimal_comma) || is_date(cell));
    let named = texts.iter().filter(|cell| !cell.is_empty()).count();
    if body.is_empty() || named * 2 < texts.len() {
        return !has_value && body.is_empty();
    }
    if has_value {
        return are_counted_names(&texts, body) || has_words_above_numbers(rows, decimal_comma);
    }
    let names_numbers =
        (0..texts.len()).any(|at| is_of_numbers(body, at, decimal_comma) && !is_missing(texts[at], &[]));
    if names_numbers {
        return true;
    }
    // Words above words: names are not among the values below them.
    let distinct: HashSet<&str> = texts.iter().copied().collect();
    let new = (0..texts.len()).filter(|&at| is_new(texts[at], body, at)).count();
    distinct.len() == texts.len() && new * 10 >= texts.len() * 9
}

/// Whether at least half of the cells of `row` are among `names`.
pub(crate) fn is_of_names(row: &Record, names: &[String]) -> bool {
    let names: HashSet<&str> = names.iter().map(String::as_str).collect();
    let found = row.cells().filter(|cell| names.contains(cell.trim())).count();
    found * 2 >= row.len().min(names.len())
}

/// True for numbers, in whatever way they are written, and for what numbers come to, such as `inf`.
fn is_value(cell: &str, decimal_comma: bool) -> bool {
    cell_number(cell, decimal_comma).is_some()
        || cell.parse::<f64>().is_ok()
        || [Marks::Point, Marks::Comma].into_iter().any(|marks| styled_number(cell, marks).is_some())
}

fn is_date(cell: &str) -> bool {
    cell.starts_with(|c: char| c.is_ascii_digit()) && format_of(&std::iter::once(cell)).is_some()
}

/// Whether the first of `rows` has words alone, other ones than stand below it, above all columns of numbers.
fn stands_above_numbers(rows: &[Record], decimal_comma: bool) -> bool {
    let (first, body) = (&rows[0], &rows[1..]);
    let is_name = |at: usize| !is_missing(first.cell(at), &[]) && is_new(first.cell(at), body, at);
    let mut numbers = (0..first.len()).filter(|&at| is_of_numbers(body, at, decimal_comma)).peekable();
    numbers.peek().is_some()
        && numbers.all(is_name)
        && !first.cells().any(|cell| is_value(cell, decimal_comma))
}

/// The cells of `column` that have a value.
fn values(rows: &[Record], column: usize) -> impl Iterator<Item = &str> {
    rows.iter().map(move |row| row.cell(column)).filter(|cell| !is_missing(cell, &[]))
}

fn is_of_numbers(rows: &[Record], column: usize, decimal_comma: bool) -> bool {
    let (mut cells, mut numbers) = (0, 0);
    for cell in values(rows, column) {
        cells += 1;
        numbers += usize::from(is_value(cell, decimal_comma));
    }
    cells > 0 && numbers * 10 >= cells * 9
}

fn is_new(name: &str, rows: &[Record], column: usize) -> bool {
    values(rows, column).all(|cell| cell != name)
}

/// Whether `texts`, some of which are numbers, are names all the same: 0, 1, 2 and so on, as programs name columns that have
/// no name; or years between words.
fn are_counted_names(texts: &[&str], rows: &[Record]) -> bool {
    let whole = |cell: &str| cell.parse::<u32>().ok().filter(|_| is_plain_number(cell));
    let numbers: Vec<(usize, u32)> =
        texts.iter().enumerate().filter_map(|(at, cell)| Some((at, whole(cell)?))).collect();
    let (words, others): (Vec<usize>, Vec<usize>) = (0..texts.len())
        .filter(|&at| whole(texts[at]).is_none())
        .partition(|&at| !is_value(texts[at], false));
    let is_new = |at: usize| is_new(texts[at], rows, at);
    if !others.is_empty() || numbers.is_empty() || !words.iter().all(|&at| is_new(at)) {
        return false;
    }
    let (first_place, first) = numbers[0];
    let are_places = numbers.len() > 2
        && (0..=1).contains(&first)
        && numbers.iter().all(|&(at, number)| number as usize == first as usize + at - first_place);
    if are_places {
        // Far more than chance, or in no column that counts.
        let new = numbers.iter().filter(|&&(at, _)| is_new(at)).count();
        return numbers.len() > 9 || (rows.len() > 4 && new * 10 >= numbers.len() * 9);
    }
    let steps = numbers.windows(2).map(|pair| pair[1].1.checked_sub(pair[0].1));
    let is_even = steps.clone().all(|step| step > Some(0) && Some(step) == steps.clone().next());
    let are_years = numbers.len() > 1 && numbers.iter().all(|(_, number)| (1500..=2200).contains(number));
    is_even && are_years && !words.is_empty() && numbers.iter().all(|&(at, _)| is_new(at))
}

/// Whether the first of `rows` says how many rows and features there are and what the classes are called, as the tables that
/// come with scikit-learn do.
fn counts_the_table(rows: &[Record], width: usize) -> bool {
    let first = &rows[0];
    let count = |at: usize| first.cell(at).parse::<usize>().ok();
    first.len() > 2
        && count(0).is_some_and(|count| count + 1 >= rows.len() && rows.len() > 2)
        && count(1) == Some(width - 1)
        && (2..first.len()).all(|at| !is_plain_number(first.cell(at)) && is_of_numbers(&rows[1..], at, false))
}

/// Whether the second of `rows` is no data either: words alone, above columns of numbers.
fn has_second_line(rows: &[Record], decimal_comma: bool) -> bool {
    rows.len() > 3
        && !rows[1].cells().any(|cell| is_value(cell, decimal_comma))
        && has_words_above_numbers(&rows[1..], decimal_comma)
}

/// Whether the first of `rows` has words, or dates, above at least two columns of numbers, and above most such columns.
fn has_words_above_numbers(rows: &[Record], decimal_comma: bool) -> bool {
    let (first, body) = (&rows[0], &rows[1..]);
    let is_word = |&at: &usize| {
        let cell = first.cell(at);
        !cell.is_empty() && !is_value(cell, decimal_comma) && is_new(cell, body, at)
    };
    let numbers: Vec<usize> = (0..first.len()).filter(|&at| is_of_numbers(body, at, decimal_comma)).collect();
    let words = numbers.iter().filter(|&at| is_word(at)).count();
    words > 1 && words * 2 > numbers.len()
}
