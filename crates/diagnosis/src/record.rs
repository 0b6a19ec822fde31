//! The record of a run, which the findings are drawn from: its metric log sorted into series, and its test.

use crate::Severity;
use crate::remedies::is_penalized;
use kiln_artifacts::{MetricRow, MetricScope, RunFailure};
use kiln_config::{Experiment, LossName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Everything about a run that the findings depend on.
#[derive(Clone, Copy, Debug)]
pub struct RunRecord<'a> {
    /// The metric log.
    pub rows: &'a [MetricRow],
    /// The figures of its test, if it was tested.
    pub tested: Option<&'a TestFigures>,
    /// Its experiment.
    pub experiment: &'a Experiment,
    /// Why it failed, if it did.
    pub failure: Option<&'a RunFailure>,
}

/// Figures of the test split.
#[derive(Clone, Debug, PartialEq)]
pub struct TestFigures {
    /// The accuracy, in [0, 1].
    pub accuracy: f64,
    /// The number of examples of each class.
    pub supports: Vec<u64>,
    /// The step of the tested checkpoint, if known.
    pub step: Option<u64>,
    /// The majority-class baseline on the same examples, if it was evaluated.
    pub guess: Option<BaselineFigures>,
    /// A linear model on the same examples, if one was fitted.
    pub linear: Option<BaselineFigures>,
}

/// A baseline on the test split, and the network compared with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BaselineFigures {
    /// Its accuracy, in [0, 1].
    pub accuracy: f64,
    /// Its log-loss.
    pub log_loss: f64,
    /// The network's accuracy minus the baseline's: above 0 if the network is better.
    pub accuracy_gain: Difference,
    /// The baseline's log-loss minus the network's: above 0 if the network is better.
    pub log_loss_gain: Difference,
}

/// The mean over examples of the paired difference between two models.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// The mean.
    pub mean: f64,
    /// The lower end of its 95 % confidence interval: the mean minus 1.96 standard errors.
    pub lower: f64,
    /// The upper end: the mean plus 1.96 standard errors.
    pub upper: f64,
}

impl TestFigures {
    fn examples(&self) -> u64 {
        self.supports.iter().sum()
    }
}

/// With less skill than this, a run learned almost nothing. The limit is above 0, because a guess varies: of 100 examples
/// in ten classes, it may get 15 right, but hardly ever 19.
pub(crate) const NO_SKILL: f64 = 0.1;

/// Turns the half-width of a 95 % interval into that of a 99 % interval. At 95 %, too many runs would get the finding on
/// data where a linear model is just as good.
const SURE: f64 = 2.58 / 1.96;

/// The record of a run, with the metric log sorted into series.
pub(crate) struct RunHistory<'a> {
    /// Training figures by interval.
    pub(crate) intervals: Vec<&'a MetricRow>,
    /// Training figures by epoch.
    pub(crate) epochs: Vec<&'a MetricRow>,
    /// Validation figures by epoch.
    pub(crate) validation: Vec<&'a MetricRow>,
    /// The layers in the log at their last measurement; numbered layers in order.
    pub(crate) layers: Vec<Layer<'a>>,
    pub(crate) test: Option<&'a TestFigures>,
    pub(crate) experiment: &'a Experiment,
    pub(crate) failure: Option<&'a RunFailure>,
}

impl<'a> RunHistory<'a> {
    pub(crate) fn new(record: &RunRecord<'a>) -> Self {
        let RunRecord { rows, tested, experiment, failure } = *record;
        let of = |split: &str, scope| {
            rows.iter().filter(|row| row.split == split && row.scope == scope).collect::<Vec<_>>()
        };
        let intervals = of("train", MetricScope::Interval);
        Self {
            layers: intervals
                .iter()
                .map(|row| layers(row))
                .rfind(|layers| !layers.is_empty())
                .unwrap_or_default(),
            intervals,
            epochs: of("train", MetricScope::Epoch),
            validation: of("validation", MetricScope::Epoch),
            test: tested,
            experiment,
            failure,
        }
    }

