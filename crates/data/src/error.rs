//! What can be wrong with data.

use std::{io, path::PathBuf};

use kiln_table::{Fault, TableError};

use crate::Unavailable;

/// Why data could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The operating system refused to read a file or folder.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system refused to write a file or folder.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A published data set is not here, and no mirror gave it.
    #[error(transparent)]
    Unavailable(Box<Unavailable>),

    /// Data that is not what it should be.
    #[error("{kind}: {fault}")]
    Unfit {
        /// What is wrong, in a few words.
        kind: &'static str,
        /// Where, and how.
        fault: Box<Fault>,
    },
}

impl DataError {
    /// Wraps a failure to read `path`.
    pub(crate) fn read(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Read { path, source }
    }

    /// What is wrong in a few words, and where and how.
    pub(crate) fn unfit(kind: &'static str, fault: Box<Fault>) -> Self {
        Self::Unfit { kind, fault }
    }

    /// Wraps a failure to write `path`.
    pub(crate) fn write(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Write { path, source }
    }
}

impl From<kiln_files::FileError> for DataError {
    fn from(error: kiln_files::FileError) -> Self {
        Self::Write { path: error.path, source: error.cause }
    }
}

impl From<TableError> for DataError {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Read { path, source } => Self::Read { path, source },
            TableError::Unfit { kind, fault } => Self::Unfit { kind, fault },
        }
    }
}
