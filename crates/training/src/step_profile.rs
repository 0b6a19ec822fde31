//! Where the time of a training step goes.

use std::sync::Arc;
use std::time::Instant;

use burn::optim::ModuleOptimizer;
use burn::tensor::{Device, Distribution, Tensor};
use burn::train::{InferenceStep, TrainStep};
use kiln_backend::Selected;
use kiln_config::Experiment;
use kiln_data::{Batch, DataSet, SplitLoader};
use kiln_kernels::with_threads_awake;
use kiln_model::{Model, Named, StepOutput, Tally, named};
use schemars::JsonSchema;
use serde::Serialize;

use crate::learning::Learning;
use crate::setting::Setting;
use crate::{TrainingError, check};

/// Medians over many steps, in microseconds; each part is waited for, also on a GPU, which would otherwise work
/// ahead: there the parts add up to more than a step takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct StepProfile {
    /// Steps that were timed.
    pub steps: usize,
    /// Gathering and scaling a batch, and handing it to the device.
    pub data: f64,
    /// Outputs and loss, without what the way back needs.
    pub forward: f64,
    /// What is left of outputs, loss and gradients.
    pub backward: f64,
    /// Clipping and the update of the weights.
    pub optimizer: f64,
    /// Bringing loss and hits back and adding them up.
    pub metrics: f64,
    /// All of these together.
    pub step: f64,
    /// The matrix products of a step alone, as Burn computes them.
    pub matrix_products: f64,
}

/// What one step took: data, outputs with gradients, optimizer, metrics, all.
type Parts = [f64; 5];

/// Trains `model` for `steps` steps of `experiment` and takes the time of each part. The first tenth is for warming up,
/// and is not counted.
///
/// # Errors
/// As [`check`].
pub fn profile_steps<M: Model>(
    model: M,
    optimizer: ModuleOptimizer,
    experiment: &Experiment,
    data: &Arc<DataSet>,
    backend: &Selected,
    steps: usize,
) -> Result<StepProfile, TrainingError> {
    check(experiment, data)?;
    let steps = steps.max(10);
    // As a run does: within the pool, a parallel operation need not hand over to another thread and wait.
    with_threads_awake(|| {
        let mut trainer = Trainer::new(model, optimizer, experiment, data, backend);
        let parts: Vec<Parts> = (0..steps).map(|_| trainer.step()).collect();
        let counted = &parts[steps / 10..];
        let of = |part: usize| median(counted.iter().map(|parts| parts[part]).collect());
        let forward = median(trainer.forwards(steps));
        let batch = experiment.training.batch_size;
        Ok(StepProfile {
            steps: counted.len(),
            data: of(0),
            forward,
            backward: of(1) - forward,
            optimizer: of(2),
            metrics: of(3),
            step: of(4),
            matrix_products: matrix_products(&named(trainer.learning.model()), batch, backend),
        })
    })
}

/// A training without a run folder.
struct Trainer<'a, M: Model> {
    device: &'a Device,
    lr: f64,
    loader: SplitLoader,
    /// The same batches for a pass without gradients.
    untracked: SplitLoader,
    learning: Learning<M>,
    batches: Box<dyn Iterator<Item = Batch>>,
    epoch: u64,
    tally: Tally,
}

impl<'a, M: Model> Trainer<'a, M> {
    fn new(
        model: M,
        optimizer: ModuleOptimizer,
        experiment: &Experiment,
        data: &DataSet,
        backend: &'a Selected,
    ) -> Self {
        let (batching, normalizer) = (Setting::batching(experiment), Arc::new(data.normalizer.clone()));
        let loader = |device: &Device| {
            let (split, normalizer) = (data.train.clone(), Arc::clone(&normalizer));
            SplitLoader::new(split, normalizer, batching, device.clone()).for_training()
        };
        Self {
            device: &backend.device,
            lr: experiment.optimizer.lr,
            loader: loader(&backend.device.clone().autodiff()),
            untracked: loader(&backend.device),
            learning: Learning::new(model, optimizer, experiment),
            batches: Box::new(std::iter::empty()),
            epoch: 0,
            tally: Tally::default(),
        }
    }

    fn step(&mut self) -> Parts {
        let mut clock = Clock::start(self.device);
        let batch = self.batch();
        let data = clock.lap(self.device);
        let output = self.learning.forward_backward(batch);
        let gradients = clock.lap(self.device);
        let tally = output.tally();
        self.tally.merge(&tally);
        let metrics = clock.lap(self.device);
        self.learning.step(self.lr, false);
        let optimizer = clock.lap(self.device);
        [data, gradients, optimizer, metrics, clock.total()]
    }

