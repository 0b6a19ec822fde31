//! What a model is to Kiln, and the multilayer perceptron.
//!
//! A [`Model`] is a Burn module with Burn's own `TrainStep` and `InferenceStep`. The rest of Kiln sees no more of it:
//! names of parameters come from the module's paths, figures from what a step gives out ([`StepOutput`]).
//!
//! Written against Burn's `Tensor` and `Device` alone: the device decides the backend at run time. This crate knows
//! neither files nor optimizers.

mod contract;
mod layers;
mod loss;
mod mlp;
mod parameters;

pub use contract::{Classified, Model, Predicted, Probe, StepOutput, Tally};
pub use kiln_data::{Batch, Pass};
pub use kiln_kernels::Fused;
pub use layers::{Dropout, check_weights};
pub use loss::Loss;
pub use mlp::Mlp;
pub use parameters::{
    MODEL_FILE, Named, Parameter, named, parameters, parameters_from_safetensors, parameters_to_safetensors,
    weights_sha256, with_parameters,
};

/// A model that cannot be built, or stored weights that do not fit.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Explicit weights do not have the shape that data and `model.hidden` ask for.
    #[error(
        "model.weights, layer {layer}: {part} has shape {found:?}, but the data and `model.hidden` ask for \
         {expected:?}"
    )]
    ExplicitShape {
        /// Layer, from 0.
        layer: usize,
        /// `weight` or `bias`.
        part: &'static str,
        /// The shape that was given.
        found: Vec<usize>,
        /// The shape that fits.
        expected: Vec<usize>,
    },
    /// The number of explicit layers is wrong.
    #[error("model.weights has {found} layers, but `model.hidden` asks for {expected}")]
    ExplicitLayers {
        /// How many were given.
        found: usize,
        /// How many there must be.
        expected: usize,
    },
    /// Class weights that do not match the classes of the data.
    #[error("loss.class_weights has {found} entries, but the data has {expected} classes")]
    ClassWeights {
        /// How many were given.
        found: usize,
        /// The number of classes.
        expected: usize,
    },
    /// Class weights by a rule or by name, which only the data can make a list of.
    #[error("loss.class_weights is no list yet: the classes of the data decide it")]
    UnresolvedClassWeights,
    /// Bytes that are no safetensors file.
    #[error("the stored weights cannot be read")]
    Safetensors(#[from] safetensors::SafeTensorError),
    /// A stored parameter is absent or of another shape or type.
    #[error("stored parameter `{name}`: expected {expected}, found {found}")]
    Parameter {
        /// Name of the parameter.
        name: String,
        /// What the model has.
        expected: String,
        /// What was stored.
        found: String,
    },
}
