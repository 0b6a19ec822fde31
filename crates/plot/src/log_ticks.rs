//! Which values a logarithmic axis names.

use crate::scale::round_step;

/// With fewer names than this one cannot read an axis.
const FEWEST: usize = 3;

/// The named values from 10^`start` to 10^`end`, rising, at most about `most`, each with its name: powers of ten where there
/// are enough, else 1, 2 and 5 times those, else, over less than half a power of ten, equal steps.
pub(crate) fn ticks(start: f64, end: f64, most: u32) -> Vec<(f64, String)> {
    let stride = ((end - start) / f64::from(most)).ceil().max(1.0) as i32;
    let candidates = [multiples(start, end, stride, &[1]), multiples(start, end, 1, &[1, 2, 5])];
    let readable = |values: &Vec<f64>| values.len() >= FEWEST && values.len() <= most as usize + 1;
    let values = candidates.into_iter().find(readable).unwrap_or_else(|| equal_steps(start, end, most));
    values.into_iter().map(|value| (value, name(value))).collect()
}

/// `factors` times every power of ten whose exponent is a multiple of `stride`.
fn multiples(start: f64, end: f64, stride: i32, factors: &[i32]) -> Vec<f64> {
    let first = (start.floor() as i32).div_euclid(stride) * stride;
    let powers = (first..=end.ceil() as i32).step_by(stride as usize);
    // Read from text, 0.001 is the number nearest to it; computed, it need not be.
    let value = |power: i32, factor: &i32| format!("{factor}e{power}").parse::<f64>().ok();
    let values = powers.flat_map(|power| factors.iter().filter_map(move |factor| value(power, factor)));
    values.filter(|value| (start..=end).contains(&value.log10())).collect()
}

fn equal_steps(start: f64, end: f64, most: u32) -> Vec<f64> {
    let (low, high) = (10_f64.powf(start), 10_f64.powf(end));
    let step = round_step((high - low) / f64::from(most));
    let range = (low / step).ceil() as i64..=(high / step).floor() as i64;
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    let round = |index: i64| format!("{:.decimals$}", index as f64 * step).parse().ok();
    range.filter_map(round).filter(|value: &f64| *value > 0.0).collect()
}

/// `0.05`, `20`, `1e-6`.
fn name(value: f64) -> String {
    if (1e-3..1e5).contains(&value) { value.to_string() } else { format!("{value:e}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(low: f64, high: f64) -> Vec<String> {
        ticks(low.log10(), high.log10(), 10).into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn powers_of_ten_are_named_where_there_are_enough() {
        assert_eq!(names(1e-9, 3.0)[..3], ["1e-9", "1e-8", "1e-7"]);
        assert_eq!(names(0.009, 2000.0), ["0.01", "0.1", "1", "10", "100", "1000"]);
        assert_eq!(names(1e-20, 1e20)[..2], ["1e-20", "1e-16"], "every fourth");
    }

    #[test]
    fn a_short_axis_has_values_between_them() {
        assert_eq!(names(0.04, 1.2), ["0.05", "0.1", "0.2", "0.5", "1"]);
        assert_eq!(
            names(0.55, 1.0),
            ["0.55", "0.6", "0.65", "0.7", "0.75", "0.8", "0.85", "0.9", "0.95", "1"]
        );
        assert_eq!(names(2.29, 2.31), ["2.29", "2.295", "2.3", "2.305", "2.31"]);
    }

    proptest! {
        #[test]
        fn there_are_some_ticks_in_order_within_the_ends(start in -290.0..290.0_f64, span in 0.01..80.0_f64) {
            let end = (start + span).min(299.0);
            let ticks = ticks(start, end, 10);
            prop_assert!((2..=13).contains(&ticks.len()), "{ticks:?}");
            prop_assert!(ticks.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 != pair[1].1));
            let is_within = |value: f64| (start - 1e-6..=end + 1e-6).contains(&value.log10());
            prop_assert!(ticks.iter().all(|(value, _)| is_within(*value)), "{ticks:?}");
        }
    }
}
