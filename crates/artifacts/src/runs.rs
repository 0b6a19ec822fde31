//! Many runs: listing, deleting and comparing them.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::run::all_runs;
use crate::{ArtifactError, BestEpoch, MetricScope, Run, RunState, TestFigures};

/// Prefix of a folder that is being deleted.
const DELETING: &str = ".deleting-";

/// A run in the list of runs.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct RunSummary {
    /// The experiment's name.
    pub name: String,
    /// The run folder's name.
    pub id: String,
    /// The run folder.
    #[serde(rename = "run")]
    pub path: PathBuf,
    /// The state; null for a damaged run.
    pub state: Option<RunState>,
    /// When it was first started.
    #[schemars(with = "Option<String>")]
    pub started: Option<Timestamp>,
    /// The current or last epoch.
    pub epoch: u64,
    /// Number of epochs planned.
    pub epochs: u64,
    /// Seconds of training over all sessions.
    pub elapsed_seconds: f64,
    /// The test figures, after the evaluation.
    pub test: Option<TestFigures>,
    /// The best epoch so far.
    pub best: Option<BestEpoch>,
    /// The experiment's tags.
    pub tags: Vec<String>,
    /// Why the run cannot be read; null if it can.
    pub damaged: Option<String>,
}

/// Several runs side by side. Each list of values has one entry per run, in the order of the runs.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct RunComparison {
    /// The runs.
    pub runs: Vec<ComparedRun>,
    /// The config keys with different values, by name.
    pub config: Vec<ConfigDifference>,
    /// The figures of the last complete epoch and of the test, by name.
    pub figures: Vec<FigureComparison>,
}

/// One of the runs.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ComparedRun {
    /// The experiment's name.
    pub name: String,
    /// The run folder's name.
    pub id: String,
    /// The state.
    pub state: RunState,
    /// The current or last epoch.
    pub epoch: u64,
    /// Seconds of training over all sessions.
    pub elapsed_seconds: f64,
    /// The best epoch so far.
    pub best: Option<BestEpoch>,
    /// The test figures, after the evaluation.
    pub test: Option<TestFigures>,
    /// SHA-256 of the final weights: equal if the trainings are equal to the bit.
    pub weights_sha256: Option<String>,
}

/// A config key with different values.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ConfigDifference {
    /// The key with its section, such as `optimizer.lr`.
    pub key: String,
    /// The value in each run; null if the run's config does not have the key.
    pub values: Vec<Option<Value>>,
}

/// A figure in each run.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct FigureComparison {
    /// Split and figure, such as `validation.accuracy`.
    pub name: String,
    /// The value in each run; null if the run does not have the figure.
    pub values: Vec<Option<f64>>,
}

/// Every run below `root`, the latest first. Runs that cannot be read are last, with the reason. Empty if there is no
/// root.
pub fn list(root: &Path) -> Result<Vec<RunSummary>, ArtifactError> {
    let mut summaries: Vec<RunSummary> = all_runs(root)?.iter().map(summarize).collect();
    summaries.sort_by_key(|summary| Reverse((summary.started, summary.id.clone())));
    Ok(summaries)
}

/// Deletes `run` with its folder. If the process dies meanwhile, a hidden folder remains instead of half a run; the next
/// deletion in the same experiment removes it.
///
/// # Errors
///
/// If another process is training the run, or the folder cannot be removed.
pub fn delete(run: &Run) -> Result<(), ArtifactError> {
    let folder = run.folder();
    let lock = run.lock()?;
    let hidden = folder.with_file_name(format!("{DELETING}{}", run.id()));
    fs::rename(folder, &hidden).map_err(|cause| ArtifactError::io("remove", folder, cause))?;
    drop(lock);
    fs::remove_dir_all(&hidden).map_err(|cause| ArtifactError::io("remove", &hidden, cause))?;
    if let Some(parent) = hidden.parent() {
        remove_leftovers(parent);
        // The experiment's folder is removed with its last run.
        let _ = fs::remove_dir(parent);
    }
    Ok(())
}

