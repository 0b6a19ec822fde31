//! What to try next, from what each trial's figures say.

use kiln_config::Activation;

use super::fits::{STILL_FALLING, fall};
use crate::Verdict;
use crate::findings::{Findings, TrialFindings};

pub(super) fn statements(findings: &Findings) -> Vec<String> {
    let advice = findings.trials.iter().filter_map(|trial| Some((trial, advice(trial)?)));
    let mut statements = Vec::new();
    let mut advised: Vec<(String, Vec<String>)> = Vec::new();
    for (trial, words) in advice {
        match advised.iter_mut().find(|(known, _)| *known == words) {
            Some((_, trials)) => trials.push(trial.name.clone()),
            None => advised.push((words, vec![trial.name.clone()])),
        }
    }
    for (words, trials) in advised {
        statements.push(format!("{}: {words}", super::listed(&trials)));
    }
    statements
}

fn advice(trial: &TrialFindings) -> Option<String> {
    let has = |verdict: Verdict| trial.seeds.iter().any(|seed| seed.verdicts.contains(&verdict));
    if has(Verdict::Exploding) {
        return Some(
            "clip gradients (training.max_norm), start from Xavier or He initialization, lower optimizer.lr, or use \
             fewer layers."
                .to_owned(),
        );
    }
    if has(Verdict::Vanishing) {
        return Some(
            "use fewer layers, relu instead of a saturating activation, or Xavier or He initialization."
                .to_owned(),
        );
    }
    if trial.is(Verdict::Overfit) {
        return Some(against_overfitting(trial));
    }
    trial.is(Verdict::Underfit).then(|| against_underfitting(trial))
}

fn against_overfitting(trial: &TrialFindings) -> String {
    let experiment = &trial.experiment;
    let mut steps = Vec::new();
    if experiment.model.dropout == 0.0 {
        steps.push("dropout");
    }
    if experiment.loss.l2 == 0.0 && experiment.optimizer.weight_decay.unwrap_or(0.0) == 0.0 {
        steps.push("weight decay or an L2 penalty");
    }
    if !experiment.early_stopping.enabled {
        steps.push("early stopping");
    }
    steps.push("a smaller network");
    steps.push("more training examples");
    format!("{}.", steps.join(", "))
}

fn against_underfitting(trial: &TrialFindings) -> String {
    let experiment = &trial.experiment;
    let mut steps = Vec::new();
    if fall(trial).is_some_and(|fall| fall > STILL_FALLING) {
        steps.push("more epochs: its loss was still falling");
        steps.push("a higher learning rate, momentum, or an adaptive optimizer");
    }
    if experiment.loss.l1 > 0.0
        || experiment.loss.l2 > 0.0
        || experiment.optimizer.weight_decay.unwrap_or(0.0) > 0.0
    {
        steps.push("less regularization");
    }
    if experiment.model.activation == Activation::Identity || experiment.model.hidden.is_empty() {
        steps.push("a non-linear activation: what it has can only draw straight lines");
    } else if steps.is_empty() {
        steps.push("a larger network or better features");
    }
    if experiment.model.dropout > 0.0 {
        steps.push("less dropout");
    }
    format!("{}.", steps.join("; "))
}
