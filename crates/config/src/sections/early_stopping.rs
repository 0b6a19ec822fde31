//! `[early_stopping]`: when to stop before the last epoch.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Mode, Monitor};

/// `[early_stopping]`: stops when the monitored figure has not improved for `patience` epochs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EarlyStopping {
    /// Whether to stop early at all.
    pub enabled: bool,
    /// Figure to watch.
    pub monitor: Monitor,
    /// Whether it should fall or rise.
    pub mode: Mode,
    /// Epochs without improvement after which the run stops, at least 1.
    pub patience: usize,
    /// Change that counts as improvement, absolute.
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
