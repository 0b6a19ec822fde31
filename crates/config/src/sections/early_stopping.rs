//! `[early_stopping]`: when to stop before the last epoch.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::{AT_LEAST_0, AT_LEAST_1, number, plain};
use crate::{Mode, Monitor};

/// `[early_stopping]`: stops when the monitored figure has not improved for `patience` epochs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EarlyStopping {
    /// Whether to stop early at all.
    pub enabled: bool,
    /// Figure to watch.
    #[schemars(transform = plain().when_on("early_stopping.enabled"))]
    pub monitor: Monitor,
    /// Whether it should fall or rise.
    #[schemars(transform = plain().when_on("early_stopping.enabled"))]
    pub mode: Mode,
    /// Epochs without improvement after which the run stops, at least 1.
    #[schemars(transform = number(AT_LEAST_1).unit("epochs").when_on("early_stopping.enabled"))]
    pub patience: usize,
    /// Change that counts as improvement, absolute.
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
