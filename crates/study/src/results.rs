//! The results of a study of listed trials, as `study.json` stores them, and its expectations compared with them.

use std::collections::BTreeMap;

use kiln_artifacts::{Machine, Run, Timestamp};
use kiln_config::{Activation, Experiment};
use schemars::JsonSchema;
use serde::Serialize;

use crate::outcome::{Collapse, TrialOutcome, Verdict, VerdictRules, collapse, verdicts_of};
use crate::plan::{Claim, Expectation, Plan};
use crate::ranking::{PairedTest, RankedTrial, Spread, figure_spread, of_trial, shared_traces, standings};

/// The results of a study.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "StudyFindings")]
pub struct StudyResults {
    /// The study's name.
    pub study: String,
    /// What the study shows, in its file's words.
    pub about: String,
    /// Kiln's version.
    pub kiln: &'static str,
    /// The time of writing.
    #[schemars(with = "String")]
    pub written: Timestamp,
    /// The machine.
    pub machine: Machine,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// The number of folds of a cross-validation; null without one.
    pub folds: Option<u64>,
    /// Thresholds of the verdicts.
    pub rules: VerdictRules,
    /// The trials, the best first.
    pub trials: Vec<TrialResults>,
    /// Trials whose metric logs are equal byte for byte at every seed.
    pub shared_traces: Vec<Vec<String>>,
    /// The expectations, in the file's order.
    pub checks: Vec<ExpectationCheck>,
    /// Whether the study was stopped before all trials were done.
    pub was_stopped: bool,
}

/// The results of one trial.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "TrialFindings")]
pub struct TrialResults {
    /// Its name.
    pub name: String,
    /// Its number in the file, from 1.
    pub number: usize,
    /// Its settings: dotted keys and values as TOML.
    pub settings: Vec<(String, String)>,
    /// Its whole experiment, with the first seed.
    #[serde(skip)]
    pub experiment: Experiment,
    /// Rank by mean test accuracy, from 1; tied trials share one.
    pub rank: Option<usize>,
    /// Whether other trials share the rank.
    pub is_tied: bool,
    /// The paired test that decided the rank, and the other trial's name.
    pub test: Option<(String, PairedTest)>,
    /// Figures by name over the finished seeds.
    pub figures: BTreeMap<String, Spread>,
    /// Each seed.
    pub seeds: Vec<SeedResults>,
}

/// The results of one trial with one seed.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "SeedFindings")]
pub struct SeedResults {
    /// Its outcome.
    #[serde(flatten)]
    pub outcome: TrialOutcome,
    /// Its verdicts.
    pub verdicts: Vec<Verdict>,
    /// How close the network is to one linear layer, if it has no activations.
    pub collapse: Option<Collapse>,
}

impl StudyResults {
    pub(crate) fn of(plan: &Plan, outcomes: &[TrialOutcome], was_stopped: bool) -> Self {
        let trials = ranked_trials(plan, outcomes);
        let name = |trial: usize| plan.trials[trial].name.clone();
        let shared = shared_traces(outcomes, plan.trials.len());
        let shared_traces = shared.into_iter().map(|group| group.into_iter().map(name).collect()).collect();
        let checks = plan.expectations.iter().map(|expectation| check(expectation, &trials)).collect();
        Self {
            study: plan.name.clone(),
            about: plan.about.clone(),
            kiln: env!("CARGO_PKG_VERSION"),
            written: Timestamp::now(),
            machine: Machine::detect(),
            seeds: plan.seeds.clone(),
            folds: plan.folds,
            rules: plan.rules,
            trials,
            shared_traces,
            checks,
            was_stopped,
        }
    }

    /// What the means are over, in words: seeds or folds.
    pub(crate) fn over(&self) -> String {
        match (self.folds, self.seeds.len()) {
            (Some(folds), runs) if runs as u64 == folds => format!("{folds} folds"),
            (Some(folds), runs) => format!("{} times {folds} folds", runs as u64 / folds),
            (None, 1) => "one seed".to_owned(),
            (None, seeds) => format!("{seeds} seeds"),
        }
    }

