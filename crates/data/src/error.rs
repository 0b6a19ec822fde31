//! What can be wrong with data.

use std::{fmt, io, path::PathBuf};

use crate::Unavailable;
use crate::shown::escaped;

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

/// Where data is at fault, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file or folder; empty when the fault lies in the configuration.
    pub path: PathBuf,
    /// The place in the file (a line and column, a byte) or the configuration key; may be empty.
    pub place: String,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// What to do about it; may be empty.
    pub remedy: String,
}

#[expect(clippy::unnecessary_box_returns, reason = "errors hold faults boxed, so that results stay small")]
impl Fault {
    /// A fault in the file or folder `path`.
    pub(crate) fn new(
        path: impl Into<PathBuf>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Box<Self> {
        Box::new(Self {
            path: path.into(),
            place: String::new(),
            expected: expected.into(),
            found: found.into(),
            remedy: String::new(),
        })
    }

    /// A fault in the value of the configuration key `key`.
    pub(crate) fn in_key(key: &str, expected: impl Into<String>, found: impl Into<String>) -> Box<Self> {
        Self::new("", expected, found).place(key)
    }

    pub(crate) fn place(mut self: Box<Self>, place: impl Into<String>) -> Box<Self> {
        self.place = place.into();
        self
    }

    pub(crate) fn remedy(mut self: Box<Self>, remedy: impl Into<String>) -> Box<Self> {
        self.remedy = remedy.into();
        self
    }
}

impl fmt::Display for Fault {
    /// On one line, without control characters: names of files may have some.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display().to_string();
        let places: Vec<&str> = [&*path, &self.place].into_iter().filter(|place| !place.is_empty()).collect();
        let Self { expected, found, remedy, .. } = self;
        let text = format!("{}: expected {expected}, found {found}", places.join(", "));
        f.write_str(&escaped(&text))?;
        if remedy.is_empty() { Ok(()) } else { write!(f, "; {}", escaped(remedy)) }
    }
}
