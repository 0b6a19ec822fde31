//! The quality of the probabilities: temperature scaling on held-out examples, the reliability diagram with the expected
//! calibration error, log-loss and Brier score.

use kiln_artifacts::{Run, replace_file};
use kiln_files::json_text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evaluator::read_json;
use crate::figures::{Defined, Reason, Sum, finite, sum};
use crate::{EvaluationError, Predictions};

/// Temperature scaling: the logits are divided by `temperature` (Guo et al. 2017, "On calibration of modern neural
/// networks"), and `share` of the probability is spread evenly over all classes. The share keeps probabilities below 1: a
/// limited number of held-out examples cannot prove certainty.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// A value above 1 means that the network was overconfident.
    pub temperature: f64,
    /// 1 / (`examples` + 1).
    pub share: f64,
    /// The number of held-out examples that it was fitted on.
    pub examples: u64,
    /// Their log-loss before the calibration.
    pub log_loss_before: f64,
    /// Their log-loss after the calibration.
    pub log_loss_after: f64,
    /// Step of the checkpoint that it belongs to.
    pub step: Option<u64>,
}

/// Standard deviation of the normal prior of the log-temperature around 0. It limits the effect of few examples.
const PRIOR: f64 = 0.5;
/// The range of the log-temperature.
const RANGE: [f64; 2] = [-3.0, 3.0];
/// Steps of the search. Each one shrinks the range to 0.618 of its size, so that 1e-6 remains.
const STEPS: usize = 32;
/// Smaller probabilities are raised to this before the logarithm: the smallest normal number in single precision.
const LEAST: f64 = f32::MIN_POSITIVE as f64;

impl Calibration {
    /// Fits the calibration on the network's predictions for examples that it was not trained on; `step` is its checkpoint.
    /// `None` if some probability is NaN, or there are no examples.
    #[must_use]
    pub fn fit(predictions: &Predictions, step: Option<u64>) -> Option<Self> {
        if predictions.is_empty() || !predictions.has_all_probabilities() {
            return None;
        }
        let (count, classes) = (predictions.len() as f64, predictions.class_count());
        let share = 1.0 / (count + 1.0);
        // Computed once for all temperatures.
        let logits: Vec<f64> = predictions.rows().flatten().copied().map(logit).collect();
        let rows = || logits.chunks_exact(classes).zip(predictions.truth());
        let loss = |temperature: f64, share: f64| {
            let of = |(row, &truth): (&[f64], &u32)| {
                -Softmax::new(row, temperature, share).of(row[truth as usize]).ln()
            };
            rows().map(of).sum::<f64>()
        };
        let objective = |logarithm: f64| loss(logarithm.exp(), share) + (logarithm / PRIOR).powi(2) / 2.0;
        let temperature = minimum(objective, RANGE).exp();
        Some(Self {
            temperature,
            share,
            examples: predictions.len() as u64,
            log_loss_before: loss(1.0, 0.0) / count,
            log_loss_after: loss(temperature, share) / count,
            step,
        })
    }

    /// The calibrated probabilities of one example.
    fn of(&self, row: &[f32]) -> Vec<f64> {
        let logits: Vec<f64> = row.iter().copied().map(logit).collect();
        let softmax = Softmax::new(&logits, self.temperature, self.share);
        logits.iter().map(|&logit| softmax.of(logit)).collect()
    }

    /// Calibrates the probabilities of one example in place; leaves them unchanged if one is not finite.
    pub(crate) fn apply(&self, row: &mut [f32]) {
        if row.iter().all(|value| value.is_finite()) {
            let calibrated = self.of(row);
            row.iter_mut().zip(calibrated).for_each(|(out, value)| *out = value as f32);
        }
    }

    /// Stores it in the run's folder.
    pub fn write(&self, run: &Run) -> Result<(), EvaluationError> {
        Ok(replace_file(&run.calibration_json(), &json_text(self))?)
    }

    /// Reads the calibration of `run`; `None` if it does not exist or belongs to another checkpoint than that of `step`.
    pub fn read(run: &Run, step: Option<u64>) -> Result<Option<Self>, EvaluationError> {
        let path = run.calibration_json();
        if !path.is_file() {
            return Ok(None);
        }
        let stored: Self = read_json(&path, "a calibration of probabilities")?;
        Ok(Some(stored).filter(|stored| step.is_some() && stored.step == step))
    }
}

