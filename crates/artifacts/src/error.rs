//! Everything that can go wrong with a run folder, and the file operations that report it.

use std::{
    fmt,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use kiln_files::FileError;
use serde::de::DeserializeOwned;

/// A run folder could not be made, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// The disk or the quota is full.
    #[error("cannot {action} {}: no space is left on the disk", path.display())]
    DiskFull {
        /// The action, as a verb phrase.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        #[source]
        cause: io::Error,
    },
    /// The folder belongs to another user, or its disk is mounted read-only.
    #[error("cannot {action} {}", path.display())]
    PermissionDenied {
        /// The action, as a verb phrase.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        #[source]
        cause: io::Error,
    },
    /// A folder disappeared during the run.
    #[error(
        "cannot {action} {}: its folder was removed or renamed, or its disk was unmounted",
        path.display()
    )]
    Gone {
        /// The action, as a verb phrase.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        #[source]
        cause: io::Error,
    },
    /// Any other failure of the file system.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The action, as a verb phrase.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        #[source]
        cause: io::Error,
    },
    /// There is no run with this path, name or prefix.
    #[error("no run {text:?} in {}{}", root.display(), did_you_mean(similar))]
    RunNotFound {
        /// The user's text.
        text: String,
        /// The folder that was searched.
        root: PathBuf,
        /// Similar names, the most similar first.
        similar: Vec<String>,
    },
    /// More than one run begins with this prefix.
    #[error("{text:?} fits several runs: {}; add more characters", candidates.join(", "))]
    AmbiguousRun {
        /// The user's text.
        text: String,
        /// The runs that begin with it, as `name/id`.
        candidates: Vec<String>,
    },
    /// The folder exists but is not a run.
    #[error("{} is not a run folder: it has no {missing}", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
        /// The file that is missing.
        missing: &'static str,
    },
    /// The experiment's name cannot be a folder name.
    #[error(
        "{name:?} cannot be the name of a run: use letters, digits, '.', '_' and '-', not starting with '.', \
         and not \"latest\""
    )]
    InvalidName {
        /// The name.
        name: String,
    },
    /// Another process is training this run.
    #[error(
        "another process ({holder}) is training {}: wait until it ends, or stop it, before you resume the run",
        path.display()
    )]
    Locked {
        /// The run folder.
        path: PathBuf,
        /// The process that holds the lock, in words.
        holder: String,
    },
    /// The content of a file is invalid.
    #[error("{}{}: {problem}", path.display(), line.map(|number| format!(", line {number}")).unwrap_or_default())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1, if the file has lines.
        line: Option<usize>,
        /// What is wrong with it.
        problem: String,
    },
    /// A log is shorter than it was at a checkpoint.
    #[error(
        "{} has {found} bytes, but the checkpoint was saved when it had {expected}: the log was cut or \
         replaced; put it back, or train again",
        path.display()
    )]
    LogTooShort {
        /// The log.
        path: PathBuf,
        /// Length in bytes at the checkpoint.
        expected: u64,
        /// Length in bytes now.
        found: u64,
    },
    /// There is no checkpoint of this step.
    #[error("no checkpoint of step {step} in {}; it has {}", path.display(), steps_in_words(available))]
    NoCheckpoint {
        /// The checkpoints folder.
        path: PathBuf,
        /// The requested step.
        step: u64,
        /// The steps with a checkpoint, the oldest first.
        available: Vec<u64>,
    },
    /// A checkpoint is damaged.
    #[error("{0}; an earlier checkpoint may still be good")]
    Damaged(#[from] DamagedCheckpoint),
    /// A figure or a checkpoint file has a name that is not allowed.
    #[error("{name:?} cannot be the name of {what}: {reason}")]
    InvalidEntry {
        /// The kind of thing with this name.
        what: &'static str,
        /// The name.
        name: String,
        /// Why the name is not allowed.
        reason: &'static str,
    },
}

/// A checkpoint that differs from what was saved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("checkpoint {} is damaged: {file} {damage}", folder.display())]
pub struct DamagedCheckpoint {
    /// Its step.
    pub step: u64,
    /// Its folder.
    pub folder: PathBuf,
    /// The file in it that differs.
    pub file: String,
    /// The difference.
    pub damage: Damage,
}

/// What is wrong with a file of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// The file does not exist.
    Missing,
    /// The file has another length.
    Size {
        /// Bytes in the manifest.
        expected: u64,
        /// Bytes on the disk.
        found: u64,
    },
    /// The file has the right length and other bytes.
    Hash {
        /// SHA-256 in the manifest.
        expected: String,
        /// SHA-256 of the file.
        found: String,
    },
    /// The manifest is invalid.
    Manifest(String),
    /// The disk cannot read the file.
    Unreadable(String),
}

impl ArtifactError {
    /// Turns an error of the file system into the variant whose message helps the user.
    #[must_use]
    pub fn io(action: &'static str, path: &Path, cause: io::Error) -> Self {
        let path = path.to_owned();
        match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { action, path, cause }
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::PermissionDenied { action, path, cause }
            }
            io::ErrorKind::NotFound if action != "make" => Self::Gone { action, path, cause },
            _ => Self::Io { action, path, cause },
        }
    }

    pub(crate) fn malformed(path: &Path, line: Option<usize>, problem: impl fmt::Display) -> Self {
        Self::Malformed { path: path.to_owned(), line, problem: problem.to_string() }
    }
}

impl From<FileError> for ArtifactError {
    fn from(FileError { action, path, cause }: FileError) -> Self {
        Self::io(action, &path, cause)
    }
}

/// Replaces `path` by a file with these bytes. A reader sees the old content or the new content, never a mixture,
/// even after a power cut. If writing fails, the old file is unchanged.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), ArtifactError> {
    Ok(kiln_files::replace_file(path, bytes)?)
}

/// Opens a file for reading and writing, and makes it if it does not exist. Not in append mode, because Windows cannot
/// truncate such a file.
pub(crate) fn open_or_create(path: &Path) -> Result<File, ArtifactError> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path).map_err(|cause| ArtifactError::io("open", path, cause))
}

/// Reads a JSON file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, ArtifactError> {
    let bytes = fs::read(path).map_err(|cause| ArtifactError::io("read", path, cause))?;
    serde_json::from_slice(&bytes)
        .map_err(|problem| ArtifactError::malformed(path, Some(problem.line()), problem))
}

fn did_you_mean(similar: &[String]) -> String {
    if similar.is_empty() { String::new() } else { format!("; did you mean {}?", similar.join(" or ")) }
}

fn steps_in_words(steps: &[u64]) -> String {
    if steps.is_empty() {
        return "none".to_owned();
    }
    let names: Vec<String> = steps.iter().map(|step| format!("step-{step}")).collect();
    names.join(", ")
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => formatter.write_str("is missing"),
            Self::Size { expected, found } => {
                write!(formatter, "has {found} bytes, but {expected} were saved")
            }
            Self::Hash { expected, found } => {
                write!(formatter, "has the SHA-256 {found}, but {expected} was saved")
            }
            Self::Manifest(problem) => write!(formatter, "is not a manifest: {problem}"),
            Self::Unreadable(problem) => write!(formatter, "cannot be read: {problem}"),
        }
    }
}