    /// Whether every trial is finished with every seed.
    pub(crate) fn is_complete(&self) -> bool {
        let is_done = |trial: &TrialResults| {
            trial.seeds.len() == self.seeds.len() && trial.seeds.iter().all(|seed| seed.outcome.is_finished())
        };
        !self.was_stopped && self.trials.iter().all(is_done)
    }

    /// The expectations that must hold and do not.
    pub fn broken(&self) -> impl Iterator<Item = &ExpectationCheck> {
        self.checks.iter().filter(|check| check.must_hold && !check.holds)
    }

    /// Trials with a failed seed that no expectation allows for.
    pub fn failed(&self) -> impl Iterator<Item = &TrialResults> {
        let expected = |trial: &TrialResults| {
            self.checks.iter().any(|check| {
                check.trial == trial.name
                    && check.holds
                    && ["failed", "exploding"].contains(&check.expected.as_str())
            })
        };
        self.trials.iter().filter(move |trial| trial.error().is_some() && !expected(trial))
    }

    /// Whether test predictions were stored, so that ties could be tested.
    pub(crate) fn has_paired_tests(&self) -> bool {
        self.trials.iter().any(|trial| trial.test.is_some())
    }
}

impl TrialResults {
    /// The mean of a figure over the finished seeds.
    #[must_use]
    pub fn mean(&self, figure: &str) -> Option<f64> {
        self.figures.get(figure).map(|spread| spread.mean)
    }

    /// The error of its first failed seed.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        let failed = |seed: &SeedResults| seed.verdicts.contains(&Verdict::Failed);
        let seed = self.seeds.iter().find(|seed| failed(seed))?;
        Some(seed.outcome.error.as_deref().unwrap_or("for a reason that was not recorded"))
    }

    /// Its verdicts in words: once if all seeds agree, otherwise each with its number of seeds.
    #[must_use]
    pub fn verdict(&self) -> String {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for seed in &self.seeds {
            *counts.entry(seed.words()).or_default() += 1;
        }
        match counts.len() {
            1 => counts.into_keys().collect(),
            _ => counts
                .iter()
                .map(|(words, count)| format!("{words} ({count})"))
                .collect::<Vec<_>>()
                .join(", "),
        }
    }

    /// Whether every seed has this verdict.
    pub(crate) fn is(&self, verdict: Verdict) -> bool {
        !self.seeds.is_empty() && self.seeds.iter().all(|seed| seed.verdicts.contains(&verdict))
    }
}

impl SeedResults {
    /// The verdicts; `not done` without any.
    #[must_use]
    pub fn words(&self) -> String {
        if self.verdicts.is_empty() {
            return "not done".to_owned();
        }
        self.verdicts.iter().map(|verdict| verdict.as_str()).collect::<Vec<_>>().join(" + ")
    }
}

fn ranked_trials(plan: &Plan, outcomes: &[TrialOutcome]) -> Vec<TrialResults> {
    let best = best_by_seed(outcomes);
    let standings = standings(outcomes, plan.trials.len(), plan.folds);
    standings.into_iter().map(|standing| trial_results(plan, outcomes, &best, standing)).collect()
}

