//! What stays fixed while a run trains, and its checkpoints.

use std::sync::Arc;

use burn::tensor::Device;
use kiln_artifacts::{CheckpointStore, Run};
use kiln_config::Experiment;
use kiln_data::{Batching, DataSet, Epoch, Normalizer};

use crate::monitoring::{Best, EpochTallies, improves};
use crate::state::TrainingState;
use crate::stop::StopSignal;

/// Experiment, data and devices of a run.
pub(crate) struct Setting {
    pub(crate) experiment: Experiment,
    pub(crate) data: Arc<DataSet>,
    pub(crate) normalizer: Arc<Normalizer>,
    pub(crate) run: Run,
    pub(crate) store: CheckpointStore,
    pub(crate) stop: StopSignal,
    /// The device without autodiff; [`Setting::training_device`] has it.
    pub(crate) device: Device,
    /// Whether tensors lie in this process's memory.
    pub(crate) on_host: bool,
    /// Batches in an epoch.
    pub(crate) batches: usize,
}

impl Setting {
    /// The device whose operations are recorded for the backward pass.
    pub(crate) fn training_device(&self) -> Device {
        self.device.clone().autodiff()
    }

    /// How training data is cut into batches.
    pub(crate) fn batching(experiment: &Experiment) -> Batching {
        let training = &experiment.training;
        Batching {
            batch_size: training.batch_size,
            drop_last: training.drop_last,
            shuffle: training.shuffle.then_some(experiment.seed),
        }
    }

    /// The batches of `epoch` (from 1), the first `done` left out.
    pub(crate) fn train_epoch(&self, epoch: usize, done: usize) -> Epoch {
        let batching = Self::batching(&self.experiment);
        let device = self.training_device();
        Epoch::new(&self.data.train, &self.normalizer, &batching, epoch as u64 - 1, done, &device)
    }

    /// The batches of the validation split, in order.
    pub(crate) fn validation_epoch(&self) -> Option<Epoch> {
        let split = self.data.validation.as_ref()?;
        let batching = Batching::in_order(self.experiment.evaluation.batch_size);
        Some(Epoch::new(split, &self.normalizer, &batching, 0, 0, &self.device))
    }

    /// Batches between two rows of the metric log: at least one row falls into each epoch.
    pub(crate) fn log_interval(&self) -> usize {
        self.experiment.dashboard.log_interval.min(self.batches)
    }

    /// Training examples in an epoch.
    pub(crate) fn examples(&self) -> usize {
        self.data.train.len().min(self.batches * self.experiment.training.batch_size)
    }

    /// Batches in the whole run.
    pub(crate) fn total_steps(&self) -> usize {
        let training = &self.experiment.training;
        let all = training.epochs * self.batches;
        training.max_steps.map_or(all, |steps| steps.min(all))
    }

    /// Keeps the epoch's figure in `state` if it is the best so far; false too when nothing is monitored.
    pub(crate) fn judge_best(&self, tallies: &EpochTallies, state: &mut TrainingState) -> bool {
        let checkpoint = &self.experiment.checkpoint;
        let Some(value) = tallies.figure(checkpoint.monitor) else { return false };
        let improved = improves(value, state.best.map(|best| best.value), checkpoint.mode, 0.0);
        if improved {
            state.best = Some(Best { value, epoch: state.epoch, step: state.step });
        }
        improved
    }
}
