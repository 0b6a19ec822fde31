//! What to try next, from what each trial's figures say.

use kiln_diagnosis::{FindingKind, remedy};

use super::fits::fall;
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

/// The remedy of what matters most, as a run of its own would be told.
fn advice(trial: &TrialFindings) -> Option<String> {
    let has = |verdict: Verdict| trial.seeds.iter().any(|seed| seed.verdicts.contains(&verdict));
    let kind = match () {
        () if has(Verdict::Exploding) => FindingKind::Exploding,
        () if has(Verdict::Vanishing) => FindingKind::Vanishing,
        () if trial.is(Verdict::Overfit) => FindingKind::Overfit,
        () if trial.is(Verdict::Underfit) => FindingKind::Underfit,
        () => return None,
    };
    let epochs = trial.seeds.iter().map(|seed| seed.outcome.epochs.len() as u64).max()?;
    Some(remedy(kind, &trial.experiment, fall(trial), epochs) + ".")
}
