//! What a search found, and the files that say so.

mod csv;
mod html;
mod importance;
mod markdown;
mod pictures;
mod statements;

use std::path::{Path, PathBuf};

use kiln_artifacts::{Machine, Run, Timestamp, replace_file};
use kiln_files::json_text;
use schemars::JsonSchema;
use serde::Serialize;

pub use importance::Importance;

use super::agenda::trial_name;
use super::confirmation::{paired_difference, ranked, shared_seeds};
use super::history::History;
use super::{Method, Search};
use crate::report::run_report;
use crate::statistics::Spread;
use crate::work::Cell;
use crate::{Plan, StudyError};

/// What a search found, as `study.json` keeps it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SearchReport {
    /// The study's name.
    pub study: String,
    /// What it is for, in its file's words.
    pub about: String,
    /// Kiln's version.
    pub kiln: &'static str,
    /// When this was written.
    #[schemars(with = "String")]
    pub written: Timestamp,
    /// The machine.
    pub machine: Machine,
    /// How trials were chosen.
    pub method: Method,
    /// The figure that decided, such as `validation_loss`.
    pub monitor: String,
    /// Epochs that were trained in the search, without the base and the confirmation.
    pub epochs: u64,
    /// Seconds of that, over all workers.
    pub seconds: f64,
    /// The epochs after which trials were compared.
    pub rungs: Vec<usize>,
    /// The trials, the best first.
    pub trials: Vec<SearchedTrial>,
    /// What came of the confirmation; null before.
    pub winner: Option<Winner>,
    /// How much of what trials came to each key explains, the most first.
    pub importance: Vec<Importance>,
    /// Trials that no other beats in both the figure and the seconds of training, the fastest first.
    pub front: Vec<String>,
    /// All this in words.
    pub statements: Vec<String>,
    /// Whether it was stopped before its end.
    pub was_stopped: bool,
    /// What its files say in `leaderboard.csv`: keys that were searched.
    #[serde(skip)]
    keys: Vec<String>,
}

/// How far a trial came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum TrialStage {
    /// Trained again with fresh seeds.
    Confirmed,
    /// Trained in full.
    Trained,
    /// Paused at a rung, where others are better.
    Paused,
    /// Its settings cannot be trained, or its figures became infinite.
    Failed,
    /// Not done.
    Open,
}

/// What is known of a trial.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SearchedTrial {
    /// Its place, from 1.
    pub rank: usize,
    /// Its name, which is also that of its runs; `base` is the base as it is.
    pub name: String,
    /// What it sets: dotted keys and values as TOML.
    pub settings: Vec<(String, String)>,
    /// How far it came.
    pub stage: TrialStage,
    /// Epochs that it trained in the search, with each seed.
    pub epochs: usize,
    /// Epochs at which its figure was last compared; a training that ended early counts as whole.
    #[serde(skip)]
    rung: usize,
    /// The figure then: the best so far, as a mean over the search's seeds.
    pub figure: Option<f64>,
    /// The figure over the fresh seeds that all confirmed trials share; null where it was not confirmed.
    pub confirmed: Option<Spread>,
    /// The figure over all fresh seeds of the two of a close call, which decides between them; null for others.
    pub close_call: Option<Spread>,
    /// Test accuracy over all its fresh seeds, of the winner alone.
    pub test_accuracy: Option<Spread>,
    /// Test loss over all its fresh seeds, of the winner alone.
    pub test_loss: Option<Spread>,
    /// Why it failed; null where it did not.
    pub error: Option<String>,
    /// Seconds of training in the search.
    pub seconds: f64,
    /// Its runs with fresh seeds; those of the search where it has none.
    pub runs: Vec<PathBuf>,
}

/// The winner beside the base.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Winner {
    /// Its name; `base` where nothing better was found.
    pub name: String,
    /// Its run with the best figure on fresh seeds.
    pub run: Option<PathBuf>,
    /// By how much the search put it before the base, on the seeds that chose it; positive is better.
    pub gain_in_search: Option<f64>,
    /// By how much it is before the base on fresh seeds.
    pub gain: Option<f64>,
    /// The standard error of that.
    pub standard_error: Option<f64>,
    /// What of the gain in the search was luck: `gain_in_search` less `gain`.
    pub luck: Option<f64>,
    /// The next best on fresh seeds.
    pub second: Option<String>,
    /// By how much the winner is before that one, on fresh seeds.
    pub lead: Option<f64>,
    /// The standard error of that: a lead below twice of it is too close to call.
    pub lead_standard_error: Option<f64>,
}

