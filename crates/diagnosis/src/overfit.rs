//! A network that is better on what it was trained on than on new examples.

use kiln_config::{Experiment, Holdout};

use crate::case::Case;
use crate::remedies::Remedies;
use crate::series::{percent, short, smoothed};
use crate::{Finding, FindingKind, Severity, Tested};

/// Training accuracy less accuracy on new examples above which a network overfits; the rule of studies, too.
const GAP: f64 = 0.05;
/// Standard errors of the test accuracy that the gap must exceed as well: few test examples scatter widely.
const ERRORS: f64 = 2.0;
/// Rise of the validation loss from its lowest, as a share, above which the network only grows surer of its
/// mistakes. From epoch to epoch it varies by some hundredths.
const RISE: f64 = 0.2;

/// An accuracy on new examples, which training accuracy is held to.
struct Other {
    words: &'static str,
    accuracy: f64,
    /// Examples behind it, where that is known.
    examples: Option<u64>,
}

/// A validation loss that rose.
struct Rise {
    epoch: u64,
    lowest: f64,
    last: f64,
}

pub(crate) fn find(case: &Case<'_>) -> Option<Finding> {
    let (train, other) = (case.train_accuracy()?, other(case)?);
    let (gap, rise) = (train - other.accuracy, rise(case));
    let is_gap = gap > GAP.max(other.scatter());
    if !is_gap && rise.is_none() {
        return None;
    }
    let mut statement =
        format!("Training accuracy is {train:.4}, {} {:.4}: a gap of {gap:.4}.", other.words, other.accuracy);
    if let Some(rise) = &rise {
        statement += &rise.words();
    }
    let evidence = [
        ("train_accuracy", train),
        ("other_accuracy", other.accuracy),
        ("lowest_validation_loss", rise.as_ref().map_or(f64::NAN, |rise| rise.lowest)),
        ("lowest_validation_epoch", rise.as_ref().map_or(f64::NAN, |rise| rise.epoch as f64)),
        ("last_validation_loss", rise.as_ref().map_or(f64::NAN, |rise| rise.last)),
    ];
    let severity = if is_gap { Severity::Warning } else { Severity::Info };
    Some(Finding::new(
        FindingKind::Overfit,
        severity,
        statement,
        remedy(case.experiment, !case.validation.is_empty(), is_gap),
        &evidence,
    ))
}

/// The figure on new examples that was measured most as training figures are. Those are measured with dropout
/// active: so is the test figure of that name. Otherwise validation, which is of the same epoch, unless it has
/// too few examples to tell; then test.
fn other(case: &Case<'_>) -> Option<Other> {
    let test = |words, accuracy| Other { words, accuracy, examples: case.test.map(Tested::examples) };
    let active = case.test.and_then(|test| test.dropout_active_accuracy).filter(|_| case.has_dropout());
    if let Some(active) = active {
        return Some(test("test accuracy with dropout active, as in training,", active));
    }
    let validation = case.validation.last().and_then(|row| row.figure("accuracy"));
    let validation = validation.map(|accuracy| Other {
        words: "validation accuracy",
        accuracy,
        examples: validation_examples(case),
    });
    let validation = validation.filter(|other| other.accuracy.is_finite());
    let tested = case.test.map(|figures| test("test accuracy", figures.accuracy));
    let is_precise = |other: &Other| other.scatter() <= GAP;
    match (validation, tested) {
        (Some(validation), Some(tested)) => Some(if is_precise(&validation) { validation } else { tested }),
        (validation, tested) => validation.or(tested),
    }
}

/// How many, where the experiment tells; otherwise it depends on how much data there is.
fn validation_examples(case: &Case<'_>) -> Option<u64> {
    let data = &case.experiment.data;
    match data.validation {
        Holdout::Count(count) => Some(count as u64),
        Holdout::Fraction(_) => data.limit.map(|limit| data.validation.count_of(limit) as u64),
    }
}

impl Other {
    /// How far off it may be by the luck of the draw. Two right and two wrong are added (Agresti and Coull 1998):
    /// ten of ten right are no certainty.
    fn scatter(&self) -> f64 {
        let Some(examples) = self.examples.map(|examples| examples as f64) else { return 0.0 };
        let accuracy = (self.accuracy * examples + 2.0) / (examples + 4.0);
        ERRORS * (accuracy * (1.0 - accuracy) / (examples + 4.0)).sqrt()
    }
}

/// Smoothed, so that no single epoch decides; and only while the training loss fell on.
fn rise(case: &Case<'_>) -> Option<Rise> {
    let series = |rows: &[&kiln_artifacts::MetricRow]| {
        smoothed(&rows.iter().filter_map(|row| row.figure("loss")).collect::<Vec<_>>())
    };
    let (validation, train) = (series(&case.validation), series(&case.epochs));
    let place = (0..validation.len()).min_by(|one, other| validation[*one].total_cmp(&validation[*other]))?;
    let (lowest, last) = (validation[place], *validation.last()?);
    let is_learning = train.last()? <= train.get(place)?;
    // The first epoch of the log has no smoothed figure.
    let epoch = case.validation[place + 1].epoch;
    (is_learning && lowest > 0.0 && last / lowest > 1.0 + RISE).then_some(Rise { epoch, lowest, last })
}

