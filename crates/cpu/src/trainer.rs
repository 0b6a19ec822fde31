//! From the loss's gradient back to the first layer, and the optimizer's step.

use crate::backward::{
    self, BLOCK, MEMORY, Penalty, Use, bias_gradient, delta_before, norm, transpose, weight_gradient,
};
use crate::dropout::Pass;
use crate::forward::Buffers;
use crate::network::Network;
use crate::panels::{Panels, WIDTH};
use crate::product::Rows;
use crate::rule::Rule;
use crate::share::each;

/// A network in training.
#[derive(Clone, Debug)]
pub struct Trainer {
    network: Network,
    rule: Rule,
    penalty: Penalty,
    /// First and second moment of every parameter, empty where the rule keeps none.
    moments: Vec<[Panels; 2]>,
    buffers: Buffers,
    /// The loss's gradient over the values of each layer before its activation, shape [examples, outputs].
    deltas: Vec<Panels>,
    /// The weights of each layer but the first, transposed.
    transposes: Vec<Panels>,
    kept: Kept,
}

/// Gradients that wait for the optimizer's step.
#[derive(Clone, Debug, Default)]
struct Kept {
    /// The sum over batches, for every parameter; empty until it is needed.
    sums: Vec<Panels>,
    batches: usize,
}

impl Trainer {
    /// A trainer that has not stepped yet.
    #[must_use]
    pub fn new(network: Network, rule: Rule, penalty: Penalty) -> Self {
        let [keeps_first, keeps_second] = rule.moments();
        let moment = |parameter: &Panels, keeps: bool| {
            if keeps { Panels::zeros(parameter.rows(), parameter.columns()) } else { Panels::default() }
        };
        let moments =
            network.panels().map(|it| [moment(it, keeps_first), moment(it, keeps_second)]).collect();
        let layers = network.layers.len();
        Self {
            network,
            rule,
            penalty,
            moments,
            buffers: Buffers::default(),
            deltas: vec![Panels::default(); layers],
            transposes: vec![Panels::default(); layers],
            kept: Kept::default(),
        }
    }

    /// The network as it is now.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Whether the rule keeps a first moment and a second.
    #[must_use]
    pub fn keeps_moments(&self) -> [bool; 2] {
        self.rule.moments()
    }

    /// First and second moment of every parameter, in the order of [`Network::parameters`]; none where the rule
    /// keeps none.
    #[must_use]
    pub fn moments(&self) -> Vec<[Option<Vec<f32>>; 2]> {
        let keeps = self.rule.moments();
        let values = |moments: &[Panels; 2], which: usize| keeps[which].then(|| moments[which].to_rows());
        self.moments.iter().map(|moments| [values(moments, 0), values(moments, 1)]).collect()
    }

    /// Takes over what [`Trainer::moments`] gave.
    ///
    /// # Panics
    /// If they are not those of this network and rule.
    pub fn set_moments(&mut self, stored: &[[Option<Vec<f32>>; 2]]) {
        assert_eq!(stored.len(), self.moments.len(), "moments of every parameter");
        for (moments, stored) in self.moments.iter_mut().zip(stored) {
            for (moment, stored) in moments.iter_mut().zip(stored) {
                if let Some(values) = stored {
                    assert_eq!(values.len(), moment.rows() * moment.columns(), "a moment of every value");
                    moment.copy_from_rows(values);
                }
            }
        }
    }

    /// The logits of a batch, row after row, with the dropout of `step`. For what follows, they are to be replaced
    /// by the gradient of the loss.
    pub fn forward(&mut self, features: &[f32], step: u64) -> &mut [f32] {
        self.network.forward(features, Pass::Training { step }, &mut self.buffers)
    }

    /// Goes back through the layers and moves every parameter as soon as its gradient is known; `step` is the
    /// optimizer's, from 1. Returns the 2-norm of each parameter's gradient.
    pub fn backward_and_step(&mut self, features: &[f32], lr: f64, step: usize) -> Vec<f64> {
        self.backward(features, Use::Step(self.rule.at(lr, step)))
    }

