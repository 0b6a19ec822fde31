//! One prediction pass over a split, and the figures that follow from it.
//!
//! [`predict`] runs a network over a split once; [`Evaluation::new`] computes everything else from the
//! [`Predictions`], in double precision and over the whole split. [`write_evaluation`] also keeps both in the
//! run's folder, from which [`Predictions::read`] gets them back without a model.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed"))]

mod agreement;
mod answers;
mod average_roc;
mod baselines;
mod bootstrap;
mod calibration;
mod class_scores;
mod classification_report;
mod confusion;
mod curves;
mod error;
mod evaluation;
mod evaluation_files;
mod examination;
mod figures;
mod gallery;
#[cfg(test)]
mod golden;
mod html_page;
mod importance;
mod json_file;
mod metrics;
mod pass;
mod pictures;
mod precision_recall;
mod predictions;
mod predictions_reader;
mod predictions_writer;
mod probability_scores;
#[cfg(test)]
mod properties;
mod ranking;
mod report;
mod resample;
mod roc;
mod sheets;
mod stored_model;
mod sum;
mod temperature;
mod thinning;
mod threshold;
mod top_k;
mod undefined;
mod weight_count;

pub use answers::Answers;
pub use baselines::{Baseline, BaselineModel};
pub use bootstrap::{Interval, Intervals};
pub use calibration::ReliabilityBin;
pub use classification_report::{ClassificationReport, ReportRow};
pub use confusion::Confusion;
pub use curves::{PrecisionRecallCurves, RocCurves};
pub use error::EvaluationError;
pub use evaluation::{Evaluation, EvaluationSettings};
pub use evaluation_files::{METRICS_FILE, PREDICTIONS_FILE, write_evaluation};
pub use examination::{Examination, read_profile, write_profile};
pub use figures::{FIGURES, Figure};
pub use gallery::picture_seen;
pub use gallery::{GALLERY_FILE, Gallery, GalleryCell, GalleryExample};
pub use html_page::{chart, html_page, html_page_with, scrolled};
pub use importance::{ColumnImportance, Dependence, DependenceValue, IMPORTANCE_FILE, Importance};
pub use json_file::read_json;
pub use metrics::{ClassFigures, DropoutActive, Metrics};
pub use pass::{PassFigures, evaluate_with_dropout, predict};
pub use precision_recall::PrecisionRecallCurve;
pub use predictions::Predictions;
pub use report::{findings_of_run, read_evaluation, write_report, write_training_report};
pub use roc::RocCurve;
pub use stored_model::{StoredModel, Weights, load_model, read_weights};
pub use temperature::Calibration;
pub use threshold::{HeldOut, Threshold};
pub use undefined::{PartialMean, Undefined};
pub use weight_count::weight_count;
