//! Mean, spread and range over seeds.

use schemars::JsonSchema;
use serde::Serialize;

/// A figure over several seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Spread {
    /// How many values there are.
    pub count: usize,
    /// Their mean.
    #[schemars(with = "Option<f64>")]
    pub mean: f64,
    /// Their standard deviation, with n - 1 in the denominator; null of a single value.
    pub deviation: Option<f64>,
    /// The least.
    #[schemars(with = "Option<f64>")]
    pub least: f64,
    /// The greatest.
    #[schemars(with = "Option<f64>")]
    pub greatest: f64,
}

impl Spread {
    /// The spread of `values`; none of no values.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let count = values.len();
        let mean = values.iter().sum::<f64>() / count as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Some(Self {
            count,
            mean,
            deviation: (count > 1).then(|| (squares / (count - 1) as f64).sqrt()),
            least: values.iter().copied().fold(f64::INFINITY, f64::min),
            greatest: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }

    /// `0.9557 ± 0.0010`, with so many digits.
    #[must_use]
    pub fn shown(&self, digits: usize) -> String {
        match self.deviation {
            Some(deviation) => format!("{:.digits$} ± {deviation:.digits$}", self.mean),
            None => format!("{:.digits$}", self.mean),
        }
    }

    /// `0.9542 to 0.9568`; empty of a single value.
    #[must_use]
    pub fn range(&self, digits: usize) -> String {
        if self.count < 2 {
            return String::new();
        }
        format!("{:.digits$} to {:.digits$}", self.least, self.greatest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        let spread = Spread::of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap();
        assert_eq!((spread.mean, spread.least, spread.greatest), (5.0, 2.0, 9.0));
        // statistics.stdev([2, 4, 4, 4, 5, 5, 7, 9]) in Python
        assert!((spread.deviation.unwrap() - 2.138_089_935_299_395).abs() < 1e-14);
    }

    #[test]
    fn one_value_has_no_deviation_and_none_has_no_spread() {
        let spread = Spread::of(&[0.5]).unwrap();
        assert_eq!(
            (spread.deviation, spread.shown(2), spread.range(2)),
            (None, "0.50".into(), String::new())
        );
        assert_eq!(Spread::of(&[]), None);
    }
}
