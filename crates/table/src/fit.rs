//! Taking columns for what they are, and fitting their treatment, on the training rows alone.

use std::collections::{BTreeMap, HashSet};

use crate::cell::Value;
use crate::column::{Column, Kind, Part, Scale, Treatment};
use crate::date::{PARTS, days, format_of, parts};
use crate::number::{Marks, marks_of, styled_number};
use crate::words::quoted;
use crate::{Fault, Table, TableError};

/// What the user says of columns. A name stands for the column of that name, `*` for every column.
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

/// How numbers are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scaling {
    /// From their range to [0, 1].
    Unit,
    /// To mean 0 and standard deviation 1.
    Standard,
}

/// Values of a category that get a feature of their own; the most frequent ones.
const MOST_VALUES: usize = 100;
/// Rows below which nothing is taken for an id or a text.
const ROWS_FOR_IDS: usize = 20;
/// Rows from which a first column that counts up is taken for the number of the row.
const ROWS_FOR_COUNTS: usize = 100;

/// What the training rows have in a column.
struct Seen<'a> {
    numbers: Vec<f64>,
    distinct_numbers: usize,
    /// Each text with how often it comes, most frequent first.
    texts: Vec<(&'a str, usize)>,
    missing: usize,
    rows: usize,
}

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
    let name = table.names()[column].clone();
    let chosen = |names: &[String]| names.contains(&name);
    let left_out = |kind: Kind, why: String, missing: usize| {
        Ok(Column { name: name.clone(), kind, why, missing, maybe_names: false, treatment: None })
    };
    if chosen(&choices.drop) {
        return left_out(Kind::Dropped, "data.columns.drop names it".to_owned(), 0);
    }
    let seen = Seen::new(table, column, rows);
    let missing = seen.missing;
    if seen.missing == seen.rows {
        return left_out(Kind::Empty, "no training row has a value".to_owned(), missing);
    }
    let is_category = chosen(&choices.category) || (choices.category.iter().any(|other| other == "*"));
    let is_chosen = chosen(&choices.number) || chosen(&choices.date) || is_category;
    let distinct = seen.distinct_numbers + seen.texts.len();
    if distinct == 1 && missing == 0 && !is_chosen {
        return left_out(Kind::Constant, "every training row has the same value".to_owned(), missing);
    }
    let done = |kind, why: String, treatment| {
        Ok(Column { name: name.clone(), kind, why, missing, maybe_names: false, treatment: Some(treatment) })
    };
    if is_category {
        let why = "data.columns.category names it".to_owned();
        return done(Kind::Category, why, seen.category(true));
    }
    let words = || seen.texts.iter().map(|&(text, _)| text);
    if chosen(&choices.date) {
        let format = format_of(&words())
            .filter(|_| seen.numbers.is_empty())
            .ok_or_else(|| not_all(table, column, "dates", "date"))?;
        return done(
            Kind::Date,
            format!("data.columns.date names it; written as {format}"),
            seen.date(format, scaling),
        );
    }
    if chosen(&choices.number) {
        let marks = if seen.texts.is_empty() { None } else { marks_of(&words()) };
        if marks.is_none() && !seen.texts.is_empty() {
            return Err(not_all(table, column, "numbers", "number"));
        }
        return done(Kind::Number, "data.columns.number names it".to_owned(), seen.number(marks, scaling));
    }
    if seen.texts.is_empty() {
        if let Some(why) = seen.is_id(table, column) {
            return left_out(Kind::Id, why, missing);
        }
        let (why, maybe_names) = (seen.why_number(), seen.are_few_whole());
        let column = done(Kind::Number, why, seen.number(None, scaling))?;
        return Ok(Column { maybe_names, ..column });
    }
    if let Some(marks) = marks_of(&words()) {
        let (example, _) = seen.texts[0];
        let why = format!("numbers, some written as {}", quoted(example));
        return done(Kind::Number, why, seen.number(Some(marks), scaling));
    }
    if seen.numbers.is_empty() {
        if let Some(treatment) = seen.boolean() {
            return done(
                Kind::Boolean,
                format!(
                    "two words, {} and {}",
                    quoted(words_of(&treatment).0),
                    quoted(words_of(&treatment).1)
                ),
                treatment,
            );
        }
        if let Some(format) = format_of(&words()) {
            return done(
                Kind::Date,
                format!("every value is a date written as {format}"),
                seen.date(format, scaling),
            );
        }
    } else {
        check_broken_numbers(table, column, &seen)?;
        let texts: usize = seen.texts.iter().map(|&(_, count)| count).sum();
        if seen.distinct_numbers > 20 && texts * 20 <= seen.numbers.len() {
            let strays = seen.texts.iter().map(|&(text, _)| text);
            let line = first_line(table, column, seen.texts[0].0);
            let why = format!(
                "numbers but for {}, first in line {line}, which counts as missing",
                crate::words::listed(strays, 3)
            );
            return done(Kind::Number, why, seen.number_with_strays(texts, scaling));
        }
    }
    let filled = seen.rows - missing;
    if filled >= ROWS_FOR_IDS && distinct * 2 > filled {
        let has_words = words().filter(|text| text.contains(' ')).count() * 2 > seen.texts.len();
        let kind = if distinct == filled && !has_words { Kind::Id } else { Kind::Text };
        return left_out(kind, format!("{distinct} different values in {filled} rows"), missing);
    }
    done(Kind::Category, format!("{distinct} different values"), seen.category(false))
}

