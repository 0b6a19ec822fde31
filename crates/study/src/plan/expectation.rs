//! What a study is held to: `[[expect]]`.

use kiln_config::{Located, Problem};
use serde::{Deserialize, Serialize};

use super::file::{ExpectTable, OneOrMore, StudyFile};
use crate::Verdict;
use crate::outcome::figures_of_predictions;

/// One thing that is expected of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expectation {
    /// The trial's name.
    pub trial: String,
    /// Where the expectation comes from, such as `published`.
    pub source: String,
    /// Whether the study fails where it is not met.
    pub must_hold: bool,
    /// What is expected.
    pub claim: Claim,
}

/// What can be expected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// The mean of a figure over the seeds is near a value.
    Figure {
        /// The figure, such as `test_accuracy`.
        name: String,
        /// The value.
        value: f64,
        /// Greatest distance that still counts as reproduced.
        tolerance: f64,
    },
    /// Every seed gets this verdict.
    Verdict(Verdict),
    /// Every seed's test accuracy is above another trial's of the same seed.
    BetterThan {
        /// The other trial.
        trial: String,
        /// By at least so much, as a share of the examples.
        by: f64,
    },
}

/// The figures of a run that are no figures of its predictions.
const RUN_FIGURES: [&str; 10] = [
    "test_accuracy",
    "test_loss",
    "dropout_active_accuracy",
    "dropout_active_loss",
    "train_accuracy",
    "train_loss",
    "validation_accuracy",
    "validation_loss",
    "seconds",
    "parameters",
];

/// The figures that an expectation can name.
fn figures() -> Vec<&'static str> {
    RUN_FIGURES.into_iter().chain(figures_of_predictions()).collect()
}

/// What each expectation of the file claims.
pub(super) fn expectations(
    file: &Located<StudyFile>,
    trials: &[&str],
    problems: &mut Vec<Problem>,
) -> Vec<Expectation> {
    let (mut expectations, known) = (Vec::new(), figures());
    for (index, table) in file.value.expect.iter().enumerate() {
        let at = format!("expect[{index}]");
        for (key, trial) in [("trial", Some(&table.trial)), ("better_than", table.better_than.as_ref())] {
            if let Some(trial) = trial.filter(|trial| !trials.contains(&trial.as_str())) {
                problems.push(file.unknown_name(&format!("{at}.{key}"), trial, trials));
            }
        }
        for name in table.figures.keys().filter(|name| !known.contains(&name.as_str())) {
            problems.push(file.unknown_name(&format!("{at}.figures"), name, &known));
        }
        if !table.figures.is_empty() && table.tolerance.is_none() {
            problems.push(file.problem(&format!("{at}.figures"), "`figures` need a `tolerance`".to_owned()));
        }
        let claims = claims(table);
        if claims.is_empty() && table.figures.is_empty() {
            let message = "nothing is expected: give `figures`, `verdict` or `better_than`".to_owned();
            problems.push(file.problem(&at, message));
        }
        expectations.extend(claims.into_iter().map(|claim| Expectation {
            trial: table.trial.clone(),
            source: table.source.clone().unwrap_or_else(|| "expected".to_owned()),
            must_hold: table.must_hold.unwrap_or(true),
            claim,
        }));
    }
    expectations
}

fn claims(table: &ExpectTable) -> Vec<Claim> {
    let tolerance = table.tolerance.unwrap_or_default();
    let figures =
        table.figures.iter().map(|(name, &value)| Claim::Figure { name: name.clone(), value, tolerance });
    let verdicts = table.verdict.as_ref().map_or(&[][..], OneOrMore::as_slice);
    let better = table
        .better_than
        .iter()
        .map(|trial| Claim::BetterThan { trial: trial.clone(), by: table.by.unwrap_or_default() });
    figures.chain(verdicts.iter().map(|verdict| Claim::Verdict(*verdict))).chain(better).collect()
}
