//! A table: columns of any kind, and one that holds the class.

use std::path::Path;
use std::sync::Arc;

use kiln_config::{Data, LabelColumn};
use kiln_table::{
    ColumnRef, Fault, Preparation, ReadOptions, Records, Separator, Table, is_standard_input, quoted,
};

use super::labels::{Classes, text_of};
use super::{Means, Reader, Source, not_pictures, path_of};
use crate::storage::Storage;
use crate::{DataError, FileRecord, NoProgress, Profile, Progress, Reading, Shape, Split};

pub(super) struct Csv;

impl Reader for Csv {
    fn read(&self, data: &Data, means: &Means<'_>) -> Result<Source, DataError> {
        read(data, path_of(data)?, means.progress)
    }

    fn labelled(&self, path: &Path, data: &Data, profile: &Profile) -> Result<Split, DataError> {
        let preparation = profile.row_preparation().ok_or_else(|| not_pictures(path))?;
        let options = ReadOptions { as_text: preparation.exact_columns(), ..read_options(data)? };
        let table = match preparation.header_names() {
            names if names.is_empty() => read_table(path, &options, &NoProgress)?,
            names => like_table(path, &options, &names, &NoProgress)?,
        };
        let Classes { rows, labels, .. } = Classes::among(&table, &profile.classes)?;
        prepared(Split::pending(rows, labels), table, &preparation)
    }
}

/// The tables of a source, whose columns are not yet features: what they are is found out from the rows that are trained on.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) train: Table,
    pub(crate) test: Option<Table>,
    pub(crate) validation: Option<Table>,
    /// Columns that are no features: the class's and the group's.
    pub(crate) aside: Vec<usize>,
    /// Of each row of `train`, the number of its group.
    pub(crate) groups: Option<Vec<u32>>,
}

/// Reads the table at `path`, and those at `data.test_path` and `data.validation_path` if they are set.
fn read(data: &Data, path: &Path, progress: &dyn Progress) -> Result<Source, DataError> {
    let options = read_options(data)?;
    let train = read_table(path, &options, progress)?;
    let is_forced =
        data.columns.category.iter().any(|name| Some(name) == train.label().map(|at| &train.names()[at]));
    let found = Classes::of(&train, data, is_forced)?;
    let mut files = vec![record(&train, "train")];
    let mut notices: Vec<String> = train.layout().notices.clone();
    if !train.layout().has_names() {
        notices.push(format!(
            "the file has no header: its {} columns are known by their places; data.names gives them names, \
             data.header=true takes the first row for names",
            train.names().len()
        ));
    }
    notices.extend(found.notices.iter().cloned());
    let mut other =
        |path: &Option<std::path::PathBuf>, role: &str| -> Result<Option<(Split, Table)>, DataError> {
            let Some(path) = path else { return Ok(None) };
            let table = if train.layout().has_names() {
                like_table(path, &options, train.names(), progress).map_err(needs_classes)?
            } else {
                read_table(path, &options, progress)?
            };
            let others = Classes::among(&table, &found.names)?;
            files.push(record(&table, role));
            let of_file = table.layout().notices.iter().cloned().chain(others.notices);
            notices.extend(of_file.map(|notice| format!("{role} data: {notice}")));
            Ok(Some((Split::pending(others.rows, others.labels), table)))
        };
    let (test_split, test) = other(&data.test_path, "test")?.unzip();
    let (validation_split, validation) = other(&data.validation_path, "validation")?.unzip();
    let mut aside: Vec<usize> = train.label().into_iter().collect();
    let mut groups = None;
    if let Some(name) = &data.group_column {
        let column = ColumnRef::Name(name.clone()).find(train.names());
        let column = column.ok_or_else(|| train.no_column(name, "data.group_column"))?;
        aside.push(column);
        groups = Some(groups_of(&train, column));
    }
    Ok(Source {
        name: data.source.name().to_owned(),
        shape: Shape::Columns(Vec::new()),
        classes: found.names,
        train: Split::pending(found.rows, found.labels),
        test: test_split,
        validation: validation_split,
        files,
        reading: Reading::default(),
        notices,
        tables: Some(Tables { train, test, validation, aside, groups }),
    })
}

