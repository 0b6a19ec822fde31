//! Findings about a training run: what went wrong, in words, and what to try.
//!
//! [`findings`] judges the record of a run: its metric log, its test and its experiment. It reads no files and measures
//! nothing, and a run that went well has no findings.
//!
//! - `instability.rs`: non-finite values, exploding gradients, jumps of the loss, divergence
//! - `layer_signals.rs`: vanishing gradients, dead and saturated units
//! - `fit.rs`: overfitting and underfitting
//! - `baselines.rs`: no better than the majority class, or than a linear model
//! - `record.rs` has the data that they judge, `series.rs` the statistics, `remedies.rs` the advice
//!
//! To add a finding, write a function that returns `Option<Finding>` in the file that it belongs to, with its thresholds
//! and the reason for each; then add its kind to [`FindingKind`] and its call to [`findings`] in this file.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod baselines;
mod fit;
mod instability;
mod layer_signals;
mod record;
mod remedies;
mod series;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{Display, IntoStaticStr};

pub use record::{BaselineFigures, Difference, Layer, RunRecord, TestFigures, layers};
pub use remedies::Remedy;

use record::RunHistory;

/// Something that went wrong in a run, or is worth knowing about it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct Finding {
    /// Its kind.
    pub kind: FindingKind,
    /// How much it matters.
    pub severity: Severity,
    /// What was found, with figures, in whole sentences.
    pub statement: String,
    /// What to try, the most promising first, without settings that the experiment already has. May be empty.
    pub remedies: Vec<Remedy>,
    /// The figures behind it, by name; all are finite.
    pub evidence: Vec<(String, f64)>,
}

/// The kinds of findings.
#[derive(
    Serialize,
    Deserialize,
    JsonSchema,
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Display,
    IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum FindingKind {
    /// A loss, a gradient or a weight became NaN or infinite.
    NonFinite,
    /// Gradients or weights grew by orders of magnitude.
    Exploding,
    /// The first layer's gradient is tiny compared with the last layer's.
    Vanishing,
    /// Units are zero for every example.
    DeadUnits,
    /// Units are in the flat parts of their activation.
    SaturatedUnits,
    /// The training loss jumped up between two intervals.
    LossJumps,
    /// The training loss rose above its start or far above its lowest value, or the training accuracy fell far below its best.
    Diverging,
    /// Neither the network nor a linear model beats the majority-class baseline.
    NoSkill,
    /// Longer training or a larger network would help.
    Underfit,
    /// The validation loss rose while the training loss kept falling.
    Overfit,
    /// A linear model on the same features is better.
    NoBetterThanLinear,
}

impl FindingKind {
    /// Its name in files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// How much a finding matters.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Good to know; the run is usable.
    Info,
    /// The run would be better without it.
    Warning,
    /// The run failed, or learned almost nothing.
    Failure,
}

/// The findings of a run, causes before effects. If there is nothing to learn in the data, that comes first.
///
/// A failed run is not judged by its fit, because its training did not finish.
#[must_use]
pub fn findings(record: &RunRecord<'_>) -> Vec<Finding> {
    let history = RunHistory::new(record);
    let mut findings = Vec::new();
    findings.extend(instability::non_finite(&history));
    let is_non_finite = !findings.is_empty();
    findings.extend(instability::exploding(&history, is_non_finite));
    findings.extend(layer_signals::dead_units(&history));
    findings.extend(small_gradients(&history));
    findings.extend(instability::loss_jumps(&history));
    if !is_non_finite {
        findings.extend(instability::diverging(&history));
    }
    if record.failure.is_none() {
        match fit(&history, &findings) {
            // If there is nothing to learn, the other findings follow from it.
            Some(finding) if finding.kind == FindingKind::NoSkill => findings.insert(0, finding),
            finding => findings.extend(finding),
        }
    }
    findings
}

