//! The predictions of a model for every example of a split.

use std::cmp::Ordering;
use std::collections::HashSet;

use rayon::slice::ParallelSliceMut;

use crate::EvaluationError;

/// The predictions of one pass over a split, in the split's order. All figures of an evaluation follow from them.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    classes: Vec<String>,
    truth: Vec<u32>,
    predicted: Vec<u32>,
    probabilities: Vec<f32>,
    loss: Vec<f64>,
    weights: Option<Vec<f64>>,
    lines: Option<Vec<u32>>,
}

/// A compact ranking stores the number of an example in 30 bits next to two flags.
const MAX_EXAMPLES: usize = 1 << 30;
/// The counts of pooled probabilities have 32 bits.
const MAX_PROBABILITIES: usize = u32::MAX as usize;

impl Predictions {
    /// Predictions for `truth.len()` examples.
    ///
    /// - `classes`: the distinct names of the classes;
    /// - `truth`, `predicted`: the true and the predicted class of each example, by number;
    /// - `probabilities`: the probability of each class, row by row, in [0, 1]; NaN if the model diverged;
    /// - `loss`: the loss of each example, multiplied by its weight if it has one.
    ///
    /// # Errors
    /// [`EvaluationError::Inconsistent`] if the lengths differ or a value is out of range.
    pub fn new(
        classes: Vec<String>,
        truth: Vec<u32>,
        predicted: Vec<u32>,
        probabilities: Vec<f32>,
        loss: Vec<f64>,
    ) -> Result<Self, EvaluationError> {
        let made = Self { classes, truth, predicted, probabilities, loss, weights: None, lines: None };
        made.check_classes()?;
        made.check_lengths()?;
        made.check_values()?;
        Ok(made)
    }

    /// The same predictions with the lines of a file where the examples begin.
    ///
    /// # Errors
    /// [`EvaluationError::Inconsistent`] if there is not one line for each example.
    pub fn with_lines(self, lines: Vec<u32>) -> Result<Self, EvaluationError> {
        check(lines.len() == self.len(), || (format!("{} lines", self.len()), lines.len().to_string()))?;
        Ok(Self { lines: Some(lines), ..self })
    }

    /// The lines of the user's file where the examples begin; `None` if they are not rows of a file.
    #[must_use]
    pub fn lines(&self) -> Option<&[u32]> {
        self.lines.as_deref()
    }

    /// The same predictions with the weight of each example in the mean loss (its class weight).
    ///
    /// # Errors
    /// [`EvaluationError::Inconsistent`] if there is not one finite, non-negative weight for each example.
    pub fn with_weights(self, weights: Vec<f64>) -> Result<Self, EvaluationError> {
        check(weights.len() == self.len(), || {
            (format!("{} weights", self.len()), weights.len().to_string())
        })?;
        let wrong = weights.iter().find(|weight| !(weight.is_finite() && **weight >= 0.0));
        check(wrong.is_none(), || ("finite weights of at least 0".to_owned(), format!("{wrong:?}")))?;
        Ok(Self { weights: Some(weights), ..self })
    }

