//! Starting values of one layer.

use kiln_config::random::{Purpose, Stream};
use kiln_config::{Initialization, LayerWeights, Model};

use crate::ModelError;

/// Starting values of a layer: weights row-major of shape [inputs, outputs], biases of shape `[outputs]`.
pub(crate) struct LayerStart {
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
}

/// Draws (or takes) the starting values of layer number `layer` of member number `member`, both from 0.
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

/// The random numbers that a part of a member starts with. The first member's are those of a network without others.
pub(crate) fn stream(member: usize, part: u64, seed: u64) -> Stream {
    let indices = [part, member as u64];
    Stream::new(seed, Purpose::Initialization, if member == 0 { &indices[..1] } else { &indices })
}

pub(crate) fn draw(count: usize, mut next: impl FnMut() -> f64) -> Vec<f32> {
    (0..count).map(|_| next() as f32).collect()
}

/// Checks explicit weights against a network of `inputs` features and `classes` classes.
///
/// # Errors
/// Where the number of layers or a shape does not fit; never where weights are drawn.
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

/// Widths from the input to the output.
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

/// Explicit values of a layer; biases that are left out are zero.
fn explicit(given: &LayerWeights, outputs: usize) -> (Vec<f32>, Vec<f32>) {
    let weight = given.weight.iter().flatten().map(|&value| value as f32).collect();
    let mut bias: Vec<f32> = given.bias.iter().map(|&value| value as f32).collect();
    bias.resize(outputs, 0.0);
    (weight, bias)
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
    fn the_gain_is_a_factor_on_what_is_drawn() {
        let start = |initialization_gain| {
            let model = Model { initialization_gain, ..Model::default() };
            start_layer(&model, [0, 0], [4, 3], 3)
        };
        let (plain, large) = (start(1.0), start(4.0));
        assert!(plain.weight.iter().zip(&large.weight).all(|(plain, large)| plain * 4.0 == *large));
        assert!(plain.bias.iter().zip(&large.bias).all(|(plain, large)| plain * 4.0 == *large));
    }

    #[test]
    fn pytorch_stays_within_its_bound_and_draws_biases() {
        let LayerStart { weight, bias } = start(Initialization::Pytorch);
        assert!(weight.iter().chain(&bias).all(|value| value.abs() <= 0.05));
        assert!(bias.iter().any(|&value| value != 0.0));
    }
}
