//! What can be said of a trial with one seed, from its figures alone.

use kiln_diagnosis::FindingKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::outcome::{CellState, Outcome};
use crate::{Collapse, Rules};

/// A word for how a trial went.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Verdict {
    /// Worse than the best trial, also on what it was trained on.
    Underfit,
    /// Near the best trial, and as good on new examples as on those it was trained on.
    Fit,
    /// Better on what it was trained on than on new examples.
    Overfit,
    /// The run has the finding `vanishing`.
    Vanishing,
    /// The run has the finding `exploding` or `non-finite`.
    Exploding,
    /// One linear layer does the same.
    Linear,
    /// The run failed.
    Failed,
}

impl Verdict {
    /// The word, as files have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Difference of a deep linear network's outputs from those of one layer, as a share of the greatest output,
/// that 32-bit rounding explains.
const ROUNDING: f64 = 1e-4;

/// Everything that holds of `outcome`; `best` is the best test accuracy of any trial with its seed.
pub(crate) fn verdicts(
    outcome: &Outcome,
    best: Option<f64>,
    collapse: Option<&Collapse>,
    rules: &Rules,
) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    verdicts.extend(fit(outcome, best, rules));
    if outcome.has(FindingKind::Vanishing) {
        verdicts.push(Verdict::Vanishing);
    }
    if outcome.has(FindingKind::Exploding) || outcome.has(FindingKind::NonFinite) {
        verdicts.push(Verdict::Exploding);
    }
    if collapse.is_some_and(|collapse| collapse.relative_difference <= ROUNDING) {
        verdicts.push(Verdict::Linear);
    }
    if outcome.state == CellState::Failed {
        verdicts.push(Verdict::Failed);
    }
    verdicts
}

/// Training accuracy less test accuracy, and the name of the test figure. Training figures are measured with
/// dropout active, so the test figure with dropout active is the one beside them, where there is one.
pub(crate) fn gap(outcome: &Outcome) -> Option<(f64, &'static str)> {
    let train = outcome.figure("train_accuracy")?;
    let name = ["dropout_active_accuracy", "test_accuracy"];
    let name = name.into_iter().find(|name| outcome.figure(name).is_some())?;
    Some((train - outcome.figure(name)?, name))
}

fn fit(outcome: &Outcome, best: Option<f64>, rules: &Rules) -> Option<Verdict> {
    if !outcome.is_finished() {
        return None;
    }
    let (gap, _) = gap(outcome)?;
    let is_below = |name: &str| Some(best? - outcome.figure(name)? > rules.underfit_margin);
    let (test_is_below, train_is_below) = (is_below("test_accuracy")?, is_below("train_accuracy")?);
    Some(if test_is_below && train_is_below {
        Verdict::Underfit
    } else if gap > rules.overfit_gap || outcome.has(FindingKind::Overfit) {
        Verdict::Overfit
    } else if test_is_below {
        Verdict::Underfit
    } else {
        Verdict::Fit
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::tests::{finding, outcome};

    fn words(outcome: &Outcome) -> Vec<&'static str> {
        verdicts(outcome, Some(0.95), None, &Rules::default()).into_iter().map(Verdict::as_str).collect()
    }

    #[test]
    fn accuracies_decide_between_underfit_fit_and_overfit() {
        for (train, test, expected) in
            [(0.80, 0.80, "underfit"), (0.96, 0.94, "fit"), (1.0, 0.94, "overfit"), (0.9, 0.8, "underfit")]
        {
            assert_eq!(words(&outcome(&[("train_accuracy", train), ("test_accuracy", test)])), [expected]);
        }
    }

    #[test]
    fn training_figures_are_held_to_the_test_figures_with_dropout_active() {
        let figures = [("train_accuracy", 0.93), ("test_accuracy", 0.94), ("dropout_active_accuracy", 0.80)];
        assert_eq!(words(&outcome(&figures)), ["overfit"]);
    }

    #[test]
    fn gradients_and_failures_have_words_of_their_own() {
        let mut vanishing = outcome(&[("train_accuracy", 0.1), ("test_accuracy", 0.1)]);
        vanishing.findings = vec![finding(FindingKind::Vanishing)];
        assert_eq!(words(&vanishing), ["underfit", "vanishing"]);
        let mut failed = outcome(&[]);
        failed.state = CellState::Failed;
        assert_eq!(words(&failed), ["failed"]);
        failed.findings = vec![finding(FindingKind::NonFinite)];
        assert_eq!(words(&failed), ["exploding", "failed"]);
    }
}