/// Saturated units and vanishing gradients. The one that came first explains the other.
fn small_gradients(history: &RunHistory<'_>) -> Vec<Finding> {
    let (saturated, vanishing) = (layer_signals::saturated_units(history), layer_signals::vanishing(history));
    match (saturated, vanishing) {
        (Some(saturated), Some(vanishing)) if layer_signals::began_saturated(history) => {
            vec![saturated, vanishing.explained_by(FindingKind::SaturatedUnits)]
        }
        (Some(saturated), Some(vanishing)) => vec![vanishing, saturated.explained_by(FindingKind::Vanishing)],
        (saturated, vanishing) => saturated.into_iter().chain(vanishing).collect(),
    }
}

/// At most one finding about the fit. `causes` are the findings so far, which may explain a bad fit. The first that applies
/// excludes the rest: for example, a network that overfits does not also underfit.
fn fit(history: &RunHistory<'_>, causes: &[Finding]) -> Option<Finding> {
    baselines::no_skill(history, causes)
        .or_else(|| fit::overfit(history, causes))
        .or_else(|| fit::underfit(history, causes))
        .or_else(|| baselines::no_better_than_linear(history, causes))
}

impl Finding {
    fn new(
        kind: FindingKind,
        severity: Severity,
        statement: String,
        remedies: Vec<Remedy>,
        evidence: &[(&str, f64)],
    ) -> Self {
        let finite = evidence.iter().filter(|(_, value)| value.is_finite());
        let evidence = finite.map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Self { kind, severity, statement, remedies, evidence }
    }

    fn explained_by(self, cause: FindingKind) -> Self {
        Self { remedies: remedies::explained_by(cause), ..self }
    }

    /// The remedies in words: `a, b or c`. May be empty.
    #[must_use]
    pub fn advice(&self) -> String {
        remedies::words(&self.remedies)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.kind, self.statement)?;
        if self.remedies.is_empty() { Ok(()) } else { write!(formatter, " Try: {}.", self.advice()) }
    }
}

#[cfg(test)]
mod tests {
    use kiln_artifacts::RunFailure;
    use kiln_config::Experiment;

    use super::*;
    use crate::record::tests::{TestLog, record};

    #[test]
    fn a_run_that_went_well_has_no_findings() {
        let log = TestLog::healthy();
        assert_eq!(findings(&record(&log, &Experiment::default())), []);
        assert_eq!(findings(&record(&TestLog::default(), &Experiment::default())), []);
    }

    #[test]
    fn a_finding_is_shown_as_kind_statement_and_remedies() {
        let evidence = [("validation_accuracy", 0.8), ("lost", f64::NAN)];
        let remedy = Remedy { settings: vec!["model.dropout=0.2".into()], words: "model.dropout=0.2".into() };
        let statement = "A gap of 0.2.".to_owned();
        let finding =
            Finding::new(FindingKind::Overfit, Severity::Warning, statement, vec![remedy], &evidence);
        assert_eq!(finding.to_string(), "overfit: A gap of 0.2. Try: model.dropout=0.2.");
        let json = serde_json::to_string(&finding).unwrap();
        let evidence = r#""evidence":[["validation_accuracy",0.8]]"#;
        assert!(json.contains(evidence) && json.contains(r#""severity":"warning""#), "{json}");
        assert_eq!(serde_json::from_str::<Finding>(&json).unwrap(), finding);
    }

    #[test]
    fn a_failed_run_is_not_judged_by_its_fit() {
        let log = TestLog::default().epochs(&[(2.3, 0.1), (2.3, 0.1), (2.3, 0.1)]);
        let kinds = |failure| -> Vec<FindingKind> {
            let found = findings(&RunRecord { failure, ..record(&log, &Experiment::default()) });
            found.into_iter().map(|finding| finding.kind).collect()
        };
        assert_eq!(kinds(None), [FindingKind::Underfit]);
        assert_eq!(kinds(Some(&RunFailure::Other)), []);
    }
}
