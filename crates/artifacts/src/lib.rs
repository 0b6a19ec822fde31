//! The run folder: every path in it, what is written there, and how it survives a crash.
//!
//! `run` opens and finds a run, `run_folder` makes and locks its folder and has all paths in it, and `runs` lists,
//! deletes and compares many. The other modules own one kind of file each: `status` (`status.json`), `provenance`
//! (`run.json`, `git.diff`), `row_log` and `rows` (`metrics.jsonl`, `timings.jsonl`, `metrics.csv`), `checkpoint`
//! (`checkpoints/`).
//!
//! This crate does not depend on Burn: a checkpoint is a set of named byte blobs. It does not decide when something is
//! saved; it ensures that each file is saved completely or not at all.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot set itself up must panic"))]

mod checkpoint;
mod error;
mod provenance;
mod row_log;
mod rows;
mod run;
mod run_folder;
pub mod runs;
mod status;

pub use checkpoint::{Checkpoint, CheckpointStore, LatestGood};
pub use error::{ArtifactError, Damage, DamagedCheckpoint, replace_file};
/// An instant, as [`RunStatus`] and [`Provenance`] store it; RFC 3339 in JSON.
pub use jiff::Timestamp;
pub use provenance::{
    Build, DataFile, DatasetProvenance, GitState, Machine, Provenance, ProvenanceInputs, TrainingSession,
    hostname,
};
pub use row_log::{MetricLog, MetricTail, Row, RowLog, RowTail, TailPoll, TimingLog};
pub use rows::{MetricRow, MetricScope, TimingRow, write_metrics_csv};
pub use run::Run;
pub use run_folder::{RunInputs, RunLock};
pub use runs::{ComparedRun, ConfigDifference, FigureComparison, RunComparison, RunSummary};
pub use status::{BestEpoch, RunFailure, RunState, RunStatus, StopReason, TestFigures, null_as_nan};

#[cfg(test)]
mod test_run {
    //! A run in a temporary folder, for the tests of this crate.

    use std::{ops::Deref, path::Path};

    use tempfile::TempDir;

    use crate::{MetricLog, MetricRow, MetricScope, Run, RunInputs};

    pub(crate) const CONFIG: &str =
        "name = \"digits\"\nseed = 42\ntags = [\"small\"]\n\n[optimizer]\nlr = 0.001\n";

    /// A run in a temporary root, which is removed with it.
    pub(crate) struct TestRun {
        run: Run,
        root: TempDir,
    }

    impl TestRun {
        pub(crate) fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            Self { run: create(root.path(), "digits", CONFIG), root }
        }

        pub(crate) fn root(&self) -> &Path {
            self.root.path()
        }
    }

    impl Deref for TestRun {
        type Target = Run;

        fn deref(&self) -> &Run {
            &self.run
        }
    }

    pub(crate) fn create(root: &Path, name: &str, config: &str) -> Run {
        let inputs =
            RunInputs { resolved_toml: config, input_toml: "# as given\n", overrides: &[], start: None };
        Run::create(root, name, &inputs).unwrap()
    }

    /// Writes epoch rows with these losses and accuracies.
    pub(crate) fn log_epochs(run: &Run, split: &str, figures: &[(f64, f64)]) {
        let mut log = MetricLog::open_append(run.metrics()).unwrap();
        for (epoch, (loss, accuracy)) in (1..).zip(figures) {
            let figures = [("loss", *loss), ("accuracy", *accuracy)];
            log.append(&MetricRow::new(split, MetricScope::Epoch, epoch, epoch * 100, figures)).unwrap();
        }
    }
}
