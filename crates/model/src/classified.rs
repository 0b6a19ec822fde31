//! What a classifier says of a batch.

use burn::backend::ExecutionError;
use burn::tensor::activation::sigmoid;
use burn::tensor::{Int, Tensor};
use burn::train::ItemLazy;
use kiln_config::Output;
use kiln_kernels::{Fused, greatest, hits, softmax};

use crate::{Predicted, StepOutput, Tally};

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
