//! From the loss's gradient back to the first layer, and the optimizer's step.

use std::cell::RefCell;

use pulp::{Arch, Simd, WithSimd};

use crate::dropout::Pass;
use crate::forward::{Buffers, EXAMPLES};
use crate::network::Network;
use crate::panels::{Panels, Place, Row, WIDTH, transpose_panel};
use crate::product::{Rows, add_product, add_transposed_product};
use crate::rule::{Rule, RuleStep};
use crate::share::each;

/// Weights of a panel that one piece of work takes on, in rows: with their gradient and moments they are within a
/// first-level cache.
const BLOCK: usize = 128;

/// What is added to the loss for the size of the weights; biases are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Penalty {
    /// Factor of the sum of absolute values.
    pub l1: f32,
    /// Factor of the sum of squares.
    pub l2: f32,
}

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

/// What becomes of a gradient.
#[derive(Clone, Copy)]
enum Use {
    /// The weights move as soon as their gradient is known.
    Step(RuleStep),
    /// It is kept, in place of what was kept before.
    Keep,
    /// It is added to what is kept.
    Add,
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
            let cost = values.values().len() * WIDTH;
            each(blocks(values, moments, Some(gradient)).collect(), cost, |block| {
                rule.apply(
                    block.values.as_flattened_mut(),
                    block.kept.as_flattened(),
                    block.first.as_flattened_mut(),
                    block.second.as_flattened_mut(),
                );
            });
        }
        self.kept.batches = 0;
    }

    fn change_kept(&mut self, change: impl Fn(f32) -> f32 + Sync) {
        for gradient in &mut self.kept.sums {
            let cost = gradient.values().len() * WIDTH;
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

fn transpose(weight: &Panels, out: &mut Panels) {
    out.resize(weight.columns(), weight.rows());
    let height = weight.columns();
    let cost = 4 * weight.values().len() * WIDTH;
    each(out.blocks_mut(height).collect(), cost, |(place, out)| transpose_panel(weight, place.panel, out));
}

/// The loss's gradient over the values of the layer before, from that of the layer after.
fn delta_before(delta: &Panels, transpose: &Panels, slopes: &Panels, out: &mut Panels) {
    out.resize(delta.rows(), transpose.columns());
    let cost = out.rows() * transpose.rows() * transpose.columns();
    let left = Rows::panels(delta);
    let arch = Arch::new();
    let units = out.blocks_mut(EXAMPLES).map(|(place, out)| {
        let slopes = &slopes.panel(place.panel)[place.row..][..out.len()];
        Delta { left, transpose: transpose.panel(place.panel), slopes, first_row: place.row, out }
    });
    each(units.collect(), cost, |unit| arch.dispatch(unit));
}

/// A block of the gradient over a layer's values.
struct Delta<'a> {
    left: Rows<'a>,
    transpose: &'a [Row],
    slopes: &'a [Row],
    first_row: usize,
    out: &'a mut [Row],
}

impl WithSimd for Delta<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.out.fill([0.0; WIDTH]);
        add_product(simd, self.left, self.first_row, self.transpose, self.out);
        for (value, slope) in self.out.as_flattened_mut().iter_mut().zip(self.slopes.as_flattened()) {
            *value *= slope;
        }
    }
}

/// A block of a parameter with all that belongs to it; what there is none of is empty.
struct Block<'a> {
    place: Place,
    values: &'a mut [Row],
    first: &'a mut [Row],
    second: &'a mut [Row],
    kept: &'a mut [Row],
}

fn blocks<'a>(
    values: &'a mut Panels,
    [first, second]: &'a mut [Panels; 2],
    kept: Option<&'a mut Panels>,
) -> impl Iterator<Item = Block<'a>> {
    // All blocks but a panel's last begin at a multiple of 8 rows, and are as equal as can be.
    let height = values.rows().div_ceil(values.rows().div_ceil(BLOCK)).next_multiple_of(8);
    let rows = |panels: &'a mut Panels| {
        let blocks = panels.blocks_mut(height).map(|(_, rows)| rows);
        blocks.chain(std::iter::repeat_with(Default::default))
    };
    let kept = kept.into_iter().flat_map(move |kept| kept.blocks_mut(height)).map(|(_, rows)| rows);
    let kept = kept.chain(std::iter::repeat_with(Default::default));
    let (first, second) = (rows(first), rows(second));
    values
        .blocks_mut(height)
        .zip(first)
        .zip(second)
        .zip(kept)
        .map(|((((place, values), first), second), kept)| Block { place, values, first, second, kept })
}

