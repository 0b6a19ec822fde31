//! Where an axis begins and ends, and which values it names.

use crate::{
    Axis, AxisRange, PlotError, log_ticks,
    text::{SMALL, text_width},
};

/// Greater numbers would overflow where ranges are computed; they are left out as infinite ones are.
const GREATEST: f64 = 1e300;

/// Rounding that a value or a tick may be off an end of an axis, as a share of the axis.
const TOLERANCE: f64 = 1e-9;

/// An axis that knows its values, with its ticks at round ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    /// The ends; their logarithms to the base of ten where the axis is logarithmic.
    start: f64,
    end: f64,
    ticks: Ticks,
}

/// Which values are named.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ticks {
    /// The multiples of a step.
    Every(f64),
    /// Those of a logarithmic axis, at most so many.
    Logarithmic(u32),
}

impl Scale {
    /// The scale of `axis` over those of `values` that can be shown, with at most `most_ticks + 1` ticks; none
    /// where no value can be shown.
    pub(crate) fn of_axis(
        axis: &Axis,
        values: impl Iterator<Item = f64>,
        most_ticks: u32,
    ) -> Result<Option<Self>, PlotError> {
        let values: Vec<f64> = values.collect();
        let positive = ends(values.iter().copied().filter(|value| *value > 0.0));
        let ends = ends(values.into_iter());
        Ok(match axis.range {
            AxisRange::WholeNumbers => ends.map(|ends| Self::of_whole_numbers(ends, most_ticks)),
            AxisRange::Values => ends.map(|ends| Self::of_values(ends, most_ticks)),
            AxisRange::Logarithmic => positive.map(|ends| Self::logarithmic(ends, most_ticks)),
            AxisRange::Fixed { start, end } => Some(Self::fixed(&axis.label, start, end, most_ticks)?),
        })
    }

    fn of_whole_numbers((low, high): (f64, f64), most_ticks: u32) -> Self {
        // One epoch alone stands in the middle.
        let margin = if is_flat(low, high) { (high.abs() * 1e-6).max(0.5) } else { (high - low) * 0.03 };
        Self::new(low - margin, high + margin, most_ticks, 1.0)
    }

    fn of_values((low, high): (f64, f64), most_ticks: u32) -> Self {
        let margin = if is_flat(low, high) { (high.abs() * 0.1).max(1e-3) } else { (high - low) * 0.05 };
        Self::new(low - margin, high + margin, most_ticks, 0.0)
    }

    fn logarithmic((low, high): (f64, f64), most_ticks: u32) -> Self {
        let (low, high) = (low.log10(), high.log10());
        let margin = if is_flat(low, high) { 0.05 } else { (high - low) * 0.05 };
        Self { start: low - margin, end: high + margin, ticks: Ticks::Logarithmic(most_ticks) }
    }

    fn fixed(label: &str, start: f64, end: f64, most_ticks: u32) -> Result<Self, PlotError> {
        let is_range = can_be_shown(start) && can_be_shown(end) && start < end && !is_flat(start, end);
        if is_range {
            Ok(Self::new(start, end, most_ticks, 0.0))
        } else {
            Err(PlotError::AxisRange { label: label.to_owned(), start, end })
        }
    }

    fn new(start: f64, end: f64, most_ticks: u32, least_step: f64) -> Self {
        let step = round_step((end - start) / f64::from(most_ticks)).max(least_step);
        Self { start, end, ticks: Ticks::Every(step) }
    }

    /// Where `value` lies: 0 at the start, 1 at the end; none for one outside.
    pub(crate) fn share(&self, value: f64) -> Option<f64> {
        let place = match self.ticks {
            Ticks::Every(_) => value,
            Ticks::Logarithmic(_) => value.log10(),
        };
        let share = (place - self.start) / (self.end - self.start);
        let is_within = can_be_shown(value) && (-TOLERANCE..=1.0 + TOLERANCE).contains(&share);
        is_within.then(|| share.clamp(0.0, 1.0))
    }

    /// The named values, rising, each with its name.
    pub(crate) fn ticks(&self) -> Vec<(f64, String)> {
        let step = match self.ticks {
            Ticks::Every(step) => step,
            Ticks::Logarithmic(most) => return log_ticks::ticks(self.start, self.end, most),
        };
        let first = (self.start / step - TOLERANCE).ceil() as i64;
        let last = (self.end / step + TOLERANCE).floor() as i64;
        let value = |index| (index as f64 * step).clamp(self.start, self.end);
        (first..=last).map(value).map(|value| (value, self.name(value, step))).collect()
    }

    /// The width of all names together, in pixels, without gaps.
    pub(crate) fn names_width(&self) -> f64 {
        self.ticks().iter().map(|(_, name)| text_width(name, SMALL)).sum()
    }

