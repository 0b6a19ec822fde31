//! Predictions for many examples, batch by batch.

use burn::tensor::{Int, Tensor, TensorData};
use kiln_cpu::{Buffers, Network, Pass, greatest, softmax};

use crate::{Loss, Mlp};

/// A network that predicts: on a CPU without tensors where it can, else by Burn.
pub struct Predictor<'a> {
    mlp: &'a Mlp,
    loss: &'a Loss,
    /// The network without tensors, where it is to be used.
    network: Option<Network>,
    buffers: Buffers,
}

/// What a network says of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predicted {
    /// The class of the greatest output of each example, the first of several that are equal; an output that is NaN
    /// is never the greatest.
    pub classes: Vec<u32>,
    /// The probability of every class, example after example.
    pub probabilities: Vec<f32>,
    /// The loss of each example; under class weights multiplied by its weight.
    pub losses: Vec<f32>,
}

impl<'a> Predictor<'a> {
    /// A predictor with the weights that `mlp` has now; `fused` asks for [`kiln_cpu`] in place of Burn.
    #[must_use]
    pub fn new(mlp: &'a Mlp, loss: &'a Loss, fused: bool) -> Self {
        Self { mlp, loss, network: fused.then(|| mlp.to_network()), buffers: Buffers::default() }
    }

    /// What the network says of `features`, shape [batch, inputs], whose classes are `targets`, shape `[batch]`.
    pub fn predict(&mut self, features: Tensor<2>, targets: Tensor<1, Int>, pass: Pass) -> Predicted {
        let Some(network) = &self.network else {
            return self.of_output(self.mlp.forward(features, pass), targets);
        };
        let device = features.device();
        let features = values(features);
        let logits = network.forward(&features, pass, &mut self.buffers);
        if self.loss.is_plain_cross_entropy(self.mlp.output()) {
            let labels: Vec<usize> =
                targets.into_data().iter::<i64>().map(|target| target as usize).collect();
            return of_logits(logits, &labels);
        }
        let examples = targets.dims()[0];
        let logits = TensorData::new(logits.to_vec(), [examples, logits.len() / examples]);
        let output = self.mlp.output_of(Tensor::from_data(logits, &device));
        self.of_output(output, targets)
    }

    fn of_output(&self, output: Tensor<2>, targets: Tensor<1, Int>) -> Predicted {
        let [_, classes] = output.dims();
        let losses = values(self.loss.per_example(output.clone(), targets));
        let probabilities = values(self.mlp.probabilities(output.clone()));
        let classes = values(output).chunks_exact(classes).map(|row| greatest(row) as u32).collect();
        Predicted { classes, probabilities, losses }
    }
}

fn of_logits(logits: &[f32], labels: &[usize]) -> Predicted {
    let width = logits.len() / labels.len();
    let mut predicted = Predicted { probabilities: logits.to_vec(), ..Predicted::default() };
    for (row, &label) in predicted.probabilities.chunks_exact_mut(width).zip(labels) {
        predicted.classes.push(greatest(row) as u32);
        predicted.losses.push(softmax(row, label));
    }
    predicted
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("all of Kiln's float tensors are 32-bit")
}
