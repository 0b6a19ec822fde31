//! A run in two parts: [`RunContext`] stays fixed while it trains, [`TrainingState`] changes with every step.
//!
//! The state is what makes a resume exact. Together with the weights and the optimizer's moments, it contains everything
//! that the next step depends on: the position to the batch, the sums of the figures so far, early stopping,
//! reduce-on-plateau, and the lengths of the logs, to which a resume cuts them back. Random numbers need no entry: they
//! follow from seed, epoch and step. This file also decides which settings may change between two parts of a run.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::Device;
use kiln_artifacts::{Checkpoint, CheckpointStore, Run, StopReason, null_as_nan};
use kiln_backend::SelectedDevice;
use kiln_config::{Difference, EarlyStopping, Experiment, LrSchedulerName, Mode, Monitor};
use kiln_data::{Batching, DataSet, SplitLoader};
use kiln_model::Tally;
use serde::{Deserialize, Serialize};

use crate::checkpoint::Number;
use crate::schedule::Plateau;
use crate::{StopSignal, TrainingError};

/// Experiment, data, device and folder of a run.
pub(crate) struct RunContext {
    pub(crate) experiment: Experiment,
    pub(crate) data_sha256: String,
    /// Training batches, shuffled by (seed, epoch).
    pub(crate) train: Arc<SplitLoader>,
    /// Validation batches, in order.
    pub(crate) validation: Option<Arc<SplitLoader>>,
    pub(crate) run: Run,
    pub(crate) store: CheckpointStore,
    pub(crate) stop: StopSignal,
    /// An epoch, from 1, after which training pauses.
    pub(crate) pause_after: Option<usize>,
    /// The device, with autodiff.
    pub(crate) device: Device,
    /// Steps after which the figures are read from the device; 1 on a CPU.
    pub(crate) read_interval: usize,
    /// Batches per epoch.
    pub(crate) batches: usize,
}

/// Reading a figure makes the host wait for the GPU, so figures are read only once in this many steps.
const GPU_READ_INTERVAL: usize = 64;

impl RunContext {
    pub(crate) fn new(
        run: Run,
        experiment: Experiment,
        data: &DataSet,
        backend: &SelectedDevice,
        stop: StopSignal,
    ) -> Self {
        let normalizer = Arc::new(data.normalizer.clone());
        let device = backend.device.clone().autodiff();
        let batching = Self::batching(&experiment);
        let loader = |split: &kiln_data::Split, batching, device| {
            SplitLoader::new(split.clone(), Arc::clone(&normalizer), batching, device)
        };
        let train = loader(&data.train, batching, device.clone()).for_training();
        let in_order = Batching::in_order(experiment.evaluation.batch_size);
        let validation =
            data.validation.as_ref().map(|split| loader(split, in_order, backend.device.clone()));
        Self {
            data_sha256: data.sha256.clone(),
            batches: train.batches(),
            train: Arc::new(train),
            validation: validation.map(Arc::new),
            store: run.checkpoint_store(),
            run,
            stop,
            pause_after: None,
            device,
            read_interval: if backend.on_host { 1 } else { GPU_READ_INTERVAL },
            experiment,
        }
    }

    /// How the training data is cut into batches.
    pub(crate) fn batching(experiment: &Experiment) -> Batching {
        let training = &experiment.training;
        Batching {
            batch_size: training.batch_size,
            drop_last: training.drop_last,
            shuffle: training.shuffle.then_some(experiment.seed),
        }
    }

    /// Batches between two rows of the metric log; each epoch has at least one row.
    pub(crate) fn log_interval(&self) -> usize {
        self.experiment.dashboard.log_interval.min(self.batches)
    }

    /// Training examples per epoch.
    pub(crate) fn examples(&self) -> usize {
        self.train.examples()
    }

    /// Training examples in the first `batches` batches of an epoch.
    pub(crate) fn examples_in(&self, batches: usize) -> usize {
        (batches * self.experiment.training.batch_size).min(self.examples())
    }

    /// Batches in the whole run.
    pub(crate) fn total_steps(&self) -> usize {
        let training = &self.experiment.training;
        let all = training.epochs * self.batches;
        training.max_steps.map_or(all, |steps| steps.min(all))
    }

    /// Whether training pauses after `epochs_done` epochs.
    pub(crate) fn pauses_after(&self, epochs_done: usize) -> bool {
        self.pause_after.is_some_and(|epoch| epochs_done >= epoch)
    }

