//! The training loop: `[training]`, `[optimizer]`, `[lr_scheduler]`, `[early_stopping]` and `[checkpoint]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::{
    AT_LEAST_0, AT_LEAST_1, Decides, FRACTION, GREATEST_COUNT, OPEN_FRACTION, POSITIVE, SHARE, When, between,
    number, plain, positive_to,
};

/// `[training]`: the training loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Training {
    /// Passes over the training data.
    #[schemars(transform = number(between(1.0, 1e6)).unit("epochs").also_called("num_epochs max_epochs"))]
    pub epochs: usize,
    /// Examples per batch.
    #[schemars(transform = number(between(1.0, GREATEST_COUNT)).unit("examples"))]
    pub batch_size: usize,
    /// Whether the examples are shuffled in each epoch. The order depends only on the seed and the epoch.
    pub shuffle: bool,
    /// Whether to leave out a last batch that is smaller than the others.
    pub drop_last: bool,
    /// Number of batches whose gradients are averaged into one optimizer step.
    #[schemars(transform = number(between(1.0, 1e6)).unit("batches").also_called("accumulate_grad_batches"))]
    pub gradient_accumulation: usize,
    /// Gradients are scaled down together to this global 2-norm, after `max_value` has clipped them.
    #[schemars(transform = number(POSITIVE).example("1.0")
        .also_called("clip_grad_norm grad_clip gradient_clip_val max_grad_norm"))]
    pub max_norm: Option<f64>,
    /// Each entry of a gradient is clipped to plus or minus this value, before `max_norm` scales it.
    #[schemars(transform = number(POSITIVE).example("0.5").also_called("clip_grad_value"))]
    pub max_value: Option<f64>,
    /// Stops after this many batches; learning rate schedules end there too. A few batches make a smoke test.
    #[schemars(transform = number(AT_LEAST_1).unit("batches").example("100"))]
    pub max_steps: Option<usize>,
    /// Stops with a checkpoint after this many seconds of training in this process; `kiln resume` continues.
    #[schemars(transform = number(positive_to(1e9)).unit("seconds").example("3600.0").decides(Decides::Nothing))]
    pub max_time: Option<f64>,
}

impl Default for Training {
    fn default() -> Self {
        Self {
            epochs: 10,
            batch_size: 64,
            shuffle: true,
            drop_last: false,
            gradient_accumulation: 1,
            max_norm: None,
            max_value: None,
            max_steps: None,
            max_time: None,
        }
    }
}

const SGD: When = ("optimizer.name", &["sgd"]);
const RMSPROP: When = ("optimizer.name", &["rmsprop"]);
const ADAM: When = ("optimizer.name", &["adam", "adamw"]);
const WITH_MOMENTUM: When = ("optimizer.name", &["sgd", "rmsprop"]);
const WITH_EPS: When = ("optimizer.name", &["rmsprop", "adam", "adamw"]);

/// `[optimizer]`: the update rule, with PyTorch's defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Optimizer {
    /// Which update rule.
    pub name: OptimizerName,
    /// Learning rate: the size of a step.
    #[schemars(transform = number(POSITIVE).also_called("learning_rate"))]
    pub lr: f64,
    /// Momentum factor (sgd and rmsprop): share of the previous update that is kept.
    #[schemars(transform = number(FRACTION).when(WITH_MOMENTUM))]
    pub momentum: f64,
    /// Dampening of the momentum (sgd): share of the gradient that does not enter it.
    #[schemars(transform = number(SHARE).when(SGD).when_positive("optimizer.momentum"))]
    pub dampening: f64,
    /// Nesterov momentum (sgd); needs momentum and no dampening.
    #[schemars(transform = plain().when(SGD))]
    pub nesterov: bool,
    /// Decay of the running mean of squared gradients (rmsprop).
    #[schemars(transform = number(FRACTION).when(RMSPROP))]
    pub alpha: f64,
    /// Decays of the running means of gradients and of squared gradients (adam, adamw).
    #[schemars(transform = number(FRACTION).when(ADAM).also_called("beta1 beta2 beta_1 beta_2"))]
    pub betas: [f64; 2],
    /// Added to the denominator (rmsprop, adam, adamw).
    #[schemars(transform = number(POSITIVE).when(WITH_EPS).also_called("epsilon"))]
    pub eps: f64,
    /// Decay of weights and biases, as in PyTorch: added to the gradient (sgd, rmsprop, adam) or applied directly
    /// (adamw). Left out: 0.01 for adamw, otherwise 0. Unlike this, `loss.l2` does not include biases.
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
    /// The weight decay as given, or the default of the update rule.
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