    /// The finite values of a layer's figure, one for each measurement that has it.
    pub(crate) fn layer_series(&self, layer: &Layer<'_>, name: &str) -> Vec<f64> {
        let values = self.intervals.iter().filter_map(|row| layer.figure_in(row, name));
        values.filter(|value| value.is_finite()).collect()
    }

    /// The finite mean training losses of the intervals, each with its row.
    pub(crate) fn interval_losses(&self) -> Vec<(&'a MetricRow, f64)> {
        let losses = self.intervals.iter().filter_map(|row| Some((*row, row.figure("loss")?)));
        losses.filter(|(_, loss)| loss.is_finite()).collect()
    }

    /// Mean training loss of each epoch.
    pub(crate) fn train_losses(&self) -> Vec<f64> {
        self.epochs.iter().filter_map(|row| row.figure("loss")).collect()
    }

    /// Validation loss after each epoch.
    pub(crate) fn validation_losses(&self) -> Vec<f64> {
        self.validation.iter().filter_map(|row| row.figure("loss")).collect()
    }

    /// The epoch of the tested checkpoint, if its step is in the log.
    pub(crate) fn tested_epoch(&self) -> Option<u64> {
        let step = self.test?.step?;
        self.validation.iter().find(|row| row.step == step).map(|row| row.epoch)
    }

    /// The loss of uniform class probabilities; `None` for a loss that is not a likelihood.
    pub(crate) fn guess_loss(&self) -> Option<f64> {
        let is_likelihood = self.experiment.loss.name != LossName::Mse;
        self.class_count().filter(|_| is_likelihood).map(|classes| (classes as f64).ln())
    }

    /// Whether a linear model is significantly better by log-loss (at 99 %), and not worse by accuracy.
    pub(crate) fn is_behind_linear(&self) -> bool {
        self.test.and_then(|test| test.linear).is_some_and(|linear| {
            let Difference { mean, upper, .. } = linear.log_loss_gain;
            mean + SURE * (upper - mean) < 0.0 && linear.accuracy_gain.mean <= 0.0
        })
    }

    /// Training accuracy of the last epoch, in [0, 1].
    pub(crate) fn train_accuracy(&self) -> Option<f64> {
        self.epochs.last()?.figure("accuracy").filter(|accuracy| accuracy.is_finite())
    }

    /// The accuracy of the majority-class baseline: on the test data, or else for classes of equal size. `None` if the
    /// number of classes is unknown.
    pub(crate) fn chance(&self) -> Option<f64> {
        let majority = self.test.and_then(|test| {
            let most = test.supports.iter().max()?;
            (test.examples() > 0).then(|| *most as f64 / test.examples() as f64)
        });
        majority.or_else(|| Some(1.0 / self.experiment.data.class_count()? as f64))
    }

    /// The training accuracy rescaled so that the majority-class baseline is 0 and an accuracy of 1 is 1.
    pub(crate) fn skill(&self) -> Option<f64> {
        let chance = self.chance().filter(|chance| *chance < 1.0)?;
        Some((self.train_accuracy()? - chance) / (1.0 - chance))
    }

    /// The loss that a run can be expected to begin with: its first loss, or that of the majority-class baseline if this is
    /// lower. Networks with too large weights begin far above it.
    pub(crate) fn starting_loss(&self) -> Option<f64> {
        let (_, first) = *self.interval_losses().first()?;
        Some(self.chance().map_or(first, |chance| first.min(-chance.ln())))
    }

    /// Whether training figures were measured with dropout active. Dropout needs hidden layers.
    pub(crate) fn has_dropout(&self) -> bool {
        let model = &self.experiment.model;
        model.is_mlp() && model.dropout > 0.0 && !model.hidden.is_empty()
    }

    /// The number of steps taken.
    pub(crate) fn steps_done(&self) -> u64 {
        self.epochs.last().map_or(0, |row| row.step)
    }

    pub(crate) fn class_count(&self) -> Option<usize> {
        self.test.map(|test| test.supports.len()).or_else(|| self.experiment.data.class_count())
    }

