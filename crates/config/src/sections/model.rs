//! `[model]`: the multilayer perceptron.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::facts::{FRACTION, GREATEST_COUNT, POSITIVE, When, between, number, plain};

const DRAWN: When =
    ("model.initialization", &["pytorch", "xavier-uniform", "xavier-normal", "he-uniform", "he-normal"]);
const CONSTANT: When = ("model.initialization", &["constant"]);
const EMBEDDED: When = ("model.number_embedding", &["periodic"]);
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
    /// How many networks are trained side by side on the same batches, each from a start and with dropout of its
    /// own; together they give the mean of their probabilities.
    #[schemars(transform = number(between(1.0, 1024.0)).unit("networks").also_called("ensemble ensemble_size n_members"))]
    pub members: usize,
    /// What the measured numbers of a table (amounts and dates, not categories) are turned into before the first layer.
    #[schemars(transform = plain().also_called("numerical_embedding num_embedding num_emb_type"))]
    pub number_embedding: NumberEmbedding,
    /// Waves for each number.
    #[schemars(transform = number(between(1.0, 1024.0)).when(EMBEDDED).also_called("n_frequencies plr_hidden_1"))]
    pub embedding_frequencies: usize,
    /// Standard deviation that the waves' frequencies are drawn with: in waves per unit of a number that is scaled.
    #[schemars(transform = number(POSITIVE).when(EMBEDDED).also_called("sigma plr_sigma frequency_init_scale"))]
    pub embedding_scale: f64,
    /// Features that the waves of a number are mixed into, besides the number itself.
    #[schemars(transform = number(between(1.0, 1024.0)).unit("features").when(EMBEDDED).also_called("d_embedding plr_hidden_2"))]
    pub embedding_size: usize,
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
    /// Features that `numbers` measured numbers are given besides themselves.
    #[must_use]
    pub fn features_of_numbers(&self, numbers: usize) -> usize {
        match self.number_embedding {
            NumberEmbedding::None => 0,
            NumberEmbedding::Periodic => numbers * self.embedding_size,
        }
    }

    /// Whether this is the multilayer perceptron, the one network that every program of Kiln's has.
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
    /// 1.0507 times x where positive, else times 1.6733 (exp(x) - 1) (Klambauer and others 2017).
    Selu,
    /// x times tanh(softplus(x)) (Misra 2019).
    Mish,
}

/// What measured numbers are turned into before the first layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NumberEmbedding {
    /// Themselves alone.
    None,
    /// Themselves, and `cos(2 pi (f x + p))` for each of some frequencies f and phases p, mixed by a linear layer of
    /// the number's own. All of it is learned (Gorishniy and others 2022; Holzmueller and others 2024, "PBLD").
    #[schemars(transform = plain().also_called("plr pbld"))]
    Periodic,
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
