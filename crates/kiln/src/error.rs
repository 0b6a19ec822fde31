//! What can go wrong between an experiment and its report.

use kiln_artifacts::ArtifactError;
use kiln_backend::BackendError;
use kiln_config::ConfigError;
use kiln_data::DataError;
use kiln_evaluation::EvaluationError;
use kiln_model::ModelError;
use kiln_training::TrainingError;

/// Why a session, an evaluation or a prediction could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The experiment file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No such backend, or it does not work here.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The data cannot be had or read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The run folder cannot be written or read.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The model does not fit the data or the stored weights.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Training could not begin, failed, or was killed.
    #[error(transparent)]
    Training(#[from] TrainingError),
    /// The test pass or the report failed.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// There are no weights to begin with.
    #[error(transparent)]
    Weights(Box<dyn std::error::Error + Send + Sync>),
    /// The experiment names a network that this program does not bring.
    #[error(
        "model.name = \"{name}\", but this program has {has}; train, evaluate and predict with the program that \
         brings \"{name}\""
    )]
    OtherModel {
        /// The name in the experiment.
        name: String,
        /// What the program has, in words.
        has: &'static str,
    },
    /// The network does not fit into memory.
    #[error(
        "model.hidden = {hidden} makes a network of {weights} weights, which takes {needed} to train; this machine has \
         {available} to give. With as many layers of {fitting} units each it would fit"
    )]
    TooLarge {
        /// The widths of the hidden layers.
        hidden: String,
        /// Weights and biases.
        weights: u128,
        /// What training takes at the least.
        needed: String,
        /// What there is.
        available: String,
        /// A width of all hidden layers that would fit.
        fitting: usize,
    },
    /// A file of the run cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: String,
        /// What went wrong.
        #[source]
        cause: std::io::Error,
    },
    /// The data are other than those that the run was trained on.
    #[error(
        "the data are no longer those that the run was trained on (their SHA-256 was {was}, now it is {is}); bring the \
         old ones back, or evaluate the new ones by their path"
    )]
    OtherData {
        /// SHA-256 of the data that the run was trained on.
        was: String,
        /// SHA-256 of the data as they are.
        is: String,
    },
    /// The run held no test examples out.
    #[error(
        "the run held no test examples out (data.test = 0); choose another split, or evaluate other data by their path"
    )]
    NoTest,
    /// The run held no validation examples out.
    #[error("the run held no validation examples out (data.validation = 0); choose another split")]
    NoValidation,
}