    /// The number of examples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.truth.len()
    }

    /// True if there are no examples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.truth.is_empty()
    }

    /// The names of the classes, by number.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The number of classes.
    #[must_use]
    pub fn class_count(&self) -> usize {
        self.classes.len()
    }

    /// The true class of each example.
    #[must_use]
    pub fn truth(&self) -> &[u32] {
        &self.truth
    }

    /// The predicted class of each example.
    #[must_use]
    pub fn predicted(&self) -> &[u32] {
        &self.predicted
    }

    /// Whether the prediction of each example is correct.
    pub fn is_right(&self) -> impl Iterator<Item = bool> {
        self.truth.iter().zip(&self.predicted).map(|(truth, predicted)| truth == predicted)
    }

    /// The accuracy, in [0, 1].
    pub(crate) fn accuracy(&self) -> f64 {
        self.is_right().filter(|right| *right).count() as f64 / self.len() as f64
    }

    /// The probability of each class for the example at `position`, in [0, 1] or NaN.
    ///
    /// # Panics
    /// If `position` is not below [`Predictions::len`].
    #[must_use]
    pub fn probabilities(&self, position: usize) -> &[f32] {
        &self.probabilities[position * self.class_count()..][..self.class_count()]
    }

    /// The loss of each example, multiplied by its weight if it has one.
    #[must_use]
    pub fn loss(&self) -> &[f64] {
        &self.loss
    }

    /// The weight of each example in the mean loss; `None` if all weights are 1.
    #[must_use]
    pub fn weights(&self) -> Option<&[f64]> {
        self.weights.as_deref()
    }

    /// The same predictions with other predicted classes.
    pub(crate) fn with_predicted(self, predicted: Vec<u32>) -> Self {
        debug_assert_eq!(predicted.len(), self.predicted.len());
        Self { predicted, ..self }
    }

    /// The same predictions with other probabilities.
    pub(crate) fn with_probabilities(self, probabilities: Vec<f32>) -> Self {
        debug_assert_eq!(probabilities.len(), self.probabilities.len());
        Self { probabilities, ..self }
    }

    /// The probabilities of each example, as rows.
    pub(crate) fn rows(&self) -> std::slice::ChunksExact<'_, f32> {
        self.probabilities.chunks_exact(self.class_count())
    }

    /// True class, predicted class and probabilities of each example.
    pub(crate) fn examples(&self) -> impl Iterator<Item = (usize, usize, &[f32])> {
        let classes = self.truth.iter().zip(&self.predicted);
        classes.zip(self.rows()).map(|((&truth, &predicted), row)| (truth as usize, predicted as usize, row))
    }

    /// The number of examples with a non-finite probability or loss.
    pub(crate) fn non_finite(&self) -> usize {
        let rows = self.rows().zip(&self.loss);
        rows.filter(|(row, loss)| row.iter().any(|value| value.is_nan()) || !loss.is_finite()).count()
    }

    /// True if no probability is NaN.
    pub(crate) fn has_all_probabilities(&self) -> bool {
        !self.probabilities.iter().any(|value| value.is_nan())
    }

    /// The same examples sorted by their values. Sums and random draws are therefore equal, bit for bit, for any order of the
    /// split.
    pub(crate) fn in_canonical_order(&self) -> Self {
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        order.par_sort_unstable_by(|&left, &right| self.compare(left as usize, right as usize));
        let pick = |values: &[f64]| order.iter().map(|&position| values[position as usize]).collect();
        Self {
            classes: self.classes.clone(),
            truth: order.iter().map(|&position| self.truth[position as usize]).collect(),
            predicted: order.iter().map(|&position| self.predicted[position as usize]).collect(),
            probabilities: order
                .iter()
                .flat_map(|&position| self.probabilities(position as usize))
                .copied()
                .collect(),
            loss: pick(&self.loss),
            weights: self.weights.as_deref().map(pick),
            // No figure depends on the lines.
            lines: None,
        }
    }

    fn compare(&self, left: usize, right: usize) -> Ordering {
        let classes = |position: usize| (self.truth[position], self.predicted[position]);
        let weight = |position: usize| self.weights.as_ref().map_or(1.0, |weights| weights[position]);
        let by_probability = || {
            let pairs = self.probabilities(left).iter().zip(self.probabilities(right));
            pairs.map(|(left, right)| left.total_cmp(right)).find(|order| order.is_ne())
        };
        classes(left)
            .cmp(&classes(right))
            .then_with(|| self.loss[left].total_cmp(&self.loss[right]))
            .then_with(|| weight(left).total_cmp(&weight(right)))
            .then_with(|| by_probability().unwrap_or(Ordering::Equal))
    }

    fn check_classes(&self) -> Result<(), EvaluationError> {
        check(!self.classes.is_empty(), || ("at least one class".to_owned(), "none".to_owned()))?;
        let mut names = HashSet::new();
        let twice = self.classes.iter().find(|name| !names.insert(name.as_str()));
        check(twice.is_none(), || {
            ("distinct class names".to_owned(), format!("{:?} twice", twice.map_or("", |name| name)))
        })
    }

    fn check_lengths(&self) -> Result<(), EvaluationError> {
        let (examples, classes) = (self.len(), self.class_count());
        let fits = examples <= MAX_EXAMPLES && examples.saturating_mul(classes) <= MAX_PROBABILITIES;
        let limit = format!("at most {MAX_EXAMPLES} examples and {MAX_PROBABILITIES} probabilities");
        check(fits, || (limit.clone(), format!("{examples} examples of {classes} classes")))?;
        let lengths = [
            ("predicted classes", self.predicted.len(), examples),
            ("probabilities", self.probabilities.len(), examples * classes),
            ("losses", self.loss.len(), examples),
        ];
        for (what, found, expected) in lengths {
            check(found == expected, || (format!("{expected} {what}"), found.to_string()))?;
        }
        Ok(())
    }

    fn check_values(&self) -> Result<(), EvaluationError> {
        let classes = self.class_count();
        let beyond = self.truth.iter().chain(&self.predicted).find(|class| **class as usize >= classes);
        check(beyond.is_none(), || (format!("class numbers below {classes}"), format!("{beyond:?}")))?;
        let beyond = self.probabilities.iter().find(|value| !is_probability(**value));
        check(beyond.is_none(), || ("probabilities in [0, 1]".to_owned(), format!("{beyond:?}")))
    }
}

