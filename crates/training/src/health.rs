//! How each layer fares: the signs of exploding and vanishing gradients, of dead and saturated units.

use kiln_config::Activation;
use kiln_model::{Model, Parameter, Probe};

use crate::learning::Learning;

/// Distance from its limits at which a sigmoid counts as saturated; its slope is then below 0.05.
const SIGMOID_MARGIN: f64 = 0.05;
/// The same for tanh, whose range is twice as wide.
const TANH_MARGIN: f64 = 0.05;

/// One layer at one step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LayerHealth {
    /// The path of its parameters, such as `layers.0`.
    pub(crate) name: String,
    /// 2-norm of the gradient of its weights.
    pub(crate) gradient_norm: f64,
    /// 2-norm of its weights.
    pub(crate) weight_norm: f64,
    /// 2-norm of the step over the 2-norm of the weights.
    pub(crate) update_ratio: f64,
    /// Share of its units that no longer take part, in [0, 1], and what it is called; none where the activation has no
    /// such state.
    pub(crate) inactive_share: Option<(&'static str, f64)>,
}

/// All layers at one step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Health {
    pub(crate) layers: Vec<LayerHealth>,
}

impl Health {
    /// The health of every layer, that is of every trained parameter of two or more dimensions, given the parameters
    /// before the step, the norm of each trained one's gradient, and what layers give out after the step for the batch
    /// that it was taken on.
    pub(crate) fn new<M: Model>(
        before: &[Parameter],
        learning: &Learning<M>,
        gradient_norms: &[f64],
        probes: &[Probe],
    ) -> Self {
        let after = learning.parameters();
        let trained = learning.trained.iter().zip(gradient_norms).filter(|(named, _)| named.shape.len() >= 2);
        let layers = trained.filter_map(|(named, &gradient_norm)| {
            let [before, after] = [before, &after].map(|all| all.iter().find(|it| it.name == named.path));
            let (before, after) = (&before?.values, &after?.values);
            let weight_norm = norm(after.iter().copied());
            let step = norm(before.iter().zip(after).map(|(before, after)| after - before));
            let name = layer_of(&named.path).to_owned();
            let probe = probes.iter().find(|probe| probe.layer == name);
            Some(LayerHealth {
                gradient_norm,
                weight_norm,
                update_ratio: if step == 0.0 { 0.0 } else { step / weight_norm },
                inactive_share: probe.and_then(inactive_share),
                name,
            })
        });
        Self { layers: layers.collect() }
    }

    /// The figures as the metric log has them: `layers.0.gradient_norm` and so on.
    pub(crate) fn figures(&self) -> impl Iterator<Item = (String, f64)> {
        self.layers.iter().flat_map(|layer| {
            let name = |figure: &str| format!("{}.{figure}", layer.name);
            [
                Some((name("gradient_norm"), layer.gradient_norm)),
                Some((name("weight_norm"), layer.weight_norm)),
                Some((name("update_ratio"), layer.update_ratio)),
                layer.inactive_share.map(|(figure, share)| (name(figure), share)),
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
        self.layers
            .iter()
            .filter_map(|layer| layer.inactive_share)
            .map(|(_, share)| share)
            .fold(0.0, f64::max)
    }
}

/// The layer that a parameter belongs to.
fn layer_of(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(layer, _)| layer)
}

/// The share of a layer's inactive units with its name; none for activations that know no such state.
fn inactive_share(probe: &Probe) -> Option<(&'static str, f64)> {
    let share: fn(&[f32], usize) -> f64 = match probe.activation {
        Activation::Relu => dead_share,
        Activation::Sigmoid => |values, _| saturated_share(values, 0.5, 0.5 - SIGMOID_MARGIN),
        Activation::Tanh => |values, _| saturated_share(values, 0.0, 1.0 - TANH_MARGIN),
        _ => return None,
    };
    let name = if probe.activation == Activation::Relu { "dead_share" } else { "saturated_share" };
    let [_, units] = probe.outputs.dims();
    let values = probe.outputs.to_data().convert::<f32>().try_into_vec::<f32>();
    Some((name, share(&values.expect("just converted"), units)))
}

/// The share of units that are zero for every example of the batch.
fn dead_share(values: &[f32], units: usize) -> f64 {
    let mut awake = vec![false; units];
    for example in values.chunks_exact(units) {
        for (awake, value) in awake.iter_mut().zip(example) {
            *awake |= *value != 0.0;
        }
    }
    let dead = awake.iter().filter(|awake| !**awake).count();
    dead as f64 / units as f64
}

/// The share of values that are further from `middle` than `limit`.
fn saturated_share(values: &[f32], middle: f32, limit: f64) -> f64 {
    let saturated = values.iter().filter(|value| f64::from((**value - middle).abs()) > limit).count();
    saturated as f64 / values.len() as f64
}

fn norm(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_dead_when_no_example_wakes_it() {
        assert_eq!(dead_share(&[0.0, 0.0, 1.0, 0.0, 2.0, 0.0], 3), 1.0 / 3.0);
    }

    #[test]
    fn values_near_the_limits_are_saturated() {
        assert_eq!(saturated_share(&[0.99, -0.99, 0.5, 0.0, -0.2, 0.96], 0.0, 0.95), 0.5);
    }
}
