//! Figures that are no finite numbers.

use super::case::Case;
use super::exploding::remedy;
use super::{Finding, FindingKind, Severity};

/// How the error of a run that left the finite numbers goes on after the figure's name, and where its own
/// advice begins: "loss became NaN at step 3 (epoch 1): ... Try ...".
const VALUES: [&str; 3] = ["became NaN", "became inf", "became -inf"];
const ADVICE: &str = " Try ";

pub(super) fn find(case: &Case<'_>) -> Option<Finding> {
    let (statement, evidence) = of_error(case).or_else(|| of_log(case))?;
    Some(Finding::new(FindingKind::NonFinite, Severity::Failure, statement, remedy(case), &evidence))
}

type Found = (String, Vec<(&'static str, f64)>);

fn of_error(case: &Case<'_>) -> Option<Found> {
    let error = case.error?;
    VALUES.iter().find(|value| error.contains(**value))?;
    let what = error.split(ADVICE).next().unwrap_or(error).trim_end_matches('.');
    let statement = format!("Training left the finite numbers: {what}.");
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

    use super::super::test_log::TestLog;
    use super::*;

    fn found(log: &TestLog, error: Option<&str>) -> Option<Finding> {
        find(&Case::new(&log.rows, None, &Experiment::default(), error))
    }

    #[test]
    fn the_error_of_a_run_says_where_without_its_own_advice() {
        let error =
            "loss became NaN at step 3 (epoch 1): layer 2 is the first. Try a lower optimizer.lr. Kept.";
        let finding = found(&TestLog::default().losses(&[2.3]), Some(error)).unwrap();
        let expected =
            "Training left the finite numbers: loss became NaN at step 3 (epoch 1): layer 2 is the first.";
        assert_eq!(finding.statement, expected);
        assert_eq!(finding.severity, Severity::Failure);
        assert_eq!(finding.evidence, [("last_loss".to_owned(), 2.3), ("last_step".to_owned(), 10.0)]);
    }

    #[test]
    fn a_null_in_the_log_is_found_without_an_error() {
        let log = TestLog::default().epochs(&[(1.0, 0.5)]).validation(&[(f64::NAN, 0.1)]);
        let statement = found(&log, None).unwrap().statement;
        assert_eq!(statement, "loss of the validation split was not a finite number at step 20 (epoch 1).");
    }

    #[test]
    fn other_errors_and_finite_figures_are_none() {
        assert_eq!(found(&TestLog::healthy(), None), None);
        assert_eq!(found(&TestLog::healthy(), Some("no space left on device")), None);
    }
}
