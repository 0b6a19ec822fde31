//! The run under examination: its log, sorted, and what follows from it in one step.

use kiln_artifacts::{MetricRow, RunFailure, Scope};
use kiln_config::{Experiment, LossName};

use crate::layers::{Layer, ends, layers};
use crate::remedies::is_penalized;
use crate::{Difference, Record, Severity, Tested};

/// Skill below which a run learned next to nothing. Not 0, for chance scatters: of 100 examples in ten
/// classes, a guess may well get 15 right, but hardly ever 19.
pub(crate) const NO_SKILL: f64 = 0.1;

/// How much wider than an interval of 95 % one is that a true difference of 0 leaves once in 200 times on this side: on data
/// where a linear model is as good, many a run would be told otherwise.
const SURE: f64 = 2.58 / 1.96;

/// One run.
pub(crate) struct Case<'a> {
    /// Training figures by interval.
    pub(crate) intervals: Vec<&'a MetricRow>,
    /// Training figures by epoch.
    pub(crate) epochs: Vec<&'a MetricRow>,
    /// Validation figures by epoch.
    pub(crate) validation: Vec<&'a MetricRow>,
    /// The layers in the log, as last measured; those with numbers in their order.
    pub(crate) layers: Vec<Layer<'a>>,
    pub(crate) test: Option<&'a Tested>,
    pub(crate) experiment: &'a Experiment,
    pub(crate) failure: Option<&'a RunFailure>,
}

impl<'a> Case<'a> {
    pub(crate) fn new(record: &Record<'a>) -> Self {
        let Record { rows, tested, experiment, failure } = *record;
        let of = |split: &str, scope| {
            rows.iter().filter(|row| row.split == split && row.scope == scope).collect::<Vec<_>>()
        };
        let intervals = of("train", Scope::Interval);
        Self {
            layers: intervals
                .iter()
                .map(|row| layers(row))
                .rfind(|layers| !layers.is_empty())
                .unwrap_or_default(),
            intervals,
            epochs: of("train", Scope::Epoch),
            validation: of("validation", Scope::Epoch),
            test: tested,
            experiment,
            failure,
        }
    }

    /// A figure of a layer at each measurement that has it; finite ones alone.
    pub(crate) fn layer_series(&self, layer: &Layer<'_>, name: &str) -> Vec<f64> {
        let values = self.intervals.iter().filter_map(|row| layer.figure_in(row, name));
        values.filter(|value| value.is_finite()).collect()
    }

    /// Mean training loss by interval with its row; finite ones alone.
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

    /// The epoch whose network was tested, where the log knows its step.
    pub(crate) fn tested_epoch(&self) -> Option<u64> {
        let step = self.test?.step?;
        self.validation.iter().find(|row| row.step == step).map(|row| row.epoch)
    }

    /// The loss of equal probabilities; of a likelihood alone.
    pub(crate) fn guess_loss(&self) -> Option<f64> {
        let is_likelihood = self.experiment.loss.name != LossName::Mse;
        self.class_count().filter(|_| is_likelihood).map(|classes| (classes as f64).ln())
    }

    /// Whether a linear model is surely better by log-loss, and not worse by accuracy.
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

    /// The accuracy of who always names the most frequent class: as in the test data, or for classes of equal
    /// size. None where the number of classes is not known.
    pub(crate) fn chance(&self) -> Option<f64> {
        let majority = self.test.and_then(|test| {
            let most = test.supports.iter().max()?;
            (test.examples() > 0).then(|| *most as f64 / test.examples() as f64)
        });
        majority.or_else(|| Some(1.0 / self.experiment.data.class_count()? as f64))
    }

    /// How much of the way from chance to perfection the training accuracy went: 0 at chance, 1 at the end.
    pub(crate) fn skill(&self) -> Option<f64> {
        let chance = self.chance().filter(|chance| *chance < 1.0)?;
        Some((self.train_accuracy()? - chance) / (1.0 - chance))
    }

