//! Decides what kind of column each one is and fits its treatment, on the training rows alone.
//!
//! [`ColumnValues`] collects the values of the training rows; [`fit_column`] applies the rules to them.

use std::collections::{BTreeMap, HashSet};

use crate::cell_text::{PARTS, days, format_of, marks_of, parts, unit_of};
use crate::{
    Column, ColumnKind, DatePart, DecimalMark, Mismatch, Scale, Scaling, Table, TableError, Treatment, Value,
    listed, quoted, styled_number,
};

/// The kinds that the user states, as column names; `*` means every column that is not listed elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// Columns to leave out.
    pub drop: Vec<String>,
    /// Numbers.
    pub number: Vec<String>,
    /// Categories.
    pub category: Vec<String>,
    /// Dates.
    pub date: Vec<String>,
}

impl Choices {
    /// The stated kind of the column `name`.
    fn of(&self, name: &str) -> Option<ColumnKind> {
        let lists = [
            (ColumnKind::Dropped, &self.drop),
            (ColumnKind::Category, &self.category),
            (ColumnKind::Date, &self.date),
            (ColumnKind::Number, &self.number),
        ];
        let first = |wanted: &str| lists.iter().find(|(_, names)| names.iter().any(|name| name == wanted));
        first(name).or_else(|| first("*")).map(|&(kind, _)| kind)
    }
}

/// With fewer rows, no column counts as an id or a text.
const ROWS_FOR_IDS: usize = 20;
/// With more distinct numbers, a column is numeric in spite of a few words.
const MANY_NUMBERS: usize = 20;

/// Decides the kind of `column` of `table` and fits its treatment on the training `rows`. Fails if the column does not have
/// the kind that the user states, or if a cell looks like a number but is not one.
pub(crate) fn fit_column(
    table: &Table,
    column: usize,
    rows: &[u32],
    choices: &Choices,
    scaling: Scaling,
) -> Result<Column, TableError> {
    let name = &table.names()[column];
    let choice = choices.of(name);
    if choice == Some(ColumnKind::Dropped) {
        return Ok(Column::left_out(name, ColumnKind::Dropped, "listed in data.columns.drop", 0));
    }
    let mut values = ColumnValues::new(table, column, rows);
    let missing = values.missing;
    let left_out = |kind: ColumnKind, why: String| Ok(Column::left_out(name, kind, why, missing));
    if values.missing == rows.len() {
        return left_out(ColumnKind::Empty, "no training row has a value".to_owned());
    }
    if let Some(kind) = choice {
        return fit_stated_kind(&mut values, kind, scaling);
    }
    let distinct = values.distinct_numbers + values.texts.len();
    if distinct == 1 && values.missing == 0 {
        return left_out(ColumnKind::Constant, "every training row has the same value".to_owned());
    }
    if values.texts.is_empty()
        && let Some(why) = values.id_reason()
    {
        return left_out(ColumnKind::Id, why);
    }
    if let Some(column) = fit_number(&mut values, scaling)? {
        return Ok(column);
    }
    if values.numbers.is_empty()
        && let Some(column) = fit_boolean_or_date(&values, scaling)
    {
        return Ok(column);
    }
    let filled = rows.len() - values.missing;
    if filled >= ROWS_FOR_IDS && distinct * 2 > filled {
        let has_words = values.words().filter(|text| text.contains(' ')).count() * 2 > values.texts.len();
        let kind = if distinct == filled && !has_words { ColumnKind::Id } else { ColumnKind::Text };
        return left_out(kind, format!("{distinct} distinct values in {filled} rows"));
    }
    // If the file lists the values, they are text: 01 is not 1.
    let is_exact = table.is_listed(column);
    let why = format!("{distinct} distinct values");
    Ok(values.column(ColumnKind::Category, why, values.category_treatment(is_exact)))
}

