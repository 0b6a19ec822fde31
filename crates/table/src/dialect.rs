//! The dialect of a table: separator, quotes, comments, header, decimal mark. It is detected from the first rows.
//!
//! Every [`Candidate`] reads the sample in one dialect; the one with the most regular rows wins. Then [`Header`] decides which
//! of its first rows hold the names of the columns.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cell_text::{cell_number, format_of, is_plain_number};
use crate::splitter::{Scan, Splitter};
use crate::{DecimalMark, ReadOptions, Record, is_missing, styled_number};

/// How the text of a table is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dialect {
    /// The separator between cells.
    pub separator: Separator,
    /// Whether `'` quotes cells, besides `"`.
    pub single_quotes: bool,
    /// The number of lines above the table that are not part of it.
    pub preamble: usize,
    /// The first character of comment lines, if there are any.
    pub comment: Option<char>,
    /// Whether the first row names the columns.
    pub header: bool,
    /// Whether 1,5 means one and a half.
    pub decimal_comma: bool,
}

/// The separator between two cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Separator {
    /// `,`
    Comma,
    /// `;`
    Semicolon,
    /// A tab.
    Tab,
    /// `|`
    Pipe,
    /// One or more blanks or tabs.
    Blanks,
}

impl Separator {
    /// All separators; if several fit equally well, the first of them wins.
    pub(crate) const ALL: [Self; 5] = [Self::Tab, Self::Semicolon, Self::Pipe, Self::Comma, Self::Blanks];

    /// Parses a value of `data.separator`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "," | "comma" => Self::Comma,
            ";" | "semicolon" => Self::Semicolon,
            "\t" | "\\t" | "tab" => Self::Tab,
            "|" | "pipe" => Self::Pipe,
            " " | "blanks" => Self::Blanks,
            _ => return None,
        })
    }

    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
            Self::Pipe => b'|',
            Self::Blanks => b' ',
        }
    }
}

impl fmt::Display for Separator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Comma => "commas",
            Self::Semicolon => "semicolons",
            Self::Tab => "tabs",
            Self::Pipe => "pipes",
            Self::Blanks => "blanks",
        })
    }
}

impl Dialect {
    /// Comma-separated cells below a header.
    pub(crate) fn plain() -> Self {
        Self {
            separator: Separator::Comma,
            single_quotes: false,
            preamble: 0,
            comment: None,
            header: true,
            decimal_comma: false,
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cells separated by {}", self.separator)?;
        f.write_str(if self.header { ", a header" } else { ", no header" })?;
        if self.decimal_comma {
            f.write_str(", decimal commas")?;
        }
        if self.single_quotes {
            f.write_str(", single quotes")?;
        }
        match self.preamble {
            0 => {}
            1 => f.write_str(", a line above the table")?,
            lines => write!(f, ", {lines} lines above the table")?,
        }
        if let Some(comment) = self.comment {
            write!(f, ", comments after {comment}")?;
        }
        Ok(())
    }
}

/// The number of rows that are examined.
const ROWS: usize = 400;
/// At most so many lines may precede a table.
const MOST_PREAMBLE: usize = 30;

/// A dialect, and the first rows of a table read in it.
pub(crate) struct Candidate {
    pub(crate) dialect: Dialect,
    rows: Vec<Record>,
    /// The number of columns.
    pub(crate) width: usize,
    /// The first row of the table.
    first: usize,
    /// The share of the table's rows with `width` cells.
    consistency: f64,
    /// The same share of all rows, including those above the table.
    share: f64,
}

impl Candidate {
    /// The most likely dialect of `sample`; `None` if there is no row.
    pub(crate) fn best(
        separator: Option<Separator>,
        sample: &str,
        is_all: bool,
        path: &Path,
        options: &ReadOptions,
    ) -> Option<Self> {
        let separators = separator.map_or_else(|| Separator::ALL.to_vec(), |separator| vec![separator]);
        let dialects = separators.into_iter().flat_map(|separator| {
            [false, true].map(|single_quotes| Dialect { separator, single_quotes, ..Dialect::plain() })
        });
        let mut best: Option<Self> = None;
        for candidate in dialects.filter_map(|dialect| Self::new(dialect, sample, is_all, path)) {
            if best.as_ref().is_none_or(|best| candidate.is_better_than(best)) {
                best = Some(candidate);
            }
        }
        let mut best = best?;
        // A title may have nearly as many cells as the rows; the names are then in the row below.
        let rest = &best.rows[best.first..];
        if rest.len() > 2
            && rest[0].len() != best.width
            && rest[1].len() == best.width
            && has_names(&rest[1..], false, options)
        {
            best.first += 1;
        }
        Some(best)
    }

