//! What can end a training run before its time.

use kiln_artifacts::{ArtifactError, RunFailure};
use kiln_model::ModelError;

/// A training run that could not start, go on or be resumed.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// The run folder could not be written or read.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The model does not fit the data, or stored weights do not fit the model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A figure is no longer a number.
    #[error("{what} became {value} at step {step} (epoch {epoch}): {place}. {kept}")]
    NonFinite {
        /// `loss`, `gradient` or `weights`.
        what: &'static str,
        /// The value: NaN or an infinity.
        value: f64,
        /// Batches trained on before, plus one.
        step: u64,
        /// Epoch, from 1.
        epoch: usize,
        /// The first layer where it shows.
        place: String,
        /// Which checkpoint is left.
        kept: String,
    },
    /// What a checkpoint says of itself cannot be read.
    #[error("the state in checkpoint step-{step} cannot be read: {cause}")]
    State {
        /// Step of the checkpoint.
        step: u64,
        /// What is wrong.
        cause: String,
    },
    /// The run was made with other settings or other data.
    #[error(
        "cannot resume with {changes}: the run was trained with other settings, and going on would mix the \
         two. Start a new run instead"
    )]
    Changed {
        /// Each difference, spelled out.
        changes: String,
    },
    /// Too little data for one batch.
    #[error(
        "no batch to train on: {examples} training examples with training.batch_size = {batch_size} and \
         training.drop_last = true; lower the batch size or keep the last batch"
    )]
    NoBatch {
        /// Training examples.
        examples: usize,
        /// Batch size.
        batch_size: usize,
    },
    /// Burn's training machinery failed.
    #[error("training stopped: {0}")]
    Burn(String),
    /// The dashboard's kill key.
    #[error("training was killed from the dashboard")]
    Killed,
}

impl TrainingError {
    /// Its kind, as a run keeps it.
    #[must_use]
    pub fn kind(&self) -> RunFailure {
        match self {
            Self::NonFinite { what, value, step, epoch, place, .. } => RunFailure::NonFinite {
                figure: (*what).to_owned(),
                value: value.to_string(),
                step: *step,
                epoch: *epoch as u64,
                place: place.clone(),
            },
            _ => RunFailure::Other,
        }
    }
}
