//! How each layer fares: the signs of exploding and vanishing gradients, of dead and saturated units.

use burn::module::Module;
use burn::tensor::Tensor;
use kiln_config::Activation;
use kiln_data::Batch;
use kiln_model::{Mlp, Parameter};

use crate::Classifier;

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

/// What is measured before an optimizer step, to compare with what is there after it.
pub(crate) struct Before {
    weights: Vec<Parameter>,
    gradient_norms: Vec<f64>,
}

impl Before {
    /// `norms` has the norm of each parameter's gradient, in the order of [`Mlp::parameters`].
    pub(crate) fn new(mlp: &Mlp, norms: &[f64]) -> Self {
        let parameters = mlp.parameters();
        let is_weight = |parameter: &Parameter| parameter.shape.len() == 2;
        let gradient_norms =
            parameters.iter().zip(norms).filter(|(parameter, _)| is_weight(parameter)).map(|(_, &norm)| norm);
        Self {
            gradient_norms: gradient_norms.collect(),
            weights: parameters.into_iter().filter(is_weight).collect(),
        }
    }

    /// The health of every layer, given the model after the step and the batch that it was taken on.
    pub(crate) fn health(self, model: &Classifier, batch: Batch) -> Health {
        let mlp = model.valid().mlp;
        let mut inactive = inactive_shares(&mlp, batch.features.inner()).into_iter();
        let after = mlp.parameters().into_iter().filter(|parameter| parameter.shape.len() == 2);
        let layers = self
            .weights
            .iter()
            .zip(after)
            .zip(self.gradient_norms)
            .map(|((before, after), gradient_norm)| {
                let weight_norm = norm(after.values.iter().copied());
                let step =
                    norm(before.values.iter().zip(&after.values).map(|(before, after)| after - before));
                let update_ratio = if step == 0.0 { 0.0 } else { step / weight_norm };
                LayerHealth {
                    gradient_norm,
                    weight_norm,
                    update_ratio,
                    inactive_share: inactive.next().flatten(),
                }
            })
            .collect();
        Health { layers, activation: mlp.activation() }
    }
}

impl Health {
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

/// For each hidden layer the share of inactive units; none for activations that know no such state.
fn inactive_shares(mlp: &Mlp, features: Tensor<2>) -> Vec<Option<f64>> {
    let share: fn(Tensor<2>) -> Tensor<1> = match mlp.activation() {
        Activation::Relu => dead_share,
        Activation::Sigmoid => |units| saturated_share(units - 0.5, 0.5 - SIGMOID_MARGIN),
        Activation::Tanh => |units| saturated_share(units, 1.0 - TANH_MARGIN),
        _ => return Vec::new(),
    };
    mlp.hidden_activations(features)
        .into_iter()
        .map(|units| Some(f64::from(share(units).into_scalar::<f32>())))
        .collect()
}

/// The share of units that are zero for every example of the batch.
fn dead_share(units: Tensor<2>) -> Tensor<1> {
    units.max_dim(0).equal_elem(0.0).float().mean()
}

/// The share of values that are further from zero than `limit`.
fn saturated_share(values: Tensor<2>, limit: f64) -> Tensor<1> {
    values.abs().greater_elem(limit).float().mean()
}

fn norm(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn units(values: [[f32; 3]; 2]) -> Tensor<2> {
        Tensor::from_floats(values, &Device::flex())
    }

    #[test]
    fn a_unit_is_dead_when_no_example_wakes_it() {
        let share = dead_share(units([[0.0, 0.0, 1.0], [0.0, 2.0, 0.0]]));
        assert!((share.into_scalar::<f32>() - 1.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn values_near_the_limits_are_saturated() {
        let share = saturated_share(units([[0.99, -0.99, 0.5], [0.0, -0.2, 0.96]]), 0.95);
        assert!((share.into_scalar::<f32>() - 0.5).abs() < 1e-6);
    }
}
