//! Checkpoints: each one is complete or absent, and checked when it is read.
//!
//! A checkpoint is a folder `step-N/` with the saved files and `manifest.json`, which has the size and the SHA-256 of
//! each file. `best` and `last` are text files that contain `step-N`. They are not symbolic links, because these need
//! a privilege on Windows and get lost in some copies and archives.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process,
    sync::Arc,
};

use kiln_files::{Disk, SystemDisk, remove_leftovers, replace_file_on, sha256_hex};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ArtifactError, Damage, DamagedCheckpoint};

/// Prefix of a checkpoint folder that is being written.
const ASIDE_PREFIX: &str = ".tmp-";
/// Prefix of a checkpoint folder that is being replaced by one of the same step.
const REPLACED_PREFIX: &str = ".replaced-";
/// Prefix of a checkpoint folder that is being removed.
const TRASH_PREFIX: &str = ".trash-";
const BEST: &str = "best";
const LAST: &str = "last";
const MANIFEST_FILE: &str = "manifest.json";
/// Increased when an older Kiln cannot read the format of a newer one.
const FORMAT_VERSION: u32 = 1;
/// Placeholder for the manifest's checksum while the checksum is computed.
const NO_CHECKSUM: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The checkpoints of a run: `step-N/` folders, each with the files that were saved and `manifest.json`.
///
/// Saving is a transaction: the files are written and synced in a temporary folder, the manifest last, and one rename
/// makes it `step-N/`. A crash at any moment leaves every earlier checkpoint as it was.
#[derive(Clone, Debug)]
pub struct CheckpointStore {
    folder: PathBuf,
    disk: Arc<dyn Disk>,
}

/// A checkpoint that was read and verified.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Optimizer steps done when it was saved.
    pub step: u64,
    /// Its folder.
    pub folder: PathBuf,
    /// Metadata from the caller of [`CheckpointStore::save`].
    pub meta: Value,
    /// The files by name.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Result of the search for the newest good checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct LatestGood {
    /// The newest checkpoint that is not damaged, if there is one.
    pub checkpoint: Option<Checkpoint>,
    /// The newer, damaged checkpoints, the newest first.
    pub damaged: Vec<DamagedCheckpoint>,
}

/// The content of `manifest.json`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Manifest {
    format_version: u32,
    /// SHA-256 of this file with 64 zeros in place of the checksum. The file contains the caller's metadata, so a
    /// flipped bit here matters as much as one in the weights.
    #[serde(rename = "manifest_sha256")]
    checksum: String,
    step: u64,
    files: Vec<ManifestEntry>,
    meta: Value,
}

/// A file of a checkpoint.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct ManifestEntry {
    name: String,
    bytes: u64,
    sha256: String,
}

