//! Everything that can go wrong with a run folder, and what to do about it.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use kiln_files::FileError;

use crate::DamagedCheckpoint;

/// A run folder could not be made, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// No space, or no quota, is left.
    #[error("cannot {action} {}: no space is left on the disk", path.display())]
    DiskFull {
        /// What was tried, as a verb phrase.
        action: &'static str,
        /// The file or folder it was tried on.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The folder belongs to somebody else, or its disk is mounted read-only.
    #[error("cannot {action} {}", path.display())]
    PermissionDenied {
        /// What was tried, as a verb phrase.
        action: &'static str,
        /// The file or folder it was tried on.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// A folder that was there when the run began is there no more.
    #[error(
        "cannot {action} {}: its folder was removed or renamed, or its disk was unmounted",
        path.display()
    )]
    Gone {
        /// What was tried, as a verb phrase.
        action: &'static str,
        /// The file or folder it was tried on.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// Any other failure of the file system.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb phrase.
        action: &'static str,
        /// The file or folder it was tried on.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// No run goes by this path, name or prefix.
    #[error("no run {text:?} in {}{}", root.display(), did_you_mean(similar))]
    RunNotFound {
        /// What was asked for.
        text: String,
        /// Where it was looked for.
        root: PathBuf,
        /// Names that are close, the closest first.
        similar: Vec<String>,
    },
    /// More than one run begins with this prefix.
    #[error("{text:?} could be any of {}; add characters until one is left", candidates.join(", "))]
    AmbiguousRun {
        /// What was asked for.
        text: String,
        /// The runs that begin with it, as `name/id`.
        candidates: Vec<String>,
    },
    /// The folder exists but holds no run.
    #[error("{} is not a run folder: it has no {missing}", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
        /// The file that every run has and this folder lacks.
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
    /// Another process trains this run.
    #[error(
        "another process ({holder}) is training {}: wait until it ends, or stop it, before you resume the run",
        path.display()
    )]
    Locked {
        /// The run folder.
        path: PathBuf,
        /// Who holds it, in words.
        holder: String,
    },
    /// A file's content is not what it must be.
    #[error("{}{}: {problem}", path.display(), line.map(|number| format!(", line {number}")).unwrap_or_default())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1, where the file has lines.
        line: Option<usize>,
        /// What is wrong with it.
        problem: String,
    },
    /// A log ends before the place that a checkpoint says it had reached.
    #[error(
        "{} has {found} bytes, but the checkpoint was saved when it had {expected}: the log was cut or \
         replaced; put it back, or train again",
        path.display()
    )]
    LogTooShort {
        /// The log.
        path: PathBuf,
        /// Its length in bytes by the checkpoint.
        expected: u64,
        /// Its length in bytes.
        found: u64,
    },
    /// There is no checkpoint of this step.
    #[error("no checkpoint of step {step} in {}; it has {}", path.display(), steps_in_words(available))]
    NoCheckpoint {
        /// The checkpoints folder.
        path: PathBuf,
        /// The step that was asked for.
        step: u64,
        /// The steps that have one, oldest first.
        available: Vec<u64>,
    },
    /// A checkpoint is not what was saved.
    #[error("{0}; an earlier checkpoint, if there is one, is still good")]
    Damaged(#[from] DamagedCheckpoint),
    /// A figure or a checkpoint file has a name that it must not have.
    #[error("{name:?} cannot be the name of {what}: {reason}")]
    InvalidEntry {
        /// What was to be named so.
        what: &'static str,
        /// The name.
        name: String,
        /// Why not.
        reason: &'static str,
    },
}

impl ArtifactError {
    /// Sorts a failure of the file system by what its user can do about it.
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

/// Replaces `path` by a file with these bytes: a reader sees the old content or the new, never a mixture, and so does
/// whoever looks after a power cut.
///
/// # Errors
/// When the folder is missing, full or may not be written to; the old file is then untouched.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), ArtifactError> {
    Ok(kiln_files::replace_file(path, bytes)?)
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
