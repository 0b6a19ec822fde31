//! The classes of a table: which there are, and which each row has.

use std::cmp::Ordering;
use std::collections::HashMap;

use kiln_config::LabelColumn;
use kiln_table::{Fault, Table, Value, listed, quoted};

use crate::DataError;

/// The most classes that a network is trained on: predictions, confusion matrix and report grow with them.
const MOST_CLASSES: usize = 1000;

/// The class of each row that has one.
#[derive(Debug)]
pub(super) struct Classes {
    pub(super) names: Vec<String>,
    /// The rows that have a class.
    pub(super) rows: Vec<u32>,
    /// Of each of them, the number of its class.
    pub(super) labels: Vec<u32>,
    pub(super) notices: Vec<String>,
}

/// The number of the text of `row` in `column`, where it has one.
pub(super) fn text_of(table: &Table, row: usize, column: usize) -> Option<u32> {
    match table.cell(row, column).value() {
        Value::Text(text) => Some(text),
        Value::Number(_) | Value::Missing => None,
    }
}

impl Classes {
    /// The classes that `table` has: by number where all are numbers, else by name. A column of amounts, or of a name for
    /// every row, holds no classes, unless `is_forced`.
    pub(super) fn of(table: &Table, label_column: &LabelColumn, is_forced: bool) -> Result<Self, DataError> {
        let column = label_of(table);
        let mut classes: Vec<String> = table.texts(column).iter().map(ToString::to_string).collect();
        sort_classes(&mut classes);
        let mut labels = Self::among(table, &classes)?;
        let place = || format!("column {}", quoted(&table.names()[column]));
        if classes.len() < 2 {
            let found = classes.first().map_or("none".to_owned(), |class| format!("{} alone", quoted(class)));
            let fault = Fault::new(table.path(), "at least two classes", found).place(place());
            return Err(DataError::unfit("only one class", fault));
        }
        if !is_forced {
            check_amounts(table, column, &classes, labels.rows.len())?;
        }
        if classes.len() > MOST_CLASSES {
            let found = format!("{} different values", classes.len());
            let fault =
                Fault::new(table.path(), format!("at most {MOST_CLASSES} classes"), found).place(place());
            let remedy = "choose another label column, or keep some classes with data.classes";
            return Err(DataError::unfit("too many classes", fault.remedy(remedy)));
        }
        labels.notices.extend(alike(&classes));
        if let LabelColumn::Place(_) = label_column {
            labels.notices.push(format!("the class stands in {}", place()));
        }
        Ok(labels)
    }

    /// The classes of `table`, which are among `classes`. A name that differs in writing alone is taken for the same.
    pub(super) fn among(table: &Table, classes: &[String]) -> Result<Self, DataError> {
        let column = label_of(table);
        let known: HashMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
        let mut notices = Vec::new();
        let mut numbers = Vec::with_capacity(table.texts(column).len());
        for text in table.texts(column) {
            let number = if let Some(&number) = known.get(&**text) {
                number
            } else {
                let same: Vec<usize> =
                    (0..classes.len()).filter(|&class| plain(&classes[class]) == plain(text)).collect();
                let [class] = same[..] else { return Err(unknown_class(table, column, text, classes)) };
                notices.push(format!("class {} counts as {}", quoted(text), quoted(&classes[class])));
                class as u32
            };
            numbers.push(number);
        }
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
            notices.push(format!("{unlabelled} rows without a class are left out, the first in line {line}"));
        }
        Ok(Self { names: classes.to_vec(), rows, labels, notices })
    }
}

fn label_of(table: &Table) -> usize {
    table.label().expect("a table with classes was read with its label column")
}

/// By number where all are numbers, else by name.
fn sort_classes(names: &mut [String]) {
    let number = |name: &String| name.parse::<f64>().ok().filter(|number| number.is_finite());
    let all_numbers = names.iter().all(|name| number(name).is_some());
    names.sort_by(|left, right| {
        let by_number = number(left).partial_cmp(&number(right)).unwrap_or(Ordering::Equal);
        if all_numbers { by_number.then_with(|| left.cmp(right)) } else { left.cmp(right) }
    });
}

/// An error if `classes` are amounts, or as good as every row has its own.
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
        if is_amount { "numbers: a quantity, and no class" } else { "values: a name for nearly every row" };
    let fault = Fault::new(
        table.path(),
        "a column with few different values, the classes",
        format!("{count} different {what}"),
    );
    let remedy = format!(
        "choose another data.label_column, or cut the quantity into ranges first; to take each value for a class all the \
         same, set data.columns.category=[{}]",
        quoted(name)
    );
    Err(DataError::unfit("no classes", fault.place(format!("column {}", quoted(name))).remedy(remedy)))
}

/// A question about classes that differ in writing alone.
fn alike(classes: &[String]) -> Option<String> {
    let mut by_form: HashMap<String, Vec<&str>> = HashMap::new();
    for class in classes {
        by_form.entry(plain(class)).or_default().push(class);
    }
    let mut same: Vec<Vec<&str>> = by_form.into_values().filter(|names| names.len() > 1).collect();
    same.sort();
    let names = same.first()?;
    Some(format!(
        "classes {} differ in writing alone: are they one? They are kept apart; make them equal in the file if so",
        listed(names.iter().copied(), 5)
    ))
}

/// What a class's name comes to when writing does not matter: a number's value, small letters, no full stop at the end.
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
    let fault = Fault::new(table.path(), format!("a class of the training data: {names}"), quoted(text));
    DataError::unfit("class without training data", fault.place(format!("line {line}")))
}