fn words_of(treatment: &Treatment) -> (&str, &str) {
    match treatment {
        Treatment::Boolean { no, yes, .. } => (no, yes),
        _ => ("", ""),
    }
}

impl<'a> Seen<'a> {
    fn new(table: &'a Table, column: usize, rows: &[u32]) -> Self {
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
        Self { numbers, distinct_numbers, texts: seen, missing, rows: rows.len() }
    }

    fn why_number(&self) -> String {
        if self.are_few_whole() {
            format!("whole numbers, {} different ones", self.distinct_numbers)
        } else {
            "every value is a number".to_owned()
        }
    }

    /// Whether the numbers may be names: few whole ones.
    fn are_few_whole(&self) -> bool {
        (3..=20).contains(&self.distinct_numbers) && self.numbers.iter().all(|number| number.fract() == 0.0)
    }

    /// Why the numbers of a column are those of its rows, if they are.
    fn is_id(&self, table: &Table, column: usize) -> Option<String> {
        let is_whole = self.numbers.iter().all(|number| number.fract() == 0.0);
        if !is_whole || self.missing > 0 || self.distinct_numbers < self.rows || self.rows < 10 {
            return None;
        }
        if !table.layout().is_named[column] && table.layout().is_named.iter().any(|&is| is) {
            return Some("a different whole number in every row, below no name".to_owned());
        }
        if is_id_name(&table.names()[column]) {
            return Some("a different whole number in every row, and its name".to_owned());
        }
        let (first, last) = (self.numbers[0], self.numbers[self.numbers.len() - 1]);
        let counts_up = self.numbers.is_sorted() && last - first <= 1.6 * self.rows as f64;
        // Row numbers begin at 0 or 1; seconds since 1970 do not.
        (column == 0 && counts_up && first <= 20.0 && self.rows >= ROWS_FOR_COUNTS)
            .then(|| "the first column, which counts the rows".to_owned())
    }

    fn number(self, marks: Option<Marks>, scaling: Scaling) -> Treatment {
        let mut values = self.numbers;
        for &(text, count) in &self.texts {
            if let Some(number) = styled_number(text, marks.unwrap_or(Marks::Point)) {
                values.extend(std::iter::repeat_n(number, count));
            }
        }
        Treatment::Number { marks, scale: scale(values, scaling), indicator: self.missing > 0 }
    }

    fn number_with_strays(self, strays: usize, scaling: Scaling) -> Treatment {
        Treatment::Number {
            marks: None,
            scale: scale(self.numbers, scaling),
            indicator: self.missing + strays > 0,
        }
    }

