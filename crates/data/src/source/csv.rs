//! A table: a header, numeric features, and one column that holds the class.

use std::{cmp::Ordering, path::Path};

use kiln_config::Data;

use super::{Means, Reader, Source, not_pictures, path_of, table::Table};
use crate::{DataError, Fault, FileRecord, Profile, Reading, Shape, Split, storage::Storage};

pub(super) struct Csv;

impl Reader for Csv {
    fn read(&self, data: &Data, _: &Means<'_>) -> Result<Source, DataError> {
        read(data, path_of(data)?)
    }

    fn labelled(&self, path: &Path, data: &Data, profile: &Profile) -> Result<Split, DataError> {
        let Shape::Columns(columns) = &profile.shape else { return Err(not_pictures(path)) };
        labelled(path, &data.label_column, columns, &profile.classes)
    }
}

/// Reads the table at `path`, and the one at `data.test_path` if that is set.
fn read(data: &Data, path: &Path) -> Result<Source, DataError> {
    let mut train = Table::read(path, &data.label_column)?;
    let classes = class_names(&train);
    if classes.len() == 1 {
        let fault = Fault::new(path, "at least two classes", format!("\"{}\" alone", classes[0]));
        return Err(DataError::unfit(
            "only one class",
            fault.place(format!("column \"{}\"", data.label_column)),
        ));
    }
    let mut files = vec![record(&train, "train")];
    let mut test = None;
    if let Some(path) = &data.test_path {
        let mut table = Table::read(path, &data.label_column)?;
        check_columns(&train.features, &table)?;
        files.push(record(&table, "test"));
        test = Some(split(&mut table, &classes)?);
    }
    let train_split = split(&mut train, &classes)?;
    let shape = Shape::Columns(train.features);
    Ok(Source {
        name: "csv".to_owned(),
        shape,
        classes,
        train: train_split,
        validation: None,
        test,
        files,
        reading: Reading::default(),
        notices: Vec::new(),
    })
}

/// The examples of the csv file at `path`, which must have these feature columns and no other classes.
fn labelled(
    path: &Path,
    label_column: &str,
    columns: &[String],
    classes: &[String],
) -> Result<Split, DataError> {
    let mut table = Table::read(path, label_column)?;
    check_columns(columns, &table)?;
    split(&mut table, classes)
}

fn record(table: &Table, role: &str) -> FileRecord {
    FileRecord {
        name: format!("{role}.csv"),
        path: table.path.clone(),
        bytes: table.bytes,
        sha256: table.sha256.clone(),
    }
}

/// The classes of `table`: by number where all are numbers, else by name.
fn class_names(table: &Table) -> Vec<String> {
    let mut names: Vec<String> = table.classes.iter().map(|class| class.name.clone()).collect();
    let number = |name: &String| name.parse::<f64>().ok().filter(|number| number.is_finite());
    let all_numbers = names.iter().all(|name| number(name).is_some());
    names.sort_by(|left, right| {
        let by_number = number(left).partial_cmp(&number(right)).unwrap_or(Ordering::Equal);
        if all_numbers { by_number.then_with(|| left.cmp(right)) } else { left.cmp(right) }
    });
    names
}

/// The examples of `table`, whose values are taken out of it, with classes numbered as in `classes`.
fn split(table: &mut Table, classes: &[String]) -> Result<Split, DataError> {
    let mut numbers = Vec::with_capacity(table.classes.len());
    for class in &table.classes {
        let number = classes.iter().position(|name| *name == class.name).ok_or_else(|| {
            let expected = format!("a class of the training data: {}", classes.join(", "));
            let fault = Fault::new(&table.path, expected, format!("\"{}\"", class.name));
            DataError::unfit("class without training data", fault.place(format!("line {}", class.line)))
        })?;
        numbers.push(number as u32);
    }
    let labels = table.labels.iter().map(|&label| numbers[label as usize]).collect();
    Ok(Split::new(Storage::floats(table.features.len(), std::mem::take(&mut table.values)), labels))
}

fn check_columns(expected: &[String], test: &Table) -> Result<(), DataError> {
    if expected == test.features {
        return Ok(());
    }
    let fault = Fault::new(&test.path, expected.join(", "), test.features.join(", ")).place("line 1");
    Err(DataError::unfit(
        "csv columns differ",
        fault.remedy("give the test file the columns of the training file, in order"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(labels: &[&str]) -> Vec<String> {
        let rows: Vec<String> = labels.iter().map(|label| format!("1,{label}\n")).collect();
        let text = format!("a,label\n{}", rows.concat());
        class_names(&Table::parse(text.as_bytes(), Path::new("table.csv"), "label").unwrap())
    }

    #[test]
    fn classes_are_sorted_by_number_if_all_are_numbers_and_else_by_name() {
        assert_eq!(classes(&["10", "9", "-1.5"]), ["-1.5", "9", "10"]);
        assert_eq!(classes(&["10", "9", "b"]), ["10", "9", "b"]);
        assert_eq!(classes(&["wolf", "ant", "wolf"]), ["ant", "wolf"]);
    }
}
