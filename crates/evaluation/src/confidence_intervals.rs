//! Confidence intervals: of the main figures by the bootstrap, and of the differences between the network and baselines on
//! the same examples.

use std::collections::BTreeMap;

use kiln_config::random::{Purpose, Stream};
use kiln_diagnosis::Difference;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::Display;

use crate::confusion::{ClassCounts, ClassScores};
use crate::figures::{Defined, FIGURES, Reason, macro_mean, sum};
use crate::ranking::{Ranking, ResampledOrder};
use crate::{EvaluationError, Predictions};

/// The confidence level.
const LEVEL: f64 = 0.95;

/// The quantile of the normal distribution for that level.
const DEVIATIONS: f64 = 1.959_963_984_540_054;

/// All resamples together may take this many steps through a ranking: one or two seconds on two cores. For 10 classes, this
/// allows 2000 resamples of 100,000 examples, or 200 of 1,000,000.
const MAX_STEPS: usize = 2_000_000_000;

/// Fewer resamples than this would not give a 2.5 % percentile, so they are drawn even of very many examples.
const MIN_RESAMPLES: usize = 100;

/// A 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Interval")]
pub struct ConfidenceInterval {
    /// Its lower end.
    pub lower: f64,
    /// Its upper end.
    pub upper: f64,
}

impl ConfidenceInterval {
    /// The Wilson score interval (Wilson 1927) of the share `right` / `examples`. It has a positive width even if all
    /// examples are correct, or none.
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

/// 95 % confidence intervals: for the accuracy the Wilson score interval, for other figures the stratified percentile
/// bootstrap (Efron 1979; Davison and Hinkley 1997). It draws as many examples of each class as there are, with replacement,
/// so that no resample loses a rare class. Percentiles are interpolated linearly (`numpy.percentile`). The interval of an
/// undefined figure is undefined.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Intervals")]
pub struct ConfidenceIntervals {
    /// The confidence level: 0.95.
    pub level: f64,
    /// The number of resamples; fewer than requested for very many examples.
    pub resamples: usize,
    /// The seed of the draws.
    pub seed: u64,
    /// The intervals by the key of the figure.
    #[serde(flatten)]
    pub figures: BTreeMap<String, Option<ConfidenceInterval>>,
}

impl ConfidenceIntervals {
    /// The interval of a figure, if it has one.
    #[must_use]
    pub fn of(&self, key: &str) -> Option<ConfidenceInterval> {
        self.figures.get(key).copied().flatten()
    }
}

/// The resamples of one set of predictions.
pub(crate) struct Bootstrap<'a> {
    predictions: &'a Predictions,
    orders: Vec<ResampledOrder>,
}

impl<'a> Bootstrap<'a> {
    /// `predictions` are in canonical order; `rankings` are those of the classes, empty if some probabilities are NaN.
    pub(crate) fn new(predictions: &'a Predictions, rankings: &[Ranking]) -> Self {
        debug_assert!(predictions.truth().is_sorted(), "the examples of a class are together");
        Self { predictions, orders: rankings.par_iter().map(Ranking::resampled_order).collect() }
    }

    /// The figures of each resample, in the order of [`FIGURES`]: of `wanted` resamples, or fewer for very many examples.
    /// Each resample has its own random stream, so that the result does not depend on the number of threads.
    pub(crate) fn draw(&self, seed: u64, wanted: usize) -> Vec<Vec<f64>> {
        let examples = self.predictions.len();
        let resample = |copies: &mut Vec<u8>, resample: usize| {
            let mut remaining = &mut copies[..];
            let mut stream = Stream::new(seed, Purpose::Sampling, &[resample as u64]);
            // In canonical order, the examples of a class are adjacent.
            for class in self.predictions.truth().chunk_by(|left, right| left == right) {
                let (own, rest) = std::mem::take(&mut remaining).split_at_mut(class.len());
                draw_copies(own, &mut stream);
                remaining = rest;
            }
            let resample = Resample::new(self.predictions, &self.orders, copies);
            resampled().map(|(_, of)| of(&resample)).collect()
        };
        let resamples = affordable_resamples(wanted, examples, self.predictions.class_count());
        (0..resamples).into_par_iter().map_init(|| vec![0; examples], resample).collect()
    }
}

/// The figures that have intervals, each with its function of a resample.
fn resampled() -> impl Iterator<Item = (&'static str, fn(&Resample<'_>) -> f64)> {
    FIGURES.iter().filter_map(|figure| Some((figure.key, figure.of_resample?)))
}

