//! Robust statistics of a series of figures, and numbers as text.

/// Width of the rolling median: a single outlier does not change it.
const SMOOTHING: usize = 3;

/// The median; of an even number of values, the mean of the middle two. `None` without values.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        length if length % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The median absolute deviation: a spread that a few outliers do not widen.
pub(crate) fn median_deviation(values: &[f64]) -> Option<f64> {
    let center = median(values)?;
    median(&values.iter().map(|value| (value - center).abs()).collect::<Vec<_>>())
}

/// The median absolute deviation of the changes from one value to the next: the noise of a series.
pub(crate) fn usual_change(values: &[f64]) -> Option<f64> {
    median_deviation(&values.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>())
}

/// Rolling medians of three values, so two fewer than `values`.
pub(crate) fn smoothed(values: &[f64]) -> Vec<f64> {
    values.windows(SMOOTHING).filter_map(median).collect()
}

/// The last values, at most `count` of them.
pub(crate) fn latest(values: &[f64], count: usize) -> &[f64] {
    &values[values.len().saturating_sub(count)..]
}

/// The smallest and the largest value.
pub(crate) fn extremes(values: &[f64]) -> Option<(f64, f64)> {
    let first = *values.first()?;
    Some(values.iter().fold((first, first), |(low, high), value| (low.min(*value), high.max(*value))))
}

/// A number with three significant digits; in scientific notation if it is very small or very large.
pub(crate) fn short(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 {
        "0".to_owned()
    } else if !(1e-3..1e5).contains(&magnitude) {
        format!("{value:.1e}")
    } else {
        let digits = (2.0 - magnitude.log10().floor()).max(0.0) as usize;
        format!("{value:.digits$}")
    }
}

/// A share in [0, 1] as a percentage. A share slightly below 1 is not rounded to 100 %.
pub(crate) fn percent(share: f64) -> String {
    let digits = usize::from((0.995..1.0).contains(&share));
    format!("{:.digits$} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_ignore_an_outlier() {
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), Some(3.0));
        assert_eq!(median(&[]), None);
        assert_eq!(median_deviation(&[1.0, 2.0, 3.0, 100.0, 4.0]), Some(1.0));
        assert_eq!(smoothed(&[1.0, 9.0, 2.0, 3.0]), [2.0, 3.0]);
        assert_eq!(extremes(&[2.0, 1.0, 3.0]), Some((1.0, 3.0)));
    }

    #[test]
    fn numbers_have_the_digits_that_matter() {
        let cases = [(0.0, "0"), (2.3125, "2.31"), (0.0312, "0.0312"), (140.4, "140"), (5e-9, "5.0e-9")];
        for (value, expected) in cases {
            assert_eq!(short(value), expected);
        }
    }

    #[test]
    fn only_a_share_of_one_is_100_percent() {
        assert_eq!([0.634, 0.996, 1.0].map(percent), ["63 %", "99.6 %", "100 %"]);
    }
}
