//! The study file, key by key, and the trials and expectations that it lists.
//!
//! The doc comments of the tables describe the keys. `kiln config explain` knows only the keys of experiment files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use kiln_config::facts::{AT_LEAST_0, AT_LEAST_1, POSITIVE, TextRule, between, number, text};
use kiln_config::{Experiment, Located, Mode, Monitor, Problem, shown};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::de::{DeString, DeTable, DeValue};
use toml::{Spanned, Table};

use crate::outcome::{Verdict, VerdictRules, figures_of_predictions};
use crate::search::{Confirm, Halving, SearchMethod};

/// A study file. `experiment`, `overrides` and `axes` contain settings of an experiment.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StudyFile {
    /// Name of the study, and of its folder below `studies/`. Default: the file's name.
    #[schemars(transform = text(TextRule::Name))]
    pub(super) name: Option<String>,
    /// What the study shows.
    #[serde(default)]
    pub(super) about: String,
    /// The experiment file that every trial starts from; the path is relative to this file.
    #[schemars(transform = text(TextRule::NotEmpty))]
    pub(super) base: Option<PathBuf>,
    /// The seeds that every trial is trained with. Default: the base's seed.
    #[schemars(transform = number(AT_LEAST_0))]
    pub(super) seeds: Option<Vec<u64>>,
    /// Cross-validation: every trial runs this many times, each time with another part of the examples as the test data
    /// (`data.test_folds`), so that every example is tested once. Replaces `seeds`.
    #[schemars(transform = number(between(2.0, 100.0)))]
    pub(super) folds: Option<u64>,
    /// How often the cross-validation is run, each time with a new division into folds. Default: once.
    #[schemars(transform = number(between(1.0, 100.0)))]
    pub(super) repeats: Option<u64>,
    /// Worker processes at once.
    #[schemars(transform = number(between(1.0, 1024.0)))]
    pub(super) jobs: Option<usize>,
    /// Seconds without a heartbeat after which another worker takes over a worker's trial.
    #[serde(default = "usual_lease")]
    #[schemars(transform = number(between(1.0, 86_400.0)))]
    pub(super) lease: f64,
    /// Settings of every trial; they override the base's.
    #[serde(default, rename = "experiment")]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    _experiment: Table,
    /// The trials, listed.
    #[serde(default)]
    pub(super) trial: Vec<TrialTable>,
    /// The trials, as every point of a grid: a list of values for each key.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub(super) axes: Table,
    /// A search: a space of settings instead of trials.
    #[serde(default)]
    pub(super) search: SearchTable,
    /// The expectations.
    #[serde(default)]
    pub(super) expect: Vec<ExpectTable>,
    /// Thresholds of the verdicts.
    #[serde(default)]
    pub(super) rules: VerdictRules,
}

fn usual_lease() -> f64 {
    60.0
}

/// `[search]`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SearchTable {
    /// How trials are chosen.
    pub(super) method: SearchMethod,
    /// The seed of the choice.
    #[schemars(transform = number(AT_LEAST_0))]
    pub(super) seed: u64,
    /// The largest number of trials to begin.
    #[schemars(transform = number(between(1.0, 1e6)))]
    pub(super) trials: Option<usize>,
    /// The largest number of epochs to train in the search, over all trials.
    #[schemars(transform = number(AT_LEAST_1))]
    pub(super) epochs: Option<u64>,
    /// The largest number of seconds of training in the search, over all trials and workers. The number of waves then
    /// depends on the machine.
    #[schemars(transform = number(POSITIVE))]
    pub(super) seconds: Option<f64>,
    /// Trials that begin or are promoted together, before the next ones are chosen. A larger number keeps more workers busy;
    /// with a smaller one, later trials profit earlier from the results.
    #[schemars(transform = number(between(1.0, 1e5)))]
    pub(super) wave: usize,
    /// The figure that trials are ranked by.
    pub(super) monitor: Monitor,
    /// Whether lower or higher is better. Default: as the figure requires.
    pub(super) mode: Option<Mode>,
    /// Stops trials early. Default: every trial is trained in full.
    pub(super) halving: Option<Halving>,
    /// How the best trials are confirmed with fresh seeds.
    pub(super) confirm: Confirm,
    /// The space: for each key its choices, or a range.
    #[serde(rename = "space")]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    _space: Table,
}

