//! The columns of tables become features, fitted on the rows that are trained on.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use kiln_config::{Data, Normalization};
use kiln_table::{Choices, Kind, Preparation, Scale, Scaling, Table, Treatment, listed, quoted};
use rayon::prelude::*;

use crate::source::{Tables, prepared};
use crate::{DataError, Profile, Raw, Shape, Split};

/// Splits whose rows can be trained on.
pub(crate) struct Prepared {
    pub(crate) shape: Shape,
    /// Train, validation, test.
    pub(crate) splits: [Split; 3],
    pub(crate) notices: Vec<String>,
    /// Columns each of whose values belongs to one class alone.
    pub(crate) leaks: Vec<String>,
}

/// Finds out what the columns are from the rows of `train`, and keeps the rows of all splits accordingly.
pub(crate) fn prepare(
    tables: Tables,
    data: &Data,
    like: Option<&Profile>,
    [train, validation, test]: [Split; 3],
) -> Result<Prepared, DataError> {
    let Tables { train: table, test: test_table, validation: validation_table, aside, .. } = tables;
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
            "{} tells the class of every training row: is it known before the class is? If not, list it in data.columns.drop",
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
    Ok(Prepared { shape, splits, notices, leaks })
}

/// An error if `choices` name a column that the table lacks.
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

/// What is left out and why, and what may have been taken for something else than it is.
fn notices(preparation: &Preparation) -> Vec<String> {
    let mut notices = Vec::new();
    for kind in [Kind::Id, Kind::Text, Kind::Constant, Kind::Empty] {
        let names: Vec<&str> =
            preparation.left_out().filter(|column| column.kind == kind).map(|column| &*column.name).collect();
        if !names.is_empty() {
            let what = match kind {
                Kind::Id => "has a name or number of its own for every row",
                Kind::Text => "has words that hardly ever repeat",
                Kind::Constant => "has the same value in every row",
                _ => "has no value",
            };
            notices.push(format!("left out: {} ({what})", listed(names, 8)));
        }
    }
    let numbers: Vec<&str> =
        preparation.columns.iter().filter(|column| column.maybe_names).map(|column| &*column.name).collect();
    if !numbers.is_empty() {
        notices.push(format!(
            "few whole numbers: {}; if they are names and no amounts, list them in data.columns.category",
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
                "column {} goes from {least} to {greatest}, far from its median {median}: one such value decides how all are \
                 scaled; correct it in the file, or list it in data.missing",
                quoted(&column.name)
            ));
        }
    }
    notices
}

/// Columns each of whose values belongs to one class alone, though it comes in many rows: they may give the class away.
fn leaks(table: &Table, preparation: &Preparation, train: &Split) -> Vec<String> {
    const ROWS: usize = 30;
    // A value for every few rows tells the class of any rows, by heart.
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

/// Rows of the validation and test data that are also trained on.
fn repeated([train, validation, test]: &[Split; 3]) -> Vec<String> {
    let hash = |split: &Split, position: usize| {
        let mut hasher = DefaultHasher::new();
        if let Raw::Cells(cells) = split.raw(position) {
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
        // A few equal rows are chance where columns have few values.
        let so = if count * 20 > hashes.len() {
            ", so their figures are better than those of new rows"
        } else {
            ""
        };
        (count > 0).then(|| format!("{count} of {} {what} rows equal a training row{so}", hashes.len()))
    };
    let [validation, test] = &held_out;
    [sentence(validation, "validation"), sentence(test, "test")].into_iter().flatten().collect()
}
