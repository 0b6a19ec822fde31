//! The periodic embedding of numbers, forward and backward, on slices.
//!
//! Each number has its own frequencies, phases and linear layer, so the work is divided by numbers: one thread adds up
//! each sum, always in the same order. Within a number, a vector holds neighbouring examples.

use pulp::{Arch, Simd, WithSimd};

use crate::functions::cos_sin;
use crate::map_units;

/// Sizes of an embedding and its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) batch: usize,
    /// Features of an example, including the numbers.
    pub(crate) features: usize,
    pub(crate) numbers: usize,
    /// Waves per number.
    pub(crate) waves: usize,
    /// Embedded features per number.
    pub(crate) size: usize,
}

impl Sizes {
    /// Features of an example, including the embedded ones.
    pub(crate) fn width(self) -> usize {
        self.features + self.numbers * self.size
    }

    fn cost(self) -> usize {
        self.batch * self.numbers * self.waves * (COST + 2 * self.size)
    }
}

/// The cost of a cosine and a sine in multiply-adds.
const COST: usize = 16;

/// The parameters, number after number.
#[derive(Clone, Copy)]
pub(crate) struct Weights<'a> {
    /// In turns per unit of the number, shape [numbers, waves].
    pub(crate) frequency: &'a [f32],
    /// In turns, shape [numbers, waves].
    pub(crate) phase: &'a [f32],
    /// Shape [numbers, waves, size].
    pub(crate) weight: &'a [f32],
    /// Shape [numbers, size].
    pub(crate) bias: &'a [f32],
}

/// Values of the forward pass that the backward pass needs, number after number.
#[derive(Clone, Debug)]
pub(crate) struct Saved {
    /// The numbers, shape [numbers, batch].
    values: Vec<f32>,
    /// Cosines and sines, shape [numbers, 2, waves, batch].
    waves: Vec<f32>,
}

/// The features, shape [batch, features], followed by the embedded ones of the numbers in `columns`: shape
/// [batch, width].
pub(crate) fn forward(
    features: &[f32],
    columns: &[usize],
    learned: Weights<'_>,
    sizes: Sizes,
) -> (Vec<f32>, Saved) {
    let Sizes { batch, features: given, numbers, waves, size } = sizes;
    let mut saved =
        Saved { values: vec![0.0; numbers * batch], waves: vec![0.0; numbers * 2 * waves * batch] };
    let mut mixed = vec![0.0; numbers * size * batch];
    let arch = Arch::new();
    let units = columns
        .iter()
        .zip(saved.values.chunks_mut(batch))
        .zip(saved.waves.chunks_mut(2 * waves * batch))
        .zip(mixed.chunks_mut(size * batch))
        .zip(learned.each(sizes));
    let units = units.map(|((((&column, values), turned), mixed), learned)| {
        for (value, example) in values.iter_mut().zip(features.chunks_exact(given)) {
            *value = example[column];
        }
        ForwardUnit { values, turned, mixed, learned }
    });
    map_units(units.collect(), sizes.cost(), |unit| arch.dispatch(unit));
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
    (out, saved)
}

/// The gradients of the parameters, in the order of [`Weights`], given the gradient of the outputs, shape [batch, width].
pub(crate) fn backward(gradient: &[f32], weight: &[f32], saved: &Saved, sizes: Sizes) -> [Vec<f32>; 4] {
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
        .zip(saved.values.chunks(batch))
        .zip(saved.waves.chunks(2 * waves * batch))
        .zip(weight.chunks(waves * size))
        .zip(frequency.chunks_mut(waves))
        .zip(phase.chunks_mut(waves))
        .zip(mixing.chunks_mut(waves * size))
        .zip(bias.chunks_mut(size));
    let units = units.map(|(((((((over, values), turned), weight), frequency), phase), mixing), bias)| {
        BackwardUnit {
            over,
            values,
            turned,
            weight,
            frequency,
            phase,
            mixing,
            bias,
            scratch: vec![0.0; batch],
        }
    });
    map_units(units.collect(), sizes.cost(), |unit| arch.dispatch(unit));
    [frequency, phase, mixing, bias]
}

impl<'a> Weights<'a> {
    /// The parameters of each number.
    fn each(self, sizes: Sizes) -> impl Iterator<Item = Weights<'a>> {
        let Sizes { waves, size, .. } = sizes;
        let of_waves = self.frequency.chunks(waves).zip(self.phase.chunks(waves));
        let of_mixing = self.weight.chunks(waves * size).zip(self.bias.chunks(size));
        of_waves.zip(of_mixing).map(|((frequency, phase), (weight, bias))| Weights {
            frequency,
            phase,
            weight,
            bias,
        })
    }
}

/// The forward pass of one number.
struct ForwardUnit<'a> {
    values: &'a [f32],
    turned: &'a mut [f32],
    mixed: &'a mut [f32],
    learned: Weights<'a>,
}

impl WithSimd for ForwardUnit<'_> {
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

/// The backward pass of one number.
struct BackwardUnit<'a> {
    over: &'a [f32],
    values: &'a [f32],
    turned: &'a [f32],
    weight: &'a [f32],
    frequency: &'a mut [f32],
    phase: &'a mut [f32],
    mixing: &'a mut [f32],
    bias: &'a mut [f32],
    /// The gradient of a wave for each example.
    scratch: Vec<f32>,
}

impl WithSimd for BackwardUnit<'_> {
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

/// Partial sums per sum: one AVX-512 vector.
const LANES: usize = 16;

/// The sum of `term` over both slices, in [`LANES`] partial sums that are added in order.
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