impl Rise {
    fn words(&self) -> String {
        format!(
            " The validation loss was lowest near epoch {} ({}) and has risen by {} to {} since, while the training \
             loss fell.",
            self.epoch,
            short(self.lowest),
            percent(self.last / self.lowest - 1.0),
            short(self.last)
        )
    }
}

pub(crate) fn remedy(experiment: &Experiment, is_watched: bool, is_gap: bool) -> String {
    let remedies = Remedies::of(experiment);
    let remedies = if is_watched {
        remedies.stop_early()
    } else {
        remedies.step("early stopping (data.validation=0.1 with early_stopping.enabled=true)")
    };
    let remedies = remedies.more_regularization();
    if is_gap { remedies.smaller_network().more_data().words() } else { remedies.words() }
}

#[cfg(test)]
mod tests {
    use kiln_config::Data;

    use super::*;
    use crate::Record;
    use crate::test_log::{TestLog, record, tested};

    fn found(log: &TestLog, test: Option<&Tested>, experiment: &Experiment) -> Option<Finding> {
        find(&Case::new(&Record { tested: test, ..record(log, experiment) }))
    }

    fn trained(accuracy: f64) -> TestLog {
        TestLog::default().epochs(&[(0.1, accuracy); 6])
    }

    #[test]
    fn a_gap_to_validation_or_else_to_test_is_found() {
        let experiment = Experiment::default();
        let test = tested(0.90, &[500, 500], None);
        let finding = found(&trained(0.99), Some(&test), &experiment).unwrap();
        assert_eq!(finding.statement, "Training accuracy is 0.9900, test accuracy 0.9000: a gap of 0.0900.");
        assert!(finding.remedy.starts_with("early stopping (data.validation=0.1 with"), "{}", finding.remedy);
        assert_eq!(found(&trained(0.94), Some(&test), &experiment), None);
        let validated = trained(0.99).validation(&[(0.1, 0.96); 6]);
        assert_eq!(found(&validated, Some(&test), &experiment), None);
        assert_eq!(found(&trained(0.99), None, &experiment), None);
    }

    #[test]
    fn with_few_test_examples_a_gap_must_be_greater() {
        let (few, many) = (tested(0.85, &[10, 10], None), tested(0.85, &[500, 500], None));
        let experiment = Experiment::default();
        assert_eq!(found(&trained(0.95), Some(&few), &experiment), None);
        assert!(found(&trained(0.95), Some(&many), &experiment).is_some());
        // Ten validation examples, of which one is wrong, are no match for a thousand test examples.
        let experiment = Experiment {
            data: Data { validation: Holdout::Count(10), ..Data::default() },
            ..Experiment::default()
        };
        let log = trained(0.99).validation(&[(0.1, 0.9); 6]);
        assert!(found(&log, Some(&many), &experiment).unwrap().statement.contains("test accuracy 0.8500"));
        assert_eq!(found(&log, None, &experiment), None);
        let lucky = trained(0.99).validation(&[(0.1, 1.0); 6]);
        assert!(found(&lucky, Some(&many), &experiment).is_some());
    }

    #[test]
    fn with_dropout_the_test_figure_with_dropout_active_is_held_to_training() {
        let mut experiment = Experiment::default();
        experiment.model.dropout = 0.5;
        let log = trained(0.93).validation(&[(0.1, 0.93); 6]);
        let test = tested(0.94, &[500, 500], Some(0.80));
        let finding = found(&log, Some(&test), &experiment).unwrap();
        assert!(finding.statement.contains("with dropout active, as in training, 0.8000"));
        assert!(!finding.remedy.contains("dropout"), "{}", finding.remedy);
    }

    #[test]
    fn a_validation_loss_that_rose_names_its_best_epoch() {
        let train: Vec<(f64, f64)> = (1..=8).map(|epoch| (0.5 / f64::from(epoch), 0.97)).collect();
        let log =
            |losses: [f64; 8]| TestLog::default().epochs(&train).validation(&losses.map(|loss| (loss, 0.95)));
        let rising = log([0.5, 0.3, 0.2, 0.2, 0.25, 0.3, 0.35, 0.4]);
        let finding = found(&rising, None, &Experiment::default()).unwrap();
        assert_eq!(finding.severity, Severity::Info);
        assert!(finding.statement.contains("lowest near epoch 3 (0.200) and has risen by 75 % to 0.350"));
        let spike = log([0.5, 0.3, 0.2, 0.2, 0.2, 0.2, 0.2, 0.4]);
        assert_eq!(found(&spike, None, &Experiment::default()), None);
    }
}
