//! One training step, compared with the same step by Burn's own operations on the CPU.

use burn::tensor::{Device, Int, Tensor, TensorData};
use kiln_config::random::{Purpose, Stream};
use kiln_config::{Activation, Experiment, Model, Optimizer, OptimizerName};
use kiln_data::{Batch, Pass};
use kiln_kernels::{Fused, UpdateRule};
use kiln_model::{Mlp, Parameter, StepOutput};
use schemars::JsonSchema;
use serde::Serialize;

use crate::learning::Learning;

const SEED: u64 = 42;
/// Enough for several threads, and for sizes that no block divides.
const SHAPE: [usize; 2] = [300, 10];
const HIDDEN: [usize; 2] = [200, 33];
const EXAMPLES: usize = 100;
const LEARNING_RATE: f64 = 0.1;
/// Single precision sums in another order on a GPU; more than this is a wrong result.
const TOLERANCE: f64 = 1e-3;

/// How far a device is off the CPU after one step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Parity {
    /// Difference of the loss, relative to the CPU's.
    #[schemars(with = "Option<f64>")]
    pub loss: f64,
    /// Greatest difference of a gradient entry, relative to the greatest entry; the entry is what the step moved the
    /// weight by, over the learning rate.
    #[schemars(with = "Option<f64>")]
    pub gradients: f64,
    /// Greatest difference of a weight after the step, relative to the greatest weight.
    #[schemars(with = "Option<f64>")]
    pub weights: f64,
}

impl Parity {
    /// True when the device computes what the CPU computes, but for rounding.
    #[must_use]
    pub fn holds(&self) -> bool {
        [self.loss, self.gradients, self.weights].iter().all(|difference| *difference <= TOLERANCE)
    }
}

/// Takes one step of stochastic gradient descent on a small network with the same weights, examples and dropout masks,
/// by Burn's own operations on the CPU and on `device`, with Kiln's kernels there if `fused`.
#[must_use]
pub fn parity(device: &Device, fused: Fused) -> Parity {
    let reference = taken(&Device::flex(), Fused::Off);
    let found = taken(device, fused);
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

fn taken(device: &Device, fused: Fused) -> Taken {
    let device = device.clone().autodiff();
    let model =
        Model { hidden: HIDDEN.to_vec(), activation: Activation::Tanh, dropout: 0.2, ..Model::default() };
    let optimizer = Optimizer { name: OptimizerName::Sgd, momentum: 0.0, ..Optimizer::default() };
    let experiment = Experiment { model, optimizer, seed: SEED, ..Experiment::default() };
    let mlp = Mlp::new(&experiment, SHAPE, fused, &device).expect("drawn weights fit");
    let rule = UpdateRule::new(&experiment.optimizer, fused);
    let mut learning = Learning::new(mlp, rule.into(), &experiment);
    let values = |parameters: Vec<Parameter>| -> Vec<f32> {
        parameters.into_iter().flat_map(|parameter| parameter.values).collect()
    };
    let before = values(learning.parameters());
    let loss = learning.forward_backward(batch(&device)).tally().loss() as f32;
    learning.step(LEARNING_RATE, false);
    let weights = values(learning.parameters());
    let rate = LEARNING_RATE as f32;
    let gradients = before.iter().zip(&weights).map(|(before, after)| (before - after) / rate).collect();
    Taken { loss, gradients, weights }
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
    // A NaN must not pass for no difference, as it would in f64::max.
    let worst =
        differences.fold(0.0, |worst: f64, next| if next.is_nan() || next > worst { next } else { worst });
    worst / f64::from(greatest)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_difference_that_is_no_number_does_not_hold() {
        assert!(difference(&[f32::NAN, 1.0], &[1.0, 1.0]).is_nan());
        assert!(!Parity { loss: f64::NAN, gradients: 0.0, weights: 0.0 }.holds());
    }
}
