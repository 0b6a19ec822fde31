//! How good the probabilities are, right or wrong class aside.

use crate::Predictions;
use crate::sum::sum;
use crate::undefined::{Defined, Reason, finite};

/// The mean over examples of -ln of the true class's probability, at least 0.
///
/// As `sklearn.metrics.log_loss` does in double precision, probabilities are first clipped to [eps, 1 - eps]
/// with eps = 2^-52: one that is 0 costs 36.04.
pub(crate) fn log_loss(predictions: &Predictions) -> Defined {
    mean(predictions, log_loss_of)
}

fn log_loss_of(truth: usize, row: &[f32]) -> f64 {
    -f64::from(row[truth]).clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
}

impl Predictions {
    /// The log-loss of each example; none where a probability is not a number.
    pub(crate) fn log_losses(&self) -> Option<Vec<f64>> {
        let of = |(truth, _, row): (usize, usize, &[f32])| log_loss_of(truth, row);
        self.has_all_probabilities().then(|| self.examples().map(of).collect())
    }
}

/// The mean over examples of the squared distance between the probabilities and the one-hot truth (Brier
/// 1950): the sum over all classes, in [0, 2]; for fewer than three classes half of that, in [0, 1], as
/// `sklearn.metrics.brier_score_loss` has it.
pub(crate) fn brier_score(predictions: &Predictions) -> Defined {
    let scale = if predictions.class_count() < 3 { 0.5 } else { 1.0 };
    let distance = |truth: usize, row: &[f32]| {
        let differences = row
            .iter()
            .enumerate()
            .map(|(class, &probability)| f64::from(probability) - f64::from(u8::from(class == truth)));
        differences.map(|difference| difference * difference).sum::<f64>()
    };
    Ok(scale * mean(predictions, distance)?)
}

fn mean(predictions: &Predictions, score: impl Fn(usize, &[f32]) -> f64) -> Defined {
    if !predictions.has_all_probabilities() {
        return Err(Reason::NotFinite);
    }
    let total = sum(predictions.examples().map(|(truth, _, row)| score(truth, row)));
    finite(total / predictions.len() as f64)
}

/// The mean of the stored losses, each weighted as it was in training.
pub(crate) fn mean_loss(predictions: &Predictions) -> Defined {
    let total = sum(predictions.loss().iter().copied());
    let weight =
        predictions.weights().map_or(predictions.len() as f64, |weights| sum(weights.iter().copied()));
    finite(total / weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predictions(probabilities: Vec<f32>, loss: Vec<f64>) -> Predictions {
        let names = vec!["a".to_owned(), "b".to_owned()];
        let examples = loss.len();
        Predictions::new(names, vec![0; examples], vec![0; examples], probabilities, loss).unwrap()
    }

    #[test]
    fn certainty_that_is_wrong_costs_a_finite_amount() {
        let wrong = predictions(vec![0.0, 1.0], vec![f64::INFINITY]);
        assert!((log_loss(&wrong).unwrap() - 36.043_653_389_117_15).abs() < 1e-13);
        assert_eq!(brier_score(&wrong), Ok(1.0));
        assert_eq!(mean_loss(&wrong), Err(Reason::NotFinite));
    }

    #[test]
    fn a_diverged_model_has_no_score() {
        let diverged = predictions(vec![0.5, 0.5, f32::NAN, f32::NAN], vec![0.7, f64::NAN]);
        for score in [log_loss(&diverged), brier_score(&diverged), mean_loss(&diverged)] {
            assert_eq!(score, Err(Reason::NotFinite));
        }
    }

    #[test]
    fn weights_count_in_the_mean_loss() {
        let weighted = predictions(vec![0.5; 4], vec![1.0, 6.0]).with_weights(vec![1.0, 3.0]).unwrap();
        assert_eq!(mean_loss(&weighted), Ok(1.75));
    }
}