impl CheckpointStore {
    /// The store in a folder, which must exist before the first save.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), disk: Arc::new(SystemDisk) }
    }

    #[cfg(test)]
    fn on(disk: Arc<dyn Disk>, folder: &Path) -> Self {
        Self { folder: folder.to_owned(), disk }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Saves a checkpoint. After this returns, it survives a power cut. A checkpoint of the same step is replaced; it
    /// can be loaded until the new one is in place.
    ///
    /// # Errors
    ///
    /// If a file name is not plain, or the disk is full, read-only or gone. Earlier checkpoints can still be loaded.
    pub fn save(&self, step: u64, meta: &Value, files: &[(&str, &[u8])]) -> Result<(), ArtifactError> {
        check_names(files)?;
        let aside = self.folder.join(format!("{ASIDE_PREFIX}{}-{}", step_name(step), process::id()));
        let saved = self.write_aside(&aside, step, meta, files).and_then(|()| self.publish(&aside, step));
        if saved.is_err() {
            let _ = self.disk.remove_folder(&aside);
        }
        saved
    }

    /// The steps that have a checkpoint, good or damaged, the oldest first.
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

    /// Reads a checkpoint and compares every file with its size and SHA-256 in the manifest.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::NoCheckpoint`] if this step does not have one; [`ArtifactError::Damaged`], with the file and
    /// the difference, if a file is not as it was saved.
    pub fn load(&self, step: u64) -> Result<Checkpoint, ArtifactError> {
        let folder = self.existing_folder(step)?;
        let manifest = read(step, &folder, MANIFEST_FILE, None)?;
        let Manifest { meta, files: entries, .. } = Manifest::from_json(&manifest, step)
            .map_err(|damage| damaged(step, &folder, MANIFEST_FILE, damage))?;
        let mut files = BTreeMap::new();
        for entry in entries {
            let bytes = read_verified(step, &folder, &entry)?;
            files.insert(entry.name, bytes);
        }
        Ok(Checkpoint { step, folder, meta, files })
    }

    /// The newest good checkpoint, and the damaged ones that are newer. Damage is not an error here.
    pub fn latest_good(&self) -> Result<LatestGood, ArtifactError> {
        let mut newer = Vec::new();
        for step in self.steps()?.into_iter().rev() {
            match self.load(step) {
                Ok(checkpoint) => {
                    return Ok(LatestGood { checkpoint: Some(checkpoint), damaged: newer });
                }
                Err(ArtifactError::Damaged(damaged)) => newer.push(damaged),
                Err(error) => return Err(error),
            }
        }
        Ok(LatestGood { checkpoint: None, damaged: newer })
    }

    /// The step of the best checkpoint, if one was marked.
    pub fn best(&self) -> Result<Option<u64>, ArtifactError> {
        self.marked(BEST)
    }

    /// The step of the last checkpoint, if one was marked.
    pub fn last(&self) -> Result<Option<u64>, ArtifactError> {
        self.marked(LAST)
    }

    /// Marks a checkpoint as the best; [`CheckpointStore::prune`] then keeps it. If this fails, the old mark stays.
    pub fn set_best(&self, step: u64) -> Result<(), ArtifactError> {
        self.mark(BEST, step)
    }

    /// Marks a checkpoint as the last. If this fails, the old mark stays.
    pub fn set_last(&self, step: u64) -> Result<(), ArtifactError> {
        self.mark(LAST, step)
    }

    /// Removes all checkpoints except the `keep_latest_k` latest (at least one), the best and the last. Returns the
    /// steps of the removed ones. After an error, each checkpoint is complete or gone.
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

    /// Removes the checkpoints later than `step` and the marks that point to them. A resume from an older checkpoint
    /// needs this, because it will reach those steps again. Returns the steps of the removed ones.
    pub fn discard_after(&self, step: u64) -> Result<Vec<u64>, ArtifactError> {
        self.remove_marks_after(step)?;
        let mut steps = self.steps()?;
        steps.retain(|later| *later > step);
        for step in steps.iter().rev() {
            self.remove(*step)?;
        }
        Ok(steps)
    }

    /// Cleans up after a crash: removes folders that were not completely written or removed, and restores a checkpoint
    /// whose replacement is missing. Only for the process that holds the run's lock.
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
        for (name, bytes) in files.iter().copied().chain([(MANIFEST_FILE, manifest.as_bytes())]) {
            let path = aside.join(name);
            self.disk.write_new(&path, bytes).map_err(|cause| ArtifactError::io("write", &path, cause))?;
        }
        self.sync(aside)
    }

    /// Gives a finished folder its name. A rename cannot replace a folder with files in it, so a checkpoint of the same
    /// step is first renamed to a name that [`CheckpointStore::load`] also tries.
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
        // The checkpoint is saved even if this fails; recovery tries again.
        let _ = self.remove_if_there(&replaced);
        Ok(())
    }

    /// The folder of a step: `step-N`, or `.replaced-step-N` if a replacement was interrupted.
    fn existing_folder(&self, step: u64) -> Result<PathBuf, ArtifactError> {
        for folder in [self.folder.join(step_name(step)), self.replaced_folder(step)] {
            if folder.is_dir() {
                return Ok(folder);
            }
        }
        Err(ArtifactError::NoCheckpoint { path: self.folder.clone(), step, available: self.steps()? })
    }

    fn replaced_folder(&self, step: u64) -> PathBuf {
        self.folder.join(format!("{REPLACED_PREFIX}{}", step_name(step)))
    }

    fn entries(&self) -> Result<Vec<String>, ArtifactError> {
        let failed = |cause| ArtifactError::io("read", &self.folder, cause);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    }

    fn marked(&self, name: &str) -> Result<Option<u64>, ArtifactError> {
        let path = self.folder().join(name);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(ArtifactError::io("read", &path, cause)),
        };
        let malformed = || ArtifactError::malformed(&path, Some(1), format!("{text:?} is not step-N"));
        parse_step(text.trim_end()).map(Some).ok_or_else(malformed)
    }

    fn mark(&self, name: &str, step: u64) -> Result<(), ArtifactError> {
        self.existing_folder(step)?;
        Ok(replace_file_on(self.disk(), &self.folder().join(name), format!("step-{step}\n").as_bytes())?)
    }

    /// Removes the marks of checkpoints later than `step`.
    fn remove_marks_after(&self, step: u64) -> Result<(), ArtifactError> {
        for name in [BEST, LAST] {
            // A mark that cannot be read is removed too.
            if self.marked(name).is_ok_and(|marked| marked.is_none_or(|marked| marked <= step)) {
                continue;
            }
            let path = self.folder().join(name);
            self.disk().remove_file(&path).map_err(|cause| ArtifactError::io("remove", &path, cause))?;
        }
        Ok(())
    }

    /// Removes a checkpoint: first its name, in one rename, then its files. A replaced checkpoint of the same step is
    /// removed before it, because otherwise it would reappear.
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

    fn remove_if_there(&self, folder: &Path) -> Result<(), ArtifactError> {
        if !folder.is_dir() {
            return Ok(());
        }
        self.disk.remove_folder(folder).map_err(|cause| ArtifactError::io("remove", folder, cause))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), ArtifactError> {
        self.disk.rename(from, to).map_err(|cause| ArtifactError::io("rename", from, cause))
    }

    fn sync(&self, folder: &Path) -> Result<(), ArtifactError> {
        self.disk.sync_folder(folder).map_err(|cause| ArtifactError::io("sync", folder, cause))
    }

    fn disk(&self) -> &dyn Disk {
        &*self.disk
    }
}