/// The interval of figure number `index`.
fn interval(draws: &[Vec<f64>], index: usize) -> Option<ConfidenceInterval> {
    let mut values: Vec<f64> =
        draws.iter().map(|draw| draw[index]).filter(|value| value.is_finite()).collect();
    values.sort_unstable_by(f64::total_cmp);
    let outside = (1.0 - LEVEL) / 2.0;
    Some(ConfidenceInterval { lower: quantile(&values, outside)?, upper: quantile(&values, 1.0 - outside)? })
}

/// The intervals from the figures of all resamples. A figure that is undefined in all of them has no interval.
pub(crate) fn intervals(predictions: &Predictions, draws: &[Vec<f64>], seed: u64) -> ConfidenceIntervals {
    let figures = resampled().enumerate().map(|(index, (key, _))| (key.to_owned(), interval(draws, index)));
    let mut figures: BTreeMap<String, Option<ConfidenceInterval>> = figures.collect();
    let right = predictions.is_right().filter(|&right| right).count() as u64;
    figures
        .insert("accuracy".to_owned(), Some(ConfidenceInterval::of_share(right, predictions.len() as u64)));
    ConfidenceIntervals { level: LEVEL, resamples: draws.len(), seed, figures }
}

fn affordable_resamples(wanted: usize, examples: usize, classes: usize) -> usize {
    let steps = examples.saturating_mul(classes).max(1);
    wanted.min((MAX_STEPS / steps).max(MIN_RESAMPLES))
}

/// Draws as many examples as there are, with replacement, and counts the copies of each.
///
/// A draw is the upper half of a product (Lemire 2019). Its bias, below 2^-34 with 2^30 examples, is not corrected. A count
/// saturates at 255, which has a probability below 1 / 255!.
fn draw_copies(copies: &mut [u8], stream: &mut Stream) {
    copies.fill(0);
    let bound = copies.len() as u128;
    for _ in 0..copies.len() {
        let drawn = (u128::from(stream.next_u64()) * bound) >> 64;
        let copies = &mut copies[drawn as usize];
        *copies = copies.saturating_add(1);
    }
}

/// The quantile of sorted `values`, interpolated linearly.
fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let place = share * values.len().checked_sub(1)? as f64;
    let below = values[place.floor() as usize];
    let above = values[place.ceil() as usize];
    Some(below + (above - below) * place.fract())
}

/// A bootstrap resample: as many examples as there are, drawn with replacement.
pub(crate) struct Resample<'a> {
    predictions: &'a Predictions,
    /// The rankings of the classes; empty if some probabilities are NaN.
    orders: &'a [ResampledOrder],
    /// How often each example was drawn.
    copies: &'a [u8],
    counts: Vec<ClassCounts>,
}

impl<'a> Resample<'a> {
    pub(crate) fn new(predictions: &'a Predictions, orders: &'a [ResampledOrder], copies: &'a [u8]) -> Self {
        let mut counts = vec![ClassCounts::default(); predictions.class_count()];
        let classes = predictions.truth().iter().zip(predictions.predicted());
        for ((&truth, &predicted), &copies) in classes.zip(copies) {
            let copies = u64::from(copies);
            counts[truth as usize].support += copies;
            counts[predicted as usize].predicted += copies;
            counts[truth as usize].hits += if truth == predicted { copies } else { 0 };
        }
        Self { predictions, orders, copies, counts }
    }

    pub(crate) fn loss(&self) -> f64 {
        let weigh = |values: &[f64]| -> f64 {
            values.iter().zip(self.copies).map(|(value, &copies)| value * f64::from(copies)).sum()
        };
        let examples = || self.copies.iter().copied().map(f64::from).sum();
        weigh(self.predictions.loss()) / self.predictions.weights().map_or_else(examples, weigh)
    }

    pub(crate) fn accuracy(&self) -> f64 {
        let hits: u64 = self.counts.iter().map(|counts| counts.hits).sum();
        let examples: u64 = self.counts.iter().map(|counts| counts.support).sum();
        hits as f64 / examples as f64
    }

    pub(crate) fn macro_f1(&self) -> f64 {
        let f1: Vec<Defined> = self.counts.iter().map(|counts| ClassScores::new(counts).f1).collect();
        macro_mean(&f1).unwrap_or(f64::NAN)
    }

    pub(crate) fn macro_auc(&self) -> f64 {
        let areas = self.orders.iter().map(|order| order.area(self.copies).ok_or(Reason::NoClassDefined));
        macro_mean(&areas.collect::<Vec<_>>()).unwrap_or(f64::NAN)
    }
}

