//! What Kiln asks of a model.

use burn::module::{Module, ModuleDisplay};
use burn::tensor::Tensor;
use burn::train::{InferenceStep, ItemLazy, TrainStep};
use kiln_config::Activation;
use kiln_data::Batch;

use crate::Tally;

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
