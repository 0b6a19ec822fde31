//! Tasks that worker processes take: one process or many, on one host or on many.
//!
//! An [`Agenda`] decides which [`Task`]s are next. Processes that share nothing but the study's folder take them: a
//! `lease` gives a task to one process, the `queue` picks the next one, the `pool` runs several at a time, and a
//! worker process (`process`) trains. The result of a task is a file that is written once.

mod lease;
mod pool;
mod process;
mod queue;

pub(crate) use lease::Leases;
pub(crate) use pool::{CANCELLED, WorkEnd, WorkerPool};
pub use pool::{StudyEvent, StudyObserver, TaskOutcome};
pub use process::{Message, TrainRequest, Worker, WorkerEnd};
pub use queue::{ClaimTimings, simulate_claims};

use std::collections::{BTreeMap, HashSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io, thread};

use kiln_artifacts::{ArtifactError, MetricRow, MetricScope, Run, RunState, replace_file, runs};
use kiln_config::{BackendName, Experiment, Mode, Monitor};
use kiln_files::{json_text, sha256_hex};
use serde::{Deserialize, Serialize};

use crate::{StudyError, file_names, read_again, read_json};

/// A trial run to train up to an epoch, or to its end and its test.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) trial_run: TrialRun,
    /// The epoch, from 1, after which it pauses untested; `None` trains to the end and tests.
    pub(crate) until: Option<usize>,
}

/// Tasks that do not depend on each other.
#[derive(Debug)]
pub(crate) struct Tasks {
    /// The name of the stage, if there are several.
    pub(crate) stage: Option<String>,
    pub(crate) tasks: Vec<Task>,
}

/// Reads the results of the latest tasks, in order. A function, because reading ten thousand results takes time that
/// an agenda without use for them saves.
pub(crate) type Done<'a> = &'a dyn Fn() -> Result<Vec<TaskResult>, StudyError>;

/// Decides the next tasks, once all earlier tasks are done.
pub(crate) trait Agenda: Send {
    /// The next tasks; `None` at the end. `done` reads the results of the latest ones.
    fn next(&mut self, done: Done<'_>) -> Result<Option<Tasks>, StudyError>;

    /// Whether a failure that the settings did not cause (a full disk, a missing file) ends the work, because later
    /// decisions would depend on it.
    fn depends_on_results(&self) -> bool;
}

impl Task {
    /// The name of its result file.
    pub(crate) fn id(&self) -> String {
        match self.until {
            Some(epoch) => format!("{}-e{epoch}", self.trial_run.address),
            None => format!("{}-test", self.trial_run.address),
        }
    }
}

/// Hexadecimal digits of an address: 64 bits distinguish any realistic number of trials.
const ADDRESS_LENGTH: usize = 16;
const PAUSE_BETWEEN_TRIES: Duration = Duration::from_millis(20);
const EXPERIMENT_FILE: &str = "experiment.toml";

/// One trial with one seed. Its folder is named after everything that decides its result, so that every study finds
/// earlier trainings again, even under another trial name.
#[derive(Clone, Debug)]
pub(crate) struct TrialRun {
    /// Number of the trial, from 0.
    pub(crate) trial: usize,
    pub(crate) seed: u64,
    /// Its name in progress and messages.
    pub(crate) name: String,
    pub(crate) experiment: Experiment,
    /// A hash of everything that decides the result.
    pub(crate) address: String,
    /// `<study>/trials/<address>`.
    pub(crate) folder: PathBuf,
}

impl TrialRun {
    pub(crate) fn new(trial: usize, experiment: &Experiment, study: &Path) -> Self {
        let seed = experiment.seed;
        let address = sha256_hex(experiment.identity().as_bytes())[..ADDRESS_LENGTH].to_owned();
        Self {
            trial,
            seed,
            name: format!("{} seed {seed}", experiment.name),
            experiment: experiment.clone(),
            folder: study.join("trials").join(&address),
            address,
        }
    }

