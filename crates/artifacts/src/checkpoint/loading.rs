//! Reading a checkpoint, and holding it to its manifest.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use kiln_files::sha256_hex;
use serde_json::Value;

use super::{
    CheckpointStore, Damage, DamagedCheckpoint,
    manifest::{self, Entry, Manifest},
};
use crate::ArtifactError;

/// A checkpoint that was read and found to be what was saved.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Steps done when it was saved.
    pub step: u64,
    /// Its folder.
    pub folder: PathBuf,
    /// What the saver noted.
    pub meta: Value,
    /// The files by name.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// What a search for the newest good checkpoint found.
#[derive(Clone, Debug, PartialEq)]
pub struct LatestGood {
    /// The newest checkpoint that is good, if any is.
    pub checkpoint: Option<Checkpoint>,
    /// The newer ones that were passed over, newest first.
    pub damaged: Vec<DamagedCheckpoint>,
}

impl CheckpointStore {
    /// Reads a checkpoint, and holds every file to its size and SHA-256.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::NoCheckpoint`] when there is none of this step; [`ArtifactError::Damaged`], with the
    /// file and what differs, when it is not what was saved.
    pub fn load(&self, step: u64) -> Result<Checkpoint, ArtifactError> {
        let folder = self.existing_folder(step)?;
        let manifest = read(step, &folder, manifest::FILE_NAME, None)?;
        let Manifest { meta, files: entries, .. } = Manifest::from_json(&manifest, step)
            .map_err(|damage| damaged(step, &folder, manifest::FILE_NAME, damage))?;
        let mut files = BTreeMap::new();
        for entry in entries {
            let bytes = read_verified(step, &folder, &entry)?;
            files.insert(entry.name, bytes);
        }
        Ok(Checkpoint { step, folder, meta, files })
    }

    /// The newest checkpoint that is good, and the newer ones that are not.
    ///
    /// # Errors
    ///
    /// When the folder or a file may not be read; damage is not an error here.
    pub fn latest_good(&self) -> Result<LatestGood, ArtifactError> {
        let mut passed_over = Vec::new();
        for step in self.steps()?.into_iter().rev() {
            match self.load(step) {
                Ok(checkpoint) => {
                    return Ok(LatestGood { checkpoint: Some(checkpoint), damaged: passed_over });
                }
                Err(ArtifactError::Damaged(damaged)) => passed_over.push(damaged),
                Err(error) => return Err(error),
            }
        }
        Ok(LatestGood { checkpoint: None, damaged: passed_over })
    }
}

fn read_verified(step: u64, folder: &Path, entry: &Entry) -> Result<Vec<u8>, ArtifactError> {
    let bytes = read(step, folder, &entry.name, Some(entry.bytes))?;
    let found = sha256_hex(&bytes);
    if found == entry.sha256 {
        return Ok(bytes);
    }
    let expected = entry.sha256.clone();
    Err(damaged(step, folder, &entry.name, Damage::Hash { expected, found }))
}

/// Reads a file, of `expected` bytes where that is known; a huge file in its place is not read at all.
fn read(step: u64, folder: &Path, name: &str, expected: Option<u64>) -> Result<Vec<u8>, ArtifactError> {
    let path = folder.join(name);
    let read = || -> io::Result<Result<Vec<u8>, Damage>> {
        let found = fs::metadata(&path)?.len();
        match expected {
            Some(expected) if expected != found => Ok(Err(Damage::Size { expected, found })),
            _ => fs::read(&path).map(Ok),
        }
    };
    match read() {
        Ok(bytes) => bytes.map_err(|damage| damaged(step, folder, name, damage)),
        Err(cause) if cause.kind() == io::ErrorKind::PermissionDenied => {
            Err(ArtifactError::io("read", &path, cause))
        }
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            Err(damaged(step, folder, name, Damage::Missing))
        }
        Err(cause) => Err(damaged(step, folder, name, Damage::Unreadable(cause.to_string()))),
    }
}

fn damaged(step: u64, folder: &Path, file: &str, damage: Damage) -> ArtifactError {
    DamagedCheckpoint { step, folder: folder.to_owned(), file: file.to_owned(), damage }.into()
}
