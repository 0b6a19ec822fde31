//! Which trials underfit, fit or overfit, and the evidence.

use super::listed;
use crate::Verdict;
use crate::findings::{Findings, TrialFindings};
use crate::verdict::gap;

pub(super) fn statements(findings: &Findings) -> Vec<String> {
    let mut statements = Vec::new();
    let best =
        findings.trials.iter().filter_map(|trial| trial.mean("test_accuracy")).fold(f64::NAN, f64::max);
    for trial in &findings.trials {
        if trial.is(Verdict::Underfit) {
            statements.push(underfit(trial, best));
        } else if trial.is(Verdict::Overfit) {
            statements.push(overfit(trial));
        } else if !trial.is(Verdict::Fit) && trial.rank.is_some() {
            statements.push(format!("{} differs between seeds: {}.", trial.name, trial.verdict()));
        }
    }
    let fitting = findings.trials.iter().filter(|trial| trial.is(Verdict::Fit));
    let fitting: Vec<String> = fitting.map(|trial| trial.name.clone()).collect();
    if !fitting.is_empty() {
        statements.push(format!(
            "{}: test accuracy within {} of the best, and no more than {} below training.",
            with_verb(&fitting),
            findings.rules.underfit_margin,
            findings.rules.overfit_gap
        ));
    }
    statements
}

/// Trials that failed, each with its error.
pub(super) fn failures(findings: &Findings) -> Vec<String> {
    let failed = findings.trials.iter().filter_map(|trial| Some((trial, trial.error()?)));
    failed.map(|(trial, error)| format!("{}: {error}", trial.name)).collect()
}

fn with_verb(names: &[String]) -> String {
    let verb = if names.len() == 1 { "fits" } else { "fit" };
    format!("{} {verb}", listed(names))
}

fn underfit(trial: &TrialFindings, best: f64) -> String {
    let [test, train] = ["test_accuracy", "train_accuracy"].map(|name| trial.mean(name).unwrap_or(f64::NAN));
    format!(
        "{} underfits: test accuracy {test:.4} is {:.4} below the best, training accuracy is {train:.4}.",
        trial.name,
        best - test
    )
}

fn overfit(trial: &TrialFindings) -> String {
    let gaps: Vec<(f64, &str)> = trial.seeds.iter().filter_map(|seed| gap(&seed.outcome)).collect();
    let mean = gaps.iter().map(|(gap, _)| gap).sum::<f64>() / gaps.len() as f64;
    let name = gaps.first().map_or("test_accuracy", |(_, name)| name);
    let [train, test] = ["train_accuracy", name].map(|name| trial.mean(name).unwrap_or(f64::NAN));
    let losses = match (trial.mean("train_loss"), trial.mean("test_loss")) {
        (Some(train), Some(test)) => format!("; loss {train:.4} in training and {test:.4} in test"),
        _ => String::new(),
    };
    let words = if name == "test_accuracy" { "test accuracy" } else { "test accuracy with dropout active" };
    format!(
        "{} overfits: training accuracy {train:.4}, {words} {test:.4}, a gap of {mean:.4}{losses}.",
        trial.name
    )
}
