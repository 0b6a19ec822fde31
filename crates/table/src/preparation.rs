//! Turns the columns of a table into the features of a network.

use std::collections::HashMap;
use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::fit::fit_column;
use crate::{
    Blocks, Cell, Choices, Column, ColumnKind, Layout, Mismatch, ParsedCell, ReadOptions, Scale, Scaling,
    Table, TableError, Treatment, Value, listed, missing_words, quoted,
};

/// How the rows of a table become features. It is fitted on the training rows and stored with the run, so that other rows are
/// treated in the same way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preparation {
    /// All columns of the table except the label, in order.
    pub columns: Vec<Column>,
    /// Additional words for a missing value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// The names of all columns of the table in order, including the label.
    pub names: Vec<String>,
    /// Whether these names come from a header or the user; otherwise they are positions.
    pub is_named: bool,
}

impl Preparation {
    /// Fits the treatment of every column of `table`, except the columns `aside`, on its training `rows`.
    ///
    /// # Errors
    /// If a column does not have the kind that `choices` state, a cell looks like a number but is not one, or no column is left.
    pub fn fit(
        table: &Table,
        rows: &[u32],
        aside: &[usize],
        choices: &Choices,
        scaling: Scaling,
        missing: &[String],
    ) -> Result<Self, TableError> {
        let columns = (0..table.names().len())
            .into_par_iter()
            .filter(|column| !aside.contains(column))
            .map(|column| fit_column(table, column, rows, choices, scaling))
            .collect::<Result<Vec<_>, _>>()?;
        if columns.iter().all(|column| column.treatment.is_none()) {
            let found: Vec<String> = columns
                .iter()
                .take(12)
                .map(|column| format!("{} ({})", quoted(&column.name), column.kind.name()))
                .collect();
            let mismatch = Mismatch::new(table.path(), "a column to learn from", found.join(", "));
            let remedy =
                "use data.columns.category or data.columns.number to keep a column that would be left out";
            return Err(TableError::unfit("no feature columns", mismatch.remedy(remedy)));
        }
        let is_named = table.layout().has_names();
        Ok(Self { columns, missing: missing.to_vec(), names: table.names().to_vec(), is_named })
    }

    /// Treats all `columns` as plain numbers, without scaling and without missing values.
    #[must_use]
    pub fn numbers(columns: &[String]) -> Self {
        let scale = Scale {
            median: f64::NAN,
            offset: 0.0,
            spread: 1.0,
            least: f64::NEG_INFINITY,
            greatest: f64::INFINITY,
            is_far: false,
            clipped: false,
            knots: Vec::new(),
        };
        let number = |name: &String| Column {
            name: name.clone(),
            kind: ColumnKind::Number,
            why: "every column is a number".to_owned(),
            missing: 0,
            maybe_names: false,
            has_words: false,
            treatment: Some(Treatment::Number {
                marks: None,
                unit: None,
                scale: scale.clone(),
                indicator: false,
            }),
        };
        Self {
            columns: columns.iter().map(number).collect(),
            missing: Vec::new(),
            names: columns.to_vec(),
            is_named: true,
        }
    }

    /// Every word for a missing value in tables like the training table.
    pub fn missing_words(&self) -> impl Iterator<Item = &str> {
        let own = self.missing.iter().map(String::as_str);
        missing_words().map(|word| -> &str { word }).chain(own)
    }

    /// The options to read a table like the training table.
    #[must_use]
    pub fn read_options(&self) -> ReadOptions {
        ReadOptions {
            missing: self.missing.clone(),
            as_text: self.exact_columns(),
            known: self.header_names(),
            ..ReadOptions::default()
        }
    }

    /// The names of the columns whose cells are compared as text.
    #[must_use]
    pub fn exact_columns(&self) -> Vec<String> {
        self.used()
            .filter(|(_, treatment)| matches!(treatment, Treatment::Category { exact: true, .. }))
            .map(|(column, _)| column.name.clone())
            .collect()
    }

    /// The names that a header would contain; empty if the columns have no names.
    #[must_use]
    pub fn header_names(&self) -> Vec<String> {
        if self.is_named { self.names.clone() } else { Vec::new() }
    }

    /// The columns that become features.
    pub fn used(&self) -> impl Iterator<Item = (&Column, &Treatment)> {
        self.columns.iter().filter_map(|column| Some((column, column.treatment.as_ref()?)))
    }

