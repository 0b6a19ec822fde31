//! Where a search looks: what values each key may take, as coordinates that are drawn and as TOML that is tried.

use serde::{Deserialize, Serialize};

/// Digits of a real number that is drawn: what more digits change is far below the noise of a seed, and a last digit that
/// another system's logarithm rounds otherwise cannot make another trial.
const DIGITS: usize = 4;

/// A key of the experiment, with the values that are tried for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dimension {
    /// The key, such as `optimizer.lr`.
    pub key: String,
    /// Its values.
    pub domain: Domain,
    /// What must hold for it to be set at all.
    pub when: Option<Condition>,
}

/// The values of another key beside which a dimension is set; both as they stand in a proposal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// The other key.
    pub key: String,
    /// Its values, as TOML.
    pub values: Vec<String>,
}

/// The values of a dimension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Domain {
    /// A number.
    Number(Interval),
    /// One of these values, as TOML.
    Choices(Vec<String>),
    /// A list of numbers, such as the widths of layers.
    List {
        /// Its shortest and its greatest length.
        length: [usize; 2],
        /// Each of its numbers.
        each: Interval,
    },
}

/// Numbers between two bounds, both included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// Whether every factor is as likely as any other, not every difference.
    pub log: bool,
    /// The distance between values; none for all of them.
    pub step: Option<f64>,
    /// Whether they are whole.
    pub whole: bool,
}

/// How one coordinate of a proposal is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coordinate {
    /// From [0, 1).
    Share,
    /// The number of a category, from 0 to below this.
    Category(usize),
}

impl Interval {
    /// The value at `share`, in [0, 1), of the interval.
    pub(crate) fn at(&self, share: f64) -> f64 {
        let Self { min, max, log, step, whole } = *self;
        if let Some(step) = step {
            let last = ((max - min) / step + 1e-9).floor();
            return rounded(min + (share * (last + 1.0)).floor().min(last) * step, 12);
        }
        match (log, whole) {
            (false, false) => rounded(min + share * (max - min), DIGITS).clamp(min, max),
            (true, false) => {
                rounded((min.ln() + share * (max.ln() - min.ln())).exp(), DIGITS).clamp(min, max)
            }
            (false, true) => (min + share * (max - min + 1.0)).floor().clamp(min, max),
            (true, true) => {
                let [low, high] = [min - 0.5, max + 0.5].map(f64::ln);
                (low + share * (high - low)).exp().round().clamp(min, max)
            }
        }
    }

    /// Every value, where they can be counted.
    pub(crate) fn all(&self) -> Option<Vec<f64>> {
        let (step, last) = (self.spacing()?, self.last()? as usize);
        Some((0..=last).map(|index| rounded(self.min + index as f64 * step, 12)).collect())
    }

    /// The distance between its values, where they can be counted.
    fn spacing(&self) -> Option<f64> {
        self.step.or_else(|| (self.whole && !self.log).then_some(1.0))
    }

    /// The number of its last value, from 0.
    fn last(&self) -> Option<f64> {
        Some(((self.max - self.min) / self.spacing()? + 1e-9).floor())
    }

    /// `value` as TOML.
    pub(crate) fn written(&self, value: f64) -> String {
        if self.whole { format!("{value:.0}") } else { format!("{value:?}") }
    }
}

/// `value` with so many significant digits.
fn rounded(value: f64, digits: usize) -> f64 {
    format!("{value:.*e}", digits - 1).parse().unwrap_or(value)
}

impl Dimension {
    /// Its coordinates.
    pub(crate) fn coordinates(&self) -> Vec<Coordinate> {
        match &self.domain {
            Domain::Number(_) => vec![Coordinate::Share],
            Domain::Choices(choices) => vec![Coordinate::Category(choices.len())],
            Domain::List { length: [least, most], .. } => {
                let mut coordinates = vec![Coordinate::Category(most - least + 1)];
                coordinates.resize(1 + most, Coordinate::Share);
                coordinates
            }
        }
    }

    /// How many of its coordinates count. `first` is the first of them, which for a list is its length.
    pub(crate) fn used(&self, first: f64) -> usize {
        match &self.domain {
            Domain::List { length: [least, _], .. } => 1 + least + first as usize,
            Domain::Number(_) | Domain::Choices(_) => 1,
        }
    }

