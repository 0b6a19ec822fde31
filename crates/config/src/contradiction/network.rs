//! What only some networks and some data can have: waves of numbers, several members, probabilities that are calibrated.

use super::{Case, Contradiction};
use crate::{
    CalibrationName, DataSource, DecisionName, Initialization, LossName, Normalization, NumberEmbedding,
};

pub(super) fn contradictions(case: &Case<'_>) -> Vec<Contradiction> {
    [
        scaling(case),
        waves_of_pictures(case),
        explicit(case),
        members(case),
        folds(case),
        calibration(case),
        decision(case),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn scaling(case: &Case<'_>) -> Option<Contradiction> {
    let data = &case.experiment.data;
    let is_for_it = matches!(data.normalization, Normalization::Unit | Normalization::Standard)
        || data.source == DataSource::Csv;
    (!is_for_it).then(|| {
        let keys = ["data.normalization", "data.source"];
        let message = format!(
            "{} is for the columns of a table, but {} is none; write \"unit\" or \"standard\"",
            case.setting(keys[0]),
            case.setting(keys[1])
        );
        Contradiction::new(&keys, message)
    })
}

fn waves_of_pictures(case: &Case<'_>) -> Option<Contradiction> {
    let (data, model) = (&case.experiment.data, &case.experiment.model);
    let has_numbers = matches!(
        data.source,
        DataSource::Csv | DataSource::Moons | DataSource::Spirals | DataSource::NoisyFeatures
    );
    (model.number_embedding != NumberEmbedding::None && !has_numbers).then(|| {
        let keys = ["model.number_embedding", "data.source"];
        let message = format!(
            "{} is for measured numbers, but the examples of {} are pictures; write \"none\"",
            case.setting(keys[0]),
            case.setting(keys[1])
        );
        Contradiction::new(&keys, message)
    })
}

fn explicit(case: &Case<'_>) -> Option<Contradiction> {
    let model = &case.experiment.model;
    let other = if model.members > 1 {
        "model.members"
    } else if model.number_embedding == NumberEmbedding::None {
        return None;
    } else {
        "model.number_embedding"
    };
    (model.initialization == Initialization::Explicit).then(|| {
        let keys = ["model.initialization", other];
        let message = format!(
            "{} gives the weights of one plain network, but {} asks for more",
            case.setting(keys[0]),
            case.setting(other)
        );
        Contradiction::new(&keys, message)
    })
}

fn members(case: &Case<'_>) -> Option<Contradiction> {
    let is_wrong = case.experiment.model.members > 1 && case.experiment.loss.name == LossName::Mse;
    is_wrong.then(|| {
        let keys = ["model.members", "loss.name"];
        let message = format!(
            "{} averages probabilities, which {} does not train; use \"cross-entropy\" or \"nll\"",
            case.setting(keys[0]),
            case.setting(keys[1])
        );
        Contradiction::new(&keys, message)
    })
}

fn folds(case: &Case<'_>) -> Option<Contradiction> {
    let (folds, members) = (case.experiment.data.folds, case.experiment.model.members);
    if folds == 0 {
        return None;
    }
    let keys = ["data.folds", "model.members"];
    let message = if folds == 1 {
        format!("{} leaves its member nothing to train on; give two parts at least", case.setting(keys[0]))
    } else if members.is_multiple_of(folds) {
        return None;
    } else {
        format!(
            "{} needs as many members or a multiple of that, so that each part is left out as often, but {}; for one member, \
             set `data.folds` to 0 and `data.validation` to a share",
            case.setting(keys[0]),
            case.setting(keys[1])
        )
    };
    Some(Contradiction::new(&keys, message))
}

fn decision(case: &Case<'_>) -> Option<Contradiction> {
    let is_tuned =
        matches!(case.experiment.evaluation.decision, DecisionName::Precision | DecisionName::Recall);
    (is_tuned && !case.experiment.data.has_validation()).then(|| {
        let keys = ["evaluation.decision", "data.validation"];
        let message = format!(
            "{} needs validation data to choose by, but {} holds out none; hold some out, or write \"most-probable\"",
            case.setting(keys[0]),
            case.setting(keys[1])
        );
        Contradiction::new(&keys, message)
    })
}

fn calibration(case: &Case<'_>) -> Option<Contradiction> {
    let data = &case.experiment.data;
    let is_wanted = case.experiment.evaluation.calibration != CalibrationName::None;
    (is_wanted && !data.has_validation()).then(|| {
        let keys = ["evaluation.calibration", "data.validation"];
        let message = format!(
            "{} is fitted on validation data, but {} holds out none; hold some out, or write \"none\"",
            case.setting(keys[0]),
            case.setting(keys[1])
        );
        Contradiction::new(&keys, message)
    })
}
