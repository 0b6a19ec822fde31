//! The experiment: everything that one TOML file decides, with every default.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::{AT_LEAST_0, Decides, TextRule, number, plain, text};
use crate::{
    Backend, Checkpoint, Dashboard, Data, EarlyStopping, Evaluation, Loss, LrScheduler, Model, Optimizer,
    Training,
};

/// One experiment, fully resolved: the whole of what decides a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Experiment {
    /// Name of the experiment: the folder under `artifacts/` that its runs land in. Letters, digits,
    /// `.`, `_` and `-`.
    #[schemars(transform = text(TextRule::Name).decides(Decides::Nothing))]
    pub name: String,
    /// Seed of every random stream: splits, initialization, data order, dropout.
    #[schemars(transform = number(AT_LEAST_0).also_called("random_seed random_state"))]
    pub seed: u64,
    /// Free words to find the run by.
    #[schemars(transform = text(TextRule::NotEmpty).decides(Decides::Nothing))]
    pub tags: Vec<String>,
    /// What to learn from.
    #[schemars(transform = plain().also_called("dataset"))]
    pub data: Data,
    /// The multilayer perceptron.
    #[schemars(transform = plain().also_called("network net"))]
    pub model: Model,
    /// What is minimized.
    #[schemars(transform = plain().also_called("criterion"))]
    pub loss: Loss,
    /// How the weights move.
    pub optimizer: Optimizer,
    /// How the learning rate changes.
    #[schemars(transform = plain().also_called("scheduler"))]
    pub lr_scheduler: LrScheduler,
    /// How long, in which batches, within which limits.
    #[schemars(transform = plain().also_called("trainer"))]
    pub training: Training,
    /// When to stop before the last epoch.
    pub early_stopping: EarlyStopping,
    /// When to save, what to keep, what counts as best.
    pub checkpoint: Checkpoint,
    /// Where to compute.
    #[schemars(transform = plain().also_called("device"))]
    pub backend: Backend,
    /// What to show while training.
    #[schemars(transform = plain().also_called("logging logger"))]
    pub dashboard: Dashboard,
    /// How to judge the result.
    pub evaluation: Evaluation,
}

impl Default for Experiment {
    fn default() -> Self {
        Self {
            name: "experiment".to_owned(),
            seed: 42,
            tags: Vec::new(),
            data: Data::default(),
            model: Model::default(),
            loss: Loss::default(),
            optimizer: Optimizer::default(),
            lr_scheduler: LrScheduler::default(),
            training: Training::default(),
            early_stopping: EarlyStopping::default(),
            checkpoint: Checkpoint::default(),
            backend: Backend::default(),
            dashboard: Dashboard::default(),
            evaluation: Evaluation::default(),
        }
    }
}
