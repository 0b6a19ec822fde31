//! What to try next: what each run's own figures advise.

use crate::findings::{Findings, TrialFindings};

pub(super) fn statements(findings: &Findings) -> Vec<String> {
    let advice = findings.trials.iter().filter_map(|trial| Some((trial, advice(trial)?)));
    let mut advised: Vec<(String, Vec<String>)> = Vec::new();
    for (trial, words) in advice {
        match advised.iter_mut().find(|(known, _)| *known == words) {
            Some((_, trials)) => trials.push(trial.name.clone()),
            None => advised.push((words, vec![trial.name.clone()])),
        }
    }
    advised.into_iter().map(|(words, trials)| format!("{}: {words}.", super::listed(&trials))).collect()
}

/// The advice of the first finding of the first run that has any; none for the trials that lead.
fn advice(trial: &TrialFindings) -> Option<String> {
    if trial.rank == Some(1) {
        return None;
    }
    let findings = trial.seeds.iter().flat_map(|seed| &seed.outcome.findings);
    let (finding, advice) =
        findings.map(|finding| (finding, finding.advice())).find(|(_, advice)| !advice.is_empty())?;
    Some(format!("{advice} ({})", finding.kind))
}
