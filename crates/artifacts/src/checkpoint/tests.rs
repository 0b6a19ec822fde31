//! Tests of the store: a checkpoint reads back, damage is found, and a crash or an error at every single call to the
//! disk.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use kiln_files::{FailingDisk, Failure};
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::CheckpointStore;
use crate::{ArtifactError, Damage};

const WEIGHTS: &[u8] = b"0123456789";

fn store_with(steps: &[u64]) -> (CheckpointStore, TempDir) {
    let folder = TempDir::new().unwrap();
    let store = CheckpointStore::new(folder.path());
    for step in steps {
        store.save(*step, &json!({ "lr": 0.1 }), &[("model.bin", WEIGHTS), ("empty.bin", b"")]).unwrap();
    }
    (store, folder)
}

fn model_file(store: &CheckpointStore, step: u64) -> PathBuf {
    store.folder().join(format!("step-{step}/model.bin"))
}

fn damage_of(error: ArtifactError) -> (String, Damage) {
    match error {
        ArtifactError::Damaged(damaged) => (damaged.file, damaged.damage),
        other => panic!("{other}"),
    }
}

#[test]
fn a_checkpoint_reads_back() {
    let (store, _folder) = store_with(&[7]);
    let checkpoint = store.load(7).unwrap();
    assert_eq!(checkpoint.meta, json!({ "lr": 0.1 }));
    assert_eq!(checkpoint.files["model.bin"], WEIGHTS);
    assert_eq!(checkpoint.files["empty.bin"], b"");
}

#[test]
fn a_step_without_a_checkpoint_is_distinguished_from_a_damaged_one() {
    let (store, _folder) = store_with(&[9, 100]);
    let message = store.load(7).unwrap_err().to_string();
    assert!(message.ends_with("it has step-9, step-100"), "{message}");
}

#[test]
fn a_checkpoint_of_another_format_is_not_read() {
    let (store, _folder) = store_with(&[1]);
    let path = store.folder().join("step-1/manifest.json");
    let manifest = fs::read_to_string(&path).unwrap();
    fs::write(&path, manifest.replacen("\"format_version\": 1", "\"format_version\": 9", 1)).unwrap();
    let (file, damage) = damage_of(store.load(1).unwrap_err());
    assert_eq!(file, "manifest.json");
    assert!(damage.to_string().contains("format version 9 is unknown"), "{damage}");
}

#[test]
fn the_error_of_a_damaged_checkpoint_names_the_file_and_the_difference() {
    let (store, _folder) = store_with(&[1, 2, 3]);
    fs::write(model_file(&store, 1), b"01234").unwrap();
    let size = Damage::Size { expected: 10, found: 5 };
    assert_eq!(damage_of(store.load(1).unwrap_err()), ("model.bin".to_owned(), size));
    fs::write(model_file(&store, 2), b"0123456780").unwrap();
    assert!(
        matches!(damage_of(store.load(2).unwrap_err()), (file, Damage::Hash { .. }) if file == "model.bin")
    );
    fs::remove_file(model_file(&store, 3)).unwrap();
    assert_eq!(damage_of(store.load(3).unwrap_err()), ("model.bin".to_owned(), Damage::Missing));
}

#[test]
fn the_newest_good_checkpoint_is_found_and_the_damaged_ones_are_listed() {
    let (store, _folder) = store_with(&[9, 10, 11]);
    fs::remove_file(model_file(&store, 11)).unwrap();
    fs::write(store.folder().join("step-10/manifest.json"), "{}").unwrap();
    let latest = store.latest_good().unwrap();
    assert_eq!(latest.checkpoint.unwrap().step, 9);
    assert_eq!(latest.damaged.iter().map(|damaged| damaged.step).collect::<Vec<_>>(), [11, 10]);
}

#[test]
fn an_empty_store_has_no_newest_checkpoint() {
    let (store, _folder) = store_with(&[]);
    assert_eq!(store.latest_good().unwrap().checkpoint, None);
    assert_eq!((store.best().unwrap(), store.last().unwrap()), (None, None));
}

#[test]
fn a_checkpoint_under_another_steps_name_is_damaged() {
    let (store, folder) = store_with(&[5]);
    fs::rename(folder.path().join("step-5"), folder.path().join("step-6")).unwrap();
    let (file, damage) = damage_of(store.load(6).unwrap_err());
    assert_eq!(
        (file.as_str(), damage.to_string().as_str()),
        ("manifest.json", "is not a manifest: it belongs to step 5")
    );
}

#[test]
fn a_removed_folder_is_reported() {
    let (store, folder) = store_with(&[1]);
    fs::remove_dir_all(folder.path()).unwrap();
    let error = store.save(2, &json!(null), &[("model.bin", WEIGHTS)]).unwrap_err();
    assert!(error.to_string().contains("removed or renamed, or its disk was unmounted"), "{error}");
    assert!(!folder.path().exists());
}

#[test]
fn file_names_that_leave_the_folder_are_refused() {
    let (store, _folder) = store_with(&[]);
    for name in ["", "../x", "a/b", ".hidden", "manifest.json", "a\\b"] {
        let error = store.save(1, &json!(null), &[(name, WEIGHTS)]).unwrap_err();
        assert!(matches!(error, ArtifactError::InvalidEntry { .. }), "{name}: {error}");
    }
    assert!(store.save(1, &json!(null), &[("twice", WEIGHTS), ("twice", WEIGHTS)]).is_err());
    assert!(store.steps().unwrap().is_empty());
}