/// Compares runs: the resolved config keys that differ, and the final figures.
pub fn compare(runs: &[Run]) -> Result<RunComparison, ArtifactError> {
    let configs = runs.iter().map(flat_config).collect::<Result<Vec<_>, _>>()?;
    let figures = runs.iter().map(final_figures).collect::<Result<Vec<_>, _>>()?;
    let config = side_by_side(&configs)
        .filter(|(_, values)| values.windows(2).any(|pair| pair[0] != pair[1]))
        .map(|(key, values)| ConfigDifference { key, values })
        .collect();
    let figures = side_by_side(&figures).map(|(name, values)| FigureComparison { name, values }).collect();
    let runs = runs.iter().map(compared).collect::<Result<_, _>>()?;
    Ok(RunComparison { runs, config, figures })
}

/// Removes folders of interrupted deletions, best-effort: another process may be removing them too.
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

/// The resolved config as a table, because the config of an older Kiln may not fit the current types.
fn read_config(run: &Run) -> Result<toml::Table, ArtifactError> {
    let path = run.config_toml();
    let text = fs::read_to_string(&path).map_err(|cause| ArtifactError::io("read", &path, cause))?;
    text.parse().map_err(|problem: toml::de::Error| ArtifactError::malformed(&path, None, problem.message()))
}

fn compared(run: &Run) -> Result<ComparedRun, ArtifactError> {
    let status = run.status_now()?;
    Ok(ComparedRun {
        name: run.name().to_owned(),
        id: run.id().to_owned(),
        state: status.state,
        epoch: status.epoch,
        elapsed_seconds: status.elapsed_seconds,
        best: status.best,
        test: status.test,
        weights_sha256: status.weights_sha256,
    })
}

/// Each name in any of the maps, with its value in every map.
fn side_by_side<T: Clone>(maps: &[BTreeMap<String, T>]) -> impl Iterator<Item = (String, Vec<Option<T>>)> {
    let names: BTreeSet<&String> = maps.iter().flat_map(BTreeMap::keys).collect();
    names.into_iter().map(|name| (name.clone(), maps.iter().map(|map| map.get(name).cloned()).collect()))
}

/// The config's values by dotted key.
fn flat_config(run: &Run) -> Result<BTreeMap<String, Value>, ArtifactError> {
    let mut flat = BTreeMap::new();
    flatten(&read_config(run)?, "", &mut flat);
    Ok(flat)
}

fn flatten(table: &toml::Table, prefix: &str, flat: &mut BTreeMap<String, Value>) {
    for (name, value) in table {
        let key = format!("{prefix}{name}");
        match value {
            toml::Value::Table(table) => flatten(table, &format!("{key}."), flat),
            value => {
                // JSON does not have TOML's NaN: it becomes null.
                let value = serde_json::to_value(value).expect("every TOML value is a JSON value");
                flat.insert(key, value);
            }
        }
    }
}

/// The figures of each split's last epoch row, and of the test.
fn final_figures(run: &Run) -> Result<BTreeMap<String, f64>, ArtifactError> {
    let mut last = BTreeMap::new();
    for row in run.metric_rows()?.into_iter().filter(|row| row.scope == MetricScope::Epoch) {
        last.insert(row.split, row.figures);
    }
    let mut figures: BTreeMap<String, f64> = last
        .into_iter()
        .flat_map(|(split, figures)| {
            figures.into_iter().map(move |(name, value)| (format!("{split}.{name}"), value))
        })
        .collect();
    if let Some(TestFigures { loss, accuracy }) = run.status()?.test {
        figures.insert("test.loss".to_owned(), loss);
        figures.insert("test.accuracy".to_owned(), accuracy);
    }
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        RunStatus, StopReason,
        test_run::{CONFIG, TestRun, create, log_epochs},
    };

    fn finish(run: &Run, accuracy: f64) {
        let test = Some(TestFigures { loss: 0.5, accuracy });
        let status = RunStatus { test, epoch: 2, ..RunStatus::running(2, 200) };
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
        // The rest of a deletion that was killed.
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
    fn a_comparison_shows_different_keys_and_final_figures() {
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
