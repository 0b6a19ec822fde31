//! The parts of the perceptron: starting values of its layers, the embedding of numbers, and dropout.
//!
//! All random numbers come from streams without state, named by seed, purpose, layer and member. The first of several
//! members draws the same numbers as a network that is alone.

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use kiln_config::random::{Purpose, Stream};
use kiln_config::{DropoutMode, Initialization, LayerWeights, Model};
use kiln_data::Pass;
use kiln_kernels::{DropoutMask, Dropping, EmbeddedColumns, Fused, periodic};

use crate::ModelError;

/// The starting values of a layer: weights, row-major with shape [inputs, outputs], and biases, shape `[outputs]`.
pub(crate) struct LayerStart {
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
}

/// The starting values of layer `layer` of member `member`, both from 0: drawn, or taken from `model.weights`.
pub(crate) fn start_layer(
    model: &Model,
    [member, layer]: [usize; 2],
    [inputs, outputs]: [usize; 2],
    seed: u64,
) -> LayerStart {
    let gain = model.initialization_gain;
    let stream = &mut stream(member, layer as u64, seed);
    let (fan_in, fan_out) = (inputs as f64, outputs as f64);
    let size = inputs * outputs;
    let uniform = |stream: &mut Stream, bound: f64, count| {
        draw(count, || (2.0 * stream.uniform() - 1.0) * bound * gain)
    };
    let normal = |stream: &mut Stream, deviation: f64| draw(size, || stream.normal() * deviation * gain);
    let constant = model.initialization_constant as f32;
    let zeros = vec![0.0; outputs];
    let (weight, bias): (Vec<f32>, Vec<f32>) = match model.initialization {
        Initialization::Pytorch => {
            let bound = fan_in.sqrt().recip();
            (uniform(stream, bound, size), uniform(stream, bound, outputs))
        }
        Initialization::XavierUniform => (uniform(stream, (6.0 / (fan_in + fan_out)).sqrt(), size), zeros),
        Initialization::XavierNormal => (normal(stream, (2.0 / (fan_in + fan_out)).sqrt()), zeros),
        Initialization::HeUniform => (uniform(stream, (6.0 / fan_in).sqrt(), size), zeros),
        Initialization::HeNormal => (normal(stream, (2.0 / fan_in).sqrt()), zeros),
        Initialization::Constant => (vec![constant; size], vec![constant; outputs]),
        Initialization::Explicit => explicit(&model.weights[layer], outputs),
    };
    LayerStart { weight, bias }
}

/// The random stream for the starting values of a part of a member.
pub(crate) fn stream(member: usize, part: u64, seed: u64) -> Stream {
    let indices = [part, member as u64];
    Stream::new(seed, Purpose::Initialization, if member == 0 { &indices[..1] } else { &indices })
}

pub(crate) fn draw(count: usize, mut next: impl FnMut() -> f64) -> Vec<f32> {
    (0..count).map(|_| next() as f32).collect()
}

/// Checks explicit weights against a network of `inputs` features and `classes` classes. Drawn weights always fit.
pub fn check_weights(model: &Model, [inputs, classes]: [usize; 2]) -> Result<(), ModelError> {
    if model.initialization != Initialization::Explicit {
        return Ok(());
    }
    let widths = layer_widths(model, [inputs, classes]);
    let expected = widths.len() - 1;
    if model.weights.len() != expected {
        return Err(ModelError::ExplicitLayers { found: model.weights.len(), expected });
    }
    for (layer, (given, pair)) in model.weights.iter().zip(widths.windows(2)).enumerate() {
        check_shape(given, layer, [pair[0], pair[1]], model.bias)?;
    }
    Ok(())
}

/// The widths of all layers, from the input to the output.
pub(crate) fn layer_widths(model: &Model, [inputs, classes]: [usize; 2]) -> Vec<usize> {
    std::iter::once(inputs).chain(model.hidden.iter().copied()).chain([classes]).collect()
}

fn check_shape(
    given: &LayerWeights,
    layer: usize,
    [inputs, outputs]: [usize; 2],
    with_bias: bool,
) -> Result<(), ModelError> {
    if given.weight.len() != inputs || given.weight.iter().any(|row| row.len() != outputs) {
        let found = vec![given.weight.len(), given.weight.first().map_or(0, Vec::len)];
        return Err(ModelError::ExplicitShape {
            layer,
            part: "weight",
            found,
            expected: vec![inputs, outputs],
        });
    }
    if with_bias && !given.bias.is_empty() && given.bias.len() != outputs {
        let found = vec![given.bias.len()];
        return Err(ModelError::ExplicitShape { layer, part: "bias", found, expected: vec![outputs] });
    }
    Ok(())
}

/// The explicit values of a layer. Biases that are left out are 0.
fn explicit(given: &LayerWeights, outputs: usize) -> (Vec<f32>, Vec<f32>) {
    let weight = given.weight.iter().flatten().map(|&value| value as f32).collect();
    let mut bias: Vec<f32> = given.bias.iter().map(|&value| value as f32).collect();
    bias.resize(outputs, 0.0);
    (weight, bias)
}

