//! What came of a cell, read from its run folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use kiln_artifacts::{MetricRow, Run, RunState, Scope};
use kiln_diagnosis::{Finding, FindingKind, Severity, layers};
use kiln_evaluation::{
    FIGURES, METRICS_FILE, Metrics, PREDICTIONS_FILE, Predictions, findings_of_run, weight_count,
};
use kiln_files::sha256_hex;
use schemars::JsonSchema;
use serde::Serialize;

use crate::work::Cell;

/// How far a trial is with one seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "SeedState")]
pub enum CellState {
    /// Trained and tested.
    Finished,
    /// It failed.
    Failed,
    /// It is not done.
    Open,
}

/// What came of one trial with one seed.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Outcome {
    /// Number of the trial, from 0.
    #[serde(skip)]
    pub trial: usize,
    /// The seed.
    pub seed: u64,
    /// How far it is.
    pub state: CellState,
    /// Why it failed; null where it did not.
    pub error: Option<String>,
    /// The run folder.
    pub run: Option<PathBuf>,
    /// Figures by name, such as `test_accuracy`; only those that are there.
    #[schemars(with = "BTreeMap<String, Option<f64>>")]
    pub figures: BTreeMap<String, f64>,
    /// Training figures by epoch.
    #[serde(skip)]
    pub epochs: Vec<MetricRow>,
    /// What its figures say against it, as its own report has it.
    pub findings: Vec<Finding>,
    /// The gradient's norm of each layer, first to last, where that was first measured.
    #[serde(skip)]
    pub layer_gradients: Vec<f64>,
    /// SHA-256 of the metric log: equal ones are one trace.
    pub trace_sha256: Option<String>,
    /// Whether each test example is predicted right, where predictions were kept.
    #[serde(skip)]
    pub predictions: Option<Vec<bool>>,
}

impl Outcome {
    /// Reads what is there; `error` is why the work on the cell failed just now, if it did.
    pub(crate) fn read(cell: &Cell, error: Option<&String>) -> Self {
        let found = cell.run();
        let state = match (&found, error) {
            (Some((_, RunState::Finished)), _) => CellState::Finished,
            (Some((_, RunState::Failed)), _) | (_, Some(_)) => CellState::Failed,
            _ => CellState::Open,
        };
        let mut outcome = Self {
            trial: cell.trial,
            seed: cell.seed,
            state,
            error: error.cloned(),
            run: None,
            figures: BTreeMap::new(),
            epochs: Vec::new(),
            findings: Vec::new(),
            layer_gradients: Vec::new(),
            trace_sha256: None,
            predictions: None,
        };
        if let Some((run, _)) = found {
            outcome.fill(&run, cell);
        }
        outcome
    }

    /// A figure by name.
    #[must_use]
    pub fn figure(&self, name: &str) -> Option<f64> {
        self.figures.get(name).copied()
    }

    /// True for a cell that was trained and tested.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.state == CellState::Finished
    }

    /// Whether its figures say this against it, as more than good to know.
    pub(crate) fn has(&self, kind: FindingKind) -> bool {
        self.findings.iter().any(|finding| finding.kind == kind && finding.severity > Severity::Info)
    }

    fn fill(&mut self, run: &Run, cell: &Cell) {
        self.run = Some(run.folder().to_owned());
        let rows = run.metric_rows().unwrap_or_default();
        let epochs = rows.iter().filter(|row| row.split == "train" && row.scope == Scope::Epoch);
        self.epochs = epochs.cloned().collect();
        self.layer_gradients = first_gradients(&rows);
        if let Ok(status) = run.status() {
            if self.state == CellState::Failed {
                self.error = status.error.clone().or(self.error.take());
            }
            if self.state != CellState::Open {
                self.findings = findings_of_run(run, &rows, &status, &cell.experiment).unwrap_or_default();
            }
            self.note("seconds", Some(status.elapsed_seconds));
            if let Some(test) = status.test {
                self.note("test_accuracy", Some(test.accuracy));
                self.note("test_loss", Some(test.loss));
            }
        }
        self.note_rows(&rows);
        self.note_evaluation(&run.evaluation("test").join(METRICS_FILE));
        self.note("parameters", weight_count(run, None).map(|count| count as f64));
        if self.is_finished() {
            let predictions = Predictions::read(&run.evaluation("test").join(PREDICTIONS_FILE)).ok();
            self.predictions = predictions.map(|found| found.is_right().collect());
            self.trace_sha256 = fs::read(run.metrics()).ok().map(|bytes| sha256_hex(&bytes));
        }
    }

    /// The last epoch's figures.
    fn note_rows(&mut self, rows: &[MetricRow]) {
        for split in ["train", "validation"] {
            let last = rows.iter().rfind(|row| row.split == split && row.scope == Scope::Epoch);
            for figure in ["loss", "accuracy"] {
                self.note(&format!("{split}_{figure}"), last.and_then(|row| row.figure(figure)));
            }
        }
    }

    /// What the evaluation of the test split found, where it was kept.
    fn note_evaluation(&mut self, path: &Path) {
        let Ok(found) = Metrics::read(path) else { return };
        if let Some(active) = found.dropout_active {
            self.note("dropout_active_accuracy", Some(active.accuracy));
            self.note("dropout_active_loss", active.loss);
        }
        for key in figures_of_predictions() {
            self.note(key, found.figure(key));
        }
    }

    fn note(&mut self, name: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.figures.insert(name.to_owned(), value);
        }
    }
}

fn first_gradients(rows: &[MetricRow]) -> Vec<f64> {
    let norms = |row: &MetricRow| -> Vec<f64> {
        layers(row).iter().filter_map(|layer| layer.figure("gradient_norm")).collect()
    };
    rows.iter().map(norms).find(|norms| !norms.is_empty()).unwrap_or_default()
}

/// The figures of the test's predictions by key, without accuracy and loss: those go by the name of their split.
pub(crate) fn figures_of_predictions() -> impl Iterator<Item = &'static str> {
    FIGURES.iter().map(|row| row.key).filter(|key| !["accuracy", "loss"].contains(key))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A finding of this kind that matters.
    pub(crate) fn finding(kind: FindingKind) -> Finding {
        let (statement, remedies, evidence) = (String::new(), Vec::new(), Vec::new());
        Finding { kind, severity: Severity::Failure, statement, remedies, evidence }
    }

    /// A finished outcome of trial 0 with these figures.
    pub(crate) fn outcome(figures: &[(&str, f64)]) -> Outcome {
        Outcome {
            trial: 0,
            seed: 0,
            state: CellState::Finished,
            error: None,
            run: None,
            figures: figures.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
            epochs: Vec::new(),
            findings: Vec::new(),
            layer_gradients: Vec::new(),
            trace_sha256: None,
            predictions: None,
        }
    }
}
