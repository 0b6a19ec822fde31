//! Waves of numbers, mixed: the embedding of measured numbers, forwards and backwards, on slices.
//!
//! Each number has frequencies, phases and a mixing layer of its own, so all work is cut by numbers: every sum is added up
//! by one thread, in an order that is always the same. Within a number, examples lie side by side in vectors.

use pulp::{Arch, Simd, WithSimd};

use crate::elementary::cos_sin;
use crate::share::each;

/// Sizes of an embedding at a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) batch: usize,
    /// Features of an example, numbers among them.
    pub(crate) features: usize,
    pub(crate) numbers: usize,
    /// Waves of a number.
    pub(crate) waves: usize,
    /// Features that the waves of a number are mixed into.
    pub(crate) size: usize,
}

impl Sizes {
    /// Features of an example with all that is added.
    pub(crate) fn width(self) -> usize {
        self.features + self.numbers * self.size
    }

    fn cost(self) -> usize {
        self.batch * self.numbers * self.waves * (COST + 2 * self.size)
    }
}

/// What a cosine and a sine cost beside a multiply-add.
const COST: usize = 16;

/// The learned values, number after number.
#[derive(Clone, Copy)]
pub(crate) struct Learned<'a> {
    /// Waves per unit, shape [numbers, waves].
    pub(crate) frequency: &'a [f32],
    /// In turns, shape [numbers, waves].
    pub(crate) phase: &'a [f32],
    /// Shape [numbers, waves, size].
    pub(crate) weight: &'a [f32],
    /// Shape [numbers, size].
    pub(crate) bias: &'a [f32],
}

/// What a forward pass leaves for the way back, number after number.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// The numbers, shape [numbers, batch].
    values: Vec<f32>,
    /// Cosines and sines, shape [numbers, 2, waves, batch].
    waves: Vec<f32>,
}

/// The features, shape [batch, features], and behind them what the numbers in `columns` are mixed into: shape
/// [batch, width].
pub(crate) fn forward(
    features: &[f32],
    columns: &[usize],
    learned: Learned<'_>,
    sizes: Sizes,
) -> (Vec<f32>, Kept) {
    let Sizes { batch, features: given, numbers, waves, size } = sizes;
    let mut kept = Kept { values: vec![0.0; numbers * batch], waves: vec![0.0; numbers * 2 * waves * batch] };
    let mut mixed = vec![0.0; numbers * size * batch];
    let arch = Arch::new();
    let units = columns
        .iter()
        .zip(kept.values.chunks_mut(batch))
        .zip(kept.waves.chunks_mut(2 * waves * batch))
        .zip(mixed.chunks_mut(size * batch))
        .zip(learned.each(sizes));
    let units = units.map(|((((&column, values), turned), mixed), learned)| {
        for (value, example) in values.iter_mut().zip(features.chunks_exact(given)) {
            *value = example[column];
        }
        Mix { values, turned, mixed, learned }
    });
    each(units.collect(), sizes.cost(), |unit| arch.dispatch(unit));
    let mut out = vec![0.0; batch * sizes.width()];
    for (at, (out, example)) in
        out.chunks_exact_mut(sizes.width()).zip(features.chunks_exact(given)).enumerate()
    {
        let (own, added) = out.split_at_mut(given);
        own.copy_from_slice(example);
        for (added, mixed) in added.iter_mut().zip(mixed.chunks_exact(batch)) {
            *added = mixed[at];
        }
    }
    (out, kept)
}

/// The gradients over the learned values, in the order of [`Learned`], given that over the outputs, shape [batch, width].
pub(crate) fn backward(gradient: &[f32], weight: &[f32], kept: &Kept, sizes: Sizes) -> [Vec<f32>; 4] {
    let Sizes { batch, features, numbers, waves, size } = sizes;
    let lengths = [numbers * waves, numbers * waves, numbers * waves * size, numbers * size];
    let [mut frequency, mut phase, mut mixing, mut bias] = lengths.map(|length| vec![0.0; length]);
    let mut over_mixed = vec![0.0; numbers * size * batch];
    for (at, example) in gradient.chunks_exact(sizes.width()).enumerate() {
        for (over, gradient) in over_mixed.chunks_exact_mut(batch).zip(&example[features..]) {
            over[at] = *gradient;
        }
    }
    let arch = Arch::new();
    let units = over_mixed
        .chunks(size * batch)
        .zip(kept.values.chunks(batch))
        .zip(kept.waves.chunks(2 * waves * batch))
        .zip(weight.chunks(waves * size))
        .zip(frequency.chunks_mut(waves))
        .zip(phase.chunks_mut(waves))
        .zip(mixing.chunks_mut(waves * size))
        .zip(bias.chunks_mut(size));
    let units = units.map(|(((((((over, values), turned), weight), frequency), phase), mixing), bias)| {
        Unmix { over, values, turned, weight, frequency, phase, mixing, bias, scratch: vec![0.0; batch] }
    });
    each(units.collect(), sizes.cost(), |unit| arch.dispatch(unit));
    [frequency, phase, mixing, bias]
}

