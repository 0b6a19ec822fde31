//! `[model]` and `[loss]`: the multilayer perceptron and its training objective.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

use crate::facts::{AT_LEAST_0, FRACTION, GREATEST_COUNT, POSITIVE, When, between, number, plain};

const DRAWN: When =
    ("model.initialization", &["pytorch", "xavier-uniform", "xavier-normal", "he-uniform", "he-normal"]);
const CONSTANT: When = ("model.initialization", &["constant"]);
const EMBEDDED: When = ("model.number_embedding", &["periodic"]);
const EXPLICIT: When = ("model.initialization", &["explicit"]);

/// `[model]`: layers, activation, initialization and dropout. Input and output widths follow from the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// Which network: `mlp`, the multilayer perceptron that the other keys of this section describe, or the name of
    /// your own Burn module (docs/own-model.md).
    #[serde(skip_serializing_if = "is_mlp")]
    #[schemars(extend("default" = MLP))]
    pub name: String,
    /// Units of each hidden layer; an empty list is a linear model.
    #[schemars(transform = number(between(1.0, GREATEST_COUNT)).unit("units")
        .also_called("hidden_layers hidden_sizes layers units"))]
    pub hidden: Vec<usize>,
    /// Number of networks that are trained together on the same batches, each with its own initial weights and dropout.
    /// Their prediction is the mean of their probabilities.
    #[schemars(transform = number(between(1.0, 1024.0)).unit("networks").also_called("ensemble ensemble_size n_members"))]
    pub members: usize,
    /// Transformation of the numbers of a table (amounts and dates, not categories) before the first layer.
    #[schemars(transform = plain().also_called("numerical_embedding num_embedding num_emb_type"))]
    pub number_embedding: NumberEmbedding,
    /// Number of waves for each number.
    #[schemars(transform = number(between(1.0, 1024.0)).when(EMBEDDED).also_called("n_frequencies plr_hidden_1"))]
    pub embedding_frequencies: usize,
    /// Standard deviation of the initial frequencies, in waves per unit of the scaled number.
    #[schemars(transform = number(POSITIVE).when(EMBEDDED).also_called("sigma plr_sigma frequency_init_scale"))]
    pub embedding_scale: f64,
    /// Features that the waves of a number are mixed into, besides the number itself.
    #[schemars(transform = number(between(1.0, 1024.0)).unit("features").when(EMBEDDED).also_called("d_embedding plr_hidden_2"))]
    pub embedding_size: usize,
    /// Activation after each hidden layer.
    #[schemars(transform = plain().also_called("nonlinearity"))]
    pub activation: Activation,
    /// Transformation of the last layer's values.
    pub output: Output,
    /// Whether layers have a bias.
    pub bias: bool,
    /// Initial weights.
    #[schemars(transform = plain().also_called("init"))]
    pub initialization: Initialization,
    /// Value of every weight and bias if `initialization` is `constant`.
    #[schemars(transform = plain().when(CONSTANT))]
    pub initialization_constant: f64,
    /// Factor on every random weight and bias. Far above 1, the gradients of a deep network explode.
    #[schemars(transform = number(POSITIVE).when(DRAWN))]
    pub initialization_gain: f64,
    /// Explicit weights, a table per layer, if `initialization` is `explicit`.
    #[schemars(transform = plain().when(EXPLICIT))]
    pub weights: Vec<LayerWeights>,
    /// Probability that a hidden unit is dropped in training.
    #[schemars(transform = number(FRACTION).also_called("dropout_rate"))]
    pub dropout: f64,
    /// When the scaling for dropout happens.
    pub dropout_mode: DropoutMode,
}

/// The name of the multilayer perceptron.
const MLP: &str = "mlp";

/// The default is not written out: it would change the identity of existing runs.
fn is_mlp(name: &str) -> bool {
    name == MLP
}

impl Model {
    /// The number of features that the embedding adds for `numbers` numbers.
    #[must_use]
    pub fn features_of_numbers(&self, numbers: usize) -> usize {
        match self.number_embedding {
            NumberEmbedding::None => 0,
            NumberEmbedding::Periodic => numbers * self.embedding_size,
        }
    }

    /// Whether this is the multilayer perceptron, which every Kiln program has.
    #[must_use]
    pub fn is_mlp(&self) -> bool {
        is_mlp(&self.name)
    }

    /// The sizes of the perceptron's layers, from the inputs to the outputs: `64-256-128-10`.
    #[must_use]
    pub fn sizes(&self, inputs: usize, outputs: usize) -> String {
        let sizes = std::iter::once(inputs).chain(self.hidden.iter().copied()).chain([outputs]);
        sizes.map(|size| size.to_string()).collect::<Vec<_>>().join("-")
    }
}

impl Default for Model {
    fn default() -> Self {
        Self {
            name: MLP.to_owned(),
            hidden: vec![512, 128],
            members: 1,
            number_embedding: NumberEmbedding::None,
            embedding_frequencies: 16,
            embedding_scale: 0.1,
            embedding_size: 3,
            activation: Activation::Relu,
            output: Output::Auto,
            bias: true,
            initialization: Initialization::Pytorch,
            initialization_constant: 0.0,
            initialization_gain: 1.0,
            weights: Vec::new(),
            dropout: 0.0,
            dropout_mode: DropoutMode::Inverted,
        }
    }
}

