//! What the training rows have in a column.

use std::collections::{BTreeMap, HashSet};

use crate::cell::Value;
use crate::column::{Column, Kind};
use crate::date::{PARTS, days, parts};
use crate::number::{Marks, marks_of, styled_number, unit_of};
use crate::treatment::{Part, Treatment};
use crate::words::quoted;
use crate::{Scale, Scaling, Table};

/// Values of a category that get a feature of their own; the most frequent ones.
const MOST_VALUES: usize = 100;
/// Rows from which a first column that counts up is taken for the number of the row.
const ROWS_FOR_COUNTS: usize = 100;

/// What the training rows have in a column.
pub(crate) struct Seen<'a> {
    pub(crate) table: &'a Table,
    column: usize,
    rows: &'a [u32],
    pub(crate) numbers: Vec<f64>,
    pub(crate) distinct_numbers: usize,
    /// Each text with how often it comes, most frequent first.
    pub(crate) texts: Vec<(&'a str, usize)>,
    /// Rows without a value.
    pub(crate) missing: usize,
}

impl<'a> Seen<'a> {
    pub(crate) fn new(table: &'a Table, column: usize, rows: &'a [u32]) -> Self {
        let texts = table.texts(column);
        let mut counts = vec![0_usize; texts.len()];
        let (mut numbers, mut missing) = (Vec::with_capacity(rows.len()), 0);
        for &row in rows {
            match table.cell(row as usize, column).value() {
                Value::Number(number) => numbers.push(number),
                Value::Text(text) => counts[text as usize] += 1,
                Value::Missing => missing += 1,
            }
        }
        let mut seen: Vec<(&str, usize)> = texts
            .iter()
            .zip(counts)
            .filter(|&(_, count)| count > 0)
            .map(|(text, count)| (&**text, count))
            .collect();
        seen.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(right.0)));
        let distinct_numbers = distinct(&numbers);
        Self { table, column, rows, numbers, distinct_numbers, texts: seen, missing }
    }

    /// The name of the column.
    pub(crate) fn name(&self) -> &'a str {
        &self.table.names()[self.column]
    }

    /// The texts, most frequent first.
    pub(crate) fn words(&self) -> impl Iterator<Item = &'a str> + Clone {
        self.texts.iter().map(|&(text, _)| text)
    }

    /// True where the file lists the values: they are words, even where they are numbers.
    pub(crate) fn is_listed(&self) -> bool {
        self.table.is_listed(self.column)
    }

    /// The line of the first training row that has `text`.
    pub(crate) fn first_line(&self, text: &str) -> u32 {
        self.table.first_line(self.column, text, self.rows.iter().copied())
    }

    /// That line and the column, as messages name them.
    pub(crate) fn place(&self, text: &str) -> String {
        format!("line {}, column {}", self.first_line(text), quoted(self.name()))
    }

    /// The column, taken for one of `kind`.
    pub(crate) fn column(&self, kind: Kind, why: String, treatment: Treatment) -> Column {
        let (name, missing) = (self.name().to_owned(), self.missing);
        Column { name, kind, why, missing, maybe_names: false, has_words: false, treatment: Some(treatment) }
    }

    pub(crate) fn why_number(&self) -> String {
        if self.are_few_whole() {
            format!("whole numbers, {} different ones", self.distinct_numbers)
        } else {
            "every value is a number".to_owned()
        }
    }

    /// Whether the numbers may be names: few whole ones.
    pub(crate) fn are_few_whole(&self) -> bool {
        (3..=20).contains(&self.distinct_numbers) && self.numbers.iter().all(|number| number.fract() == 0.0)
    }

    /// Why the numbers of a column are those of its rows, if they are.
    pub(crate) fn is_id(&self) -> Option<String> {
        let is_whole = self.numbers.iter().all(|number| number.fract() == 0.0);
        let count = self.rows.len();
        if !is_whole || self.missing > 0 || self.distinct_numbers < count || count < 10 {
            return None;
        }
        let layout = self.table.layout();
        if !layout.is_named[self.column] && layout.has_names() {
            return Some("a different whole number in every row, below no name".to_owned());
        }
        if is_id_name(self.name()) {
            return Some("a different whole number in every row, and its name".to_owned());
        }
        (self.column == 0 && count >= ROWS_FOR_COUNTS && self.counts_up())
            .then(|| "the first column, which counts the rows".to_owned())
    }

    /// Whether the numbers grow from row to row as row numbers do: they begin at 0 or 1; seconds since 1970 do not.
    fn counts_up(&self) -> bool {
        let mut by_row: Vec<(u32, f64)> =
            self.rows.iter().copied().zip(self.numbers.iter().copied()).collect();
        by_row.sort_unstable_by_key(|&(row, _)| row);
        let (first, last) = (by_row[0].1, by_row[by_row.len() - 1].1);
        by_row.is_sorted_by_key(|&(_, number)| number)
            && last - first <= 1.6 * self.rows.len() as f64
            && first <= 20.0
    }

    /// How the texts are written, if all are numbers: with which marks, and with which unit where all have one.
    pub(crate) fn written(&self) -> Option<(Marks, Option<&'a str>)> {
        let plain = marks_of(&self.words()).map(|marks| (marks, None));
        plain.or_else(|| {
            let (unit, marks) = unit_of(&self.words()).filter(|_| self.numbers.is_empty())?;
            Some((marks, Some(unit)))
        })
    }

    /// Numbers, of which those that are texts are `written` so; other texts stand for no value.
    /// Takes the numbers out of what was seen.
    pub(crate) fn number(&mut self, written: Option<(Marks, Option<&str>)>, scaling: Scaling) -> Treatment {
        let (marks, unit) = written.map_or((None, None), |(marks, unit)| (Some(marks), unit));
        let mut values = std::mem::take(&mut self.numbers);
        let mut missing = self.missing;
        for &(text, count) in &self.texts {
            let bare = unit.and_then(|unit| text.strip_suffix(unit)).unwrap_or(text);
            match marks.and_then(|marks| styled_number(bare, marks)) {
                Some(number) => values.extend(std::iter::repeat_n(number, count)),
                None => missing += count,
            }
        }
        let unit = unit.map(str::to_owned);
        Treatment::Number { marks, unit, scale: Scale::fit(values, scaling), indicator: missing > 0 }
    }

    pub(crate) fn boolean(&self) -> Option<Treatment> {
        const PAIRS: [(&str, &str); 6] =
            [("false", "true"), ("no", "yes"), ("f", "t"), ("n", "y"), ("off", "on"), ("absent", "present")];
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for &(text, count) in &self.texts {
            *counts.entry(text.to_lowercase()).or_default() += count;
        }
        let (no, yes) =
            PAIRS.into_iter().find(|(no, yes)| counts.keys().all(|word| word == no || word == yes))?;
        let count = |word: &str| counts.get(word).copied().unwrap_or(0) as f64;
        let fill = count(yes) / (count(no) + count(yes));
        Some(Treatment::Boolean { no: no.to_owned(), yes: yes.to_owned(), fill, indicator: self.missing > 0 })
    }

    pub(crate) fn category(&self, exact: bool) -> Treatment {
        let mut counts: Vec<(String, usize)> =
            self.texts.iter().map(|&(text, count)| (text.to_owned(), count)).collect();
        let mut numbers: BTreeMap<u64, usize> = BTreeMap::new();
        for number in &self.numbers {
            *numbers.entry(number.to_bits()).or_default() += 1;
        }
        counts.extend(numbers.into_iter().map(|(bits, count)| (f64::from_bits(bits).to_string(), count)));
        counts.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
        let rare = counts.len().saturating_sub(MOST_VALUES);
        let mut values: Vec<String> = counts.into_iter().take(MOST_VALUES).map(|(value, _)| value).collect();
        values.sort();
        Treatment::Category { values, rare, exact, indicator: self.missing > 0 }
    }

    pub(crate) fn date(&self, format: &str, scaling: Scaling) -> Treatment {
        let mut moments = Vec::new();
        for &(text, count) in &self.texts {
            if let Some(days) = days(text, format) {
                moments.extend(std::iter::repeat_n(days, count));
            }
        }
        let all: Vec<[f64; 6]> = moments.iter().filter_map(|&days| parts(days)).collect();
        let mut kept: Vec<Part> = PARTS
            .iter()
            .enumerate()
            .map(|(place, name)| Part {
                name: (*name).to_owned(),
                scale: Scale::fit(all.iter().map(|parts| parts[place]).collect(), scaling),
            })
            .filter(|part| part.scale.least < part.scale.greatest)
            .collect();
        kept.push(Part { name: "days".to_owned(), scale: Scale::fit(moments, scaling) });
        Treatment::Date { format: format.to_owned(), parts: kept, indicator: self.missing > 0 }
    }
}

/// How many of `numbers` are different, counted as far as it matters: to the end for whole numbers, which may be those of
/// the rows, and to a thousand for others.
fn distinct(numbers: &[f64]) -> usize {
    let is_whole = numbers.iter().all(|number| number.fract() == 0.0);
    let mut seen = HashSet::new();
    for number in numbers {
        seen.insert(number.to_bits());
        if !is_whole && seen.len() > 1000 {
            break;
        }
    }
    seen.len()
}

/// True for `id`, `ID`, `row_id`, `PassengerId`, `Unnamed: 0`, `index` and the like.
fn is_id_name(name: &str) -> bool {
    let lower = name.trim().to_lowercase();
    let words =
        ["id", "index", "unnamed: 0", "rownames", "row", "row.names", "#", "no", "no.", "nr", "key", "uuid"];
    let ends_in_id = ["_id", " id", "-id", ".id", "_no", "_index"].iter().any(|end| lower.ends_with(end));
    words.contains(&lower.as_str()) || ends_in_id || name.ends_with("Id") || name.ends_with("ID")
}