    /// Whether a penalty that the experiment sets shrank all weights. `AdamW`'s default decay is too weak for that.
    pub(crate) fn penalty_shrank_all_weights(&self) -> bool {
        let shrank = |layer: &Layer<'_>| {
            let norms = self.layer_series(layer, "weight_norm");
            norms.first().zip(norms.last()).is_some_and(|(first, last)| last < first)
        };
        is_penalized(self.experiment) && !self.layers.is_empty() && self.layers.iter().all(shrank)
    }

    /// Whether dropout is so high that almost no units remain.
    pub(crate) fn drops_nearly_all(&self) -> bool {
        self.has_dropout() && self.experiment.model.dropout > 0.8
    }

    /// The number of epochs trained.
    pub(crate) fn epochs_done(&self) -> u64 {
        self.epochs.last().map_or(0, |row| row.epoch)
    }

    /// The first and the last layer, if the names of the layers give their order.
    pub(crate) fn first_and_last_layer(&self) -> Option<[&Layer<'a>; 2]> {
        first_and_last(&self.layers)
    }

    /// [`Severity::Failure`] if the network learned almost nothing.
    pub(crate) fn severity(&self) -> Severity {
        let learned = self.skill().is_none_or(|skill| skill >= NO_SKILL);
        if learned { Severity::Warning } else { Severity::Failure }
    }
}

/// A layer in a row of the metric log.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// Its name, such as `layers.0`.
    pub name: &'a str,
    /// The name of its list and its index there, if its name ends with a number.
    place: Option<(&'a str, usize)>,
    row: &'a MetricRow,
}

impl Layer<'_> {
    /// One of its figures, such as `gradient_norm`.
    #[must_use]
    pub fn figure(&self, name: &str) -> Option<f64> {
        self.figure_in(self.row, name)
    }

    /// The same figure in another row.
    pub(crate) fn figure_in(&self, row: &MetricRow, name: &str) -> Option<f64> {
        row.figure(&format!("{}.{name}", self.name))
    }
}

/// The layers in `row`: numbered ones in order, others by name.
#[must_use]
pub fn layers(row: &MetricRow) -> Vec<Layer<'_>> {
    let names = row.figures.keys().filter_map(|name| name.strip_suffix(".weight_norm"));
    let mut layers: Vec<Layer<'_>> = names.map(|name| Layer { name, place: place(name), row }).collect();
    layers.sort_by_key(|layer| layer.place.unwrap_or((layer.name, 0)));
    layers
}

/// `layers.3` as `layers` and 3.
fn place(name: &str) -> Option<(&str, usize)> {
    let (list, number) = name.rsplit_once('.')?;
    Some((list, number.parse().ok()?))
}

/// The first and the last of `layers`, if all of them are in one list.
fn first_and_last<'l, 'a>(layers: &'l [Layer<'a>]) -> Option<[&'l Layer<'a>; 2]> {
    let list = |layer: &Layer<'a>| layer.place.map(|(list, _)| list);
    let [start, .., end] = layers else { return None };
    let common = list(start)?;
    layers.iter().all(|layer| list(layer) == Some(common)).then_some([start, end])
}

#[cfg(test)]
pub(crate) mod tests {
    use kiln_artifacts::MetricScope;
    use kiln_config::DataSource;

    use super::*;

    /// Builds a metric log; each interval has ten steps.
    #[derive(Default)]
    pub(crate) struct TestLog {
        pub(crate) rows: Vec<MetricRow>,
    }

    impl TestLog {
        /// A run that learned: 40 intervals in 20 epochs, three layers with healthy gradients and weights.
        pub(crate) fn healthy() -> Self {
            let losses: Vec<f64> =
                (0..40).map(|index| 2.2 * (f64::from(index) * -0.15).exp() + 0.05).collect();
            let epochs: Vec<(f64, f64)> =
                losses.iter().step_by(2).map(|loss| (*loss, 1.0 - 0.4 * loss)).collect();
            let validation: Vec<(f64, f64)> =
                epochs.iter().map(|(loss, accuracy)| (loss + 0.02, accuracy - 0.01)).collect();
            let mut log = Self::default().losses(&losses).epochs(&epochs).validation(&validation);
            for (index, row) in
                log.rows.iter_mut().filter(|row| row.scope == MetricScope::Interval).enumerate()
            {
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
            self.rows.push(MetricRow::new("train", MetricScope::Interval, 1, step, figures.iter().copied()));
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
                self.rows.push(MetricRow::new(split, MetricScope::Epoch, epoch, epoch * 20, figures));
            }
            self
        }
    }

