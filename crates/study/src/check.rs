//! An expectation held against what was measured.

use schemars::JsonSchema;
use serde::Serialize;

use crate::findings::TrialFindings;
use crate::outcome::Outcome;
use crate::{Claim, Expectation};

/// What came of one expectation.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "ExpectationCheck")]
pub struct Check {
    /// The trial.
    pub trial: String,
    /// Where the expectation comes from.
    pub source: String,
    /// What is looked at, such as `test_accuracy`.
    pub subject: String,
    /// What was expected.
    pub expected: String,
    /// What was measured: mean and spread, or one word per seed.
    pub measured: String,
    /// Measured less expected, where both are numbers.
    pub difference: Option<f64>,
    /// Greatest difference that counts as reproduced.
    pub tolerance: Option<f64>,
    /// Whether the study fails without it.
    pub must_hold: bool,
    /// Whether it holds. What could not be measured does not.
    pub holds: bool,
}

/// Holds one expectation against all trials.
pub(crate) fn check(expectation: &Expectation, trials: &[TrialFindings]) -> Check {
    let trial = trials.iter().find(|trial| trial.name == expectation.trial);
    let Expectation { trial: name, source, must_hold, claim } = expectation;
    let blank = Check {
        trial: name.clone(),
        source: source.clone(),
        subject: String::new(),
        expected: String::new(),
        measured: "not measured".to_owned(),
        difference: None,
        tolerance: None,
        must_hold: *must_hold,
        holds: false,
    };
    match claim {
        Claim::Figure { name, value, tolerance } => figure(blank, trial, name, *value, *tolerance),
        Claim::Verdict(verdict) => {
            let expected = verdict.as_str();
            let words = trial.map_or_else(Vec::new, |trial| {
                trial.seeds.iter().map(|seed| (seed.verdicts.contains(verdict), seed.words())).collect()
            });
            let holds = !words.is_empty() && words.iter().all(|(holds, _)| *holds);
            let measured = words.into_iter().map(|(_, words)| words).collect::<Vec<_>>().join("; ");
            Check { subject: "verdict".to_owned(), expected: expected.to_owned(), measured, holds, ..blank }
        }
        Claim::BetterThan { trial: other, by } => {
            let other = trials.iter().find(|trial| trial.name == *other);
            trial.zip(other).map_or(blank.clone(), |(trial, other)| better(blank, trial, other, *by))
        }
    }
}

fn figure(blank: Check, trial: Option<&TrialFindings>, name: &str, value: f64, tolerance: f64) -> Check {
    let digits = digits_of(name);
    let expected = format!("{value:.digits$}");
    let check = Check { subject: name.to_owned(), expected, tolerance: Some(tolerance), ..blank };
    let Some(spread) = trial.and_then(|trial| trial.figures.get(name)) else { return check };
    let difference = spread.mean - value;
    Check {
        measured: spread.shown(digits),
        difference: Some(difference),
        // Figures come with four decimals: a difference of exactly the tolerance is not to fail by rounding.
        holds: difference.abs() <= tolerance + 1e-9,
        ..check
    }
}

fn better(blank: Check, trial: &TrialFindings, other: &TrialFindings, by: f64) -> Check {
    let accuracy = |outcome: &Outcome| outcome.figure("test_accuracy").filter(|_| outcome.is_finished());
    let leads: Option<Vec<f64>> = trial
        .seeds
        .iter()
        .map(|seed| {
            let rival = other.seeds.iter().find(|rival| rival.outcome.seed == seed.outcome.seed)?;
            Some(accuracy(&seed.outcome)? - accuracy(&rival.outcome)?)
        })
        .collect();
    let check = Check {
        subject: "test_accuracy".to_owned(),
        expected: format!("above {} by {by}", other.name),
        ..blank
    };
    let Some(leads) = leads.filter(|leads| !leads.is_empty()) else { return check };
    let words: Vec<String> = leads.iter().map(|lead| format!("{lead:+.4}")).collect();
    let holds = leads.iter().all(|lead| *lead >= by && *lead > 0.0);
    Check { measured: words.join(", "), holds, ..check }
}

/// Decimals that a figure is shown with.
pub(crate) fn digits_of(figure: &str) -> usize {
    match figure {
        "seconds" => 1,
        "parameters" => 0,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Verdict;
    use crate::findings::tests::trial;

    fn holds(claim: Claim) -> (bool, String) {
        let trials = [trial("a", &[0.90, 0.92]), trial("b", &[0.80, 0.91])];
        let expectation = Expectation { trial: "a".into(), source: "test".into(), must_hold: true, claim };
        let check = check(&expectation, &trials);
        (check.holds, check.measured)
    }

    fn figure(name: &str, value: f64, tolerance: f64) -> Claim {
        Claim::Figure { name: name.to_owned(), value, tolerance }
    }

    #[test]
    fn a_figure_holds_within_its_tolerance() {
        assert_eq!(holds(figure("test_accuracy", 0.92, 0.01)), (true, "0.9100 ± 0.0141".into()));
        assert!(!holds(figure("test_accuracy", 0.93, 0.01)).0);
        assert_eq!(holds(figure("macro_auc", 0.93, 0.01)), (false, "not measured".into()));
    }

    #[test]
    fn a_verdict_must_hold_for_every_seed() {
        assert_eq!(holds(Claim::Verdict(Verdict::Fit)), (true, "fit; fit".into()));
        assert!(!holds(Claim::Verdict(Verdict::Overfit)).0);
    }

    #[test]
    fn better_means_better_with_every_seed() {
        let than = |by| Claim::BetterThan { trial: "b".into(), by };
        assert_eq!(holds(than(0.0)), (true, "+0.1000, +0.0100".into()));
        assert!(!holds(than(0.05)).0);
    }
}
