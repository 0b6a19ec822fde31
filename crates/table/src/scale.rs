//! How numbers are scaled.

use serde::{Deserialize, Serialize};

/// How numbers are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scaling {
    /// From their range to [0, 1].
    Unit,
    /// To mean 0 and standard deviation 1.
    Standard,
    /// To median 0 and a distance of 1 between the quartiles, then smoothly clipped: no value is beyond -3 or 3
    /// (Holzmueller and others 2024, "Better by default", section 3).
    Robust,
}

/// How a number is scaled: `(value - offset) / spread`, zero where the spread is zero; of that, where `clipped`, `x` becomes
/// `x / sqrt(1 + (x / 3)^2)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// Stands in for a missing value: the median of the training rows. NaN where nothing does.
    pub median: f64,
    /// What is subtracted.
    pub offset: f64,
    /// What is divided by.
    pub spread: f64,
    /// The least value of the training rows.
    pub least: f64,
    /// The greatest.
    pub greatest: f64,
    /// Whether one of them is so far from the median that it decides the scale alone: more than 1,000 times as far as the
    /// quartiles are from each other.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_far: bool,
    /// Whether it is smoothly clipped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clipped: bool,
}

/// What smoothly clipped values stay below.
const CLIP: f64 = 3.0;

/// Quartile distances from which on a value is far from the others.
const FAR: f64 = 1000.0;

impl Scale {
    /// The scale that `values`, of which there is at least one, ask for.
    pub(crate) fn fit(mut values: Vec<f64>, scaling: Scaling) -> Self {
        let count = values.len();
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // Halves, because the range of finite numbers need not be finite.
        let half_range = greatest / 2.0 - least / 2.0;
        let sum = values.iter().sum::<f64>();
        let is_bearable = sum.is_finite() && (half_range * 4.0 * count as f64).is_finite();
        let (offset, spread) = if least == greatest {
            (least, 0.0)
        } else if scaling == Scaling::Unit || !is_bearable {
            (least, (half_range * 2.0).min(f64::MAX))
        } else {
            let mean = sum / count as f64;
            // In units of the range, the squares of no number overflow.
            let squares =
                values.iter().map(|value| ((value - mean) / (half_range * 2.0)).powi(2)).sum::<f64>();
            (mean, (squares / count as f64).sqrt() * (half_range * 2.0))
        };
        // Half of the least number there is is nothing, and divides to no number.
        let spread = if spread.is_finite() { spread } else { 0.0 };
        let (below, &mut upper, _) = values.select_nth_unstable_by(count / 2, f64::total_cmp);
        let lower =
            if count % 2 == 1 { upper } else { below.iter().copied().fold(f64::NEG_INFINITY, f64::max) };
        let median = lower / 2.0 + upper / 2.0;
        let mut at = |place: usize| *values.select_nth_unstable_by(place, f64::total_cmp).1;
        let quartiles = at(count * 3 / 4) - at(count / 4);
        if scaling != Scaling::Robust {
            let is_far = quartiles > 0.0 && (greatest - median).max(median - least) > FAR * quartiles;
            return Self { median, offset, spread, least, greatest, is_far, clipped: false };
        }
        // Where half of the rows have one value, the range decides.
        let spread = if quartiles > 0.0 && quartiles.is_finite() { quartiles } else { half_range };
        let spread = if spread.is_normal() { spread } else { 0.0 };
        Self { median, offset: median, spread, least, greatest, is_far: false, clipped: true }
    }

    /// `value` scaled; NaN stands for no value. What is too far outside becomes the greatest 32-bit number.
    pub(crate) fn apply(&self, value: f64) -> f32 {
        let value = if value.is_nan() { self.median } else { value };
        if self.spread == 0.0 {
            return 0.0;
        }
        let scaled = ((value - self.offset) / self.spread).clamp(f64::from(f32::MIN), f64::from(f32::MAX));
        if self.clipped { (scaled / (1.0 + (scaled / CLIP).powi(2)).sqrt()) as f32 } else { scaled as f32 }
    }

    /// True if `value` lies outside the range of the training rows.
    pub(crate) fn excludes(&self, value: f64) -> bool {
        value < self.least || value > self.greatest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Scaling; 3] = [Scaling::Unit, Scaling::Standard, Scaling::Robust];

    #[test]
    fn numbers_are_scaled_to_their_range_or_to_their_spread() {
        let unit = Scale::fit(vec![4.0, 2.0, 8.0, 2.0], Scaling::Unit);
        assert_eq!(
            (unit.median, unit.offset, unit.spread, unit.least, unit.greatest),
            (3.0, 2.0, 6.0, 2.0, 8.0)
        );
        assert_eq!((unit.apply(8.0), unit.apply(14.0), unit.apply(f64::NAN)), (1.0, 2.0, 1.0 / 6.0));
        assert!(unit.excludes(8.5) && unit.excludes(1.5) && !unit.excludes(8.0) && !unit.excludes(f64::NAN));
        let standard = Scale::fit(vec![1.0, 3.0], Scaling::Standard);
        assert_eq!((standard.offset, standard.spread), (2.0, 1.0));
        let constant = Scale::fit(vec![5.0; 3], Scaling::Standard);
        assert_eq!((constant.apply(5.0), constant.apply(9.0)), (0.0, 0.0));
    }

    #[test]
    fn seconds_and_julian_dates_keep_their_digits() {
        for start in [1_262_304_000.0, 2_460_310.5] {
            let values: Vec<f64> = (0..1000).map(|step| start + f64::from(step) * 0.125).collect();
            let mean = values.iter().sum::<f64>() / 1000.0;
            let spread = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 1000.0).sqrt();
            let scale = Scale::fit(values.clone(), Scaling::Standard);
            for value in values {
                assert!((f64::from(scale.apply(value)) - (value - mean) / spread).abs() < 1e-6, "{value}");
            }
        }
    }

    #[test]
    fn no_finite_numbers_scale_to_none() {
        let (most, least) = (f64::MAX, f64::from_bits(1));
        for values in [
            vec![most, -most],
            vec![most, most / 1.5, most],
            vec![least, 0.0],
            vec![least, 0.0, -least, 0.0],
            vec![1e300, 1e300, 1.0],
            vec![1e-300, 0.0],
        ] {
            for scaling in ALL {
                let scale = Scale::fit(values.clone(), scaling);
                for value in [0.0, 1.0, least, most, -most, f64::NAN, values[0]] {
                    assert!(scale.apply(value).is_finite(), "{values:?}, {scaling:?}, {value}");
                }
            }
        }
    }

    #[test]
    fn one_value_far_from_all_others_is_noticed() {
        let values = |last: f64| (0..100).map(f64::from).chain([last]).collect::<Vec<_>>();
        assert!(Scale::fit(values(1e9), Scaling::Standard).is_far);
        assert!(!Scale::fit(values(10_000.0), Scaling::Standard).is_far);
        assert!(!Scale::fit(vec![5.0; 9], Scaling::Standard).is_far, "a constant has no far value");
    }
}
