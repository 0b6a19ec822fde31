//! How far the headline figures would move with other examples of the same kind.

use std::collections::BTreeMap;

use kiln_config::random::{Purpose, Stream};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Predictions;
use crate::figures::FIGURES;
use crate::ranking::{Ranking, ResampledOrder};
use crate::resample::Resample;

/// The share of resamples that an interval spans.
const LEVEL: f64 = 0.95;

/// Standard deviations of the normal distribution on either side of its mean that it spans.
const DEVIATIONS: f64 = 1.959_963_984_540_054;

/// Steps through a ranking that all resamples together may take: a second or two on two cores. 100,000
/// examples of 10 classes get as many as 2000 resamples, 1,000,000 of them get 200.
const MAX_STEPS: usize = 2_000_000_000;

/// As few resamples as a percentile of 2.5 can be read from, however many examples there are.
const MIN_RESAMPLES: usize = 100;

/// The range in which a figure may lie, of 95 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// Its lower end.
    pub lower: f64,
    /// Its upper end.
    pub upper: f64,
}

impl Interval {
    /// Of the share that `right` of `examples` are (Wilson 1927): it does not shrink to nothing where all of a class are
    /// right, or none.
    #[must_use]
    pub fn of_share(right: u64, examples: u64) -> Self {
        let (count, share) = (examples as f64, right as f64 / examples as f64);
        let square = DEVIATIONS * DEVIATIONS;
        let middle = (share + square / (2.0 * count)) / (1.0 + square / count);
        let spread = (share * (1.0 - share) / count + square / (4.0 * count * count)).sqrt();
        let half = DEVIATIONS / (1.0 + square / count) * spread;
        Self { lower: (middle - half).max(0.0), upper: (middle + half).min(1.0) }
    }
}

/// 95 % intervals: of the accuracy Wilson's, of other figures by the stratified percentile bootstrap (Efron 1979; Davison and Hinkley 1997): of each class as many
/// examples as there are, drawn with replacement from them, again and again, so that no resample loses a rare class;
/// percentiles are interpolated linearly (`numpy.percentile`). Where a figure is undefined, so is its interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Intervals {
    /// The share of resamples that lies within an interval: 0.95.
    pub level: f64,
    /// How many resamples were drawn; fewer than asked for where there are very many examples.
    pub resamples: usize,
    /// The seed of the draws.
    pub seed: u64,
    /// The figures that have one, by key.
    #[serde(flatten)]
    pub figures: BTreeMap<String, Option<Interval>>,
}

impl Intervals {
    /// The interval of a figure, if it has one.
    #[must_use]
    pub fn of(&self, key: &str) -> Option<Interval> {
        self.figures.get(key).copied().flatten()
    }
}

/// The resamples of one set of predictions.
pub(crate) struct Bootstrap<'a> {
    predictions: &'a Predictions,
    orders: Vec<ResampledOrder>,
}

impl<'a> Bootstrap<'a> {
    /// `predictions` are in their canonical order; `rankings` are those of the classes, empty where probabilities are not
    /// finite.
    pub(crate) fn new(predictions: &'a Predictions, rankings: &[Ranking]) -> Self {
        debug_assert!(predictions.truth().is_sorted(), "the examples of a class are together");
        Self { predictions, orders: rankings.par_iter().map(Ranking::resampled_order).collect() }
    }

    /// The figures that have intervals, in their order in the registry, of `wanted` resamples or of as many as the
    /// examples allow. Each is drawn from a stream of its own, so that they do not depend on the number of threads.
    pub(crate) fn draw(&self, seed: u64, wanted: usize) -> Vec<Vec<f64>> {
        let examples = self.predictions.len();
        let resample = |copies: &mut Vec<u8>, resample: usize| {
            let mut remaining = &mut copies[..];
            let mut stream = Stream::new(seed, Purpose::Sampling, &[resample as u64]);
            // Predictions in their canonical order have the examples of a class together.
            for class in self.predictions.truth().chunk_by(|left, right| left == right) {
                let (own, rest) = std::mem::take(&mut remaining).split_at_mut(class.len());
                draw_copies(own, &mut stream);
                remaining = rest;
            }
            let resample = Resample::new(self.predictions, &self.orders, copies);
            resampled().map(|(_, of)| of(&resample)).collect()
        };
        let resamples = affordable(wanted, examples, self.predictions.class_count());
        (0..resamples).into_par_iter().map_init(|| vec![0; examples], resample).collect()
    }
}

/// The figures that have intervals, each with how it is computed over a resample.
fn resampled() -> impl Iterator<Item = (&'static str, fn(&Resample<'_>) -> f64)> {
    FIGURES.iter().filter_map(|figure| Some((figure.key, figure.of_resample?)))
}

/// The interval of figure number `index`.
fn interval(draws: &[Vec<f64>], index: usize) -> Option<Interval> {
    let mut values: Vec<f64> =
        draws.iter().map(|draw| draw[index]).filter(|value| value.is_finite()).collect();
    values.sort_unstable_by(f64::total_cmp);
    let outside = (1.0 - LEVEL) / 2.0;
    Some(Interval { lower: quantile(&values, outside)?, upper: quantile(&values, 1.0 - outside)? })
}

/// The intervals that `draws` of `predictions` give; null where a figure is undefined in all of them.
pub(crate) fn intervals(predictions: &Predictions, draws: &[Vec<f64>], seed: u64) -> Intervals {
    let figures = resampled().enumerate().map(|(index, (key, _))| (key.to_owned(), interval(draws, index)));
    let mut figures: BTreeMap<String, Option<Interval>> = figures.collect();
    let right = predictions.is_right().filter(|&right| right).count() as u64;
    figures.insert("accuracy".to_owned(), Some(Interval::of_share(right, predictions.len() as u64)));
    Intervals { level: LEVEL, resamples: draws.len(), seed, figures }
}

