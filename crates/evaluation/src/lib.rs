//! Evaluates a trained network on one split of the data: predictions, figures, plots and the report.
//!
//! - [`load_model`] reads the weights of a checkpoint and [`predict`] runs the network over a split once (`pass.rs`).
//!   `calibration.rs` and `threshold.rs` adjust the probabilities and the decision.
//! - [`Evaluation::new`] computes everything else from the [`Predictions`], in double precision and over the whole split:
//!   the table of figures (`figures.rs`), the confusion matrix, curves and confidence intervals.
//! - [`Evaluator`] does both for a run, and [`write_evaluation`] stores the files (`evaluator.rs`). [`read_evaluation`]
//!   reads them again without a model.
//! - [`write_report`] makes the plots and `report.html` from these files (`plots.rs`, `gallery.rs`, `report/`).
//!
//! A new figure goes to `figures.rs`, a new section of the report to `report/`; the head of each file says how to add one.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod calibration;
mod confidence_intervals;
mod confusion;
mod curves;
mod evaluation;
mod evaluator;
mod figures;
mod gallery;
mod importance;
mod pass;
mod plots;
mod predictions;
mod predictions_csv;
mod ranking;
mod report;
#[cfg(test)]
mod tests;
mod threshold;

use std::io;
use std::path::PathBuf;

use kiln_artifacts::ArtifactError;
use kiln_model::ModelError;

pub use calibration::{Calibration, ReliabilityBin};
pub use confidence_intervals::{Baseline, BaselineModel, ConfidenceInterval, ConfidenceIntervals};
pub use confusion::{ClassificationReport, ConfusionMatrix, ReportRow};
pub use curves::{PrecisionRecallCurve, PrecisionRecallCurves, RocCurve, RocCurves};
pub use evaluation::{ClassFigures, DropoutActive, Evaluation, EvaluationSettings, Metrics};
pub use evaluator::{
    Evaluator, METRICS_FILE, PREDICTIONS_FILE, read_json, read_profile, write_evaluation, write_profile,
};
pub use figures::{FIGURES, Figure, PartialMean, UndefinedFigure};
pub use gallery::{GALLERY_FILE, Gallery, GalleryCell, GalleryExample, picture_seen};
pub use importance::{ColumnImportance, Dependence, DependenceValue, IMPORTANCE_FILE, Importance};
pub use pass::{
    PassFigures, StoredModel, UnlabelledPredictions, Weights, evaluate_with_dropout, load_model, predict,
    read_weights, weight_count,
};
pub use predictions::Predictions;
pub use report::{
    chart, findings_of_run, html_page, html_page_with, read_evaluation, scrolled, write_report,
    write_training_report,
};
pub use threshold::{HeldOutFigures, Threshold};

/// A run that cannot be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum EvaluationError {
    /// The run folder cannot be read or written.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// Stored weights do not fit the config.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The run has not saved a checkpoint yet.
    #[error("{run} has no checkpoint to evaluate")]
    NoCheckpoint {
        /// The run folder.
        run: String,
    },
    /// A checkpoint without weights.
    #[error("checkpoint step-{step} does not contain {file}")]
    NoWeights {
        /// Step of the checkpoint.
        step: u64,
        /// The file that is missing.
        file: &'static str,
    },
    /// An evaluation needs at least one example.
    #[error("there are no examples to evaluate")]
    NoExamples,
    /// Predictions whose lengths or values contradict each other.
    #[error("inconsistent predictions: expected {expected}, found {found}")]
    Inconsistent {
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// The system refused an operation on a file or folder.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The operation, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        #[source]
        cause: io::Error,
    },
    /// A plot or an image cannot be drawn.
    #[error("cannot draw {}: {problem}", path.display())]
    Plot {
        /// Its file, possibly without extension.
        path: PathBuf,
        /// What went wrong.
        problem: String,
    },
    /// A file of an evaluation is malformed.
    #[error("{}, line {line}: expected {expected}, found {found}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What was expected there.
        expected: String,
        /// What was found.
        found: String,
    },
}
