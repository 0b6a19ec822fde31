//! The axes of a chart: an [`Axis`] is the request, a [`Scale`] its range and ticks, and a [`Frame`] the area between two axes.

use plotters::prelude::DrawingBackend;

use crate::PlotError;
use crate::canvas::{Anchor, Canvas, DrawResult, LABEL, LabelStyle, Pen, SMALL, text_width};

/// An axis of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// The label, with the unit: `epoch`, `loss (nats)`.
    pub label: String,
    /// The range.
    pub range: AxisRange,
}

/// The range of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AxisRange {
    /// All values, with a margin at both ends and ticks at whole numbers only: epochs, steps.
    WholeNumbers,
    /// All values, with a margin at both ends.
    Values,
    /// All values above 0, on a logarithmic scale with a margin at both ends. Other values are left out, like non-finite ones.
    Logarithmic,
    /// Exactly this range. Values outside are left out, like non-finite ones.
    Fixed {
        /// The start of the axis.
        start: f64,
        /// The end of the axis, above `start`.
        end: f64,
    },
}

impl Axis {
    /// An axis over all values, with ticks at whole numbers only.
    #[must_use]
    pub fn whole_numbers(label: impl Into<String>) -> Self {
        Self { label: label.into(), range: AxisRange::WholeNumbers }
    }

    /// An axis over all values.
    #[must_use]
    pub fn values(label: impl Into<String>) -> Self {
        Self { label: label.into(), range: AxisRange::Values }
    }

    /// A logarithmic axis over all values above 0.
    #[must_use]
    pub fn logarithmic(label: impl Into<String>) -> Self {
        Self { label: label.into(), range: AxisRange::Logarithmic }
    }

    /// An axis from `start` to `end`.
    #[must_use]
    pub fn fixed(label: impl Into<String>, start: f64, end: f64) -> Self {
        Self { label: label.into(), range: AxisRange::Fixed { start, end } }
    }

    /// An axis from 0 to 1.
    #[must_use]
    pub fn unit(label: impl Into<String>) -> Self {
        Self::fixed(label, 0.0, 1.0)
    }
}

/// Space between the outer edge and an axis for its label; for the y axis, tick labels are additional.
const Y_LABEL: f64 = 40.0;
const X_LABELS: f64 = 50.0;
/// Half the label of the last tick of the x axis extends beyond the area.
const RIGHT: f64 = 24.0;
/// Half the label of the highest tick of the y axis does, too.
const TOP: f64 = 8.0;
const TICK: f64 = 5.0;
const GRID_OPACITY: f64 = 0.22;

/// A plot area with an axis on the left and one below.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) right: f64,
    pub(crate) bottom: f64,
    x: Scale,
    y: Scale,
    x_label: String,
    y_label: String,
}

impl Frame {
    /// A frame with an area of `width` by `height` pixels. Its outer edge is at height `top`.
    pub(crate) fn new(
        top: f64,
        (width, height): (f64, f64),
        (x, x_label): (Scale, &str),
        (y, y_label): (Scale, &str),
    ) -> Self {
        let names = y.ticks().iter().map(|(_, name)| text_width(name, SMALL)).fold(0.0, f64::max);
        let left = (Y_LABEL + names + TICK).ceil();
        Self {
            left,
            top: top + TOP,
            right: left + width,
            bottom: top + TOP + height,
            x,
            y,
            x_label: x_label.to_owned(),
            y_label: y_label.to_owned(),
        }
    }

    /// Moves the area horizontally to begin at `left`.
    pub(crate) fn begin_at(&mut self, left: f64) {
        self.right += left - self.left;
        self.left = left;
    }

    /// The right outer edge.
    pub(crate) fn outer_right(&self) -> f64 {
        self.right + RIGHT
    }

    /// The lower outer edge.
    pub(crate) fn outer_bottom(&self) -> f64 {
        self.bottom + X_LABELS
    }

    /// The position of a value on the x axis; `None` if it is outside.
    pub(crate) fn across(&self, x: f64) -> Option<f64> {
        self.x.share(x).map(|share| self.left + share * (self.right - self.left))
    }

    /// The position of a point in the area; `None` if it is outside.
    pub(crate) fn place(&self, (x, y): (f64, f64)) -> Option<(f64, f64)> {
        let across = self.across(x)?;
        let up = self.y.share(y)? * (self.bottom - self.top);
        Some((across, self.bottom - up))
    }

    pub(crate) fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> DrawResult {
        self.draw_y_axis(canvas)?;
        self.draw_x_axis(canvas)?;
        let corners = [(self.left, self.top), (self.left, self.bottom), (self.right, self.bottom)];
        canvas.line(&corners, Pen::new(canvas.ink, 1.0))
    }