impl Manifest {
    fn new(step: u64, meta: &Value, files: &[(&str, &[u8])]) -> Self {
        let files = files
            .iter()
            .map(|(name, bytes)| ManifestEntry {
                name: (*name).to_owned(),
                bytes: bytes.len() as u64,
                sha256: sha256_hex(bytes),
            })
            .collect();
        let checksum = NO_CHECKSUM.to_owned();
        Self { format_version: FORMAT_VERSION, checksum, step, files, meta: meta.clone() }
    }

    fn to_json(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("a manifest is plain data") + "\n";
        // The checksum comes before all of the caller's data, so the first match is the field.
        text.replacen(NO_CHECKSUM, &sha256_hex(text.as_bytes()), 1)
    }

    /// Reads a manifest of `step` and verifies its checksum.
    fn from_json(bytes: &[u8], step: u64) -> Result<Self, Damage> {
        let text = str::from_utf8(bytes).map_err(|problem| Damage::Manifest(problem.to_string()))?;
        let manifest: Self =
            serde_json::from_str(text).map_err(|problem| Damage::Manifest(problem.to_string()))?;
        if manifest.format_version != FORMAT_VERSION {
            let version = manifest.format_version;
            return Err(Damage::Manifest(format!("format version {version} is unknown to this Kiln")));
        }
        let found = sha256_hex(text.replacen(&manifest.checksum, NO_CHECKSUM, 1).as_bytes());
        if found != manifest.checksum {
            return Err(Damage::Hash { expected: manifest.checksum, found });
        }
        if manifest.step != step {
            return Err(Damage::Manifest(format!("it belongs to step {}", manifest.step)));
        }
        Ok(manifest)
    }
}

fn step_name(step: u64) -> String {
    format!("step-{step}")
}

/// The N of `step-N`; `None` for any other name, including signs and leading zeros.
fn parse_step(name: &str) -> Option<u64> {
    let step = name.strip_prefix("step-")?.parse().ok()?;
    (step_name(step) == name).then_some(step)
}

fn check_names(files: &[(&str, &[u8])]) -> Result<(), ArtifactError> {
    for (index, (name, _)) in files.iter().enumerate() {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let reason = if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
            "use letters, digits, '.', '_' and '-', not starting with '.'"
        } else if *name == MANIFEST_FILE {
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

fn read_verified(step: u64, folder: &Path, entry: &ManifestEntry) -> Result<Vec<u8>, ArtifactError> {
    let bytes = read(step, folder, &entry.name, Some(entry.bytes))?;
    let found = sha256_hex(&bytes);
    if found == entry.sha256 {
        return Ok(bytes);
    }
    let expected = entry.sha256.clone();
    Err(damaged(step, folder, &entry.name, Damage::Hash { expected, found }))
}

/// Reads a file of `expected` bytes, if that is known. A file of another size is not read, however large it is.
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
