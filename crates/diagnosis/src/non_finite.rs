//! Figures that are no finite numbers.

use kiln_artifacts::RunFailure;

use crate::case::Case;
use crate::exploding::remedies;
use crate::{Finding, FindingKind, Severity};

pub(crate) fn find(case: &Case<'_>) -> Option<Finding> {
    let (statement, evidence) = of_failure(case).or_else(|| of_log(case))?;
    Some(Finding::new(
        FindingKind::NonFinite,
        Severity::Failure,
        statement,
        remedies(case.experiment),
        &evidence,
    ))
}

type Found = (String, Vec<(&'static str, f64)>);

fn of_failure(case: &Case<'_>) -> Option<Found> {
    let RunFailure::NonFinite { figure, value, step, epoch, place } = case.failure? else { return None };
    let statement = format!(
        "Training left the finite numbers: {figure} became {value} at step {step} (epoch {epoch}): {place}."
    );
    let last = case.interval_losses().last().map(|(row, loss)| (row.step, *loss));
    let evidence =
        last.map_or(Vec::new(), |(step, loss)| vec![("last_loss", loss), ("last_step", step as f64)]);
    Some((statement, evidence))
}

/// What the log has for a figure that was not finite: it has null, which reads as not-a-number.
fn of_log(case: &Case<'_>) -> Option<Found> {
    let rows = case.intervals.iter().chain(&case.epochs).chain(&case.validation);
    let mut bad = rows.filter_map(|row| {
        let (name, _) = row.figures.iter().find(|(_, value)| !value.is_finite())?;
        Some((row, name))
    });
    let (row, name) = bad.next()?;
    let statement = format!(
        "{name} of the {} split was not a finite number at step {} (epoch {}).",
        row.split, row.step, row.epoch
    );
    Some((statement, vec![("step", row.step as f64), ("rows", 1.0 + bad.count() as f64)]))
}

#[cfg(test)]
mod tests {
    use kiln_config::Experiment;

    use super::*;
    use crate::Record;
    use crate::test_log::{TestLog, record};

    fn found(log: &TestLog, failure: Option<&RunFailure>) -> Option<Finding> {
        find(&Case::new(&Record { failure, ..record(log, &Experiment::default()) }))
    }

    #[test]
    fn the_failure_of_a_run_says_where() {
        let failure = RunFailure::NonFinite {
            figure: "loss".into(),
            value: "NaN".into(),
            step: 3,
            epoch: 1,
            place: "layer 2 is the first".into(),
        };
        let finding = found(&TestLog::default().losses(&[2.3]), Some(&failure)).unwrap();
        let expected =
            "Training left the finite numbers: loss became NaN at step 3 (epoch 1): layer 2 is the first.";
        assert_eq!(finding.statement, expected);
        assert_eq!(finding.severity, Severity::Failure);
        assert_eq!(finding.evidence, [("last_loss".to_owned(), 2.3), ("last_step".to_owned(), 10.0)]);
    }

    #[test]
    fn a_null_in_the_log_is_found_without_a_failure() {
        let log = TestLog::default().epochs(&[(1.0, 0.5)]).validation(&[(f64::NAN, 0.1)]);
        let statement = found(&log, None).unwrap().statement;
        assert_eq!(statement, "loss of the validation split was not a finite number at step 20 (epoch 1).");
    }

    #[test]
    fn other_failures_and_finite_figures_are_none() {
        assert_eq!(found(&TestLog::healthy(), None), None);
        assert_eq!(found(&TestLog::healthy(), Some(&RunFailure::Other)), None);
    }
}