    fn draw_x_axis<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> DrawResult {
        for (value, name) in self.x.ticks() {
            let x = self.left + self.x.share(value).unwrap_or(0.0) * (self.right - self.left);
            canvas.line(&[(x, self.bottom), (x, self.bottom + TICK)], Pen::new(canvas.ink, 1.0))?;
            canvas.text(&name, (x, self.bottom + TICK + 10.0), canvas.label_style(SMALL, Anchor::Middle))?;
        }
        let middle = f64::midpoint(self.left, self.right);
        canvas.text(&self.x_label, (middle, self.bottom + 36.0), canvas.label_style(LABEL, Anchor::Middle))
    }

    fn draw_y_axis<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> DrawResult {
        let grid = Pen { opacity: GRID_OPACITY, ..Pen::new(canvas.ink, 1.0) };
        for (value, name) in self.y.ticks() {
            let y = self.bottom - self.y.share(value).unwrap_or(0.0) * (self.bottom - self.top);
            canvas.line(&[(self.left, y), (self.right, y)], grid)?;
            canvas.line(&[(self.left - TICK, y), (self.left, y)], Pen::new(canvas.ink, 1.0))?;
            canvas.text(&name, (self.left - TICK - 4.0, y), canvas.label_style(SMALL, Anchor::End))?;
        }
        let label_style = LabelStyle { is_turned: true, ..canvas.label_style(LABEL, Anchor::Middle) };
        canvas.text(&self.y_label, (18.0, f64::midpoint(self.top, self.bottom)), label_style)
    }
}

/// Ranges of greater numbers would overflow; these are left out like infinite ones.
const GREATEST: f64 = 1e300;

/// Values and ticks may be beyond an end of an axis by this rounding error, as a share of the axis.
const TOLERANCE: f64 = 1e-9;

/// The range of an axis, with ticks at round values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    /// The ends; on a logarithmic axis, their logarithms to base 10.
    start: f64,
    end: f64,
    ticks: Ticks,
}

/// The positions of ticks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ticks {
    /// At the multiples of a step.
    Every(f64),
    /// On a logarithmic axis, about so many at most.
    Logarithmic(u32),
}

impl Scale {
    /// The scale of `axis` for `values`, with at most `most_ticks + 1` ticks; `None` if no value can be shown.
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
        // A single epoch is in the middle.
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

    /// The position of `value`: 0 at the start, 1 at the end; `None` if it is outside.
    pub(crate) fn share(&self, value: f64) -> Option<f64> {
        let place = match self.ticks {
            Ticks::Every(_) => value,
            Ticks::Logarithmic(_) => value.log10(),
        };
        let share = (place - self.start) / (self.end - self.start);
        let is_within = can_be_shown(value) && (-TOLERANCE..=1.0 + TOLERANCE).contains(&share);
        is_within.then(|| share.clamp(0.0, 1.0))
    }

    /// The values of the ticks in ascending order, with their labels.
    pub(crate) fn ticks(&self) -> Vec<(f64, String)> {
        let step = match self.ticks {
            Ticks::Every(step) => step,
            Ticks::Logarithmic(most) => return log_ticks(self.start, self.end, most),
        };
        let first = (self.start / step - TOLERANCE).ceil() as i64;
        let last = (self.end / step + TOLERANCE).floor() as i64;
        let value = |index| (index as f64 * step).clamp(self.start, self.end);
        (first..=last).map(value).map(|value| (value, self.name(value, step))).collect()
    }

    /// The total width of all tick labels in pixels.
    pub(crate) fn names_width(&self) -> f64 {
        self.ticks().iter().map(|(_, name)| text_width(name, SMALL)).sum()
    }

    /// `value` with as many digits as the ticks need. Axes that reach a million or have tiny steps use the form `1.5e6`.
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

/// Minimum and maximum of the values that can be shown.
fn ends(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|value| can_be_shown(*value)).fold(None, |ends, value| {
        let (low, high) = ends.unwrap_or((value, value));
        Some((value.min(low), value.max(high)))
    })
}

/// True for values that an axis can show.
pub(crate) fn can_be_shown(value: f64) -> bool {
    value.abs() <= GREATEST
}

/// True if two values differ only by rounding, which must not be magnified.
fn is_flat(low: f64, high: f64) -> bool {
    high - low <= 1e-9 * low.abs().max(high.abs()).max(1e-3)
}

/// The smallest number of the form 1, 2 or 5 times a power of ten that is at least `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= step);
    factor.unwrap_or(10.0) * power
}

