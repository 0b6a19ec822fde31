//! The space of a search, and the points that it proposes.
//!
//! A dimension gives the values of one key, as coordinates that are drawn and as TOML that is tried. A proposal is a
//! function of the search's seed, the trial's number and the results of earlier waves.

use std::collections::{BTreeMap, HashSet};
use std::convert::Infallible;

use kiln_config::random::{Purpose, Stream};
use rand_core::TryRng;
use serde::{Deserialize, Serialize};
use tpe::{TpeOptimizer, categorical_range, histogram_estimator, parzen_estimator};

use crate::search::{Search, SearchMethod};

/// Significant digits of a drawn real number. More digits change less than the noise of a seed; and a last digit that
/// another system's logarithm rounds differently must not make another trial.
const DIGITS: usize = 4;

/// A key of the experiment, and the values to try.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dimension {
    /// The key, such as `optimizer.lr`.
    pub key: String,
    /// Its values.
    pub domain: Domain,
    /// The condition under which the key is set.
    pub when: Option<Condition>,
}

/// A condition: another key must have one of these values.
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
    Number(NumberRange),
    /// One of these values, as TOML.
    Choices(Vec<String>),
    /// A list of numbers, such as layer widths.
    List {
        /// The least and the greatest length.
        length: [usize; 2],
        /// The range of each number.
        each: NumberRange,
    },
}

/// Numbers between two bounds, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NumberRange {
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// Whether values are drawn uniformly on a logarithmic scale.
    pub log: bool,
    /// The distance between values; `None` allows all values.
    pub step: Option<f64>,
    /// Whether the values are whole numbers.
    pub whole: bool,
}

/// How one coordinate of a proposal is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coordinate {
    /// A number in [0, 1).
    Share,
    /// The index of a category, below this number.
    Category(usize),
}

impl NumberRange {
    /// The value at `share` of the range; `share` is in [0, 1).
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

    /// Every value, if there are finitely many.
    pub(crate) fn all(&self) -> Option<Vec<f64>> {
        let (step, last) = (self.spacing()?, self.last()? as usize);
        Some((0..=last).map(|index| rounded(self.min + index as f64 * step, 12)).collect())
    }

    /// The distance between values, if there are finitely many.
    fn spacing(&self) -> Option<f64> {
        self.step.or_else(|| (self.whole && !self.log).then_some(1.0))
    }

    /// The index of the last value, from 0.
    fn last(&self) -> Option<f64> {
        Some(((self.max - self.min) / self.spacing()? + 1e-9).floor())
    }

    /// `value` as TOML.
    pub(crate) fn written(&self, value: f64) -> String {
        if self.whole { format!("{value:.0}") } else { format!("{value:?}") }
    }
}

/// `value` rounded to this many significant digits.
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

    /// How many of its coordinates are used. `first` is the first coordinate; for a list, that is its length.
    pub(crate) fn used(&self, first: f64) -> usize {
        match &self.domain {
            Domain::List { length: [least, _], .. } => 1 + least + first as usize,
            Domain::Number(_) | Domain::Choices(_) => 1,
        }
    }

    /// The value at these coordinates, as TOML.
    pub(crate) fn written(&self, coordinates: &[f64]) -> String {
        match &self.domain {
            Domain::Number(range) => range.written(range.at(coordinates[0])),
            Domain::Choices(choices) => choices[(coordinates[0] as usize).min(choices.len() - 1)].clone(),
            Domain::List { each, .. } => {
                let numbers = &coordinates[1..self.used(coordinates[0])];
                let numbers: Vec<String> =
                    numbers.iter().map(|&share| each.written(each.at(share))).collect();
                format!("[{}]", numbers.join(", "))
            }
        }
    }

    /// How many values a grid tries; `None` if there are infinitely many.
    pub(crate) fn size(&self) -> Option<usize> {
        match &self.domain {
            Domain::Choices(choices) => Some(choices.len()),
            Domain::Number(range) => Some(range.last()?.min(1e15) as usize + 1),
            Domain::List { .. } => None,
        }
    }

    /// Every value that a grid tries, as TOML; `None` if there are infinitely many.
    pub(crate) fn every(&self) -> Option<Vec<String>> {
        match &self.domain {
            Domain::Choices(choices) => Some(choices.clone()),
            Domain::Number(range) => {
                Some(range.all()?.into_iter().map(|value| range.written(value)).collect())
            }
            Domain::List { .. } => None,
        }
    }

    /// The extreme values, as TOML: if these are allowed, so are all between them.
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

