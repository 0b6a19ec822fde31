//! How each layer fares: the signs of exploding and vanishing gradients, of dead and saturated units.

use kiln_config::Activation;
use kiln_model::Parameter;

use crate::engine::Activations;

/// Distance from its limits at which a sigmoid counts as saturated; its slope is then below 0.05.
const SIGMOID_MARGIN: f64 = 0.05;
/// The same for tanh, whose range is twice as wide.
const TANH_MARGIN: f64 = 0.05;

/// One layer at one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LayerHealth {
    /// 2-norm of the gradient of its weights.
    pub(crate) gradient_norm: f64,
    /// 2-norm of its weights.
    pub(crate) weight_norm: f64,
    /// 2-norm of the step over the 2-norm of the weights.
    pub(crate) update_ratio: f64,
    /// Share of its units that no longer take part, in [0, 1]; none where the activation has no such state.
    pub(crate) inactive_share: Option<f64>,
}

/// All layers at one step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Health {
    pub(crate) layers: Vec<LayerHealth>,
    activation: Activation,
}

impl Health {
    /// The health of every layer, given the parameters before and after the step, the norm of each one's gradient,
    /// and what the hidden layers give out after it for the batch that it was taken on, if they can have inactive units.
    pub(crate) fn new(
        before: &[Parameter],
        after: &[Parameter],
        gradient_norms: &[f64],
        activation: Activation,
        hidden: &[Activations],
    ) -> Self {
        let mut inactive = hidden.iter().map(|hidden| inactive_share(activation).map(|share| share(hidden)));
        let weights = before.iter().zip(after).zip(gradient_norms);
        let weights = weights.filter(|((before, _), _)| before.shape.len() == 2);
        let layers = weights.map(|((before, after), &gradient_norm)| {
            let weight_norm = norm(after.values.iter().copied());
            let step = norm(before.values.iter().zip(&after.values).map(|(before, after)| after - before));
            let update_ratio = if step == 0.0 { 0.0 } else { step / weight_norm };
            LayerHealth {
                gradient_norm,
                weight_norm,
                update_ratio,
                inactive_share: inactive.next().flatten(),
            }
        });
        Self { layers: layers.collect(), activation }
    }

    /// Whether units with this activation can be dead or saturated.
    pub(crate) fn knows_inactive_units(activation: Activation) -> bool {
        inactive_share(activation).is_some()
    }

    /// The figures as the metric log has them: `layers.0.gradient_norm` and so on.
    pub(crate) fn figures(&self) -> impl Iterator<Item = (String, f64)> {
        let inactive_name = match self.activation {
            Activation::Sigmoid | Activation::Tanh => "saturated_share",
            _ => "dead_share",
        };
        self.layers.iter().enumerate().flat_map(move |(index, layer)| {
            let name = |figure: &str| format!("layers.{index}.{figure}");
            [
                Some((name("gradient_norm"), layer.gradient_norm)),
                Some((name("weight_norm"), layer.weight_norm)),
                Some((name("update_ratio"), layer.update_ratio)),
                layer.inactive_share.map(|share| (name(inactive_name), share)),
            ]
            .into_iter()
            .flatten()
        })
    }

    /// The greatest update ratio of a layer.
    pub(crate) fn update_ratio(&self) -> f64 {
        self.layers.iter().map(|layer| layer.update_ratio).fold(0.0, f64::max)
    }

    /// The greatest share of inactive units of a layer; 0 where no layer can have any.
    pub(crate) fn inactive_share(&self) -> f64 {
        self.layers.iter().filter_map(|layer| layer.inactive_share).fold(0.0, f64::max)
    }
}

/// How the share of a layer's inactive units is found; none for activations that know no such state.
fn inactive_share(activation: Activation) -> Option<fn(&Activations) -> f64> {
    match activation {
        Activation::Relu => Some(dead_share),
        Activation::Sigmoid => Some(|hidden| saturated_share(hidden, 0.5, 0.5 - SIGMOID_MARGIN)),
        Activation::Tanh => Some(|hidden| saturated_share(hidden, 0.0, 1.0 - TANH_MARGIN)),
        _ => None,
    }
}

/// The share of units that are zero for every example of the batch.
fn dead_share(hidden: &Activations) -> f64 {
    let mut awake = vec![false; hidden.units];
    for example in hidden.values.chunks_exact(hidden.units) {
        for (awake, value) in awake.iter_mut().zip(example) {
            *awake |= *value != 0.0;
        }
    }
    let dead = awake.iter().filter(|awake| !**awake).count();
    dead as f64 / hidden.units as f64
}

/// The share of values that are further from `middle` than `limit`.
fn saturated_share(hidden: &Activations, middle: f32, limit: f64) -> f64 {
    let saturated = hidden.values.iter().filter(|value| f64::from((**value - middle).abs()) > limit).count();
    saturated as f64 / hidden.values.len() as f64
}

fn norm(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(values: [[f32; 3]; 2]) -> Activations {
        Activations { values: values.concat(), units: 3 }
    }

    #[test]
    fn a_unit_is_dead_when_no_example_wakes_it() {
        assert_eq!(dead_share(&units([[0.0, 0.0, 1.0], [0.0, 2.0, 0.0]])), 1.0 / 3.0);
    }

    #[test]
    fn values_near_the_limits_are_saturated() {
        assert_eq!(saturated_share(&units([[0.99, -0.99, 0.5], [0.0, -0.2, 0.96]]), 0.0, 0.95), 0.5);
    }
}
