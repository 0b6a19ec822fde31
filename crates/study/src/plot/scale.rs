//! From values to places in a picture.

/// A straight scale with ticks at round values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    step: f64,
    /// Where `low` and `high` lie, in pixels.
    start: f64,
    end: f64,
}

const MOST_TICKS: f64 = 7.0;

impl Scale {
    /// A scale over the finite ones of `values`, with a little room at both ends.
    pub(crate) fn over(values: impl Iterator<Item = f64>, start: f64, end: f64) -> Self {
        let (low, high) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        let room = if high > low { (high - low) * 0.05 } else { high.abs().max(0.01) * 0.1 };
        let (low, high) = (low - room, high + room);
        Self { low, high, step: round_step((high - low) / MOST_TICKS), start, end }
    }

    /// The place of `value`; the nearer end for one outside.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let share = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        self.start + share * (self.end - self.start)
    }

    /// Round values within the scale, each with its label.
    pub(crate) fn ticks(&self) -> Vec<(f64, String)> {
        let digits = (-self.step.log10().floor()).max(0.0) as usize;
        let [first, last] = [(self.low / self.step).ceil(), (self.high / self.step).floor()];
        (first as i64..=last as i64)
            .map(|index| {
                let value = index as f64 * self.step;
                (value, if value.abs() < 1e6 { format!("{value:.digits$}") } else { format!("{value:.1e}") })
            })
            .collect()
    }
}

/// The least of 1, 2 and 5 times a power of ten that is not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= step);
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within_the_scale() {
        let scale = Scale::over([0.95, 0.98].into_iter(), 0.0, 100.0);
        let labels: Vec<String> = scale.ticks().into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels, ["0.950", "0.955", "0.960", "0.965", "0.970", "0.975", "0.980"]);
        assert!((scale.place(0.965) - 50.0).abs() < 1e-9);
        assert_eq!(scale.place(7.0), 100.0);
    }

    #[test]
    fn nothing_and_one_value_have_a_scale_too() {
        for values in [vec![], vec![0.5], vec![f64::NAN]] {
            let scale = Scale::over(values.into_iter(), 0.0, 10.0);
            assert!(!scale.ticks().is_empty() && scale.place(0.5).is_finite());
        }
    }
}