impl Predictions {
    /// The same predictions with calibrated probabilities. An example with a probability that is NaN is unchanged. Predicted
    /// classes and losses stay the same.
    #[must_use]
    pub fn calibrated(self, calibration: Option<&Calibration>) -> Self {
        let Some(calibration) = calibration else { return self };
        let mut probabilities = self.rows().flatten().copied().collect::<Vec<f32>>();
        probabilities.chunks_exact_mut(self.class_count()).for_each(|row| calibration.apply(row));
        self.with_probabilities(probabilities)
    }
}

/// A logit: the softmax of the logits of a row gives its probabilities again.
fn logit(probability: f32) -> f64 {
    f64::from(probability).max(LEAST).ln()
}

/// The calibrated softmax of one example.
struct Softmax {
    temperature: f64,
    greatest: f64,
    total: f64,
    /// The factor of the softmax, 1 - share.
    kept: f64,
    /// The part of the share that each class gets.
    even: f64,
}

impl Softmax {
    fn new(logits: &[f64], temperature: f64, share: f64) -> Self {
        let scaled = || logits.iter().map(|logit| logit / temperature);
        let greatest = scaled().fold(f64::NEG_INFINITY, f64::max);
        let total = scaled().map(|logit| (logit - greatest).exp()).sum();
        Self { temperature, greatest, total, kept: 1.0 - share, even: share / logits.len() as f64 }
    }

    fn of(&self, logit: f64) -> f64 {
        self.kept * (logit / self.temperature - self.greatest).exp() / self.total + self.even
    }
}

/// The minimum of a unimodal `function` on an interval, by golden-section search (Kiefer 1953).
fn minimum(function: impl Fn(f64) -> f64, [mut low, mut high]: [f64; 2]) -> f64 {
    let section = (5.0_f64.sqrt() - 1.0) / 2.0;
    let inner = |low: f64, high: f64| [high - section * (high - low), low + section * (high - low)];
    let [mut left, mut right] = inner(low, high);
    let (mut at_left, mut at_right) = (function(left), function(right));
    for _ in 0..STEPS {
        if at_left < at_right {
            (high, right, at_right) = (right, left, at_left);
            [left, _] = inner(low, high);
            at_left = function(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            [_, right] = inner(low, high);
            at_right = function(right);
        }
    }
    f64::midpoint(low, high)
}

/// The number of bins of equal width (Guo et al. 2017, "On calibration of modern neural networks").
const BINS: usize = 15;

/// A bin of the reliability diagram: the examples whose confidence (the probability of the predicted class) lies in it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReliabilityBin {
    /// The lower end, exclusive; the first bin also includes 0.
    pub lower: f64,
    /// The upper end, inclusive.
    pub upper: f64,
    /// The number of examples.
    pub examples: u64,
    /// Their mean confidence, in [0, 1]; null in an empty bin.
    pub confidence: Option<f64>,
    /// Their accuracy, in [0, 1]; null in an empty bin.
    pub accuracy: Option<f64>,
}

/// The reliability diagram: 15 bins of equal width over [0, 1]. `None` if some confidence is NaN.
pub(crate) fn reliability(predictions: &Predictions) -> Option<Vec<ReliabilityBin>> {
    let mut bins = [(Sum::default(), 0_u64, 0_u64); BINS];
    for (truth, predicted, row) in predictions.examples() {
        let confidence = f64::from(row[predicted]);
        if confidence.is_nan() {
            return None;
        }
        let (total, examples, correct) = &mut bins[bin(confidence)];
        total.add(confidence);
        *examples += 1;
        *correct += u64::from(truth == predicted);
    }
    let point = |(index, (total, examples, correct)): (usize, (Sum, u64, u64))| {
        let mean = |value: f64| (examples != 0).then(|| value / examples as f64);
        ReliabilityBin {
            lower: index as f64 / BINS as f64,
            upper: (index + 1) as f64 / BINS as f64,
            examples,
            confidence: mean(total.value()),
            accuracy: mean(correct as f64),
        }
    };
    Some(bins.into_iter().enumerate().map(point).collect())
}

