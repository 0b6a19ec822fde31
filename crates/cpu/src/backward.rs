//! The gradients of a layer, and what becomes of them.

use std::cell::RefCell;

use pulp::{Arch, Simd, WithSimd};

use crate::forward::EXAMPLES;
use crate::panels::{Panels, Place, Row, WIDTH, transpose_panel};
use crate::product::{Rows, Transposed, product};
use crate::rule::{RuleStep, flushed};
use crate::share::each;

/// Weights of a panel that one piece of work takes on, in rows: with their gradient and moments they are within a
/// first-level cache.
pub(crate) const BLOCK: usize = 128;

/// What a pass over a weight and its moments costs, in multiply-adds.
pub(crate) const MEMORY: usize = 8;

/// What is added to the loss for the size of the weights; biases are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Penalty {
    /// Factor of the sum of absolute values.
    pub l1: f32,
    /// Factor of the sum of squares.
    pub l2: f32,
}

/// What becomes of a gradient.
#[derive(Clone, Copy)]
pub(crate) enum Use {
    /// The weights move as soon as their gradient is known.
    Step(RuleStep),
    /// It is kept, in place of what was kept before.
    Keep,
    /// It is added to what is kept.
    Add,
}

pub(crate) fn transpose(weight: &Panels, out: &mut Panels) {
    out.resize(weight.columns(), weight.rows());
    let height = weight.columns();
    let cost = 4 * weight.values().len() * WIDTH;
    each(out.blocks_mut(height).collect(), cost, |(place, out)| transpose_panel(weight, place.panel, out));
}

/// The loss's gradient over the values of the layer before, from that of the layer after.
pub(crate) fn delta_before(delta: &Panels, transpose: &Panels, slopes: &Panels, out: &mut Panels) {
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
        product(simd, self.left, self.first_row, self.transpose, self.out, true);
        for (value, slope) in self.out.as_flattened_mut().iter_mut().zip(self.slopes.as_flattened()) {
            *value = flushed(*value * slope);
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

pub(crate) fn weight_gradient(
    inputs: Rows<'_>,
    delta: &Panels,
    goal: Use,
    penalty: Penalty,
    weight: &mut Panels,
    moments: &mut [Panels; 2],
    kept: Option<&mut Panels>,
) -> f64 {
    // Weights and moments are read and written however small the batch is.
    let cost = (delta.rows() + MEMORY) * weight.rows() * weight.columns();
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
        product(simd, Transposed(inputs), block.place.row, delta, gradient, fresh);
        penalty.add(block.values, gradient);
        finish(goal, gradient, block.values, block.first, block.second)
    }
}

pub(crate) fn bias_gradient(
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

/// The 2-norm of a gradient.
pub(crate) fn norm(gradient: &mut Panels) -> f64 {
    let (arch, cost) = (Arch::new(), MEMORY * gradient.values().len() * WIDTH);
    let units = gradient.blocks_mut(BLOCK).map(|(_, rows)| Squares(rows));
    each(units.collect(), cost, |unit| arch.dispatch(unit)).into_iter().sum::<f64>().sqrt()
}

/// The sum of squares of a block.
struct Squares<'a>(&'a [Row]);

impl WithSimd for Squares<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        sum_of_squares(self.0)
    }
}

/// Moves `values` against a gradient that was kept.
pub(crate) fn step(rule: RuleStep, values: &mut Panels, gradient: &mut Panels, moments: &mut [Panels; 2]) {
    let (arch, cost) = (Arch::new(), MEMORY * values.values().len() * WIDTH);
    let units = blocks(values, moments, Some(gradient)).map(|block| Moved { rule, block });
    each(units.collect(), cost, |unit| arch.dispatch(unit));
}

/// The step of a block.
struct Moved<'a> {
    rule: RuleStep,
    block: Block<'a>,
}

impl WithSimd for Moved<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Block { values, first, second, kept, .. } = self.block;
        self.rule.apply(
            values.as_flattened_mut(),
            kept.as_flattened(),
            first.as_flattened_mut(),
            second.as_flattened_mut(),
        );
    }
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
