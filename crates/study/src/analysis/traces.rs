//! Trials that are one and the same computation.

use super::listed;
use crate::findings::Findings;

pub(super) fn statements(findings: &Findings) -> Vec<String> {
    let shared = findings.shared_traces.iter().map(|group| {
        format!(
            "{} have the same metric log, byte for byte, at every seed: what they are set to differently makes no \
             difference, and a gap between them elsewhere has another cause.",
            listed(group)
        )
    });
    shared.collect()
}
