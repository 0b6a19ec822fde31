//! Explicit weights: their shapes follow from the layers and must chain.

use super::{Case, Contradiction, counted};
use crate::{Initialization, LayerWeights, Model};

const WEIGHTS: &str = "model.weights";

pub(super) fn contradictions(case: &Case<'_>) -> Vec<Contradiction> {
    let model = &case.experiment.model;
    if model.initialization != Initialization::Explicit {
        return Vec::new();
    }
    if model.weights.is_empty() {
        let message =
            format!("{} needs `{WEIGHTS}`, a table per layer", case.setting("model.initialization"));
        return vec![Contradiction::new(&["model.initialization", WEIGHTS], message)];
    }
    if model.weights.len() != model.hidden.len() + 1 {
        return vec![wrong_count(case, model)];
    }
    let layers = model.weights.iter().enumerate();
    layers.filter_map(|(index, layer)| layer_fault(case, index, layer)).collect()
}

fn wrong_count(case: &Case<'_>, model: &Model) -> Contradiction {
    let message = format!(
        "`{WEIGHTS}` has {}, but {} makes {}: one per hidden layer and the output layer",
        counted(model.weights.len(), "layer"),
        case.setting("model.hidden"),
        model.hidden.len() + 1,
    );
    Contradiction::new(&[WEIGHTS, "model.hidden"], message)
}

fn layer_fault(case: &Case<'_>, index: usize, layer: &LayerWeights) -> Option<Contradiction> {
    let at = format!("`{WEIGHTS}[{index}]`");
    let outputs = layer.weight.first().map_or(0, Vec::len);
    if outputs == 0 || layer.weight.iter().any(|row| row.len() != outputs) {
        let message = format!("{at} must have rows of one length, a row per input and a number per output");
        return Some(Contradiction::new(&[WEIGHTS], message));
    }
    inputs_fault(case, index, layer.weight.len(), &at)
        .or_else(|| outputs_fault(case, index, outputs, &at))
        .or_else(|| bias_fault(case, layer.bias.len(), outputs, &at))
}

fn inputs_fault(case: &Case<'_>, index: usize, rows: usize, at: &str) -> Option<Contradiction> {
    let model = &case.experiment.model;
    let (expected, key) = match index.checked_sub(1) {
        Some(before) => (*model.hidden.get(before)?, "model.hidden"),
        None => (case.experiment.data.feature_count()?, "data.source"),
    };
    (rows != expected).then(|| {
        let message = format!(
            "{at} has {}, but {} gives it {}",
            counted(rows, "row"),
            case.setting(key),
            counted(expected, "input")
        );
        Contradiction::new(&[WEIGHTS, key], message)
    })
}

fn outputs_fault(case: &Case<'_>, index: usize, outputs: usize, at: &str) -> Option<Contradiction> {
    let experiment = case.experiment;
    let (expected, key, what) = match experiment.model.hidden.get(index) {
        Some(units) => (*units, "model.hidden", "unit"),
        None => (experiment.data.class_count()?, "data.classes", "output"),
    };
    (outputs != expected).then(|| {
        let message = format!(
            "the rows of {at} have {}, but `{key}` asks for {}",
            counted(outputs, "number"),
            counted(expected, what)
        );
        Contradiction::new(&[WEIGHTS, key], message)
    })
}

fn bias_fault(case: &Case<'_>, given: usize, outputs: usize, at: &str) -> Option<Contradiction> {
    let message = match (case.experiment.model.bias, given) {
        (false, 0) => return None,
        (false, _) => format!("{at} has a bias, but `model.bias` = false"),
        (true, _) if given == outputs => return None,
        (true, 0) => {
            format!("{at} has no bias; give {}, or set `model.bias` = false", counted(outputs, "number"))
        }
        (true, _) => {
            format!("the bias of {at} has {} for {}", counted(given, "number"), counted(outputs, "output"))
        }
    };
    Some(Contradiction::new(&[WEIGHTS, "model.bias"], message))
}
