//! The source `csv`: a table with columns of any kind and a label column. Classes that differ only in spelling (case,
//! spaces, a final full stop) are recognized as the same.

use std::cell::LazyCell;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kiln_config::{Data, LabelColumn};
use kiln_table::{
    ColumnRef, Mismatch, NO_LABEL_COLUMN, Preparation, ReadOptions, Records, Separator, Table, Value,
    is_standard_input, listed, quoted,
};

use super::{MOST_CLASSES, SourceContext, SourceData, SourceReader, not_pictures, path_of};
use crate::values::Storage;
use crate::{DataError, FileRecord, ImageEncoding, NoProgress, Profile, Progress, Shape, Split};

pub(super) struct Csv;

impl SourceReader for Csv {
    fn read(&self, data: &Data, context: &SourceContext<'_>) -> Result<SourceData, DataError> {
        read(data, path_of(data)?, context.progress)
    }

    fn labelled(&self, path: &Path, data: &Data, profile: &Profile) -> Result<Split, DataError> {
        let preparation = profile.row_preparation().ok_or_else(|| not_pictures(path))?;
        let options = ReadOptions { as_text: preparation.exact_columns(), ..read_options(data)? };
        let table = match preparation.header_names() {
            names if names.is_empty() => read_table(path, &options, &NoProgress)?,
            names => like_table(path, &options, &names, &NoProgress)?,
        };
        let TableClasses { rows, labels, .. } = TableClasses::among(&table, &profile.classes)?;
        prepared(Split::pending(rows, labels), table, &preparation)
    }
}

/// The tables of a source. Their columns are not features yet: they are fitted later, on the training rows.
#[derive(Debug)]
pub(crate) struct SourceTables {
    pub(crate) train: Table,
    pub(crate) test: Option<Table>,
    pub(crate) validation: Option<Table>,
    /// Columns that are not features: the class and the group.
    pub(crate) aside: Vec<usize>,
    /// The group of each row of `train`.
    pub(crate) groups: Option<Vec<u32>>,
}