const PLATEAU: When = ("lr_scheduler.name", &["reduce-on-plateau"]);
const TO_A_FLOOR: When = ("lr_scheduler.name", &["linear", "cosine"]);
const STEP: When = ("lr_scheduler.name", &["step"]);
const BY_GAMMA: When = ("lr_scheduler.name", &["step", "exponential"]);

/// `[lr_scheduler]`: a linear warm-up, then a schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LrScheduler {
    /// Which schedule.
    #[schemars(transform = plain().also_called("scheduler"))]
    pub name: LrSchedulerName,
    /// Optimizer steps of the warm-up, in which the rate rises linearly to `optimizer.lr`, before the schedule begins.
    /// Linear and cosine run over the remaining steps. The other schedules count epochs from the first epoch that has a
    /// step after the warm-up.
    #[schemars(transform = number(AT_LEAST_0).unit("optimizer steps").also_called("warmup"))]
    pub warmup_steps: usize,
    /// Share of `optimizer.lr` at the end of linear and cosine. As in PyTorch, they would reach it one step after the
    /// last step.
    #[schemars(transform = number(SHARE).when(TO_A_FLOOR))]
    pub min_lr_factor: f64,
    /// Epochs between two drops (step).
    #[schemars(transform = number(AT_LEAST_1).unit("epochs").when(STEP))]
    pub step_size: usize,
    /// Factor at each drop (step, every `step_size` epochs) or for each epoch (exponential).
    #[schemars(transform = number(positive_to(1.0)).when(BY_GAMMA))]
    pub gamma: f64,
    /// Figure to watch (reduce-on-plateau).
    #[schemars(transform = plain().when(PLATEAU))]
    pub monitor: Monitor,
    /// Whether the figure should fall or rise (reduce-on-plateau).
    #[schemars(transform = plain().when(PLATEAU))]
    pub mode: Mode,
    /// Factor at each drop (reduce-on-plateau).
    #[schemars(transform = number(OPEN_FRACTION).when(PLATEAU))]
    pub factor: f64,
    /// Epochs without improvement that are tolerated (reduce-on-plateau): the rate drops after one more, as in PyTorch.
    #[schemars(transform = number(AT_LEAST_0).unit("epochs").when(PLATEAU))]
    pub patience: usize,
    /// Relative change that counts as improvement (reduce-on-plateau).
    #[schemars(transform = number(AT_LEAST_0).when(PLATEAU))]
    pub threshold: f64,
    /// Epochs after a drop that do not count as epochs without improvement (reduce-on-plateau).
    #[schemars(transform = number(AT_LEAST_0).unit("epochs").when(PLATEAU))]
    pub cooldown: usize,
    /// Lowest learning rate (reduce-on-plateau).
    #[schemars(transform = number(AT_LEAST_0).when(PLATEAU))]
    pub min_lr: f64,
}

impl Default for LrScheduler {
    fn default() -> Self {
        Self {
            name: LrSchedulerName::Constant,
            warmup_steps: 0,
            min_lr_factor: 0.0,
            step_size: 10,
            gamma: 0.1,
            monitor: Monitor::ValidationLoss,
            mode: Mode::Min,
            factor: 0.1,
            patience: 10,
            threshold: 1e-4,
            cooldown: 0,
            min_lr: 0.0,
        }
    }
}

/// Schedules with the names and definitions of `torch.optim.lr_scheduler`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LrSchedulerName {
    /// Always `optimizer.lr`.
    Constant,
    /// A straight line down to `min_lr_factor`.
    Linear,
    /// Half a cosine down to `min_lr_factor`.
    Cosine,
    /// Four waves, each twice as long as the one before: `(1 - cos(2 pi log2(1 + 15 t))) / 2` for t from 0 to 1; it
    /// begins and ends at 0 (Holzmueller et al. 2024).
    Coslog,
    /// Multiplied by `gamma` every `step_size` epochs.
    Step,
    /// Multiplied by `gamma` every epoch.
    Exponential,
    /// Multiplied by `factor` when the monitored figure no longer improves.
    #[schemars(transform = plain().also_called("reduce_lr_on_plateau"))]
    ReduceOnPlateau,
}

