//! Contract.

use burn::backend::ExecutionError;
use burn::module::{Module, ModuleDisplay};
use burn::tensor::activation::{log_softmax, sigmoid};
use burn::tensor::{Int, Tensor};
use burn::train::{ClassificationOutput, InferenceStep, ItemLazy, TrainStep};
use kiln_config::{Activation, Output};
use kiln_data::Batch;
use kiln_kernels::{Fused, cross_entropy, greatest, hits, softmax};
use serde::{Deserialize, Serialize};

/// A Burn module that Kiln trains, tests and predicts with.
///
/// Burn's `TrainStep` and `InferenceStep` are the contract; their input is made of a [`Batch`], or is one, and their
/// output is a [`StepOutput`], such as [`Classified`](crate::Classified) or Burn's own `ClassificationOutput`. For a
/// module that has them, `impl Model for MyNetwork {}` is all it takes.
///
/// Before every training step Kiln seeds the device's random numbers from the experiment's seed and the step, so that
/// whatever Burn draws within a step (its `Dropout`, noise) is the same after a resume. On a CPU Burn has one stream of
/// random numbers for the whole process, so a process trains one such model at a time.
pub trait Model:
    Module
    + ModuleDisplay
    + TrainStep<Input: From<Batch> + Clone, Output: StepOutput>
    + InferenceStep<Input = <Self as TrainStep>::Input, Output = <Self as TrainStep>::Output>
    + 'static
{
    /// What some layers give out in this step, first to last: the health of a run is measured on it, and the place
    /// where figures become non-finite is sought there. Without any, both follow from the parameters alone.
    fn probes(&self, _input: <Self as TrainStep>::Input) -> Vec<Probe> {
        Vec::new()
    }

    /// Whether `loss.l1` and `loss.l2` act on the parameter at `path`, which has `rank` dimensions; by default on
    /// those of two and more, so that biases and scales are left out.
    fn is_penalized(&self, _path: &str, rank: usize) -> bool {
        rank >= 2
    }

    /// Whether `optimizer.weight_decay` acts on the parameter at `path`, which has `rank` dimensions; by default on
    /// all, as in PyTorch.
    fn is_decayed(&self, _path: &str, _rank: usize) -> bool {
        true
    }
}

/// What a layer gives out for a batch.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The layer: the path of its parameters without the last part, such as `layers.0`.
    pub layer: String,
    /// The activation that the outputs come from.
    pub activation: Activation,
    /// The outputs after the activation, shape [batch, units].
    pub outputs: Tensor<2>,
}

/// What a step gives out, on the device until it is read.
pub trait StepOutput: ItemLazy + 'static {
    /// Loss, hits and counts of the batch, brought to the host.
    fn tally(self) -> Tally;

    /// What the model says of each example, brought to the host.
    fn predicted(self) -> Predicted;
}

/// What a model says of the examples of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predicted {
    /// The class of the greatest score of each example, the first of several that are equal; a score that is NaN is
    /// never the greatest.
    pub classes: Vec<u32>,
    /// The probability of every class, example after example.
    pub probabilities: Vec<f32>,
    /// The loss of each example; under class weights multiplied by its weight.
    pub losses: Vec<f32>,
}

/// Sums over examples, from which whole-split figures follow; never a mean of batch means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Sum of the loss over examples.
    pub loss_sum: f64,
    /// Sum of the examples' weights in the mean; their number where no class weights are given.
    pub weight: f64,
    /// Examples whose most probable class is the true one.
    pub correct: u64,
    /// Examples seen.
    pub examples: u64,
}

impl Tally {
    /// Adds the examples of another tally.
    pub fn merge(&mut self, other: &Self) {
        self.loss_sum += other.loss_sum;
        self.weight += other.weight;
        self.correct += other.correct;
        self.examples += other.examples;
    }

    /// The mean loss; NaN before the first example.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.loss_sum / self.weight
    }

    /// The share of correct examples, in [0, 1]; NaN before the first example.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.examples as f64
    }
}