impl<'a> Learned<'a> {
    /// Those of each number.
    fn each(self, sizes: Sizes) -> impl Iterator<Item = Learned<'a>> {
        let Sizes { waves, size, .. } = sizes;
        let of_waves = self.frequency.chunks(waves).zip(self.phase.chunks(waves));
        let of_mixing = self.weight.chunks(waves * size).zip(self.bias.chunks(size));
        of_waves.zip(of_mixing).map(|((frequency, phase), (weight, bias))| Learned {
            frequency,
            phase,
            weight,
            bias,
        })
    }
}

/// One number on its way forward.
struct Mix<'a> {
    values: &'a [f32],
    turned: &'a mut [f32],
    mixed: &'a mut [f32],
    learned: Learned<'a>,
}

impl WithSimd for Mix<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { values, turned, mixed, learned } = self;
        let batch = values.len();
        let size = learned.bias.len();
        for (mixed, &bias) in mixed.chunks_exact_mut(batch).zip(learned.bias) {
            mixed.fill(bias);
        }
        let (cosines, sines) = turned.split_at_mut(learned.frequency.len() * batch);
        let waves = cosines.chunks_exact_mut(batch).zip(sines.chunks_exact_mut(batch));
        let waves =
            waves.zip(learned.frequency.iter().zip(learned.phase)).zip(learned.weight.chunks_exact(size));
        for (((cosines, sines), (&frequency, &phase)), weights) in waves {
            for ((cosine, sine), &value) in cosines.iter_mut().zip(&mut *sines).zip(values) {
                (*cosine, *sine) = cos_sin(frequency * value + phase);
            }
            for (mixed, &weight) in mixed.chunks_exact_mut(batch).zip(weights) {
                for (mixed, &cosine) in mixed.iter_mut().zip(&*cosines) {
                    *mixed += weight * cosine;
                }
            }
        }
    }
}

/// One number on its way back.
struct Unmix<'a> {
    over: &'a [f32],
    values: &'a [f32],
    turned: &'a [f32],
    weight: &'a [f32],
    frequency: &'a mut [f32],
    phase: &'a mut [f32],
    mixing: &'a mut [f32],
    bias: &'a mut [f32],
    /// The gradient over a wave, example by example.
    scratch: Vec<f32>,
}

impl WithSimd for Unmix<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { over, values, turned, weight, frequency, phase, mixing, bias, mut scratch } = self;
        let batch = values.len();
        let size = bias.len();
        for (bias, over) in bias.iter_mut().zip(over.chunks_exact(batch)) {
            *bias = sum(over, over, |value, _| value);
        }
        let (cosines, sines) = turned.split_at(frequency.len() * batch);
        let waves = cosines.chunks_exact(batch).zip(sines.chunks_exact(batch));
        let weights = weight.chunks_exact(size).zip(mixing.chunks_exact_mut(size));
        let learned = frequency.iter_mut().zip(phase).zip(weights);
        for ((cosines, sines), ((frequency, phase), (weights, mixing))) in waves.zip(learned) {
            scratch.fill(0.0);
            for ((over, &weight), mixing) in over.chunks_exact(batch).zip(weights).zip(mixing) {
                *mixing = sum(over, cosines, |over, cosine| over * cosine);
                for (wave, &over) in scratch.iter_mut().zip(over) {
                    *wave += weight * over;
                }
            }
            for (wave, &sine) in scratch.iter_mut().zip(sines) {
                *wave *= -std::f32::consts::TAU * sine;
            }
            *phase = sum(&scratch, values, |wave, _| wave);
            *frequency = sum(&scratch, values, |wave, value| wave * value);
        }
    }
}

/// Sums that are kept side by side: one vector of the widest kind.
const LANES: usize = 16;

/// The sum of `term` over both lists, in lanes that are added up in their order.
#[inline(always)]
fn sum(left: &[f32], right: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let ((left, left_rest), (right, right_rest)) = (left.as_chunks::<LANES>(), right.as_chunks::<LANES>());
    for (left, right) in left.iter().zip(right) {
        for lane in 0..LANES {
            lanes[lane] += term(left[lane], right[lane]);
        }
    }
    for ((lane, &left), &right) in lanes.iter_mut().zip(left_rest).zip(right_rest) {
        *lane += term(left, right);
    }
    lanes.into_iter().sum()
}
