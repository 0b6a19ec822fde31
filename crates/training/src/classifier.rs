//! The network with its loss, as Burn's Learner trains it.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Int, Tensor};
use burn::train::{InferenceStep, TrainOutput, TrainStep};
use kiln_data::Batch;
use kiln_model::{Loss, Mlp, Pass, Tally, correct};

use crate::Figures;

/// A multilayer perceptron with the loss that it is trained on.
#[derive(Module, Debug)]
pub struct Classifier {
    /// The network.
    pub mlp: Mlp,
    #[module(skip)]
    loss: Loss,
}

/// What a training step found, still on the device.
pub(crate) struct DeviceOutput {
    pub(crate) loss: Tensor<1>,
    pub(crate) correct: Tensor<1, Int>,
    pub(crate) examples: u64,
}

impl DeviceOutput {
    /// Reads the figures back from the device and adds them to `tally`; returns the batch's mean loss.
    pub(crate) fn read_into(self, tally: &mut Tally) -> f64 {
        let loss = f64::from(self.loss.into_scalar::<f32>());
        let correct = self.correct.into_scalar::<i64>().unsigned_abs();
        tally.add_mean(loss, correct, self.examples);
        loss
    }
}

impl Classifier {
    /// Joins a network and its loss.
    #[must_use]
    pub fn new(mlp: Mlp, loss: Loss) -> Self {
        Self { mlp, loss }
    }

    /// One forward and backward pass; the loss that is reported leaves out the penalty on the weights.
    pub(crate) fn forward_backward(&self, batch: Batch) -> (GradientsParams, DeviceOutput) {
        let (objective, output) = self.forward(batch);
        (self.backward(&objective), output)
    }

    /// The mean loss of a batch with the penalty on the weights, and what is reported of it.
    pub(crate) fn forward(&self, batch: Batch) -> (Tensor<1>, DeviceOutput) {
        let output = self.mlp.forward(batch.features, Pass::Training { step: batch.step });
        let (loss, figures) = self.figures(output, batch.targets);
        match self.loss.penalty(&self.mlp) {
            Some(penalty) => (loss + penalty, figures),
            None => (loss, figures),
        }
    }

    /// The mean loss of a batch, given the last layer's values, and what is reported of it.
    pub(crate) fn loss_of_logits(
        &self,
        logits: Tensor<2>,
        targets: Tensor<1, Int>,
    ) -> (Tensor<1>, DeviceOutput) {
        self.figures(self.mlp.output_of(logits), targets)
    }

    fn figures(&self, output: Tensor<2>, targets: Tensor<1, Int>) -> (Tensor<1>, DeviceOutput) {
        let [examples, _] = output.dims();
        let loss = self.loss.mean(output.clone(), targets.clone());
        let correct = correct(output.inner(), targets);
        (loss.clone(), DeviceOutput { loss: loss.inner(), correct, examples: examples as u64 })
    }

    /// The loss that the network is trained on.
    pub(crate) fn loss(&self) -> &Loss {
        &self.loss
    }

    /// Whether that is the cross-entropy of the softmax of the last layer's values and no more.
    pub(crate) fn is_plain_cross_entropy(&self) -> bool {
        self.loss.is_plain_cross_entropy(self.mlp.output())
    }

    /// The gradient of every parameter.
    pub(crate) fn backward(&self, objective: &Tensor<1>) -> GradientsParams {
        GradientsParams::from_grads(objective.backward(), self)
    }

    /// Adds a batch's inference to `tally`.
    pub(crate) fn infer_into(&self, batch: Batch, tally: &mut Tally) {
        let output = self.mlp.forward(batch.features, Pass::Inference);
        self.loss.tally(output, batch.targets, tally);
    }
}

impl TrainStep for Classifier {
    type Input = Batch;
    type Output = Figures;

    fn step(&self, batch: Batch) -> TrainOutput<Figures> {
        let (grads, output) = self.forward_backward(batch);
        let mut figures = Figures::default();
        output.read_into(&mut figures.tally);
        TrainOutput { grads, item: figures }
    }
}

impl InferenceStep for Classifier {
    type Input = Batch;
    type Output = Figures;

    fn step(&self, batch: Batch) -> Figures {
        let mut figures = Figures::default();
        self.infer_into(batch, &mut figures.tally);
        figures
    }
}
