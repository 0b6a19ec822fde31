//! The classes of a table: which there are, and which each row has.

use std::cell::LazyCell;
use std::cmp::Ordering;
use std::collections::HashMap;

use kiln_config::{Data, LabelColumn};
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
    /// The classes that `table` has, as `data` says: by number where all are numbers, else by name. A column of amounts, or
    /// of a name for every row, holds no classes, unless `is_forced`.
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
        if let LabelColumn::Place(_) = data.label_column {
            labels.notices.push(format!("the class stands in {}", place()));
        }
        Ok(labels)
    }

    /// The classes of `table`, which are among `classes`. A name that differs in writing alone is taken for the same.
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
        let mut notices: Vec<String> = other_writings(otherwise).into_iter().collect();
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
    let mut same: Vec<Vec<&str>> = by_form(classes).into_values().filter(|names| names.len() > 1).collect();
    same.sort();
    let names = same.first()?;
    Some(format!(
        "classes {} differ in writing alone: are they one? They are kept apart; data.join_labels=true makes them one",
        listed(names.iter().copied(), 5)
    ))
}

/// Of `classes` that differ in writing alone, the one that most rows of `table` have in `column`; of several the first.
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

/// `classes` by what their names come to when writing does not matter.
fn by_form(classes: &[String]) -> HashMap<String, Vec<&str>> {
    let mut forms: HashMap<String, Vec<&str>> = HashMap::new();
    for class in classes {
        forms.entry(plain(class)).or_default().push(class);
    }
    forms
}

/// What is said of classes that are written otherwise than the ones that they are: `pairs` of both.
fn other_writings(mut pairs: Vec<String>) -> Option<String> {
    const MOST: usize = 5;
    let more = pairs.len().saturating_sub(MOST);
    pairs.truncate(MOST);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    (!pairs.is_empty())
        .then(|| format!("classes that differ in writing alone count as one: {}{more}", pairs.join(", ")))
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
