//! Where the time of a training step goes.

use std::sync::Arc;
use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use kiln_backend::Selected;
use kiln_config::Experiment;
use kiln_data::{Batch, DataSet, Epoch};
use kiln_model::{Loss, Mlp, Tally};
use serde::Serialize;

use crate::engine::{Engine, Step, engine};
use crate::setting::Setting;
use crate::{Classifier, TrainingError, check};

/// Medians over many steps, in microseconds; each part is waited for, also on a GPU, which would otherwise work
/// ahead: there the parts add up to more than a step takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StepProfile {
    /// Steps that were timed.
    pub steps: usize,
    /// Gathering and scaling a batch, and handing it to the device.
    pub data: f64,
    /// Outputs and loss.
    pub forward: f64,
    /// Gradients; with Kiln's own kernels also the update of the weights.
    pub backward: f64,
    /// Gradient norm, clipping and the update of the weights; none where these are done within `backward`.
    pub optimizer: Option<f64>,
    /// Bringing loss and hits back and adding them up.
    pub metrics: f64,
    /// All of these together.
    pub step: f64,
    /// The matrix products of a step alone, as Burn computes them.
    pub matrix_products: f64,
}

/// What one step took, part by part.
type Parts = [f64; 6];

/// Trains `steps` steps of `experiment` and takes the time of each part. The first tenth is for warming up, and is
/// not counted.
///
/// # Errors
/// As [`check`], and where the model does not fit the data.
pub fn profile_steps(
    experiment: &Experiment,
    data: &Arc<DataSet>,
    backend: &Selected,
    steps: usize,
) -> Result<StepProfile, TrainingError> {
    check(experiment, data)?;
    let steps = steps.max(10);
    // As a run does: within the pool, a parallel operation need not hand over to another thread and wait.
    rayon::scope(|_| {
        let mut trainer = Trainer::new(experiment, data, backend)?;
        let parts: Vec<Parts> = (0..steps).map(|_| trainer.step()).collect();
        let counted = &parts[steps / 10..];
        let of = |part: usize| median(counted.iter().map(|parts| parts[part]).collect());
        Ok(StepProfile {
            steps: counted.len(),
            data: of(0),
            forward: of(1),
            backward: of(2),
            optimizer: (!backend.fused).then(|| of(3)),
            metrics: of(4),
            step: of(5),
            matrix_products: matrix_products(
                &trainer.engine.model().mlp,
                experiment.training.batch_size,
                backend,
            ),
        })
    })
}

/// A training without a run folder.
struct Trainer<'a> {
    experiment: &'a Experiment,
    data: &'a DataSet,
    backend: &'a Selected,
    engine: Box<dyn Engine>,
    batches: Epoch,
    epoch: u64,
    tally: Tally,
}

impl<'a> Trainer<'a> {
    fn new(
        experiment: &'a Experiment,
        data: &'a DataSet,
        backend: &'a Selected,
    ) -> Result<Self, TrainingError> {
        let shape = [data.features(), data.class_count()];
        let device = backend.device.clone().autodiff();
        let mlp = Mlp::new(&experiment.model, experiment.loss.name, shape, experiment.seed, &device)?;
        let model = Classifier::new(mlp, Loss::new(&experiment.loss, data.class_count())?);
        let engine = engine(model, experiment, backend.fused, backend.on_host);
        let batches = epoch(experiment, data, backend, 0);
        Ok(Self { experiment, data, backend, engine, batches, epoch: 0, tally: Tally::default() })
    }

    fn step(&mut self) -> Parts {
        let device = &self.backend.device;
        let mut clock = Clock::start(device);
        let batch = self.batch();
        let data = clock.lap(device);
        let output = self.engine.forward(batch);
        let forward = clock.lap(device);
        let step = Step { lr: self.experiment.optimizer.lr, norms: self.backend.on_host };
        let (backward, optimizer) = if self.backend.fused {
            std::hint::black_box(self.engine.backward_and_step(step));
            (clock.lap(device), 0.0)
        } else {
            self.engine.backward();
            let backward = clock.lap(device);
            std::hint::black_box(self.engine.step(step));
            (backward, clock.lap(device))
        };
        output.read_into(&mut self.tally);
        let metrics = clock.lap(device);
        [data, forward, backward, optimizer, metrics, clock.total()]
    }

    fn batch(&mut self) -> Batch {
        if let Some(batch) = self.batches.next() {
            return batch;
        }
        self.epoch += 1;
        self.batches = epoch(self.experiment, self.data, self.backend, self.epoch);
        self.batches.next().expect("an epoch has a batch: the experiment was checked")
    }
}

fn epoch(experiment: &Experiment, data: &DataSet, backend: &Selected, number: u64) -> Epoch {
    let batching = Setting::batching(experiment);
    let normalizer = Arc::new(data.normalizer.clone());
    Epoch::new(&data.train, &normalizer, &batching, number, 0, &backend.device.clone().autodiff())
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

/// The products of a step, for each layer of `mlp`: outputs, gradient of the weights, and but for the first layer
/// the gradient of the inputs.
fn matrix_products(mlp: &Mlp, batch: usize, backend: &Selected) -> f64 {
    let device = &backend.device;
    let random = |rows, columns| Tensor::<2>::random([rows, columns], Distribution::Default, device);
    let mut total = 0.0;
    for (index, layer) in mlp.layers().iter().enumerate() {
        let [inputs, outputs] = layer.weight.shape().dims();
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

    use super::*;

    #[test]
    fn every_part_takes_time_and_no_more_than_the_step() {
        let mut experiment = Experiment::default();
        experiment.training.batch_size = 512;
        let folders = Folders { data_dir: None, cache: std::path::PathBuf::new() };
        let data = kiln_data::load(&experiment.data, 1, &folders, &NoProgress).unwrap();
        let backend = kiln_backend::select(&Backend::default()).unwrap();
        let profile = profile_steps(&experiment, &Arc::new(data), &backend, 20).unwrap();
        assert_eq!(profile.steps, 18);
        assert_eq!(profile.optimizer, None);
        let parts = [profile.data, profile.forward, profile.backward, profile.metrics];
        assert!(parts.iter().all(|part| *part > 0.0) && profile.matrix_products > 0.0, "{profile:?}");
        assert!(parts.iter().all(|part| *part < profile.step), "{profile:?}");
    }
}
