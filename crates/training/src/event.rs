//! What a training run tells whoever watches it.

use serde::{Deserialize, Serialize};

/// Something that happened, in the order it happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
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
        /// Mean loss since the last interval.
        loss: f64,
        /// Accuracy since the last interval, in [0, 1].
        accuracy: f64,
        /// Learning rate of the last optimizer step.
        lr: f64,
        /// Global 2-norm of the last gradient.
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
        train_loss: f64,
        /// Training accuracy, in [0, 1].
        train_accuracy: f64,
        /// Loss on the validation split, where there is one.
        validation_loss: Option<f64>,
        /// Accuracy on the validation split, where there is one.
        validation_accuracy: Option<f64>,
        /// Seconds that training took, validation left out.
        seconds: f64,
        /// Whether the monitored figure was the best so far.
        best: bool,
    },
    /// Training ended or was stopped.
    Stopped {
        /// Why, such as `completed` or `ctrl-c`.
        reason: String,
        /// Epochs finished.
        epochs: usize,
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
