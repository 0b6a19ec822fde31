//! Why a run cannot be evaluated.

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
    #[error("{run} has no checkpoint to evaluate; train it first with `kiln resume {run}`")]
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
}
