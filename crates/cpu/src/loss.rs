//! Cross-entropy with its gradient.

use pulp::{Arch, Simd, WithSimd};

use crate::elementary::exp;
use crate::forward::EXAMPLES;
use crate::share::each;

/// What a batch's loss says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BatchLoss {
    /// Sum of the loss over examples.
    pub sum: f64,
    /// Examples whose greatest output is that of their class, the first of several that are equal.
    pub correct: u64,
}

/// What an exponential costs beside a multiply-add.
const COST: usize = 16;

/// The cross-entropy of the softmax of `logits`, row after row of `classes` values, and of the class of each row;
/// replaces the logits by the gradient of the mean over the batch.
///
/// # Panics
/// If there is not a row for every label, or a label is not below `classes`.
pub fn cross_entropy(logits: &mut [f32], labels: &[u32], classes: usize) -> BatchLoss {
    assert_eq!(logits.len(), labels.len() * classes, "a row for every label");
    let (arch, cost) = (Arch::new(), COST * logits.len());
    let share = 1.0 / labels.len() as f32;
    let units = logits.chunks_mut(EXAMPLES * classes).zip(labels.chunks(EXAMPLES));
    let units = units.map(|(logits, labels)| Examples { logits, labels, classes, share });
    let parts = each(units.collect(), cost, |unit| arch.dispatch(unit));
    parts.into_iter().fold(BatchLoss::default(), |total, part| BatchLoss {
        sum: total.sum + part.sum,
        correct: total.correct + part.correct,
    })
}

/// Some examples of a batch of which each has this `share`.
struct Examples<'a> {
    logits: &'a mut [f32],
    labels: &'a [u32],
    classes: usize,
    share: f32,
}

impl WithSimd for Examples<'_> {
    type Output = BatchLoss;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> BatchLoss {
        let mut loss = BatchLoss::default();
        for (row, &label) in self.logits.chunks_exact_mut(self.classes).zip(self.labels) {
            let label = label as usize;
            loss.correct += u64::from(greatest(row) == label);
            loss.sum += f64::from(softmax(row, label));
            for value in &mut *row {
                *value *= self.share;
            }
            row[label] -= self.share;
        }
        loss
    }
}

/// Replaces the logits of one example by their softmax; the cross-entropy of it and of class `label`.
///
/// # Panics
/// If `label` is not below the number of logits.
#[inline(always)]
pub fn softmax(logits: &mut [f32], label: usize) -> f32 {
    // A NaN is never the greatest, but it reaches the sum.
    let shift = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let chosen = logits[label] - shift;
    for value in &mut *logits {
        *value = exp(*value - shift);
    }
    let total: f32 = logits.iter().sum();
    let scale = 1.0 / total;
    for value in logits {
        *value *= scale;
    }
    libm::logf(total) - chosen
}

/// The place of the greatest value, the first of several that are equal; a NaN is never the greatest.
#[must_use]
#[inline(always)]
pub fn greatest(row: &[f32]) -> usize {
    let mut best = 0;
    for (place, value) in row.iter().enumerate() {
        if *value > row[best] || (row[best].is_nan() && !value.is_nan()) {
            best = place;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_and_gradient_are_those_of_double_precision() {
        let logits = [[1.0_f32, -2.0, 0.5], [30.0, 29.0, -40.0], [0.0, 0.0, 0.0]];
        let labels = [0, 1, 2];
        let mut found = logits.concat();
        let loss = cross_entropy(&mut found, &labels, 3);
        let mut sum = 0.0;
        for (row, (&label, found)) in logits.iter().zip(labels.iter().zip(found.chunks(3))) {
            let total: f64 = row.iter().map(|&value| f64::from(value).exp()).sum();
            sum += total.ln() - f64::from(row[label as usize]);
            for (class, (&value, &found)) in row.iter().zip(found).enumerate() {
                let hit = f64::from(u8::from(class == label as usize));
                let expected = (f64::from(value).exp() / total - hit) / 3.0;
                assert!((f64::from(found) - expected).abs() < 1e-7, "{found} {expected}");
            }
        }
        assert!((loss.sum - sum).abs() < 1e-6, "{loss:?} {sum}");
        assert_eq!(loss.correct, 1);
    }

    #[test]
    fn the_first_of_equal_values_is_the_greatest_and_never_a_nan() {
        let rows = [[1.0, 3.0, 3.0], [f32::NAN, 1.0, 2.0], [f32::NAN; 3]];
        assert_eq!(rows.map(|row| greatest(&row)), [1, 2, 0]);
    }

    #[test]
    fn a_loss_that_is_no_number_says_so() {
        assert!(cross_entropy(&mut [f32::NAN, 1.0], &[1], 2).sum.is_nan());
        assert!(!cross_entropy(&mut [f32::INFINITY, 1.0], &[1], 2).sum.is_finite());
    }
}
