//! A run folder as it lies on the disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::wait_for;

/// A run folder; looking at it changes nothing.
#[derive(Clone, Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
}

/// All of a run that must not depend on how often it was stopped on the way.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    weights_sha256: String,
    metrics: String,
    metrics_csv: String,
    /// State, stop reason, epochs, steps, best and test figures.
    status: BTreeMap<&'static str, Value>,
    best: String,
    last: String,
    /// What writes that were cut short have left behind: nothing.
    leftovers: Vec<PathBuf>,
    /// Weights and optimizer state of the last checkpoint.
    checkpoint: BTreeMap<&'static str, Vec<u8>>,
}

impl RunFolder {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The path as an argument.
    pub(crate) fn text(&self) -> &str {
        self.path.to_str().unwrap()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    #[track_caller]
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.read("status.json")).unwrap()
    }

    #[track_caller]
    pub(crate) fn expect_state(&self, state: &str) {
        assert_eq!(self.status()["state"], state, "{:#}", self.status());
    }

    /// The steps that have a checkpoint, oldest first.
    pub(crate) fn checkpoints(&self) -> Vec<u64> {
        let entries = fs::read_dir(self.file("checkpoints")).into_iter().flatten();
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut steps: Vec<u64> =
            names.filter_map(|name| name.strip_prefix("step-").and_then(|step| step.parse().ok())).collect();
        steps.sort_unstable();
        steps
    }

    /// Waits until there is a checkpoint of `step` or later.
    pub(crate) fn wait_for_checkpoint(&self, step: u64) {
        wait_for(&format!("a checkpoint of step {step}"), || {
            self.checkpoints().last().is_some_and(|&last| last >= step).then_some(())
        });
    }

    /// Weights and optimizer state of the last checkpoint.
    #[track_caller]
    pub(crate) fn weights_and_moments(&self) -> BTreeMap<&'static str, Vec<u8>> {
        let last = self.read("checkpoints/last");
        let folder = self.file("checkpoints").join(last.trim_end());
        let files = ["model.safetensors", "optimizer.safetensors"];
        files.into_iter().map(|name| (name, fs::read(folder.join(name)).unwrap())).collect()
    }

    #[track_caller]
    pub(crate) fn result(&self) -> Outcome {
        let status = self.status();
        let kept = ["state", "stop_reason", "epoch", "epochs", "step", "steps", "best", "test"];
        Outcome {
            weights_sha256: status["weights_sha256"]
                .as_str()
                .unwrap_or_else(|| panic!("{status:#}"))
                .to_owned(),
            metrics: self.read("metrics.jsonl"),
            metrics_csv: self.read("metrics.csv"),
            status: kept.into_iter().map(|key| (key, status[key].clone())).collect(),
            best: self.read("checkpoints/best"),
            last: self.read("checkpoints/last"),
            leftovers: self.leftovers(),
            checkpoint: self.weights_and_moments(),
        }
    }

    /// Files and folders whose names begin with a dot.
    fn leftovers(&self) -> Vec<PathBuf> {
        let folders = [self.path.clone(), self.file("checkpoints")];
        let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with('.')).collect()
    }

    /// Every file with its content, to hold the folder to afterwards. The lock's content is a courtesy to
    /// those who find it taken.
    pub(crate) fn snapshot(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(&self.path, &mut files);
        files.remove(&self.file("lock"));
        files
    }

    /// Holds the folder to a snapshot of it.
    #[track_caller]
    pub(crate) fn expect_unchanged(&self, before: &BTreeMap<PathBuf, Vec<u8>>) {
        let now = self.snapshot();
        let mut names: Vec<&PathBuf> = before.keys().chain(now.keys()).collect();
        names.retain(|name| before.get(*name) != now.get(*name));
        assert!(names.is_empty(), "changed: {names:?}");
    }
}

impl Outcome {
    /// Compares what is easiest to understand first.
    #[track_caller]
    pub(crate) fn expect_same(&self, other: &Self) {
        assert_eq!(self.metrics, other.metrics);
        assert_eq!(self.status, other.status);
        assert_eq!(self.weights_sha256, other.weights_sha256);
        assert_eq!((&self.best, &self.last), (&other.best, &other.last));
        assert!(self.leftovers.is_empty(), "{:?}", self.leftovers);
        assert!(self.checkpoint == other.checkpoint, "the last checkpoint's files differ");
        assert!(self == other, "{self:#?}\n{other:#?}");
    }

    pub(crate) fn weights(&self) -> &str {
        &self.weights_sha256
    }

    pub(crate) fn metrics(&self) -> &str {
        &self.metrics
    }
}

fn collect(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            let content = fs::read(&path).unwrap();
            files.insert(path, content);
        }
    }
}
