//! `[evaluation]`, `[backend]` and `[dashboard]`: how to judge the result, where to compute, and what to show.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::Display;

use crate::facts::{
    AT_LEAST_1, Decides, GREATEST_COUNT, OPEN_FRACTION, POSITIVE, TextRule, When, between, number, plain,
    text,
};

const DECIDED: When = ("evaluation.decision", &["cost", "precision", "recall"]);
const BY_COST: When = ("evaluation.decision", &["cost"]);
const BY_WISH: When = ("evaluation.decision", &["precision", "recall"]);

/// `[evaluation]`: the passes over validation and test data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Evaluation {
    /// Examples per batch in validation and test passes. Figures do not depend on it.
    #[schemars(transform = number(between(1.0, GREATEST_COUNT)).unit("examples").decides(Decides::Nothing))]
    pub batch_size: usize,
    /// Checkpoint for the test pass. Without validation data, `best` is the last one.
    pub ckpt: Ckpt,
    /// Calibration of the network's probabilities, fitted on the validation data.
    pub calibration: CalibrationName,
    /// How the predicted class is chosen, if there are two classes.
    #[schemars(transform = plain().also_called("decision_threshold"))]
    pub decision: DecisionName,
    /// The positive class for `decision`. Left out: the second of the two.
    #[schemars(transform = text(TextRule::NotEmpty).example("\"yes\"").when(DECIDED)
        .also_called("pos_label positive_class"))]
    pub positive: Option<String>,
    /// The cost of a false positive, and the cost of a false negative.
    #[schemars(transform = number(POSITIVE).when(BY_COST).also_called("cost_matrix"))]
    pub costs: [f64; 2],
    /// The precision or recall to reach.
    #[schemars(transform = number(OPEN_FRACTION).when(BY_WISH))]
    pub wished: f64,
    /// Whether the test also reports baselines: the majority class, and a linear model. The linear model is only fitted
    /// if this takes a small part of the training's work.
    #[schemars(transform = plain().decides(Decides::Nothing))]
    pub baselines: bool,
    /// Whether the test also measures the permutation importance of each column of a table, on as many examples as take
    /// a small part of the training's work.
    #[schemars(transform = plain().decides(Decides::Nothing).also_called("permutation_importance feature_importance"))]
    pub importance: bool,
}

/// Calibration of probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CalibrationName {
    /// The network's own probabilities.
    None,
    /// Temperature scaling: logits are divided by the number that minimizes the validation loss (Guo et al. 2017).
    Temperature,
}

/// How the predicted class is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DecisionName {
    /// The most probable class.
    MostProbable,
    /// The class with the lower expected cost by `costs` (Elkan 2001). Use `calibration` too, because the probabilities
    /// must be reliable.
    Cost,
    /// The positive class above a threshold: the one with the greatest recall among those that reach the `wished`
    /// precision on validation data.
    Precision,
    /// The positive class above a threshold: the one with the greatest precision among those that reach the `wished`
    /// recall on validation data.
    Recall,
}

impl Default for Evaluation {
    fn default() -> Self {
        Self {
            batch_size: 256,
            ckpt: Ckpt::Best,
            calibration: CalibrationName::None,
            decision: DecisionName::MostProbable,
            positive: None,
            costs: [1.0, 1.0],
            wished: 0.9,
            baselines: true,
            importance: true,
        }
    }
}

/// Which checkpoint to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ckpt {
    /// The best by `checkpoint.monitor`.
    Best,
    /// The last one saved.
    Last,
}

const CPU: When = ("backend.name", &["auto", "flex", "ndarray"]);
const GPU: When = ("backend.name", &["auto", "wgpu", "vulkan", "metal", "cuda", "rocm"]);
const FLEX: When = ("backend.name", &["auto", "flex"]);

/// `[backend]`: the device and its threads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Backend {
    /// Which of Burn's backends.
    #[schemars(transform = plain().also_called("accelerator"))]
    pub name: BackendName,
    /// Number of the GPU, from 0.
    #[schemars(transform = number(between(0.0, 1023.0)).when(GPU))]
    pub device: usize,
    /// On flex, compute layers, the loss and the optimizer's step with Kiln's kernels, each in one pass over memory.
    /// With false, or on a processor without fused multiply-add, Burn's own operations compute them. The results
    /// differ by rounding.
    #[schemars(transform = plain().when(FLEX))]
    pub fused: bool,
    /// Computing threads of a CPU backend. Left out: one per core.
    #[schemars(transform = number(between(1.0, 1024.0)).unit("threads").example("4").when(CPU)
        .also_called("num_threads"))]
    pub threads: Option<usize>,
}

impl Default for Backend {
    fn default() -> Self {
        Self { name: BackendName::Auto, device: 0, threads: None, fused: true }
    }
}

/// Burn's backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Display)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum BackendName {
    /// The fastest backend that is compiled in and works here.
    Auto,
    /// Burn's CPU backend.
    #[schemars(transform = plain().also_called("cpu"))]
    Flex,
    /// The older CPU backend, based on ndarray.
    Ndarray,
    /// Any GPU through WebGPU.
    #[schemars(transform = plain().also_called("gpu"))]
    Wgpu,
    /// A GPU through Vulkan.
    Vulkan,
    /// An Apple GPU.
    Metal,
    /// An NVIDIA GPU.
    Cuda,
    /// An AMD GPU.
    Rocm,
}

/// `[dashboard]`: the display of a running training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Dashboard {
    /// Which display; `--ui` on the command line overrides it.
    #[schemars(transform = plain().decides(Decides::Nothing))]
    pub ui: Ui,
    /// Batches between two lines of the plain display and between two rows of the metric log.
    #[schemars(transform = number(AT_LEAST_1).unit("batches").also_called("log_every"))]
    pub log_interval: usize,
}

impl Default for Dashboard {
    fn default() -> Self {
        Self { ui: Ui::Auto, log_interval: 300 }
    }
}

/// Displays of a running training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ui {
    /// `tui` in a terminal, otherwise `plain`.
    Auto,
    /// Burn's dashboard, full screen.
    Tui,
    /// Lines of text.
    Plain,
    /// JSON lines.
    Json,
    /// No progress, only notices and errors.
    None,
}