    /// Stores the epoch's monitored figure in `state` if it is the best so far. False if it is not, or if nothing is
    /// monitored.
    pub(crate) fn judge_best(&self, tallies: &EpochTallies, state: &mut TrainingState) -> bool {
        let checkpoint = &self.experiment.checkpoint;
        let Some(value) = tallies.figure(checkpoint.monitor) else { return false };
        let improved = improves(value, state.best.map(|best| best.value), checkpoint.mode, 0.0);
        if improved {
            state.best = Some(BestSoFar { value, epoch: state.epoch, step: state.step });
        }
        improved
    }
}

/// Everything that the next step depends on, besides the weights and the optimizer's moments.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TrainingState {
    /// Epoch in progress, from 1.
    pub(crate) epoch: usize,
    /// Batches trained on in that epoch.
    pub(crate) batch: usize,
    /// Batches trained on in total.
    pub(crate) step: u64,
    /// Optimizer steps taken; fewer than batches under gradient accumulation.
    pub(crate) optimizer_steps: usize,
    /// Sums over the epoch so far.
    pub(crate) epoch_tally: Tally,
    /// Sums over the logging interval so far.
    pub(crate) interval_tally: Tally,
    /// Learning rate of the last optimizer step.
    pub(crate) learning_rate: f64,
    /// Norm of the last gradient.
    #[serde(deserialize_with = "null_as_nan")]
    pub(crate) gradient_norm: f64,
    pub(crate) plateau: Plateau,
    pub(crate) patience: Patience,
    pub(crate) best: Option<BestSoFar>,
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
    /// Why training ended; `None` before.
    pub(crate) over: Option<StopReason>,
    /// The optimizer's scalars, such as the number of its steps, by name.
    #[serde(default)]
    pub(crate) optimizer_numbers: BTreeMap<String, Number>,
    /// Whether Kiln's kernels computed the steps. A resume uses the same, or the bits would differ.
    #[serde(default)]
    pub(crate) fused: bool,
    /// The settings that the run was trained with.
    pub(crate) experiment: Experiment,
    /// SHA-256 of the data that it was trained on.
    pub(crate) data_sha256: String,
}

impl TrainingState {
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

    /// Moves to the start of `epoch`.
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