fn affordable(wanted: usize, examples: usize, classes: usize) -> usize {
    let steps = examples.saturating_mul(classes).max(1);
    wanted.min((MAX_STEPS / steps).max(MIN_RESAMPLES))
}

/// Draws as many examples as there are, and counts how often each comes.
///
/// A draw is the upper half of a product (Lemire 2019). It is not corrected for its bias, which is below
/// 2^-34 with 2^30 examples. More than 255 copies of one example will not be seen: that has a chance below
/// 1 / 255!.
fn draw_copies(copies: &mut [u8], stream: &mut Stream) {
    copies.fill(0);
    let bound = copies.len() as u128;
    for _ in 0..copies.len() {
        let drawn = (u128::from(stream.next_u64()) * bound) >> 64;
        let copies = &mut copies[drawn as usize];
        *copies = copies.saturating_add(1);
    }
}

/// The value below which the share `share` of sorted `values` lies, interpolated linearly.
fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let place = share * values.len().checked_sub(1)? as f64;
    let below = values[place.floor() as usize];
    let above = values[place.ceil() as usize];
    Some(below + (above - below) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predictions(examples: usize) -> Predictions {
        let names = vec!["a".to_owned(), "b".to_owned()];
        let truth: Vec<u32> = (0..examples as u32).map(|example| example % 2).collect();
        // Four of five are right.
        let predicted: Vec<u32> =
            truth.iter().enumerate().map(|(example, truth)| truth ^ u32::from(example % 5 == 0)).collect();
        let rows = predicted.iter().flat_map(|&class| [0.9 - 0.8 * class as f32, 0.1 + 0.8 * class as f32]);
        let loss = (0..examples).map(|example| f64::from(u8::from(example % 5 == 0))).collect();
        let rows = rows.collect();
        Predictions::new(names, truth, predicted, rows, loss).unwrap().in_canonical_order()
    }

    fn draws(predictions: &Predictions, seed: u64, wanted: usize) -> Vec<Vec<f64>> {
        let rankings: Vec<Ranking> = (0..2).map(|class| Ranking::of_class(predictions, class)).collect();
        Bootstrap::new(predictions, &rankings).draw(seed, wanted)
    }

    #[test]
    fn an_accuracy_has_the_interval_of_the_binomial_distribution() {
        let drawn = intervals(&predictions(1000), &draws(&predictions(1000), 42, 2000), 42);
        let Interval { lower, upper } = drawn.of("accuracy").unwrap();
        let half = 1.96 * (0.8 * 0.2 / 1000.0_f64).sqrt();
        assert!((lower - (0.8 - half)).abs() < 0.004 && (upper - (0.8 + half)).abs() < 0.004, "{drawn:?}");
        let loss = drawn.of("loss").unwrap();
        assert!((loss.lower - (1.0 - upper)).abs() < 0.004 && (loss.upper - (1.0 - lower)).abs() < 0.004);
        for interval in ["macro_f1", "macro_auc"].map(|key| drawn.of(key).unwrap()) {
            assert!(interval.lower < 0.8 && 0.8 < interval.upper, "{interval:?}");
        }
    }

    /// `statsmodels.stats.proportion.proportion_confint(8, 10, method="wilson")`, and of 10 of 10.
    #[test]
    fn the_interval_of_a_share_is_that_of_statsmodels() {
        for (right, lower, upper) in [(8, 0.490_162_47, 0.943_317_82), (10, 0.722_467_21, 1.0)] {
            let found = Interval::of_share(right, 10);
            assert!((found.lower - lower).abs() < 1e-6 && (found.upper - upper).abs() < 1e-6, "{found:?}");
        }
    }

    #[test]
    fn a_rare_class_is_in_every_resample() {
        let names = vec!["a".to_owned(), "b".to_owned()];
        let truth: Vec<u32> = (0..100).map(|example| u32::from(example >= 98)).collect();
        let predictions =
            Predictions::new(names, truth, vec![0; 100], [0.9, 0.1].repeat(100), vec![0.1; 100]).unwrap();
        let predictions = predictions.in_canonical_order();
        let drawn = intervals(&predictions, &draws(&predictions, 42, 500), 42);
        // Drawn from all examples, one resample in seven would lose both.
        assert!(drawn.of("macro_f1").unwrap().upper < 0.5, "{drawn:?}");
        // Each class is all right or all wrong, and yet other examples may come out otherwise.
        let Interval { lower, upper } = drawn.of("accuracy").unwrap();
        assert!((lower - 0.930_01).abs() < 1e-4 && (upper - 0.994_50).abs() < 1e-4, "{drawn:?}");
    }

    #[test]
    fn threads_make_no_difference_and_seeds_do() {
        let predictions = predictions(300);
        let on = |threads: usize, seed: u64| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| intervals(&predictions, &draws(&predictions, seed, 100), seed))
        };
        assert_eq!(on(1, 7), on(3, 7));
        assert_ne!(on(1, 7).of("macro_f1"), on(1, 8).of("macro_f1"));
    }

    #[test]
    fn very_many_examples_get_fewer_resamples() {
        let resamples = |examples| affordable(1000, examples, 10);
        assert_eq!([100, 10_000, 1_000_000, 1 << 30].map(resamples), [1000, 1000, 200, 100]);
        assert_eq!(affordable(0, 10, 10), 0);
    }

    #[test]
    fn quantiles_are_numpys() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0, 8.0, 16.0], 0.975), Some(15.2));
        assert_eq!((quantile(&[3.0], 0.025), quantile(&[], 0.5)), (Some(3.0), None));
    }
}
