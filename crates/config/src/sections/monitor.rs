//! A watched figure and the direction that is better.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::plain;

/// A figure of an epoch that something watches.
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
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::TrainLoss => "training loss",
            Self::TrainAccuracy => "training accuracy",
            Self::ValidationLoss => "validation loss",
            Self::ValidationAccuracy => "validation accuracy",
        }
    }

    /// Which direction of it is better.
    #[must_use]
    pub fn mode(self) -> Mode {
        match self {
            Self::TrainLoss | Self::ValidationLoss => Mode::Min,
            Self::TrainAccuracy | Self::ValidationAccuracy => Mode::Max,
        }
    }

    /// True when the figure needs a validation split.
    #[must_use]
    pub fn needs_validation(self) -> bool {
        matches!(self, Self::ValidationLoss | Self::ValidationAccuracy)
    }
}

/// Which direction is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Lower is better.
    Min,
    /// Higher is better.
    Max,
}
