//! `[checkpoint]`: when to save, what to keep, what counts as best.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::{AT_LEAST_1, Decides, number};
use crate::{Mode, Monitor};

/// `[checkpoint]`: the checkpoints of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Checkpoint {
    /// Epochs between two checkpoints, at least 1. The best epoch and the last step always have one.
    /// Training does not wait for the disk: of the others, some are left out where the disk is too slow.
    #[schemars(transform = number(AT_LEAST_1).unit("epochs").also_called("save_every").decides(Decides::Nothing))]
    pub interval: usize,
    /// Also save every so many batches within an epoch, where such a batch completes an optimizer step
    /// (see `training.gradient_accumulation`). Where the disk is too slow, some are left out.
    #[schemars(transform = number(AT_LEAST_1).unit("batches").example("500").decides(Decides::Nothing))]
    pub interval_steps: Option<usize>,
    /// How many of the latest saved checkpoints to keep besides the best, at least 1. Which ones there are
    /// may differ between two equal runs, as the disk decides (see `interval`).
    #[schemars(transform = number(AT_LEAST_1).unit("checkpoints").decides(Decides::Nothing))]
    pub keep_latest_k: usize,
    /// Figure that decides which checkpoint is best.
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