    /// The loss that a run has to lose: its first, or that of a guess where it began far above, as networks
    /// with too large weights do.
    pub(crate) fn starting_loss(&self) -> Option<f64> {
        let (_, first) = *self.interval_losses().first()?;
        Some(self.chance().map_or(first, |chance| first.min(-chance.ln())))
    }

    /// Whether training figures were measured with units dropped. Without hidden layers there are none to drop.
    pub(crate) fn has_dropout(&self) -> bool {
        let model = &self.experiment.model;
        model.is_mlp() && model.dropout > 0.0 && !model.hidden.is_empty()
    }

    /// Steps that were taken.
    pub(crate) fn steps_done(&self) -> u64 {
        self.epochs.last().map_or(0, |row| row.step)
    }

    pub(crate) fn class_count(&self) -> Option<usize> {
        self.test.map(|test| test.supports.len()).or_else(|| self.experiment.data.class_count())
    }

    /// Whether a penalty that was asked for drew all weights towards zero: `AdamW`'s own is too little to.
    pub(crate) fn is_pulled_down(&self) -> bool {
        let shrank = |layer: &Layer<'_>| {
            let norms = self.layer_series(layer, "weight_norm");
            norms.first().zip(norms.last()).is_some_and(|(first, last)| last < first)
        };
        is_penalized(self.experiment) && !self.layers.is_empty() && self.layers.iter().all(shrank)
    }

    /// Whether dropout leaves a layer next to nothing to work with.
    pub(crate) fn drops_nearly_all(&self) -> bool {
        self.has_dropout() && self.experiment.model.dropout > 0.8
    }

    /// Epochs that were trained.
    pub(crate) fn epochs_done(&self) -> u64 {
        self.epochs.last().map_or(0, |row| row.epoch)
    }

    /// The first and the last layer, where the layers' names say their order: all are of one list.
    pub(crate) fn ends(&self) -> Option<[&Layer<'a>; 2]> {
        ends(&self.layers)
    }

    /// [`Severity::Failure`] for what left a network that learned next to nothing.
    pub(crate) fn severity(&self) -> Severity {
        let learned = self.skill().is_none_or(|skill| skill >= NO_SKILL);
        if learned { Severity::Warning } else { Severity::Failure }
    }
}

#[cfg(test)]
mod tests {
    use kiln_config::DataSource;

    use super::*;
    use crate::test_log::{TestLog, record, tested};

    #[test]
    fn skill_is_what_chance_does_not_explain() {
        let log = TestLog::default().epochs(&[(1.0, 0.55)]);
        let mut experiment = Experiment::default();
        let skill = |experiment: &Experiment, test: Option<&Tested>| {
            Case::new(&Record { tested: test, ..record(&log, experiment) }).skill()
        };
        assert!((skill(&experiment, None).unwrap() - 0.5).abs() < 1e-12);
        let test = tested(0.5, &[80, 20]);
        assert!(skill(&experiment, Some(&test)).unwrap() < 0.0);
        experiment.data.source = DataSource::Csv;
        assert_eq!(skill(&experiment, None), None);
    }

    #[test]
    fn a_run_that_began_far_above_a_guess_has_a_guess_to_lose() {
        let (experiment, far, near) =
            (Experiment::default(), TestLog::default().losses(&[54.0]), TestLog::default().losses(&[0.4]));
        let start = |log: &TestLog| Case::new(&record(log, &experiment)).starting_loss();
        assert_eq!(start(&near), Some(0.4));
        assert!((start(&far).unwrap() - 10_f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn layers_are_those_that_the_log_names() {
        let log = TestLog::default().layers(&[(0.1, 1.0), (0.2, 1.0), (f64::NAN, 1.0)]);
        let experiment = Experiment::default();
        let case = Case::new(&record(&log, &experiment));
        let names: Vec<&str> = case.layers.iter().map(|layer| layer.name).collect();
        assert_eq!(names, ["layers.0", "layers.1", "layers.2"]);
        assert_eq!(case.layer_series(&case.layers[1], "gradient_norm"), [0.2]);
        assert!(case.layer_series(&case.layers[2], "gradient_norm").is_empty());
    }
}
