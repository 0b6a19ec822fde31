//! Gradients that vanish or explode on their way through the layers.

use crate::Verdict;
use crate::findings::{Findings, TrialFindings};

pub(super) fn statements(findings: &Findings) -> Vec<String> {
    let mut statements = Vec::new();
    for trial in &findings.trials {
        if trial.seeds.iter().any(|seed| seed.verdicts.contains(&Verdict::Vanishing)) {
            statements.extend(vanishing(trial));
        }
        if trial.seeds.iter().any(|seed| seed.verdicts.contains(&Verdict::Exploding)) {
            statements.push(exploding(trial));
        }
    }
    statements
}

fn vanishing(trial: &TrialFindings) -> Option<String> {
    let flows = trial.seeds.iter().filter_map(|seed| seed.outcome.gradient_flow);
    let greatest = flows.map(|flow| flow.first_over_last).fold(f64::NAN, f64::max);
    let accuracy = trial.mean("test_accuracy")?;
    Some(format!(
        "{}: gradients vanish. At the first measurement the first layer's gradient is at most {greatest:.1e} times \
         the last layer's, so the first layers hardly learn; test accuracy {accuracy:.4}.",
        trial.name
    ))
}

fn exploding(trial: &TrialFindings) -> String {
    let flows = trial.seeds.iter().filter_map(|seed| seed.outcome.gradient_flow);
    let greatest = flows.map(|flow| flow.greatest_norm).fold(0.0, f64::max);
    let norm =
        if greatest > 0.0 { format!(" The gradient's norm reached {greatest:.1e}.") } else { String::new() };
    let end = match (trial.error(), trial.mean("test_accuracy")) {
        (Some(_), _) => " Training left the finite numbers.".to_owned(),
        (None, Some(accuracy)) => format!(" Test accuracy {accuracy:.4}."),
        (None, None) => String::new(),
    };
    format!("{}: gradients explode.{norm}{end}", trial.name)
}
