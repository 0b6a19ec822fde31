//! Removing checkpoints, and what crashed removals and saves have left.

use std::process;

use kiln_files::remove_leftovers;

use super::{
    CheckpointStore,
    store::{ASIDE_PREFIX, REPLACED_PREFIX, parse_step, step_name},
};
use crate::ArtifactError;

/// A checkpoint that is being removed.
const TRASH_PREFIX: &str = ".trash-";

impl CheckpointStore {
    /// Removes all but the `keep_latest_k` latest checkpoints (at least one), the best and the last. Returns
    /// the steps that were removed.
    ///
    /// # Errors
    ///
    /// When a mark cannot be read, or a folder cannot be removed; no checkpoint is ever half removed.
    pub fn prune(&self, keep_latest_k: usize) -> Result<Vec<u64>, ArtifactError> {
        let mut steps = self.steps()?;
        steps.truncate(steps.len().saturating_sub(keep_latest_k.max(1)));
        let marked = [self.best()?, self.last()?];
        steps.retain(|step| !marked.contains(&Some(*step)));
        for step in &steps {
            self.remove(*step)?;
        }
        Ok(steps)
    }

    /// Removes the checkpoints later than `step`, and the marks that point to them: what a resume from an
    /// older checkpoint does, for it will come to those steps again. Returns the steps that were removed.
    ///
    /// # Errors
    ///
    /// When something cannot be removed; no checkpoint is ever half removed.
    pub fn discard_after(&self, step: u64) -> Result<Vec<u64>, ArtifactError> {
        self.forget_pointers_after(step)?;
        let mut steps = self.steps()?;
        steps.retain(|later| *later > step);
        for step in steps.iter().rev() {
            self.remove(*step)?;
        }
        Ok(steps)
    }

    /// Tidies up after a crash: removes what was half written or half removed, and gives a checkpoint whose
    /// replacement never came its name back. Only for the process that holds the run's lock.
    ///
    /// # Errors
    ///
    /// When something cannot be renamed or removed.
    pub fn recover(&self) -> Result<(), ArtifactError> {
        for name in self.entries()? {
            let path = self.folder().join(&name);
            if name.starts_with(ASIDE_PREFIX) || name.starts_with(TRASH_PREFIX) {
                self.remove_if_there(&path)?;
            } else if let Some(step) = name.strip_prefix(REPLACED_PREFIX).and_then(parse_step) {
                let published = self.folder().join(step_name(step));
                if published.is_dir() {
                    self.remove_if_there(&path)?;
                } else {
                    self.rename(&path, &published)?;
                }
            }
        }
        remove_leftovers(self.disk(), self.folder());
        Ok(())
    }

    /// Removes a checkpoint: first its name, in one rename, then its files. An older one of the same step,
    /// which a replacement may have left, goes before it: else that would take its place.
    fn remove(&self, step: u64) -> Result<(), ArtifactError> {
        let trash = self.folder().join(format!("{TRASH_PREFIX}{}-{}", step_name(step), process::id()));
        for folder in [self.replaced_folder(step), self.folder().join(step_name(step))] {
            if folder.is_dir() {
                self.remove_if_there(&trash)?;
                self.rename(&folder, &trash)?;
                self.remove_if_there(&trash)?;
            }
        }
        Ok(())
    }
}