/// A step's result of a classifier: scores and losses of a batch, without autodiff.
#[derive(Clone, Debug)]
pub struct Classified {
    /// The last layer's values, shape [batch, classes].
    logits: Tensor<2>,
    /// The loss of each example, shape `[batch]`; under class weights multiplied by its weight.
    losses: Tensor<1>,
    /// The weight of each example in the mean, shape `[batch]`; 1 without.
    weights: Option<Tensor<1>>,
    targets: Tensor<1, Int>,
    output: Output,
    fused: Fused,
}

impl Classified {
    /// `logits`, shape [batch, classes], and `losses`, shape `[batch]`, of examples whose classes are `targets`, shape
    /// `[batch]`; the probabilities are the logits' softmax.
    #[must_use]
    pub fn new(logits: Tensor<2>, losses: Tensor<1>, targets: Tensor<1, Int>) -> Self {
        let (logits, losses) = (logits.without_autodiff(), losses.without_autodiff());
        let targets = targets.without_autodiff();
        Self { logits, losses, weights: None, targets, output: Output::Logits, fused: Fused::On }
    }

    /// The same with a weight for each example, shape `[batch]`, by which its loss is multiplied already.
    #[must_use]
    pub(crate) fn with_weights(self, weights: Option<Tensor<1>>) -> Self {
        Self { weights: weights.map(Tensor::without_autodiff), ..self }
    }

    /// The same with what the logits are turned into, from which the probabilities follow.
    #[must_use]
    pub(crate) fn with_output(self, output: Output, fused: Fused) -> Self {
        Self { output, fused, ..self }
    }
}

impl ItemLazy for Classified {
    fn sync(self) -> Result<Self, ExecutionError> {
        self.losses.device().flush()?;
        Ok(self)
    }
}

impl StepOutput for Classified {
    fn tally(self) -> Tally {
        let [examples, _] = self.logits.dims();
        let correct = hits(self.logits, self.targets).into_scalar::<i64>().unsigned_abs();
        let weight = self.weights.map_or(examples as f64, sum);
        Tally { loss_sum: sum(self.losses), weight, correct, examples: examples as u64 }
    }

    fn predicted(self) -> Predicted {
        let [_, classes] = self.logits.dims();
        let probabilities = match self.output {
            Output::Sigmoid => {
                let output = sigmoid(self.logits.clone());
                let total = output.clone().sum_dim(1);
                output / total
            }
            _ => softmax(self.logits.clone(), self.fused),
        };
        Predicted {
            probabilities: values(probabilities),
            losses: values(self.losses),
            classes: values(self.logits).chunks_exact(classes).map(|row| greatest(row) as u32).collect(),
        }
    }
}

fn sum(tensor: Tensor<1>) -> f64 {
    values(tensor).into_iter().map(f64::from).sum()
}

pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("all of Kiln's float tensors are 32-bit")
}

/// `output` is taken for logits, and `loss` for the mean over the batch.
impl StepOutput for ClassificationOutput {
    fn tally(self) -> Tally {
        let [examples] = self.targets.dims();
        let correct = hits(self.output, self.targets).into_scalar::<i64>().unsigned_abs();
        let loss = f64::from(self.loss.into_scalar::<f32>());
        let weight = examples as f64;
        Tally { loss_sum: loss * weight, weight, correct, examples: examples as u64 }
    }

    fn predicted(self) -> Predicted {
        let [_, classes] = self.output.dims();
        Predicted {
            losses: values(cross_entropy(self.output.clone(), self.targets, Fused::On)),
            probabilities: values(log_softmax(self.output.clone(), 1).exp()),
            classes: values(self.output).chunks_exact(classes).map(|row| greatest(row) as u32).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_batch_counts_by_its_examples() {
        let mut tally = Tally::default();
        tally.merge(&Tally { loss_sum: 3.0, weight: 3.0, correct: 3, examples: 3 });
        tally.merge(&Tally { loss_sum: 5.0, weight: 1.0, correct: 0, examples: 1 });
        assert_eq!((tally.loss(), tally.accuracy()), (2.0, 0.75));
    }
}
