//! Rows of tables. For training, the columns are fitted on the training rows. For predictions, rows come block by block
//! from a file, or one by one from a program. An evaluation exchanges the values of a column between rows.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use kiln_config::{Data, Normalization};
use kiln_table::{
    Blocks, Choices, ColumnKind, Preparation, Record, Records, Remarks, RowValue, Scale, Scaling, Table,
    Treatment, ValueMismatch, listed, quoted,
};
use rayon::prelude::*;

use crate::source::{SourceTables, not_pictures, prepared};
use crate::values::Storage;
use crate::{DataError, Profile, RawValues, Shape, Split};

/// Splits whose columns are fitted.
pub(crate) struct FittedSplits {
    pub(crate) shape: Shape,
    /// Train, validation, test.
    pub(crate) splits: [Split; 3],
    pub(crate) notices: Vec<String>,
    /// Columns in which every value occurs in one class only.
    pub(crate) leaks: Vec<String>,
}

/// Fits the columns on the rows of `train`, and stores the rows of all splits accordingly. An existing run's profile
/// `like` replaces the fit.
pub(crate) fn prepare(
    tables: SourceTables,
    data: &Data,
    like: Option<&Profile>,
    [train, validation, test]: [Split; 3],
) -> Result<FittedSplits, DataError> {
    let SourceTables { train: table, test: test_table, validation: validation_table, aside, .. } = tables;
    let columns = &data.columns;
    let choices = Choices {
        drop: columns.drop.clone(),
        number: columns.number.clone(),
        category: columns.category.clone(),
        date: columns.date.clone(),
    };
    check_names(&table, &choices)?;
    let scaling = match data.normalization {
        Normalization::Unit => Scaling::Unit,
        Normalization::Standard => Scaling::Standard,
        Normalization::Robust => Scaling::Robust,
        Normalization::Quantile => Scaling::Quantile,
    };
    let preparation = match like.and_then(Profile::row_preparation) {
        Some(kept) => kept,
        None => Arc::new(Preparation::fit(&table, train.rows(), &aside, &choices, scaling, &data.missing)?),
    };
    let mut notices = notices(&preparation);
    let leaks = leaks(&table, &preparation, &train);
    if !leaks.is_empty() {
        notices.push(format!(
            "{} predicts the class of every training row without error: is it known before the class is? If not, list it in \
             data.columns.drop",
            listed(leaks.iter().map(String::as_str), 8)
        ));
    }
    let shape = Shape::Columns(preparation.feature_names());
    let own_test = test_table.map(|table| prepared(test.clone(), table, &preparation)).transpose()?;
    let own_validation =
        validation_table.map(|table| prepared(validation.clone(), table, &preparation)).transpose()?;
    let train = prepared(train, table, &preparation)?;
    let of_train = |split: Split| split.in_storage_of(&train);
    let splits = [
        train.clone(),
        own_validation.unwrap_or_else(|| of_train(validation)),
        own_test.unwrap_or_else(|| of_train(test)),
    ];
    notices.extend(repeated(&splits));
    Ok(FittedSplits { shape, splits, notices, leaks })
}

/// An error if `choices` name a column that the table does not have.
fn check_names(table: &Table, choices: &Choices) -> Result<(), DataError> {
    let lists = [
        ("drop", &choices.drop),
        ("number", &choices.number),
        ("category", &choices.category),
        ("date", &choices.date),
    ];
    for (key, names) in lists {
        if let Some(name) = names.iter().find(|name| *name != "*" && !table.names().contains(name)) {
            return Err(table.no_column(name, &format!("data.columns.{key}")).into());
        }
    }
    Ok(())
}

/// Notices: columns that are left out, with the reason; columns whose kind may be wrong; extreme values.
fn notices(preparation: &Preparation) -> Vec<String> {
    let mut notices = Vec::new();
    for kind in [ColumnKind::Id, ColumnKind::Text, ColumnKind::Constant, ColumnKind::Empty] {
        let names: Vec<&str> =
            preparation.left_out().filter(|column| column.kind == kind).map(|column| &*column.name).collect();
        if !names.is_empty() {
            let what = match kind {
                ColumnKind::Id => "has a different name or number in every row",
                ColumnKind::Text => "has text that rarely repeats",
                ColumnKind::Constant => "has the same value in every row",
                _ => "has no value",
            };
            notices.push(format!("left out: {} ({what})", listed(names, 8)));
        }
    }
    let numbers: Vec<&str> =
        preparation.columns.iter().filter(|column| column.maybe_names).map(|column| &*column.name).collect();
    if !numbers.is_empty() {
        notices.push(format!(
            "columns with few different whole numbers: {}; if these are codes and not amounts, list the columns in \
             data.columns.category",
            listed(numbers, 8)
        ));
    }
    for column in preparation.columns.iter().filter(|column| column.has_words) {
        notices.push(format!("column {}: {}", quoted(&column.name), column.why));
    }
    for (column, treatment) in preparation.used() {
        if let Treatment::Number { scale: Scale { least, greatest, median, is_far: true, .. }, .. } =
            treatment
        {
            notices.push(format!(
                "column {} ranges from {least} to {greatest}, far from its median {median}: one such value decides the scale \
                 of the whole column; correct it in the file, or list it in data.missing",
                quoted(&column.name)
            ));
        }
    }
    notices
}

