//! How a checkpoint can differ from what was saved.

use std::{fmt, path::PathBuf};

/// A checkpoint that is not what was saved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("checkpoint {} is damaged: {file} {damage}", folder.display())]
pub struct DamagedCheckpoint {
    /// The step that it was saved at.
    pub step: u64,
    /// Its folder.
    pub folder: PathBuf,
    /// The file in it that differs.
    pub file: String,
    /// How it differs.
    pub damage: Damage,
}

/// What is wrong with a file of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// It is not there.
    Missing,
    /// It has another length.
    Size {
        /// Bytes by the manifest.
        expected: u64,
        /// Bytes on the disk.
        found: u64,
    },
    /// It has the right length and other bytes.
    Hash {
        /// SHA-256 by the manifest.
        expected: String,
        /// SHA-256 of what is on the disk.
        found: String,
    },
    /// The manifest cannot be understood.
    Manifest(String),
    /// The disk does not give it out.
    Unreadable(String),
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => formatter.write_str("is missing"),
            Self::Size { expected, found } => {
                write!(formatter, "has {found} bytes, {expected} were saved")
            }
            Self::Hash { expected, found } => {
                write!(formatter, "has the SHA-256 {found}, {expected} was saved")
            }
            Self::Manifest(problem) => write!(formatter, "is not a manifest: {problem}"),
            Self::Unreadable(problem) => write!(formatter, "cannot be read: {problem}"),
        }
    }
}
