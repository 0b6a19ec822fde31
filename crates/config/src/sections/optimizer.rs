//! `[optimizer]`: how the weights move.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::{AT_LEAST_0, FRACTION, POSITIVE, SHARE, When, number, plain};

const SGD: When = ("optimizer.name", &["sgd"]);
const RMSPROP: When = ("optimizer.name", &["rmsprop"]);
const ADAM: When = ("optimizer.name", &["adam", "adamw"]);
const WITH_MOMENTUM: When = ("optimizer.name", &["sgd", "rmsprop"]);
const WITH_EPS: When = ("optimizer.name", &["rmsprop", "adam", "adamw"]);

/// `[optimizer]`: the update rule; defaults are PyTorch's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Optimizer {
    /// Which update rule.
    pub name: OptimizerName,
    /// Learning rate: the size of a step.
    #[schemars(transform = number(POSITIVE).also_called("learning_rate"))]
    pub lr: f64,
    /// Share of the last update carried on (sgd and rmsprop), at least 0 and below 1.
    #[schemars(transform = number(FRACTION).when(WITH_MOMENTUM))]
    pub momentum: f64,
    /// Share of the gradient kept out of the momentum (sgd), 0 to 1.
    #[schemars(transform = number(SHARE).when(SGD).when_positive("optimizer.momentum"))]
    pub dampening: f64,
    /// Looks ahead along the momentum (sgd); needs momentum and no dampening.
    #[schemars(transform = plain().when(SGD))]
    pub nesterov: bool,
    /// Decay of the squared gradient's mean (rmsprop), at least 0 and below 1.
    #[schemars(transform = number(FRACTION).when(RMSPROP))]
    pub alpha: f64,
    /// Decays of the gradient's and the squared gradient's mean (adam, adamw), each at least 0, below 1.
    #[schemars(transform = number(FRACTION).when(ADAM).also_called("beta1 beta2 beta_1 beta_2"))]
    pub betas: [f64; 2],
    /// Added to the denominator (rmsprop, adam, adamw), above 0.
    #[schemars(transform = number(POSITIVE).when(WITH_EPS).also_called("epsilon"))]
    pub eps: f64,
    /// Decay of the weights and the biases, as in PyTorch: into the gradient (sgd, rmsprop, adam) or
    /// straight (adamw). Left out: 0, and 0.01 for adamw. `loss.l2` leaves biases out.
    #[schemars(transform = number(AT_LEAST_0).example("0.01").also_called("decay"))]
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
