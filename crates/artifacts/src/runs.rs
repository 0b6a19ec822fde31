//! Many runs: listing and comparing them.

use std::{
    cmp::Reverse,
    fs,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

pub use crate::comparison::compare;
use crate::{ArtifactError, Best, Run, RunState, TestFigures, latest_run};

/// A line of the list of runs.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct RunSummary {
    /// The experiment's name.
    pub name: String,
    /// The run folder's name.
    pub id: String,
    /// The run folder.
    #[serde(rename = "run")]
    pub path: PathBuf,
    /// What it is doing, or how it ended; null for a damaged one.
    pub state: Option<RunState>,
    /// When it was first started.
    #[schemars(with = "Option<String>")]
    pub started: Option<Timestamp>,
    /// The epoch in progress or last done.
    pub epoch: u64,
    /// Epochs planned.
    pub epochs: u64,
    /// Seconds of training over all sessions.
    pub elapsed_seconds: f64,
    /// The test figures, once it is evaluated.
    pub test: Option<TestFigures>,
    /// The best epoch so far.
    pub best: Option<Best>,
    /// The experiment's tags.
    pub tags: Vec<String>,
    /// Why it cannot be read; null where it can.
    pub damaged: Option<String>,
}

/// Every run below `root`, the latest first; the damaged ones, with the reason, last. None without the root.
///
/// # Errors
///
/// When the root may not be read. A run that cannot be read is listed as damaged.
pub fn list(root: &Path) -> Result<Vec<RunSummary>, ArtifactError> {
    let mut summaries: Vec<RunSummary> = latest_run::all_runs(root)?.iter().map(summarize).collect();
    summaries.sort_by_key(|summary| Reverse((summary.started, summary.id.clone())));
    Ok(summaries)
}

/// How the folder of a run begins that is being deleted.
const DELETING: &str = ".deleting-";

/// Deletes `run`, the folder with all that is in it. A process that dies on the way leaves a hidden folder and no half a run; the
/// next deletion beside it takes the folder along.
///
/// # Errors
///
/// When another process trains it, or the folder cannot be removed.
pub fn delete(run: &Run) -> Result<(), ArtifactError> {
    let folder = run.folder();
    let lock = run.lock()?;
    let hidden = folder.with_file_name(format!("{DELETING}{}", run.id()));
    fs::rename(folder, &hidden).map_err(|cause| ArtifactError::io("remove", folder, cause))?;
    drop(lock);
    fs::remove_dir_all(&hidden).map_err(|cause| ArtifactError::io("remove", &hidden, cause))?;
    if let Some(parent) = hidden.parent() {
        remove_leftovers(parent);
        // The folder of the experiment's name goes with its last run.
        let _ = fs::remove_dir(parent);
    }
    Ok(())
}

