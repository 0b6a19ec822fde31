//! A run in a temporary folder, for the tests of this crate.

use std::{ops::Deref, path::Path};

use tempfile::TempDir;

use crate::{MetricLog, MetricRow, Run, RunInputs, Scope};

pub(crate) const CONFIG: &str =
    "name = \"digits\"\nseed = 42\ntags = [\"small\"]\n\n[optimizer]\nlr = 0.001\n";

/// A run that goes away with its root.
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
    let inputs = RunInputs { resolved_toml: config, input_toml: "# as given\n", overrides: &[], start: None };
    Run::create(root, name, &inputs).unwrap()
}

/// Writes epoch rows with these losses and accuracies.
pub(crate) fn log_epochs(run: &Run, split: &str, figures: &[(f64, f64)]) {
    let mut log = MetricLog::open_append(run.metrics()).unwrap();
    for (epoch, (loss, accuracy)) in (1..).zip(figures) {
        let figures = [("loss", *loss), ("accuracy", *accuracy)];
        log.append(&MetricRow::new(split, Scope::Epoch, epoch, epoch * 100, figures)).unwrap();
    }
}