/// How `data` says that a table is read.
///
/// # Errors
/// Where `data.separator` is none.
pub fn read_options(data: &Data) -> Result<ReadOptions, DataError> {
    let separator = data.separator.as_deref().map(|text| {
        Separator::parse(text).ok_or_else(|| {
            let expected = "\",\", \";\", \"|\", \"tab\" or \"blanks\"";
            DataError::unfit("unknown separator", Fault::in_key("data.separator", expected, quoted(text)))
        })
    });
    Ok(ReadOptions {
        label: Some(match &data.label_column {
            LabelColumn::Name(name) => ColumnRef::Name(name.clone()),
            LabelColumn::Place(place) => ColumnRef::Place(*place),
        }),
        header: data.header,
        names: data.names.clone(),
        known: Vec::new(),
        separator: separator.transpose()?,
        encoding: data.encoding.clone(),
        missing: data.missing.clone(),
        as_text: data.columns.category.iter().chain(&data.group_column).cloned().collect(),
    })
}

/// Reads a table, and tells `progress` how far it is.
fn read_table(path: &Path, options: &ReadOptions, progress: &dyn Progress) -> Result<Table, DataError> {
    take_table(Records::open(path, options)?, options, progress)
}

/// Reads all of `records`, and tells `progress` how far it is.
fn take_table(records: Records, options: &ReadOptions, progress: &dyn Progress) -> Result<Table, DataError> {
    let path = records.path();
    let what = if is_standard_input(path) { "standard input".to_owned() } else { path.display().to_string() };
    let bytes = path.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
    progress.begin(&what, bytes);
    let table = Table::take(records, options, &mut |bytes| progress.advance(bytes));
    progress.end();
    Ok(table?)
}

/// Says of a table without the label's column what such a table is for.
fn needs_classes(error: DataError) -> DataError {
    match error {
        DataError::Unfit { kind: kind @ "no label column", fault } => {
            let remedy = "test and validation data need the class of every row; rows without it are there to be predicted";
            DataError::Unfit { kind, fault: fault.remedy(remedy) }
        }
        error => error,
    }
}

/// A table whose columns are those called `names`: where the file does not name them, by their places.
fn like_table(
    path: &Path,
    options: &ReadOptions,
    names: &[String],
    progress: &dyn Progress,
) -> Result<Table, DataError> {
    if !options.names.is_empty() {
        return read_table(path, options, progress);
    }
    let options = ReadOptions { known: names.to_vec(), ..options.clone() };
    let records = Records::open(path, &options)?;
    take_table(records.called(names), &options, progress)
}

/// Of each row of `table`, the number of its group; rows without one are groups of their own.
fn groups_of(table: &Table, column: usize) -> Vec<u32> {
    let named = table.texts(column).len() as u32;
    (0..table.rows()).map(|row| text_of(table, row, column).unwrap_or(named + row as u32)).collect()
}

fn record(table: &Table, role: &str) -> FileRecord {
    let content = table.content();
    FileRecord {
        name: format!("{role}.csv"),
        path: table.path().to_path_buf(),
        bytes: content.bytes,
        sha256: content.sha256.clone(),
    }
}

/// The rows of the table at `path`, whose classes are not known: they are all 0 and mean nothing. Besides, what whoever
/// asks about them should know.
pub(crate) fn unlabelled_rows(path: &Path, profile: &Profile) -> Result<(Split, Vec<String>), DataError> {
    let preparation = profile.row_preparation().ok_or_else(|| not_pictures(path))?;
    let table = read_table(path, &preparation.read_options(), &NoProgress)?;
    let count = table.rows();
    let notices = table.layout().matched_by_place().into_iter().collect();
    let rows = Split::pending((0..count as u32).collect(), vec![0; count]);
    Ok((prepared(rows, table, &preparation)?, notices))
}

/// The rows of `table` that `split` has, kept as `preparation` says.
pub(crate) fn prepared(
    split: Split,
    table: Table,
    preparation: &Arc<Preparation>,
) -> Result<Split, DataError> {
    let lines = table.lines().to_vec();
    let rows = preparation.rows(table)?;
    Ok(split.of(&Arc::new(Storage::cells(rows, Arc::clone(preparation), lines))))
}
