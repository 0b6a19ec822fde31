//! Watching a figure from epoch to epoch: which checkpoint is best, and when to stop early.

use kiln_artifacts::null_as_nan;
use kiln_config::{EarlyStopping, Mode, Monitor};
use kiln_model::Tally;
use serde::{Deserialize, Serialize};

/// The figures of one epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EpochTallies {
    pub(crate) train: Tally,
    pub(crate) validation: Option<Tally>,
}

impl EpochTallies {
    /// The figure that `monitor` names; none where it needs a validation split that is not there.
    pub(crate) fn figure(&self, monitor: Monitor) -> Option<f64> {
        match monitor {
            Monitor::TrainLoss => Some(self.train.loss()),
            Monitor::TrainAccuracy => Some(self.train.accuracy()),
            Monitor::ValidationLoss => self.validation.map(|tally| tally.loss()),
            Monitor::ValidationAccuracy => self.validation.map(|tally| tally.accuracy()),
        }
    }
}

/// The best figure so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// The figure; in an old checkpoint it may be infinite, written as null.
    #[serde(deserialize_with = "null_as_nan")]
    pub value: f64,
    /// Epoch that it was reached in, from 1.
    pub epoch: usize,
    /// Batches trained on by then.
    pub step: u64,
}

/// True when `value` is better than `best` by more than `min_delta`; one that is not finite is never better, and any other one is
/// better than it.
pub(crate) fn improves(value: f64, best: Option<f64>, mode: Mode, min_delta: f64) -> bool {
    match (best.filter(|best| best.is_finite()), mode) {
        (None, _) => value.is_finite(),
        (Some(best), Mode::Min) => value < best - min_delta,
        (Some(best), Mode::Max) => value > best + min_delta,
    }
}

/// What early stopping remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Patience {
    best: Option<f64>,
    bad_epochs: usize,
}

impl Patience {
    /// Takes in an epoch's figure; true when the run should stop.
    pub(crate) fn exhausted_by(&mut self, figure: f64, config: &EarlyStopping) -> bool {
        if improves(figure, self.best, config.mode, config.min_delta) {
            self.best = Some(figure);
            self.bad_epochs = 0;
        } else {
            self.bad_epochs += 1;
        }
        self.is_exhausted(config)
    }

    /// Whether as many epochs as `config` allows have brought nothing.
    pub(crate) fn is_exhausted(&self, config: &EarlyStopping) -> bool {
        self.bad_epochs >= config.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_counts_epochs_without_improvement() {
        let config = EarlyStopping { enabled: true, patience: 2, min_delta: 0.1, ..EarlyStopping::default() };
        let mut patience = Patience::default();
        let stops: Vec<bool> =
            [1.0, 0.95, 0.8, 0.75, 0.72].iter().map(|&loss| patience.exhausted_by(loss, &config)).collect();
        assert_eq!(stops, [false, false, false, false, true]);
    }

    #[test]
    fn a_figure_that_is_not_finite_never_improves() {
        assert!(!improves(f64::NAN, None, Mode::Min, 0.0));
        assert!(!improves(f64::INFINITY, None, Mode::Min, 0.0));
        assert!(improves(3.0, Some(f64::NAN), Mode::Min, 0.0));
        assert!(!improves(f64::NAN, Some(1.0), Mode::Max, 0.0));
    }
}