/// Trials that are drawn at random before the estimators start; Optuna draws as many.
const DRAWN_FIRST: usize = 10;
/// Draws that would repeat an earlier trial, before the space counts as exhausted.
const MOST_DRAWS: u64 = 400;
/// How many of these the estimators make: in a small space they would repeat the same points again and again.
const MOST_GUIDED_DRAWS: u64 = 20;

/// A point of the space.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Proposal {
    /// One for each coordinate of each dimension; NaN if it is not used.
    pub(crate) coordinates: Vec<f64>,
    /// Keys and values as TOML.
    pub(crate) settings: Vec<(String, String)>,
}

/// A trial that was or will be tried.
#[derive(Clone, Debug)]
pub(crate) struct Observation {
    pub(crate) coordinates: Vec<f64>,
    pub(crate) settings: Vec<(String, String)>,
    /// Its position among all, the best first; `None` if not known yet.
    pub(crate) place: Option<usize>,
}

/// Proposes trial `number`, from 1, different from all earlier ones; `None` if the space is exhausted.
pub(crate) fn propose(search: &Search, number: usize, seen: &[Observation]) -> Option<Proposal> {
    if search.method == SearchMethod::Grid {
        return point_of_grid(&search.space, number - 1);
    }
    let is_new = |proposal: &Proposal| seen.iter().all(|other| other.settings != proposal.settings);
    (0..MOST_DRAWS).map(|draw| drawn(search, number, draw, seen)).find(is_new)
}

fn drawn(search: &Search, number: usize, draw: u64, seen: &[Observation]) -> Proposal {
    let stream =
        |index: usize| Stream::new(search.seed, Purpose::Search, &[number as u64, draw, index as u64]);
    let is_guided = search.method == SearchMethod::Tpe && number > DRAWN_FIRST && draw < MOST_GUIDED_DRAWS;
    proposal(&search.space, |index, coordinate| {
        if is_guided {
            estimated(coordinate, index, seen, stream(index))
        } else {
            at_random(coordinate, &mut stream(index))
        }
    })
}

/// A proposal with coordinates from `ask`. Coordinates without effect stay NaN.
fn proposal(space: &[Dimension], mut ask: impl FnMut(usize, Coordinate) -> f64) -> Proposal {
    let (mut coordinates, mut settings) = (Vec::new(), Vec::new());
    let mut values: BTreeMap<&str, String> = BTreeMap::new();
    for dimension in space {
        let own = dimension.coordinates();
        let start = coordinates.len();
        coordinates.resize(start + own.len(), f64::NAN);
        let is_set = dimension.when.as_ref().is_none_or(|when| {
            values.get(when.key.as_str()).is_some_and(|value| when.values.contains(value))
        });
        if !is_set {
            continue;
        }
        coordinates[start] = ask(start, own[0]);
        for index in 1..dimension.used(coordinates[start]) {
            coordinates[start + index] = ask(start + index, own[index]);
        }
        let value = dimension.written(&coordinates[start..]);
        settings.push((dimension.key.clone(), value.clone()));
        values.insert(&dimension.key, value);
    }
    Proposal { coordinates, settings }
}

fn at_random(coordinate: Coordinate, stream: &mut Stream) -> f64 {
    match coordinate {
        Coordinate::Share => stream.uniform(),
        Coordinate::Category(count) => stream.below(count) as f64,
    }
}

/// A coordinate by a tree-structured Parzen estimator (Bergstra et al. 2011, "Algorithms for hyper-parameter
/// optimization"): of 24 draws from where the best tenth of trials lies, the one that is most likely there and least
/// likely among the other trials. Trials without a result count as others, so that a wave does not try one point many
/// times.
fn estimated(coordinate: Coordinate, index: usize, seen: &[Observation], stream: Stream) -> f64 {
    let (estimator, bounds) = match coordinate {
        Coordinate::Share => (parzen_estimator(), tpe::range(0.0, 1.0)),
        Coordinate::Category(count) => (histogram_estimator(), categorical_range(count)),
    };
    let mut optimizer = TpeOptimizer::new(estimator, bounds.expect("no coordinate is empty"));
    let last = seen.len();
    for observation in seen {
        let place = observation.place.unwrap_or(last) as f64;
        // A coordinate out of bounds comes from a damaged file; the estimator ignores it.
        let _ = optimizer.tell(observation.coordinates[index], place);
    }
    let asked = optimizer.ask(&mut StreamRng(stream)).expect("the estimators cannot fail");
    match coordinate {
        Coordinate::Share => asked,
        Coordinate::Category(_) => asked.floor(),
    }
}

