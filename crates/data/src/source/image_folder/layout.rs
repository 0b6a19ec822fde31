//! Where the splits lie below a folder of pictures.

use std::path::{Path, PathBuf};

use super::entries::{Entries, Entry, PassedOver};
use crate::{DataError, Fault};

/// Folders that hold nothing but the data set are looked into, this many one within the other.
const MOST_WRAPPERS: usize = 4;

/// The folders of the splits.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) train: PathBuf,
    pub(super) validation: Option<PathBuf>,
    pub(super) test: Option<PathBuf>,
}

impl Layout {
    /// Finds the splits below `path`: folders `train`, `val` and `test` under their usual names, or else all of it
    /// to train on. Where a single folder holds everything, they are looked for in that one.
    pub(super) fn find(path: &Path, passed_over: &mut PassedOver) -> Result<Self, DataError> {
        let mut path = path.to_owned();
        for _ in 0..MOST_WRAPPERS {
            let entries = Entries::read(&path, passed_over)?;
            if let Some(layout) = Self::of_names(&path, &entries, passed_over)? {
                return Ok(layout);
            }
            match wrapped(&entries, passed_over)? {
                Some(inner) => path = inner,
                None => break,
            }
        }
        Ok(Self { train: path, validation: None, test: None })
    }

    /// The splits that `entries` of `path` name; none where there is not a `train` with another beside it.
    fn of_names(
        path: &Path,
        entries: &Entries,
        passed_over: &mut PassedOver,
    ) -> Result<Option<Self>, DataError> {
        let mut found: [Option<&Entry>; 3] = [None; 3];
        let mut others = Vec::new();
        for folder in &entries.folders {
            let Some(role) = role(&folder.name) else {
                others.push(folder);
                continue;
            };
            if let Some(before) = found[role].replace(folder) {
                let both = format!("both \"{}\" and \"{}\"", before.name, folder.name);
                let fault = Fault::new(path, "one folder for each of train, val and test", both)
                    .remedy("take one of them away, or put them into one");
                return Err(DataError::unfit("two folders of one split", fault));
            }
        }
        let [Some(train), validation, test] = found else { return Ok(None) };
        if validation.is_none() && test.is_none() {
            return Ok(None);
        }
        for folder in others {
            passed_over.note(&folder.path);
        }
        passed_over.note_all(&entries.pictures);
        let path_of = |entry: Option<&Entry>| entry.map(|entry| entry.path.clone());
        Ok(Some(Self { train: train.path.clone(), validation: path_of(validation), test: path_of(test) }))
    }
}

/// 0 for training, 1 for validation, 2 for test.
fn role(name: &str) -> Option<usize> {
    match &*name.to_lowercase() {
        "train" | "training" => Some(0),
        "val" | "valid" | "validation" => Some(1),
        "test" | "testing" => Some(2),
        _ => None,
    }
}

/// The folder of `entries` that everything lies in: it is alone, and has folders itself or a table beside it that may
/// say what its pictures show.
fn wrapped(entries: &Entries, passed_over: &mut PassedOver) -> Result<Option<PathBuf>, DataError> {
    let [folder] = &entries.folders[..] else { return Ok(None) };
    if !entries.pictures.is_empty() {
        return Ok(None);
    }
    let inner = Entries::read(&folder.path, passed_over)?;
    let is_flat = inner.folders.is_empty() && !inner.pictures.is_empty();
    let is_wrapped = if is_flat {
        !entries.tables.is_empty() || !inner.tables.is_empty()
    } else {
        !inner.folders.is_empty() && inner.pictures.is_empty()
    };
    Ok(is_wrapped.then(|| folder.path.clone()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The layout of a folder with these folders in it.
    fn found(folders: &[&str]) -> Result<[Option<String>; 3], String> {
        let root = tempfile::tempdir().unwrap();
        for folder in folders {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let layout = Layout::find(root.path(), &mut PassedOver::below(root.path()));
        let Layout { train, validation, test } = layout.map_err(|error| error.to_string())?;
        Ok([Some(train), validation, test]
            .map(|path| path.map(|path| path.strip_prefix(root.path()).unwrap().display().to_string())))
    }

    #[test]
    fn splits_are_found_under_their_usual_names() {
        let some = |name: &str| Some(name.to_owned());
        for (folders, expected) in [
            (&["train", "test"][..], [some("train"), None, some("test")]),
            (&["Train", "VAL"], [some("Train"), some("VAL"), None]),
            (&["training", "valid", "testing"], [some("training"), some("valid"), some("testing")]),
            (&["cat", "dog"], [some(""), None, None]),
            // A vehicle.
            (&["bus", "train"], [some(""), None, None]),
            (&["data/mine/cat", "data/mine/dog", "__MACOSX/data"], [some("data/mine"), None, None]),
            (&["data/train/cat", "data/test/cat"], [some("data/train"), None, some("data/test")]),
            (&["train/cat", "train/dog"], [some("train"), None, None]),
            (&["cat"], [some(""), None, None]),
        ] {
            assert_eq!(found(folders), Ok(expected), "{folders:?}");
        }
    }

    #[test]
    fn two_folders_of_one_split_are_refused() {
        let error = found(&["train", "val", "validation"]).unwrap_err();
        assert!(error.contains("both \"val\" and \"validation\""), "{error}");
    }
}
