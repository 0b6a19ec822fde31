//! `[loss]`: what is minimized.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::{AT_LEAST_0, FRACTION, POSITIVE, When, number, plain};

const CROSS_ENTROPY: When = ("loss.name", &["cross-entropy"]);
const WEIGHTED: When = ("loss.name", &["cross-entropy", "nll"]);

/// `[loss]`: the loss function and penalties on the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Loss {
    /// Which loss.
    #[schemars(transform = plain().also_called("criterion"))]
    pub name: LossName,
    /// Share of the target probability spread evenly over all classes, at least 0 and below 1
    /// (cross-entropy alone).
    #[schemars(transform = number(FRACTION).when(CROSS_ENTROPY).also_called("smoothing"))]
    pub label_smoothing: f64,
    /// Weight of each class in the mean (cross-entropy and nll). Empty: all equal.
    #[schemars(transform = number(POSITIVE).when(WEIGHTED))]
    pub class_weights: Vec<f64>,
    /// Adds l1 times the sum of absolute weights to the objective; biases are left out.
    #[schemars(transform = number(AT_LEAST_0))]
    pub l1: f64,
    /// Adds l2 times the sum of squared weights to the objective; biases are left out.
    #[schemars(transform = number(AT_LEAST_0))]
    pub l2: f64,
}

impl Default for Loss {
    fn default() -> Self {
        Self {
            name: LossName::CrossEntropy,
            label_smoothing: 0.0,
            class_weights: Vec::new(),
            l1: 0.0,
            l2: 0.0,
        }
    }
}

/// Loss functions, each a mean over the batch as PyTorch takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LossName {
    /// Cross-entropy on logits.
    #[schemars(transform = plain().also_called("ce"))]
    CrossEntropy,
    /// Negative log-likelihood on log-probabilities.
    #[schemars(transform = plain().also_called("nll_loss"))]
    Nll,
    /// Mean squared error against one-hot targets, over batch and classes.
    #[schemars(transform = plain().also_called("mean_squared_error"))]
    Mse,
}