/// An axis with fewer labels is hard to read.
const FEWEST: usize = 3;

/// Ascending ticks between 10^`start` and 10^`end`, about `most` at most, with their labels: powers of ten if there are enough,
/// otherwise 1, 2 and 5 times these, otherwise (over less than half a power of ten) equal steps.
fn log_ticks(start: f64, end: f64, most: u32) -> Vec<(f64, String)> {
    let stride = ((end - start) / f64::from(most)).ceil().max(1.0) as i32;
    let candidates = [multiples(start, end, stride, &[1]), multiples(start, end, 1, &[1, 2, 5])];
    let readable = |values: &Vec<f64>| values.len() >= FEWEST && values.len() <= most as usize + 1;
    let values = candidates.into_iter().find(readable).unwrap_or_else(|| equal_steps(start, end, most));
    values.into_iter().map(|value| (value, log_tick_name(value))).collect()
}

/// `factors` times every power of ten whose exponent is a multiple of `stride`.
fn multiples(start: f64, end: f64, stride: i32, factors: &[i32]) -> Vec<f64> {
    let first = (start.floor() as i32).div_euclid(stride) * stride;
    let powers = (first..=end.ceil() as i32).step_by(stride as usize);
    // Parsing gives the float nearest to 0.001; multiplying may not.
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
fn log_tick_name(value: f64) -> String {
    if (1e-3..1e5).contains(&value) { value.to_string() } else { format!("{value:e}") }
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
    fn an_axis_of_whole_numbers_has_ticks_at_whole_numbers_only() {
        let axis = Axis::whole_numbers("epoch");
        assert_eq!(names(&axis, &[1.0]), ["1"]);
        assert_eq!(names(&axis, &[1.0, 3.0]), ["1", "2", "3"]);
        assert_eq!(names(&axis, &[1.0, 50.0])[..3], ["0", "10", "20"]);
        assert_eq!(names(&axis, &[0.0, 2e6])[..3], ["0", "5e5", "1.0e6"]);
    }

    #[test]
    fn tick_labels_have_as_many_digits_as_they_need() {
        let axis = Axis::values("loss");
        assert_eq!(names(&axis, &[0.981, 0.99]), ["0.982", "0.984", "0.986", "0.988", "0.990"]);
        assert_eq!(names(&axis, &[0.0, 5e9]), ["0", "1e9", "2e9", "3e9", "4e9", "5e9"]);
        assert_eq!(names(&Axis::unit("recall"), &[]), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(names(&Axis::fixed("rate", 0.0, 0.3), &[]).last().unwrap(), "0.30", "0.3 / 0.05 < 6");
    }

    #[test]
    fn values_outside_of_the_axis_have_no_position() {
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
            // An axis of whole numbers over a range below 1 may have no tick.
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

    fn log_names(low: f64, high: f64) -> Vec<String> {
        log_ticks(low.log10(), high.log10(), 10).into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn powers_of_ten_are_labelled_if_there_are_enough() {
        assert_eq!(log_names(1e-9, 3.0)[..3], ["1e-9", "1e-8", "1e-7"]);
        assert_eq!(log_names(0.009, 2000.0), ["0.01", "0.1", "1", "10", "100", "1000"]);
        assert_eq!(log_names(1e-20, 1e20)[..2], ["1e-20", "1e-16"], "every fourth");
    }

    #[test]
    fn a_short_logarithmic_axis_has_ticks_between_powers_of_ten() {
        assert_eq!(log_names(0.04, 1.2), ["0.05", "0.1", "0.2", "0.5", "1"]);
        assert_eq!(
            log_names(0.55, 1.0),
            ["0.55", "0.6", "0.65", "0.7", "0.75", "0.8", "0.85", "0.9", "0.95", "1"]
        );
        assert_eq!(log_names(2.29, 2.31), ["2.29", "2.295", "2.3", "2.305", "2.31"]);
    }

    proptest! {
        #[test]
        fn a_logarithmic_axis_has_distinct_ticks_in_order_within_its_ends(start in -290.0..290.0_f64, span in 0.01..80.0_f64) {
            let end = (start + span).min(299.0);
            let ticks = log_ticks(start, end, 10);
            prop_assert!((2..=13).contains(&ticks.len()), "{ticks:?}");
            prop_assert!(ticks.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 != pair[1].1));
            let is_within = |value: f64| (start - 1e-6..=end + 1e-6).contains(&value.log10());
            prop_assert!(ticks.iter().all(|(value, _)| is_within(*value)), "{ticks:?}");
        }
    }
}
