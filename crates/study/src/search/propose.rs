//! What a search tries next: a function of its seed, the trial's number and what earlier waves came to.

use std::collections::{BTreeMap, HashSet};
use std::convert::Infallible;

use kiln_config::random::{Purpose, Stream};
use rand_core::TryRng;
use tpe::{TpeOptimizer, categorical_range, histogram_estimator, parzen_estimator, range};

use super::space::{Coordinate, Dimension};
use super::{Method, Search};

/// Trials that are drawn before the estimators have something to go by; as many as Optuna draws.
const DRAWN_FIRST: usize = 10;
/// Draws of a trial that would equal an earlier one, before the space counts as used up.
const MOST_DRAWS: u64 = 400;
/// Of these, guided ones: in a space of few values they would come to the same ones again and again.
const MOST_GUIDED_DRAWS: u64 = 20;

/// A point of the space.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Proposal {
    /// One for each coordinate of each dimension; NaN where it does not count.
    pub(crate) coordinates: Vec<f64>,
    /// Keys and values as TOML.
    pub(crate) settings: Vec<(String, String)>,
}

/// A trial that was tried, or is about to be.
#[derive(Clone, Debug)]
pub(crate) struct Observation {
    pub(crate) coordinates: Vec<f64>,
    pub(crate) settings: Vec<(String, String)>,
    /// Its place among all, the best first; none while it is not known.
    pub(crate) place: Option<usize>,
}

/// Trial `number`, from 1, which no earlier one equals; none where there is none left.
pub(crate) fn propose(search: &Search, number: usize, seen: &[Observation]) -> Option<Proposal> {
    if search.method == Method::Grid {
        return point_of_grid(&search.space, number - 1);
    }
    let is_new = |proposal: &Proposal| seen.iter().all(|other| other.settings != proposal.settings);
    (0..MOST_DRAWS).map(|draw| drawn(search, number, draw, seen)).find(is_new)
}

fn drawn(search: &Search, number: usize, draw: u64, seen: &[Observation]) -> Proposal {
    let stream =
        |index: usize| Stream::new(search.seed, Purpose::Search, &[number as u64, draw, index as u64]);
    let is_guided = search.method == Method::Tpe && number > DRAWN_FIRST && draw < MOST_GUIDED_DRAWS;
    complete(&search.space, |index, coordinate| {
        if is_guided {
            estimated(coordinate, index, seen, stream(index))
        } else {
            at_random(coordinate, &mut stream(index))
        }
    })
}

/// The proposal whose coordinates `ask` gives; those without effect stay out.
fn complete(space: &[Dimension], mut ask: impl FnMut(usize, Coordinate) -> f64) -> Proposal {
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

/// The coordinate that the tree-structured Parzen estimator takes (Bergstra et al. 2011, "Algorithms for hyper-parameter
/// optimization"): of 24 draws from where the best tenth lies, the one that is likeliest there and least likely among the
/// others. Trials whose place is not known yet count among the others, so that a wave does not try one place many times.
fn estimated(coordinate: Coordinate, index: usize, seen: &[Observation], stream: Stream) -> f64 {
    let (estimator, bounds) = match coordinate {
        Coordinate::Share => (parzen_estimator(), range(0.0, 1.0)),
        Coordinate::Category(count) => (histogram_estimator(), categorical_range(count)),
    };
    let mut optimizer = TpeOptimizer::new(estimator, bounds.expect("no coordinate is empty"));
    let last = seen.len();
    for observation in seen {
        let place = observation.place.unwrap_or(last) as f64;
        // A coordinate out of bounds comes from a damaged file; the estimators do without it.
        let _ = optimizer.tell(observation.coordinates[index], place);
    }
    let asked = optimizer.ask(&mut Draws(stream)).expect("the estimators cannot fail");
    match coordinate {
        Coordinate::Share => asked,
        Coordinate::Category(_) => asked.floor(),
    }
}

/// A stream as the crates of rand see it.
struct Draws(Stream);

impl TryRng for Draws {
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

/// Point `index` of the grid, the last dimension the fastest. Conditions hold as they do elsewhere, so that points that
/// differ in a key without effect are one, at the first of their numbers.
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

/// The whole grid.
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
