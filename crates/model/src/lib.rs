//! The multilayer perceptron, its losses and its weights as bytes.
//!
//! Written against Burn's `Tensor` and `Device` alone: the device decides the backend at run time. This crate
//! knows no files, no optimizers, and not where a batch comes from.

mod activation;
mod dropout;
mod error;
mod initialization;
mod loss;
mod mlp;
mod predictor;
mod tally;
mod weights;

pub use activation::activate;
pub use error::ModelError;
pub use initialization::check_weights;
pub use kiln_cpu::{Dropout, Pass};
pub use loss::{Loss, correct};
pub use mlp::{Mlp, NonFinite, ParameterUpdate};
pub use predictor::{Predicted, Predictor};
pub use tally::Tally;
pub use weights::{
    MODEL_FILE, Parameter, parameters_from_safetensors, parameters_to_safetensors, weights_sha256,
};
