//! Taking columns for what they are, and fitting their treatment, on the training rows alone.

use std::collections::{BTreeMap, HashSet};

use crate::cell_text::{PARTS, days, format_of, marks_of, parts, unit_of};
use crate::{
    Column, Fault, Kind, Marks, Part, Scale, Scaling, Table, TableError, Treatment, Value, listed, quoted,
    styled_number,
};

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
