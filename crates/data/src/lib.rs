//! Data for training: sources, splits, scaling, and batches in an order fixed by (seed, epoch).
//!
//! [`load`] turns the `[data]` section of an experiment into a [`DataSet`]. The steps, and their files:
//!
//! 1. `source/` reads all examples of a source; `download` fetches published data sets first. A source has one
//!    reader: `csv`, `idx_folder`, `image_folder`, `published` or `built_in`.
//! 2. `dataset` keeps the selected classes and cuts the splits. `holdout` chooses the examples at random, as a pure
//!    function of the seed.
//! 3. `tables` fits the columns of a table on the training rows; `values` fits the scaling.
//! 4. `split` holds the examples of one use. All splits share the raw values, in the type of the source.
//! 5. `batches` makes batches in an order fixed by (seed, epoch). Values are scaled here, batch by batch.
//!
//! After training, `profile` keeps the facts that new examples must match, and `inputs` reads a user's own examples.
//!
//! The crate does not depend on models, training or the terminal: it reports transfers to a [`Progress`], logs through
//! `tracing`, and never prints.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed"))]

mod batches;
mod dataset;
mod download;
mod holdout;
mod inputs;
mod profile;
mod source;
mod split;
mod tables;
mod values;

use std::{
    io,
    path::{Path, PathBuf},
};

use kiln_table::TableError;

pub use batches::{Batch, Batching, EpochBatches, Pass, SplitLoader, epoch_order};
pub use dataset::{DataSet, load, load_like, load_with};
pub use download::{DownloadAttempt, Downloads, Timeouts, UnavailableData};
pub use holdout::TieBreak;
pub use inputs::{Frame, Framing, Inputs, examples_of_pixels, inputs, inputs_of_picture, inputs_of_values};
pub use kiln_table::{Column, Mismatch, Preparation};
pub use profile::{
    DataContent, DataDescription, ExampleCounts, FileRecord, ImageEncoding, Profile, Shape, describe,
};
pub use source::{
    DataFolders, PictureFiles, PublishedFile, PublishedSet, labelled, pictures_below, read_options,
};
pub use split::{Example, Split, render_blocks, render_columns, render_numbers};
pub use tables::{RowBlock, RowBuffer, TableRows, UsedColumn, ValueKind};
pub use values::{Normalizer, RawValues};

/// The error of loading data.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The operating system refused to read a file or folder.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The operating system refused to write a file or folder.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A published data set is not on this machine, and no mirror provided it.
    #[error(transparent)]
    Unavailable(Box<UnavailableData>),

    /// The data is damaged, or does not fit the experiment.
    #[error("{kind}: {mismatch}")]
    Unfit {
        /// The kind of error, in a few words.
        kind: &'static str,
        /// The place, the expected and found values, and the remedy.
        mismatch: Box<Mismatch>,
    },
}

impl DataError {
    /// Wraps a failure to read `path`.
    pub(crate) fn read(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Read { path, source }
    }

    /// Wraps a failure to read `path`, which may be compressed: damaged gzip data is [`Self::Unfit`], a failure of
    /// the disk is [`Self::Read`].
    pub(crate) fn unreadable(path: &Path) -> impl Fn(io::Error) -> Self + '_ {
        move |error| kiln_table::read_error(path, error).into()
    }

    pub(crate) fn unfit(kind: &'static str, mismatch: Box<Mismatch>) -> Self {
        Self::Unfit { kind, mismatch }
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
            TableError::Unfit { kind, mismatch } => Self::Unfit { kind, mismatch },
        }
    }
}

/// Receives the progress of transfers while data is loaded.
///
/// Exactly one `end` follows every `begin`, also when the transfer fails.
pub trait Progress: Sync {
    /// A transfer of `what` begins; `total_bytes` is its size if known.
    fn begin(&self, what: &str, total_bytes: Option<u64>);

    /// `bytes` more have arrived.
    fn advance(&self, bytes: u64);

    /// The transfer is over.
    fn end(&self);
}

/// Ignores all progress.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn begin(&self, _what: &str, _total_bytes: Option<u64>) {}

    fn advance(&self, _bytes: u64) {}

    fn end(&self) {}
}
