//! The data's source, its classes and its splits.

use super::{Case, Contradiction, counted};
use crate::{ClassLabel, Data, DataSource, Holdout};

pub(super) fn contradictions(case: &Case<'_>) -> Vec<Contradiction> {
    [
        path(case),
        too_few_examples(case),
        one_class(case),
        twice(case),
        no_such_class(case),
        class_weights(case),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// How many classes there will be, where the file alone says so.
pub(super) fn class_count(data: &Data) -> Option<usize> {
    if !data.classes.is_empty() {
        return Some(data.classes.len());
    }
    match data.source {
        source if has_ten_classes(source) => Some(10),
        source if has_two_classes(source) => Some(2),
        _ => None,
    }
}

fn has_two_classes(source: DataSource) -> bool {
    matches!(source, DataSource::Moons | DataSource::Spirals | DataSource::NoisyFeatures)
}

fn has_ten_classes(source: DataSource) -> bool {
    use DataSource::{Digits, FashionMnist, Kmnist, Mnist};
    matches!(source, Digits | Mnist | FashionMnist | Kmnist)
}

fn path(case: &Case<'_>) -> Option<Contradiction> {
    let data = &case.experiment.data;
    let needed = match data.source {
        DataSource::Csv => "the path of a csv file",
        DataSource::Idx => "the folder of the IDX files",
        DataSource::ImageFolder => "the folder of the pictures",
        _ => return None,
    };
    data.path.is_none().then(|| {
        let message = format!("{} needs `data.path`, {needed}; it is missing", case.setting("data.source"));
        Contradiction::new(&["data.source", "data.path"], message)
    })
}

fn too_few_examples(case: &Case<'_>) -> Option<Contradiction> {
    let (Some(limit), Holdout::Count(validation)) =
        (case.experiment.data.limit, case.experiment.data.validation)
    else {
        return None;
    };
    (validation >= limit).then(|| {
        let keys = ["data.validation", "data.limit"];
        let message = format!(
            "{} leaves nothing to train on, for {} includes it",
            case.setting(keys[0]),
            case.setting(keys[1])
        );
        Contradiction::new(&keys, message)
    })
}

fn one_class(case: &Case<'_>) -> Option<Contradiction> {
    (case.experiment.data.classes.len() == 1).then(|| {
        let message =
            format!("{} leaves nothing to tell apart; give two classes at least", case.setting(CLASSES));
        Contradiction::new(&[CLASSES], message)
    })
}

const CLASSES: &str = "data.classes";

fn twice(case: &Case<'_>) -> Option<Contradiction> {
    let mut seen = std::collections::HashSet::new();
    let again = case.experiment.data.classes.iter().find(|label| !seen.insert(written(label)))?;
    let message = format!("{} names class {} twice", case.setting(CLASSES), written(again));
    Some(Contradiction::new(&[CLASSES], message))
}

fn no_such_class(case: &Case<'_>) -> Option<Contradiction> {
    let data = &case.experiment.data;
    let greatest = match data.source {
        source if has_ten_classes(source) => 9,
        source if has_two_classes(source) => 1,
        _ => return None,
    };
    let is_missing = |label: &&ClassLabel| matches!(label, ClassLabel::Number(number) if *number > greatest);
    let missing = data.classes.iter().find(is_missing)?;
    let message = format!(
        "{} names class {}, but {} has the classes 0 to {greatest}",
        case.setting(CLASSES),
        written(missing),
        case.setting("data.source")
    );
    Some(Contradiction::new(&[CLASSES, "data.source"], message))
}

fn class_weights(case: &Case<'_>) -> Option<Contradiction> {
    let given = case.experiment.loss.class_weights.len();
    let classes = class_count(&case.experiment.data)?;
    (given > 0 && given != classes).then(|| {
        let message = format!("`loss.class_weights` has {} for {classes} classes", counted(given, "weight"));
        Contradiction::new(&["loss.class_weights", CLASSES, "data.source"], message)
    })
}

fn written(label: &ClassLabel) -> String {
    match label {
        ClassLabel::Number(number) => number.to_string(),
        ClassLabel::Name(name) => format!("{name:?}"),
    }
}