fn trial_results(
    plan: &Plan,
    outcomes: &[TrialOutcome],
    best: &BTreeMap<u64, f64>,
    standing: RankedTrial,
) -> TrialResults {
    let RankedTrial { trial: number, rank, is_tied, test } = standing;
    let trial = &plan.trials[number];
    let seeds: Vec<SeedResults> = of_trial(outcomes, number)
        .zip(&trial.experiments)
        .map(|(outcome, experiment)| {
            let collapse = collapse_of(outcome, experiment);
            let best = best.get(&outcome.seed).copied();
            let verdicts = verdicts_of(outcome, best, collapse.as_ref(), &plan.rules);
            SeedResults { outcome: outcome.clone(), verdicts, collapse }
        })
        .collect();
    let names: Vec<&String> = seeds.iter().flat_map(|seed| seed.outcome.figures.keys()).collect();
    let figures =
        names.into_iter().filter_map(|name| Some((name.clone(), figure_spread(outcomes, number, name)?)));
    TrialResults {
        name: trial.name.clone(),
        number: number + 1,
        settings: trial.settings.clone(),
        experiment: trial.experiments[0].clone(),
        rank,
        is_tied,
        test: test.map(|test| (plan.trials[test.other].name.clone(), test)),
        figures: figures.collect(),
        seeds,
    }
}

fn best_by_seed(outcomes: &[TrialOutcome]) -> BTreeMap<u64, f64> {
    let mut best = BTreeMap::new();
    for outcome in outcomes.iter().filter(|outcome| outcome.is_finished()) {
        let accuracy = outcome.figure("test_accuracy").unwrap_or(f64::NEG_INFINITY);
        let entry: &mut f64 = best.entry(outcome.seed).or_insert(f64::NEG_INFINITY);
        *entry = entry.max(accuracy);
    }
    best
}

/// Only a network with hidden layers and without activations collapses.
fn collapse_of(outcome: &TrialOutcome, experiment: &Experiment) -> Option<Collapse> {
    let model = &experiment.model;
    let is_candidate = model.activation == Activation::Identity && !model.hidden.is_empty();
    let folder = outcome.run.as_ref().filter(|_| is_candidate && outcome.is_finished())?;
    collapse(&Run::open(folder).ok()?, experiment)
}

/// An expectation compared with the results.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ExpectationCheck {
    /// The trial.
    pub trial: String,
    /// Where the expectation comes from.
    pub source: String,
    /// What is compared, such as `test_accuracy`.
    pub subject: String,
    /// The expected value or word.
    pub expected: String,
    /// The measured value: mean and standard deviation, or one word for each seed.
    pub measured: String,
    /// Measured minus expected, if both are numbers.
    pub difference: Option<f64>,
    /// The greatest difference that counts as reproduced.
    pub tolerance: Option<f64>,
    /// Whether the study fails if it does not hold.
    pub must_hold: bool,
    /// Whether it holds. It does not if it could not be measured.
    pub holds: bool,
}

/// Compares one expectation with the results.
fn check(expectation: &Expectation, trials: &[TrialResults]) -> ExpectationCheck {
    let trial = trials.iter().find(|trial| trial.name == expectation.trial);
    let Expectation { trial: name, source, must_hold, claim } = expectation;
    let blank = ExpectationCheck {
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
        Claim::Figure { name, value, tolerance } => check_figure(blank, trial, name, *value, *tolerance),
        Claim::Verdict(verdict) => {
            let expected = verdict.as_str();
            let words = trial.map_or_else(Vec::new, |trial| {
                trial.seeds.iter().map(|seed| (seed.verdicts.contains(verdict), seed.words())).collect()
            });
            let holds = !words.is_empty() && words.iter().all(|(holds, _)| *holds);
            let measured = words.into_iter().map(|(_, words)| words).collect::<Vec<_>>().join("; ");
            ExpectationCheck {
                subject: "verdict".to_owned(),
                expected: expected.to_owned(),
                measured,
                holds,
                ..blank
            }
        }
        Claim::BetterThan { trial: other, by } => {
            let other = trials.iter().find(|trial| trial.name == *other);
            trial.zip(other).map_or(blank.clone(), |(trial, other)| check_better(blank, trial, other, *by))
        }
    }
}