/// Fits a column with the `kind` that the user states.
fn fit_stated_kind(
    values: &mut ColumnValues<'_>,
    kind: ColumnKind,
    scaling: Scaling,
) -> Result<Column, TableError> {
    let why = format!("listed in data.columns.{}", kind.name());
    match kind {
        ColumnKind::Category => Ok(values.column(kind, why, values.category_treatment(true))),
        ColumnKind::Date => {
            let format = format_of(&values.words()).filter(|_| values.numbers.is_empty());
            let format = format.ok_or_else(|| kind_mismatch(values, "dates in one common format", kind))?;
            Ok(values.column(kind, format!("{why}; format {format}"), values.date_treatment(format, scaling)))
        }
        _ => {
            let notation = values.notation();
            if notation.is_none() && !values.texts.is_empty() {
                return Err(kind_mismatch(values, "numbers", kind));
            }
            let treatment = values.number_treatment(notation, scaling);
            Ok(values.column(ColumnKind::Number, why, treatment))
        }
    }
}

/// Fits a column of numbers, if it is one: all values are numbers, or many are and a few words stand for missing values.
fn fit_number(values: &mut ColumnValues<'_>, scaling: Scaling) -> Result<Option<Column>, TableError> {
    let Some(&(example, _)) = values.texts.first() else {
        let (why, maybe_names) = (values.number_reason(), values.has_few_whole_numbers());
        let treatment = values.number_treatment(None, scaling);
        let column = values.column(ColumnKind::Number, why, treatment);
        return Ok(Some(Column { maybe_names, ..column }));
    };
    if values.is_listed() {
        return Ok(None);
    }
    if let Some(notation) = values.notation() {
        let why = match notation {
            (_, Some(unit)) => format!("numbers, all with the unit {}", quoted(unit)),
            (_, None) => format!("numbers, some formatted like {}", quoted(example)),
        };
        let treatment = values.number_treatment(Some(notation), scaling);
        return Ok(Some(values.column(ColumnKind::Number, why, treatment)));
    }
    if values.words().any(is_code) {
        return Ok(None);
    }
    let texts: usize = values.texts.iter().map(|&(_, count)| count).sum();
    let are_rare = texts * 20 <= values.numbers.len();
    let are_many = values.distinct_numbers > MANY_NUMBERS;
    check_broken_numbers(values, are_many && are_rare)?;
    // One to three words such as "unknown", in up to half of the rows.
    let are_few = values.texts.len() <= 3
        && texts <= values.numbers.len()
        && values.words().all(|text| !text.chars().any(char::is_numeric));
    if !are_many || !(are_rare || are_few) {
        return Ok(None);
    }
    let strays = listed(values.words(), 3);
    let line = values.first_line(example);
    let why = format!("numbers except {strays}, first in line {line}, which counts as missing");
    let treatment = values.number_treatment(None, scaling);
    let column = values.column(ColumnKind::Number, why, treatment);
    Ok(Some(Column { has_words: true, ..column }))
}