impl Default for SearchTable {
    fn default() -> Self {
        Self {
            method: SearchMethod::default(),
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
    /// The trial's name, and that of its runs.
    #[schemars(transform = text(TextRule::Name))]
    pub(super) name: String,
    /// The trial's settings; they override those of `experiment`.
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
    /// Where the expectation comes from, such as `published`. Default: "expected".
    pub(super) source: Option<String>,
    /// Whether the study fails if the expectation is not met. Default: true.
    pub(super) must_hold: Option<bool>,
    /// The greatest difference of a figure that still counts as reproduced.
    #[schemars(transform = number(AT_LEAST_0))]
    pub(super) tolerance: Option<f64>,
    /// Figures by name, such as `test_accuracy`: means over the seeds.
    #[serde(default)]
    pub(super) figures: BTreeMap<String, f64>,
    /// The verdict, or several, that every seed must get.
    pub(super) verdict: Option<OneOrMore>,
    /// Another trial: with every seed, its test accuracy must be below this trial's.
    pub(super) better_than: Option<String>,
    /// The least lead over that trial, as a share of the examples.
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

/// A value with its place in the file, as the TOML parser gives it.
type SpannedValue<'a> = Spanned<DeValue<'a>>;

/// One configuration of a study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The trial's name, and that of its runs.
    pub name: String,
    /// Its settings over the base: dotted keys and values as TOML.
    pub settings: Vec<(String, String)>,
    /// The whole experiments, one for each of the study's seeds.
    pub experiments: Vec<Experiment>,
}

/// A trial before it is resolved: a name, and a table of settings.
pub(crate) struct TrialDraft<'a> {
    pub(crate) name: String,
    pub(crate) overrides: DeTable<'a>,
}

/// Every trial of the file, from `[[trial]]` or `[axes]`; `table` is the whole file.
pub(super) fn trial_drafts<'a>(
    file: &Located<StudyFile>,
    table: &DeTable<'a>,
    problems: &mut Vec<Problem>,
) -> Vec<TrialDraft<'a>> {
    let StudyFile { trial: trials, axes, .. } = &file.value;
    match (trials.is_empty(), axes.is_empty()) {
        (false, false) => {
            let message = "[[trial]] and [axes] exclude each other: list the trials or give a grid";
            problems.push(file.problem("axes", message.to_owned()));
            Vec::new()
        }
        (true, true) => {
            let message = "no trials: give [[trial]] tables, or [axes] for a grid";
            problems.push(file.problem("", message.to_owned()));
            Vec::new()
        }
        (false, true) => listed_trials(file, table, problems),
        (true, false) => {
            table_at(table, "axes").map_or_else(Vec::new, |axes| grid_trials(file, axes, problems))
        }
    }
}

/// The table with this name.
pub(super) fn table_at<'t, 'a>(table: &'t DeTable<'a>, name: &str) -> Option<&'t DeTable<'a>> {
    find(table, name)?.as_table()
}

fn find<'t, 'a>(table: &'t DeTable<'a>, name: &str) -> Option<&'t DeValue<'a>> {
    table.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value.get_ref())
}

fn listed_trials<'a>(
    file: &Located<StudyFile>,
    table: &DeTable<'a>,
    problems: &mut Vec<Problem>,
) -> Vec<TrialDraft<'a>> {
    let tables = find(table, "trial").and_then(DeValue::as_array).into_iter().flatten();
    let mut drafts: Vec<TrialDraft<'a>> = Vec::new();
    for (index, (trial, found)) in file.value.trial.iter().zip(tables).enumerate() {
        if drafts.iter().any(|draft| draft.name == trial.name) {
            let message = format!("there are two trials with the name {:?}", trial.name);
            problems.push(file.problem(&format!("trial[{index}].name"), message));
        }
        let overrides = found.get_ref().as_table().and_then(|trial| table_at(trial, "overrides")).cloned();
        drafts.push(TrialDraft { name: trial.name.clone(), overrides: overrides.unwrap_or_default() });
    }
    drafts
}

/// An axis of the grid: a dotted key, split into section and leaf, and its values.
struct Axis<'a> {
    section: Option<Spanned<DeString<'a>>>,
    leaf: Spanned<DeString<'a>>,
    values: Vec<SpannedValue<'a>>,
}

