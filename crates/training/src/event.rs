//! What a training run tells whoever watches it.

use kiln_artifacts::StopReason;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that happened in a training.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
#[schemars(rename = "TrainingEvent")]
pub enum Event {
    /// Training begins, or goes on after a stop.
    Started {
        /// Epoch that training starts with, from 1.
        epoch: usize,
        /// Epochs in all.
        epochs: usize,
        /// Batches already trained on.
        step: u64,
        /// Training examples in an epoch.
        examples: usize,
    },
    /// `dashboard.log_interval` batches were trained on.
    Interval {
        /// Epoch, from 1.
        epoch: usize,
        /// Epochs in all.
        epochs: usize,
        /// Examples of this epoch trained on so far.
        examples_done: usize,
        /// Training examples in an epoch.
        examples: usize,
        /// Mean loss since the last interval; null in JSON where it is not finite, as are the other figures.
        #[schemars(with = "Option<f64>")]
        loss: f64,
        /// Accuracy since the last interval, in [0, 1].
        accuracy: f64,
        /// Learning rate of the last optimizer step.
        lr: f64,
        /// Global 2-norm of the last gradient.
        #[schemars(with = "Option<f64>")]
        gradient_norm: f64,
        /// Speed since the last interval.
        examples_per_second: f64,
    },
    /// An epoch ended.
    Epoch {
        /// Epoch, from 1.
        epoch: usize,
        /// Epochs in all.
        epochs: usize,
        /// Mean training loss.
        #[schemars(with = "Option<f64>")]
        train_loss: f64,
        /// Training accuracy, in [0, 1].
        train_accuracy: f64,
        /// Loss on the validation split; null without one, or where it is not finite.
        validation_loss: Option<f64>,
        /// Accuracy on the validation split; null without one.
        validation_accuracy: Option<f64>,
        /// Seconds that training took, validation left out.
        seconds: f64,
        /// Whether the monitored figure was the best so far.
        best: bool,
    },
    /// Training ended or was stopped.
    Stopped {
        /// Why it stopped.
        stop_reason: StopReason,
        /// Epochs finished.
        epochs_done: usize,
        /// Batches trained on.
        step: u64,
    },
}

/// Someone who watches a run. Must not write to a terminal that shows a dashboard.
pub trait Observer: Send {
    /// Takes in what happened.
    fn observe(&mut self, event: &Event);
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn observe(&mut self, _: &Event) {}
}
