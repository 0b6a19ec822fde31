//! What can go wrong when a network leaves.

use std::path::PathBuf;

/// Why a network could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Its run keeps no treatment of columns.
    #[error(
        "the run is of Kiln's first version, which keeps no treatment of columns: train it again, then export that"
    )]
    FirstVersion,
    /// The file that was written cannot be read back.
    #[error("the file that was written cannot be run: {0}")]
    Unreadable(String),
    /// What the file answers is not what Kiln answers.
    #[error(
        "the file does not answer as Kiln does: example {example} of the {split} split differs by {difference:e} in a probability (at most {tolerance:e} is rounding); nothing was written"
    )]
    Differs {
        /// The first example that differs most, from 0.
        example: usize,
        /// Name of the split.
        split: &'static str,
        /// By how much.
        difference: f64,
        /// What would be rounding.
        tolerance: f64,
    },
    /// A format that this network has no place in.
    #[error("{format} holds {holds}, and this network has {has}")]
    Unsupported {
        /// The format.
        format: &'static str,
        /// What it can hold.
        holds: &'static str,
        /// What the network has that it cannot.
        has: String,
    },
    /// A file that cannot be read or written.
    #[error("cannot {action} {}: {cause}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: std::io::Error,
    },
    /// What Kiln itself cannot do with the run.
    #[error(transparent)]
    Kiln(#[from] kiln::Error),
}

/// Why weights could not be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read from the disk.
    #[error("cannot read {}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: std::io::Error,
    },
    /// It is of no format that is known, damaged, or holds something else than a perceptron.
    #[error("cannot read the weights in {}: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Its layers are not those of the experiment's network.
    #[error("{} does not fit the experiment: expected {expected}; found {found}", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What the experiment has.
        expected: String,
        /// What the file has.
        found: String,
    },
}