    /// `value` with as many digits as the ticks need; numbers from a million on in the form `1.5e6`.
    fn name(&self, value: f64, step: f64) -> String {
        let power = step.log10().floor();
        if self.start.abs().max(self.end.abs()) < 1e6 && power > -6.0 {
            return format!("{value:.*}", (-power).max(0.0) as usize);
        }
        if value == 0.0 {
            return "0".to_owned();
        }
        let digits = (value.abs().log10().floor() - power).max(0.0);
        format!("{value:.*e}", digits as usize)
    }
}

/// The least and the greatest of the values that can be shown.
fn ends(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|value| can_be_shown(*value)).fold(None, |ends, value| {
        let (low, high) = ends.unwrap_or((value, value));
        Some((value.min(low), value.max(high)))
    })
}

/// Whether a value has a place on an axis.
pub(crate) fn can_be_shown(value: f64) -> bool {
    value.abs() <= GREATEST
}

/// Whether two values differ by rounding alone, which is nothing to magnify.
fn is_flat(low: f64, high: f64) -> bool {
    high - low <= 1e-9 * low.abs().max(high.abs()).max(1e-3)
}

/// The least of 1, 2 and 5 times a power of ten that is not below `step`.
pub(crate) fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= step);
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scale(axis: &Axis, values: &[f64]) -> Scale {
        Scale::of_axis(axis, values.iter().copied(), 8).unwrap().unwrap()
    }

    fn names(axis: &Axis, values: &[f64]) -> Vec<String> {
        scale(axis, values).ticks().into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn whole_numbers_alone_are_named() {
        let axis = Axis::whole_numbers("epoch");
        assert_eq!(names(&axis, &[1.0]), ["1"]);
        assert_eq!(names(&axis, &[1.0, 3.0]), ["1", "2", "3"]);
        assert_eq!(names(&axis, &[1.0, 50.0])[..3], ["0", "10", "20"]);
        assert_eq!(names(&axis, &[0.0, 2e6])[..3], ["0", "5e5", "1.0e6"]);
    }

    #[test]
    fn values_have_as_many_digits_as_they_need() {
        let axis = Axis::values("loss");
        assert_eq!(names(&axis, &[0.981, 0.99]), ["0.982", "0.984", "0.986", "0.988", "0.990"]);
        assert_eq!(names(&axis, &[0.0, 5e9]), ["0", "1e9", "2e9", "3e9", "4e9", "5e9"]);
        assert_eq!(names(&Axis::unit("recall"), &[]), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(names(&Axis::fixed("rate", 0.0, 0.3), &[]).last().unwrap(), "0.30", "0.3 / 0.05 < 6");
    }

    #[test]
    fn what_is_outside_has_no_place() {
        let unit = scale(&Axis::unit("recall"), &[]);
        assert_eq!(
            [0.0, 0.5, 1.0, 1.0 + 1e-12].map(|value| unit.share(value)),
            [0.0, 0.5, 1.0, 1.0].map(Some)
        );
        for outside in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(unit.share(outside), None);
        }
        assert_eq!(Scale::of_axis(&Axis::values("loss"), [f64::NAN, 1e301].into_iter(), 8).unwrap(), None);
    }

    #[test]
    fn a_fixed_range_must_rise() {
        for (start, end) in [(1.0, 0.0), (0.0, 0.0), (f64::NAN, 1.0), (0.0, f64::INFINITY), (1e9, 1e9 + 1e-6)]
        {
            let error = Scale::of_axis(&Axis::fixed("x", start, end), std::iter::empty(), 8).unwrap_err();
            assert!(matches!(error, PlotError::AxisRange { .. }), "{error}");
        }
    }

    proptest! {
        #[test]
        fn every_scale_has_some_ticks_within_it(
            values in prop::collection::vec(-1e100..1e100_f64, 1..5),
            power in -110..200_i32,
            is_whole: bool,
        ) {
            let axis = if is_whole { Axis::whole_numbers("x") } else { Axis::values("x") };
            let values: Vec<f64> = values.iter().map(|value| value * 10_f64.powi(power)).collect();
            let Some(scale) = Scale::of_axis(&axis, values.iter().copied(), 8).unwrap() else {
                return Err(TestCaseError::reject("too great to show"));
            };
            let ticks = scale.ticks();
            // Whole numbers between which no whole number lies have none.
            prop_assert!(ticks.len() <= 9 && (is_whole || !ticks.is_empty()), "{scale:?}");
            for (index, (value, name)) in ticks.iter().enumerate() {
                prop_assert!((0.0..=1.0).contains(&scale.share(*value).unwrap()));
                prop_assert!(ticks[..index].iter().all(|(_, other)| other != name), "{name} twice");
                let error = (name.parse::<f64>().unwrap() - value).abs();
                let Ticks::Every(step) = scale.ticks else { unreachable!("neither axis is logarithmic") };
                prop_assert!(error <= step * 1e-3, "{name} at {value}");
            }
            prop_assert!(values.iter().all(|value| !can_be_shown(*value) || scale.share(*value).is_some()));
        }
    }
}