/// A baseline, and the network compared with it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Baseline {
    /// Its kind.
    pub model: BaselineModel,
    /// Its accuracy, in [0, 1].
    pub accuracy: f64,
    /// Its log-loss; null if a probability is NaN.
    pub log_loss: Option<f64>,
    /// The network's accuracy minus the baseline's: above 0 if the network is better. Null with fewer than 30 examples, which
    /// are too few for an interval.
    pub accuracy_gain: Option<Difference>,
    /// The baseline's log-loss minus the network's: above 0 if the network is better. Null with fewer than 30 examples, or if
    /// either is undefined.
    pub log_loss_gain: Option<Difference>,
}

/// The kinds of baselines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Display)]
#[serde(rename_all = "kebab-case")]
pub enum BaselineModel {
    /// Always predicts the most frequent class of the training data, with its class frequencies as probabilities
    /// (`sklearn.dummy.DummyClassifier`).
    #[strum(serialize = "most frequent class")]
    MostFrequentClass,
    /// A logistic regression on the same features (`sklearn.linear_model.LogisticRegression`).
    #[strum(serialize = "linear model")]
    LinearModel,
    /// The same, stopped before convergence to limit its share of the run's time.
    #[strum(serialize = "linear model (stopped early)")]
    LinearModelStoppedEarly,
}

impl Baseline {
    /// Compares `network` with the `predictions` of `model`.
    ///
    /// # Panics
    /// If the two are not for the same examples in the same order.
    #[must_use]
    pub fn new(model: BaselineModel, predictions: &Predictions, network: &Predictions) -> Self {
        assert_eq!(predictions.truth(), network.truth(), "both predict the same examples");
        let right = network.is_right().zip(predictions.is_right());
        let gains: Vec<f64> = right.map(|(network, own)| f64::from(network) - f64::from(own)).collect();
        let losses = predictions.log_losses();
        let loss_gains = losses.as_ref().zip(network.log_losses()).map(|(own, network)| {
            own.iter().zip(network).map(|(own, network)| own - network).collect::<Vec<f64>>()
        });
        Self {
            model,
            accuracy: predictions.accuracy(),
            log_loss: losses.as_deref().map(mean),
            accuracy_gain: enough(&gains).map(difference),
            log_loss_gain: loss_gains.as_deref().and_then(enough).map(difference),
        }
    }
}

/// With fewer examples than this, no standard error is computed.
pub(crate) const FEWEST_EXAMPLES: usize = 30;

fn enough(differences: &[f64]) -> Option<&[f64]> {
    (differences.len() >= FEWEST_EXAMPLES).then_some(differences)
}

/// The mean of `differences`, one for each example, and its 95 % confidence interval.
pub(crate) fn difference(differences: &[f64]) -> Difference {
    let (mean, count) = (mean(differences), differences.len() as f64);
    let squares = sum(differences.iter().map(|value| (value - mean).powi(2)));
    let half = 1.96 * (squares / (count - 1.0) / count).sqrt();
    Difference { mean, lower: mean - half, upper: mean + half }
}

fn mean(values: &[f64]) -> f64 {
    sum(values.iter().copied()) / values.len() as f64
}

