//! Cross-entropy with its gradient, and hits, on row-major slices.

use pulp::{Arch, Simd, WithSimd};

use crate::elementary::exp;
use crate::share::each;

/// Examples that one piece of work takes on.
const EXAMPLES: usize = 64;
/// What an exponential costs beside a multiply-add.
const COST: usize = 16;

/// The cross-entropy of the softmax of each row of `logits`, of `classes` values, and of the row's target; the softmax
/// takes the place of the logits.
///
/// # Panics
/// If there is not a row for every target, or a target is not below `classes`.
pub(crate) fn cross_entropy(logits: &mut [f32], targets: &[usize], classes: usize) -> Vec<f32> {
    assert_eq!(logits.len(), targets.len() * classes, "a row for every target");
    let (arch, cost) = (Arch::new(), COST * logits.len());
    let mut losses = vec![0.0; targets.len()];
    let units = logits.chunks_mut(EXAMPLES * classes).zip(targets.chunks(EXAMPLES));
    let units = units.zip(losses.chunks_mut(EXAMPLES));
    let units = units.map(|((logits, targets), losses)| Examples { logits, targets, losses, classes });
    each(units.collect(), cost, |unit| arch.dispatch(unit));
    losses
}

/// The gradient over the logits, in place of the softmax, given that over each row's loss.
pub(crate) fn cross_entropy_backward(softmax: &mut [f32], targets: &[usize], gradient: &[f32]) {
    let classes = softmax.len() / targets.len().max(1);
    for ((row, &target), gradient) in softmax.chunks_exact_mut(classes.max(1)).zip(targets).zip(gradient) {
        for value in &mut *row {
            *value *= gradient;
        }
        row[target] -= gradient;
    }
}

struct Examples<'a> {
    logits: &'a mut [f32],
    targets: &'a [usize],
    losses: &'a mut [f32],
    classes: usize,
}

impl WithSimd for Examples<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let rows = self.logits.chunks_exact_mut(self.classes);
        for ((row, &target), loss) in rows.zip(self.targets).zip(self.losses) {
            *loss = softmax(row, target);
        }
    }
}

/// Replaces the logits of one example by their softmax; the cross-entropy of it and of class `target`.
///
/// # Panics
/// If `target` is not below the number of logits.
#[inline(always)]
fn softmax(logits: &mut [f32], target: usize) -> f32 {
    // A NaN is never the greatest, but it reaches the sum.
    let shift = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let chosen = logits[target] - shift;
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
        let (targets, upstream) = ([0, 1, 2], [1.0, 0.5, -2.0]);
        let mut found = logits.concat();
        let losses = cross_entropy(&mut found, &targets, 3);
        cross_entropy_backward(&mut found, &targets, &upstream);
        for (example, row) in logits.iter().enumerate() {
            let total: f64 = row.iter().map(|&value| f64::from(value).exp()).sum();
            let loss = total.ln() - f64::from(row[targets[example]]);
            assert!((f64::from(losses[example]) - loss).abs() < 1e-6, "{} {loss}", losses[example]);
            for (class, &value) in row.iter().enumerate() {
                let hit = f64::from(u8::from(class == targets[example]));
                let expected = (f64::from(value).exp() / total - hit) * f64::from(upstream[example]);
                let found = found[3 * example + class];
                assert!((f64::from(found) - expected).abs() < 3e-7, "{found} {expected}");
            }
        }
    }

    #[test]
    fn the_first_of_equal_values_is_the_greatest_and_never_a_nan() {
        let rows = [[1.0, 3.0, 3.0], [f32::NAN, 1.0, 2.0], [f32::NAN; 3]];
        assert_eq!(rows.map(|row| greatest(&row)), [1, 2, 0]);
    }

    #[test]
    fn a_loss_that_is_not_a_number_says_so() {
        assert!(cross_entropy(&mut [f32::NAN, 1.0], &[1], 2)[0].is_nan());
        assert!(!cross_entropy(&mut [f32::INFINITY, 1.0], &[1], 2)[0].is_finite());
    }
}