    fn new(mut dialect: Dialect, sample: &str, is_all: bool, path: &Path) -> Option<Self> {
        let mut rows = sample_rows(&dialect, sample, is_all, path)?;
        let width = modal_width(&rows);
        // A line that begins with a comment mark is a comment, unless it has as many cells as the others.
        let mark = |row: &Record| row.cell(0).chars().next().filter(|c| matches!(c, '#' | '%'));
        if let Some(comment) = rows.first().and_then(mark).filter(|_| rows[0].len() != width) {
            dialect.comment = Some(comment);
            rows = sample_rows(&dialect, sample, is_all, path)?;
        }
        let mut width = modal_width(&rows);
        let is_of_table = |row: &Record| row.len() + 1 >= width && row.len() <= width + 1;
        let first = rows
            .iter()
            .take(MOST_PREAMBLE)
            .position(|row| width < 3 && row.len() == width || width >= 3 && is_of_table(row))?;
        if ends_in_separators(&rows[first..], width) {
            width -= 1;
        }
        let fits =
            |row: &&Record| row.len() == width || (row.len() == width + 1 && row.cell(width).is_empty());
        let fitting = rows[first..].iter().filter(fits).count();
        let consistency = fitting as f64 / (rows.len() - first) as f64;
        let share = fitting as f64 / rows.len() as f64;
        if dialect.single_quotes && !uses_single_quotes(sample, &dialect) {
            return None;
        }
        Some(Self { dialect, rows, width, first, consistency, share })
    }

    /// The rows of the table; the first may be the header.
    pub(crate) fn table(&self) -> &[Record] {
        &self.rows[self.first..]
    }

    /// Several columns beat one; then the more regular candidate wins; among equals, the first.
    fn is_better_than(&self, other: &Self) -> bool {
        let rank = |candidate: &Self| {
            let is_table = candidate.width > 1 && candidate.consistency > 0.5;
            // Text contains blanks anyway, so blanks are the last choice.
            let is_blanks = candidate.dialect.separator == Separator::Blanks;
            (is_table, !is_blanks || candidate.consistency == 1.0, candidate.share)
        };
        let (own, others) = (rank(self), rank(other));
        if own.0 && others.0 && self.dialect.separator == Separator::Blanks && other.consistency > 0.9 {
            return self.is_finer_than(other);
        }
        own > others || (own == others && self.dialect.single_quotes && !other.dialect.single_quotes)
    }

    /// True if blanks split cells that `other`, a good candidate too, does not split: a column with several numbers per cell, or
    /// a table in which two tabs sometimes stand for one.
    fn is_finer_than(&self, other: &Self) -> bool {
        let is_tab = other.dialect.separator == Separator::Tab;
        if self.consistency < 1.0 || self.rows[self.first].line() > other.rows[other.first].line() {
            return false;
        }
        if is_tab && self.width == other.width && other.consistency < 1.0 {
            return true;
        }
        let mark = char::from(other.dialect.separator.byte());
        let is_whole = |cell: &str| is_tab || !cell.contains(mark) || cell_number(cell, true).is_some();
        (0..other.width).any(|column| holds_several_numbers(other.table(), column))
            && self.table().iter().all(|row| row.cells().all(is_whole))
    }
}

/// True if at least 90 % of the cells of `column` are several numbers separated by blanks.
fn holds_several_numbers(rows: &[Record], column: usize) -> bool {
    let several = rows.iter().filter(|row| {
        let mut words = row.cell(column).split([' ', '\t']).filter(|word| !word.is_empty());
        let is_number = |word: Option<&str>| word.is_some_and(|word| cell_number(word, true).is_some());
        is_number(words.next())
            && is_number(words.next())
            && words.all(|word| word == "?" || is_plain_number(word))
    });
    several.count() * 10 >= rows.len() * 9
}

/// True if every row ends in a separator. The header need not.
fn ends_in_separators(rows: &[Record], width: usize) -> bool {
    let is_open = |row: &Record| row.len() < width || row.cell(width - 1).is_empty();
    width > 2 && rows.len() > 1 && rows.iter().all(is_open)
}

/// True if `'` quotes cells: at least half of the cells that begin with it end with it, too.
fn uses_single_quotes(sample: &str, dialect: &Dialect) -> bool {
    let plain = Dialect { single_quotes: false, ..dialect.clone() };
    let Some(rows) = sample_rows(&plain, sample, false, Path::new("")) else { return false };
    let mut opened = 0;
    let mut enclosed = 0;
    for cell in rows.iter().flat_map(Record::cells) {
        opened += usize::from(cell.starts_with('\''));
        enclosed += usize::from(cell.len() > 1 && cell.starts_with('\'') && cell.ends_with('\''));
    }
    enclosed > 0 && enclosed * 2 >= opened
}

fn sample_rows(dialect: &Dialect, sample: &str, is_all: bool, path: &Path) -> Option<Vec<Record>> {
    let mut splitter = Splitter::new(dialect, path);
    let (mut rows, mut record, mut at) = (Vec::new(), Record::default(), 0);
    // A broken row ends the sample; reading the table reports it later.
    while rows.len() < ROWS
        && let Ok(Scan::Row(next)) = splitter.scan(sample, at, is_all, &mut record)
    {
        at = next;
        rows.push(record.clone());
    }
    (!rows.is_empty()).then_some(rows)
}

fn modal_width(rows: &[Record]) -> usize {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(row.len()).or_insert(0_usize) += 1;
    }
    counts.into_iter().max_by_key(|&(width, count)| (count, width)).map_or(0, |(width, _)| width)
}

