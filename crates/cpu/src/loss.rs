//! Cross-entropy with its gradient.

/// What a batch's loss says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BatchLoss {
    /// Sum of the loss over examples.
    pub sum: f64,
    /// Examples whose greatest output is that of their class, the first of several that are equal.
    pub correct: u64,
}

/// The cross-entropy of the softmax of `logits`, row after row of `classes` values, and of the class of each row;
/// replaces the logits by the gradient of the mean over the batch.
///
/// # Panics
/// If a label is not below `classes`.
pub fn cross_entropy(logits: &mut [f32], labels: &[u32], classes: usize) -> BatchLoss {
    let share = 1.0 / labels.len() as f32;
    let mut loss = BatchLoss::default();
    for (row, &label) in logits.chunks_exact_mut(classes).zip(labels) {
        let label = label as usize;
        let (greatest, chosen) = (greatest(row), row[label]);
        let shift = row[greatest];
        let mut total = 0.0;
        for value in row.iter_mut() {
            *value = crate::elementary::exp(*value - shift);
            total += *value;
        }
        loss.sum += f64::from(total.ln() - (chosen - shift));
        loss.correct += u64::from(greatest == label);
        for value in row.iter_mut() {
            *value *= share / total;
        }
        row[label] -= share;
    }
    loss
}

/// The place of the greatest value, the first of several that are equal.
fn greatest(row: &[f32]) -> usize {
    let mut best = 0;
    for (place, value) in row.iter().enumerate() {
        if *value > row[best] {
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
    fn a_loss_that_is_no_number_says_so() {
        assert!(cross_entropy(&mut [f32::NAN, 1.0], &[1], 2).sum.is_nan());
        assert!(!cross_entropy(&mut [f32::INFINITY, 1.0], &[1], 2).sum.is_finite());
    }
}
