//! The folder of checkpoints: what is in it, and saving one more.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
    sync::Arc,
};

use kiln_files::{Disk, SystemDisk};
use serde_json::Value;

use super::manifest::{self, Manifest};
use crate::ArtifactError;

/// The checkpoints of a run: `step-N/` folders, each with the files that were saved and `manifest.json`.
///
/// Saving is a transaction: the files are written and synced in a folder aside, the manifest last, and one
/// rename makes them `step-N/`. A crash at any moment leaves every earlier checkpoint as it was.
#[derive(Clone, Debug)]
pub struct CheckpointStore {
    folder: PathBuf,
    disk: Arc<dyn Disk>,
}

impl CheckpointStore {
    /// The store over a folder. Touches nothing: a run's `checkpoints/` is made with the run.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), disk: Arc::new(SystemDisk) }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Saves a checkpoint; after this returns, it survives a power cut. One of the same step is replaced,
    /// and until the new one is in its place the old one can be loaded.
    ///
    /// # Errors
    ///
    /// When a file's name is not a plain one, or the disk is full, read-only or gone. Every checkpoint that
    /// was there can be loaded as before.
    pub fn save(&self, step: u64, meta: &Value, files: &[(&str, &[u8])]) -> Result<(), ArtifactError> {
        check_names(files)?;
        let aside = self.folder.join(format!("{ASIDE_PREFIX}{}-{}", step_name(step), process::id()));
        let saved = self.write_aside(&aside, step, meta, files).and_then(|()| self.publish(&aside, step));
        if saved.is_err() {
            let _ = self.disk.remove_folder(&aside);
        }
        saved
    }

    /// The steps that have a checkpoint, good or damaged, oldest first.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn steps(&self) -> Result<Vec<u64>, ArtifactError> {
        let mut steps: Vec<u64> = self
            .entries()?
            .iter()
            .filter_map(|name| parse_step(name.strip_prefix(REPLACED_PREFIX).unwrap_or(name)))
            .collect();
        steps.sort_unstable();
        steps.dedup();
        Ok(steps)
    }

    #[cfg(test)]
    pub(super) fn on(disk: Arc<dyn Disk>, folder: &Path) -> Self {
        Self { folder: folder.to_owned(), disk }
    }

    pub(super) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// The folder of a step: its own, or the one that a replacement cut short has set aside.
    pub(super) fn existing_folder(&self, step: u64) -> Result<PathBuf, ArtifactError> {
        for folder in [self.folder.join(step_name(step)), self.replaced_folder(step)] {
            if folder.is_dir() {
                return Ok(folder);
            }
        }
        Err(ArtifactError::NoCheckpoint { path: self.folder.clone(), step, available: self.steps()? })
    }

    pub(super) fn replaced_folder(&self, step: u64) -> PathBuf {
        self.folder.join(format!("{REPLACED_PREFIX}{}", step_name(step)))
    }

    pub(super) fn entries(&self) -> Result<Vec<String>, ArtifactError> {
        let failed = |cause| ArtifactError::io("read", &self.folder, cause);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    }

    fn write_aside(
        &self,
        aside: &Path,
        step: u64,
        meta: &Value,
        files: &[(&str, &[u8])],
    ) -> Result<(), ArtifactError> {
        let manifest = Manifest::new(step, meta, files).to_json();
        if aside.is_dir() {
            self.disk.remove_folder(aside).map_err(|cause| ArtifactError::io("remove", aside, cause))?;
        }
        self.disk.create_folder(aside).map_err(|cause| ArtifactError::io("create", aside, cause))?;
        for (name, bytes) in files.iter().copied().chain([(manifest::FILE_NAME, manifest.as_bytes())]) {
            let path = aside.join(name);
            self.disk.write_new(&path, bytes).map_err(|cause| ArtifactError::io("write", &path, cause))?;
        }
        self.sync(aside)
    }

    /// Gives a finished folder its name. No rename replaces a folder that has files in it, so one of the
    /// same step is first set aside under a name where [`CheckpointStore::load`] still finds it.
    fn publish(&self, aside: &Path, step: u64) -> Result<(), ArtifactError> {
        let (published, replaced) = (self.folder.join(step_name(step)), self.replaced_folder(step));
        let occupied = published.is_dir();
        if occupied {
            self.remove_if_there(&replaced)?;
            self.rename(&published, &replaced)?;
        }
        let renamed = self.sync(&self.folder).and_then(|()| self.rename(aside, &published));
        if renamed.is_err() && occupied {
            let _ = self.disk.rename(&replaced, &published);
        }
        renamed?;
        self.sync(&self.folder)?;
        // The checkpoint is saved whether or not this works, and recovery tries again.
        let _ = self.remove_if_there(&replaced);
        Ok(())
    }

    pub(super) fn remove_if_there(&self, folder: &Path) -> Result<(), ArtifactError> {
        if !folder.is_dir() {
            return Ok(());
        }
        self.disk.remove_folder(folder).map_err(|cause| ArtifactError::io("remove", folder, cause))
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> Result<(), ArtifactError> {
        self.disk.rename(from, to).map_err(|cause| ArtifactError::io("rename", from, cause))
    }

    fn sync(&self, folder: &Path) -> Result<(), ArtifactError> {
        self.disk.sync_folder(folder).map_err(|cause| ArtifactError::io("sync", folder, cause))
    }
}

/// A checkpoint that is being written.
pub(super) const ASIDE_PREFIX: &str = ".tmp-";
/// A checkpoint that gives way to a new one of the same step.
pub(super) const REPLACED_PREFIX: &str = ".replaced-";

pub(super) fn step_name(step: u64) -> String {
    format!("step-{step}")
}

/// The step of `step-N`, if that is what this is: no sign, no leading zero.
pub(super) fn parse_step(name: &str) -> Option<u64> {
    let step = name.strip_prefix("step-")?.parse().ok()?;
    (step_name(step) == name).then_some(step)
}

fn check_names(files: &[(&str, &[u8])]) -> Result<(), ArtifactError> {
    for (index, (name, _)) in files.iter().enumerate() {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let reason = if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
            "use letters, digits, '.', '_' and '-', not starting with '.'"
        } else if *name == manifest::FILE_NAME {
            "the store writes that file itself"
        } else if files[..index].iter().any(|(other, _)| other == name) {
            "another file has it"
        } else {
            continue;
        };
        return Err(ArtifactError::InvalidEntry {
            what: "a checkpoint file",
            name: (*name).to_owned(),
            reason,
        });
    }
    Ok(())
}
