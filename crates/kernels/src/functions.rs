//! Functions of single values, rows and slices: activations with their slopes, softmax with cross-entropy, the sum of
//! squares, and the elementary functions beneath them.
//!
//! `exp`, `tanh` and the others are written here, because the standard library's do not suit this crate: the compiler
//! cannot vectorize them, and they give different bits on different systems.

use std::f32::consts::{FRAC_1_SQRT_2, LOG2_E, PI, TAU};

use kiln_config::Activation;
use pulp::{Arch, Simd, WithSimd};

use crate::map_units;

/// The default `negative_slope` of PyTorch's `LeakyReLU`.
pub(crate) const LEAKY_SLOPE: f32 = 0.01;

/// The constants of SELU. With them, layers keep a mean of 0 and a variance of 1 (Klambauer et al. 2017,
/// "Self-normalizing neural networks").
pub(crate) const SELU_SCALE: f32 = 1.050_701;
pub(crate) const SELU_ALPHA: f32 = 1.673_263_2;

/// Values computed together: two AVX-512 vectors.
const WIDTH: usize = 32;

/// Replaces every value by its activation, and writes the derivative into `slopes`, unless that is empty.
#[inline(always)]
pub(crate) fn activate(function: Activation, values: &mut [f32], slopes: &mut [f32]) {
    match function {
        Activation::Identity => slopes.fill(1.0),
        // Written so that a NaN stays NaN: it must reach the loss, where it is detected.
        Activation::Relu => {
            map_with_slopes(values, slopes, |z| {
                (if z <= 0.0 { 0.0 } else { z }, if z <= 0.0 { 0.0 } else { 1.0 })
            });
        }
        Activation::LeakyRelu => map_with_slopes(values, slopes, |z| {
            (if z <= 0.0 { LEAKY_SLOPE * z } else { z }, if z <= 0.0 { LEAKY_SLOPE } else { 1.0 })
        }),
        Activation::Tanh => map_with_slopes(values, slopes, |z| {
            let tanh = tanh(z);
            (tanh, 1.0 - tanh * tanh)
        }),
        Activation::Sigmoid => map_with_slopes(values, slopes, |z| {
            let sigmoid = sigmoid(z);
            (sigmoid, sigmoid * (1.0 - sigmoid))
        }),
        Activation::Silu => map_with_slopes(values, slopes, |z| {
            let sigmoid = sigmoid(z);
            (z * sigmoid, sigmoid * (1.0 + z * (1.0 - sigmoid)))
        }),
        Activation::Softplus => map_with_slopes(values, slopes, |z| {
            let positive = if z <= 0.0 { 0.0 } else { z };
            (positive + libm::log1pf(exp(-z.abs())), sigmoid(z))
        }),
        Activation::Selu => map_with_slopes(values, slopes, |z| {
            let below = SELU_SCALE * SELU_ALPHA * exp_m1(z);
            let slope = below + SELU_SCALE * SELU_ALPHA;
            if z > 0.0 { (SELU_SCALE * z, SELU_SCALE) } else { (below, slope) }
        }),
        // With w = e^z, tanh(ln(1 + w)) = (w^2 + 2 w) / (w^2 + 2 w + 2). For z > 0, numerator and denominator are divided
        // by w^2, so that nothing overflows.
        Activation::Mish => map_with_slopes(values, slopes, |z| {
            let w = exp(-z.abs());
            let (above, below) = if z > 0.0 { (1.0 + 2.0 * w, 2.0 * w * w) } else { (w * w + 2.0 * w, 2.0) };
            let tanh = above / (above + below);
            (z * tanh, tanh + z * (1.0 - tanh * tanh) * sigmoid(z))
        }),
        Activation::Gelu => map_with_slopes(values, slopes, |z| {
            let below = 0.5 * (1.0 + libm::erff(z * FRAC_1_SQRT_2));
            let density = exp(-0.5 * z * z) / (2.0 * PI).sqrt();
            (z * below, below + z * density)
        }),
    }
}

