//! Made-up metric logs and test figures.

use kiln_artifacts::{MetricRow, Scope};

use kiln_config::Experiment;

use crate::{Difference, Record, SimpleModel, Tested};

/// A metric log in the making; each interval has ten steps.
#[derive(Default)]
pub(crate) struct TestLog {
    pub(crate) rows: Vec<MetricRow>,
}

impl TestLog {
    /// A run that learned: 40 intervals in 20 epochs, gradients and weights of three even layers.
    pub(crate) fn healthy() -> Self {
        let losses: Vec<f64> = (0..40).map(|index| 2.2 * (f64::from(index) * -0.15).exp() + 0.05).collect();
        let epochs: Vec<(f64, f64)> =
            losses.iter().step_by(2).map(|loss| (*loss, 1.0 - 0.4 * loss)).collect();
        let validation: Vec<(f64, f64)> =
            epochs.iter().map(|(loss, accuracy)| (loss + 0.02, accuracy - 0.01)).collect();
        let mut log = Self::default().losses(&losses).epochs(&epochs).validation(&validation);
        for (index, row) in log.rows.iter_mut().filter(|row| row.scope == Scope::Interval).enumerate() {
            let drift = 1.0 + 0.02 * index as f64;
            row.figures.insert("gradient_norm".into(), 0.6 * drift);
            for (layer, gradient) in [0.3, 0.4, 0.5].into_iter().enumerate() {
                row.figures.insert(format!("layers.{layer}.gradient_norm"), gradient);
                row.figures.insert(format!("layers.{layer}.weight_norm"), 5.0 * drift);
                row.figures.insert(format!("layers.{layer}.update_ratio"), 1e-3);
            }
            row.figures.insert("layers.0.dead_share".into(), 0.12);
        }
        log
    }

    pub(crate) fn interval(mut self, figures: &[(&str, f64)]) -> Self {
        let step = 10 * (self.rows.len() as u64 + 1);
        self.rows.push(MetricRow::new("train", Scope::Interval, 1, step, figures.iter().copied()));
        self
    }

    pub(crate) fn losses(self, losses: &[f64]) -> Self {
        losses.iter().fold(self, |log, loss| log.interval(&[("loss", *loss)]))
    }

    /// One measurement: each layer's gradient norm and weight norm.
    pub(crate) fn layers(self, layers: &[(f64, f64)]) -> Self {
        let mut log = self.interval(&[]);
        let row = log.rows.last_mut().unwrap();
        for (layer, (gradient, weight)) in layers.iter().enumerate() {
            row.figures.insert(format!("layers.{layer}.gradient_norm"), *gradient);
            row.figures.insert(format!("layers.{layer}.weight_norm"), *weight);
        }
        log
    }

    /// Training loss and accuracy of each epoch.
    pub(crate) fn epochs(self, figures: &[(f64, f64)]) -> Self {
        self.split("train", figures)
    }

    /// Validation loss and accuracy of each epoch.
    pub(crate) fn validation(self, figures: &[(f64, f64)]) -> Self {
        self.split("validation", figures)
    }

    fn split(mut self, split: &str, figures: &[(f64, f64)]) -> Self {
        for (epoch, (loss, accuracy)) in (1..).zip(figures) {
            let figures = [("loss", *loss), ("accuracy", *accuracy)];
            self.rows.push(MetricRow::new(split, Scope::Epoch, epoch, epoch * 20, figures));
        }
        self
    }
}

/// The record of a run that has come to its end, without a test.
pub(crate) fn record<'a>(log: &'a TestLog, experiment: &'a Experiment) -> Record<'a> {
    Record { rows: &log.rows, tested: None, experiment, failure: None }
}

/// Test figures with this accuracy, over classes of these sizes.
pub(crate) fn tested(accuracy: f64, supports: &[u64]) -> Tested {
    Tested { accuracy, supports: supports.to_vec(), step: None, guess: None, linear: None }
}

/// A simple model of this accuracy and log-loss, and how far the network is ahead by each: the mean and half the interval.
pub(crate) fn simple(
    [accuracy, log_loss]: [f64; 2],
    accuracy_gain: [f64; 2],
    log_loss_gain: [f64; 2],
) -> SimpleModel {
    let [accuracy_gain, log_loss_gain] = [accuracy_gain, log_loss_gain].map(|[mean, half]| Difference {
        mean,
        lower: mean - half,
        upper: mean + half,
    });
    SimpleModel { accuracy, log_loss, accuracy_gain, log_loss_gain }
}