/// The expected calibration error, in [0, 1]: the mean distance between confidence and accuracy over the bins, weighted by
/// their examples (Naeini et al. 2015; Guo et al. 2017).
pub(crate) fn expected_calibration_error(bins: Option<&[ReliabilityBin]>) -> Defined {
    let bins = bins.ok_or(Reason::NotFinite)?;
    let examples: u64 = bins.iter().map(|bin| bin.examples).sum();
    let gap = |bin: &ReliabilityBin| Some((bin.accuracy? - bin.confidence?).abs() * bin.examples as f64);
    Ok(sum(bins.iter().filter_map(gap)) / examples as f64)
}

fn bin(confidence: f64) -> usize {
    ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1
}

/// The mean of -ln of the true class's probability, at least 0.
///
/// As in `sklearn.metrics.log_loss` in double precision, probabilities are clipped to [eps, 1 - eps] with eps = 2^-52: a
/// probability of 0 costs 36.04.
pub(crate) fn log_loss(predictions: &Predictions) -> Defined {
    mean_score(predictions, log_loss_of)
}

fn log_loss_of(truth: usize, row: &[f32]) -> f64 {
    -f64::from(row[truth]).clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
}

impl Predictions {
    /// The log-loss of each example; `None` if some probability is NaN.
    pub(crate) fn log_losses(&self) -> Option<Vec<f64>> {
        let of = |(truth, _, row): (usize, usize, &[f32])| log_loss_of(truth, row);
        self.has_all_probabilities().then(|| self.examples().map(of).collect())
    }
}

/// The mean squared distance between the probabilities and the one-hot label (Brier 1950), summed over classes, in [0, 2];
/// with fewer than three classes half of that, in [0, 1], as in `sklearn.metrics.brier_score_loss`.
pub(crate) fn brier_score(predictions: &Predictions) -> Defined {
    let scale = if predictions.class_count() < 3 { 0.5 } else { 1.0 };
    let distance = |truth: usize, row: &[f32]| {
        let differences = row
            .iter()
            .enumerate()
            .map(|(class, &probability)| f64::from(probability) - f64::from(u8::from(class == truth)));
        differences.map(|difference| difference * difference).sum::<f64>()
    };
    Ok(scale * mean_score(predictions, distance)?)
}

fn mean_score(predictions: &Predictions, score: impl Fn(usize, &[f32]) -> f64) -> Defined {
    if !predictions.has_all_probabilities() {
        return Err(Reason::NotFinite);
    }
    let total = sum(predictions.examples().map(|(truth, _, row)| score(truth, row)));
    finite(total / predictions.len() as f64)
}

/// The mean of the stored losses, weighted as in training.
pub(crate) fn mean_loss(predictions: &Predictions) -> Defined {
    let total = sum(predictions.loss().iter().copied());
    let weight =
        predictions.weights().map_or(predictions.len() as f64, |weights| sum(weights.iter().copied()));
    finite(total / weight)
}

#[cfg(test)]
mod tests {
    use kiln_config::random::{Purpose, Stream};

    use super::*;

    /// Predictions of a network whose logits are `sharpness` times those that the classes are drawn from.
    fn predictions(sharpness: f64, examples: usize) -> Predictions {
        let mut stream = Stream::new(3, Purpose::Sampling, &[]);
        let (mut truth, mut predicted, mut probabilities) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..examples {
            let logits = [stream.normal() * 2.0, 0.0, stream.normal()];
            let softmax = |factor: f64| {
                let powers = logits.map(|logit| (logit * factor).exp());
                powers.map(|power| power / powers.iter().sum::<f64>())
            };
            let drawn = stream.uniform();
            let [first, second, _] = softmax(1.0);
            truth.push(u32::from(drawn > first) + u32::from(drawn > first + second));
            let row = softmax(sharpness);
            predicted.push((0..3).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap() as u32);
            probabilities.extend(row.map(|value| value as f32));
        }
        let classes = ["a", "b", "c"].map(str::to_owned).to_vec();
        Predictions::new(classes, truth, predicted, probabilities, vec![1.0; examples]).unwrap()
    }

