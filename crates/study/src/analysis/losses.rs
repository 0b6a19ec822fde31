//! Which loss figures measure the same thing.

use std::collections::BTreeMap;

use kiln_config::{ClassWeightRule, ClassWeights, Experiment, LossName};

use super::listed;
use crate::findings::Findings;

pub(super) fn statements(findings: &Findings) -> Vec<String> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for trial in &findings.trials {
        groups.entry(function(&trial.experiment)).or_default().push(trial.name.clone());
    }
    let mut statements = Vec::new();
    let names = |name: LossName| {
        let has = |experiment: &Experiment| experiment.loss.name == name;
        findings.trials.iter().filter(|trial| has(&trial.experiment)).count()
    };
    if names(LossName::Nll) > 0 && names(LossName::CrossEntropy) > 0 {
        statements.push(
            "nll on log-softmax outputs and cross-entropy on raw outputs are the same function, so their losses \
             may be compared."
                .to_owned(),
        );
    }
    if groups.len() == 1 {
        statements.push("All trials minimize the same function: their losses may be compared.".to_owned());
        return statements;
    }
    for (function, names) in &groups {
        statements.push(format!("{function}: {}.", listed(names)));
    }
    statements.push(
        "Losses of different functions measure different things: across them compare accuracies alone."
            .to_owned(),
    );
    statements
}

/// The function that is minimized, in words; penalties are no part of the loss that is shown.
fn function(experiment: &Experiment) -> String {
    let loss = &experiment.loss;
    let mut words = match loss.name {
        LossName::CrossEntropy | LossName::Nll => "cross-entropy (nll is the same)".to_owned(),
        LossName::Mse => "mean squared error".to_owned(),
    };
    if loss.label_smoothing > 0.0 {
        words += &format!(" with label smoothing {}", loss.label_smoothing);
    }
    match &loss.class_weights {
        ClassWeights::Each(weights) if weights.is_empty() => {}
        ClassWeights::Each(weights) => words += &format!(" with class weights {weights:?}"),
        ClassWeights::ByName(weights) => words += &format!(" with class weights {weights:?}"),
        ClassWeights::Rule(ClassWeightRule::Balanced) => words += " with balanced class weights",
    }
    words
}