    /// The times of `count` forward passes alone. A graph that no gradient is asked of would stay in memory, so there is
    /// none.
    fn forwards(&self, count: usize) -> Vec<f64> {
        let model = self.learning.model().valid();
        let batches = (0..).flat_map(|epoch| self.untracked.epoch(epoch, 0)).take(count);
        let forward = |batch: Batch| {
            let (input, mut clock) = (batch.into(), Clock::start(self.device));
            std::hint::black_box(InferenceStep::step(&model, input));
            clock.lap(self.device)
        };
        batches.map(forward).collect()
    }

    fn batch(&mut self) -> <M as TrainStep>::Input {
        let batch = self.batches.next().unwrap_or_else(|| {
            self.batches = Box::new(self.loader.epoch(self.epoch, 0));
            self.epoch += 1;
            self.batches.next().expect("an epoch has a batch: the experiment was checked")
        });
        batch.into()
    }
}

/// Microseconds since the start and since the last lap.
struct Clock {
    started: Instant,
    last: Instant,
}

impl Clock {
    fn start(device: &Device) -> Self {
        wait_for(device);
        let now = Instant::now();
        Self { started: now, last: now }
    }

    fn lap(&mut self, device: &Device) -> f64 {
        wait_for(device);
        let now = Instant::now();
        let lap = (now - self.last).as_secs_f64() * 1e6;
        self.last = now;
        lap
    }

    fn total(&self) -> f64 {
        (self.last - self.started).as_secs_f64() * 1e6
    }
}

fn wait_for(device: &Device) {
    // What fails here fails again, with a better message, where its result is read.
    let _ = device.sync();
}

/// Times that each product is repeated at most, and the seconds after which it is not repeated any more.
const REPETITIONS: usize = 200;
const SECONDS: f64 = 0.2;

/// The products of a step, for each weight that is a matrix: outputs, gradient of the weights, and but for the first
/// layer the gradient of the inputs.
fn matrix_products(parameters: &[Named], batch: usize, backend: &Selected) -> f64 {
    let device = &backend.device;
    let random = |rows, columns| Tensor::<2>::random([rows, columns], Distribution::Default, device);
    let mut total = 0.0;
    let shapes = parameters.iter().filter_map(|parameter| <[usize; 2]>::try_from(&parameter.shape[..]).ok());
    for (index, [inputs, outputs]) in shapes.enumerate() {
        let (x, w, slope) = (random(batch, inputs), random(inputs, outputs), random(batch, outputs));
        let mut time = |left: Tensor<2>, right: Tensor<2>| {
            let (started, mut laps) = (Instant::now(), Vec::new());
            while laps.is_empty() || (laps.len() < REPETITIONS && started.elapsed().as_secs_f64() < SECONDS) {
                let mut clock = Clock::start(device);
                std::hint::black_box(left.clone().matmul(right.clone()));
                laps.push(clock.lap(device));
            }
            total += median(laps);
        };
        time(x.clone(), w.clone());
        time(x.transpose(), slope.clone());
        if index > 0 {
            time(slope, w.transpose());
        }
    }
    total
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use kiln_config::{Backend, Experiment};
    use kiln_data::{Folders, NoProgress};
    use kiln_kernels::{Fused, UpdateRule};
    use kiln_model::Mlp;

    use super::*;

    #[test]
    fn every_part_takes_time_and_no_more_than_the_step() {
        let mut experiment = Experiment::default();
        experiment.training.batch_size = 512;
        let folders = Folders { data_dir: None, cache: std::path::PathBuf::new() };
        let data = kiln_data::load(&experiment.data, 1, &folders, &NoProgress).unwrap();
        let backend = kiln_backend::select(&Backend::default()).unwrap();
        let shape = [data.features(), data.class_count()];
        let device = backend.device.clone().autodiff();
        let model = Mlp::new(&experiment, shape, Fused::On, &device).unwrap();
        let optimizer = UpdateRule::new(&experiment.optimizer, Fused::On).into();
        let profile = profile_steps(model, optimizer, &experiment, &Arc::new(data), &backend, 20).unwrap();
        assert_eq!(profile.steps, 18);
        let parts = [profile.data, profile.forward, profile.optimizer, profile.metrics];
        assert!(parts.iter().all(|part| *part > 0.0) && profile.matrix_products > 0.0, "{profile:?}");
        assert!(parts.iter().all(|part| *part < profile.step), "{profile:?}");
    }
}
