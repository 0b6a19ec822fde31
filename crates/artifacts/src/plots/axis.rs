//! Where an axis begins and ends, and which values it names.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// An axis with its ticks at round values. plotters' own axes put epochs at fractions.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    start: f64,
    end: f64,
    step: f64,
}

impl Axis {
    /// An axis over epochs, with whole numbers alone.
    pub(super) fn of_epochs(first: u64, last: u64) -> Self {
        let (first, last) = (first as f64, last as f64);
        // One epoch alone stands in the middle.
        let margin = if first < last { (last - first) * 0.03 } else { 0.5 };
        Self::new(first - margin, last + margin, 12, 1.0)
    }

    /// An axis over measured values, of which one at least is finite.
    pub(super) fn of_values(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        // Less than this is rounding, and nothing to magnify.
        let flat = high - low <= 1e-9 * high.abs().max(1e-3);
        let margin = if flat { (high.abs() * 0.1).max(1e-3) } else { (high - low) * 0.06 };
        Self::new(low - margin, high + margin, 8, 0.0)
    }

    /// Characters of the longest label.
    pub(super) fn label_length(&self) -> usize {
        self.ticks().iter().map(|tick| self.format_ext(tick).len()).max().unwrap_or(0)
    }

    fn new(start: f64, end: f64, most_ticks: u32, least_step: f64) -> Self {
        let step = round_step((end - start) / f64::from(most_ticks)).max(least_step);
        Self { start, end, step }
    }

    fn ticks(&self) -> Vec<f64> {
        let first = (self.start / self.step).ceil() as i64;
        let last = (self.end / self.step).floor() as i64;
        (first..=last).map(|index| index as f64 * self.step).collect()
    }
}

/// The least of 1, 2 and 5 times a power of ten that is not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= step);
    factor.unwrap_or(10.0) * power
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        let share = (value - self.start) / (self.end - self.start);
        start + (f64::from(end - start) * share).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks()
    }

    fn range(&self) -> Range<f64> {
        self.start..self.end
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        let step_power = self.step.log10().floor();
        if value.abs() < 1e6 && step_power > -6.0 {
            return format!("{value:.*}", (-step_power).max(0.0) as usize);
        }
        let digits = if *value == 0.0 { 0.0 } else { (value.abs().log10().floor() - step_power).max(0.0) };
        format!("{value:.*e}", digits as usize)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks().iter().map(|tick| axis.format_ext(tick)).collect()
    }

    #[test]
    fn epochs_are_whole_numbers() {
        assert_eq!(labels(&Axis::of_epochs(1, 1)), ["1"]);
        assert_eq!(labels(&Axis::of_epochs(1, 3)), ["1", "2", "3"]);
        assert_eq!(labels(&Axis::of_epochs(1, 50))[..3], ["0", "5", "10"]);
    }

    #[test]
    fn values_have_as_many_digits_as_they_need() {
        assert_eq!(
            labels(&Axis::of_values([0.981, 0.99].into_iter())),
            ["0.982", "0.984", "0.986", "0.988", "0.990"]
        );
        assert_eq!(
            labels(&Axis::of_values([0.0, 1.0].into_iter())),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(
            labels(&Axis::of_values([0.0, 5e9].into_iter())),
            ["0", "1e9", "2e9", "3e9", "4e9", "5e9"]
        );
    }

    proptest! {
        #[test]
        fn every_axis_has_some_ticks_within_it(values in prop::collection::vec(-1e100..1e100_f64, 1..5), scale in -100..0_i32) {
            let axis = Axis::of_values(values.iter().map(|value| value * 10_f64.powi(scale)));
            let ticks = axis.ticks();
            prop_assert!((1..=12).contains(&ticks.len()), "{axis:?}");
            prop_assert!(ticks.iter().all(|tick| (axis.start..=axis.end).contains(tick)));
        }
    }
}
