//! The contract between Kiln and a model, and Kiln's own model, the multilayer perceptron.
//!
//! A [`Model`] is any Burn module with Burn's `TrainStep` and `InferenceStep`. The rest of Kiln uses nothing else of it:
//! the names of the parameters are their paths in the module, and all figures come from the output of a step
//! ([`StepOutput`]). So a module of your own trains without a change in any crate.
//!
//! - `contract`: the traits, the figures of a batch ([`Tally`]) and a classifier's output ([`Classified`]).
//! - `parameters`: the parameters of any module by path, and as safetensors.
//! - `mlp`: the perceptron, with several networks side by side if `model.members` is above 1; `layers`: its parts.
//! - `loss`: the loss functions of PyTorch.
//!
//! The crate is written against Burn's `Tensor` and `Device`: the device decides the backend at run time.

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

/// Why a model cannot be built, or stored weights cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Explicit weights have another shape than data and `model.hidden` require.
    #[error(
        "model.weights, layer {layer}: {part} has shape {found:?}, but the data and `model.hidden` require \
         {expected:?}"
    )]
    ExplicitShape {
        /// Layer, from 0.
        layer: usize,
        /// `weight` or `bias`.
        part: &'static str,
        /// The shape in the experiment.
        found: Vec<usize>,
        /// The required shape.
        expected: Vec<usize>,
    },
    /// The number of explicit layers is wrong.
    #[error("model.weights has {found} layers, but `model.hidden` requires {expected}")]
    ExplicitLayers {
        /// The number of layers in the experiment.
        found: usize,
        /// The required number.
        expected: usize,
    },
    /// The number of class weights differs from the number of classes.
    #[error("loss.class_weights has {found} entries, but the data has {expected} classes")]
    ClassWeights {
        /// The number of class weights.
        found: usize,
        /// The number of classes.
        expected: usize,
    },
    /// Class weights given by a rule or by class name. They must be turned into a list with the classes of the data
    /// first.
    #[error("loss.class_weights must be turned into a list for the classes of the data first")]
    UnresolvedClassWeights,
    /// The bytes are not a safetensors file.
    #[error("the stored weights cannot be read")]
    Safetensors(#[from] safetensors::SafeTensorError),
    /// A stored parameter is missing, or its shape or type differs.
    #[error("stored parameter `{name}`: expected {expected}, found {found}")]
    Parameter {
        /// The path of the parameter.
        name: String,
        /// The model's side, in words.
        expected: String,
        /// The stored side, in words.
        found: String,
    },
}
