//! One training step, held to the same step by Burn's autodiff on the CPU.

use burn::tensor::{Device, Int, Tensor, TensorData};
use kiln_config::random::{Purpose, Stream};
use kiln_config::{Activation, Experiment, LossName, Model, Optimizer, OptimizerName};
use kiln_data::Batch;
use kiln_model::{Loss, Mlp, Tally};
use serde::Serialize;

use crate::Classifier;
use crate::engine::{Step, engine};

const SEED: u64 = 42;
/// Enough for several threads, and for sizes that no block divides.
const SHAPE: [usize; 2] = [300, 10];
const HIDDEN: [usize; 2] = [200, 33];
const EXAMPLES: usize = 100;
const LEARNING_RATE: f64 = 0.1;
/// Single precision sums in another order on a GPU; more than this is a wrong result.
const TOLERANCE: f64 = 1e-3;

/// How far a device is off the CPU after one step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Parity {
    /// Difference of the loss, relative to the CPU's.
    pub loss: f64,
    /// Greatest difference of a gradient entry, relative to the greatest entry; the entry is what the step moved the
    /// weight by, over the learning rate.
    pub gradients: f64,
    /// Greatest difference of a weight after the step, relative to the greatest weight.
    pub weights: f64,
}

impl Parity {
    /// True when the device computes what the CPU computes, but for rounding.
    #[must_use]
    pub fn holds(&self) -> bool {
        [self.loss, self.gradients, self.weights].iter().all(|difference| *difference <= TOLERANCE)
    }
}

/// Takes one step of stochastic gradient descent on a small network with the same weights, examples and dropout
/// masks, by Burn's autodiff on the CPU and on `device`, whose tensors are this process's own memory if `on_host`;
/// with Kiln's own kernels there if `fused`.
#[must_use]
pub fn parity(device: &Device, on_host: bool, fused: bool) -> Parity {
    let reference = taken(&Device::flex(), true, false);
    let found = taken(device, on_host, fused);
    Parity {
        loss: difference(&[found.loss], &[reference.loss]),
        gradients: difference(&found.gradients, &reference.gradients),
        weights: difference(&found.weights, &reference.weights),
    }
}

/// A step that was taken.
struct Taken {
    loss: f32,
    gradients: Vec<f32>,
    weights: Vec<f32>,
}

fn taken(device: &Device, on_host: bool, fused: bool) -> Taken {
    let device = device.clone().autodiff();
    let model =
        Model { hidden: HIDDEN.to_vec(), activation: Activation::Tanh, dropout: 0.2, ..Model::default() };
    let mlp = Mlp::new(&model, LossName::CrossEntropy, SHAPE, SEED, &device).expect("drawn weights fit");
    let loss = Loss::new(&kiln_config::Loss::default(), SHAPE[1]).expect("no class weights");
    let optimizer = Optimizer { name: OptimizerName::Sgd, momentum: 0.0, ..Optimizer::default() };
    let experiment = Experiment { model, optimizer, ..Experiment::default() };
    let mut engine = engine(Classifier::new(mlp, loss), &experiment, fused, on_host);
    let values = |parameters: Vec<kiln_model::Parameter>| -> Vec<f32> {
        parameters.into_iter().flat_map(|parameter| parameter.values).collect()
    };
    let before = values(engine.parameters());
    let loss = engine.forward(batch(&device)).read_into(&mut Tally::default()) as f32;
    engine.backward_and_step(Step { lr: LEARNING_RATE, norms: false });
    let weights = values(engine.parameters());
    let rate = LEARNING_RATE as f32;
    let gradients = before.iter().zip(&weights).map(|(before, after)| (before - after) / rate).collect();
    Taken { loss, gradients, weights }
}

fn batch(device: &Device) -> Batch {
    let [features, classes] = SHAPE;
    let mut stream = Stream::new(SEED, Purpose::Sampling, &[]);
    let values: Vec<f32> = (0..EXAMPLES * features).map(|_| stream.uniform() as f32).collect();
    let labels: Vec<u32> = (0..EXAMPLES).map(|_| stream.below(classes) as u32).collect();
    let targets: Vec<i64> = labels.iter().copied().map(i64::from).collect();
    Batch {
        features: Tensor::from_data(TensorData::new(values, [EXAMPLES, features]), device),
        targets: Tensor::<1, Int>::from_data(TensorData::new(targets, [EXAMPLES]), device),
        labels,
        step: 0,
    }
}

fn difference(found: &[f32], reference: &[f32]) -> f64 {
    let greatest = reference.iter().fold(f32::MIN_POSITIVE, |greatest, value| greatest.max(value.abs()));
    let differences =
        found.iter().zip(reference).map(|(found, reference)| f64::from((found - reference).abs()));
    // A NaN must not pass for no difference, as it would in f64::max.
    let worst =
        differences.fold(0.0, |worst: f64, next| if next.is_nan() || next > worst { next } else { worst });
    worst / f64::from(greatest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_equal_to_itself_to_the_bit() {
        let parity = parity(&Device::flex(), true, false);
        assert_eq!(parity, Parity { loss: 0.0, gradients: 0.0, weights: 0.0 });
    }

    #[test]
    fn tensor_operations_agree_with_the_host_path() {
        let parity = parity(&Device::flex(), false, false);
        assert!(parity.holds(), "{parity:?}");
    }

    #[test]
    fn kilns_own_kernels_agree_with_burns_autodiff() {
        let parity = parity(&Device::flex(), true, true);
        assert!(parity.holds() && parity.loss < 1e-6 && parity.gradients < 1e-4, "{parity:?}");
    }

    #[test]
    fn a_difference_that_is_no_number_does_not_hold() {
        assert!(difference(&[f32::NAN, 1.0], &[1.0, 1.0]).is_nan());
        assert!(!Parity { loss: f64::NAN, gradients: 0.0, weights: 0.0 }.holds());
    }
}
