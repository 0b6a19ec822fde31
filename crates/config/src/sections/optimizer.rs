//! `[optimizer]`: how the weights move.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[optimizer]`: the update rule; defaults are PyTorch's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Optimizer {
    /// Which update rule.
    pub name: OptimizerName,
    /// Learning rate: the size of a step.
    pub lr: f64,
    /// Share of the last update carried on (sgd and rmsprop), at least 0 and below 1.
    pub momentum: f64,
    /// Share of the gradient kept out of the momentum (sgd), 0 to 1.
    pub dampening: f64,
    /// Looks ahead along the momentum (sgd); needs momentum and no dampening.
    pub nesterov: bool,
    /// Decay of the squared gradient's mean (rmsprop), at least 0 and below 1.
    pub alpha: f64,
    /// Decays of the gradient's and the squared gradient's mean (adam, adamw), each at least 0, below 1.
    pub betas: [f64; 2],
    /// Added to the denominator (rmsprop, adam, adamw), above 0.
    pub eps: f64,
    /// Decay of the weights and the biases, as in PyTorch: into the gradient (sgd, rmsprop, adam) or
    /// straight (adamw). Left out: 0, and 0.01 for adamw. `loss.l2` leaves biases out.
    pub weight_decay: Option<f64>,
}

impl Default for Optimizer {
    fn default() -> Self {
        Self {
            name: OptimizerName::Adam,
            lr: 1e-3,
            momentum: 0.0,
            dampening: 0.0,
            nesterov: false,
            alpha: 0.99,
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay: None,
        }
    }
}

impl Optimizer {
    /// The weight decay in force: as given, or the update rule's default.
    #[must_use]
    pub fn effective_weight_decay(&self) -> f64 {
        let default = if self.name == OptimizerName::Adamw { 0.01 } else { 0.0 };
        self.weight_decay.unwrap_or(default)
    }
}

/// Update rules, each as PyTorch defines it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerName {
    /// Stochastic gradient descent.
    Sgd,
    /// Root mean square propagation (Hinton 2012).
    Rmsprop,
    /// Adaptive moment estimation (Kingma and Ba 2015).
    Adam,
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
    Adamw,
}