fn grid_trials<'a>(
    file: &Located<StudyFile>,
    axes: &DeTable<'a>,
    problems: &mut Vec<Problem>,
) -> Vec<TrialDraft<'a>> {
    let mut found: Vec<Axis<'a>> = Vec::new();
    for (name, value) in axes {
        let at = format!("axes.{}", name.get_ref());
        let mut add = |section, leaf: &Spanned<DeString<'a>>, value: &SpannedValue<'a>| match value
            .get_ref()
            .as_array()
        {
            Some(values) if !values.is_empty() => {
                found.push(Axis { section, leaf: leaf.clone(), values: values.iter().cloned().collect() });
            }
            _ => {
                let message = format!("`{at}` must be lists with at least one value each");
                problems.push(file.problem(&at, message));
            }
        };
        match value.get_ref() {
            DeValue::Table(section) => {
                section.iter().for_each(|(leaf, value)| add(Some(name.clone()), leaf, value));
            }
            _ => add(None, name, value),
        }
    }
    let mut points = vec![TrialDraft { name: String::new(), overrides: DeTable::new() }];
    for axis in &found {
        points = points
            .iter()
            .flat_map(|point| axis.values.iter().map(|value| axis.extend(point, value)))
            .collect();
    }
    points
}

impl<'a> Axis<'a> {
    /// `point` with one more setting.
    fn extend(&self, point: &TrialDraft<'a>, value: &SpannedValue<'a>) -> TrialDraft<'a> {
        let mut overrides = point.overrides.clone();
        match &self.section {
            None => drop(overrides.insert(self.leaf.clone(), value.clone())),
            Some(section) => {
                let empty = Spanned::new(section.span(), DeValue::Table(DeTable::new()));
                let inner = overrides.entry(section.clone()).or_insert(empty);
                if let DeValue::Table(table) = inner.get_mut() {
                    table.insert(self.leaf.clone(), value.clone());
                }
            }
        }
        let joint = if point.name.is_empty() { "" } else { "_" };
        let name = format!("{}{joint}{}-{}", point.name, self.leaf.get_ref(), name_part(value.get_ref()));
        TrialDraft { name, overrides }
    }
}

/// A value as part of a name: `64`, `0.001`, `512-128`.
fn name_part(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Array(values) => {
            values.iter().map(|value| name_part(value.get_ref())).collect::<Vec<_>>().join("-")
        }
        DeValue::String(text) => text.to_string(),
        value => shown(value),
    }
    .chars()
    .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
    .collect()
}

/// Dotted keys with their values as TOML.
pub(crate) fn settings(overrides: &DeTable<'_>) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    for (name, value) in overrides {
        match value.get_ref() {
            DeValue::Table(section) => settings.extend(section.iter().map(|(leaf, value)| {
                (format!("{}.{}", name.get_ref(), leaf.get_ref()), toml_text(value.get_ref()))
            })),
            value => settings.push((name.get_ref().to_string(), toml_text(value))),
        }
    }
    settings
}

pub(super) fn toml_text(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Array(values) => {
            let parts: Vec<String> = values.iter().map(|value| toml_text(value.get_ref())).collect();
            format!("[{}]", parts.join(", "))
        }
        // `shown` shortens a long text for messages; a setting must stay whole.
        DeValue::String(text) => toml::Value::String(text.to_string()).to_string(),
        value => shown(value),
    }
}

/// One expected property of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expectation {
    /// The trial's name.
    pub trial: String,
    /// Where the expectation comes from, such as `published`.
    pub source: String,
    /// Whether the study fails if the expectation is not met.
    pub must_hold: bool,
    /// The expected property.
    pub claim: Claim,
}

/// An expected property.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// The mean of a figure over the seeds is near a value.
    Figure {
        /// The figure, such as `test_accuracy`.
        name: String,
        /// The value.
        value: f64,
        /// The greatest difference that still counts as reproduced.
        tolerance: f64,
    },
    /// Every seed gets this verdict.
    Verdict(Verdict),
    /// With every seed, the test accuracy is above another trial's.
    BetterThan {
        /// The other trial.
        trial: String,
        /// The least lead over that trial, as a share of the examples.
        by: f64,
    },
}

/// The figures of a run that do not come from its stored predictions.
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

/// The names of figures that an expectation may use.
fn known_figures() -> Vec<&'static str> {
    RUN_FIGURES.into_iter().chain(figures_of_predictions()).collect()
}

/// The expectations of the file. `trials` are the names of the study's trials.
pub(super) fn expectations(
    file: &Located<StudyFile>,
    trials: &[&str],
    problems: &mut Vec<Problem>,
) -> Vec<Expectation> {
    let (mut expectations, known) = (Vec::new(), known_figures());
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
            let message = "this expects nothing: give `figures`, `verdict` or `better_than`".to_owned();
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