    /// Creates the folder and the experiment file, unless they exist.
    pub(crate) fn prepare(&self) -> Result<(), StudyError> {
        let path = experiment_file(&self.folder);
        if path.is_file() {
            return Ok(());
        }
        fs::create_dir_all(&self.folder).map_err(|cause| StudyError::io("create", &self.folder, cause))?;
        Ok(replace_file(&path, self.experiment.to_toml().as_bytes())?)
    }

    /// The finished run in its folder, otherwise the latest one.
    pub(crate) fn stored_run(&self) -> Option<(Run, RunState)> {
        stored_run_in(&self.folder)
    }
}

/// The experiment file in a trial run's folder.
pub(crate) fn experiment_file(folder: &Path) -> PathBuf {
    folder.join(EXPERIMENT_FILE)
}

/// The finished run in a trial run's folder, otherwise the latest one.
pub(crate) fn stored_run_in(folder: &Path) -> Option<(Run, RunState)> {
    let summaries = runs::list(folder).ok()?;
    let whole: Vec<_> = summaries.iter().filter(|run| run.state.is_some()).collect();
    let finished = whole.iter().find(|run| run.state == Some(RunState::Finished));
    let chosen = finished.or(whole.first())?;
    Some((Run::open(&chosen.path).ok()?, chosen.state?))
}

/// Locks a folder until the file is dropped, or this process ends. While another process has the lock (a worker may
/// outlive its study), this waits; it gives `None` once `is_over` is true.
pub(crate) fn lock(folder: &Path, is_over: impl Fn() -> bool) -> Result<Option<File>, StudyError> {
    let path = folder.join("lock");
    let open = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = open.map_err(|cause| StudyError::io("open", &path, cause))?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) if is_over() => return Ok(None),
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE_BETWEEN_TRIES),
            Err(TryLockError::Error(cause)) => return Err(StudyError::io("lock", &path, cause)),
        }
    }
}

/// The experiment as a worker gets it: with one computing thread on a CPU, because results must not depend on how
/// many workers share the machine.
pub(crate) fn prepared(mut experiment: Experiment, name: &str) -> Experiment {
    name.clone_into(&mut experiment.name);
    // A trial that its own time limit stopped would go to the next worker at once.
    experiment.training.max_time = None;
    let on_cpu =
        matches!(experiment.backend.name, BackendName::Auto | BackendName::Flex | BackendName::Ndarray);
    if on_cpu {
        experiment.backend.threads = experiment.backend.threads.or(Some(1));
    }
    experiment
}

/// The result of a task. Its file is written once, by the worker that did the task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    /// Why it failed; null otherwise.
    pub error: Option<String>,
    /// Whether its settings caused the failure, so that it would fail again on any machine.
    pub is_settings_fault: bool,
    /// Epochs trained.
    pub epochs: u64,
    /// Whether training is over: complete, or stopped early.
    pub is_over: bool,
    /// The best value of each figure over the epochs so far, by name, such as `validation_loss`.
    pub best: BTreeMap<String, Option<f64>>,
    /// Test figures; empty if it was not tested.
    pub test: BTreeMap<String, Option<f64>>,
    /// Seconds of training, including earlier tasks of the same run.
    pub seconds: f64,
}

/// The figures that a search may compare.
const MONITORS: [Monitor; 4] =
    [Monitor::TrainLoss, Monitor::TrainAccuracy, Monitor::ValidationLoss, Monitor::ValidationAccuracy];