/// Reads the table at `path`, and those at `data.test_path` and `data.validation_path` if they are set.
fn read(data: &Data, path: &Path, progress: &dyn Progress) -> Result<SourceData, DataError> {
    let options = read_options(data)?;
    let train = read_table(path, &options, progress)?;
    let is_forced =
        data.columns.category.iter().any(|name| Some(name) == train.label().map(|at| &train.names()[at]));
    let found = TableClasses::of(&train, data, is_forced)?;
    let mut files = vec![record(&train, "train")];
    let mut notices: Vec<String> = train.layout().notices.clone();
    if !train.layout().has_names() {
        notices.push(format!(
            "the file has no header: its {} columns are identified by position; data.names gives them names, \
             data.header=true takes the names from the first row",
            train.names().len()
        ));
    }
    notices.extend(found.notices.iter().cloned());
    let mut other = |path: &Option<PathBuf>, role: &str| -> Result<Option<(Split, Table)>, DataError> {
        let Some(path) = path else { return Ok(None) };
        let table = if train.layout().has_names() {
            like_table(path, &options, train.names(), progress).map_err(needs_classes)?
        } else {
            read_table(path, &options, progress)?
        };
        let others = TableClasses::among(&table, &found.names)?;
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
    Ok(SourceData {
        name: data.source.name().to_owned(),
        shape: Shape::Columns(Vec::new()),
        classes: found.names,
        train: Split::pending(found.rows, found.labels),
        test: test_split,
        validation: validation_split,
        files,
        reading: ImageEncoding::default(),
        notices,
        tables: Some(SourceTables { train, test, validation, aside, groups }),
    })
}

/// The options for reading a table, from the `[data]` section.
pub fn read_options(data: &Data) -> Result<ReadOptions, DataError> {
    let separator = data.separator.as_deref().map(|text| {
        Separator::parse(text).ok_or_else(|| {
            let expected = "\",\", \";\", \"|\", \"tab\" or \"blanks\"";
            DataError::unfit("unknown separator", Mismatch::in_key("data.separator", expected, quoted(text)))
        })
    });
    Ok(ReadOptions {
        label: Some(match &data.label_column {
            LabelColumn::Name(name) => ColumnRef::Name(name.clone()),
            LabelColumn::Position(position) => ColumnRef::Position(*position),
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

fn read_table(path: &Path, options: &ReadOptions, progress: &dyn Progress) -> Result<Table, DataError> {
    take_table(Records::open(path, options)?, options, progress)
}

fn take_table(records: Records, options: &ReadOptions, progress: &dyn Progress) -> Result<Table, DataError> {
    let path = records.path();
    let what = if is_standard_input(path) { "standard input".to_owned() } else { path.display().to_string() };
    let bytes = path.metadata().ok().filter(Metadata::is_file).map(|metadata| metadata.len());
    progress.begin(&what, bytes);
    let table = Table::take(records, options, &mut |bytes| progress.advance(bytes));
    progress.end();
    Ok(table?)
}

/// Adds a remedy to the error of a test or validation table without the label column.
fn needs_classes(error: DataError) -> DataError {
    match error {
        DataError::Unfit { kind: kind @ NO_LABEL_COLUMN, mismatch } => {
            let remedy = "test and validation data need the class of every row; to predict rows without it, use `kiln predict`";
            DataError::Unfit { kind, mismatch: mismatch.remedy(remedy) }
        }
        error => error,
    }
}

/// Reads a table with the columns `names`; in a file without a header they are matched by position.
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

/// The group of each row of `table`. Each row without a group is a separate group.
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

/// The rows of a table without classes, to predict them, and notices. The labels are all 0, without meaning.
pub(crate) fn unlabelled_rows(path: &Path, profile: &Profile) -> Result<(Split, Vec<String>), DataError> {
    let preparation = profile.row_preparation().ok_or_else(|| not_pictures(path))?;
    let table = read_table(path, &preparation.read_options(), &NoProgress)?;
    let count = table.rows();
    let notices = table.layout().matched_by_position().into_iter().collect();
    let rows = Split::pending((0..count as u32).collect(), vec![0; count]);
    Ok((prepared(rows, table, &preparation)?, notices))
}

/// Stores the rows of `table` as `preparation` says; `split` keeps its rows and labels.
pub(crate) fn prepared(
    split: Split,
    table: Table,
    preparation: &Arc<Preparation>,
) -> Result<Split, DataError> {
    let lines = table.lines().to_vec();
    let rows = preparation.rows(table)?;
    Ok(split.of(&Arc::new(Storage::cells(rows, Arc::clone(preparation), lines))))
}

/// The class of each row that has one.
#[derive(Debug)]
pub(super) struct TableClasses {
    pub(super) names: Vec<String>,
    /// The rows that have a class.
    pub(super) rows: Vec<u32>,
    /// The class of each of these rows.
    pub(super) labels: Vec<u32>,
    pub(super) notices: Vec<String>,
}

/// The index of the text of `row` in `column`; `None` if the cell is missing.
fn text_of(table: &Table, row: usize, column: usize) -> Option<u32> {
    match table.cell(row, column).value() {
        Value::Text(text) => Some(text),
        Value::Number(_) | Value::Missing => None,
    }
}

impl TableClasses {
    /// Finds the classes in the label column of `table`. Unless `is_forced`, a column of quantities or of a different
    /// name in nearly every row is an error.
    pub(super) fn of(table: &Table, data: &Data, is_forced: bool) -> Result<Self, DataError> {
        let column = label_of(table);
        let mut classes: Vec<String> = table.texts(column).iter().map(ToString::to_string).collect();
        sort_classes(&mut classes);
        if data.join_labels {
            classes = joined(table, column, &classes);
        }
        let mut labels = Self::among(table, &classes)?;
        let place = || format!("column {}", quoted(&table.names()[column]));
        if classes.len() < 2 {
            let found = classes.first().map_or("none".to_owned(), |class| format!("{} alone", quoted(class)));
            let mismatch = Mismatch::new(table.path(), "at least two classes", found).place(place());
            return Err(DataError::unfit("only one class", mismatch));
        }
        if !is_forced {
            check_amounts(table, column, &classes, labels.rows.len())?;
        }
        if classes.len() > MOST_CLASSES {
            let found = format!("{} different values", classes.len());
            let mismatch =
                Mismatch::new(table.path(), format!("at most {MOST_CLASSES} classes"), found).place(place());
            let remedy = "choose another label column, or keep some classes with data.classes";
            return Err(DataError::unfit("too many classes", mismatch.remedy(remedy)));
        }
        labels.notices.extend(alike(&classes));
        if let LabelColumn::Position(_) = data.label_column {
            labels.notices.push(format!("the class is in {}", place()));
        }
        Ok(labels)
    }

    /// The classes of the rows of `table`, which must be among `classes`. Other spellings of a class are accepted.
    pub(super) fn among(table: &Table, classes: &[String]) -> Result<Self, DataError> {
        let column = label_of(table);
        let known: HashMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
        let forms = LazyCell::new(|| by_form(classes));
        let mut otherwise = Vec::new();
        let mut numbers = Vec::with_capacity(table.texts(column).len());
        for text in table.texts(column) {
            let number = if let Some(&number) = known.get(&**text) {
                number
            } else {
                let Some(&[class]) = forms.get(&plain(text)).map(Vec::as_slice) else {
                    return Err(unknown_class(table, column, text, classes));
                };
                otherwise.push(format!("{} as {}", quoted(text), quoted(class)));
                known[class]
            };
            numbers.push(number);
        }
        let mut notices: Vec<String> = other_spellings(otherwise).into_iter().collect();
        let (mut rows, mut labels) = (Vec::new(), Vec::new());
        for row in 0..table.rows() {
            if let Some(text) = text_of(table, row, column) {
                rows.push(row as u32);
                labels.push(numbers[text as usize]);
            }
        }
        let unlabelled = table.rows() - rows.len();
        if unlabelled > 0 {
            let first = (0..table.rows()).find(|&row| text_of(table, row, column).is_none());
            let line = first.map_or(0, |row| table.line(row));
            notices.push(format!("left out: {unlabelled} rows without a class, the first in line {line}"));
        }
        Ok(Self { names: classes.to_vec(), rows, labels, notices })
    }
}

fn label_of(table: &Table) -> usize {
    table.label().expect("a table with classes was read with its label column")
}

/// Sorts by value if all are numbers, otherwise by name.
fn sort_classes(names: &mut [String]) {
    let number = |name: &String| name.parse::<f64>().ok().filter(|number| number.is_finite());
    let all_numbers = names.iter().all(|name| number(name).is_some());
    names.sort_by(|left, right| {
        let by_number = number(left).partial_cmp(&number(right)).unwrap_or(Ordering::Equal);
        if all_numbers { by_number.then_with(|| left.cmp(right)) } else { left.cmp(right) }
    });
}

/// An error if `classes` look like quantities, or like a different name in nearly every row.
fn check_amounts(table: &Table, column: usize, classes: &[String], rows: usize) -> Result<(), DataError> {
    let count = classes.len();
    let are_numbers = classes.iter().all(|class| class.parse::<f64>().is_ok());
    let is_amount = are_numbers && (count > 100 || (count > 20 && count * 10 > rows));
    let is_name = !are_numbers && count > 20 && count * 2 > rows;
    if !is_amount && !is_name {
        return Ok(());
    }
    let name = &table.names()[column];
    let what =
        if is_amount { "numbers: a quantity, not a class" } else { "values: a name for nearly every row" };
    let mismatch = Mismatch::new(
        table.path(),
        "a label column with few different values",
        format!("{count} different {what}"),
    );
    let remedy = format!(
        "choose another data.label_column, or cut the quantity into ranges first; to make each value a class anyway, set \
         data.columns.category=[{}]",
        quoted(name)
    );
    Err(DataError::unfit("no classes", mismatch.place(format!("column {}", quoted(name))).remedy(remedy)))
}

/// A notice about classes that differ only in spelling.
fn alike(classes: &[String]) -> Option<String> {
    let mut same: Vec<Vec<&str>> = by_form(classes).into_values().filter(|names| names.len() > 1).collect();
    same.sort();
    let names = same.first()?;
    Some(format!(
        "classes {} differ only in spelling: are they the same? They stay separate; data.join_labels=true merges them",
        listed(names.iter().copied(), 5)
    ))
}

/// Keeps one spelling of each class: the most frequent in `column`, or the first of equally frequent ones.
fn joined(table: &Table, column: usize, classes: &[String]) -> Vec<String> {
    let texts = table.texts(column);
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for text in (0..table.rows()).filter_map(|row| text_of(table, row, column)) {
        *counts.entry(&*texts[text as usize]).or_default() += 1;
    }
    let mut most: HashMap<String, &String> = HashMap::new();
    for class in classes {
        let kept = most.entry(plain(class)).or_insert(class);
        if counts.get(&**class) > counts.get(kept.as_str()) {
            *kept = class;
        }
    }
    classes.iter().filter(|class| most[&plain(class)] == *class).cloned().collect()
}

/// The spellings in `classes` of each normalized name.
fn by_form(classes: &[String]) -> HashMap<String, Vec<&str>> {
    let mut forms: HashMap<String, Vec<&str>> = HashMap::new();
    for class in classes {
        forms.entry(plain(class)).or_default().push(class);
    }
    forms
}

/// A notice about accepted spellings; `pairs` are texts such as `"Bad" as "bad"`.
fn other_spellings(mut pairs: Vec<String>) -> Option<String> {
    const MOST: usize = 5;
    let more = pairs.len().saturating_sub(MOST);
    pairs.truncate(MOST);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    (!pairs.is_empty())
        .then(|| format!("classes that differ only in spelling are the same: {}{more}", pairs.join(", ")))
}

/// The normalized name of a class: a number's value; or lower case, without spaces around or a final full stop.
fn plain(name: &str) -> String {
    let name = name.trim().trim_end_matches('.').to_lowercase();
    match name.parse::<f64>() {
        Ok(number) if number.is_finite() => number.to_string(),
        _ => name,
    }
}

fn unknown_class(table: &Table, column: usize, text: &str, classes: &[String]) -> DataError {
    let line = table.first_line(column, text, 0..table.rows() as u32);
    let names = listed(classes.iter().map(String::as_str), 12);
    let mismatch =
        Mismatch::new(table.path(), format!("a class of the training data: {names}"), quoted(text));
    DataError::unfit("class without training data", mismatch.place(format!("line {line}")))
}