/// A [`Stream`] as a random number generator of the `rand` crates.
struct StreamRng(Stream);

impl TryRng for StreamRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.0.next_u64() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.0.next_u64().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// Point `index` of the grid; the last dimension varies fastest. Points that differ only in a key whose condition
/// does not hold are one point, at the first of their indices.
fn point_of_grid(space: &[Dimension], index: usize) -> Option<Proposal> {
    let is_plain = space.iter().all(|dimension| dimension.when.is_none());
    if !is_plain {
        return grid(space).nth(index);
    }
    let values: Vec<Vec<String>> =
        space.iter().map(|dimension| dimension.every().unwrap_or_default()).collect();
    let size: usize = values.iter().map(Vec::len).product();
    (index < size).then(|| Proposal { coordinates: Vec::new(), settings: settings_at(space, &values, index) })
}

/// The settings of point `index` of the grid of these values.
fn settings_at(space: &[Dimension], values: &[Vec<String>], index: usize) -> Vec<(String, String)> {
    let mut rest = index;
    let mut picks = vec![0; space.len()];
    for (pick, values) in picks.iter_mut().zip(values).rev() {
        *pick = rest % values.len();
        rest /= values.len();
    }
    let mut settings: Vec<(String, String)> = Vec::new();
    for ((dimension, values), pick) in space.iter().zip(values).zip(picks) {
        let is_set = dimension.when.as_ref().is_none_or(|when| {
            settings.iter().any(|(key, value)| *key == when.key && when.values.contains(value))
        });
        if is_set {
            settings.push((dimension.key.clone(), values[pick].clone()));
        }
    }
    settings
}

/// All points of the grid.
pub(crate) fn grid(space: &[Dimension]) -> impl Iterator<Item = Proposal> {
    let values: Vec<Vec<String>> =
        space.iter().map(|dimension| dimension.every().unwrap_or_default()).collect();
    let size: usize = values.iter().map(Vec::len).product();
    let mut seen = HashSet::new();
    (0..size).filter_map(move |index| {
        let settings = settings_at(space, &values, index);
        seen.insert(settings.clone()).then(|| Proposal { coordinates: Vec::new(), settings })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(min: f64, max: f64) -> NumberRange {
        NumberRange { min, max, log: false, step: None, whole: false }
    }

    #[test]
    fn shares_reach_both_ends_and_no_further() {
        let last = 1.0 - f64::EPSILON / 2.0;
        let whole = NumberRange { whole: true, ..range(2.0, 5.0) };
        let ends = |range: NumberRange| [range.at(0.0), range.at(last)];
        assert_eq!(ends(whole), [2.0, 5.0]);
        assert_eq!(ends(NumberRange { log: true, ..whole }), [2.0, 5.0]);
        assert_eq!(ends(NumberRange { log: true, ..range(1e-4, 0.1) }), [1e-4, 0.1]);
        assert_eq!(ends(NumberRange { step: Some(0.1), ..range(0.0, 0.3) }), [0.0, 0.3]);
        assert_eq!(NumberRange { log: true, ..range(1e-4, 1e-2) }.at(0.5), 1e-3);
        assert_eq!(NumberRange { step: Some(0.1), ..range(0.0, 0.3) }.at(0.8), 0.3);
    }

    #[test]
    fn a_whole_number_is_as_likely_as_the_next() {
        let whole = NumberRange { whole: true, ..range(1.0, 4.0) };
        let counts = (0..400).fold([0; 4], |mut counts, share| {
            counts[whole.at(f64::from(share) / 400.0) as usize - 1] += 1;
            counts
        });
        assert_eq!(counts, [100; 4]);
    }

    #[test]
    fn a_list_has_the_numbers_of_its_length() {
        let each = NumberRange { whole: true, log: true, ..range(16.0, 256.0) };
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
        let real = NumberRange { log: true, ..range(1e-5, 1.0) };
        assert_eq!(real.written(real.at(0.0)), "1e-5");
        assert_eq!(real.written(1.0), "1.0");
        assert_eq!(NumberRange { whole: true, ..real }.written(64.0), "64");
    }
}
