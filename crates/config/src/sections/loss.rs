//! `[loss]`: what is minimized.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[loss]`: the loss function and penalties on the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Loss {
    /// Which loss.
    pub name: LossName,
    /// Share of the target probability spread evenly over all classes, at least 0 and below 1
    /// (cross-entropy alone).
    pub label_smoothing: f64,
    /// Weight of each class in the mean (cross-entropy and nll). Empty: all equal.
    pub class_weights: Vec<f64>,
    /// Adds l1 times the sum of absolute weights to the objective; biases are left out.
    pub l1: f64,
    /// Adds l2 times the sum of squared weights to the objective; biases are left out.
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
    CrossEntropy,
    /// Negative log-likelihood on log-probabilities.
    Nll,
    /// Mean squared error against one-hot targets, over batch and classes.
    Mse,
}