/// True for a number in [0, 1], and for NaN, the probability of a model that diverged.
pub(crate) fn is_probability(value: f32) -> bool {
    value.is_nan() || (0.0..=1.0).contains(&value)
}

/// An error with the expected and the found value, unless `is_met`.
fn check(is_met: bool, mismatch: impl Fn() -> (String, String)) -> Result<(), EvaluationError> {
    if is_met {
        return Ok(());
    }
    let (expected, found) = mismatch();
    Err(EvaluationError::Inconsistent { expected, found })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|class| class.to_string()).collect()
    }

    fn message(result: Result<Predictions, EvaluationError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn an_inconsistency_is_reported_as_expected_and_found() {
        let new = Predictions::new;
        let cases = [
            (new(vec![], vec![], vec![], vec![], vec![]), "expected at least one class, found none"),
            (new(vec!["a".into(), "a".into()], vec![], vec![], vec![], vec![]), "found \"a\" twice"),
            (
                new(names(2), vec![0], vec![], vec![0.5; 2], vec![0.1]),
                "expected 1 predicted classes, found 0",
            ),
            (new(names(2), vec![0], vec![1], vec![0.5], vec![0.1]), "expected 2 probabilities, found 1"),
            (
                new(names(2), vec![2], vec![1], vec![0.5; 2], vec![0.1]),
                "class numbers below 2, found Some(2)",
            ),
            (new(names(2), vec![0], vec![1], vec![0.5, 1.5], vec![0.1]), "in [0, 1], found Some(1.5)"),
            (
                new(names(1), vec![0], vec![0], vec![1.0], vec![0.0]).unwrap().with_weights(vec![-1.0]),
                "finite weights of at least 0, found Some(-1.0)",
            ),
        ];
        for (result, expected) in cases {
            let message = message(result);
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn the_canonical_order_depends_on_the_values_alone() {
        let one = |truth, predicted, loss: Vec<f64>| {
            Predictions::new(names(1), truth, predicted, vec![0.25, f32::NAN, 0.75], loss).unwrap()
        };
        let predictions = one(vec![0; 3], vec![0; 3], vec![0.5, f64::NAN, 0.25]);
        let sorted = predictions.in_canonical_order();
        assert_eq!((sorted.loss[0], sorted.loss[1]), (0.25, 0.5));
        assert_eq!((sorted.probabilities(0), sorted.probabilities(1)), (&[0.75_f32][..], &[0.25_f32][..]));
        assert_eq!((predictions.non_finite(), predictions.has_all_probabilities()), (1, false));
    }
}