/// Activation functions, as PyTorch defines them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, EnumIter)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// max(0, x).
    Relu,
    /// Hyperbolic tangent.
    Tanh,
    /// 1 / (1 + exp(-x)).
    Sigmoid,
    /// x itself: the network stays linear.
    #[schemars(transform = plain().also_called("linear none"))]
    Identity,
    /// x times the normal distribution function of x (the exact form).
    Gelu,
    /// x times sigmoid(x).
    #[schemars(transform = plain().also_called("swish"))]
    Silu,
    /// x where positive, else 0.01 x.
    LeakyRelu,
    /// ln(1 + exp(x)).
    Softplus,
    /// 1.0507 times x where positive, else times 1.6733 (exp(x) - 1) (Klambauer et al. 2017).
    Selu,
    /// x times tanh(softplus(x)) (Misra 2019).
    Mish,
}

/// Transformation of numbers before the first layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NumberEmbedding {
    /// The numbers themselves.
    None,
    /// The numbers, and waves `cos(2 pi (f x + p))` for several frequencies f and phases p, mixed by a linear layer per
    /// number. Everything is learned (Gorishniy et al. 2022; Holzmueller et al. 2024, "PBLD").
    #[schemars(transform = plain().also_called("plr pbld"))]
    Periodic,
}

/// Transformation of the last layer's values before the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Output {
    /// The form that the loss expects: `log-softmax` for nll, otherwise `logits`.
    Auto,
    /// The values themselves.
    Logits,
    /// Log-probabilities.
    LogSoftmax,
    /// Probabilities that sum to 1 (only for mse).
    Softmax,
    /// A value in (0, 1) per class (only for mse).
    Sigmoid,
}

/// Distribution of the initial weights. Biases are zero, except with `pytorch` and `constant`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Initialization {
    /// Weights and biases uniform in `+-1/sqrt(fan_in)`, as in `torch.nn.Linear`.
    Pytorch,
    /// Uniform in `+-sqrt(6 / (fan_in + fan_out))` (Glorot and Bengio 2010).
    #[schemars(transform = plain().also_called("glorot_uniform"))]
    XavierUniform,
    /// Normal with standard deviation `sqrt(2 / (fan_in + fan_out))`.
    #[schemars(transform = plain().also_called("glorot_normal"))]
    XavierNormal,
    /// Uniform in `+-sqrt(6 / fan_in)` (He et al. 2015).
    #[schemars(transform = plain().also_called("kaiming_uniform"))]
    HeUniform,
    /// Normal with standard deviation `sqrt(2 / fan_in)`.
    #[schemars(transform = plain().also_called("kaiming_normal"))]
    HeNormal,
    /// `initialization_constant` everywhere.
    Constant,
    /// The values given in `weights`.
    Explicit,
}

/// Initial values of one layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LayerWeights {
    /// Weights, shape [inputs, outputs]: a row per input.
    pub weight: Vec<Vec<f64>>,
    /// Biases, one per output; left out if the model does not have biases.
    #[serde(default)]
    pub bias: Vec<f64>,
}

/// When the scaling for dropout happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DropoutMode {
    /// In training: kept units are scaled by 1 / keep probability, as in PyTorch and Burn.
    Inverted,
    /// At inference: units are scaled by the keep probability (Srivastava et al. 2014).
    Standard,
}

const CROSS_ENTROPY: When = ("loss.name", &["cross-entropy"]);
const WEIGHTED: When = ("loss.name", &["cross-entropy", "nll"]);

/// `[loss]`: the loss function and penalties on the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Loss {
    /// Which loss.
    #[schemars(transform = plain().also_called("criterion"))]
    pub name: LossName,
    /// Share of the target probability that is spread evenly over all classes (only cross-entropy).
    #[schemars(transform = number(FRACTION).when(CROSS_ENTROPY).also_called("smoothing"))]
    pub label_smoothing: f64,
    /// Weight of each class in the mean (cross-entropy and nll): a list in the order of the classes, a table by class
    /// name (other classes have weight 1), or "balanced". Empty: all equal.
    #[schemars(transform = number(POSITIVE).when(WEIGHTED).also_called("class_weight weight"))]
    pub class_weights: ClassWeights,
    /// Adds l1 times the sum of absolute weights to the objective, without biases.
    #[schemars(transform = number(AT_LEAST_0))]
    pub l1: f64,
    /// Adds l2 times the sum of squared weights to the objective, without biases.
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

/// The weight of each class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum ClassWeights {
    /// By a rule.
    Rule(ClassWeightRule),
    /// One weight for each class, in their order; empty if all are equal.
    Each(Vec<f64>),
    /// By class name; 1 for other classes.
    ByName(BTreeMap<String, f64>),
}

/// A rule for the weights of the classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum ClassWeightRule {
    /// `examples / (classes * examples of the class)` over the training data, as in scikit-learn: all classes
    /// contribute equally.
    Balanced,
}

impl Default for ClassWeights {
    fn default() -> Self {
        Self::Each(Vec::new())
    }
}

impl ClassWeights {
    /// Whether all classes have the same weight.
    #[must_use]
    pub fn is_even(&self) -> bool {
        matches!(self, Self::Each(weights) if weights.is_empty())
    }

    /// The weights in the order of the classes. Empty if all are equal, or if they still depend on the data: see
    /// [`ClassWeights::of`].
    #[must_use]
    pub fn each(&self) -> &[f64] {
        match self {
            Self::Each(weights) => weights,
            Self::Rule(_) | Self::ByName(_) => &[],
        }
    }

    /// The weight of each of `classes`, which have `counts` training examples. Empty if all weights are equal.
    ///
    /// # Errors
    /// The names in `ByName` that are not classes.
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

/// Loss functions. Each is a mean over the batch, as in PyTorch.
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
