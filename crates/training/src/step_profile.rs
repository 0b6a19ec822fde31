//! One training step examined: where its time goes ([`profile_steps`]), and whether a device computes it as the CPU does
//! ([`parity`]).
//!
//! `kiln bench` and `kiln doctor` show the two. Neither needs a run folder.

use std::sync::Arc;
use std::time::Instant;

use burn::optim::ModuleOptimizer;
use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};
use burn::train::{InferenceStep, TrainStep};
use kiln_backend::SelectedDevice;
use kiln_config::random::{Purpose, Stream};
use kiln_config::{Activation, Experiment, Model as ModelConfig, Optimizer, OptimizerName};
use kiln_data::{Batch, DataSet, Pass, SplitLoader};
use kiln_kernels::{Fused, UpdateRule, with_threads_awake};
use kiln_model::{Mlp, Model, Named, Parameter, StepOutput, Tally, named};
use schemars::JsonSchema;
use serde::Serialize;

use crate::gradient_descent::GradientDescent;
use crate::state::RunContext;
use crate::{TrainingError, check};

/// Medians over many steps, in microseconds. The host waits for the device after each part. In a real training a GPU
/// works ahead, so there the parts add up to more than a step takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct StepProfile {
    /// Number of timed steps.
    pub steps: usize,
    /// Gathering and scaling a batch, and moving it to the device.
    pub data: f64,
    /// The forward pass with the loss, without autodiff.
    pub forward: f64,
    /// Forward and backward pass with autodiff, minus `forward`.
    pub backward: f64,
    /// Clipping and the update of the weights.
    pub optimizer: f64,
    /// Reading loss and hits from the device, and adding them up.
    pub metrics: f64,
    /// The whole step.
    pub step: f64,
    /// Only the matrix products of a step, computed by Burn, for comparison.
    pub matrix_products: f64,
}

/// Microseconds of one step: data, forward with backward, optimizer, metrics, total.
type Parts = [f64; 5];

/// Trains `model` for `steps` steps of `experiment`, at least 10, and times each part. The first tenth is a warm-up and
/// does not count.
pub fn profile_steps<M: Model>(
    model: M,
    optimizer: ModuleOptimizer,
    experiment: &Experiment,
    data: &Arc<DataSet>,
    backend: &SelectedDevice,
    steps: usize,
) -> Result<StepProfile, TrainingError> {
    check(experiment, data)?;
    let steps = steps.max(10);
    // Inside rayon's pool, as in a run.
    with_threads_awake(|| {
        let mut timer = StepTimer::new(model, optimizer, experiment, data, backend);
        let parts: Vec<Parts> = (0..steps).map(|_| timer.step()).collect();
        let counted = &parts[steps / 10..];
        let of = |part: usize| median(counted.iter().map(|parts| parts[part]).collect());
        let forward = median(timer.forwards(steps));
        let batch = experiment.training.batch_size;
        Ok(StepProfile {
            steps: counted.len(),
            data: of(0),
            forward,
            backward: of(1) - forward,
            optimizer: of(2),
            metrics: of(3),
            step: of(4),
            matrix_products: matrix_products(&named(timer.descent.model()), batch, backend),
        })
    })
}

/// A training without a run folder, timed step by step.
struct StepTimer<'a, M: Model> {
    device: &'a Device,
    lr: f64,
    loader: SplitLoader,
    /// The same batches on the device without autodiff.
    untracked: SplitLoader,
    descent: GradientDescent<M>,
    batches: Box<dyn Iterator<Item = Batch>>,
    epoch: u64,
    tally: Tally,
}

