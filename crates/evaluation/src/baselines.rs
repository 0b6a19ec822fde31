//! What a network is held against: guesses and models that need no network, on the same examples.

use kiln_diagnosis::Difference;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::Display;

use crate::sum::sum;
use crate::{EvaluationError, Predictions};

/// A simple model, and how far the network is ahead of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Baseline {
    /// Which.
    pub model: BaselineModel,
    /// The share of examples that it predicts right, in [0, 1].
    pub accuracy: f64,
    /// Its log-loss; null where a probability is not a number.
    pub log_loss: Option<f64>,
    /// The network's accuracy less its own: above 0 where the network is better. Null below 30 examples, of which an interval
    /// says next to nothing.
    pub accuracy_gain: Option<Difference>,
    /// Its log-loss less the network's: above 0 where the network is better. Null below 30 examples, and where either is
    /// undefined.
    pub log_loss_gain: Option<Difference>,
}

/// Models that need no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Display)]
#[serde(rename_all = "kebab-case")]
pub enum BaselineModel {
    /// Names the most frequent class of the training data every time, with the shares of the classes there as
    /// probabilities (`sklearn.dummy.DummyClassifier`).
    #[strum(serialize = "most frequent class")]
    MostFrequentClass,
    /// A linear model of the same features (`sklearn.linear_model.LogisticRegression`).
    #[strum(serialize = "linear model")]
    LinearModel,
    /// The same, stopped before it converged: more passes would have taken too much of the run's time.
    #[strum(serialize = "linear model (stopped early)")]
    LinearModelStoppedEarly,
}

impl Baseline {
    /// Holds `network` against what `model` predicts for the same examples.
    ///
    /// # Panics
    /// If the two are not of the same examples in the same order.
    #[must_use]
    pub fn new(model: BaselineModel, predictions: &Predictions, network: &Predictions) -> Self {
        assert_eq!(predictions.truth(), network.truth(), "both predict the same examples");
        let right = network.is_right().zip(predictions.is_right());
        let ahead: Vec<f64> = right.map(|(network, own)| f64::from(network) - f64::from(own)).collect();
        let losses = predictions.log_losses();
        let losses_ahead = losses.as_ref().zip(network.log_losses()).map(|(own, network)| {
            own.iter().zip(network).map(|(own, network)| own - network).collect::<Vec<f64>>()
        });
        Self {
            model,
            accuracy: predictions.accuracy(),
            log_loss: losses.as_deref().map(mean),
            accuracy_gain: enough(&ahead).map(difference),
            log_loss_gain: losses_ahead.as_deref().and_then(enough).map(difference),
        }
    }
}

/// The least number of examples that a standard error is taken of.
pub(crate) const FEWEST_EXAMPLES: usize = 30;

fn enough(differences: &[f64]) -> Option<&[f64]> {
    (differences.len() >= FEWEST_EXAMPLES).then_some(differences)
}

/// The mean of `differences`, one for each example, and its interval.
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
    /// What someone says of examples of the classes `truth` who names the most frequent class every time, and gives each
    /// class the share that it has in `counts`, one for each of `classes`.
    ///
    /// # Errors
    /// [`EvaluationError::Inconsistent`] where the numbers of classes differ.
    pub fn of_frequencies(
        classes: &[String],
        counts: &[u64],
        truth: &[u32],
    ) -> Result<Self, EvaluationError> {
        let total = counts.iter().sum::<u64>().max(1) as f64;
        let shares: Vec<f32> = counts.iter().map(|&count| (count as f64 / total) as f32).collect();
        // The first of several that are equal.
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

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|class| class.to_string()).collect()
    }

    fn predictions(truth: &[u32], predicted: &[u32], sure: f32) -> Predictions {
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
    fn a_gain_has_the_spread_of_the_differences() {
        let truth: Vec<u32> = (0..100).map(|example| example % 2).collect();
        let wrong_at = |every: usize| -> Vec<u32> {
            let class = |(place, &class): (usize, &u32)| if place % every == 0 { 1 - class } else { class };
            truth.iter().enumerate().map(class).collect()
        };
        let network = predictions(&truth, &wrong_at(20), 0.9);
        let linear = predictions(&truth, &wrong_at(4), 0.9);
        let baseline = Baseline::new(BaselineModel::LinearModel, &linear, &network);
        let gain = baseline.accuracy_gain.unwrap();
        assert_eq!((baseline.accuracy, gain.mean), (0.75, 0.2));
        // 20 of 100 differences are 1: the standard error is sqrt(0.16 / 99).
        let half = 1.96 * (0.16_f64 / 99.0).sqrt();
        assert!((gain.lower - (0.2 - half)).abs() < 1e-12 && (gain.upper - (0.2 + half)).abs() < 1e-12);
        assert!(baseline.log_loss_gain.unwrap().lower > 0.0);
        let undefined = predictions(&truth, &wrong_at(4), f32::NAN);
        let baseline = Baseline::new(BaselineModel::LinearModel, &undefined, &network);
        assert_eq!((baseline.log_loss, baseline.log_loss_gain), (None, None));
    }
}