fn weight_gradient(
    inputs: Rows<'_>,
    delta: &Panels,
    goal: Use,
    penalty: Penalty,
    weight: &mut Panels,
    moments: &mut [Panels; 2],
    kept: Option<&mut Panels>,
) -> f64 {
    let cost = delta.rows() * weight.rows() * weight.columns();
    let arch = Arch::new();
    let squares = each(blocks(weight, moments, kept).collect(), cost, |block| {
        SCRATCH.with_borrow_mut(|scratch| {
            arch.dispatch(Weights { inputs, delta, goal, penalty, block, scratch })
        })
    });
    squares.into_iter().sum::<f64>().sqrt()
}

thread_local! {
    /// Where a thread keeps the gradient of the block that it works on.
    static SCRATCH: RefCell<[Row; BLOCK]> = const { RefCell::new([[0.0; WIDTH]; BLOCK]) };
}

/// The gradient of a block of weights, and what becomes of it; its sum of squares.
struct Weights<'a> {
    inputs: Rows<'a>,
    delta: &'a Panels,
    goal: Use,
    penalty: Penalty,
    block: Block<'a>,
    scratch: &'a mut [Row; BLOCK],
}

impl WithSimd for Weights<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let Self { inputs, delta, goal, penalty, block, scratch } = self;
        let delta = delta.panel(block.place.panel);
        let gradient = match goal {
            Use::Step(_) => &mut scratch[..block.values.len()],
            Use::Keep | Use::Add => &mut *block.kept,
        };
        let fresh = !matches!(goal, Use::Add);
        add_transposed_product(simd, inputs, block.place.row, delta, gradient, fresh);
        penalty.add(block.values, gradient);
        finish(goal, gradient, block.values, block.first, block.second)
    }
}

fn bias_gradient(
    delta: &Panels,
    goal: Use,
    bias: &mut Panels,
    moments: &mut [Panels; 2],
    kept: Option<&mut Panels>,
) -> f64 {
    let arch = Arch::new();
    let cost = delta.values().len() * WIDTH;
    let units = blocks(bias, moments, kept).map(|block| Bias { delta, goal, block });
    each(units.collect(), cost, |unit| arch.dispatch(unit)).into_iter().sum::<f64>().sqrt()
}

/// The gradient of a panel of biases, and what becomes of it; its sum of squares.
struct Bias<'a> {
    delta: &'a Panels,
    goal: Use,
    block: Block<'a>,
}

impl WithSimd for Bias<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        let Self { delta, goal, block } = self;
        let mut sum = match goal {
            Use::Add => block.kept[0],
            Use::Step(_) | Use::Keep => [0.0; WIDTH],
        };
        for row in delta.panel(block.place.panel) {
            for (sum, value) in sum.iter_mut().zip(row) {
                *sum += value;
            }
        }
        if !matches!(goal, Use::Step(_)) {
            block.kept[0] = sum;
        }
        finish(goal, &[sum], block.values, block.first, block.second)
    }
}

/// Takes the step, if it is to be taken now; the gradient's sum of squares.
#[inline(always)]
fn finish(goal: Use, gradient: &[Row], values: &mut [Row], first: &mut [Row], second: &mut [Row]) -> f64 {
    if let Use::Step(rule) = goal {
        rule.apply(
            values.as_flattened_mut(),
            gradient.as_flattened(),
            first.as_flattened_mut(),
            second.as_flattened_mut(),
        );
    }
    sum_of_squares(gradient)
}

impl Penalty {
    /// Adds the gradient of the penalty on `weights`.
    #[inline(always)]
    fn add(self, weights: &[Row], gradient: &mut [Row]) {
        if self == Self::default() {
            return;
        }
        for (slope, &weight) in gradient.as_flattened_mut().iter_mut().zip(weights.as_flattened()) {
            let sign = if weight == 0.0 { 0.0 } else { 1.0_f32.copysign(weight) };
            *slope += self.l1 * sign + 2.0 * self.l2 * weight;
        }
    }
}

fn norm(gradient: &mut Panels) -> f64 {
    let cost = gradient.values().len() * WIDTH;
    let squares = each(gradient.blocks_mut(BLOCK).collect(), cost, |(_, rows)| sum_of_squares(rows));
    squares.into_iter().sum::<f64>().sqrt()
}

/// Lanes are added apart in single precision over a block, then together in double precision.
#[inline(always)]
fn sum_of_squares(rows: &[Row]) -> f64 {
    let mut lanes = [0.0_f32; WIDTH];
    for row in rows {
        for (lane, value) in lanes.iter_mut().zip(row) {
            *lane += value * value;
        }
    }
    lanes.into_iter().map(f64::from).sum()
}
