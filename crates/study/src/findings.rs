//! Everything that a study found, as `study.json` keeps it.

use std::collections::BTreeMap;

use kiln_artifacts::{Machine, Run, Timestamp};
use kiln_config::{Activation, Experiment};
use schemars::JsonSchema;
use serde::Serialize;

use crate::check::{Check, check};
use crate::outcome::Outcome;
use crate::standing::{PairedTest, Standing, of_trial, shared_traces, spread, standings};
use crate::verdict::verdicts;
use crate::{Collapse, Plan, Rules, Spread, Verdict, collapse};

/// What a study found.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "StudyFindings")]
pub struct Findings {
    /// The study's name.
    pub study: String,
    /// What it shows, in its file's words.
    pub about: String,
    /// Kiln's version.
    pub kiln: &'static str,
    /// When this was written.
    #[schemars(with = "String")]
    pub written: Timestamp,
    /// The machine.
    pub machine: Machine,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// Into how many parts the examples were dealt, where each was the test data once; null where seeds were named.
    pub folds: Option<u64>,
    /// Thresholds of the verdicts.
    pub rules: Rules,
    /// The trials, the best first.
    pub trials: Vec<TrialFindings>,
    /// Trials whose metric logs are equal byte for byte at every seed.
    pub shared_traces: Vec<Vec<String>>,
    /// The expectations, in the file's order.
    pub checks: Vec<Check>,
    /// Whether the study was stopped before all trials were done.
    pub was_stopped: bool,
}

/// What was found of one trial.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TrialFindings {
    /// Its name.
    pub name: String,
    /// Its number in the file, from 1.
    pub number: usize,
    /// What it sets: dotted keys and values as TOML.
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
    pub seeds: Vec<SeedFindings>,
}

/// What was found of one trial with one seed.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SeedFindings {
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What can be said of it.
    pub verdicts: Vec<Verdict>,
    /// How near it is to one linear layer, where it has no activations.
    pub collapse: Option<Collapse>,
}

impl Findings {
    pub(crate) fn of(plan: &Plan, outcomes: &[Outcome], was_stopped: bool) -> Self {
        let trials = ranked(plan, outcomes);
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

    /// What the figures are means over, in words: seeds, or parts of the examples.
    pub(crate) fn over(&self) -> String {
        match (self.folds, self.seeds.len()) {
            (Some(folds), runs) if runs as u64 == folds => format!("{folds} folds"),
            (Some(folds), runs) => format!("{} times {folds} folds", runs as u64 / folds),
            (None, 1) => "one seed".to_owned(),
            (None, seeds) => format!("{seeds} seeds"),
        }
    }

    /// Whether every trial has come to its end with every seed.
    pub(crate) fn is_complete(&self) -> bool {
        let is_done = |trial: &TrialFindings| {
            trial.seeds.len() == self.seeds.len() && trial.seeds.iter().all(|seed| seed.outcome.is_finished())
        };
        !self.was_stopped && self.trials.iter().all(is_done)
    }

    /// Every expectation that must hold and does not.
    pub fn broken(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.must_hold && !check.holds)
    }

    /// Trials with a seed that failed although nothing expects it to.
    pub fn failed(&self) -> impl Iterator<Item = &TrialFindings> {
        let expected = |trial: &TrialFindings| {
            self.checks.iter().any(|check| {
                check.trial == trial.name
                    && check.holds
                    && ["failed", "exploding"].contains(&check.expected.as_str())
            })
        };
        self.trials.iter().filter(move |trial| trial.error().is_some() && !expected(trial))
    }

    /// True where test predictions were kept, so that ties could be looked for.
    pub(crate) fn has_paired_tests(&self) -> bool {
        self.trials.iter().any(|trial| trial.test.is_some())
    }
}

impl TrialFindings {
    /// The mean of a figure over the finished seeds.
    #[must_use]
    pub fn mean(&self, figure: &str) -> Option<f64> {
        self.figures.get(figure).map(|spread| spread.mean)
    }

