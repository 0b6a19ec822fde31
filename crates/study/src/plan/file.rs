//! The study file, key by key.

use std::collections::BTreeMap;
use std::path::PathBuf;

use kiln_config::facts::{AT_LEAST_0, AT_LEAST_1, POSITIVE, TextRule, between, number, text};
use kiln_config::{Mode, Monitor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::Verdict;
use crate::search::{Confirm, Halving, Method};

/// A study file. `experiment`, `overrides` and `axes` are read as settings of an experiment.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StudyFile {
    /// Name of the study: the folder below `studies/` that its results land in. Left out: the file's name.
    #[schemars(transform = text(TextRule::Name))]
    pub(super) name: Option<String>,
    /// What it shows.
    #[serde(default)]
    pub(super) about: String,
    /// The experiment file that every trial starts from, relative to this file.
    #[schemars(transform = text(TextRule::NotEmpty))]
    pub(super) base: Option<PathBuf>,
    /// The seeds that every trial is run with. Left out: the base's.
    #[schemars(transform = number(AT_LEAST_0))]
    pub(super) seeds: Option<Vec<u64>>,
    /// Cross-validation: every trial is run this many times, and each time another part of the examples is the test data
    /// (`data.test_folds`), so that all of them are tested on once. It takes the place of `seeds`.
    #[schemars(transform = number(between(2.0, 100.0)))]
    pub(super) folds: Option<u64>,
    /// How often that is done, each time with parts that are dealt anew. Left out: once.
    #[schemars(transform = number(between(1.0, 100.0)))]
    pub(super) repeats: Option<u64>,
    /// Worker processes at once.
    #[schemars(transform = number(between(1.0, 1024.0)))]
    pub(super) jobs: Option<usize>,
    /// Seconds after which another worker takes over the trial of one that gives no sign of life.
    #[serde(default = "usual_lease")]
    #[schemars(transform = number(between(1.0, 86_400.0)))]
    pub(super) lease: f64,
    /// Settings of every trial, over the base's.
    #[serde(default, rename = "experiment")]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    _experiment: Table,
    /// What is tried, one by one.
    #[serde(default)]
    pub(super) trial: Vec<TrialTable>,
    /// What is tried, as every point of a grid: lists of values by key.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub(super) axes: Table,
    /// What is searched for: in place of trials, a space of settings.
    #[serde(default)]
    pub(super) search: SearchTable,
    /// What is expected.
    #[serde(default)]
    pub(super) expect: Vec<ExpectTable>,
    /// Thresholds of the verdicts.
    #[serde(default)]
    pub(super) rules: Rules,
}

fn usual_lease() -> f64 {
    60.0
}

/// `[search]`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SearchTable {
    /// How trials are chosen.
    pub(super) method: Method,
    /// The seed of the choice.
    #[schemars(transform = number(AT_LEAST_0))]
    pub(super) seed: u64,
    /// Trials to begin, at most.
    #[schemars(transform = number(between(1.0, 1e6)))]
    pub(super) trials: Option<usize>,
    /// Epochs to train in the search, at most, over all trials.
    #[schemars(transform = number(AT_LEAST_1))]
    pub(super) epochs: Option<u64>,
    /// Seconds of training in the search, at most, over all trials and workers. How many waves that makes depends on the machine.
    #[schemars(transform = number(POSITIVE))]
    pub(super) seconds: Option<f64>,
    /// Trials that are begun or promoted at once, before the next are chosen. More keep more workers busy; fewer learn sooner.
    #[schemars(transform = number(between(1.0, 1e5)))]
    pub(super) wave: usize,
    /// The figure that decides.
    pub(super) monitor: Monitor,
    /// Which direction of it is better. Left out: that of the figure.
    pub(super) mode: Option<Mode>,
    /// Stops trials early. Left out: each is trained in full.
    pub(super) halving: Option<Halving>,
    /// How the best are tried again with fresh seeds.
    pub(super) confirm: Confirm,
    /// What is tried: for each key its choices, or a range.
    #[serde(rename = "space")]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    _space: Table,
}

impl Default for SearchTable {
    fn default() -> Self {
        Self {
            method: Method::default(),
            seed: 0,
            trials: None,
            epochs: None,
            seconds: None,
            wave: 8,
            monitor: Monitor::ValidationLoss,
            mode: None,
            halving: None,
            confirm: Confirm::default(),
            _space: Table::new(),
        }
    }
}

/// `[[trial]]`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TrialTable {
    /// Its name, which is also that of its runs.
    #[schemars(transform = text(TextRule::Name))]
    pub(super) name: String,
    /// Its settings, over the experiment's.
    #[serde(default, rename = "overrides")]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    _overrides: Table,
}

/// `[[expect]]`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectTable {
    /// The trial.
    pub(super) trial: String,
    /// Where the expectation comes from, such as `published`. Left out: "expected".
    pub(super) source: Option<String>,
    /// Whether the study fails where it is not met. Left out: true.
    pub(super) must_hold: Option<bool>,
    /// Greatest distance of a figure that still counts as reproduced.
    #[schemars(transform = number(AT_LEAST_0))]
    pub(super) tolerance: Option<f64>,
    /// Figures by name, such as `test_accuracy`: means over the seeds.
    #[serde(default)]
    pub(super) figures: BTreeMap<String, f64>,
    /// The verdict on every seed, or several.
    pub(super) verdict: Option<OneOrMore>,
    /// The trial whose test accuracy is below this one's for every seed.
    pub(super) better_than: Option<String>,
    /// By at least so much, as a share of the examples.
    #[schemars(transform = number(AT_LEAST_0))]
    pub(super) by: Option<f64>,
}

/// A verdict, or a list of them.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub(super) enum OneOrMore {
    One(Verdict),
    More(Vec<Verdict>),
}

impl OneOrMore {
    pub(super) fn as_slice(&self) -> &[Verdict] {
        match self {
            Self::One(verdict) => std::slice::from_ref(verdict),
            Self::More(verdicts) => verdicts,
        }
    }
}

/// Thresholds of the verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// A trial overfits where its training accuracy is above its test accuracy by more than this, and it does not
    /// underfit.
    #[schemars(transform = number(AT_LEAST_0))]
    pub overfit_gap: f64,
    /// A trial underfits where its training and its test accuracy are below the best trial's test accuracy of
    /// the same seed by more than this; or its test accuracy alone, where it does not overfit.
    #[schemars(transform = number(AT_LEAST_0))]
    pub underfit_margin: f64,
}

impl Default for Rules {
    fn default() -> Self {
        Self { overfit_gap: 0.05, underfit_margin: 0.03 }
    }
}
