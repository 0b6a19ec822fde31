//! The store: what it gives back, and that nothing damaged gets past it.

use std::{fs, path::PathBuf};

use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::{CheckpointStore, Damage};
use crate::ArtifactError;

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
fn gives_back_what_was_saved() {
    let (store, _folder) = store_with(&[7]);
    let checkpoint = store.load(7).unwrap();
    assert_eq!(checkpoint.meta, json!({ "lr": 0.1 }));
    assert_eq!(checkpoint.files["model.bin"], WEIGHTS);
    assert_eq!(checkpoint.files["empty.bin"], b"");
}

#[test]
fn a_step_without_a_checkpoint_is_told_apart_from_a_damaged_one() {
    let (store, _folder) = store_with(&[9, 100]);
    let message = store.load(7).unwrap_err().to_string();
    assert!(message.ends_with("it has step-9, step-100"), "{message}");
}

#[test]
fn damage_names_the_file_and_what_differs() {
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
fn the_newest_good_one_is_found_and_the_damaged_ones_are_listed() {
    let (store, _folder) = store_with(&[9, 10, 11]);
    fs::remove_file(model_file(&store, 11)).unwrap();
    fs::write(store.folder().join("step-10/manifest.json"), "{}").unwrap();
    let latest = store.latest_good().unwrap();
    assert_eq!(latest.checkpoint.unwrap().step, 9);
    assert_eq!(latest.damaged.iter().map(|damaged| damaged.step).collect::<Vec<_>>(), [11, 10]);
}

#[test]
fn an_empty_store_has_no_newest() {
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
fn a_removed_folder_is_named() {
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
fn discarding_takes_the_marks_of_later_steps_along() {
    let (store, _folder) = store_with(&[1, 2, 3]);
    store.set_best(2).unwrap();
    store.set_last(3).unwrap();
    assert_eq!(store.discard_after(2).unwrap(), [3]);
    assert_eq!((store.best().unwrap(), store.last().unwrap()), (Some(2), None));
}

#[test]
fn what_a_replacement_left_does_not_come_back() {
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
enum Wound {
    Cut(usize),
    Flip(usize, u8),
    Add(u8),
}

fn wound(bytes: &mut Vec<u8>, wound: &Wound) {
    match *wound {
        Wound::Cut(length) => bytes.truncate(length % bytes.len()),
        Wound::Flip(position, mask) => {
            let position = position % bytes.len();
            bytes[position] ^= mask;
        }
        Wound::Add(byte) => bytes.push(byte),
    }
}

fn wounds() -> impl Strategy<Value = Wound> {
    prop_oneof![
        any::<usize>().prop_map(Wound::Cut),
        (any::<usize>(), 1_u8..).prop_map(|(position, mask)| Wound::Flip(position, mask)),
        any::<u8>().prop_map(Wound::Add),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_cut_and_no_flipped_bit_gets_past_load(of_manifest: bool, change in wounds()) {
        let (store, folder) = store_with(&[1, 2]);
        let path = folder.path().join("step-2").join(if of_manifest { "manifest.json" } else { "model.bin" });
        let mut bytes = fs::read(&path).unwrap();
        wound(&mut bytes, &change);
        fs::write(&path, bytes).unwrap();
        prop_assert!(matches!(store.load(2), Err(ArtifactError::Damaged(_))));
        prop_assert_eq!(store.latest_good().unwrap().checkpoint.unwrap().step, 1);
    }
}