    /// Why its first failed seed failed.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        let failed = |seed: &SeedFindings| seed.verdicts.contains(&Verdict::Failed);
        let seed = self.seeds.iter().find(|seed| failed(seed))?;
        Some(seed.outcome.error.as_deref().unwrap_or("for a reason that was not noted"))
    }

    /// Its verdicts in words: once where all seeds agree, else each with its number of seeds.
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

    /// True where every seed has this verdict.
    pub(crate) fn is(&self, verdict: Verdict) -> bool {
        !self.seeds.is_empty() && self.seeds.iter().all(|seed| seed.verdicts.contains(&verdict))
    }
}

impl SeedFindings {
    /// The verdicts, `not done` where there is none.
    #[must_use]
    pub fn words(&self) -> String {
        if self.verdicts.is_empty() {
            return "not done".to_owned();
        }
        self.verdicts.iter().map(|verdict| verdict.as_str()).collect::<Vec<_>>().join(" + ")
    }
}

fn ranked(plan: &Plan, outcomes: &[Outcome]) -> Vec<TrialFindings> {
    let best = best_by_seed(outcomes);
    let standings = standings(outcomes, plan.trials.len(), plan.folds);
    standings.into_iter().map(|standing| trial(plan, outcomes, &best, standing)).collect()
}

fn trial(plan: &Plan, outcomes: &[Outcome], best: &BTreeMap<u64, f64>, standing: Standing) -> TrialFindings {
    let Standing { trial: number, rank, is_tied, test } = standing;
    let trial = &plan.trials[number];
    let seeds: Vec<SeedFindings> = of_trial(outcomes, number)
        .zip(&trial.experiments)
        .map(|(outcome, experiment)| {
            let collapse = collapse_of(outcome, experiment);
            let best = best.get(&outcome.seed).copied();
            let verdicts = verdicts(outcome, best, collapse.as_ref(), &plan.rules);
            SeedFindings { outcome: outcome.clone(), verdicts, collapse }
        })
        .collect();
    let names: Vec<&String> = seeds.iter().flat_map(|seed| seed.outcome.figures.keys()).collect();
    let figures = names.into_iter().filter_map(|name| Some((name.clone(), spread(outcomes, number, name)?)));
    TrialFindings {
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

fn best_by_seed(outcomes: &[Outcome]) -> BTreeMap<u64, f64> {
    let mut best = BTreeMap::new();
    for outcome in outcomes.iter().filter(|outcome| outcome.is_finished()) {
        let accuracy = outcome.figure("test_accuracy").unwrap_or(f64::NEG_INFINITY);
        let entry: &mut f64 = best.entry(outcome.seed).or_insert(f64::NEG_INFINITY);
        *entry = entry.max(accuracy);
    }
    best
}

/// Only a network with hidden layers and without activations collapses.
fn collapse_of(outcome: &Outcome, experiment: &Experiment) -> Option<Collapse> {
    let model = &experiment.model;
    let is_candidate = model.activation == Activation::Identity && !model.hidden.is_empty();
    let folder = outcome.run.as_ref().filter(|_| is_candidate && outcome.is_finished())?;
    collapse::collapse(&Run::open(folder).ok()?, experiment)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::outcome::tests::outcome;

    /// A trial with a finished seed for each test accuracy, that fits.
    pub(crate) fn trial(name: &str, accuracies: &[f64]) -> TrialFindings {
        let seed = |(seed, &accuracy): (u64, &f64)| {
            let mut outcome = outcome(&[("test_accuracy", accuracy), ("train_accuracy", accuracy)]);
            outcome.seed = seed;
            SeedFindings { outcome, verdicts: vec![Verdict::Fit], collapse: None }
        };
        let figures = [("test_accuracy", Spread::of(accuracies)), ("train_accuracy", Spread::of(accuracies))];
        TrialFindings {
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
    pub(crate) fn findings(trials: Vec<TrialFindings>) -> Findings {
        Findings {
            study: "a study".to_owned(),
            about: String::new(),
            kiln: "1.0.0",
            written: Timestamp::UNIX_EPOCH,
            machine: Machine::detect(),
            seeds: vec![0],
            folds: None,
            rules: Rules::default(),
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
}