#[inline(always)]
fn map_with_slopes(values: &mut [f32], slopes: &mut [f32], function: impl Fn(f32) -> (f32, f32)) {
    if slopes.is_empty() {
        for value in values {
            *value = function(*value).0;
        }
        return;
    }
    let (blocks, rest) = values.as_chunks_mut::<WIDTH>();
    let (block_slopes, rest_slopes) = slopes.as_chunks_mut::<WIDTH>();
    for (values, slopes) in blocks.iter_mut().zip(block_slopes) {
        // Local copies show the compiler that nothing overlaps, so it uses whole vectors.
        let (mut activated, mut slope) = ([0.0; WIDTH], [0.0; WIDTH]);
        for (at, value) in values.iter().enumerate() {
            (activated[at], slope[at]) = function(*value);
        }
        (*values, *slopes) = (activated, slope);
    }
    for (value, slope) in rest.iter_mut().zip(rest_slopes) {
        (*value, *slope) = function(*value);
    }
}

/// Examples per unit of work.
const EXAMPLES: usize = 64;
/// The cost of an exponential in multiply-adds.
const COST: usize = 16;

/// The cross-entropy of each row of `logits`, which has `classes` values, with the row's target. Replaces the logits by
/// their softmax.
pub(crate) fn cross_entropy(logits: &mut [f32], targets: &[usize], classes: usize) -> Vec<f32> {
    assert_eq!(logits.len(), targets.len() * classes, "a row for every target");
    let (arch, cost) = (Arch::new(), COST * logits.len());
    let mut losses = vec![0.0; targets.len()];
    let units = logits.chunks_mut(EXAMPLES * classes).zip(targets.chunks(EXAMPLES));
    let units = units.zip(losses.chunks_mut(EXAMPLES));
    let units = units.map(|((logits, targets), losses)| Examples { logits, targets, losses, classes });
    map_units(units.collect(), cost, |unit| arch.dispatch(unit));
    losses
}

/// Replaces the softmax by the gradient of the logits, given the gradient of each row's loss.
pub(crate) fn cross_entropy_backward(softmax: &mut [f32], targets: &[usize], gradient: &[f32]) {
    let classes = softmax.len() / targets.len().max(1);
    for ((row, &target), gradient) in softmax.chunks_exact_mut(classes.max(1)).zip(targets).zip(gradient) {
        for value in &mut *row {
            *value *= gradient;
        }
        row[target] -= gradient;
    }
}

struct Examples<'a> {
    logits: &'a mut [f32],
    targets: &'a [usize],
    losses: &'a mut [f32],
    classes: usize,
}

impl WithSimd for Examples<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let rows = self.logits.chunks_exact_mut(self.classes);
        for ((row, &target), loss) in rows.zip(self.targets).zip(self.losses) {
            *loss = softmax(row, target);
        }
    }
}

/// Replaces the logits of one example by their softmax, and returns the cross-entropy with class `target`.
#[inline(always)]
fn softmax(logits: &mut [f32], target: usize) -> f32 {
    // `f32::max` ignores a NaN, but the sum below does not.
    let shift = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let chosen = logits[target] - shift;
    for value in &mut *logits {
        *value = exp(*value - shift);
    }
    let total: f32 = logits.iter().sum();
    let scale = 1.0 / total;
    for value in logits {
        *value *= scale;
    }
    libm::logf(total) - chosen
}

/// The index of the greatest value; the first of several equal ones. A NaN is never the greatest.
#[must_use]
pub fn greatest(row: &[f32]) -> usize {
    let mut best = 0;
    for (place, value) in row.iter().enumerate() {
        if *value > row[best] || (row[best].is_nan() && !value.is_nan()) {
            best = place;
        }
    }
    best
}

/// Values per unit of work in [`square_sum`]. Fixed, because the rounding of the sum depends on it.
const SQUARES: usize = 1 << 14;

/// The sum of the squares of `values` in double precision. The sums of the pieces are added in the order of the pieces.
pub(crate) fn square_sum(values: &[f32]) -> f64 {
    let arch = Arch::new();
    let sums =
        map_units(values.chunks(SQUARES).collect(), 8 * values.len(), |piece| arch.dispatch(Squares(piece)));
    sums.into_iter().sum()
}

struct Squares<'a>(&'a [f32]);

impl WithSimd for Squares<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        let mut lanes = [0.0_f64; 16];
        let (rows, rest) = self.0.as_chunks::<16>();
        for row in rows {
            for (lane, &value) in lanes.iter_mut().zip(row) {
                *lane += f64::from(value) * f64::from(value);
            }
        }
        for (lane, &value) in lanes.iter_mut().zip(rest) {
            *lane += f64::from(value) * f64::from(value);
        }
        lanes.into_iter().sum()
    }
}

/// The greatest whole number for which both e^x and e^-x are normal numbers.
const LIMIT: f32 = 87.0;