    /// The columns that do not become features.
    pub fn left_out(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.treatment.is_none())
    }

    /// The number of features.
    #[must_use]
    pub fn features(&self) -> usize {
        self.used().map(|(_, treatment)| treatment.features()).sum()
    }

    /// The names of the features, in order.
    #[must_use]
    pub fn feature_names(&self) -> Vec<String> {
        self.used().flat_map(|(column, treatment)| treatment.feature_names(&column.name)).collect()
    }

    /// The indices of the features that are measured numbers: quantities and the parts of dates.
    #[must_use]
    pub fn numbers_among_features(&self) -> Vec<usize> {
        let mut start = 0;
        let mut indices = Vec::new();
        for (_, treatment) in self.used() {
            indices.extend(start..start + treatment.numbers());
            start += treatment.features();
        }
        indices
    }

    /// The number of raw values per row.
    #[must_use]
    pub fn raw_width(&self) -> usize {
        self.used().map(|(_, treatment)| treatment.raw_width()).sum()
    }

    /// Writes the features of a row from its `raw` values.
    ///
    /// # Panics
    /// Unless `raw` has [`Preparation::raw_width`] and `out` [`Preparation::features`] values.
    pub fn encode(&self, raw: &[f64], out: &mut [f32]) {
        let (mut raw, mut out) = (raw, out);
        for (_, treatment) in self.used() {
            let (own, rest) = raw.split_at(treatment.raw_width());
            let (features, others) = out.split_at_mut(treatment.features());
            treatment.encode(own, features);
            (raw, out) = (rest, others);
        }
        assert!(raw.is_empty() && out.is_empty(), "a row has as many values as its treatment");
    }

    /// Converts all rows of `table` to raw values, [`Preparation::raw_width`] per row. Fails if a column is missing or a cell does
    /// not fit its column.
    pub fn rows(&self, mut table: Table) -> Result<Blocks<f64>, TableError> {
        let indices = self.column_indices(table.layout(), table.path())?;
        // The raw values of each distinct text, by column.
        let mut texts: Vec<Vec<Vec<f64>>> = Vec::new();
        for ((column, _), &index) in self.used().zip(&indices) {
            let of_texts = table.texts(index).iter().map(|text| {
                let mut raw = Vec::new();
                column.raw(ParsedCell::Text(text), &mut raw).map_err(|expected| {
                    let line = table.first_line(index, text, 0..table.rows() as u32);
                    cell_mismatch(&table, line, &column.name, expected, quoted(text))
                })?;
                Ok(raw)
            });
            texts.push(of_texts.collect::<Result<_, TableError>>()?);
        }
        let used: Vec<&Column> = self.used().map(|(column, _)| column).collect();
        table
            .take_cells()
            .numbers(self.raw_width(), |at, row, out| {
                raw_row(&used, &indices, &texts, row, out).map_err(|odd| (at, odd))
            })
            .map_err(|(row, odd)| odd_number(&table, row, odd))
    }

    /// The indices of the used columns in a table with this `layout`. Columns are matched by name; by position if the table has
    /// no header and has all columns of the training table, with or without the label. Fails if a column is missing.
    pub fn column_indices(&self, layout: &Layout, path: &Path) -> Result<Vec<usize>, TableError> {
        let is_used = |at: &usize| self.columns[*at].treatment.is_some();
        let width = layout.names.len();
        if !layout.has_names() && width == self.columns.len() {
            return Ok((0..width).filter(is_used).collect());
        }
        let by_position = !layout.has_names() && width == self.names.len();
        let names = if by_position { &self.names } else { &layout.names };
        let known: HashMap<&str, usize> =
            names.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
        let absent: Vec<&str> = self
            .used()
            .map(|(column, _)| column.name.as_str())
            .filter(|name| !known.contains_key(name))
            .collect();
        if !absent.is_empty() {
            let wanted = listed(self.used().map(|(column, _)| column.name.as_str()), 12);
            let expected = format!("the columns of the training data: {wanted}");
            let found = format!(
                "no {}; the columns are {}",
                listed(absent, 12),
                listed(layout.names.iter().map(String::as_str), 12)
            );
            return Err(TableError::unfit("columns differ", Mismatch::new(path, expected, found)));
        }
        Ok(self.used().map(|(column, _)| known[column.name.as_str()]).collect())
    }

    /// The names of the used columns with their values in words, from the `raw` values of a row.
    #[must_use]
    pub fn words(&self, raw: &[f64]) -> Vec<(String, String)> {
        let mut rest = raw;
        let mut words = Vec::new();
        for (column, treatment) in self.used() {
            let (own, others) = rest.split_at(treatment.raw_width());
            rest = others;
            words.push((column.name.clone(), treatment.words(own)));
        }
        words
    }
}