impl SearchReport {
    pub(crate) fn of(
        plan: &Plan,
        search: &Search,
        history: &History,
        study: &Path,
        was_stopped: bool,
    ) -> Self {
        let order = order(history);
        let found = Found { search, history, study, shared_seeds: shared_seeds(history) };
        let trials: Vec<SearchedTrial> =
            (1..).zip(&order).map(|(rank, &trial)| found.trial(rank, trial)).collect();
        let mut report = Self {
            study: plan.name.clone(),
            about: plan.about.clone(),
            kiln: env!("CARGO_PKG_VERSION"),
            written: Timestamp::now(),
            machine: Machine::detect(),
            method: search.method,
            monitor: crate::work::figure_name(search.monitor),
            epochs: history.epochs(),
            seconds: history.seconds(),
            rungs: search.rungs(),
            front: front(search, &trials),
            trials,
            winner: found.winner(),
            importance: importance::importance(search, history),
            statements: Vec::new(),
            was_stopped,
            keys: search.space.iter().map(|dimension| dimension.key.clone()).collect(),
        };
        report.statements = statements::statements(&report, search);
        report
    }

    /// Writes every form of the report into the study's folder, each file whole or not at all.
    pub(crate) fn write(&self, search: &Search, folder: &Path) -> Result<(), StudyError> {
        for (name, bytes) in [("leaderboard.csv", csv::csv(self)), ("study.json", json_text(self))] {
            replace_file(&folder.join(name), &bytes)?;
        }
        if let Some(winner) = self.winner_toml(search) {
            replace_file(&folder.join("winner.toml"), winner.as_bytes())?;
        }
        self.write_reports();
        let pictures = pictures::pictures(self, search)?;
        let files = [
            ("leaderboard.md", markdown::markdown(self).into_bytes()),
            ("leaderboard.html", html::html(self, &pictures, folder).into_bytes()),
        ];
        for (name, bytes) in files {
            replace_file(&folder.join(name), &bytes)?;
        }
        pictures.iter().try_for_each(|picture| picture.write(folder))
    }

    /// The winner's settings as an experiment file.
    fn winner_toml(&self, search: &Search) -> Option<String> {
        let name = &self.winner.as_ref()?.name;
        let winner = self.trials.iter().find(|trial| trial.name == *name)?;
        Some(search.experiment(&self.study, &winner.settings, search.base.seed).ok()?.to_toml())
    }

    /// Writes the report of a run of each confirmed trial, where there is none yet.
    fn write_reports(&self) {
        let confirmed = self.trials.iter().filter(|trial| trial.stage == TrialStage::Confirmed);
        for run in confirmed.filter_map(|trial| Run::open(trial.runs.first()?).ok()) {
            if !run.report().exists() {
                // The search does not depend on it.
                let _ = run_report(&run);
            }
        }
    }

    /// The leaderboard as rows of text.
    #[must_use]
    pub fn leaderboard(&self) -> crate::Table {
        csv::table(self)
    }
}

/// Trials with fresh seeds first, then the farther trained, and the better of those.
fn order(history: &History) -> Vec<usize> {
    let confirmed = ranked(history);
    let others = (0..history.trials.len()).filter(|trial| !confirmed.contains(trial));
    let others = history.in_order(others);
    confirmed.into_iter().chain(others).collect()
}

/// What a report is made of.
struct Found<'a> {
    search: &'a Search,
    history: &'a History,
    /// The study's folder.
    study: &'a Path,
    /// The fresh seeds that all confirmed trials share.
    shared_seeds: Vec<u64>,
}

