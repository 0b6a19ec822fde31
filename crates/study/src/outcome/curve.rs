//! Figures by epoch.

use kiln_artifacts::{MetricRow, Scope};

/// The training figures of one epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpochPoint {
    /// The epoch, from 1.
    pub epoch: u64,
    /// Mean training loss; may be infinite or no number.
    pub loss: f64,
    /// Training accuracy, in [0, 1].
    pub accuracy: f64,
}

/// The points of a metric log, in order.
pub(super) fn of(rows: &[MetricRow]) -> Vec<EpochPoint> {
    let epochs = rows.iter().filter(|row| row.split == "train" && row.scope == Scope::Epoch);
    epochs
        .map(|row| EpochPoint {
            epoch: row.epoch,
            loss: row.figure("loss").unwrap_or(f64::NAN),
            accuracy: row.figure("accuracy").unwrap_or(f64::NAN),
        })
        .collect()
}

/// By how much the loss still fell at the end, per epoch, as a share of itself: over the last three epochs. None
/// of a shorter curve.
pub(crate) fn fall_per_epoch(curve: &[EpochPoint]) -> Option<f64> {
    let [.., before, _, last] = curve else { return None };
    let ratio = last.loss / before.loss;
    (ratio.is_finite() && ratio > 0.0).then(|| 1.0 - ratio.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_that_halves_in_two_epochs_falls_by_29_percent_each() {
        let point = |epoch, loss| EpochPoint { epoch, loss, accuracy: 0.5 };
        let curve = [point(1, 9.0), point(2, 2.0), point(3, 1.5), point(4, 1.0)];
        assert!((fall_per_epoch(&curve).unwrap() - (1.0 - 0.5_f64.sqrt())).abs() < 1e-12);
        assert_eq!(fall_per_epoch(&curve[..2]), None);
        assert_eq!(fall_per_epoch(&[point(1, 1.0), point(2, f64::NAN), point(3, f64::NAN)]), None);
    }
}
