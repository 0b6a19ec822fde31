//! What a study's folder holds, read back.

use std::fs;
use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::StudyError;

/// What the JSON file at `path` holds; none where there is no such file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StudyError> {
    match fs::read(path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map(Some).map_err(|cause| StudyError::damaged(path, &cause))
        }
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(StudyError::io("read", path, cause)),
    }
}

/// The same, of a file that was there a moment ago.
pub(crate) fn read_again<T: DeserializeOwned>(path: &Path) -> Result<T, StudyError> {
    read_json(path)?.ok_or_else(|| {
        let cause = io::Error::new(io::ErrorKind::NotFound, "it was there a moment ago");
        StudyError::io("read", path, cause)
    })
}

/// The names of the files in a folder; none where there is no such folder.
pub(crate) fn names(folder: &Path) -> Result<impl Iterator<Item = String> + use<>, StudyError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => Some(entries),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => None,
        Err(cause) => return Err(StudyError::io("read", folder, cause)),
    };
    Ok(entries.into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok()))
}
