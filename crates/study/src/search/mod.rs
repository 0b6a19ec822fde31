//! A search: it decides which settings to try, how long to train each, and which of them are really the best.
//!
//! A search runs in waves. The trials of a wave follow from the search's seed and from the results of the waves before it,
//! and from nothing else: neither from the number of workers, nor from their speed, nor from a clock (except for a
//! budget in seconds, whose end is written down once). So a search that was killed anywhere, and one that 8 workers
//! share, is the search that one worker does alone.
//!
//! 1. *Search.* Trial 0 is the base as it is, trained in full. Each wave promotes the best trials that paused at a rung, and
//!    fills up with new trials. A promoted trial resumes in its own run, from its checkpoint.
//! 2. *Confirmation.* The best few and the base are trained in full with seeds that the search has not seen. The best of many
//!    trials is partly lucky; fresh seeds remove this bias.
//! 3. *Test.* The winner's runs are tested. No other run ever sees the test data.
//!
//! `space` draws settings, `history` has the waves so far and their results, `waves` decides the next wave; [`SearchAgenda`] makes
//! tasks of waves; `report` and `report_files` write the results.

mod history;
mod report;
mod report_files;
mod space;
mod waves;

pub use history::KeyImportance;
pub use report::{SearchReport, SearchedTrial, TrialStage, Winner};
pub use space::{Condition, Dimension, Domain, NumberRange};
pub(crate) use waves::expected_cost;

use std::path::{Path, PathBuf};

use kiln_config::facts::{AT_LEAST_1, between, number};
use kiln_config::{ConfigError, Experiment, Mode, Monitor, Request, Source, resolve};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::StudyError;
use crate::search::history::{History, Wave, WaveTask};
use crate::search::space::{grid, propose};
use crate::search::waves::{confirmation_wave, search_wave, test_wave};
use crate::work::{Agenda, Done, Task, Tasks, TrialRun, prepared};

/// A search, resolved and valid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// How trials are chosen.
    pub method: SearchMethod,
    /// The seed of the choice.
    pub seed: u64,
    /// Trials that begin or are promoted at once, before the next are chosen.
    pub wave: usize,
    /// The most trials to begin.
    pub trials: Option<usize>,
    /// The most epochs to train in the search.
    pub epochs: Option<u64>,
    /// The most seconds of training in the search, over all workers.
    pub seconds: Option<f64>,
    /// The figure that decides.
    pub monitor: Monitor,
    /// The space of settings.
    pub space: Vec<Dimension>,
    /// How trials are stopped early; `None` trains every trial in full.
    pub halving: Option<Halving>,
    /// How the best trials are confirmed.
    pub confirm: Confirm,
    /// The experiment that all trials start from.
    pub base: Experiment,
    /// The seeds with which the search trains every trial.
    pub seeds: Vec<u64>,
    /// The number of folds of a cross-validation: each part of the examples is held out once.
    pub folds: Option<u64>,
}

/// How a search chooses its trials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Method")]
pub enum SearchMethod {
    /// Independently at random, from the whole space.
    Random,
    /// Near the best trials so far and away from the others, by tree-structured Parzen estimators.
    #[default]
    Tpe,
    /// Every point of the grid, in order.
    Grid,
}

/// Successive halving: every trial trains to the first rung, the best 1 in `factor` of them to the next, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Halving {
    /// Epochs of the first rung.
    #[schemars(transform = number(AT_LEAST_1))]
    pub min_epochs: usize,
    /// The factor by which a rung has more epochs than the one before; one in so many trials reaches it.
    #[serde(default = "usual_factor")]
    #[schemars(transform = number(between(2.0, 1000.0)))]
    pub factor: usize,
}

/// How the best trials of a search are confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Confirm {
    /// How many trials, besides the base; 0 for no confirmation.
    #[schemars(transform = number(between(0.0, 1000.0)))]
    pub best: usize,
    /// The number of fresh seeds.
    #[schemars(transform = number(between(1.0, 1000.0)))]
    pub seeds: u64,
    /// How often the two best are trained with as many seeds again, while their difference is below twice its
    /// standard error.
    #[schemars(transform = number(between(0.0, 1000.0)))]
    pub repeats: usize,
}

