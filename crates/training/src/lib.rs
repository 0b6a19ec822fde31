//! Training under Burn's Learner, with an exact resume and live figures.
//!
//! Burn's `SupervisedTraining` owns the model, the data loaders, the metrics and the dashboard. Kiln replaces one part:
//! the loop over epochs and batches, which Burn calls a *strategy*. Kiln needs its own loop for one promise: **a run that
//! is stopped or killed and then resumed ends with the same bits as a run that was never stopped** (on a CPU). Burn's
//! loop saves at the end of an epoch; it restores neither the data order nor the dropout masks nor early stopping.
//!
//! This is cheap because no random stream has a state: data order, dropout and everything else that is random are
//! functions of (seed, epoch, step). A checkpoint therefore keeps the weights, the optimizer's moments and one JSON
//! object (`state.rs`).
//!
//! All figures are sums over examples (`kiln_model::Tally`), never means of batch means. They are exact for a short last
//! batch and under class weights, and do not depend on the batch size.
//!
//! How a run flows through the files:
//!
//! 1. `job` prepares everything, restores a checkpoint if there is one, and launches Burn's Learner.
//! 2. `training_loop` trains batch by batch; `gradient_descent` takes one step, `schedule` gives its learning rate.
//! 3. `recorder` writes the logs and informs the observer and the dashboard; `dashboard` adapts Burn's to Kiln.
//! 4. `checkpoint` saves snapshots from a thread of its own; `state` defines what they contain.
//!
//! Two more files serve commands that train no run: `watch` shows the dashboard of another process's run (`kiln watch`), and
//! `step_profile` times a training step (`kiln bench`) and compares it with the CPU's (`kiln doctor`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kiln_artifacts::{ArtifactError, RunFailure, StopReason};
use kiln_model::ModelError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod checkpoint;
mod dashboard;
mod gradient_descent;
mod job;
mod recorder;
mod schedule;
mod state;
mod step_profile;
mod training_loop;
mod watch;

pub use dashboard::{Figures, open_dashboard, restore_terminal};
pub use job::{Job, TrainingSummary, check};
pub use schedule::unfinished_warmup;
pub use state::{
    BestSoFar, check_resumable, continues_under, is_fused, is_longer, spans_whole_training, trained_with,
};
pub use step_profile::{Parity, StepProfile, parity, profile_steps};
pub use watch::watch;

/// A request to stop after the current step, from Ctrl-C or from the calling program. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct StopSignal(Arc<AtomicBool>);

impl StopSignal {
    /// Requests the stop. Returns false if it was requested before.
    #[must_use]
    pub fn request(&self) -> bool {
        !self.0.swap(true, Ordering::Relaxed)
    }

    /// True after the first request.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why a training could not start, continue or be resumed.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// The run folder could not be written or read.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The model does not fit the data, or stored weights do not fit the model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A figure became NaN or infinite.
    #[error("{what} became {value} at step {step} (epoch {epoch}): {place}. {kept}")]
    NonFinite {
        /// `loss`, `gradient` or `weights`.
        what: &'static str,
        /// The value: NaN or an infinity.
        value: f64,
        /// The training step, from 1.
        step: u64,
        /// Epoch, from 1.
        epoch: usize,
        /// A sentence that names the first layer with a non-finite value.
        place: String,
        /// A sentence that names the last checkpoint.
        kept: String,
    },
    /// The state in a checkpoint cannot be read.
    #[error("the state in checkpoint step-{step} cannot be read: {cause}")]
    State {
        /// Step of the checkpoint.
        step: u64,
        /// What is wrong.
        cause: String,
    },
    /// The settings or the data differ from those that the run was trained with.
    #[error(
        "cannot resume with {changes}: the first part of the run was trained without this change, so the result would \
         be a mixture. Start a new run instead"
    )]
    Changed {
        /// The differences, as a list in words.
        changes: String,
    },
    /// Fewer training examples than one whole batch.
    #[error(
        "there is no whole batch to train on: {examples} training examples, training.batch_size = {batch_size} and \
         training.drop_last = true; lower the batch size or set training.drop_last = false"
    )]
    NoBatch {
        /// Training examples.
        examples: usize,
        /// Batch size.
        batch_size: usize,
    },
    /// Burn's Learner or a data loader failed.
    #[error("training stopped: {0}")]
    Burn(String),
    /// The user pressed the dashboard's kill key.
    #[error("training was killed from the dashboard")]
    Killed,
}

impl TrainingError {
    /// The kind of failure, as the run's `status.json` stores it.
    #[must_use]
    pub fn kind(&self) -> RunFailure {
        match self {
            Self::NonFinite { what, value, step, epoch, place, .. } => RunFailure::NonFinite {
                figure: (*what).to_owned(),
                value: value.to_string(),
                step: *step,
                epoch: *epoch as u64,
                place: place.clone(),
            },
            _ => RunFailure::Other,
        }
    }
}

/// An event of a training, for observers and as a line of JSON.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
#[schemars(rename = "TrainingEvent")]
pub enum Event {
    /// Training starts or resumes.
    Started {
        /// The epoch in which training starts, from 1.
        epoch: usize,
        /// Epochs in all.
        epochs: usize,
        /// Batches trained on before.
        step: u64,
        /// Training examples per epoch.
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
        /// Training examples per epoch.
        examples: usize,
        /// Mean loss since the last interval. In JSON, non-finite figures are null.
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
        /// Loss on the validation split; null without a validation split, or if it is not finite.
        validation_loss: Option<f64>,
        /// Accuracy on the validation split; null without a validation split.
        validation_accuracy: Option<f64>,
        /// Seconds of training, without validation.
        seconds: f64,
        /// Whether the monitored figure is the best so far.
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

/// Receives the events of a training. Must not write to a terminal that shows the dashboard.
pub trait Observer: Send {
    /// Called on the training thread; training waits for it.
    fn observe(&mut self, event: &Event);
}

/// An observer that ignores all events.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn observe(&mut self, _: &Event) {}
}