impl<'a, M: Model> StepTimer<'a, M> {
    fn new(
        model: M,
        optimizer: ModuleOptimizer,
        experiment: &Experiment,
        data: &DataSet,
        backend: &'a SelectedDevice,
    ) -> Self {
        let (batching, normalizer) = (RunContext::batching(experiment), Arc::new(data.normalizer.clone()));
        let loader = |device: &Device| {
            let (split, normalizer) = (data.train.clone(), Arc::clone(&normalizer));
            SplitLoader::new(split, normalizer, batching, device.clone()).for_training()
        };
        Self {
            device: &backend.device,
            lr: experiment.optimizer.lr,
            loader: loader(&backend.device.clone().autodiff()),
            untracked: loader(&backend.device),
            descent: GradientDescent::new(model, optimizer, experiment),
            batches: Box::new(std::iter::empty()),
            epoch: 0,
            tally: Tally::default(),
        }
    }

    fn step(&mut self) -> Parts {
        let mut clock = Clock::start(self.device);
        let batch = self.batch();
        let data = clock.lap(self.device);
        let output = self.descent.forward_backward(batch);
        let gradients = clock.lap(self.device);
        let tally = output.tally();
        self.tally.merge(&tally);
        let metrics = clock.lap(self.device);
        self.descent.step(self.lr, false);
        let optimizer = clock.lap(self.device);
        [data, gradients, optimizer, metrics, clock.total()]
    }

    /// The times of `count` forward passes, without autodiff: a graph without a backward pass would stay in memory.
    fn forwards(&self, count: usize) -> Vec<f64> {
        let model = self.descent.model().valid();
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
            self.batches.next().expect("`check` found at least one batch per epoch")
        });
        batch.into()
    }
}

/// A stopwatch in microseconds that waits for the device at every lap.
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
    // An error here appears again, with a better message, when the result is read.
    let _ = device.sync();
}

/// A product is repeated at most this often, and for about this many seconds.
const REPETITIONS: usize = 200;
const SECONDS: f64 = 0.2;

/// The time of a step's matrix products. Each weight matrix has three: the outputs, the gradient of the weights and,
/// except in the first layer, the gradient of the inputs.
fn matrix_products(parameters: &[Named], batch: usize, backend: &SelectedDevice) -> f64 {
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

const SEED: u64 = 42;
/// Features and classes. Large enough for several threads, and not divisible into whole blocks.
const SHAPE: [usize; 2] = [300, 10];
const HIDDEN: [usize; 2] = [200, 33];
const EXAMPLES: usize = 100;
const LEARNING_RATE: f64 = 0.1;
/// A GPU adds in another order, which changes single-precision sums. A greater difference is a wrong result.
const TOLERANCE: f64 = 1e-3;

/// Differences between a device and the CPU after one training step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Parity {
    /// Difference of the loss, relative to the CPU's.
    #[schemars(with = "Option<f64>")]
    pub loss: f64,
    /// Greatest difference of a gradient entry, relative to the greatest entry. The gradient is measured as the change of
    /// the weight divided by the learning rate.
    #[schemars(with = "Option<f64>")]
    pub gradients: f64,
    /// Greatest difference of a weight after the step, relative to the greatest weight.
    #[schemars(with = "Option<f64>")]
    pub weights: f64,
}

impl Parity {
    /// Whether the device agrees with the CPU up to rounding.
    #[must_use]
    pub fn holds(&self) -> bool {
        [self.loss, self.gradients, self.weights].iter().all(|difference| *difference <= TOLERANCE)
    }
}

/// Takes the same step of stochastic gradient descent twice, on a small network with fixed weights, examples and dropout
/// masks: on the CPU with Burn's own operations, and on `device`, with Kiln's kernels if `fused` is on. Compares the two.
#[must_use]
pub fn parity(device: &Device, fused: Fused) -> Parity {
    let reference = take_step(&Device::flex(), Fused::Off);
    let found = take_step(device, fused);
    Parity {
        loss: difference(&[found.loss], &[reference.loss]),
        gradients: difference(&found.gradients, &reference.gradients),
        weights: difference(&found.weights, &reference.weights),
    }
}