/// Columns in which every value occurs in one class only, although values repeat: they may leak the class.
fn leaks(table: &Table, preparation: &Preparation, train: &Split) -> Vec<String> {
    const ROWS: usize = 30;
    // A column with a different value in every few rows determines the class by chance.
    let most = (train.len() / 4).min(1000);
    let tells_class = |name: &str| {
        let Some(column) = table.names().iter().position(|other| other == name) else { return false };
        let mut class_of = HashMap::new();
        for (&row, &label) in train.rows().iter().zip(train.labels()) {
            let cell = table.cell(row as usize, column);
            if *class_of.entry(cell).or_insert(label) != label || class_of.len() > most {
                return false;
            }
        }
        true
    };
    let names = preparation.used().map(|(column, _)| &column.name);
    names.filter(|name| train.len() >= ROWS && tells_class(name)).cloned().collect()
}

/// Notices about validation and test rows that equal a training row.
fn repeated([train, validation, test]: &[Split; 3]) -> Vec<String> {
    let hash = |split: &Split, position: usize| {
        let mut hasher = DefaultHasher::new();
        if let RawValues::Cells(cells) = split.raw(position) {
            for cell in cells {
                cell.to_bits().hash(&mut hasher);
            }
        }
        hasher.finish()
    };
    let hashes = |split: &Split| (0..split.len()).map(|position| hash(split, position)).collect::<Vec<u64>>();
    let held_out = [hashes(validation), hashes(test)];
    let wanted: HashSet<u64> = held_out.iter().flatten().copied().collect();
    let trained: HashSet<u64> = (0..train.len())
        .into_par_iter()
        .map(|position| hash(train, position))
        .filter(|hash| wanted.contains(hash))
        .collect();
    let sentence = |hashes: &[u64], what: &str| {
        let count = hashes.iter().filter(|hash| trained.contains(hash)).count();
        // A few equal rows are due to chance if the columns have few different values.
        let so =
            if count * 20 > hashes.len() { ", so their figures are better than on new rows" } else { "" };
        (count > 0).then(|| format!("{count} of {} {what} rows equal a training row{so}", hashes.len()))
    };
    let [validation, test] = &held_out;
    [sentence(validation, "validation"), sentence(test, "test")].into_iter().flatten().collect()
}

/// A column of a table that the network uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedColumn {
    /// Its name.
    pub name: String,
    /// The range of its values among the raw values of an example ([`Split::raw`]).
    pub values: Range<usize>,
    /// The kind of its values.
    pub holds: ValueKind,
}

/// The kind of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// Amounts.
    Numbers,
    /// Indices of categories, from 0; a negative index is an unknown category.
    Words,
    /// Parts of dates.
    Dates,
}

impl Split {
    /// The columns that the network uses, in the order of [`Split::words`]; empty for images.
    #[must_use]
    pub fn used_columns(&self, shape: &Shape) -> Vec<UsedColumn> {
        let mut start = 0;
        let mut column = |name: &str, width: usize, holds: ValueKind| {
            start += width;
            UsedColumn { name: name.to_owned(), values: start - width..start, holds }
        };
        match (self.preparation(), shape) {
            (Some(preparation), _) => preparation
                .used()
                .map(|(of, treatment)| {
                    let holds = match treatment {
                        Treatment::Number { .. } => ValueKind::Numbers,
                        Treatment::Boolean { .. } | Treatment::Category { .. } => ValueKind::Words,
                        Treatment::Date { .. } => ValueKind::Dates,
                    };
                    column(&of.name, treatment.raw_width(), holds)
                })
                .collect(),
            (None, Shape::Columns(names)) => {
                names.iter().map(|name| column(name, 1, ValueKind::Numbers)).collect()
            }
            (None, Shape::Image { .. }) => Vec::new(),
        }
    }

    /// The examples at `positions`, each with the `values` of the donor at the same index of `donors`.
    ///
    /// # Panics
    /// If there are not as many donors as positions.
    #[must_use]
    pub fn with_values_of(&self, positions: &[u32], donors: &[u32], values: &Range<usize>) -> Self {
        assert_eq!(positions.len(), donors.len(), "a donor for every example");
        let row = |position: &u32| self.rows()[*position as usize];
        let rows = positions.iter().map(row).zip(donors.iter().map(row));
        let storage = self.storage().with_values_of(rows, values);
        let labels = positions.iter().map(|&position| self.label(position as usize)).collect();
        let altered = Self::new(storage, labels);
        match self.folds_of(positions) {
            Some(folds) => altered.with_folds(folds),
            None => altered,
        }
    }
}

/// Reads the rows of a table of any length block by block, in bounded memory, to predict them.
pub struct TableRows {
    records: Records,
    preparation: Arc<Preparation>,
    indices: Vec<usize>,
    remarks: Remarks,
}

