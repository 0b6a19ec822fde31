//! Scaling of numeric features, fitted on the training rows.

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The method of scaling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scaling {
    /// The range to [0, 1].
    Unit,
    /// Mean 0 and standard deviation 1.
    Standard,
    /// Median 0 and interquartile range 1, then smoothly clipped to (-3, 3) (Holzmueller et al. 2024, "Better by default",
    /// section 3). If both quartiles are equal, as [`Scaling::Quantile`].
    Robust,
    /// The rank among the training values, from -1 for the least to 1 for the greatest.
    Quantile,
}

/// A fitted scale: `(value - offset) / spread`, or 0 if the spread is 0. If `clipped`, the result `x` becomes
/// `x / sqrt(1 + (x / 3)^2)`. If there are `knots`, these replace all that: linear interpolation between the knots, which map
/// to equidistant numbers from -1 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// The median of the training rows, which replaces a missing value. NaN (null in JSON) if missing values are not allowed.
    #[schemars(with = "Option<f64>")]
    pub median: f64,
    /// The number to subtract.
    pub offset: f64,
    /// The number to divide by.
    pub spread: f64,
    /// The minimum of the training rows.
    pub least: f64,
    /// The maximum of the training rows.
    pub greatest: f64,
    /// Whether minimum or maximum is an outlier that alone determines the scale: more than 1,000 interquartile ranges from the
    /// median.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_far: bool,
    /// Whether values are smoothly clipped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clipped: bool,
    /// Two or more ascending values; empty if the scale is linear.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub knots: Vec<f64>,
}

/// The number of intervals between knots at equal shares of rows; as many again at equal shares of distinct values, if these
/// are few.
const KNOTS: usize = 24;
/// At most so many distinct values are few.
const FEW: usize = 1000;

/// A value is an outlier beyond so many interquartile ranges.
const FAR: f64 = 1000.0;

impl Scale {
    /// The bound of smoothly clipped values.
    pub const CLIP: f64 = 3.0;

    /// Fits a scale to `values`, at least one.
    pub(crate) fn fit(mut values: Vec<f64>, scaling: Scaling) -> Self {
        let count = values.len();
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // Halves, because the range of finite numbers may overflow.
        let half_range = greatest / 2.0 - least / 2.0;
        let sum = values.iter().sum::<f64>();
        let is_bearable = sum.is_finite() && (half_range * 4.0 * count as f64).is_finite();
        let (offset, spread) = if least == greatest {
            (least, 0.0)
        } else if scaling == Scaling::Unit || !is_bearable {
            (least, (half_range * 2.0).min(f64::MAX))
        } else {
            let mean = sum / count as f64;
            // Divided by the range, no square can overflow.
            let squares =
                values.iter().map(|value| ((value - mean) / (half_range * 2.0)).powi(2)).sum::<f64>();
            (mean, (squares / count as f64).sqrt() * (half_range * 2.0))
        };
        // With subnormal numbers, half the range rounds to 0 and the quotients above are not finite.
        let spread = if spread.is_finite() { spread } else { 0.0 };
        let (below, &mut upper, _) = values.select_nth_unstable_by(count / 2, f64::total_cmp);
        let lower =
            if count % 2 == 1 { upper } else { below.iter().copied().fold(f64::NEG_INFINITY, f64::max) };
        let median = lower / 2.0 + upper / 2.0;
        let mut at = |rank: usize| *values.select_nth_unstable_by(rank, f64::total_cmp).1;
        let quartiles = at(count * 3 / 4) - at(count / 4);
        let is_robust = scaling == Scaling::Robust && quartiles > 0.0 && quartiles.is_finite();
        let is_by_rank = scaling == Scaling::Quantile || (scaling == Scaling::Robust && !is_robust);
        Self {
            median,
            offset: if is_robust { median } else { offset },
            spread: if is_robust { quartiles } else { spread },
            least,
            greatest,
            is_far: matches!(scaling, Scaling::Unit | Scaling::Standard)
                && quartiles > 0.0
                && (greatest - median).max(median - least) > FAR * quartiles,
            clipped: is_robust,
            knots: if is_by_rank { knots(values) } else { Vec::new() },
        }
    }

    /// Scales `value`; NaN stands for a missing value. The result is limited to finite 32-bit numbers.
    pub(crate) fn apply(&self, value: f64) -> f32 {
        let value = if value.is_nan() { self.median } else { value };
        if self.spread == 0.0 {
            return 0.0;
        }
        if let [_, .., _] = self.knots[..] {
            return self.position(value);
        }
        let scaled = ((value - self.offset) / self.spread).clamp(f64::from(f32::MIN), f64::from(f32::MAX));
        if self.clipped {
            (scaled / (1.0 + (scaled / Self::CLIP).powi(2)).sqrt()) as f32
        } else {
            scaled as f32
        }
    }

