//! What stays fixed while a run trains, and its checkpoints.

use std::sync::Arc;

use burn::tensor::Device;
use kiln_artifacts::{CheckpointStore, Run};
use kiln_backend::Selected;
use kiln_config::Experiment;
use kiln_data::{Batching, DataSet, SplitLoader};

use crate::monitoring::{Best, EpochTallies, improves};
use crate::state::TrainingState;
use crate::stop::StopSignal;

/// Experiment, data and device of a run.
pub(crate) struct Setting {
    pub(crate) experiment: Experiment,
    pub(crate) data_sha256: String,
    /// The batches to train on, epoch after epoch.
    pub(crate) train: Arc<SplitLoader>,
    /// Those of the validation split, in order.
    pub(crate) validation: Option<Arc<SplitLoader>>,
    pub(crate) run: Run,
    pub(crate) store: CheckpointStore,
    pub(crate) stop: StopSignal,
    /// An epoch, from 1, after which training pauses.
    pub(crate) pause_after: Option<usize>,
    /// The device whose operations are recorded for the backward pass.
    pub(crate) device: Device,
    /// Steps whose figures may wait on the device before they are read together: 1 where it is the CPU.
    pub(crate) read_interval: usize,
    /// Batches in an epoch.
    pub(crate) batches: usize,
}

/// Steps whose figures may wait on a GPU.
const GPU_READ_INTERVAL: usize = 64;

impl Setting {
    pub(crate) fn new(
        run: Run,
        experiment: Experiment,
        data: &DataSet,
        backend: &Selected,
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

    /// How training data is cut into batches.
    pub(crate) fn batching(experiment: &Experiment) -> Batching {
        let training = &experiment.training;
        Batching {
            batch_size: training.batch_size,
            drop_last: training.drop_last,
            shuffle: training.shuffle.then_some(experiment.seed),
        }
    }

    /// Batches between two rows of the metric log: at least one row falls into each epoch.
    pub(crate) fn log_interval(&self) -> usize {
        self.experiment.dashboard.log_interval.min(self.batches)
    }

    /// Training examples in an epoch.
    pub(crate) fn examples(&self) -> usize {
        self.train.examples()
    }

    /// Batches in the whole run.
    pub(crate) fn total_steps(&self) -> usize {
        let training = &self.experiment.training;
        let all = training.epochs * self.batches;
        training.max_steps.map_or(all, |steps| steps.min(all))
    }

    /// Whether a run with so many epochs behind it is to pause.
    pub(crate) fn is_to_pause_after(&self, epochs_done: usize) -> bool {
        self.pause_after.is_some_and(|epoch| epochs_done >= epoch)
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
