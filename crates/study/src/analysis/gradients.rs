//! Gradients that vanish or explode on their way through the layers.

use kiln_diagnosis::{Finding, FindingKind};

use crate::findings::{Findings, TrialFindings};

pub(super) fn statements(findings: &Findings) -> Vec<String> {
    findings.trials.iter().flat_map(of_trial).collect()
}

/// What the first run says that has something to say, and of how many it is one.
fn of_trial(trial: &TrialFindings) -> impl Iterator<Item = String> {
    const KINDS: [FindingKind; 3] = [FindingKind::Vanishing, FindingKind::NonFinite, FindingKind::Exploding];
    KINDS.into_iter().filter_map(|kind| {
        let mut found = trial.seeds.iter().filter_map(|seed| of_kind(&seed.outcome.findings, kind));
        let first = found.next()?;
        let count = 1 + found.count();
        let share = if count == trial.seeds.len() {
            "each run".to_owned()
        } else {
            format!("{count} of {} runs", trial.seeds.len())
        };
        Some(format!("{}, {kind} in {share}; the first: {}", trial.name, first.statement))
    })
}

fn of_kind(findings: &[Finding], kind: FindingKind) -> Option<&Finding> {
    findings.iter().find(|finding| finding.kind == kind)
}
