//! What a run's figures say of how it went, in words, and what to try.
//!
//! The metric log decides; nothing is read and nothing is measured here. Each kind of finding has its
//! thresholds beside it, with why they are where they are. A run that went well has no findings.

mod case;
mod diverging;
mod exploding;
mod inactive;
mod loss_jumps;
mod non_finite;
mod overfit;
mod remedies;
mod series;
#[cfg(test)]
mod test_log;
mod underfit;
mod vanishing;

use std::fmt;

use kiln_artifacts::MetricRow;
use kiln_config::Experiment;
use serde::{Deserialize, Serialize};

use crate::Metrics;
use case::Case;
pub(crate) use case::layer_names;

/// Something that a run's figures say of how it went.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// How much it matters.
    pub severity: Severity,
    /// What was found, with the figures: whole sentences.
    pub statement: String,
    /// What to try, with the config keys that do it; what the experiment has set already is left out. A part
    /// of a sentence without its full stop, empty where there is nothing to try.
    pub remedy: String,
    /// The figures that decided, by name; all are finite.
    pub evidence: Vec<(String, f64)>,
}

/// What can be found in a run.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// A loss or a gradient was no finite number.
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
    /// The network is poor on what it was trained on.
    Underfit,
    /// The network is better on what it was trained on than on new examples.
    Overfit,
}

impl FindingKind {
    const WORDS: [&'static str; 9] = [
        "non-finite",
        "exploding",
        "vanishing",
        "dead-units",
        "saturated-units",
        "loss-jumps",
        "diverging",
        "underfit",
        "overfit",
    ];

    /// The word, as files have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::WORDS[self as usize]
    }
}

/// How much a finding matters.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Good to know; the run is of use.
    Info,
    /// The run would be better without it.
    Warning,
    /// The run ended, or learned next to nothing.
    Failure,
}

/// Everything that the figures of a run say against it, causes before effects.
///
/// `rows` is the metric log, `test` the test figures where there are any, `error` why the run failed, where it
/// did. Underfitting and overfitting are not looked for in a run that failed: it was not trained to its end.
#[must_use]
pub fn findings(
    rows: &[MetricRow],
    test: Option<&Metrics>,
    experiment: &Experiment,
    error: Option<&str>,
) -> Vec<Finding> {
    let case = Case::new(rows, test, experiment, error);
    let mut findings = Vec::new();
    findings.extend(non_finite::find(&case));
    let is_non_finite = !findings.is_empty();
    findings.extend(exploding::find(&case, is_non_finite));
    let inactive = inactive::find(&case);
    let is_saturated = inactive.iter().any(|finding| finding.kind == FindingKind::SaturatedUnits);
    findings.extend(inactive);
    findings.extend(vanishing::find(&case, is_saturated));
    findings.extend(loss_jumps::find(&case));
    if !is_non_finite {
        findings.extend(diverging::find(&case));
    }
    if error.is_none() {
        findings.extend(fit(&case, &findings));
    }
    findings
}

/// How well the network fits; `causes` are the findings that may explain it. A gap means that the network
/// could learn what it was given, so only one that learned nothing else is said to underfit as well.
fn fit(case: &Case<'_>, causes: &[Finding]) -> Vec<Finding> {
    let overfit = overfit::find(case);
    let has_gap = overfit.as_ref().is_some_and(|finding| finding.severity > Severity::Info);
    let underfit = underfit::find(case, causes);
    let underfit = underfit.filter(|finding| !has_gap || finding.severity == Severity::Failure);
    underfit.into_iter().chain(overfit).collect()
}

impl Finding {
    fn new(
        kind: FindingKind,
        severity: Severity,
        statement: String,
        remedy: String,
        evidence: &[(&str, f64)],
    ) -> Self {
        let finite = evidence.iter().filter(|(_, value)| value.is_finite());
        let evidence = finite.map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Self { kind, severity, statement, remedy, evidence }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.kind, self.statement)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(formatter, " Try: {}.", self.remedy) }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::test_log::TestLog;
    use super::*;

    #[test]
    fn a_run_that_went_well_has_no_findings() {
        let log = TestLog::healthy();
        assert_eq!(findings(&log.rows, None, &Experiment::default(), None), []);
        assert_eq!(findings(&[], None, &Experiment::default(), None), []);
    }

    #[test]
    fn a_finding_is_its_kind_what_was_found_and_what_to_try() {
        let evidence = [("validation_accuracy", 0.8), ("lost", f64::NAN)];
        let remedy = "model.dropout=0.2".to_owned();
        let statement = "A gap of 0.2.".to_owned();
        let finding = Finding::new(FindingKind::Overfit, Severity::Warning, statement, remedy, &evidence);
        assert_eq!(finding.to_string(), "overfit: A gap of 0.2. Try: model.dropout=0.2.");
        let json = serde_json::to_string(&finding).unwrap();
        let evidence = r#""evidence":[["validation_accuracy",0.8]]"#;
        assert!(json.contains(evidence) && json.contains(r#""severity":"warning""#), "{json}");
        assert_eq!(serde_json::from_str::<Finding>(&json).unwrap(), finding);
    }

    #[test]
    fn every_kind_has_the_same_word_on_screen_and_in_files() {
        for word in FindingKind::WORDS {
            let kind: FindingKind = serde_json::from_value(word.into()).unwrap();
            assert_eq!(kind.as_str(), word);
        }
    }

    #[test]
    fn a_failed_run_is_not_judged_by_its_fit() {
        let log = TestLog::default().epochs(&[(2.3, 0.1), (2.3, 0.1), (2.3, 0.1)]);
        let kinds = |error| -> Vec<FindingKind> {
            let found = findings(&log.rows, None, &Experiment::default(), error);
            found.into_iter().map(|finding| finding.kind).collect()
        };
        assert_eq!(kinds(None), [FindingKind::Underfit]);
        assert_eq!(kinds(Some("no space left on device")), []);
    }
}