/// A cell that does not fit its column: the index of the column, the number (NaN if missing) and the expected content.
type OddNumber = (usize, f64, &'static str);

/// Appends the raw values of the cells of `row` at `indices`. `texts` holds the raw values of the texts of each column.
fn raw_row(
    columns: &[&Column],
    indices: &[usize],
    texts: &[Vec<Vec<f64>>],
    row: &[Cell],
    raw: &mut Vec<f64>,
) -> Result<(), OddNumber> {
    for ((column, &index), texts) in columns.iter().zip(indices).zip(texts) {
        let (given, number) = match row[index].value() {
            Value::Number(number) => (ParsedCell::Number(number), number),
            Value::Missing => (ParsedCell::Missing, f64::NAN),
            Value::Text(text) => {
                raw.extend_from_slice(&texts[text as usize]);
                continue;
            }
        };
        column.raw(given, raw).map_err(|expected| (index, number, expected))?;
    }
    Ok(())
}

fn cell_mismatch(table: &Table, line: u32, column: &str, expected: &str, found: String) -> TableError {
    let mismatch = Mismatch::new(table.path(), expected, found);
    TableError::unfit(
        "value does not fit its column",
        mismatch.place(format!("line {line}, column {}", quoted(column))),
    )
}

fn odd_number(table: &Table, row: usize, (column, number, expected): OddNumber) -> TableError {
    let found = if number.is_nan() { "no value".to_owned() } else { number.to_string() };
    cell_mismatch(table, table.line(row), &table.names()[column], expected, found)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::table::tests::read;

    /// The table `text`, and the preparation fitted on all of its rows.
    pub(crate) fn fitted(text: &str, choices: &Choices) -> Result<(Preparation, Table), String> {
        let table = read(text, &ReadOptions { header: Some(true), ..ReadOptions::default() })?;
        let rows: Vec<u32> = (0..table.rows() as u32).collect();
        Preparation::fit(&table, &rows, &[], choices, Scaling::Unit, &[])
            .map(|preparation| (preparation, table))
            .map_err(|error| error.to_string())
    }

    pub(crate) fn plain(text: &str) -> Preparation {
        fitted(text, &Choices::default()).unwrap().0
    }

    /// The features of the rows of `text`, read like rows to predict.
    pub(crate) fn features(preparation: &Preparation, text: &str) -> Vec<Vec<f32>> {
        let table = read(text, &preparation.read_options()).unwrap();
        let mut features = vec![0.0; preparation.features()];
        let rows = preparation.rows(table).unwrap();
        rows.iter()
            .map(|raw| {
                preparation.encode(raw, &mut features);
                features.clone()
            })
            .collect()
    }

    pub(crate) const TEXT: &str =
        "n,yes,c,when,k\n0,no,a,2024-01-01,x\n4,yes,b,2024-01-03,x\n,yes,,2024-01-03,y\n1,,b,,y\n";

    #[test]
    fn each_kind_has_its_features_and_one_for_missing_values() {
        let preparation = plain(TEXT);
        let names = [
            "n",
            "n is missing",
            "yes",
            "yes is missing",
            "c=a",
            "c=b",
            "c is missing",
            "when.day",
            "when.weekday",
            "when.days",
            "when is missing",
            "k=x",
            "k=y",
        ];
        assert_eq!(preparation.feature_names(), names);
        assert_eq!(preparation.raw_width(), 7);
        let third = 2.0 / 3.0;
        assert_eq!(
            features(&preparation, TEXT),
            [
                [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0],
                [1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0],
                // The median replaces a number, the share of yes a word.
                [0.25, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0],
                [0.25, 0.0, third, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0],
            ]
        );
    }

    #[test]
    fn units_are_those_of_the_training_rows() {
        let preparation = plain("a,b\n0 km,1\n1.5 km,2\n3 km,3\n");
        let found = features(&preparation, "a,b\n6 km,1\n1.5,1\nkm,1\n");
        assert_eq!(found, [[2.0, 0.0], [0.5, 0.0], [0.5, 0.0]]);
        let table = read("a,b\n6 mi,1\n", &preparation.read_options()).unwrap();
        assert!(preparation.rows(table).unwrap_err().to_string().contains("a finite number, found \"6 mi\""));
    }

    #[test]
    fn columns_are_found_by_name_or_by_position() {
        let preparation = plain("a,b\n0,x\n2,y\n");
        let wanted = [[0.5, 1.0, 0.0]];
        assert_eq!(features(&preparation, "more,b,a\n7,x,1\n"), wanted);
        assert_eq!(features(&preparation, "1,x\n"), wanted);
        let table = read("a,c\n1,x\n", &preparation.read_options()).unwrap();
        let message = preparation.rows(table).unwrap_err().to_string();
        assert!(
            message.contains("expected the columns of the training data: \"a\", \"b\", found no \"b\""),
            "{message}"
        );
    }

    #[test]
    fn a_cell_that_does_not_fit_its_column_is_refused_with_its_line() {
        let preparation = plain(TEXT);
        for (cells, wanted) in [
            ("3x,no,a,2024-01-01,x", "t.csv, line 2, column \"n\": expected a finite number, found \"3x\""),
            (
                "3,no,a,01/02/2024,x",
                "column \"when\": expected a date in the format of the others, found \"01/02/2024\"",
            ),
            (
                "3,no,a,20240101,x",
                "column \"when\": expected a date in the format of the others, found 20240101",
            ),
        ] {
            let table = read(&format!("n,yes,c,when,k\n{cells}\n"), &preparation.read_options()).unwrap();
            let message = preparation.rows(table).unwrap_err().to_string();
            assert!(message.contains(wanted), "{message}");
        }
    }

    #[test]
    fn a_table_without_a_column_to_learn_from_is_refused() {
        let message = fitted("a,b\n1,\n1,\n", &Choices::default()).unwrap_err();
        assert!(
            message.contains("expected a column to learn from, found \"a\" (constant), \"b\" (empty)"),
            "{message}"
        );
        let numbers = Preparation::numbers(&["a".to_owned()]);
        assert_eq!((numbers.columns[0].kind, numbers.features()), (ColumnKind::Number, 1));
    }
}