    /// The position of `value` among the knots, from -1 to 1.
    fn position(&self, value: f64) -> f32 {
        let last = self.knots.len() - 1;
        let above = self.knots.partition_point(|knot| *knot <= value);
        if above == 0 {
            return -1.0;
        }
        if above > last {
            return 1.0;
        }
        let [from, to] = [self.knots[above - 1], self.knots[above]];
        // Halves, because the difference of finite numbers may overflow.
        let share = (value / 2.0 - from / 2.0) / (to / 2.0 - from / 2.0);
        (2.0 * ((above - 1) as f64 + share) / last as f64 - 1.0) as f32
    }

    /// True if `value` is outside the range of the training rows.
    pub(crate) fn excludes(&self, value: f64) -> bool {
        value < self.least || value > self.greatest
    }
}

/// Quantiles of `values` at equal distances and, if there are few distinct values, quantiles of these as well: if most rows
/// share one value, the former would hardly contain another.
fn knots(mut values: Vec<f64>) -> Vec<f64> {
    let at = |step: usize, count: usize| (count - 1) * step / KNOTS;
    values.par_sort_unstable_by(f64::total_cmp);
    let mut knots: Vec<f64> = (0..=KNOTS).map(|step| values[at(step, values.len())]).collect();
    values.dedup();
    if values.len() <= FEW {
        knots.extend((0..=KNOTS).map(|step| values[at(step, values.len())]));
        knots.sort_unstable_by(f64::total_cmp);
    }
    knots.dedup();
    knots
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Scaling; 4] = [Scaling::Unit, Scaling::Standard, Scaling::Robust, Scaling::Quantile];

    #[test]
    fn numbers_are_scaled_by_range_or_by_deviation() {
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
    fn robust_scaling_uses_quartiles_and_clips_smoothly() {
        let values = |last: f64| (0..100).map(f64::from).chain([last]).collect::<Vec<_>>();
        let [near, far] = [100.0, 1e12].map(|last| Scale::fit(values(last), Scaling::Robust));
        assert_eq!((near.offset, near.spread), (far.offset, far.spread));
        assert_eq!(near.apply(near.median), 0.0);
        // One interquartile range above: 1 / sqrt(1 + 1 / 9).
        assert!((near.apply(near.offset + near.spread) - 0.948_683_3).abs() < 1e-6);
        assert!(far.apply(1e12) <= 3.0 && far.apply(1e12) > 2.99 && far.apply(-1e300) >= -3.0);
        let mostly_one = vec![7.0, 7.0, 7.0, 7.0, 7.0, 9.0];
        let scaled = |scaling| Scale::fit(mostly_one.clone(), scaling);
        assert_eq!(scaled(Scaling::Robust), scaled(Scaling::Quantile));
    }

    #[test]
    fn quantile_scaling_rises_from_the_least_to_the_greatest_training_value() {
        for values in [
            (0..1000).map(|value| f64::from(value).powi(3)).collect::<Vec<_>>(),
            (0..1000).map(|value| f64::from(value % 7)).collect(),
            (0..1000).map(|value| if value < 920 { 0.0 } else { f64::from(value) }).collect(),
        ] {
            let scale = Scale::fit(values.clone(), Scaling::Quantile);
            assert!(scale.knots.len() <= 2 * KNOTS + 2 && scale.knots.is_sorted());
            let mut positions: Vec<f32> = values.iter().map(|&value| scale.apply(value)).collect();
            positions.sort_by(f32::total_cmp);
            assert_eq!((positions[0], positions[999]), (-1.0, 1.0));
            assert_eq!((scale.apply(-1e300), scale.apply(f64::MAX)), (-1.0, 1.0));
            let mut different = values;
            different.sort_by(f64::total_cmp);
            different.dedup();
            assert!(different.windows(2).all(|pair| scale.apply(pair[0]) < scale.apply(pair[1])));
        }
        // If most rows share one value, the other values still cover nearly the whole range.
        let rare = (0..1000).map(|value| if value < 920 { 0.0 } else { f64::from(value) }).collect();
        assert!(Scale::fit(rare, Scaling::Quantile).apply(960.0).abs() < 0.2);
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
    fn finite_numbers_scale_to_finite_numbers() {
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
    fn an_outlier_leads_to_a_notice() {
        let values = |last: f64| (0..100).map(f64::from).chain([last]).collect::<Vec<_>>();
        assert!(Scale::fit(values(1e9), Scaling::Standard).is_far);
        assert!(!Scale::fit(values(10_000.0), Scaling::Standard).is_far);
        assert!(!Scale::fit(vec![5.0; 9], Scaling::Standard).is_far, "a constant has no outlier");
    }
}
