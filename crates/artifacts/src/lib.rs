//! The run folder: every path in it, what is written there and how it survives a crash.
//!
//! This crate knows nothing of Burn nor of what a model is: a checkpoint is a set of named byte blobs. It
//! also never decides when something is saved; it only makes sure that whatever is saved is saved whole.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails to set itself up shall panic"))]

mod checkpoint;
mod comparison;
mod error;
mod git;
mod latest_run;
mod machine;
mod metric_row;
mod metrics_csv;
mod provenance;
mod row_log;
mod row_tail;
mod run;
mod run_creation;
mod run_lock;
mod run_paths;
pub mod runs;
mod status;
#[cfg(test)]
mod test_run;
mod timing_row;

pub use checkpoint::{Checkpoint, CheckpointStore, Damage, DamagedCheckpoint, LatestGood};
pub use comparison::{ComparedRun, Comparison, ConfigDifference, FigureComparison};
pub use error::{ArtifactError, replace_file};
pub use git::GitState;
/// An instant, as [`Status`] and [`Provenance`] keep it; RFC 3339 in JSON.
pub use jiff::Timestamp;
pub use machine::{Machine, hostname};
pub use metric_row::{MetricRow, Scope};
pub use metrics_csv::write_metrics_csv;
pub use provenance::{Build, DataFile, Dataset, Provenance, ProvenanceInputs, Session};
pub use row_log::{MetricLog, Row, RowLog, TimingLog};
pub use row_tail::{MetricTail, RowTail, TailPoll};
pub use run::Run;
pub use run_creation::RunInputs;
pub use run_lock::RunLock;
pub use runs::RunSummary;
pub use status::{Best, RunFailure, RunState, Status, StopReason, TestFigures, null_as_nan};
pub use timing_row::TimingRow;