/// A periodic embedding of the numbers among the features, appended to the features.
///
/// Each number x becomes `cos(2 pi (f x + p))` for its own frequencies f and phases p, and a linear layer of its own
/// mixes these waves. All of it is learned. This is "PBLD" of Holzmueller et al. 2024 ("Better by default"), after
/// Gorishniy et al. 2022 ("On embeddings for numerical features").
#[derive(Module, Debug)]
pub(crate) struct Embedding {
    /// Shape [numbers * waves]. Frequencies, phases and biases are one-dimensional, so that `loss.l2` and the health
    /// figures do not treat them as the weights of a layer.
    frequency: Param<Tensor<1>>,
    /// In turns, shape [numbers * waves].
    phase: Param<Tensor<1>>,
    /// Shape [numbers, waves, size].
    weight: Param<Tensor<3>>,
    /// Shape [numbers * size].
    bias: Param<Tensor<1>>,
    #[module(skip)]
    columns: Arc<[usize]>,
}

/// Stands for the embedding in a random stream's name, in place of a layer's number.
const EMBEDDING: u64 = u64::MAX;

impl Embedding {
    /// The embedding of the features in `columns`, for member `member`, from 0.
    pub(crate) fn new(
        model: &kiln_config::Model,
        columns: &[usize],
        member: usize,
        seed: u64,
        device: &Device,
    ) -> Self {
        let (numbers, waves, size) = (columns.len(), model.embedding_frequencies, model.embedding_size);
        let stream = &mut stream(member, EMBEDDING, seed);
        let frequency = draw(numbers * waves, || stream.normal() * model.embedding_scale);
        let phase = draw(numbers * waves, || stream.uniform() - 0.5);
        // The same bound as in PyTorch's `Linear`.
        let bound = (waves as f64).sqrt().recip();
        let mut uniform = || (2.0 * stream.uniform() - 1.0) * bound;
        let weight = draw(numbers * waves * size, &mut uniform);
        let bias = draw(numbers * size, &mut uniform);
        let list = |values: Vec<f32>| {
            let length = values.len();
            Param::from_data(TensorData::new(values, [length]), device)
        };
        Self {
            frequency: list(frequency),
            phase: list(phase),
            weight: Param::from_data(TensorData::new(weight, [numbers, waves, size]), device),
            bias: list(bias),
            columns: columns.into(),
        }
    }

    /// The features, shape [batch, features], followed by the embedded ones.
    pub(crate) fn forward(&self, features: Tensor<2>, fused: Fused) -> Tensor<2> {
        let waves = [self.frequency.val(), self.phase.val()];
        let columns = EmbeddedColumns { columns: Arc::clone(&self.columns) };
        periodic(features, waves, self.weight.val(), self.bias.val(), columns, fused)
    }
}

/// Dropout after every hidden activation. Its masks are functions of (seed, step, layer, member).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// The probability that a unit is dropped, in [0, 1).
    pub probability: f64,
    /// Whether training or inference scales the outputs.
    pub mode: DropoutMode,
    /// The seed of the masks.
    pub seed: u64,
}

impl Dropout {
    /// The effect on the outputs of layer `layer` of member `member`, both from 0, in a pass.
    #[must_use]
    pub fn dropping(&self, [member, layer]: [usize; 2], pass: Pass) -> Dropping {
        let keep = 1.0 - self.probability;
        match (pass, self.mode) {
            _ if self.probability == 0.0 => Dropping::None,
            (Pass::Training { step }, mode) => {
                let indices = [step, layer as u64, member as u64];
                let indices = if member == 0 { &indices[..2] } else { &indices };
                let stream = Stream::new(self.seed, Purpose::Dropout, indices);
                let kept_value = match mode {
                    DropoutMode::Inverted => (1.0 / keep) as f32,
                    DropoutMode::Standard => 1.0,
                };
                Dropping::Mask(DropoutMask::new(stream, keep, kept_value))
            }
            (Pass::Inference, DropoutMode::Inverted) => Dropping::None,
            (Pass::Inference, DropoutMode::Standard) => Dropping::Scale(keep as f32),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(initialization: Initialization) -> LayerStart {
        let model = Model { initialization, ..Model::default() };
        start_layer(&model, [0, 0], [400, 100], 3)
    }

    fn deviation(values: &[f32]) -> f64 {
        let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / values.len() as f64;
        (values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
    }

    #[test]
    fn deviations_are_those_of_the_papers() {
        let cases = [
            (Initialization::Pytorch, 0.05 / 3.0_f64.sqrt()),
            (Initialization::XavierUniform, (2.0 / 500.0_f64).sqrt()),
            (Initialization::XavierNormal, (2.0 / 500.0_f64).sqrt()),
            (Initialization::HeUniform, (2.0 / 400.0_f64).sqrt()),
            (Initialization::HeNormal, (2.0 / 400.0_f64).sqrt()),
        ];
        for (initialization, expected) in cases {
            let found = deviation(&start(initialization).weight);
            assert!((found / expected - 1.0).abs() < 0.02, "{initialization:?}: {found} for {expected}");
        }
    }

    #[test]
    fn the_gain_multiplies_the_drawn_values() {
        let start = |initialization_gain| {
            let model = Model { initialization_gain, ..Model::default() };
            start_layer(&model, [0, 0], [4, 3], 3)
        };
        let (plain, large) = (start(1.0), start(4.0));
        assert!(plain.weight.iter().zip(&large.weight).all(|(plain, large)| plain * 4.0 == *large));
        assert!(plain.bias.iter().zip(&large.bias).all(|(plain, large)| plain * 4.0 == *large));
    }

    #[test]
    fn pytorchs_initialization_stays_within_its_bound_and_draws_biases() {
        let LayerStart { weight, bias } = start(Initialization::Pytorch);
        assert!(weight.iter().chain(&bias).all(|value| value.abs() <= 0.05));
        assert!(bias.iter().any(|&value| value != 0.0));
    }
}