/// e^x, to 1 or 2 units in the last place. Below -87 the result is 0, so it is never subnormal; above 87 it is e^87.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let (power, rest) = reduced(x.clamp(-LIMIT, LIMIT));
    if x < -LIMIT { 0.0 } else { power * (1.0 + rest) }
}

/// e^x - 1, also precise near 0. `x` is clamped to [-87, 87].
#[inline(always)]
pub(crate) fn exp_m1(x: f32) -> f32 {
    let (power, rest) = reduced(x.clamp(-LIMIT, LIMIT));
    power * rest + (power - 1.0)
}

/// The hyperbolic tangent.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let grown = exp_m1(2.0 * x.abs());
    // For large x, `grown` is so large that the quotient rounds to 1.
    (grown / (grown + 2.0)).copysign(x)
}

/// The logistic function.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Cosine and sine of the angle 2 pi `turns`.
#[inline(always)]
pub(crate) fn cos_sin(turns: f32) -> (f32, f32) {
    // Split into a whole number of half turns, which decides the sign, and a rest of at most a quarter turn. The Taylor
    // series of the rest are exact to rounding.
    let halves = (2.0 * turns).round_ties_even();
    let sign = 1.0 - 4.0 * (0.5 * halves - (0.5 * halves).floor());
    let angle = (turns - 0.5 * halves) * TAU;
    let square = angle * angle;
    let cosine = 1.0 / 479_001_600.0;
    let cosine = cosine * square - 1.0 / 3_628_800.0;
    let cosine = cosine * square + 1.0 / 40_320.0;
    let cosine = cosine * square - 1.0 / 720.0;
    let cosine = cosine * square + 1.0 / 24.0;
    let cosine = cosine * square - 0.5;
    let sine = 1.0 / 6_227_020_800.0;
    let sine = sine * square - 1.0 / 39_916_800.0;
    let sine = sine * square + 1.0 / 362_880.0;
    let sine = sine * square - 1.0 / 5_040.0;
    let sine = sine * square + 1.0 / 120.0;
    let sine = sine * square - 1.0 / 6.0;
    (sign * (cosine * square + 1.0), sign * (sine * square * angle + angle))
}