impl Predictions {
    /// The predictions of the majority-class baseline for examples with the labels `truth`: always the most frequent class,
    /// and class frequencies as probabilities. `counts` are the training examples of each of `classes`.
    ///
    /// # Errors
    /// [`EvaluationError::Inconsistent`] if the numbers of classes differ.
    pub fn of_frequencies(
        classes: &[String],
        counts: &[u64],
        truth: &[u32],
    ) -> Result<Self, EvaluationError> {
        let total = counts.iter().sum::<u64>().max(1) as f64;
        let shares: Vec<f32> = counts.iter().map(|&count| (count as f64 / total) as f32).collect();
        // The first of several equal ones.
        let most = (0..counts.len()).rev().max_by_key(|&class| counts[class]).unwrap_or(0);
        let losses = truth.iter().map(|&class| {
            shares.get(class as usize).map_or(0.0, |&share| -f64::from(share).max(f64::EPSILON).ln())
        });
        let losses = losses.collect();
        Self::new(
            classes.to_vec(),
            truth.to_vec(),
            vec![most as u32; truth.len()],
            shares.repeat(truth.len()),
            losses,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predictions(examples: usize) -> Predictions {
        let names = vec!["a".to_owned(), "b".to_owned()];
        let truth: Vec<u32> = (0..examples as u32).map(|example| example % 2).collect();
        // Four of five predictions are correct.
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
    fn the_interval_of_an_accuracy_is_that_of_the_binomial_distribution() {
        let drawn = intervals(&predictions(1000), &draws(&predictions(1000), 42, 2000), 42);
        let ConfidenceInterval { lower, upper } = drawn.of("accuracy").unwrap();
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
            let found = ConfidenceInterval::of_share(right, 10);
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
        // Without stratification, one resample in seven would lose both examples.
        assert!(drawn.of("macro_f1").unwrap().upper < 0.5, "{drawn:?}");
        // Although each class is entirely correct or entirely wrong, the interval has a positive width.
        let ConfidenceInterval { lower, upper } = drawn.of("accuracy").unwrap();
        assert!((lower - 0.930_01).abs() < 1e-4 && (upper - 0.994_50).abs() < 1e-4, "{drawn:?}");
    }

    #[test]
    fn the_seed_decides_the_draws_and_the_number_of_threads_does_not() {
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
        let resamples = |examples| affordable_resamples(1000, examples, 10);
        assert_eq!([100, 10_000, 1_000_000, 1 << 30].map(resamples), [1000, 1000, 200, 100]);
        assert_eq!(affordable_resamples(0, 10, 10), 0);
    }

    #[test]
    fn quantiles_equal_those_of_numpy() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0, 8.0, 16.0], 0.975), Some(15.2));
        assert_eq!((quantile(&[3.0], 0.025), quantile(&[], 0.5)), (Some(3.0), None));
    }

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|class| class.to_string()).collect()
    }

    fn two_class_predictions(truth: &[u32], predicted: &[u32], sure: f32) -> Predictions {
        let row = |&class: &u32| if class == 0 { [sure, 1.0 - sure] } else { [1.0 - sure, sure] };
        let probabilities = predicted.iter().flat_map(row).collect();
        let losses = vec![0.0; truth.len()];
        Predictions::new(names(2), truth.to_vec(), predicted.to_vec(), probabilities, losses).unwrap()
    }

    #[test]
    fn the_most_frequent_class_is_that_of_the_training_data() {
        let guess = Predictions::of_frequencies(&names(3), &[1, 2, 2], &[0, 1, 2, 1]).unwrap();
        assert_eq!((guess.predicted(), guess.probabilities(3)), (&[1_u32; 4][..], &[0.2, 0.4, 0.4][..]));
        let baseline = Baseline::new(BaselineModel::MostFrequentClass, &guess, &guess);
        // sklearn.metrics.log_loss([0, 1, 2, 1], [[.2, .4, .4]] * 4)
        assert!((baseline.log_loss.unwrap() - 1.089_577_526_995_959_7).abs() < 1e-7);
        assert_eq!((baseline.accuracy, baseline.accuracy_gain), (0.5, None));
        let other = Predictions::of_frequencies(&names(2), &[1, 2, 2], &[0]).unwrap_err();
        assert!(other.to_string().contains("expected 2 probabilities, found 3"), "{other}");
    }

    #[test]
    fn a_gain_has_the_standard_error_of_the_differences() {
        let truth: Vec<u32> = (0..100).map(|example| example % 2).collect();
        let wrong_at = |every: usize| -> Vec<u32> {
            let class = |(place, &class): (usize, &u32)| if place % every == 0 { 1 - class } else { class };
            truth.iter().enumerate().map(class).collect()
        };
        let network = two_class_predictions(&truth, &wrong_at(20), 0.9);
        let linear = two_class_predictions(&truth, &wrong_at(4), 0.9);
        let baseline = Baseline::new(BaselineModel::LinearModel, &linear, &network);
        let gain = baseline.accuracy_gain.unwrap();
        assert_eq!((baseline.accuracy, gain.mean), (0.75, 0.2));
        // 20 of 100 differences are 1: the standard error is sqrt(0.16 / 99).
        let half = 1.96 * (0.16_f64 / 99.0).sqrt();
        assert!((gain.lower - (0.2 - half)).abs() < 1e-12 && (gain.upper - (0.2 + half)).abs() < 1e-12);
        assert!(baseline.log_loss_gain.unwrap().lower > 0.0);
        let undefined = two_class_predictions(&truth, &wrong_at(4), f32::NAN);
        let baseline = Baseline::new(BaselineModel::LinearModel, &undefined, &network);
        assert_eq!((baseline.log_loss, baseline.log_loss_gain), (None, None));
    }
}