impl Found<'_> {
    /// The run of trial `number` with a seed, if there is one.
    fn run(&self, number: usize, seed: u64) -> Option<PathBuf> {
        let settings = &self.history.trials[number].settings;
        let experiment = self.search.experiment(&trial_name(number), settings, seed).ok()?;
        Some(Cell::new(number, &experiment, self.study).run()?.0.folder().to_owned())
    }

    fn trial(&self, rank: usize, number: usize) -> SearchedTrial {
        let (search, history) = (self.search, self.history);
        let trial = &history.trials[number];
        let last = trial.last().filter(|_| trial.error.is_none());
        let whole = search.base.training.epochs;
        let stage = match last {
            _ if !trial.confirmed.is_empty() => TrialStage::Confirmed,
            _ if trial.error.is_some() => TrialStage::Failed,
            Some((rung, _)) if rung == whole => TrialStage::Trained,
            Some(_) => TrialStage::Paused,
            None => TrialStage::Open,
        };
        let shared = self.shared_seeds.iter().filter_map(|seed| trial.confirmed.get(seed));
        let confirmed: Vec<f64> = shared.map(|&loss| search.figure(loss)).collect();
        let all: Vec<f64> = trial.confirmed.values().map(|&loss| search.figure(loss)).collect();
        let test = |figure: &str| {
            let values = trial.tested.values().filter_map(|tested| tested.get(figure).copied().flatten());
            Spread::of(&values.collect::<Vec<f64>>())
        };
        let seeds: Vec<u64> = if trial.confirmed.is_empty() {
            search.seeds.clone()
        } else {
            trial.confirmed.keys().copied().collect()
        };
        SearchedTrial {
            rank,
            name: trial_name(number),
            settings: trial.settings.clone(),
            stage,
            epochs: trial.epochs_of_a_seed().unwrap_or(0) as usize,
            rung: last.map_or(0, |(rung, _)| rung),
            figure: last.map(|(_, loss)| search.figure(loss)).filter(|figure| figure.is_finite()),
            close_call: finite(&all).filter(|_| all.len() > confirmed.len()),
            confirmed: finite(&confirmed),
            test_accuracy: test("accuracy"),
            test_loss: test("loss"),
            error: trial.error.clone(),
            seconds: trial.seconds(),
            runs: seeds.iter().filter_map(|&seed| self.run(number, seed)).collect(),
        }
    }

    fn winner(&self) -> Option<Winner> {
        let (search, history) = (self.search, self.history);
        let ranked = ranked(history);
        let &first = ranked.first()?;
        let whole = search.base.training.epochs;
        let in_search = |trial: usize| history.trials[trial].loss_at(whole).filter(|loss| loss.is_finite());
        let base = (first != 0).then(|| paired_difference(history, first, 0)).flatten();
        let gain_in_search = (first != 0)
            .then(|| Some(in_search(0)? - in_search(first)?))
            .flatten()
            .filter(|gain| gain.is_finite());
        let gain = base.map(|base| base.mean).filter(|gain| gain.is_finite());
        let second = ranked.get(1).copied();
        let lead = second.and_then(|second| paired_difference(history, first, second));
        let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
        let trial = &history.trials[first];
        let best =
            trial.confirmed.iter().min_by(|left, right| left.1.total_cmp(right.1).then(left.0.cmp(right.0)));
        let run = best.and_then(|(&seed, _)| self.run(first, seed));
        Some(Winner {
            name: trial_name(first),
            run,
            gain_in_search,
            gain,
            standard_error: finite(base.map(|base| base.standard_error)),
            luck: gain_in_search.zip(gain).map(|(searched, fresh)| searched - fresh),
            second: second.map(trial_name),
            lead: finite(lead.map(|lead| lead.mean)),
            lead_standard_error: finite(lead.map(|lead| lead.standard_error)),
        })
    }
}

/// The spread of figures; none where one of them is infinite.
fn finite(figures: &[f64]) -> Option<Spread> {
    Spread::of(figures).filter(|_| figures.iter().all(|figure| figure.is_finite()))
}

/// The trained trials that no other one beats in figure and time.
fn front(search: &Search, trials: &[SearchedTrial]) -> Vec<String> {
    let whole = search.base.training.epochs;
    let mut complete: Vec<(f64, f64, &str)> = trials
        .iter()
        .filter(|trial| trial.rung == whole)
        .filter_map(|trial| Some((trial.seconds, search.loss(trial.figure?), trial.name.as_str())))
        .collect();
    complete.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.total_cmp(&right.1)));
    let mut best = f64::INFINITY;
    complete.retain(|(_, loss, _)| {
        let is_better = *loss < best;
        best = best.min(*loss);
        is_better
    });
    complete.into_iter().map(|(_, _, name)| name.to_owned()).collect()
}