/// Splits e^x into a power of two and a factor near 1: returns the power and the factor minus 1. On the remaining range,
/// half of ln 2 to both sides of 0, the error of the Taylor series is below rounding.
#[inline(always)]
fn reduced(x: f32) -> (f32, f32) {
    /// 1.5 times 2^23: adding and subtracting it rounds to a whole number.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts: leading bits, whose product with a whole number is exact, and the rest.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let shifted = x * LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    let r = (x - whole * LN_2[0]) - whole * LN_2[1];
    let series = 1.0 / 5040.0;
    let series = series * r + 1.0 / 720.0;
    let series = series * r + 1.0 / 120.0;
    let series = series * r + 1.0 / 24.0;
    let series = series * r + 1.0 / 6.0;
    let series = series * r + 0.5;
    (power, series * r * r + r)
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator as _;

    use super::*;

    fn at(function: Activation, z: f32) -> (f32, f32) {
        let (mut values, mut slopes) = ([z; WIDTH + 1], [0.0; WIDTH + 1]);
        activate(function, &mut values, &mut slopes);
        let mut alone = [z];
        activate(function, &mut alone, &mut []);
        if !z.is_nan() {
            assert_eq!(values.map(f32::to_bits), [alone[0].to_bits(); WIDTH + 1]);
            assert_eq!(slopes.map(f32::to_bits), [slopes[0].to_bits(); WIDTH + 1]);
        }
        (values[0], slopes[0])
    }

    #[test]
    fn the_slope_is_the_derivative_of_the_values() {
        for function in Activation::iter() {
            for z in [-7.3, -1.0, -0.1, 0.2, 1.5, 6.0] {
                let (h, slope) = (1e-2, at(function, z).1);
                let measured = (at(function, z + h).0 - at(function, z - h).0) / (2.0 * h);
                assert!((slope - measured).abs() < 2e-4, "{function:?} at {z}: {slope}, measured {measured}");
            }
        }
    }

    #[test]
    fn nan_is_never_hidden() {
        assert!(Activation::iter().all(|function| at(function, f32::NAN).0.is_nan()));
    }

    /// The greatest relative error of `found` against `expected` on a range.
    fn error(range: [f32; 2], found: fn(f32) -> f32, expected: fn(f64) -> f64) -> f64 {
        let [from, to] = range.map(f64::from);
        let steps = 200_000;
        (0..=steps)
            .map(|step| (from + (to - from) * f64::from(step) / f64::from(steps)) as f32)
            .map(|x| (f64::from(found(x)), expected(f64::from(x))))
            .map(
                |(found, expected)| {
                    if expected == 0.0 { found.abs() } else { (found / expected - 1.0).abs() }
                },
            )
            .fold(0.0, f64::max)
    }

    #[test]
    fn functions_are_precise_to_a_few_units_in_the_last_place() {
        let unit = f64::from(f32::EPSILON);
        assert!(error([-86.9, 86.9], exp, f64::exp) < 1.5 * unit);
        assert!(error([-20.0, 20.0], exp_m1, f64::exp_m1) < 2.0 * unit);
        assert!(error([-1e-3, 1e-3], exp_m1, f64::exp_m1) < 1.5 * unit);
        assert!(error([-12.0, 12.0], tanh, f64::tanh) < 3.0 * unit);
        assert!(error([-1e-3, 1e-3], tanh, f64::tanh) < 3.0 * unit);
        assert!(error([-80.0, 80.0], sigmoid, |x| 1.0 / (1.0 + (-x).exp())) < 2.5 * unit);
    }

    #[test]
    fn cosines_and_sines_of_turns_are_precise_to_3e_7() {
        for step in -200_000..200_000 {
            let turns = step as f32 / 10_000.0;
            let angle = f64::from(turns) * std::f64::consts::TAU;
            let (cosine, sine) = cos_sin(turns);
            assert!((f64::from(cosine) - angle.cos()).abs() < 3e-7, "{turns}: {cosine}");
            assert!((f64::from(sine) - angle.sin()).abs() < 3e-7, "{turns}: {sine}");
        }
        assert!(cos_sin(f32::NAN).0.is_nan() && cos_sin(f32::INFINITY).1.is_nan());
        assert!(cos_sin(1e30).0.abs() <= 1.0);
    }

    #[test]
    fn extremes_stay_in_range_and_nan_stays_nan() {
        assert_eq!([-1e9, f32::NEG_INFINITY].map(tanh), [-1.0; 2]);
        assert_eq!([1e9, f32::INFINITY].map(sigmoid), [1.0; 2]);
        assert!(sigmoid(-1e9) < 1e-37 && sigmoid(-1e9).is_normal() && exp(f32::INFINITY).is_finite());
        assert_eq!([-87.1, -1e9, f32::NEG_INFINITY].map(exp), [0.0; 3]);
        assert!([exp, exp_m1, tanh, sigmoid].into_iter().all(|function| function(f32::NAN).is_nan()));
    }

    #[test]
    fn loss_and_gradient_are_those_of_double_precision() {
        let logits = [[1.0_f32, -2.0, 0.5], [30.0, 29.0, -40.0], [0.0, 0.0, 0.0]];
        let (targets, upstream) = ([0, 1, 2], [1.0, 0.5, -2.0]);
        let mut found = logits.concat();
        let losses = cross_entropy(&mut found, &targets, 3);
        cross_entropy_backward(&mut found, &targets, &upstream);
        for (example, row) in logits.iter().enumerate() {
            let total: f64 = row.iter().map(|&value| f64::from(value).exp()).sum();
            let loss = total.ln() - f64::from(row[targets[example]]);
            assert!((f64::from(losses[example]) - loss).abs() < 1e-6, "{} {loss}", losses[example]);
            for (class, &value) in row.iter().enumerate() {
                let hit = f64::from(u8::from(class == targets[example]));
                let expected = (f64::from(value).exp() / total - hit) * f64::from(upstream[example]);
                let found = found[3 * example + class];
                assert!((f64::from(found) - expected).abs() < 3e-7, "{found} {expected}");
            }
        }
    }

    #[test]
    fn of_equal_values_the_first_is_the_greatest_and_nan_never_is() {
        let rows = [[1.0, 3.0, 3.0], [f32::NAN, 1.0, 2.0], [f32::NAN; 3]];
        assert_eq!(rows.map(|row| greatest(&row)), [1, 2, 0]);
    }

    #[test]
    fn the_loss_of_non_finite_scores_is_not_finite() {
        assert!(cross_entropy(&mut [f32::NAN, 1.0], &[1], 2)[0].is_nan());
        assert!(!cross_entropy(&mut [f32::INFINITY, 1.0], &[1], 2)[0].is_finite());
    }
}
