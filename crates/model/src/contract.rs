//! What Kiln requires of a model and of the output of its steps.
//!
//! Burn's own `ClassificationOutput` has the mean loss of a batch, in single precision. Means of batches do not add up to
//! the mean of a split: a short last batch and class weights distort them. A [`StepOutput`] therefore gives a [`Tally`],
//! sums in double precision, and every figure of a split is computed from the sum of its tallies.

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
/// The module needs Burn's `TrainStep` and `InferenceStep`. Their input is a [`Batch`] or is made from one, and their
/// output is a [`StepOutput`], such as [`Classified`] or Burn's own `ClassificationOutput`. For such a module,
/// `impl Model for MyNetwork {}` is enough.
///
/// Before every training step, Kiln seeds the device from the experiment's seed and the step. So everything that Burn
/// draws within a step (its `Dropout`, noise) is the same after a resume. On a CPU, Burn has one random stream for the
/// whole process, so a process can train only one such model at a time.
pub trait Model:
    Module
    + ModuleDisplay
    + TrainStep<Input: From<Batch> + Clone, Output: StepOutput>
    + InferenceStep<Input = <Self as TrainStep>::Input, Output = <Self as TrainStep>::Output>
    + 'static
{
    /// The outputs of layers for this input, first to last. Kiln measures dead and saturated units on them, and looks in
    /// them for the first non-finite value. Without probes, it uses the parameters alone.
    fn probes(&self, _input: <Self as TrainStep>::Input) -> Vec<Probe> {
        Vec::new()
    }

    /// Whether `loss.l1` and `loss.l2` act on the parameter at `path`, which has `rank` dimensions. The default is two or
    /// more dimensions, which excludes biases and scales.
    fn is_penalized(&self, _path: &str, rank: usize) -> bool {
        rank >= 2
    }

    /// Whether `optimizer.weight_decay` acts on the parameter at `path`, which has `rank` dimensions. The default is all
    /// parameters, as in PyTorch.
    fn is_decayed(&self, _path: &str, _rank: usize) -> bool {
        true
    }
}

/// The outputs of a layer for a batch.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The layer's path in the module, such as `layers.0`.
    pub layer: String,
    /// The activation of the layer.
    pub activation: Activation,
    /// The outputs after the activation, shape [batch, units].
    pub outputs: Tensor<2>,
}

/// The output of a step. It stays on the device until one of these methods reads it.
pub trait StepOutput: ItemLazy + 'static {
    /// The sums of loss and hits over the batch.
    fn tally(self) -> Tally;

    /// The prediction for each example.
    fn predicted(self) -> Predicted;
}

/// The predictions for the examples of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predicted {
    /// The class with the greatest score for each example; the first of several equal ones. A NaN is never the greatest.
    pub classes: Vec<u32>,
    /// The probability of every class, example after example.
    pub probabilities: Vec<f32>,
    /// The loss of each example. Under class weights it is multiplied by the example's weight.
    pub losses: Vec<f32>,
}

/// Sums over examples, from which the figures of a whole split follow.
///
/// ```
/// use kiln_model::Tally;
///
/// let mut split = Tally { loss_sum: 3.0, weight: 3.0, correct: 3, examples: 3 };
/// split.merge(&Tally { loss_sum: 5.0, weight: 1.0, correct: 0, examples: 1 });
/// assert_eq!(split.loss(), 2.0); // The mean of the batch means would be 3.
/// assert_eq!(split.accuracy(), 0.75);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Sum of the losses, each multiplied by its example's weight.
    pub loss_sum: f64,
    /// Sum of the examples' weights; without class weights, the number of examples.
    pub weight: f64,
    /// Examples whose most probable class is the true one.
    pub correct: u64,
    /// Number of examples.
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

    /// The share of correct predictions, in [0, 1]; NaN before the first example.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.examples as f64
    }
}

/// The output of a classifier's step: scores and losses of a batch, without autodiff.
#[derive(Clone, Debug)]
pub struct Classified {
    /// Shape [batch, classes].
    logits: Tensor<2>,
    /// The loss of each example multiplied by its weight, shape `[batch]`.
    losses: Tensor<1>,
    /// The weight of each example, shape `[batch]`; all 1 if absent.
    weights: Option<Tensor<1>>,
    targets: Tensor<1, Int>,
    output: Output,
    fused: Fused,
}

impl Classified {
    /// `logits` have shape [batch, classes], `losses` and `targets` (the true classes) shape `[batch]`. The probabilities
    /// are the softmax of the logits.
    #[must_use]
    pub fn new(logits: Tensor<2>, losses: Tensor<1>, targets: Tensor<1, Int>) -> Self {
        let (logits, losses) = (logits.without_autodiff(), losses.without_autodiff());
        let targets = targets.without_autodiff();
        Self { logits, losses, weights: None, targets, output: Output::Logits, fused: Fused::On }
    }

    /// Adds the weight of each example, shape `[batch]`. The losses must contain it already.
    #[must_use]
    pub(crate) fn with_weights(self, weights: Option<Tensor<1>>) -> Self {
        Self { weights: weights.map(Tensor::without_autodiff), ..self }
    }

    /// Sets the output function from which the probabilities are computed.
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

/// Burn's own output: a module that returns it trains as it is. Kiln takes its `output` as logits, and its `loss` as
/// the mean over the batch.
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
