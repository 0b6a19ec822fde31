//! `[loss]`: what is minimized.

use std::collections::BTreeMap;

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
    /// Weight of each class in the mean (cross-entropy and nll): a list in the order of the classes, a table by class
    /// name (1 for those it leaves out), or "balanced". Empty: all equal.
    #[schemars(transform = number(POSITIVE).when(WEIGHTED).also_called("class_weight weight"))]
    pub class_weights: ClassWeights,
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
            class_weights: ClassWeights::default(),
            l1: 0.0,
            l2: 0.0,
        }
    }
}

/// How much each class counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum ClassWeights {
    /// By a rule.
    Rule(ClassWeightRule),
    /// One weight for each class, in their order; none where all count the same.
    Each(Vec<f64>),
    /// By the names of classes; 1 for the others.
    ByName(BTreeMap<String, f64>),
}

/// A rule that gives every class a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum ClassWeightRule {
    /// Training examples over classes times training examples of the class, as scikit-learn has it: each class counts as
    /// much as any other.
    Balanced,
}

impl Default for ClassWeights {
    fn default() -> Self {
        Self::Each(Vec::new())
    }
}

impl ClassWeights {
    /// Whether all classes count the same.
    #[must_use]
    pub fn is_even(&self) -> bool {
        matches!(self, Self::Each(weights) if weights.is_empty())
    }

    /// The weights in the order of the classes; none where all count the same, or [`ClassWeights::of`] has yet to say.
    #[must_use]
    pub fn each(&self) -> &[f64] {
        match self {
            Self::Each(weights) => weights,
            Self::Rule(_) | Self::ByName(_) => &[],
        }
    }

    /// The weight of each of `classes`, of which there are `counts` training examples; none where all count the same.
    ///
    /// # Errors
    /// The names of `ByName` that are no classes.
    pub fn of(&self, classes: &[String], counts: &[usize]) -> Result<Vec<f64>, Vec<String>> {
        match self {
            Self::Each(weights) => Ok(weights.clone()),
            Self::Rule(ClassWeightRule::Balanced) => {
                let total: usize = counts.iter().sum();
                let weight = |&count: &usize| match count {
                    0 => 1.0,
                    count => total as f64 / (classes.len() as f64 * count as f64),
                };
                Ok(counts.iter().map(weight).collect())
            }
            Self::ByName(weights) => {
                let unknown: Vec<String> =
                    weights.keys().filter(|name| !classes.contains(name)).cloned().collect();
                if !unknown.is_empty() {
                    return Err(unknown);
                }
                Ok(classes.iter().map(|class| weights.get(class).copied().unwrap_or(1.0)).collect())
            }
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
