//! What a model is to Kiln, and the multilayer perceptron.
//!
//! A [`Model`] is a Burn module with Burn's own `TrainStep` and `InferenceStep`. The rest of Kiln sees no more of it:
//! names of parameters come from the module's paths, figures from what a step gives out ([`StepOutput`]).
//!
//! Written against Burn's `Tensor` and `Device` alone: the device decides the backend at run time. This crate knows
//! neither files nor optimizers.

mod burn_output;
mod classified;
mod contract;
mod dropout;
mod embedding;
mod error;
mod initialization;
mod loss;
mod mlp;
mod module_parameters;
mod parameter;
mod tally;

pub use classified::Classified;
pub use contract::{Model, Predicted, Probe, StepOutput};
pub use dropout::Dropout;
pub use error::ModelError;
pub use initialization::check_weights;
pub use kiln_data::{Batch, Pass};
pub use kiln_kernels::Fused;
pub use loss::Loss;
pub use mlp::Mlp;
pub use module_parameters::{Named, named, parameters, with_parameters};
pub use parameter::{
    MODEL_FILE, Parameter, parameters_from_safetensors, parameters_to_safetensors, weights_sha256,
};
pub use tally::Tally;
