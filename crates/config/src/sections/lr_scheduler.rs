//! `[lr_scheduler]`: how the learning rate changes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::{AT_LEAST_0, AT_LEAST_1, OPEN_FRACTION, SHARE, When, number, plain, positive_to};
use crate::{Mode, Monitor};

const PLATEAU: When = ("lr_scheduler.name", &["reduce-on-plateau"]);
const TO_A_FLOOR: When = ("lr_scheduler.name", &["linear", "cosine"]);
const STEP: When = ("lr_scheduler.name", &["step"]);
const BY_GAMMA: When = ("lr_scheduler.name", &["step", "exponential"]);

/// `[lr_scheduler]`: the schedule, after a linear warm-up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LrScheduler {
    /// Which schedule.
    #[schemars(transform = plain().also_called("scheduler"))]
    pub name: LrSchedulerName,
    /// Optimizer steps in which the rate rises to `optimizer.lr` along a straight line, before the
    /// schedule begins. Linear and cosine run over the steps that are left; the others count epochs from
    /// the first one that has a step after the warm-up.
    #[schemars(transform = number(AT_LEAST_0).unit("optimizer steps").also_called("warmup"))]
    pub warmup_steps: usize,
    /// Share of `optimizer.lr`, 0 to 1, that linear and cosine fall to. As in PyTorch, they would reach it
    /// one step after the last step.
    #[schemars(transform = number(SHARE).when(TO_A_FLOOR))]
    pub min_lr_factor: f64,
    /// Epochs between two drops (step), at least 1.
    #[schemars(transform = number(AT_LEAST_1).unit("epochs").when(STEP))]
    pub step_size: usize,
    /// Factor of a drop (step, every `step_size` epochs) or of each epoch (exponential), above 0, up to 1.
    #[schemars(transform = number(positive_to(1.0)).when(BY_GAMMA))]
    pub gamma: f64,
    /// Figure that reduce-on-plateau watches.
    #[schemars(transform = plain().when(PLATEAU))]
    pub monitor: Monitor,
    /// Whether the figure should fall or rise.
    #[schemars(transform = plain().when(PLATEAU))]
    pub mode: Mode,
    /// Factor of a drop (reduce-on-plateau), above 0 and below 1.
    #[schemars(transform = number(OPEN_FRACTION).when(PLATEAU))]
    pub factor: f64,
    /// Epochs without improvement that bring no drop yet (reduce-on-plateau): the rate drops after one
    /// more, as in PyTorch.
    #[schemars(transform = number(AT_LEAST_0).unit("epochs").when(PLATEAU))]
    pub patience: usize,
    /// Relative change that counts as improvement (reduce-on-plateau).
    #[schemars(transform = number(AT_LEAST_0).when(PLATEAU))]
    pub threshold: f64,
    /// Epochs after a drop in which none are counted (reduce-on-plateau).
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

/// Schedules, named and defined as in `torch.optim.lr_scheduler`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LrSchedulerName {
    /// `optimizer.lr` throughout.
    Constant,
    /// A straight line down to `min_lr_factor`.
    Linear,
    /// Half a cosine down to `min_lr_factor`.
    Cosine,
    /// Four waves, each twice as long as the one before: `(1 - cos(2 pi log2(1 + 15 t))) / 2`, where t goes from 0
    /// to 1; it begins and ends at 0 (Holzmueller and others 2024).
    Coslog,
    /// Times `gamma` every `step_size` epochs.
    Step,
    /// Times `gamma` every epoch.
    Exponential,
    /// Times `factor` when the monitored figure no longer improves.
    #[schemars(transform = plain().also_called("reduce_lr_on_plateau"))]
    ReduceOnPlateau,
}