/// `[early_stopping]`: stops after `patience` epochs without improvement of the monitored figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EarlyStopping {
    /// Whether to stop early.
    pub enabled: bool,
    /// Figure to watch.
    #[schemars(transform = plain().when_on("early_stopping.enabled"))]
    pub monitor: Monitor,
    /// Whether it should fall or rise.
    #[schemars(transform = plain().when_on("early_stopping.enabled"))]
    pub mode: Mode,
    /// Epochs without improvement after which the run stops.
    #[schemars(transform = number(AT_LEAST_1).unit("epochs").when_on("early_stopping.enabled"))]
    pub patience: usize,
    /// Absolute change that counts as improvement.
    #[schemars(transform = number(AT_LEAST_0).when_on("early_stopping.enabled"))]
    pub min_delta: f64,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        Self {
            enabled: false,
            monitor: Monitor::ValidationLoss,
            mode: Mode::Min,
            patience: 5,
            min_delta: 0.0,
        }
    }
}

/// `[checkpoint]`: the checkpoints of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Checkpoint {
    /// Epochs between two checkpoints. The best epoch and the last step always have one. Training does not wait for the
    /// disk: if the disk is too slow, some of the other checkpoints are left out.
    #[schemars(transform = number(AT_LEAST_1).unit("epochs").also_called("save_every").decides(Decides::Nothing))]
    pub interval: usize,
    /// Also save a checkpoint within an epoch, every this many batches, if the batch completes an optimizer step (see
    /// `training.gradient_accumulation`). If the disk is too slow, some are left out.
    #[schemars(transform = number(AT_LEAST_1).unit("batches").example("500").decides(Decides::Nothing))]
    pub interval_steps: Option<usize>,
    /// Number of the latest checkpoints to keep, besides the best. Two equal runs may keep different ones, because it
    /// depends on the disk which ones are saved (see `interval`).
    #[schemars(transform = number(AT_LEAST_1).unit("checkpoints").decides(Decides::Nothing))]
    pub keep_latest_k: usize,
    /// Figure that decides which checkpoint is the best.
    pub monitor: Monitor,
    /// Whether it should fall or rise.
    pub mode: Mode,
}

impl Default for Checkpoint {
    fn default() -> Self {
        Self {
            interval: 1,
            interval_steps: None,
            keep_latest_k: 2,
            monitor: Monitor::ValidationLoss,
            mode: Mode::Min,
        }
    }
}

/// A figure of an epoch to watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Monitor {
    /// Mean loss over the epoch's training batches.
    TrainLoss,
    /// Accuracy over the epoch's training batches.
    #[schemars(transform = plain().also_called("train_acc"))]
    TrainAccuracy,
    /// Loss on the validation split.
    #[schemars(transform = plain().also_called("val_loss"))]
    ValidationLoss,
    /// Accuracy on the validation split.
    #[schemars(transform = plain().also_called("val_accuracy val_acc"))]
    ValidationAccuracy,
}

impl Monitor {
    /// The figure in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::TrainLoss => "training loss",
            Self::TrainAccuracy => "training accuracy",
            Self::ValidationLoss => "validation loss",
            Self::ValidationAccuracy => "validation accuracy",
        }
    }

    /// The better direction of the figure.
    #[must_use]
    pub fn mode(self) -> Mode {
        match self {
            Self::TrainLoss | Self::ValidationLoss => Mode::Min,
            Self::TrainAccuracy | Self::ValidationAccuracy => Mode::Max,
        }
    }

    /// True if the figure needs a validation split.
    #[must_use]
    pub fn needs_validation(self) -> bool {
        matches!(self, Self::ValidationLoss | Self::ValidationAccuracy)
    }
}

/// The better direction of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Lower is better.
    Min,
    /// Higher is better.
    Max,
}
