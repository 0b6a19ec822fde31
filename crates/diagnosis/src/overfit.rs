//! A network that gets worse on new examples while it gets better on those that it learns from.

use kiln_artifacts::MetricRow;
use kiln_config::Experiment;

use crate::case::Case;
use crate::remedies::Remedies;
use crate::series::{percent, short, smoothed, usual_change};
use crate::{Finding, FindingKind, Remedy, Severity};

/// A rise of the validation loss from its lowest by less than this share is ignored.
const RISE: f64 = 0.05;
/// It is also above this many median changes from epoch to epoch.
const CHANGES: f64 = 4.0;

/// A validation loss that rose.
struct Rise {
    epoch: u64,
    lowest: f64,
    last_epoch: u64,
    last: f64,
}

pub(crate) fn find(case: &Case<'_>, causes: &[Finding]) -> Option<Finding> {
    if causes.iter().any(|cause| cause.severity > Severity::Info) {
        return None;
    }
    let rise = Rise::of(case)?;
    let mut statement = format!(
        "The validation loss was lowest near epoch {} ({}) and rose by {} to {} by epoch {}, while the training loss fell: from \
         there on the network learned its training data by heart.",
        rise.epoch,
        short(rise.lowest),
        percent(rise.last / rise.lowest - 1.0),
        short(rise.last),
        rise.last_epoch,
    );
    if let Some(epoch) = case.tested_epoch() {
        statement += &format!(" The network that was tested is that of epoch {epoch}.");
    }
    let evidence = [
        ("lowest_validation_loss", rise.lowest),
        ("lowest_validation_epoch", rise.epoch as f64),
        ("last_validation_loss", rise.last),
    ];
    Some(Finding::new(
        FindingKind::Overfit,
        Severity::Warning,
        statement,
        remedies(case.experiment),
        &evidence,
    ))
}

impl Rise {
    /// Smoothed, so that no single epoch decides; and only while the training loss fell on.
    fn of(case: &Case<'_>) -> Option<Self> {
        let losses: Vec<f64> = case.validation_losses();
        let (validation, train) = (smoothed(&losses), smoothed(&case.train_losses()));
        let place =
            (0..validation.len()).min_by(|one, other| validation[*one].total_cmp(&validation[*other]))?;
        let (lowest, last) = (validation[place], *validation.last()?);
        let is_learning = train.last()? < train.get(place)?;
        let noise = CHANGES * usual_change(&losses)?;
        // The first epoch of the log has no smoothed figure.
        let epoch = |place: usize| case.validation.get(place + 1).map(|row: &&MetricRow| row.epoch);
        let (epoch, last_epoch) = (epoch(place)?, case.validation.last()?.epoch);
        // Early stopping watches for it, and what was tested is the network from before.
        let was_stopped = case.experiment.early_stopping.enabled
            && case.tested_epoch().is_none_or(|tested| tested < last_epoch);
        let has_risen = !was_stopped && lowest > 0.0 && last - lowest > noise.max(RISE * lowest);
        (is_learning && has_risen).then_some(Self { epoch, lowest, last_epoch, last })
    }
}

fn remedies(experiment: &Experiment) -> Vec<Remedy> {
    Remedies::of(experiment).average().penalty().smaller_network().stop_early().more_data().list()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_log::{TestLog, record, tested};
    use crate::{Record, Tested};

    fn found(log: &TestLog, test: Option<&Tested>) -> Option<Finding> {
        find(&Case::new(&Record { tested: test, ..record(log, &Experiment::default()) }), &[])
    }

    fn log(validation: &[f64]) -> TestLog {
        let train: Vec<(f64, f64)> = (1..=validation.len()).map(|epoch| (0.5 / epoch as f64, 0.97)).collect();
        TestLog::default()
            .epochs(&train)
            .validation(&validation.iter().map(|loss| (*loss, 0.95)).collect::<Vec<_>>())
    }

    #[test]
    fn a_validation_loss_that_rose_names_its_best_epoch_and_the_one_that_was_tested() {
        let rising = log(&[0.5, 0.3, 0.2, 0.2, 0.25, 0.3, 0.35, 0.4]);
        let finding = found(&rising, None).unwrap();
        assert!(
            finding.statement.contains("lowest near epoch 3 (0.200) and rose by 75 % to 0.350 by epoch 8")
        );
        let test = Tested { step: Some(60), ..tested(0.9, &[50, 50]) };
        let statement = found(&rising, Some(&test)).unwrap().statement;
        assert!(statement.ends_with("The network that was tested is that of epoch 3."), "{statement}");
        assert!(
            finding.advice().starts_with("model.dropout=0.5 with model.members=4"),
            "{}",
            finding.advice()
        );
    }

    #[test]
    fn a_single_epoch_noise_and_a_loss_that_stays_are_none() {
        for validation in [
            &[0.5, 0.3, 0.2, 0.2, 0.2, 0.2, 0.2, 0.4][..],
            &[0.5, 0.3, 0.21, 0.2, 0.205, 0.2, 0.203, 0.204],
            &[0.5, 0.4, 0.3, 0.34, 0.3, 0.35, 0.31, 0.35],
            &[0.2, 0.4],
        ] {
            assert_eq!(found(&log(validation), None), None, "{validation:?}");
        }
    }

    #[test]
    fn a_network_that_no_longer_learns_does_not_learn_by_heart() {
        let train: Vec<(f64, f64)> = (1..=8).map(|epoch| (0.5 * f64::from(epoch), 0.5)).collect();
        let validation = [0.5, 0.3, 0.2, 0.2, 0.25, 0.3, 0.35, 0.4].map(|loss| (loss, 0.5));
        assert_eq!(found(&TestLog::default().epochs(&train).validation(&validation), None), None);
    }
}