/// The result of one step.
struct StepResult {
    loss: f32,
    gradients: Vec<f32>,
    weights: Vec<f32>,
}

fn take_step(device: &Device, fused: Fused) -> StepResult {
    let device = device.clone().autodiff();
    let model = ModelConfig {
        hidden: HIDDEN.to_vec(),
        activation: Activation::Tanh,
        dropout: 0.2,
        ..ModelConfig::default()
    };
    let optimizer = Optimizer { name: OptimizerName::Sgd, momentum: 0.0, ..Optimizer::default() };
    let experiment = Experiment { model, optimizer, seed: SEED, ..Experiment::default() };
    let mlp = Mlp::new(&experiment, SHAPE, fused, &device).expect("drawn weights fit");
    let rule = UpdateRule::new(&experiment.optimizer, fused);
    let mut descent = GradientDescent::new(mlp, rule.into(), &experiment);
    let values = |parameters: Vec<Parameter>| -> Vec<f32> {
        parameters.into_iter().flat_map(|parameter| parameter.values).collect()
    };
    let before = values(descent.parameters());
    let loss = descent.forward_backward(batch(&device)).tally().loss() as f32;
    descent.step(LEARNING_RATE, false);
    let weights = values(descent.parameters());
    let rate = LEARNING_RATE as f32;
    let gradients = before.iter().zip(&weights).map(|(before, after)| (before - after) / rate).collect();
    StepResult { loss, gradients, weights }
}

fn batch(device: &Device) -> Batch {
    let [features, classes] = SHAPE;
    let mut stream = Stream::new(SEED, Purpose::Sampling, &[]);
    let values: Vec<f32> = (0..EXAMPLES * features).map(|_| stream.uniform() as f32).collect();
    let targets: Vec<i64> = (0..EXAMPLES).map(|_| i64::from(stream.below(classes) as u32)).collect();
    Batch {
        features: Tensor::from_data(TensorData::new(values, [EXAMPLES, features]), device),
        targets: Tensor::<1, Int>::from_data(TensorData::new(targets, [EXAMPLES]), device),
        pass: Pass::Training { step: 0 },
        folds: None,
    }
}

fn difference(found: &[f32], reference: &[f32]) -> f64 {
    let greatest = reference.iter().fold(f32::MIN_POSITIVE, |greatest, value| greatest.max(value.abs()));
    let differences =
        found.iter().zip(reference).map(|(found, reference)| f64::from((found - reference).abs()));
    // `f64::max` would ignore a NaN, and so report no difference.
    let worst =
        differences.fold(0.0, |worst: f64, next| if next.is_nan() || next > worst { next } else { worst });
    worst / f64::from(greatest)
}

#[cfg(test)]
mod tests {
    use kiln_config::Backend;
    use kiln_data::{DataFolders, NoProgress};

    use super::*;

    #[test]
    fn every_part_takes_time_and_no_more_than_the_step() {
        let mut experiment = Experiment::default();
        experiment.training.batch_size = 512;
        let folders = DataFolders { data_dir: None, cache: std::path::PathBuf::new() };
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

    #[test]
    fn burns_own_operations_are_equal_to_themselves_to_the_bit() {
        let parity = parity(&Device::flex(), Fused::Off);
        assert_eq!(parity, Parity { loss: 0.0, gradients: 0.0, weights: 0.0 });
    }

    #[test]
    fn the_kernels_agree_with_burns_own_operations() {
        let parity = parity(&Device::flex(), Fused::On);
        assert!(parity.holds() && parity.loss < 1e-6 && parity.gradients < 1e-4, "{parity:?}");
    }

    #[test]
    fn a_difference_of_nan_is_not_an_agreement() {
        assert!(difference(&[f32::NAN, 1.0], &[1.0, 1.0]).is_nan());
        assert!(!Parity { loss: f64::NAN, gradients: 0.0, weights: 0.0 }.holds());
    }
}
