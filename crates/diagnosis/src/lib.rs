//! What a run's figures say of how it went, in words, and what to try.
//!
//! The metric log decides; nothing is read and nothing is measured here. Each kind of finding has its
//! thresholds beside it, with why they are where they are. A run that went well has no findings. This crate knows neither
//! Burn nor how a report looks.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails to set itself up shall panic"))]

mod case;
mod diverging;
mod exploding;
mod inactive;
mod layers;
mod linear;
mod loss_jumps;
mod no_skill;
mod non_finite;
mod overfit;
mod remedies;
mod series;
#[cfg(test)]
mod test_log;
mod underfit;
mod vanishing;

use std::fmt;

use kiln_artifacts::{MetricRow, RunFailure};
use kiln_config::Experiment;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{Display, IntoStaticStr};

pub use layers::{Layer, layers};
pub use remedies::Remedy;

use case::Case;

/// Something that a run's figures say of how it went.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// How much it matters.
    pub severity: Severity,
    /// What was found, with the figures: whole sentences.
    pub statement: String,
    /// What to try, the most promising first; what the experiment has set already is left out. Empty where there is
    /// nothing to try.
    pub remedies: Vec<Remedy>,
    /// The figures that decided, by name; all are finite.
    pub evidence: Vec<(String, f64)>,
}

/// What can be found in a run.
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
    /// A loss or a gradient became NaN or infinite.
    NonFinite,
    /// Gradients or weights grew by orders of magnitude.
    Exploding,
    /// The first layer's gradient is tiny beside the last layer's.
    Vanishing,
    /// Units are zero for every example.
    DeadUnits,
    /// Units are at the flat ends of their activation.
    SaturatedUnits,
    /// The loss leapt up between two intervals.
    LossJumps,
    /// The loss lost what it had gained.
    Diverging,
    /// Nothing that was tried is better than always naming the most frequent class.
    NoSkill,
    /// A longer or a larger training would gain.
    Underfit,
    /// Validation became worse while the network went on learning.
    Overfit,
    /// A linear model of the same features is better.
    NoBetterThanLinear,
}

impl FindingKind {
    /// The word, as files have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// How much a finding matters.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Good to know; the run is of use.
    Info,
    /// The run would be better without it.
    Warning,
    /// The run ended, or learned next to nothing.
    Failure,
}

/// All of a run that is judged.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The metric log.
    pub rows: &'a [MetricRow],
    /// What its test found, where there was one.
    pub tested: Option<&'a Tested>,
    /// Its experiment.
    pub experiment: &'a Experiment,
    /// Why it failed, where it did.
    pub failure: Option<&'a RunFailure>,
}

/// What a test of the network found.
#[derive(Clone, Debug, PartialEq)]
pub struct Tested {
    /// The share of examples predicted right, in [0, 1].
    pub accuracy: f64,
    /// Examples of each class.
    pub supports: Vec<u64>,
    /// The step whose network was tested, where that is known.
    pub step: Option<u64>,
    /// What comes of always naming the most frequent class, where that was asked.
    pub guess: Option<SimpleModel>,
    /// What a linear model makes of the same examples, where one was fitted.
    pub linear: Option<SimpleModel>,
}

/// What a model that needs no network makes of the test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SimpleModel {
    /// The share of examples that it predicts right, in [0, 1].
    pub accuracy: f64,
    /// Its log-loss.
    pub log_loss: f64,
    /// How far the network's accuracy is above its own: below 0 where it is behind.
    pub accuracy_gain: Difference,
    /// How far the network's log-loss is below its own.
    pub log_loss_gain: Difference,
}

/// The mean over examples of a difference between two models.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// The mean.
    pub mean: f64,
    /// The lower end of its interval of 95 %, which is the mean and 1.96 standard errors.
    pub lower: f64,
    /// The upper end.
    pub upper: f64,
}

impl Tested {
    fn examples(&self) -> u64 {
        self.supports.iter().sum()
    }
}

/// Everything that the figures of a run say against it, causes before effects; that there is nothing to learn comes first.
///
/// Underfitting and overfitting are not looked for in a run that failed: it was not trained to its end.
#[must_use]
pub fn findings(record: &Record<'_>) -> Vec<Finding> {
    let case = Case::new(record);
    let mut findings = Vec::new();
    findings.extend(non_finite::find(&case));
    let is_non_finite = !findings.is_empty();
    findings.extend(exploding::find(&case, is_non_finite));
    findings.extend(inactive::dead(&case));
    findings.extend(small_gradients(&case));
    findings.extend(loss_jumps::find(&case));
    if !is_non_finite {
        findings.extend(diverging::find(&case));
    }
    if record.failure.is_none() {
        match fit(&case, &findings) {
            // Where there is nothing to learn, whatever else is found comes of it.
            Some(finding) if finding.kind == FindingKind::NoSkill => findings.insert(0, finding),
            finding => findings.extend(finding),
        }
    }
    findings
}

/// Saturated units and vanishing gradients, the one that was there first before the other, which it explains.
fn small_gradients(case: &Case<'_>) -> Vec<Finding> {
    let (saturated, vanishing) = (inactive::saturated(case), vanishing::find(case));
    match (saturated, vanishing) {
        (Some(saturated), Some(vanishing)) if inactive::began_saturated(case) => {
            vec![saturated, vanishing.explained_by(FindingKind::SaturatedUnits)]
        }
        (Some(saturated), Some(vanishing)) => vec![vanishing, saturated.explained_by(FindingKind::Vanishing)],
        (saturated, vanishing) => saturated.into_iter().chain(vanishing).collect(),
    }
}

/// How well the network fits; `causes` are the findings that may explain it. At most one of these: where there is nothing to
/// learn, or learning went wrong, the rest follows; and who gets worse on new examples has learned enough.
fn fit(case: &Case<'_>, causes: &[Finding]) -> Option<Finding> {
    no_skill::find(case, causes)
        .or_else(|| overfit::find(case, causes))
        .or_else(|| underfit::find(case, causes))
        .or_else(|| linear::find(case, causes))
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

    /// What to try, in words: `a, b or c`; empty where there is nothing to try.
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
    use super::*;
    use crate::test_log::{TestLog, record};

    #[test]
    fn a_run_that_went_well_has_no_findings() {
        let log = TestLog::healthy();
        assert_eq!(findings(&record(&log, &Experiment::default())), []);
        assert_eq!(findings(&record(&TestLog::default(), &Experiment::default())), []);
    }

    #[test]
    fn a_finding_is_its_kind_what_was_found_and_what_to_try() {
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
            let found = findings(&Record { failure, ..record(&log, &Experiment::default()) });
            found.into_iter().map(|finding| finding.kind).collect()
        };
        assert_eq!(kinds(None), [FindingKind::Underfit]);
        assert_eq!(kinds(Some(&RunFailure::Other)), []);
    }
}
