//! The data's source, its classes and its splits.

use super::{Case, Contradiction, counted};
use crate::{ClassLabel, ClassWeights, Holdout};

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

fn path(case: &Case<'_>) -> Option<Contradiction> {
    let data = &case.experiment.data;
    let needed = data.source.facts().path?;
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
    let greatest = data.source.facts().classes? - 1;
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
    let ClassWeights::Each(weights) = &case.experiment.loss.class_weights else { return None };
    let given = weights.len();
    let classes = case.experiment.data.class_count()?;
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