    fn boolean(&self) -> Option<Treatment> {
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

    fn category(&self, exact: bool) -> Treatment {
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

    fn date(&self, format: &str, scaling: Scaling) -> Treatment {
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
                scale: scale(all.iter().map(|parts| parts[place]).collect(), scaling),
            })
            .filter(|part| part.scale.least < part.scale.greatest)
            .collect();
        kept.push(Part { name: "days".to_owned(), scale: scale(moments, scaling) });
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

/// The scale that `values`, of which there is at least one, ask for.
fn scale(mut values: Vec<f64>, scaling: Scaling) -> Scale {
    let count = values.len();
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // Halves, because the range of finite numbers need not be finite.
    let half_range = greatest / 2.0 - least / 2.0;
    let (offset, spread) = if least == greatest {
        (least, 0.0)
    } else if scaling == Scaling::Unit || !(half_range * 4.0 * count as f64).is_finite() {
        (least, (half_range * 2.0).min(f64::MAX))
    } else {
        let mean = values.iter().sum::<f64>() / count as f64;
        // In units of the range, the squares of no number overflow.
        let squares = values.iter().map(|value| ((value - mean) / (half_range * 2.0)).powi(2)).sum::<f64>();
        (mean, (squares / count as f64).sqrt() * (half_range * 2.0))
    };
    let (below, &mut upper, _) = values.select_nth_unstable_by(count / 2, f64::total_cmp);
    let lower = if count % 2 == 1 { upper } else { below.iter().copied().fold(f64::NEG_INFINITY, f64::max) };
    let median = lower / 2.0 + upper / 2.0;
    Scale { median, offset, spread, least, greatest }
}

/// True for `id`, `ID`, `row_id`, `PassengerId`, `Unnamed: 0`, `index` and the like.
fn is_id_name(name: &str) -> bool {
    let lower = name.trim().to_lowercase();
    let words =
        ["id", "index", "unnamed: 0", "rownames", "row", "row.names", "#", "no", "no.", "nr", "key", "uuid"];
    let ends_in_id = ["_id", " id", "-id", ".id", "_no", "_index"].iter().any(|end| lower.ends_with(end));
    words.contains(&lower.as_str()) || ends_in_id || name.ends_with("Id") || name.ends_with("ID")
}

/// An error if a text in a column of numbers is meant as a number, and is none that can be computed with: `inf`, `1e400`,
/// `0x10`, digits of other scripts; or, where nearly all are numbers, anything with a digit in it.
fn check_broken_numbers(table: &Table, column: usize, seen: &Seen<'_>) -> Result<(), TableError> {
    let texts: usize = seen.texts.iter().map(|&(_, count)| count).sum();
    let mostly_numbers = seen.distinct_numbers > 20 && texts * 20 <= seen.numbers.len();
    let is_broken = |text: &str| {
        text.parse::<f64>().is_ok_and(f64::is_infinite)
            || text.starts_with("0x")
            || text.chars().any(|c| c.is_numeric() && !c.is_ascii())
            || (mostly_numbers && text.bytes().any(|byte| byte.is_ascii_digit()))
    };
    let Some(&(text, _)) = seen.texts.iter().find(|(text, _)| is_broken(text)) else { return Ok(()) };
    let fault = Fault::new(table.path(), "a finite number", quoted(text));
    let name = &table.names()[column];
    let place = format!("line {}, column {}", first_line(table, column, text), quoted(name));
    let remedy = format!(
        "correct it, or list it in data.missing; data.columns.category={} takes the column for names",
        quoted(name)
    );
    Err(TableError::unfit("not a number", fault.place(place).remedy(remedy)))
}

fn not_all(table: &Table, column: usize, what: &str, key: &str) -> TableError {
    let name = &table.names()[column];
    let texts = table.texts(column);
    let is_good = |text: &str| match key {
        "date" => format_of(&std::iter::once(text)).is_some(),
        _ => marks_of(&std::iter::once(text)).is_some(),
    };
    let odd = texts.iter().find(|text| !is_good(text)).or(texts.first());
    let (found, line) =
        odd.map_or(("a number".to_owned(), 0), |text| (quoted(text), first_line(table, column, text)));
    let fault = Fault::new(table.path(), format!("{what}, as data.columns.{key} says"), found);
    TableError::unfit(
        "a column of another kind",
        fault.place(format!("line {line}, column {}", quoted(name))),
    )
}

/// The line of the first row that has `text` in `column`.
pub(crate) fn first_line(table: &Table, column: usize, text: &str) -> u32 {
    let number = table.texts(column).iter().position(|other| **other == *text);
    let has_it = |row: &usize| match table.cell(*row, column).value() {
        Value::Text(text) => Some(text as usize) == number,
        _ => false,
    };
    (0..table.rows()).find(has_it).map_or(0, |row| table.line(row))
}
