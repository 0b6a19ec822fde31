//! What a checkpoint keeps besides the weights: all that the next step depends on.

use std::collections::BTreeMap;

use kiln_artifacts::{Checkpoint, StopReason, null_as_nan};
use kiln_config::{Difference, Experiment, LrSchedulerName};
use kiln_model::Tally;
use serde::{Deserialize, Serialize};

use crate::TrainingError;
use crate::monitoring::{Best, Patience};
use crate::optimizer_state::Number;
use crate::schedule::Plateau;

/// The place in a run, to the batch. Random streams have no state: they follow from seed, epoch and step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TrainingState {
    /// Epoch in progress, from 1.
    pub(crate) epoch: usize,
    /// Batches of that epoch trained on.
    pub(crate) batch: usize,
    /// Batches trained on in all.
    pub(crate) step: u64,
    /// Optimizer steps taken; fewer than batches under gradient accumulation.
    pub(crate) optimizer_steps: usize,
    /// Figures of the epoch so far.
    pub(crate) epoch_tally: Tally,
    /// Figures of the logging interval so far.
    pub(crate) interval_tally: Tally,
    /// Learning rate of the last optimizer step.
    pub(crate) learning_rate: f64,
    /// Norm of the last gradient.
    #[serde(deserialize_with = "null_as_nan")]
    pub(crate) gradient_norm: f64,
    pub(crate) plateau: Plateau,
    pub(crate) patience: Patience,
    pub(crate) best: Option<Best>,
    /// Length of metrics.jsonl in bytes.
    pub(crate) metrics_bytes: u64,
    /// Length of timings.jsonl in bytes.
    pub(crate) timings_bytes: u64,
    /// Seconds of training in the epoch so far.
    pub(crate) epoch_seconds: f64,
    /// Seconds of training in the interval so far.
    pub(crate) interval_seconds: f64,
    /// Seconds since the run began, over all sessions.
    pub(crate) elapsed_seconds: f64,
    /// Why training is over, once it is.
    pub(crate) over: Option<StopReason>,
    /// What the optimizer remembers besides tensors.
    #[serde(default)]
    pub(crate) optimizer_numbers: BTreeMap<String, Number>,
    /// Whether Kiln's kernels computed the steps; a run is resumed with what it began with, to the bit.
    #[serde(default)]
    pub(crate) fused: bool,
    /// The settings that the run was trained with.
    pub(crate) experiment: Experiment,
    /// SHA-256 of the data that it was trained on.
    pub(crate) data_sha256: String,
}

impl TrainingState {
    /// The beginning of a run.
    pub(crate) fn new(experiment: Experiment, data_sha256: String, plateau: Plateau, fused: bool) -> Self {
        Self {
            optimizer_numbers: BTreeMap::new(),
            fused,
            epoch: 1,
            batch: 0,
            step: 0,
            optimizer_steps: 0,
            epoch_tally: Tally::default(),
            interval_tally: Tally::default(),
            learning_rate: 0.0,
            gradient_norm: 0.0,
            plateau,
            patience: Patience::default(),
            best: None,
            metrics_bytes: 0,
            timings_bytes: 0,
            epoch_seconds: 0.0,
            interval_seconds: 0.0,
            elapsed_seconds: 0.0,
            over: None,
            experiment,
            data_sha256,
        }
    }

    /// Goes on to the beginning of `epoch`.
    pub(crate) fn start_epoch(&mut self, epoch: usize) {
        self.epoch = epoch;
        self.batch = 0;
        self.epoch_tally = Tally::default();
        self.interval_tally = Tally::default();
        self.epoch_seconds = 0.0;
        self.interval_seconds = 0.0;
    }

    /// Epochs finished.
    pub(crate) fn epochs_done(&self) -> usize {
        self.epoch - 1
    }

    /// Why the run is over, if it would be with the settings `now` as well.
    pub(crate) fn still_over(&self, now: &Experiment) -> Option<StopReason> {
        let (before, early) = (&self.experiment, &now.early_stopping);
        let is_exhausted = early.enabled && self.patience.is_exhausted(early);
        match self.over? {
            StopReason::Completed if now.training.epochs > before.training.epochs => {
                let is_at_most = now.training.max_steps.is_some_and(|most| self.step >= most as u64);
                match (is_at_most, is_exhausted) {
                    (true, _) => Some(StopReason::MaxSteps),
                    (false, true) => Some(StopReason::EarlyStopping),
                    (false, false) => None,
                }
            }
            StopReason::EarlyStopping if !is_exhausted => None,
            reason => Some(reason),
        }
    }

