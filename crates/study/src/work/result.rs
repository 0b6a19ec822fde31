//! What came of a task, as its file says it: written once, by whoever did the task, for all who wait for it.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kiln_artifacts::{ArtifactError, MetricRow, Run, Scope, replace_file};
use kiln_config::Monitor;
use kiln_files::json_text;
use serde::{Deserialize, Serialize};

use crate::StudyError;

/// What came of a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    /// Why it failed; null where it did not.
    pub error: Option<String>,
    /// Whether it would fail again: its settings are at fault, and neither machine nor disk.
    pub is_settings_fault: bool,
    /// Epochs trained.
    pub epochs: u64,
    /// Whether training came to its end.
    pub is_over: bool,
    /// The best epoch's figures up to then, by name: `validation_loss` and its like.
    pub best: BTreeMap<String, Option<f64>>,
    /// Test figures; empty where it was not tested.
    pub test: BTreeMap<String, Option<f64>>,
    /// Seconds of training, with what was trained for earlier tasks.
    pub seconds: f64,
}

/// The figures that decide in a search, each with its split and its name there, and whether lower is better.
const FIGURES: [(Monitor, &str, &str, bool); 4] = [
    (Monitor::TrainLoss, "train", "loss", true),
    (Monitor::TrainAccuracy, "train", "accuracy", false),
    (Monitor::ValidationLoss, "validation", "loss", true),
    (Monitor::ValidationAccuracy, "validation", "accuracy", false),
];

impl TaskResult {
    /// What `run` came to after `until` epochs, or at its end; `is_over` says whether that is its end.
    ///
    /// # Errors
    /// Where its log or its status cannot be read.
    pub(crate) fn of(run: &Run, until: Option<usize>, is_over: bool) -> Result<Self, ArtifactError> {
        let (rows, status) = (run.metric_rows()?, run.status()?);
        let until = until.map_or(u64::MAX, |until| until as u64);
        let epochs: Vec<&MetricRow> =
            rows.iter().filter(|row| row.scope == Scope::Epoch && row.epoch <= until).collect();
        let test = status.test.map(|test| [("loss", test.loss), ("accuracy", test.accuracy)]);
        let named = |(name, value): (&str, f64)| (name.to_owned(), Some(value));
        Ok(Self {
            epochs: epochs.iter().filter(|row| row.split == "train").count() as u64,
            is_over,
            best: FIGURES.iter().filter_map(|figure| best(&epochs, figure)).collect(),
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
        self.best.get(name(monitor)).copied().flatten()
    }
}

/// What a figure is called where results are kept.
pub(crate) fn name(monitor: Monitor) -> &'static str {
    match monitor {
        Monitor::TrainLoss => "train_loss",
        Monitor::TrainAccuracy => "train_accuracy",
        Monitor::ValidationLoss => "validation_loss",
        Monitor::ValidationAccuracy => "validation_accuracy",
    }
}

fn best(
    epochs: &[&MetricRow],
    &(monitor, split, figure, is_lower_better): &(Monitor, &str, &str, bool),
) -> Option<(String, Option<f64>)> {
    let values = epochs.iter().filter(|row| row.split == split).filter_map(|row| row.figure(figure));
    let finite = values.filter(|value| value.is_finite());
    let best = if is_lower_better { finite.min_by(f64::total_cmp) } else { finite.max_by(f64::total_cmp) };
    best.map(|value| (name(monitor).to_owned(), Some(value)))
}

/// The folder of results, by the id of the task.
#[derive(Clone, Debug)]
pub(crate) struct Results {
    folder: PathBuf,
}

impl Results {
    /// The results of the study in `folder`, which may be nowhere yet.
    pub(crate) fn of_study(folder: &Path) -> Self {
        Self { folder: folder.join("results") }
    }

    /// The same, with a place for more.
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
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(HashSet::new()),
            Err(cause) => return Err(StudyError::io("read", &self.folder, cause)),
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect())
    }

    pub(crate) fn read(&self, id: &str) -> Result<Option<TaskResult>, StudyError> {
        let path = self.path(id);
        match fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map(Some).map_err(|cause| StudyError::damaged(&path, &cause))
            }
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(StudyError::io("read", &path, cause)),
        }
    }

    /// That a result was there a moment ago.
    pub(crate) fn lost(&self, id: &str) -> StudyError {
        let cause = io::Error::new(io::ErrorKind::NotFound, "it was there a moment ago");
        StudyError::io("read", &self.path(id), cause)
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