impl Default for Confirm {
    fn default() -> Self {
        Self { best: 3, seeds: 3, repeats: 2 }
    }
}

fn usual_factor() -> usize {
    3
}

impl Search {
    /// The epochs after which trials are compared; the last is the whole training.
    #[must_use]
    pub fn rungs(&self) -> Vec<usize> {
        let whole = self.base.training.epochs;
        let Some(Halving { min_epochs, factor }) = self.halving else { return vec![whole] };
        let rung = |index| factor.checked_pow(index).and_then(|power| min_epochs.checked_mul(power));
        let below = (0..).map_while(rung).take_while(|&epochs| epochs < whole);
        below.chain([whole]).collect()
    }

    /// The experiment of a trial with these settings; an error if they contradict each other.
    pub(crate) fn experiment(
        &self,
        name: &str,
        settings: &[(String, String)],
        seed: u64,
    ) -> Result<Experiment, ConfigError> {
        let mut overrides: Vec<String> =
            settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
        overrides.push(format!("seed={seed}"));
        let source = Source::Text { name: "the search's base".to_owned(), text: self.base.to_toml() };
        let resolved = resolve(&Request { source, environment: Vec::new(), overrides })?;
        Ok(prepared(resolved.experiment, name))
    }

    /// Whether a search that was read back from its file is valid.
    pub(crate) fn is_sound(&self) -> bool {
        let halving = self.halving.is_none_or(|halving| halving.factor >= 2 && halving.min_epochs >= 1);
        let sizes = |dimension: &Dimension| match &dimension.domain {
            Domain::Choices(choices) => !choices.is_empty(),
            Domain::List { length: [least, most], .. } => least <= most,
            Domain::Number(_) => true,
        };
        halving && self.wave > 0 && !self.space.is_empty() && self.space.iter().all(sizes)
    }

    /// The number of coordinates of a proposal.
    fn coordinates(&self) -> usize {
        self.space.iter().map(|dimension| dimension.coordinates().len()).sum()
    }

    /// The number of points of its grid; `None` for other methods.
    pub(crate) fn points(&self) -> Option<usize> {
        (self.method == SearchMethod::Grid).then(|| grid(&self.space).count())
    }

    /// The first points that it tries; for estimators, random points.
    pub(crate) fn first_points(&self, count: usize) -> Vec<Vec<(String, String)>> {
        match self.method {
            SearchMethod::Grid => grid(&self.space).take(count).map(|point| point.settings).collect(),
            SearchMethod::Random | SearchMethod::Tpe => self.samples(count),
        }
    }

    /// Random points of the space, for any method.
    fn samples(&self, count: usize) -> Vec<Vec<(String, String)>> {
        let random = Self { method: SearchMethod::Random, ..self.clone() };
        (1..=count).filter_map(|number| Some(propose(&random, number, &[])?.settings)).collect()
    }

    /// The seeds of round `round` of the confirmation, from 0, which no earlier training had. With folds they are whole
    /// cross-validations, dealt anew.
    pub(crate) fn fresh_seeds(&self, round: usize) -> Vec<u64> {
        let whole = |seeds: u64| self.folds.map_or(seeds, |folds| seeds.div_ceil(folds) * folds);
        let first = self.seeds.iter().max().map_or(0, |seed| seed + 1);
        let first = self.folds.map_or(first, |folds| first.div_ceil(folds) * folds);
        let count = whole(self.confirm.seeds);
        let start = first + round as u64 * count;
        (start..start + count).collect()
    }

    /// `figure` as a loss: lower is better, and NaN is infinite.
    pub(crate) fn loss(&self, figure: f64) -> f64 {
        let loss = if self.monitor.mode() == Mode::Max { -figure } else { figure };
        if loss.is_nan() { f64::INFINITY } else { loss }
    }

    /// The inverse of [`Search::loss`].
    pub(crate) fn figure(&self, loss: f64) -> f64 {
        if self.monitor.mode() == Mode::Max { -loss } else { loss }
    }

