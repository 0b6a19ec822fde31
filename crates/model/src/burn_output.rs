//! Burn's own output of a classifier, so that a module that gives it trains as it is.

use burn::tensor::activation::log_softmax;
use burn::train::ClassificationOutput;
use kiln_kernels::{Fused, cross_entropy, greatest, hits};

use crate::classified::values;
use crate::{Predicted, StepOutput, Tally};

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