fn check_figure(
    blank: ExpectationCheck,
    trial: Option<&TrialResults>,
    name: &str,
    value: f64,
    tolerance: f64,
) -> ExpectationCheck {
    let digits = digits_of(name);
    let expected = format!("{value:.digits$}");
    let check = ExpectationCheck { subject: name.to_owned(), expected, tolerance: Some(tolerance), ..blank };
    let Some(spread) = trial.and_then(|trial| trial.figures.get(name)) else { return check };
    let difference = spread.mean - value;
    ExpectationCheck {
        measured: spread.shown(digits),
        difference: Some(difference),
        // Expected figures have four decimals: a difference of exactly the tolerance must not fail by rounding.
        holds: difference.abs() <= tolerance + 1e-9,
        ..check
    }
}

fn check_better(
    blank: ExpectationCheck,
    trial: &TrialResults,
    other: &TrialResults,
    by: f64,
) -> ExpectationCheck {
    let accuracy = |outcome: &TrialOutcome| outcome.figure("test_accuracy").filter(|_| outcome.is_finished());
    let leads: Option<Vec<f64>> = trial
        .seeds
        .iter()
        .map(|seed| {
            let rival = other.seeds.iter().find(|rival| rival.outcome.seed == seed.outcome.seed)?;
            Some(accuracy(&seed.outcome)? - accuracy(&rival.outcome)?)
        })
        .collect();
    let check = ExpectationCheck {
        subject: "test_accuracy".to_owned(),
        expected: format!("above {} by {by}", other.name),
        ..blank
    };
    let Some(leads) = leads.filter(|leads| !leads.is_empty()) else { return check };
    let words: Vec<String> = leads.iter().map(|lead| format!("{lead:+.4}")).collect();
    let holds = leads.iter().all(|lead| *lead >= by && *lead > 0.0);
    ExpectationCheck { measured: words.join(", "), holds, ..check }
}

/// The number of decimals in the text of a figure.
fn digits_of(figure: &str) -> usize {
    match figure {
        "seconds" => 1,
        "parameters" => 0,
        _ => 4,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::outcome::Verdict;
    use crate::outcome::tests::outcome;

    /// A trial with the verdict `fit`, with one finished seed for each test accuracy.
    pub(crate) fn trial(name: &str, accuracies: &[f64]) -> TrialResults {
        let seed = |(seed, &accuracy): (u64, &f64)| {
            let mut outcome = outcome(&[("test_accuracy", accuracy), ("train_accuracy", accuracy)]);
            outcome.seed = seed;
            SeedResults { outcome, verdicts: vec![Verdict::Fit], collapse: None }
        };
        let figures = [("test_accuracy", Spread::of(accuracies)), ("train_accuracy", Spread::of(accuracies))];
        TrialResults {
            name: name.to_owned(),
            number: 1,
            settings: Vec::new(),
            experiment: Experiment { name: name.to_owned(), ..Experiment::default() },
            rank: Some(1),
            is_tied: false,
            test: None,
            figures: figures
                .into_iter()
                .filter_map(|(name, spread)| Some((name.to_owned(), spread?)))
                .collect(),
            seeds: (0..).zip(accuracies).map(seed).collect(),
        }
    }

    /// A study of these trials without expectations.
    pub(crate) fn study_results(trials: Vec<TrialResults>) -> StudyResults {
        StudyResults {
            study: "a study".to_owned(),
            about: String::new(),
            kiln: "1.0.0",
            written: Timestamp::UNIX_EPOCH,
            machine: Machine::detect(),
            seeds: vec![0],
            folds: None,
            rules: VerdictRules::default(),
            trials,
            shared_traces: Vec::new(),
            checks: Vec::new(),
            was_stopped: false,
        }
    }

    #[test]
    fn seeds_that_agree_are_named_once() {
        let mut trial = trial("a", &[0.9, 0.8, 0.7]);
        assert_eq!(trial.verdict(), "fit");
        trial.seeds[1].verdicts = vec![Verdict::Underfit, Verdict::Vanishing];
        assert_eq!(trial.verdict(), "fit (2), underfit + vanishing (1)");
    }

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
