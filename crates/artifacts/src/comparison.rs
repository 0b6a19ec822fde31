//! Runs side by side: what was set differently, and what came of it.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::{ArtifactError, Best, Run, RunState, Scope, TestFigures, runs::read_config};

/// Runs side by side. Every list of values has one entry per run, in the order that the runs were given.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "RunComparison")]
pub struct Comparison {
    /// The runs.
    pub runs: Vec<ComparedRun>,
    /// The config keys whose values differ, by name.
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
    /// What it is doing, or how it ended.
    pub state: RunState,
    /// The epoch in progress or last done.
    pub epoch: u64,
    /// Seconds of training over all sessions.
    pub elapsed_seconds: f64,
    /// The best epoch so far.
    pub best: Option<Best>,
    /// The test figures, once it is evaluated.
    pub test: Option<TestFigures>,
    /// SHA-256 of the final weights: equal where training went the same to the bit.
    pub weights_sha256: Option<String>,
}

/// A config key whose values differ.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ConfigDifference {
    /// The key with its section, such as `optimizer.lr`.
    pub key: String,
    /// Its value in each run; null where the run's config lacks it.
    pub values: Vec<Option<Value>>,
}

/// A figure in each run.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct FigureComparison {
    /// Split and figure, such as `validation.accuracy`.
    pub name: String,
    /// Its value in each run; null where the run lacks it.
    pub values: Vec<Option<f64>>,
}

/// Compares runs: which resolved config keys differ, and the final figures side by side.
///
/// # Errors
///
/// When a run's config, status or metric log cannot be read.
pub fn compare(runs: &[Run]) -> Result<Comparison, ArtifactError> {
    let configs = runs.iter().map(flat_config).collect::<Result<Vec<_>, _>>()?;
    let figures = runs.iter().map(final_figures).collect::<Result<Vec<_>, _>>()?;
    let config = side_by_side(&configs)
        .filter(|(_, values)| values.windows(2).any(|pair| pair[0] != pair[1]))
        .map(|(key, values)| ConfigDifference { key, values })
        .collect();
    let figures = side_by_side(&figures).map(|(name, values)| FigureComparison { name, values }).collect();
    let runs = runs.iter().map(compared).collect::<Result<_, _>>()?;
    Ok(Comparison { runs, config, figures })
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

/// Each name that any map has, with its value in every map.
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
                // TOML has not-a-number and JSON has not: it becomes null here.
                let value = serde_json::to_value(value).expect("every TOML value is a JSON value");
                flat.insert(key, value);
            }
        }
    }
}

/// The figures of each split's last epoch row, and of the test.
fn final_figures(run: &Run) -> Result<BTreeMap<String, f64>, ArtifactError> {
    let mut last = BTreeMap::new();
    for row in run.metric_rows()?.into_iter().filter(|row| row.scope == Scope::Epoch) {
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
