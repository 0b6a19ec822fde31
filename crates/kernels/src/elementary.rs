//! Elementary functions written so that the compiler can work on whole vectors, and that give the same bits on
//! every processor; the standard library's do neither.

// The polynomials are the Taylor series; on half of ln 2 to either side of zero their error is below rounding.

/// Where e to the power of it is still a normal number, and so is its inverse.
const LIMIT: f32 = 87.0;

/// e to the power of `x`, to 1 or 2 units in the last place; 0 below -87, so that nothing ends below the normal numbers,
/// and no more than at 87.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let (power, rest) = reduced(x.clamp(-LIMIT, LIMIT));
    if x < -LIMIT { 0.0 } else { power * (1.0 + rest) }
}

/// e to the power of `x`, less 1, precise also near zero; `x` is held to [-87, 87].
#[inline(always)]
pub(crate) fn exp_m1(x: f32) -> f32 {
    let (power, rest) = reduced(x.clamp(-LIMIT, LIMIT));
    power * rest + (power - 1.0)
}

/// The hyperbolic tangent.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let grown = exp_m1(2.0 * x.abs());
    // At the limit it is infinite in all but name: the quotient is 1.
    (grown / (grown + 2.0)).copysign(x)
}

/// The logistic function.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Cosine and sine of `turns` whole turns.
#[inline(always)]
pub(crate) fn cos_sin(turns: f32) -> (f32, f32) {
    // A whole number of half turns, which changes the sign or does not, and up to a quarter to either side.
    let halves = (2.0 * turns).round_ties_even();
    let sign = 1.0 - 4.0 * (0.5 * halves - (0.5 * halves).floor());
    let angle = (turns - 0.5 * halves) * std::f32::consts::TAU;
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

/// The greatest power of two that `e^x` is near, and what is left of `e^x` over it, less 1.
#[inline(always)]
fn reduced(x: f32) -> (f32, f32) {
    /// Added and taken away again, it rounds to a whole number: 1.5 times 2 to the 23.
    const ROUND: f32 = 12_582_912.0;
    /// The leading bits of ln 2, so that their product with a whole number is exact, and the rest.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
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
    use super::*;

    /// The greatest relative error of `found` beside `expected` from `from` to `to`.
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
    fn they_are_precise_to_a_few_units_in_the_last_place() {
        let unit = f64::from(f32::EPSILON);
        assert!(error([-86.9, 86.9], exp, f64::exp) < 1.5 * unit);
        assert!(error([-20.0, 20.0], exp_m1, f64::exp_m1) < 2.0 * unit);
        assert!(error([-1e-3, 1e-3], exp_m1, f64::exp_m1) < 1.5 * unit);
        assert!(error([-12.0, 12.0], tanh, f64::tanh) < 3.0 * unit);
        assert!(error([-1e-3, 1e-3], tanh, f64::tanh) < 3.0 * unit);
        assert!(error([-80.0, 80.0], sigmoid, |x| 1.0 / (1.0 + (-x).exp())) < 2.5 * unit);
    }

    #[test]
    fn turns_are_precise_to_a_few_units_of_one() {
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
}