    /// The value at these coordinates, as TOML.
    pub(crate) fn written(&self, coordinates: &[f64]) -> String {
        match &self.domain {
            Domain::Number(interval) => interval.written(interval.at(coordinates[0])),
            Domain::Choices(choices) => choices[(coordinates[0] as usize).min(choices.len() - 1)].clone(),
            Domain::List { each, .. } => {
                let numbers = &coordinates[1..self.used(coordinates[0])];
                let numbers: Vec<String> =
                    numbers.iter().map(|&share| each.written(each.at(share))).collect();
                format!("[{}]", numbers.join(", "))
            }
        }
    }

    /// How many values a grid tries.
    pub(crate) fn size(&self) -> Option<usize> {
        match &self.domain {
            Domain::Choices(choices) => Some(choices.len()),
            Domain::Number(interval) => Some(interval.last()?.min(1e15) as usize + 1),
            Domain::List { .. } => None,
        }
    }

    /// Every value that a grid tries, as TOML; none where they are not finitely many.
    pub(crate) fn every(&self) -> Option<Vec<String>> {
        match &self.domain {
            Domain::Choices(choices) => Some(choices.clone()),
            Domain::Number(interval) => {
                Some(interval.all()?.into_iter().map(|value| interval.written(value)).collect())
            }
            Domain::List { .. } => None,
        }
    }

    /// Values at the ends of what is tried: where these are allowed, so are those between.
    pub(crate) fn ends(&self) -> Vec<String> {
        match &self.domain {
            Domain::Choices(choices) => choices.clone(),
            Domain::Number(each) => [each.min, each.max].map(|value| each.written(value)).to_vec(),
            Domain::List { length, each } => {
                let list =
                    |length: usize, value: f64| format!("[{}]", vec![each.written(value); length].join(", "));
                vec![list(length[0], each.min), list(length[1], each.max)]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(min: f64, max: f64) -> Interval {
        Interval { min, max, log: false, step: None, whole: false }
    }

    #[test]
    fn shares_reach_both_ends_and_no_further() {
        let last = 1.0 - f64::EPSILON / 2.0;
        let whole = Interval { whole: true, ..interval(2.0, 5.0) };
        let ends = |interval: Interval| [interval.at(0.0), interval.at(last)];
        assert_eq!(ends(whole), [2.0, 5.0]);
        assert_eq!(ends(Interval { log: true, ..whole }), [2.0, 5.0]);
        assert_eq!(ends(Interval { log: true, ..interval(1e-4, 0.1) }), [1e-4, 0.1]);
        assert_eq!(ends(Interval { step: Some(0.1), ..interval(0.0, 0.3) }), [0.0, 0.3]);
        assert_eq!(Interval { log: true, ..interval(1e-4, 1e-2) }.at(0.5), 1e-3);
        assert_eq!(Interval { step: Some(0.1), ..interval(0.0, 0.3) }.at(0.8), 0.3);
    }

    #[test]
    fn a_whole_number_is_as_likely_as_the_next() {
        let whole = Interval { whole: true, ..interval(1.0, 4.0) };
        let counts = (0..400).fold([0; 4], |mut counts, share| {
            counts[whole.at(f64::from(share) / 400.0) as usize - 1] += 1;
            counts
        });
        assert_eq!(counts, [100; 4]);
    }

    #[test]
    fn a_list_has_the_numbers_of_its_length() {
        let each = Interval { whole: true, log: true, ..interval(16.0, 256.0) };
        let widths = Dimension {
            key: "model.hidden".to_owned(),
            domain: Domain::List { length: [1, 3], each },
            when: None,
        };
        assert_eq!(widths.coordinates().len(), 4);
        assert_eq!(widths.written(&[1.0, 0.0, 0.5, 0.9]), "[16, 63]");
        assert_eq!(widths.ends(), ["[16]", "[256, 256, 256]"]);
    }

    #[test]
    fn values_are_toml_of_their_type() {
        let real = Interval { log: true, ..interval(1e-5, 1.0) };
        assert_eq!(real.written(real.at(0.0)), "1e-5");
        assert_eq!(real.written(1.0), "1.0");
        assert_eq!(Interval { whole: true, ..real }.written(64.0), "64");
    }
}