#[test]
fn pruning_keeps_the_latest_the_best_and_the_last() {
    let (store, _folder) = store_with(&[1, 2, 3, 4, 5, 10]);
    store.set_best(2).unwrap();
    store.set_last(10).unwrap();
    assert_eq!(store.prune(2).unwrap(), [1, 3, 4]);
    assert_eq!(store.steps().unwrap(), [2, 5, 10]);
    assert_eq!(store.prune(0).unwrap(), [5], "at least one stays");
}

#[test]
fn discarding_removes_the_marks_of_later_steps() {
    let (store, _folder) = store_with(&[1, 2, 3]);
    store.set_best(2).unwrap();
    store.set_last(3).unwrap();
    assert_eq!(store.discard_after(2).unwrap(), [3]);
    assert_eq!((store.best().unwrap(), store.last().unwrap()), (Some(2), None));
}

#[test]
fn a_replaced_checkpoint_does_not_reappear() {
    let (store, folder) = store_with(&[1, 2]);
    let [published, replaced] = ["step-2", ".replaced-step-2"].map(|name| folder.path().join(name));
    fs::rename(&published, &replaced).unwrap();
    store.save(2, &json!(null), &[("model.bin", WEIGHTS)]).unwrap();
    assert!(!replaced.exists());
    fs::create_dir(&replaced).unwrap();
    assert_eq!(store.discard_after(1).unwrap(), [2]);
    assert_eq!(store.steps().unwrap(), [1]);
}

#[test]
fn only_a_checkpoint_can_be_marked() {
    let (store, _folder) = store_with(&[1]);
    assert!(matches!(store.set_best(2), Err(ArtifactError::NoCheckpoint { step: 2, .. })));
    assert_eq!(store.best().unwrap(), None);
}

/// A way to damage a file of `length` bytes.
#[derive(Clone, Debug)]
enum Corruption {
    Cut(usize),
    Flip(usize, u8),
    Add(u8),
}

fn corrupt(bytes: &mut Vec<u8>, corruption: &Corruption) {
    match *corruption {
        Corruption::Cut(length) => bytes.truncate(length % bytes.len()),
        Corruption::Flip(position, mask) => {
            let position = position % bytes.len();
            bytes[position] ^= mask;
        }
        Corruption::Add(byte) => bytes.push(byte),
    }
}

fn corruptions() -> impl Strategy<Value = Corruption> {
    prop_oneof![
        any::<usize>().prop_map(Corruption::Cut),
        (any::<usize>(), 1_u8..).prop_map(|(position, mask)| Corruption::Flip(position, mask)),
        any::<u8>().prop_map(Corruption::Add),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn load_finds_every_cut_and_every_flipped_bit(of_manifest: bool, change in corruptions()) {
        let (store, folder) = store_with(&[1, 2]);
        let path = folder.path().join("step-2").join(if of_manifest { "manifest.json" } else { "model.bin" });
        let mut bytes = fs::read(&path).unwrap();
        corrupt(&mut bytes, &change);
        fs::write(&path, bytes).unwrap();
        prop_assert!(matches!(store.load(2), Err(ArtifactError::Damaged(_))));
        prop_assert_eq!(store.latest_good().unwrap().checkpoint.unwrap().step, 1);
    }
}

const OLD: &[u8] = b"the old weights";
const NEW: &[u8] = b"new weights, and more of them";

fn save(store: &CheckpointStore, step: u64, weights: &[u8]) -> Result<(), ArtifactError> {
    store.save(step, &json!({ "epoch": 3 }), &[("model.safetensors", weights), ("optimizer.bin", b"state")])
}

/// Runs `operation` with `failure` at disk call 0, 1, ... until it makes fewer calls. Each time, it starts with new
/// good checkpoints of the steps 100 and 200, with 200 as the best, and `check` inspects the result. Returns the
/// number of calls.
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
    assert!(calls >= 7, "a folder, three files, two syncs and a rename are 7 calls, found {calls}");
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
fn a_full_disk_is_reported_and_leaves_no_temporary_folder() {
    let full = Failure::Error(io::ErrorKind::StorageFull);
    for step in [200, 300] {
        let check = |store: &CheckpointStore, result: &Result<(), ArtifactError>| {
            assert_eq!(store.latest_good().unwrap().damaged, []);
            if let Err(error) = result {
                assert!(matches!(error, ArtifactError::DiskFull { .. }), "{error}");
                assert!(error.to_string().contains("no space is left on the disk"));
                assert!(!hidden_entries(store.folder()).iter().any(|name| name.starts_with(".tmp-")));
                assert!(store.folder().join("step-200").is_dir(), "the replaced checkpoint is put back");
            }
        };
        at_every_call(full, |store| save(store, step, NEW), check);
    }
}

#[test]
fn a_crash_while_pruning_leaves_complete_checkpoints() {
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
fn a_crash_while_discarding_leaves_no_mark_without_a_checkpoint() {
    let discard = |store: &CheckpointStore| store.discard_after(100).map(|_| ());
    let check = |store: &CheckpointStore, result: &Result<(), ArtifactError>| {
        assert!(store.best().unwrap().is_none_or(|best| store.load(best).is_ok()));
        assert!(result.is_err() || store.steps().unwrap() == [100]);
    };
    at_every_call(Failure::Crash, discard, check);
}