    /// Reads the state of a checkpoint.
    pub(crate) fn of(checkpoint: &Checkpoint) -> Result<Self, TrainingError> {
        serde_json::from_value(checkpoint.meta.clone())
            .map_err(|cause| TrainingError::State { step: checkpoint.step, cause: cause.to_string() })
    }

    /// Refuses to go on with settings or data that would make another run of it.
    pub(crate) fn check_unchanged(
        &self,
        experiment: &Experiment,
        data_sha256: &str,
    ) -> Result<(), TrainingError> {
        let mut changes = changes(&self.experiment, experiment);
        if self.data_sha256 != data_sha256 {
            changes.push(format!("other data (SHA-256 was {}, is {data_sha256})", self.data_sha256));
        }
        refuse(&changes)
    }
}

/// Holds the settings to resume a run with to `before`, those that it was trained with: to be asked before anything is loaded
/// or touched.
///
/// # Errors
/// Where a setting differs that decides what is trained.
pub fn check_resumable(before: &Experiment, now: &Experiment) -> Result<(), TrainingError> {
    refuse(&changes(before, now))
}

/// The settings that the steps up to `checkpoint` were taken with.
///
/// # Errors
/// Where the checkpoint cannot be understood.
pub fn trained_with(checkpoint: &Checkpoint) -> Result<Experiment, TrainingError> {
    Ok(TrainingState::of(checkpoint)?.experiment)
}

/// Whether Kiln's kernels computed the steps up to `checkpoint`.
///
/// # Errors
/// Where the checkpoint cannot be understood.
pub fn is_fused(checkpoint: &Checkpoint) -> Result<bool, TrainingError> {
    Ok(TrainingState::of(checkpoint)?.fused)
}

/// Whether the run of `checkpoint` came to its end, and goes on from there with the settings `now`.
///
/// # Errors
/// Where the checkpoint cannot be understood.
pub fn goes_on(checkpoint: &Checkpoint, now: &Experiment) -> Result<bool, TrainingError> {
    let state = TrainingState::of(checkpoint)?;
    Ok(state.over.is_some() && state.still_over(now).is_none())
}

/// Whether the schedule of `experiment` spans its whole training, so that another length is another training from its first
/// step on.
#[must_use]
pub fn spans_whole_training(experiment: &Experiment) -> bool {
    use LrSchedulerName::{Cosine, Coslog, Linear};
    matches!(experiment.lr_scheduler.name, Cosine | Coslog | Linear)
}

/// Whether `now` is `before`, only longer: then a run that came to its end goes on as if it had been so from the beginning.
#[must_use]
pub fn is_longer(before: &Experiment, now: &Experiment) -> bool {
    let differences = now.differences(before);
    !differences.is_empty() && differences.iter().all(|difference| lengthens(&difference.key, before, now))
}

/// Whether a difference in `key` makes a run longer, and changes nothing of the steps before. A schedule that spans the
/// whole training changes with its length.
fn lengthens(key: &str, before: &Experiment, now: &Experiment) -> bool {
    match key {
        "training.epochs" => !spans_whole_training(now) && now.training.epochs > before.training.epochs,
        "early_stopping.patience" => now.early_stopping.patience > before.early_stopping.patience,
        _ => false,
    }
}

fn changes(before: &Experiment, now: &Experiment) -> Vec<String> {
    let changes = now.differences(before).into_iter();
    changes.filter(|change| !lengthens(&change.key, before, now)).map(|change| words(&change, now)).collect()
}

fn words(change: &Difference, now: &Experiment) -> String {
    if change.key == "training.epochs" && spans_whole_training(now) {
        return format!(
            "{change}: the schedule of this run spans its whole training, and the steps before would have been others"
        );
    }
    change.to_string()
}

fn refuse(changes: &[String]) -> Result<(), TrainingError> {
    if changes.is_empty() { Ok(()) } else { Err(TrainingError::Changed { changes: changes.join(", ") }) }
}