    /// Goes back through the layers and adds the gradient to those of the batches since the last step.
    pub fn backward_and_keep(&mut self, features: &[f32]) {
        if self.kept.sums.is_empty() {
            self.kept.sums = self.network.panels().map(|it| Panels::zeros(it.rows(), it.columns())).collect();
        }
        self.backward(features, if self.kept.batches == 0 { Use::Keep } else { Use::Add });
        self.kept.batches += 1;
    }

    /// Whether gradients wait for a step.
    #[must_use]
    pub fn keeps_gradients(&self) -> bool {
        self.kept.batches > 0
    }

    /// The 2-norm of each parameter's kept gradient, which becomes the mean over the batches.
    pub fn kept_norms(&mut self) -> Vec<f64> {
        let batches = std::mem::replace(&mut self.kept.batches, 1).max(1);
        if batches > 1 {
            self.scale_kept(1.0 / batches as f32);
        }
        self.kept.sums.iter_mut().map(norm).collect()
    }

    /// Holds every value of the kept gradient to [-`bound`, `bound`].
    pub fn clamp_kept(&mut self, bound: f32) {
        self.change_kept(|value| value.clamp(-bound, bound));
    }

    /// Multiplies the kept gradient by `factor`.
    pub fn scale_kept(&mut self, factor: f32) {
        self.change_kept(|value| value * factor);
    }

    /// Moves every parameter against its kept gradient; `step` is the optimizer's, from 1.
    pub fn step_kept(&mut self, lr: f64, step: usize) {
        let rule = self.rule.at(lr, step);
        let parameters = self.network.panels_mut().zip(&mut self.kept.sums).zip(&mut self.moments);
        for ((values, gradient), moments) in parameters {
            backward::step(rule, values, gradient, moments);
        }
        self.kept.batches = 0;
    }

    fn change_kept(&mut self, change: impl Fn(f32) -> f32 + Sync) {
        for gradient in &mut self.kept.sums {
            let cost = MEMORY * gradient.values().len() * WIDTH;
            each(gradient.blocks_mut(BLOCK).collect(), cost, |(_, rows)| {
                rows.as_flattened_mut().iter_mut().for_each(|value| *value = change(*value));
            });
        }
    }

    fn backward(&mut self, features: &[f32], goal: Use) -> Vec<f64> {
        let Self { network, buffers, deltas, transposes, moments, kept, penalty, .. } = self;
        let last = network.layers.len() - 1;
        let classes = network.layers[last].outputs();
        deltas[last].resize(buffers.logits.len() / classes, classes);
        deltas[last].copy_from_rows(&buffers.logits);
        let mut norms = vec![0.0; moments.len()];
        let mut parameter = moments.len();
        for (index, layer) in network.layers.iter_mut().enumerate().rev() {
            let (before, rest) = deltas.split_at_mut(index);
            let delta = &rest[0];
            let inputs = match index {
                0 => Rows::plain(features, layer.inputs()),
                _ => Rows::panels(&buffers.outputs[index - 1]),
            };
            if let Some(out) = before.last_mut() {
                transpose(&layer.weight, &mut transposes[index]);
                delta_before(delta, &transposes[index], &buffers.slopes[index - 1], out);
            }
            if let Some(bias) = &mut layer.bias {
                parameter -= 1;
                let kept = kept.sums.get_mut(parameter);
                norms[parameter] = bias_gradient(delta, goal, bias, &mut moments[parameter], kept);
            }
            parameter -= 1;
            let kept = kept.sums.get_mut(parameter);
            norms[parameter] = weight_gradient(
                inputs,
                delta,
                goal,
                *penalty,
                &mut layer.weight,
                &mut moments[parameter],
                kept,
            );
        }
        norms
    }
}