/// Some consecutive rows of a table.
#[derive(Debug)]
pub struct RowBlock {
    /// The rows, as they are in the file.
    pub rows: Vec<Record>,
    /// The error of each row; `None` if the row can be predicted.
    pub faults: Vec<Option<String>>,
    /// The unknown and missing values of each row that can be predicted, such as `embarked: unknown "Z"; deck: missing`;
    /// empty if all values are known.
    pub notes: Vec<String>,
    /// The rows that can be predicted, in order. Their labels are all 0, without meaning.
    pub examples: Split,
}

impl TableRows {
    /// Opens the table at `path` (`-` is standard input). It must have all columns that the network uses, in any
    /// order; other columns are ignored.
    pub fn open(path: &Path, profile: &Profile) -> Result<Self, DataError> {
        let preparation = profile.row_preparation().ok_or_else(|| not_pictures(path))?;
        let records = Records::open(path, &preparation.read_options())?;
        let indices = preparation.column_indices(records.layout(), path)?;
        Ok(Self { records, preparation, indices, remarks: Remarks::default() })
    }

    /// Names of the file's columns.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.records.layout().names
    }

    /// The next `most` rows, fewer at the end of the file; `None` after the last row.
    pub fn next_block(&mut self, most: usize) -> Result<Option<RowBlock>, DataError> {
        let (mut rows, mut faults, mut notes, mut lines) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut cells = Blocks::new(self.preparation.raw_width());
        let mut record = Record::default();
        while rows.len() < most && self.records.next(&mut record)? {
            let mismatch = cells.push_row(|raw| self.read_row(&record, raw)).err();
            if mismatch.is_none() {
                let text = |used: usize| record.cell(self.indices[used]);
                notes.push(self.preparation.remark(cells.row(lines.len()), text, &mut self.remarks));
                lines.push(record.line() as u32);
            }
            faults.push(mismatch);
            rows.push(record.clone());
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let labels = vec![0; lines.len()];
        let examples = Split::new(Storage::cells(cells, Arc::clone(&self.preparation), lines), labels);
        Ok(Some(RowBlock { rows, faults, notes, examples }))
    }

    /// Remarks about the rows so far for the user, a sentence each.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let by_position = self.records.layout().matched_by_position();
        by_position.into_iter().chain(self.preparation.sentences(&self.remarks)).collect()
    }

    fn read_row(&self, record: &Record, raw: &mut Vec<f64>) -> Result<(), String> {
        let width = self.columns().len();
        if record.len() != width {
            let first = quoted(record.cell(0));
            return Err(format!("{} cells instead of {width}, the first {first}", record.len()));
        }
        let decimal_comma = self.records.layout().dialect.decimal_comma;
        self.preparation.record(record, &self.indices, decimal_comma, raw)
    }
}

/// Rows of a table that a program gives one by one, to predict them.
pub struct RowBuffer {
    preparation: Arc<Preparation>,
    cells: Blocks<f64>,
    remarks: Remarks,
}

impl RowBuffer {
    /// No rows yet, for a network whose training rows have this `preparation` ([`Profile::row_preparation`]).
    #[must_use]
    pub fn new(preparation: &Arc<Preparation>) -> Self {
        let cells = Blocks::new(preparation.raw_width());
        Self { preparation: Arc::clone(preparation), cells, remarks: Remarks::default() }
    }

    /// Adds a row; `value` returns the value of each used column, by index. Returns a note for each unknown or
    /// missing value, as in [`Preparation::remark`].
    ///
    /// # Errors
    /// The first value that does not fit its column. The row is not added.
    pub fn push<'a>(&mut self, value: impl Fn(usize) -> RowValue<'a>) -> Result<Vec<String>, ValueMismatch> {
        let Self { preparation, cells, remarks } = self;
        cells.push_row(|raw| preparation.row(&value, raw))?;
        let text = |used: usize| value(used).text().into_owned().into();
        Ok(preparation.notes(cells.row(cells.rows() - 1), text, remarks))
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cells.rows()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows, with labels that are all 0, without meaning; and remarks about them.
    #[must_use]
    pub fn finish(self) -> (Split, Remarks) {
        let count = self.len();
        let lines = (1..=count as u32).collect();
        (Split::new(Storage::cells(self.cells, self.preparation, lines), vec![0; count]), self.remarks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_takes_the_values_of_another_in_one_column() {
        let split = Split::new(Storage::floats(3, (0..12_u8).map(f32::from).collect()), vec![0, 1, 0, 1]);
        let shape = Shape::Columns(["a", "b", "c"].map(str::to_owned).to_vec());
        let columns = split.used_columns(&shape);
        assert_eq!((columns[1].name.as_str(), &columns[1].values), ("b", &(1..2)));
        let altered = split.with_values_of(&[3, 1], &[0, 2], &columns[1].values);
        assert_eq!(altered.raw(0).to_floats(), [9.0, 1.0, 11.0]);
        assert_eq!(altered.raw(1).to_floats(), [3.0, 7.0, 5.0]);
        assert_eq!(altered.labels(), [1, 1]);
        let image = Shape::Image { height: 1, width: 3, channels: 1 };
        assert_eq!(split.used_columns(&image), []);
    }
}