    /// A hash of everything that decides what is tried: it distinguishes this search from others of the same study.
    pub(crate) fn address(&self) -> String {
        let text = serde_json::to_string(&(self, self.base.identity())).expect("a search is plain data");
        kiln_files::sha256_hex(text.as_bytes())[..8].to_owned()
    }
}

/// The best trial of a search so far.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct BestTrial {
    /// Its name.
    pub name: String,
    /// Epochs trained when its figure was measured.
    pub epochs: usize,
    /// Its figure.
    pub figure: f64,
}

/// The agenda of a search: decides its waves one after the other, or reads those that are decided already.
pub(crate) struct SearchAgenda<'a> {
    search: &'a Search,
    /// The study's folder.
    study: PathBuf,
    /// The folder of its waves.
    folder: PathBuf,
    history: History,
    /// The wave in progress. Its number, from 1, counts the waves before it too.
    current: Option<Wave>,
    number: usize,
    /// Whether it stores new decisions.
    decides: bool,
}

impl<'a> SearchAgenda<'a> {
    pub(crate) fn new(search: &'a Search, study: &Path) -> Self {
        let folder = study.join("searches").join(search.address());
        let (study, history) = (study.to_owned(), History::default());
        Self { search, study, folder, history, current: None, number: 0, decides: true }
    }

    /// The same agenda, read-only: it stores no decisions.
    pub(crate) fn read_only(self) -> Self {
        Self { decides: false, ..self }
    }

    /// The best trial so far.
    pub(crate) fn best(&self) -> Option<BestTrial> {
        let trials = &self.history.trials;
        self.history.in_order(0..trials.len()).into_iter().find_map(|trial| {
            let (epochs, loss) = trials[trial].last().filter(|(_, loss)| loss.is_finite())?;
            Some(BestTrial { name: trial_name(trial), epochs, figure: self.search.figure(loss) })
        })
    }

    pub(crate) fn search(&self) -> &Search {
        self.search
    }

    /// What is known, without the wave in progress.
    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    fn decide(&self) -> Option<Wave> {
        let (search, history) = (self.search, &self.history);
        let searched = || if history.rounds == 0 { search_wave(search, history) } else { None };
        searched().or_else(|| confirmation_wave(search, history)).or_else(|| test_wave(history))
    }

    fn tasks(&self, wave: &Wave) -> Result<Vec<Task>, StudyError> {
        let task = |task: &WaveTask| {
            let settings = &self.history.trials[task.trial].settings;
            let name = trial_name(task.trial);
            let experiment = self.search.experiment(&name, settings, task.seed)?;
            let trial_run = TrialRun::new(task.trial, &experiment, &self.study);
            Ok(Task { trial_run, until: task.until })
        };
        wave.tasks.iter().map(task).collect()
    }
}

/// The name of trial `number` and of its runs.
pub(crate) fn trial_name(number: usize) -> String {
    if number == 0 { "base".to_owned() } else { format!("trial-{number:04}") }
}

impl Agenda for SearchAgenda<'_> {
    fn next(&mut self, done: Done<'_>) -> Result<Option<Tasks>, StudyError> {
        if let Some(wave) = self.current.take() {
            self.history.end(self.search, &wave, &done()?);
        }
        self.number += 1;
        let wave = match Wave::read(&self.folder, self.number)? {
            Some(wave) => wave,
            None => match self.decide() {
                Some(wave) if self.decides => wave.store(&self.folder, self.number)?,
                // The next worker decides it; until then this is the status.
                Some(wave) => wave,
                None => return Ok(None),
            },
        };
        if !wave.fits(self.search, self.history.trials.len()) {
            let path = Wave::path(&self.folder, self.number);
            return Err(StudyError::damaged(&path, &"it does not continue the waves before it"));
        }
        self.history.begin(self.search, &wave);
        let tasks = self.tasks(&wave)?;
        let stage = wave.stage.words(self.number);
        self.current = Some(wave);
        Ok(Some(Tasks { stage: Some(stage), tasks }))
    }

    fn depends_on_results(&self) -> bool {
        true
    }
}
