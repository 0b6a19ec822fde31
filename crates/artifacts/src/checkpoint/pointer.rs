//! `best` and `last`: which checkpoint is which.
//!
//! Small text files that hold `step-N`, and not symbolic links: those need a privilege on Windows, and do
//! not survive every copy to another disk or into an archive.

use std::{fs, io};

use kiln_files::replace_file_on;

use super::{CheckpointStore, store::parse_step};
use crate::ArtifactError;

const BEST: &str = "best";
const LAST: &str = "last";

impl CheckpointStore {
    /// The step of the best checkpoint, if one was ever marked.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or does not hold `step-N`.
    pub fn best(&self) -> Result<Option<u64>, ArtifactError> {
        self.pointer(BEST)
    }

    /// The step of the last checkpoint, if one was ever marked.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or does not hold `step-N`.
    pub fn last(&self) -> Result<Option<u64>, ArtifactError> {
        self.pointer(LAST)
    }

    /// Marks a checkpoint as the best; [`CheckpointStore::prune`] then keeps it.
    ///
    /// # Errors
    ///
    /// When there is no such checkpoint, or the file cannot be written; the old mark then stays.
    pub fn set_best(&self, step: u64) -> Result<(), ArtifactError> {
        self.set_pointer(BEST, step)
    }

    /// Marks a checkpoint as the last.
    ///
    /// # Errors
    ///
    /// When there is no such checkpoint, or the file cannot be written; the old mark then stays.
    pub fn set_last(&self, step: u64) -> Result<(), ArtifactError> {
        self.set_pointer(LAST, step)
    }

    /// Removes the marks of checkpoints later than `step`.
    pub(super) fn forget_pointers_after(&self, step: u64) -> Result<(), ArtifactError> {
        for name in [BEST, LAST] {
            // A mark that cannot be understood points nowhere that is worth keeping.
            if self.pointer(name).is_ok_and(|marked| marked.is_none_or(|marked| marked <= step)) {
                continue;
            }
            let path = self.folder().join(name);
            self.disk().remove_file(&path).map_err(|cause| ArtifactError::io("remove", &path, cause))?;
        }
        Ok(())
    }

    fn pointer(&self, name: &str) -> Result<Option<u64>, ArtifactError> {
        let path = self.folder().join(name);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(ArtifactError::io("read", &path, cause)),
        };
        let malformed = || ArtifactError::malformed(&path, Some(1), format!("{text:?} is not step-N"));
        parse_step(text.trim_end()).map(Some).ok_or_else(malformed)
    }

    fn set_pointer(&self, name: &str, step: u64) -> Result<(), ArtifactError> {
        self.existing_folder(step)?;
        Ok(replace_file_on(self.disk(), &self.folder().join(name), format!("step-{step}\n").as_bytes())?)
    }
}