/// The rows of a table above its data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    /// The number of rows above the data.
    pub(crate) rows: usize,
    /// The row with the names of the columns.
    pub(crate) names: Option<usize>,
}

impl Header {
    /// Detects the header in the first `rows` of a table with `width` columns.
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
        // The second row has the names, unless the first contains an expected name or the second repeats cells, as units do.
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

/// True if the first of `rows` is a header: it contains the name of the label; or no cell is a value, and it differs
/// from the rows below.
fn has_names(rows: &[Record], decimal_comma: bool, options: &ReadOptions) -> bool {
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
    // Words above words: a name does not occur among the values below it.
    let distinct: HashSet<&str> = texts.iter().copied().collect();
    let new = (0..texts.len()).filter(|&at| is_new(texts[at], body, at)).count();
    distinct.len() == texts.len() && new * 10 >= texts.len() * 9
}

/// True if at least half of the cells of `row` are among `names`.
pub(crate) fn is_of_names(row: &Record, names: &[String]) -> bool {
    let names: HashSet<&str> = names.iter().map(String::as_str).collect();
    let found = row.cells().filter(|cell| names.contains(cell.trim())).count();
    found * 2 >= row.len().min(names.len())
}

/// True for a number in any notation, including `inf` and `nan`.
fn is_value(cell: &str, decimal_comma: bool) -> bool {
    cell_number(cell, decimal_comma).is_some()
        || cell.parse::<f64>().is_ok()
        || [DecimalMark::Point, DecimalMark::Comma]
            .into_iter()
            .any(|marks| styled_number(cell, marks).is_some())
}

fn is_date(cell: &str) -> bool {
    cell.starts_with(|c: char| c.is_ascii_digit()) && format_of(&std::iter::once(cell)).is_some()
}

/// True if the first of `rows` contains no numbers, and a new word above every numeric column.
fn stands_above_numbers(rows: &[Record], decimal_comma: bool) -> bool {
    let (first, body) = (&rows[0], &rows[1..]);
    let is_name = |at: usize| !is_missing(first.cell(at), &[]) && is_new(first.cell(at), body, at);
    let mut numbers = (0..first.len()).filter(|&at| is_of_numbers(body, at, decimal_comma)).peekable();
    numbers.peek().is_some()
        && numbers.all(is_name)
        && !first.cells().any(|cell| is_value(cell, decimal_comma))
}

/// The cells of `column` that are not missing.
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

/// True if `texts` are names although some are numbers: either consecutive numbers from 0 or 1, the default names of many
/// programs, or years at equal intervals besides words.
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
    let (first_index, first) = numbers[0];
    let are_indices = numbers.len() > 2
        && (0..=1).contains(&first)
        && numbers.iter().all(|&(at, number)| number as usize == first as usize + at - first_index);
    if are_indices {
        // Many such numbers are not chance; few must not occur among the values below.
        let new = numbers.iter().filter(|&&(at, _)| is_new(at)).count();
        return numbers.len() > 9 || (rows.len() > 4 && new * 10 >= numbers.len() * 9);
    }
    let steps = numbers.windows(2).map(|pair| pair[1].1.checked_sub(pair[0].1));
    let is_even = steps.clone().all(|step| step > Some(0) && Some(step) == steps.clone().next());
    let are_years = numbers.len() > 1 && numbers.iter().all(|(_, number)| (1500..=2200).contains(number));
    is_even && are_years && !words.is_empty() && numbers.iter().all(|&(at, _)| is_new(at))
}

/// True if the first of `rows` holds the numbers of rows and features and the names of the classes, as in the tables that
/// scikit-learn bundles.
fn counts_the_table(rows: &[Record], width: usize) -> bool {
    let first = &rows[0];
    let count = |at: usize| first.cell(at).parse::<usize>().ok();
    first.len() > 2
        && count(0).is_some_and(|count| count + 1 >= rows.len() && rows.len() > 2)
        && count(1) == Some(width - 1)
        && (2..first.len()).all(|at| !is_plain_number(first.cell(at)) && is_of_numbers(&rows[1..], at, false))
}

/// True if the second of `rows` is not data either: it contains only words, above numeric columns.
fn has_second_line(rows: &[Record], decimal_comma: bool) -> bool {
    rows.len() > 3
        && !rows[1].cells().any(|cell| is_value(cell, decimal_comma))
        && has_words_above_numbers(&rows[1..], decimal_comma)
}

/// True if the first of `rows` has new words or dates above at least two numeric columns, and above most of them.
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
