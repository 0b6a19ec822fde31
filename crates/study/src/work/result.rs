//! What came of a task, as its file says it: written once, by whoever did the task, for all who wait for it.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kiln_artifacts::{ArtifactError, MetricRow, Run, Scope, replace_file};
use kiln_config::{Mode, Monitor};
use kiln_files::json_text;
use serde::{Deserialize, Serialize};

use crate::StudyError;
use crate::stored::{names, read_again, read_json};

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

/// The figures that may decide in a search.
const MONITORS: [Monitor; 4] =
    [Monitor::TrainLoss, Monitor::TrainAccuracy, Monitor::ValidationLoss, Monitor::ValidationAccuracy];

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
            best: MONITORS.iter().filter_map(|&monitor| best(&epochs, monitor)).collect(),
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
        self.best.get(&name(monitor)).copied().flatten()
    }
}

/// The split that a figure is taken on, and its name there.
fn place(monitor: Monitor) -> (&'static str, &'static str) {
    match monitor {
        Monitor::TrainLoss => ("train", "loss"),
        Monitor::TrainAccuracy => ("train", "accuracy"),
        Monitor::ValidationLoss => ("validation", "loss"),
        Monitor::ValidationAccuracy => ("validation", "accuracy"),
    }
}

/// What a figure is called where results are kept.
pub(crate) fn name(monitor: Monitor) -> String {
    let (split, figure) = place(monitor);
    format!("{split}_{figure}")
}

fn best(epochs: &[&MetricRow], monitor: Monitor) -> Option<(String, Option<f64>)> {
    let (split, figure) = place(monitor);
    let values = epochs.iter().filter(|row| row.split == split).filter_map(|row| row.figure(figure));
    let finite = values.filter(|value| value.is_finite());
    let best = match monitor.mode() {
        Mode::Min => finite.min_by(f64::total_cmp),
        Mode::Max => finite.max_by(f64::total_cmp),
    };
    best.map(|value| (name(monitor), Some(value)))
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
        let names = names(&self.folder)?;
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