impl TaskResult {
    /// The result of `run` after `until` epochs, or at its end; `is_over` says whether training is over then.
    pub(crate) fn of(run: &Run, until: Option<usize>, is_over: bool) -> Result<Self, ArtifactError> {
        let (rows, status) = (run.metric_rows()?, run.status()?);
        let until = until.map_or(u64::MAX, |until| until as u64);
        let epochs: Vec<&MetricRow> =
            rows.iter().filter(|row| row.scope == MetricScope::Epoch && row.epoch <= until).collect();
        let test = status.test.map(|test| [("loss", test.loss), ("accuracy", test.accuracy)]);
        let named = |(name, value): (&str, f64)| (name.to_owned(), Some(value));
        Ok(Self {
            epochs: epochs.iter().filter(|row| row.split == "train").count() as u64,
            is_over,
            best: MONITORS.iter().filter_map(|&monitor| best_epoch(&epochs, monitor)).collect(),
            test: test.into_iter().flatten().map(named).collect(),
            seconds: status.elapsed_seconds,
            ..Self::default()
        })
    }

    pub(crate) fn failed(error: String, is_settings_fault: bool) -> Self {
        Self { error: Some(error), is_settings_fault, ..Self::default() }
    }

    /// The figure that `monitor` names.
    pub(crate) fn figure(&self, monitor: Monitor) -> Option<f64> {
        self.best.get(&figure_name(monitor)).copied().flatten()
    }
}

/// The split of a figure, and its name in the metric log.
fn split_and_figure(monitor: Monitor) -> (&'static str, &'static str) {
    match monitor {
        Monitor::TrainLoss => ("train", "loss"),
        Monitor::TrainAccuracy => ("train", "accuracy"),
        Monitor::ValidationLoss => ("validation", "loss"),
        Monitor::ValidationAccuracy => ("validation", "accuracy"),
    }
}

/// The name of a figure in stored results.
pub(crate) fn figure_name(monitor: Monitor) -> String {
    let (split, figure) = split_and_figure(monitor);
    format!("{split}_{figure}")
}

fn best_epoch(epochs: &[&MetricRow], monitor: Monitor) -> Option<(String, Option<f64>)> {
    let (split, figure) = split_and_figure(monitor);
    let values = epochs.iter().filter(|row| row.split == split).filter_map(|row| row.figure(figure));
    let finite = values.filter(|value| value.is_finite());
    let best = match monitor.mode() {
        Mode::Min => finite.min_by(f64::total_cmp),
        Mode::Max => finite.max_by(f64::total_cmp),
    };
    best.map(|value| (figure_name(monitor), Some(value)))
}

/// The folder of results: a file for each task, named by its id.
#[derive(Clone, Debug)]
pub(crate) struct ResultStore {
    folder: PathBuf,
}

impl ResultStore {
    /// The results of the study in `folder`, for reading; the folder need not exist.
    pub(crate) fn of_study(folder: &Path) -> Self {
        Self { folder: folder.join("results") }
    }

    /// The results of the study in `folder`, for writing: creates their folder.
    pub(crate) fn in_study(folder: &Path) -> Result<Self, StudyError> {
        let results = Self::of_study(folder);
        let folder = &results.folder;
        fs::create_dir_all(folder).map_err(|cause| StudyError::io("create", folder, cause))?;
        Ok(results)
    }

    fn path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    pub(crate) fn has(&self, id: &str) -> bool {
        self.path(id).is_file()
    }

    /// Ids of all tasks that are done.
    pub(crate) fn ids(&self) -> Result<HashSet<String>, StudyError> {
        let names = file_names(&self.folder)?;
        Ok(names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect())
    }

    pub(crate) fn read(&self, id: &str) -> Result<Option<TaskResult>, StudyError> {
        read_json(&self.path(id))
    }

    /// The result of a task that is known to be done.
    pub(crate) fn read_again(&self, id: &str) -> Result<TaskResult, StudyError> {
        read_again(&self.path(id))
    }

    pub(crate) fn write(&self, id: &str, result: &TaskResult) -> Result<(), StudyError> {
        Ok(replace_file(&self.path(id), &json_text(result))?)
    }

    pub(crate) fn remove(&self, id: &str) -> Result<(), StudyError> {
        let path = self.path(id);
        match fs::remove_file(&path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(StudyError::io("remove", &path, cause))
            }
            _ => Ok(()),
        }
    }
}