    /// The record of a finished run without a test.
    pub(crate) fn record<'a>(log: &'a TestLog, experiment: &'a Experiment) -> RunRecord<'a> {
        RunRecord { rows: &log.rows, tested: None, experiment, failure: None }
    }

    /// Test figures with this accuracy, over classes of these sizes.
    pub(crate) fn tested(accuracy: f64, supports: &[u64]) -> TestFigures {
        TestFigures { accuracy, supports: supports.to_vec(), step: None, guess: None, linear: None }
    }

    /// A baseline of this accuracy and log-loss, and the network's gain in each: the mean and half the interval.
    pub(crate) fn simple(
        [accuracy, log_loss]: [f64; 2],
        accuracy_gain: [f64; 2],
        log_loss_gain: [f64; 2],
    ) -> BaselineFigures {
        let [accuracy_gain, log_loss_gain] = [accuracy_gain, log_loss_gain].map(|[mean, half]| Difference {
            mean,
            lower: mean - half,
            upper: mean + half,
        });
        BaselineFigures { accuracy, log_loss, accuracy_gain, log_loss_gain }
    }

    #[test]
    fn skill_is_zero_for_the_majority_class_baseline() {
        let log = TestLog::default().epochs(&[(1.0, 0.55)]);
        let mut experiment = Experiment::default();
        let skill = |experiment: &Experiment, test: Option<&TestFigures>| {
            RunHistory::new(&RunRecord { tested: test, ..record(&log, experiment) }).skill()
        };
        assert!((skill(&experiment, None).unwrap() - 0.5).abs() < 1e-12);
        let test = tested(0.5, &[80, 20]);
        assert!(skill(&experiment, Some(&test)).unwrap() < 0.0);
        experiment.data.source = DataSource::Csv;
        assert_eq!(skill(&experiment, None), None);
    }

    #[test]
    fn the_starting_loss_is_at_most_that_of_a_guess() {
        let (experiment, far, near) =
            (Experiment::default(), TestLog::default().losses(&[54.0]), TestLog::default().losses(&[0.4]));
        let start = |log: &TestLog| RunHistory::new(&record(log, &experiment)).starting_loss();
        assert_eq!(start(&near), Some(0.4));
        assert!((start(&far).unwrap() - 10_f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn layers_come_from_the_names_in_the_log() {
        let log = TestLog::default().layers(&[(0.1, 1.0), (0.2, 1.0), (f64::NAN, 1.0)]);
        let experiment = Experiment::default();
        let history = RunHistory::new(&record(&log, &experiment));
        let names: Vec<&str> = history.layers.iter().map(|layer| layer.name).collect();
        assert_eq!(names, ["layers.0", "layers.1", "layers.2"]);
        assert_eq!(history.layer_series(&history.layers[1], "gradient_norm"), [0.2]);
        assert!(history.layer_series(&history.layers[2], "gradient_norm").is_empty());
    }

    #[test]
    fn numbered_layers_are_in_order() {
        let figures = ["layers.10", "layers.9", "head"].map(|name| format!("{name}.weight_norm"));
        let figures = figures.iter().map(|name| (name.as_str(), 1.0));
        let row = MetricRow::new("train", MetricScope::Interval, 1, 1, figures);
        let layers = layers(&row);
        assert_eq!(
            layers.iter().map(|layer| layer.name).collect::<Vec<_>>(),
            ["head", "layers.9", "layers.10"]
        );
        assert!(first_and_last(&layers).is_none());
        assert_eq!(first_and_last(&layers[1..]).unwrap().map(|layer| layer.name), ["layers.9", "layers.10"]);
    }
}
