//! The multilayer perceptron as a Burn module.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};
use burn::train::{InferenceStep, TrainOutput, TrainStep};
use kiln_config::{Activation, Experiment};
use kiln_data::{Batch, Pass};
use kiln_kernels::{Dropping, Ending, Fused, dropout_factors, linear};

use crate::initialization::{check_weights, layer_widths, start_layer};
use crate::{Classified, Dropout, Loss, Model, ModelError, Probe};

/// A multilayer perceptron with the loss that it is trained on: linear layers with an activation and dropout after
/// each but the last.
#[derive(Module, Debug)]
pub struct Mlp {
    layers: Vec<Linear>,
    #[module(skip)]
    head: Head,
}

/// What is fixed about a network besides its weights.
#[derive(Clone, Debug)]
struct Head {
    activation: Activation,
    dropout: Dropout,
    loss: Loss,
    fused: Fused,
}

impl Mlp {
    /// Builds the network that `experiment` describes for `inputs` features and `classes` classes on `device`.
    ///
    /// # Errors
    /// Where explicit weights or class weights do not fit.
    pub fn new(
        experiment: &Experiment,
        [inputs, classes]: [usize; 2],
        fused: Fused,
        device: &Device,
    ) -> Result<Self, ModelError> {
        let Experiment { model, loss, seed, .. } = experiment;
        let loss = Loss::new(loss, model.output, classes)?;
        check_weights(model, [inputs, classes])?;
        let widths = layer_widths(model, [inputs, classes]);
        let layers = widths
            .windows(2)
            .enumerate()
            .map(|(layer, pair)| {
                let shape = [pair[0], pair[1]];
                let start = start_layer(model, layer, shape, *seed);
                linear_layer(start.weight, model.bias.then_some(start.bias), shape, device)
            })
            .collect();
        let dropout = Dropout { probability: model.dropout, mode: model.dropout_mode, seed: *seed };
        Ok(Self { layers, head: Head { activation: model.activation, dropout, loss, fused } })
    }

    /// The network's output for `features` of shape [batch, inputs]: shape [batch, classes].
    #[must_use]
    pub fn forward(&self, features: Tensor<2>, pass: Pass) -> Tensor<2> {
        self.head.loss.output(self.logits(features, pass))
    }

    /// The linear layers, first to last.
    #[must_use]
    pub fn layers(&self) -> &[Linear] {
        &self.layers
    }

    /// The last layer's values for `features` of shape [batch, inputs]: shape [batch, classes].
    fn logits(&self, features: Tensor<2>, pass: Pass) -> Tensor<2> {
        let layers = self.layers.iter().enumerate();
        layers.fold(features, |input, (index, layer)| {
            let dropping =
                if self.is_last(index) { Dropping::None } else { self.head.dropout.dropping(index, pass) };
            self.layer(layer, input, Ending { activation: self.activation_of(index), dropping })
        })
    }

    fn layer(&self, layer: &Linear, input: Tensor<2>, ending: Ending) -> Tensor<2> {
        let bias = layer.bias.as_ref().map(Param::val);
        linear(input, layer.weight.val(), bias, ending, self.head.fused)
    }

    fn is_last(&self, layer: usize) -> bool {
        layer + 1 == self.layers.len()
    }

    fn activation_of(&self, layer: usize) -> Activation {
        if self.is_last(layer) { Activation::Identity } else { self.head.activation }
    }

    /// The loss of a batch: its mean, and what the step gives out.
    fn loss(&self, batch: Batch) -> (Tensor<1>, Classified) {
        let Head { loss, fused, .. } = &self.head;
        let logits = self.logits(batch.features, batch.pass);
        let losses = loss.per_example(logits.clone(), batch.targets.clone(), *fused);
        let weights = loss.target_weights(&batch.targets);
        let mean = loss.mean(losses.clone(), weights.as_ref());
        let classified = Classified::new(logits, losses, batch.targets);
        (mean, classified.with_weights(weights).with_output(loss.output_name(), *fused))
    }
}

impl TrainStep for Mlp {
    type Input = Batch;
    type Output = Classified;

    fn step(&self, batch: Batch) -> TrainOutput<Classified> {
        let (loss, output) = self.loss(batch);
        TrainOutput::new(self, loss.backward(), output)
    }
}

impl InferenceStep for Mlp {
    type Input = Batch;
    type Output = Classified;

    fn step(&self, batch: Batch) -> Classified {
        self.loss(batch).1
    }
}

impl Model for Mlp {
    fn probes(&self, batch: Batch) -> Vec<Probe> {
        let mut input = batch.features;
        let layers = self.layers.iter().enumerate().map(|(index, layer)| {
            let activation = self.activation_of(index);
            let ending = Ending { activation, dropping: Dropping::None };
            let outputs = self.layer(layer, input.clone(), ending);
            input = match self.head.dropout.dropping(index, batch.pass) {
                Dropping::None => outputs.clone(),
                Dropping::Scale(factor) => outputs.clone() * factor,
                Dropping::Mask(mask) => outputs.clone() * dropout_factors(outputs.clone(), mask),
            };
            Probe { layer: format!("layers.{index}"), activation, outputs }
        });
        layers.collect()
    }
}

fn linear_layer(
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
    [inputs, outputs]: [usize; 2],
    device: &Device,
) -> Linear {
    Linear {
        weight: Param::from_data(TensorData::new(weight, [inputs, outputs]), device),
        bias: bias.map(|bias| Param::from_data(TensorData::new(bias, [outputs]), device)),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Int;
    use kiln_config::random::{Purpose, Stream};

    use super::*;
    use crate::{StepOutput, Tally};

    /// A mean of batch means would depend on how the examples are cut.
    #[test]
    fn a_training_loss_under_class_weights_is_that_of_all_examples_whatever_the_batch() {
        let mut experiment = Experiment::default();
        experiment.model.hidden = vec![8];
        experiment.loss.class_weights = kiln_config::ClassWeights::Each(vec![1.0, 5.0, 20.0]);
        let device = Device::flex().autodiff();
        let mut stream = Stream::new(1, Purpose::Sampling, &[]);
        let features: Vec<f32> = (0..61 * 4).map(|_| stream.normal() as f32).collect();
        let targets: Vec<i64> = (0..61).map(|_| i64::from(stream.below(3) as u32)).collect();
        for fused in [Fused::On, Fused::Off] {
            let mlp = Mlp::new(&experiment, [4, 3], fused, &device).expect("drawn weights fit");
            let loss = |size: usize| {
                let mut tally = Tally::default();
                for (features, targets) in features.chunks(4 * size).zip(targets.chunks(size)) {
                    let batch = Batch {
                        features: Tensor::from_data(
                            TensorData::new(features.to_vec(), [targets.len(), 4]),
                            &device,
                        ),
                        targets: Tensor::<1, Int>::from_data(
                            TensorData::new(targets.to_vec(), [targets.len()]),
                            &device,
                        ),
                        pass: Pass::Training { step: 0 },
                    };
                    tally.merge(&TrainStep::step(&mlp, batch).item.tally());
                }
                assert_eq!(tally.examples, 61);
                tally.loss()
            };
            let whole = loss(61);
            assert!([1, 4, 16].into_iter().all(|size| (loss(size) / whole - 1.0).abs() < 1e-6), "{fused:?}");
        }
    }
}