    /// Why the run is over under the settings `now`; `None` if training continues under them.
    pub(crate) fn still_over(&self, now: &Experiment) -> Option<StopReason> {
        let (before, early) = (&self.experiment, &now.early_stopping);
        let is_exhausted = early.enabled && self.patience.is_exhausted(early);
        match self.over? {
            StopReason::Completed if now.training.epochs > before.training.epochs => {
                let is_at_max_steps = now.training.max_steps.is_some_and(|most| self.step >= most as u64);
                match (is_at_max_steps, is_exhausted) {
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

    /// An error if a resume with these settings and this data would make it a different run.
    pub(crate) fn check_unchanged(
        &self,
        experiment: &Experiment,
        data_sha256: &str,
    ) -> Result<(), TrainingError> {
        let mut changes = changes(&self.experiment, experiment);
        if self.data_sha256 != data_sha256 {
            changes.push(format!("changed data (SHA-256 was {}, is {data_sha256})", self.data_sha256));
        }
        check_no_changes(&changes)
    }
}

/// Checks the settings `now` against `before`, those that the run was trained with. Call it before anything is loaded.
///
/// # Errors
/// [`TrainingError::Changed`] if a setting differs that decides what is trained, other than a longer training.
pub fn check_resumable(before: &Experiment, now: &Experiment) -> Result<(), TrainingError> {
    check_no_changes(&changes(before, now))
}

/// The settings that `checkpoint` was trained with.
pub fn trained_with(checkpoint: &Checkpoint) -> Result<Experiment, TrainingError> {
    Ok(TrainingState::of(checkpoint)?.experiment)
}

/// Whether Kiln's kernels computed the steps up to `checkpoint`.
pub fn is_fused(checkpoint: &Checkpoint) -> Result<bool, TrainingError> {
    Ok(TrainingState::of(checkpoint)?.fused)
}

/// Whether the run of `checkpoint` had ended, but continues under the settings `now`.
pub fn continues_under(checkpoint: &Checkpoint, now: &Experiment) -> Result<bool, TrainingError> {
    let state = TrainingState::of(checkpoint)?;
    Ok(state.over.is_some() && state.still_over(now).is_none())
}

/// Whether the learning-rate schedule of `experiment` depends on the length of training. A longer training then differs
/// from its first step.
#[must_use]
pub fn spans_whole_training(experiment: &Experiment) -> bool {
    use LrSchedulerName::{Cosine, Coslog, Linear};
    matches!(experiment.lr_scheduler.name, Cosine | Coslog | Linear)
}

/// Whether `now` differs from `before` only in a longer training. A resumed run then equals one that was longer from the
/// start.
#[must_use]
pub fn is_longer(before: &Experiment, now: &Experiment) -> bool {
    let differences = now.differences(before);
    !differences.is_empty() && differences.iter().all(|difference| lengthens(&difference.key, before, now))
}

/// Whether a difference in `key` makes a run longer without changing its earlier steps.
fn lengthens(key: &str, before: &Experiment, now: &Experiment) -> bool {
    match key {
        "training.epochs" => !spans_whole_training(now) && now.training.epochs > before.training.epochs,
        "early_stopping.patience" => now.early_stopping.patience > before.early_stopping.patience,
        _ => false,
    }
}

fn changes(before: &Experiment, now: &Experiment) -> Vec<String> {
    let changes = now.differences(before).into_iter();
    changes
        .filter(|change| !lengthens(&change.key, before, now))
        .map(|change| in_words(&change, now))
        .collect()
}

fn in_words(change: &Difference, now: &Experiment) -> String {
    if change.key == "training.epochs" && spans_whole_training(now) {
        return format!(
            "{change}: the learning-rate schedule of this run depends on its length, so its earlier steps would differ"
        );
    }
    change.to_string()
}

fn check_no_changes(changes: &[String]) -> Result<(), TrainingError> {
    if changes.is_empty() { Ok(()) } else { Err(TrainingError::Changed { changes: changes.join(", ") }) }
}

/// The figures of one epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EpochTallies {
    pub(crate) train: Tally,
    pub(crate) validation: Option<Tally>,
}

impl EpochTallies {
    /// The figure that `monitor` names; `None` if it needs validation data and the run has no such split.
    pub(crate) fn figure(&self, monitor: Monitor) -> Option<f64> {
        match monitor {
            Monitor::TrainLoss => Some(self.train.loss()),
            Monitor::TrainAccuracy => Some(self.train.accuracy()),
            Monitor::ValidationLoss => self.validation.map(|tally| tally.loss()),
            Monitor::ValidationAccuracy => self.validation.map(|tally| tally.accuracy()),
        }
    }
}

/// The best monitored figure so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BestSoFar {
    /// The figure. In checkpoints of earlier versions it may be infinite, stored as null.
    #[serde(deserialize_with = "null_as_nan")]
    pub value: f64,
    /// The epoch, from 1.
    pub epoch: usize,
    /// Batches trained on by then.
    pub step: u64,
}

/// Whether `value` is better than `best` by more than `min_delta`. A non-finite value is never better, and every finite
/// value is better than a non-finite `best`.
pub(crate) fn improves(value: f64, best: Option<f64>, mode: Mode, min_delta: f64) -> bool {
    match (best.filter(|best| best.is_finite()), mode) {
        (None, _) => value.is_finite(),
        (Some(best), Mode::Min) => value < best - min_delta,
        (Some(best), Mode::Max) => value > best + min_delta,
    }
}

/// The state of early stopping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Patience {
    best: Option<f64>,
    bad_epochs: usize,
}

impl Patience {
    /// Counts an epoch's figure. True if training should stop.
    pub(crate) fn exhausted_by(&mut self, figure: f64, config: &EarlyStopping) -> bool {
        if improves(figure, self.best, config.mode, config.min_delta) {
            self.best = Some(figure);
            self.bad_epochs = 0;
        } else {
            self.bad_epochs += 1;
        }
        self.is_exhausted(config)
    }

    /// Whether `config.patience` epochs passed without improvement.
    pub(crate) fn is_exhausted(&self, config: &EarlyStopping) -> bool {
        self.bad_epochs >= config.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_counts_epochs_without_improvement() {
        let config = EarlyStopping { enabled: true, patience: 2, min_delta: 0.1, ..EarlyStopping::default() };
        let mut patience = Patience::default();
        let stops: Vec<bool> =
            [1.0, 0.95, 0.8, 0.75, 0.72].iter().map(|&loss| patience.exhausted_by(loss, &config)).collect();
        assert_eq!(stops, [false, false, false, false, true]);
    }

    #[test]
    fn a_figure_that_is_not_finite_never_improves() {
        assert!(!improves(f64::NAN, None, Mode::Min, 0.0));
        assert!(!improves(f64::INFINITY, None, Mode::Min, 0.0));
        assert!(improves(3.0, Some(f64::NAN), Mode::Min, 0.0));
        assert!(!improves(f64::NAN, Some(1.0), Mode::Max, 0.0));
    }
}
