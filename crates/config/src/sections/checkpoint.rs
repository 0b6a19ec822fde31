//! `[checkpoint]`: when to save, what to keep, what counts as best.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Mode, Monitor};

/// `[checkpoint]`: the checkpoints of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Checkpoint {
    /// Epochs between two checkpoints, at least 1; the last epoch always has one.
    pub interval: usize,
    /// Also save every so many batches within an epoch.
    pub interval_steps: Option<usize>,
    /// How many of the latest checkpoints to keep besides the best, at least 1.
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