    #[test]
    fn the_temperature_equals_the_overconfidence() {
        for sharpness in [0.5, 1.0, 3.0] {
            let found = Calibration::fit(&predictions(sharpness, 20_000), Some(7)).unwrap();
            assert!((found.temperature / sharpness - 1.0).abs() < 0.05, "{sharpness}: {found:?}");
            assert!(found.log_loss_after <= found.log_loss_before + 1e-3, "{found:?}");
        }
    }

    #[test]
    fn few_examples_change_the_temperature_less_and_no_class_becomes_certain() {
        let few = Calibration::fit(&predictions(3.0, 5), None).unwrap();
        let many = Calibration::fit(&predictions(3.0, 2000), None).unwrap();
        assert!(few.temperature < many.temperature, "{few:?} {many:?}");
        let certain = few.of(&[1.0, 0.0, 0.0]);
        assert!(certain[0] < 0.95 && certain[1] > 0.05, "{certain:?}");
    }

    #[test]
    fn classes_and_their_order_are_unchanged_and_probabilities_sum_to_one() {
        let before = predictions(3.0, 300);
        let calibration = Calibration::fit(&before, None).unwrap();
        let after = before.clone().calibrated(Some(&calibration));
        assert_eq!((after.predicted(), after.loss()), (before.predicted(), before.loss()));
        for at in 0..before.len() {
            let [before, after] = [&before, &after].map(|it| it.probabilities(at));
            assert!((after.iter().sum::<f32>() - 1.0).abs() < 1e-6);
            assert!((0..2).all(|k| (before[k] < before[k + 1]) == (after[k] < after[k + 1])));
        }
    }

    #[test]
    fn a_bin_includes_its_upper_end() {
        assert_eq!([0.0, 1e-9, 1.0 / 15.0, 0.0667, 0.5, 0.9999, 1.0].map(bin), [0, 0, 0, 1, 7, 14, 14]);
    }

    #[test]
    fn the_calibration_error_is_the_gap_between_confidence_and_accuracy() {
        let names = vec!["a".to_owned(), "b".to_owned()];
        let rows = vec![0.75, 0.25, 0.75, 0.25, 1.0, 0.0, 0.5, 0.5];
        let predictions = Predictions::new(names, vec![0, 1, 0, 1], vec![0; 4], rows, vec![0.0; 4]).unwrap();
        let bins = reliability(&predictions).unwrap();
        assert_eq!((bins[11].examples, bins[11].confidence, bins[11].accuracy), (2, Some(0.75), Some(0.5)));
        assert_eq!(bins[0].confidence, None);
        // Two examples off by 0.25, one by 0, one by 0.5.
        assert_eq!(expected_calibration_error(Some(&bins)), Ok((2.0 * 0.25 + 0.5) / 4.0));
        assert_eq!(expected_calibration_error(None), Err(Reason::NotFinite));
    }

    fn scored(probabilities: Vec<f32>, loss: Vec<f64>) -> Predictions {
        let names = vec!["a".to_owned(), "b".to_owned()];
        let examples = loss.len();
        Predictions::new(names, vec![0; examples], vec![0; examples], probabilities, loss).unwrap()
    }

    #[test]
    fn a_wrong_certainty_costs_a_finite_amount() {
        let wrong = scored(vec![0.0, 1.0], vec![f64::INFINITY]);
        assert!((log_loss(&wrong).unwrap() - 36.043_653_389_117_15).abs() < 1e-13);
        assert_eq!(brier_score(&wrong), Ok(1.0));
        assert_eq!(mean_loss(&wrong), Err(Reason::NotFinite));
    }

    #[test]
    fn a_diverged_model_has_no_score() {
        let diverged = scored(vec![0.5, 0.5, f32::NAN, f32::NAN], vec![0.7, f64::NAN]);
        for score in [log_loss(&diverged), brier_score(&diverged), mean_loss(&diverged)] {
            assert_eq!(score, Err(Reason::NotFinite));
        }
    }

    #[test]
    fn weights_count_in_the_mean_loss() {
        let weighted = scored(vec![0.5; 4], vec![1.0, 6.0]).with_weights(vec![1.0, 3.0]).unwrap();
        assert_eq!(mean_loss(&weighted), Ok(1.75));
    }
}