/// True for digits with a leading zero, as in the zip code 02134.
fn is_code(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn fit_boolean_or_date(values: &ColumnValues<'_>, scaling: Scaling) -> Option<Column> {
    if let Some(treatment) = values.boolean_treatment() {
        let why = match &treatment {
            Treatment::Boolean { no, yes, .. } => format!("two words, {} and {}", quoted(no), quoted(yes)),
            _ => String::new(),
        };
        return Some(values.column(ColumnKind::Boolean, why, treatment));
    }
    let format = format_of(&values.words()).filter(|_| !values.is_listed())?;
    let why = format!("every value is a date in the format {format}");
    Some(values.column(ColumnKind::Date, why, values.date_treatment(format, scaling)))
}

/// Fails if a text in a column of numbers looks like a number but is unusable: `inf`, `1e400`, `0x10`, digits of other
/// scripts; or, if nearly all cells are numbers, any text with a digit.
fn check_broken_numbers(values: &ColumnValues<'_>, are_mostly_numbers: bool) -> Result<(), TableError> {
    let is_broken = |text: &&str| {
        text.parse::<f64>().is_ok_and(f64::is_infinite)
            || text.starts_with("0x")
            || text.chars().any(|c| c.is_numeric() && !c.is_ascii())
            || (are_mostly_numbers && text.bytes().any(|byte| byte.is_ascii_digit()))
    };
    let Some(text) = values.words().find(is_broken).filter(|_| !values.numbers.is_empty()) else {
        return Ok(());
    };
    let mismatch =
        Mismatch::new(values.table.path(), "a finite number", quoted(text)).place(values.place(text));
    let remedy = format!(
        "correct it, or list it in data.missing; data.columns.category={} makes the column a category",
        quoted(values.name())
    );
    Err(TableError::unfit("not a number", mismatch.remedy(remedy)))
}

/// The error for a column whose values do not all have the `kind` that the user states.
fn kind_mismatch(values: &ColumnValues<'_>, what: &str, kind: ColumnKind) -> TableError {
    let is_good = |text: &str| match kind {
        ColumnKind::Date => format_of(&std::iter::once(text)).is_some(),
        _ => marks_of(&std::iter::once(text)).is_some(),
    };
    let odd = values.words().find(|text| !is_good(text));
    let column = format!("column {}", quoted(values.name()));
    let (found, place) = match odd.or_else(|| values.words().last().filter(|_| values.numbers.is_empty())) {
        Some(text) => (quoted(text), values.place(text)),
        None if values.texts.is_empty() => ("numbers".to_owned(), column),
        None => ("numbers among them".to_owned(), column),
    };
    let expected = format!("{what}, as stated in data.columns.{}", kind.name());
    let mismatch = Mismatch::new(values.table.path(), expected, found).place(place);
    let remedy =
        "correct it, list words for missing values in data.missing, or remove the column from data.columns";
    TableError::unfit("wrong kind of column", mismatch.remedy(remedy))
}

/// Only so many values of a category, the most frequent ones, have a feature.
const MOST_VALUES: usize = 100;
/// With at least so many rows, a first column that counts up is a row number.
const ROWS_FOR_COUNTS: usize = 100;

/// The values of the training rows in one column.
struct ColumnValues<'a> {
    table: &'a Table,
    column: usize,
    rows: &'a [u32],
    numbers: Vec<f64>,
    distinct_numbers: usize,
    /// The distinct texts with their counts, most frequent first.
    texts: Vec<(&'a str, usize)>,
    /// The number of rows without a value.
    missing: usize,
}

impl<'a> ColumnValues<'a> {
    fn new(table: &'a Table, column: usize, rows: &'a [u32]) -> Self {
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
        let mut texts: Vec<(&str, usize)> = texts
            .iter()
            .zip(counts)
            .filter(|&(_, count)| count > 0)
            .map(|(text, count)| (&**text, count))
            .collect();
        texts.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(right.0)));
        let distinct_numbers = distinct(&numbers);
        Self { table, column, rows, numbers, distinct_numbers, texts, missing }
    }

    /// The name of the column.
    fn name(&self) -> &'a str {
        &self.table.names()[self.column]
    }

    /// The distinct texts, most frequent first.
    fn words(&self) -> impl Iterator<Item = &'a str> + Clone {
        self.texts.iter().map(|&(text, _)| text)
    }

    /// True if the file lists the values; these are categories, even if they are numbers.
    fn is_listed(&self) -> bool {
        self.table.is_listed(self.column)
    }

    /// The line of the first training row with `text`.
    fn first_line(&self, text: &str) -> u32 {
        self.table.first_line(self.column, text, self.rows.iter().copied())
    }

    /// That line and the column, for messages.
    fn place(&self, text: &str) -> String {
        format!("line {}, column {}", self.first_line(text), quoted(self.name()))
    }

    /// The column as one of this `kind`.
    fn column(&self, kind: ColumnKind, why: String, treatment: Treatment) -> Column {
        let (name, missing) = (self.name().to_owned(), self.missing);
        Column { name, kind, why, missing, maybe_names: false, has_words: false, treatment: Some(treatment) }
    }

    fn number_reason(&self) -> String {
        if self.has_few_whole_numbers() {
            format!("whole numbers, {} distinct values", self.distinct_numbers)
        } else {
            "every value is a number".to_owned()
        }
    }

    /// True if there are few distinct whole numbers, which may be codes.
    fn has_few_whole_numbers(&self) -> bool {
        (3..=20).contains(&self.distinct_numbers) && self.numbers.iter().all(|number| number.fract() == 0.0)
    }

    /// The reason why the column is an id, if it is one.
    fn id_reason(&self) -> Option<String> {
        let is_whole = self.numbers.iter().all(|number| number.fract() == 0.0);
        let count = self.rows.len();
        if !is_whole || self.missing > 0 || self.distinct_numbers < count || count < 10 {
            return None;
        }
        let layout = self.table.layout();
        if !layout.is_named[self.column] && layout.has_names() {
            return Some("a different whole number in every row, and no name".to_owned());
        }
        if is_id_name(self.name()) {
            return Some("a different whole number in every row, and the name of an id".to_owned());
        }
        (self.column == 0 && count >= ROWS_FOR_COUNTS && self.counts_up())
            .then(|| "the first column, and it counts the rows".to_owned())
    }

    /// True if the numbers rise like row numbers. These begin near 0 or 1, unlike seconds since 1970; gaps are allowed because
    /// other rows of the file are not training rows.
    fn counts_up(&self) -> bool {
        let mut by_row: Vec<(u32, f64)> =
            self.rows.iter().copied().zip(self.numbers.iter().copied()).collect();
        by_row.sort_unstable_by_key(|&(row, _)| row);
        let (first, last) = (by_row[0].1, by_row[by_row.len() - 1].1);
        by_row.is_sorted_by_key(|&(_, number)| number)
            && last - first <= 1.6 * self.rows.len() as f64
            && first <= 20.0
    }

    /// Notation and unit, if there is one, of the texts; `None` unless all are numbers.
    fn notation(&self) -> Option<(DecimalMark, Option<&'a str>)> {
        let plain = marks_of(&self.words()).map(|marks| (marks, None));
        plain.or_else(|| {
            let (unit, marks) = unit_of(&self.words()).filter(|_| self.numbers.is_empty())?;
            Some((marks, Some(unit)))
        })
    }

    /// Fits a numeric treatment and moves the numbers out. Texts are parsed in this `notation`; other texts are missing values.
    fn number_treatment(
        &mut self,
        notation: Option<(DecimalMark, Option<&str>)>,
        scaling: Scaling,
    ) -> Treatment {
        let (marks, unit) = notation.map_or((None, None), |(marks, unit)| (Some(marks), unit));
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

    fn boolean_treatment(&self) -> Option<Treatment> {
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

    fn category_treatment(&self, exact: bool) -> Treatment {
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

    fn date_treatment(&self, format: &str, scaling: Scaling) -> Treatment {
        let mut moments = Vec::new();
        for &(text, count) in &self.texts {
            if let Some(days) = days(text, format) {
                moments.extend(std::iter::repeat_n(days, count));
            }
        }
        let all: Vec<[f64; 6]> = moments.iter().filter_map(|&days| parts(days)).collect();
        let mut kept: Vec<DatePart> = PARTS
            .iter()
            .enumerate()
            .map(|(index, name)| DatePart {
                name: (*name).to_owned(),
                scale: Scale::fit(all.iter().map(|parts| parts[index]).collect(), scaling),
            })
            .filter(|part| part.scale.least < part.scale.greatest)
            .collect();
        kept.push(DatePart { name: "days".to_owned(), scale: Scale::fit(moments, scaling) });
        Treatment::Date { format: format.to_owned(), parts: kept, indicator: self.missing > 0 }
    }
}

/// The number of distinct `numbers`. It is exact for whole numbers, which may be row numbers; others are counted to about a
/// thousand.
fn distinct(numbers: &[f64]) -> usize {
    let is_whole = numbers.iter().all(|number| number.fract() == 0.0);
    let mut distinct = HashSet::new();
    for number in numbers {
        distinct.insert(number.to_bits());
        if !is_whole && distinct.len() > 1000 {
            break;
        }
    }
    distinct.len()
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

    /// Fits a column with the cells that `cell` returns, next to a column of numbers.
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
    fn kinds_of_columns_are_detected() {
        let cases: &[(&'static [&'static str], ColumnKind)] = &[
            (&["1", "2.5", "-3e2", ""], ColumnKind::Number),
            (&["1,5", "2", "0,25"], ColumnKind::Number),
            (&["1,234", "5", "12,345,678"], ColumnKind::Number),
            (&["45%", "7 %"], ColumnKind::Number),
            (&["$5", "-$7.50", "(3)"], ColumnKind::Number),
            (&["1 234,5", "2,5 €"], ColumnKind::Number),
            (&["36 months", "60 months", ""], ColumnKind::Number),
            (&["2 rooms", "1 room"], ColumnKind::Category),
            (&["01", "02", "10"], ColumnKind::Category),
            (&["Yes", "no", "YES", "?"], ColumnKind::Boolean),
            (&["True", "False"], ColumnKind::Boolean),
            (&["yes", "no", "maybe"], ColumnKind::Category),
            (&["0", "1", "2", "3+"], ColumnKind::Category),
            (&["x", ""], ColumnKind::Category),
            (&["2024-01-31", "1999-12-01", ""], ColumnKind::Date),
            (&["31.12.2023", "01.01.2024"], ColumnKind::Date),
            (&["10:30", "23:59"], ColumnKind::Date),
            (&["x"], ColumnKind::Constant),
            (&["3"], ColumnKind::Constant),
            (&["", "?", "."], ColumnKind::Empty),
        ];
        for &(cells, kind) in cases {
            assert_eq!(column(60, cycled(cells)).kind, kind, "{cells:?}");
        }
        assert_eq!(column(60, |row| format!("k{row:04}")).kind, ColumnKind::Id);
        assert_eq!(column(60, |row| format!("a note on {row}")).kind, ColumnKind::Text);
        assert_eq!(column(15, |row| format!("k{row:04}")).kind, ColumnKind::Category);
    }

    #[test]
    fn row_numbers_are_ids_but_times_are_not() {
        let first = |name: &str, cell: &dyn Fn(usize) -> usize| {
            let lines: Vec<String> = (0..120).map(|row| format!("{},{}\n", cell(row), row % 5)).collect();
            fitted(&format!("{name},x\n{}", lines.concat()), &Choices::default()).unwrap().0.columns[0].kind
        };
        assert_eq!(first("row_id", &|row| row * 977 % 1201), ColumnKind::Id);
        assert_eq!(first("n", &|row| row + 1), ColumnKind::Id);
        assert_eq!(first("n", &|row| 120 - row), ColumnKind::Number);
        assert_eq!(first("n", &|row| 1_262_304_000 + row), ColumnKind::Number);
        assert_eq!(first("paid", &|row| row * 977 % 1201), ColumnKind::Number);
    }

    #[test]
    fn words_among_numbers_are_missing_values() {
        let unknown = column(90, |row| if row % 3 == 1 { "unknown".to_owned() } else { format!("{row}.5") });
        assert_eq!((unknown.kind, unknown.missing), (ColumnKind::Number, 0));
        assert_eq!(unknown.why, "numbers except \"unknown\", first in line 3, which counts as missing");
        assert!(matches!(unknown.treatment, Some(Treatment::Number { indicator: true, .. })));
        // Few numbers among many words are categories like these.
        let names =
            column(90, |row| if row % 3 > 0 { format!("v{}", row % 9) } else { (row % 2).to_string() });
        assert_eq!(names.kind, ColumnKind::Category);
    }

    #[test]
    fn unusable_numbers_are_refused_with_their_line() {
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
    fn the_user_states_the_kind_of_a_column() {
        let name = || vec!["b".to_owned()];
        let as_category = Choices { category: name(), ..Choices::default() };
        let all_but_one = Choices { category: vec!["*".to_owned()], number: name(), ..Choices::default() };
        let as_date = Choices { date: name(), ..Choices::default() };
        let digits = |row: usize| (row % 4).to_string();
        assert_eq!(column_as(60, digits, &as_category).unwrap().kind, ColumnKind::Category);
        assert_eq!(column_as(60, digits, &all_but_one).unwrap().kind, ColumnKind::Number);
        assert_eq!(
            column_as(60, digits, &Choices { drop: name(), ..Choices::default() }).unwrap().kind,
            ColumnKind::Dropped
        );
        assert_eq!(column_as(60, cycled(&["2024-01-31"]), &as_date).unwrap().kind, ColumnKind::Date);
        let refused =
            |cell: &dyn Fn(usize) -> String, choices: &Choices| column_as(60, cell, choices).unwrap_err();
        let message = refused(&cycled(&["1", "few"]), &all_but_one);
        assert!(
            message.contains(
                "line 3, column \"b\": expected numbers, as stated in data.columns.number, found \"few\""
            ),
            "{message}"
        );
        let message = refused(&digits, &as_date);
        assert!(message.contains("t.csv, column \"b\": expected dates in one common format"), "{message}");
        assert!(message.contains("as stated in data.columns.date, found numbers"), "{message}");
        let message = refused(&cycled(&["2024-01-31", "31.12.2023"]), &as_date);
        assert!(
            message.contains("line 3, column \"b\"") && message.contains("found \"31.12.2023\""),
            "{message}"
        );
    }
}
