//! `[model]`: the multilayer perceptron.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::facts::{FRACTION, GREATEST_COUNT, POSITIVE, When, between, number, plain};

const DRAWN: When =
    ("model.initialization", &["pytorch", "xavier-uniform", "xavier-normal", "he-uniform", "he-normal"]);
const CONSTANT: When = ("model.initialization", &["constant"]);
const EXPLICIT: When = ("model.initialization", &["explicit"]);

/// `[model]`: layers, activation, initialization and dropout. Input and output widths follow from the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// Which network: `mlp`, the multilayer perceptron that the other keys of this section describe, or the name under
    /// which a program of your own brings its Burn module (README, "Your own model").
    #[serde(skip_serializing_if = "is_mlp")]
    #[schemars(extend("default" = MLP))]
    pub name: String,
    /// Units of each hidden layer; an empty list is a linear model.
    #[schemars(transform = number(between(1.0, GREATEST_COUNT)).unit("units")
        .also_called("hidden_layers hidden_sizes layers units"))]
    pub hidden: Vec<usize>,
    /// Activation after each hidden layer.
    #[schemars(transform = plain().also_called("nonlinearity"))]
    pub activation: Activation,
    /// What the last layer's values are turned into.
    pub output: Output,
    /// Whether layers have a bias.
    pub bias: bool,
    /// How weights start.
    #[schemars(transform = plain().also_called("init"))]
    pub initialization: Initialization,
    /// Value of every weight and bias where `initialization` is `constant`.
    #[schemars(transform = plain().when(CONSTANT))]
    pub initialization_constant: f64,
    /// Factor on every weight and bias that is drawn; far above 1, a deep network explodes.
    #[schemars(transform = number(POSITIVE).when(DRAWN))]
    pub initialization_gain: f64,
    /// Explicit weights, a table per layer, where `initialization` is `explicit`.
    #[schemars(transform = plain().when(EXPLICIT))]
    pub weights: Vec<LayerWeights>,
    /// Probability that a hidden unit is dropped in training, at least 0 and below 1.
    #[schemars(transform = number(FRACTION).also_called("dropout_rate"))]
    pub dropout: f64,
    /// Where the scaling for dropout happens.
    pub dropout_mode: DropoutMode,
}

/// The name of the multilayer perceptron.
const MLP: &str = "mlp";

/// Written out, the default would change what a run of the perceptron is known by.
fn is_mlp(name: &str) -> bool {
    name == MLP
}

impl Model {
    /// Whether this is the multilayer perceptron, the one network that every program of Kiln's has.
    #[must_use]
    pub fn is_mlp(&self) -> bool {
        is_mlp(&self.name)
    }
}

impl Default for Model {
    fn default() -> Self {
        Self {
            name: MLP.to_owned(),
            hidden: vec![512, 128],
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
}

/// What the last layer's values are turned into before the loss sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Output {
    /// What the loss expects: `log-softmax` for nll, else `logits`.
    Auto,
    /// The values themselves.
    Logits,
    /// Log-probabilities.
    LogSoftmax,
    /// Probabilities that sum to 1 (mse alone).
    Softmax,
    /// A value in (0, 1) per class (mse alone).
    Sigmoid,
}

/// Distribution that weights are drawn from. Biases are zero, but for `pytorch` and `constant`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Initialization {
    /// Weights and biases uniform in `+-1/sqrt(fan_in)`, as `torch.nn.Linear` starts.
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

/// One layer's starting values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LayerWeights {
    /// Weights, shape [inputs, outputs]: a row per input.
    pub weight: Vec<Vec<f64>>,
    /// Biases, one per output; left out where the model has none.
    #[serde(default)]
    pub bias: Vec<f64>,
}

/// Where the scaling for dropout happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DropoutMode {
    /// Kept units are scaled by 1 / keep probability in training (PyTorch's and Burn's way).
    Inverted,
    /// Units are scaled by the keep probability at inference (Srivastava et al. 2014).
    Standard,
}
