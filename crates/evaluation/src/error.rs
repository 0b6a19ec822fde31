//! Why a run cannot be evaluated.

use std::{io, path::PathBuf};

use kiln_artifacts::ArtifactError;
use kiln_model::ModelError;

/// A run that cannot be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum EvaluationError {
    /// The run folder could not be read or written.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// Stored weights do not fit the config.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The run has saved nothing yet.
    #[error("{run} has no checkpoint to evaluate")]
    NoCheckpoint {
        /// The run folder.
        run: String,
    },
    /// A checkpoint without weights.
    #[error("checkpoint step-{step} holds no {file}")]
    NoWeights {
        /// Step of the checkpoint.
        step: u64,
        /// The file that is missing.
        file: &'static str,
    },
    /// No figure is defined without an example.
    #[error("there is no example to evaluate")]
    NoExamples,
    /// Predictions that contradict themselves.
    #[error("predictions that cannot be: expected {expected}, found {found}")]
    Inconsistent {
        /// What predictions must be.
        expected: String,
        /// What these are.
        found: String,
    },
    /// A file or folder that the system refuses.
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
    /// A picture that could not be drawn.
    #[error("cannot draw {}: {problem}", path.display())]
    Plot {
        /// The picture's file, without its ending.
        path: PathBuf,
        /// What went wrong.
        problem: String,
    },
    /// A file of predictions whose content is not what it must be.
    #[error("{}, line {line}: expected {expected}, found {found}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What must stand there.
        expected: String,
        /// What stands there.
        found: String,
    },
}
