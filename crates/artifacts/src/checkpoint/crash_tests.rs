//! The store's promises, with a crash or an error at every single call to the disk.

use std::{io, path::Path, sync::Arc};

use kiln_files::{FailingDisk, Failure};
use serde_json::json;
use tempfile::TempDir;

use super::CheckpointStore;
use crate::ArtifactError;

const OLD: &[u8] = b"the old weights";
const NEW: &[u8] = b"new weights, and more of them";

fn save(store: &CheckpointStore, step: u64, weights: &[u8]) -> Result<(), ArtifactError> {
    store.save(step, &json!({ "epoch": 3 }), &[("model.safetensors", weights), ("optimizer.bin", b"state")])
}

/// Runs `operation` with `failure` at call 0, 1, ... of it until it comes through without meeting it, each
/// time over fresh good checkpoints of the steps 100 and 200 with 200 as the best, and each time lets
/// `check` look at what is left.
fn at_every_call(
    failure: Failure,
    operation: impl Fn(&CheckpointStore) -> Result<(), ArtifactError>,
    check: impl Fn(&CheckpointStore, &Result<(), ArtifactError>),
) -> usize {
    for fails_at in 0.. {
        let folder = TempDir::new().unwrap();
        let good = CheckpointStore::new(folder.path());
        save(&good, 100, OLD).unwrap();
        save(&good, 200, OLD).unwrap();
        good.set_best(200).unwrap();
        let disk = Arc::new(FailingDisk::new(failure, fails_at));
        let result = operation(&CheckpointStore::on(disk.clone(), folder.path()));
        check(&good, &result);
        good.recover().unwrap();
        check(&good, &result);
        assert_eq!(hidden_entries(folder.path()), Vec::<String>::new(), "after recovery");
        if !disk.has_failed() {
            result.unwrap();
            return fails_at;
        }
    }
    unreachable!()
}

fn hidden_entries(folder: &Path) -> Vec<String> {
    let names = folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with('.')).collect()
}

fn weights(store: &CheckpointStore, step: u64) -> Vec<u8> {
    store.load(step).unwrap().files["model.safetensors"].clone()
}

#[test]
fn a_crash_while_saving_loses_no_earlier_checkpoint() {
    let check = |store: &CheckpointStore, result: &Result<(), ArtifactError>| {
        assert_eq!(weights(store, 100), OLD);
        assert_eq!(weights(store, 200), OLD);
        let latest = store.latest_good().unwrap();
        assert_eq!(latest.damaged, []);
        let latest = latest.checkpoint.unwrap();
        assert!(latest.step == 200 || latest.files["model.safetensors"] == NEW);
        assert!(result.is_err() || latest.step == 300);
    };
    let calls = at_every_call(Failure::Crash, |store| save(store, 300, NEW), check);
    assert!(calls >= 7, "a folder, three files, two syncs, a rename; {calls} calls were seen");
}

#[test]
fn a_crash_while_replacing_leaves_the_old_or_the_new() {
    let check = |store: &CheckpointStore, result: &Result<(), ArtifactError>| {
        let found = weights(store, 200);
        assert!(found == NEW || (found == OLD && result.is_err()));
        assert_eq!(store.latest_good().unwrap().checkpoint.unwrap().step, 200);
        assert_eq!(store.steps().unwrap(), [100, 200]);
    };
    at_every_call(Failure::Crash, |store| save(store, 200, NEW), check);
}

#[test]
fn a_full_disk_is_named_and_leaves_nothing_aside() {
    let full = Failure::Error(io::ErrorKind::StorageFull);
    for step in [200, 300] {
        let check = |store: &CheckpointStore, result: &Result<(), ArtifactError>| {
            assert_eq!(store.latest_good().unwrap().damaged, []);
            if let Err(error) = result {
                assert!(matches!(error, ArtifactError::DiskFull { .. }), "{error}");
                assert!(error.to_string().contains("no space is left on the disk"));
                assert!(!hidden_entries(store.folder()).iter().any(|name| name.starts_with(".tmp-")));
                assert!(store.folder().join("step-200").is_dir(), "what was set aside is put back");
            }
        };
        at_every_call(full, |store| save(store, step, NEW), check);
    }
}

#[test]
fn a_crash_while_pruning_leaves_no_half_checkpoint() {
    let prune = |store: &CheckpointStore| store.prune(1).map(|_| ());
    let check = |store: &CheckpointStore, _: &Result<(), ArtifactError>| {
        assert_eq!(weights(store, 200), OLD);
        for step in store.steps().unwrap() {
            store.load(step).unwrap();
        }
    };
    assert_eq!(at_every_call(Failure::Crash, prune, check), 2, "a rename and a removal");
}

#[test]
fn a_crash_while_marking_the_best_leaves_the_old_mark_or_the_new() {
    let check = |store: &CheckpointStore, result: &Result<(), ArtifactError>| {
        let best = store.best().unwrap();
        assert!(best == Some(100) || (best == Some(200) && result.is_err()));
    };
    at_every_call(Failure::Crash, |store| store.set_best(100), check);
}

#[test]
fn a_crash_while_discarding_never_leaves_a_mark_that_points_nowhere() {
    let discard = |store: &CheckpointStore| store.discard_after(100).map(|_| ());
    let check = |store: &CheckpointStore, result: &Result<(), ArtifactError>| {
        assert!(store.best().unwrap().is_none_or(|best| store.load(best).is_ok()));
        assert!(result.is_err() || store.steps().unwrap() == [100]);
    };
    at_every_call(Failure::Crash, discard, check);
}