/// Removes what a deletion that died has left in `folder`. Another process may be about to: what cannot be removed is left to it.
fn remove_leftovers(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(DELETING) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn summarize(run: &Run) -> RunSummary {
    let mut summary = RunSummary {
        name: run.name().to_owned(),
        id: run.id().to_owned(),
        path: run.folder().to_owned(),
        state: None,
        started: None,
        epoch: 0,
        epochs: 0,
        elapsed_seconds: 0.0,
        test: None,
        best: None,
        tags: Vec::new(),
        damaged: None,
    };
    if let Err(error) = fill(&mut summary, run) {
        summary.damaged = Some(kiln_files::with_causes(&error));
    }
    summary
}

fn fill(summary: &mut RunSummary, run: &Run) -> Result<(), ArtifactError> {
    let status = Run::open(run.folder())?.status_now()?;
    summary.tags = tags(&read_config(run)?);
    summary.state = Some(status.state);
    summary.started = Some(status.started);
    summary.epoch = status.epoch;
    summary.epochs = status.epochs;
    summary.elapsed_seconds = status.elapsed_seconds;
    summary.test = status.test;
    summary.best = status.best;
    Ok(())
}

fn tags(config: &toml::Table) -> Vec<String> {
    let tags = config.get("tags").and_then(toml::Value::as_array);
    tags.into_iter().flatten().filter_map(toml::Value::as_str).map(str::to_owned).collect()
}

/// The resolved config as a table: what an older Kiln wrote need not fit today's types.
pub(crate) fn read_config(run: &Run) -> Result<toml::Table, ArtifactError> {
    let path = run.config_toml();
    let text = fs::read_to_string(&path).map_err(|cause| ArtifactError::io("read", &path, cause))?;
    text.parse().map_err(|problem: toml::de::Error| ArtifactError::malformed(&path, None, problem.message()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Status, StopReason,
        test_run::{CONFIG, TestRun, create, log_epochs},
    };

    fn finish(run: &Run, accuracy: f64) {
        let test = Some(TestFigures { loss: 0.5, accuracy });
        let status = Status { test, epoch: 2, ..Status::running(2, 200) };
        run.write_status(&status.stopped(RunState::Finished, StopReason::Completed)).unwrap();
    }

    #[test]
    fn a_damaged_run_is_listed_with_the_reason_beside_the_good_ones() {
        let good = TestRun::new();
        finish(&good, 0.9);
        let no_status = create(good.root(), "digits", CONFIG);
        fs::remove_file(no_status.status_json()).unwrap();
        let torn = create(good.root(), "mnist", CONFIG);
        fs::write(torn.status_json(), "{").unwrap();
        fs::create_dir_all(good.root().join("studies/not-a-run")).unwrap();
        let found = list(good.root()).unwrap();
        assert_eq!(found.len(), 3);
        assert_eq!((found[0].id.as_str(), found[0].state), (good.id(), Some(RunState::Finished)));
        assert_eq!((found[0].test.unwrap().accuracy, found[0].epochs), (0.9, 2));
        assert_eq!(found[0].tags, ["small"]);
        let reasons: Vec<&str> = found[1..].iter().map(|run| run.damaged.as_deref().unwrap()).collect();
        assert!(reasons.iter().any(|reason| reason.contains("it has no status.json")), "{reasons:?}");
        assert!(reasons.iter().any(|reason| reason.contains("status.json, line 1: EOF")), "{reasons:?}");
    }

    #[test]
    fn a_run_is_deleted_unless_it_is_being_trained() {
        let run = TestRun::new();
        let other = create(run.root(), "digits", CONFIG);
        let lock = other.lock().unwrap();
        assert!(matches!(delete(&other), Err(ArtifactError::Locked { .. })) && other.folder().is_dir());
        drop(lock);
        // What a deletion that was killed has left.
        fs::create_dir_all(run.folder().with_file_name(".deleting-older/checkpoints")).unwrap();
        delete(&other).unwrap();
        assert_eq!(fs::read_dir(run.folder().parent().unwrap()).unwrap().count(), 1);
        assert_eq!(list(run.root()).unwrap().len(), 1);
        delete(&run).unwrap();
        assert_eq!(fs::read_dir(run.root()).unwrap().count(), 0);
    }

    #[test]
    fn without_a_root_there_are_no_runs() {
        assert_eq!(list(Path::new("does-not-exist")).unwrap(), []);
    }

    #[test]
    fn a_comparison_shows_what_differs_and_what_came_of_it() {
        let left = TestRun::new();
        let right = create(left.root(), "digits", &CONFIG.replace("0.001", "0.01\nmomentum = 0.9"));
        log_epochs(&left, "validation", &[(0.9, 0.5), (0.8, 0.6)]);
        finish(&left, 0.9);
        finish(&right, 0.8);
        let comparison = compare(&[left.clone(), right]).unwrap();
        let json = serde_json::to_value(&comparison).unwrap();
        assert_eq!(
            json["config"],
            serde_json::json!([
                { "key": "optimizer.lr", "values": [0.001, 0.01] },
                { "key": "optimizer.momentum", "values": [null, 0.9] },
            ])
        );
        assert_eq!(
            json["figures"],
            serde_json::json!([
                { "name": "test.accuracy", "values": [0.9, 0.8] },
                { "name": "test.loss", "values": [0.5, 0.5] },
                { "name": "validation.accuracy", "values": [0.6, null] },
                { "name": "validation.loss", "values": [0.8, null] },
            ])
        );
        assert_eq!(json["runs"][1]["state"], "finished");
    }
}
