//! Data that nothing can be learned from.

use crate::case::Case;
use crate::remedies::Remedies;
use crate::{Finding, FindingKind, Severity, SimpleModel};

/// Share of the most frequent class from which the others are rare.
const RARE: f64 = 0.9;

/// Share of the log-loss of who guesses that is little, surely or not.
const LITTLE: f64 = 0.02;

/// Share of it by which a linear model is clearly ahead.
const CLEAR: f64 = 0.1;
/// Share of the way from the guess's accuracy to 1 that is little.
const LITTLE_ACCURACY: f64 = 0.1;

/// Looked for where training itself went well: neither the network nor a linear model of the same features is surely better
/// than naming the most frequent class every time. What both cannot find is hardly there.
pub(crate) fn find(case: &Case<'_>, causes: &[Finding]) -> Option<Finding> {
    let (guess, linear) = (case.test?.guess?, case.test?.linear?);
    let has_failed = causes.iter().any(|cause| cause.severity == Severity::Failure);
    let finds_something = case.is_behind_linear() || linear.log_loss < guess.log_loss * (1.0 - CLEAR);
    if has_failed || is_ahead(&guess) || finds_something {
        return None;
    }
    let statement = format!(
        "Neither the network nor a linear model is surely better than naming the most frequent class every time: accuracy \
         {:.4} and {:.4} beside {:.4}, log-loss {:.4} and {:.4} beside {:.4}. The features seem to say nothing of the classes.",
        guess.accuracy + guess.accuracy_gain.mean,
        linear.accuracy,
        guess.accuracy,
        guess.log_loss - guess.log_loss_gain.mean,
        linear.log_loss,
        guess.log_loss,
    );
    let is_rare = guess.accuracy >= RARE && case.experiment.loss.class_weights.is_even();
    let remedies = Remedies::of(case.experiment);
    let remedies = if is_rare { remedies.balanced() } else { remedies };
    let remedies = remedies
        .say("a look at the data: does each row have its own label, and what should tell the classes apart?");
    let evidence = [
        ("guess_accuracy", guess.accuracy),
        ("accuracy_gain", guess.accuracy_gain.mean),
        ("log_loss_gain", guess.log_loss_gain.mean),
    ];
    Some(Finding::new(FindingKind::NoSkill, Severity::Failure, statement, remedies.list(), &evidence))
}

/// Whether the network is ahead by more than a little. An accuracy may be so by luck, and by more than its interval has:
/// where all examples of a class are alike, they are right or wrong together.
fn is_ahead(guess: &SimpleModel) -> bool {
    let SimpleModel { accuracy, log_loss, accuracy_gain, log_loss_gain } = guess;
    let is_more_often_right =
        accuracy_gain.lower > 0.0 && accuracy_gain.mean > LITTLE_ACCURACY * (1.0 - accuracy);
    is_more_often_right || log_loss_gain.mean > LITTLE * log_loss
}

#[cfg(test)]
mod tests {
    use kiln_config::Experiment;

    use super::*;
    use crate::test_log::{TestLog, record, simple, tested};
    use crate::{Record, Tested, findings};

    fn found(guess: SimpleModel, linear: SimpleModel) -> Vec<Finding> {
        let test = Tested { guess: Some(guess), linear: Some(linear), ..tested(0.5, &[50, 50]) };
        let (log, experiment) = (TestLog::healthy(), Experiment::default());
        findings(&Record { tested: Some(&test), ..record(&log, &experiment) })
    }

    #[test]
    fn a_network_that_is_no_better_than_a_guess_has_found_nothing() {
        let finding = &found(
            simple([0.5, 0.69], [0.01, 0.02], [-0.1, 0.05]),
            simple([0.5, 0.7], [0.0, 0.02], [0.0, 0.05]),
        )[0];
        assert_eq!((finding.kind, finding.severity), (FindingKind::NoSkill, Severity::Failure));
        assert!(
            finding.statement.contains("accuracy 0.5100 and 0.5000 beside 0.5000"),
            "{}",
            finding.statement
        );
        assert!(finding.advice().starts_with("a look at the data"), "{}", finding.advice());
    }

    #[test]
    fn whoever_is_ahead_of_the_guess_has_found_something() {
        let linear = simple([0.5, 0.7], [0.0, 0.02], [0.0, 0.05]);
        assert_eq!(found(simple([0.5, 0.69], [0.06, 0.02], [0.0, 0.05]), linear), []);
        assert_eq!(found(simple([0.5, 0.69], [0.04, 0.02], [0.0, 0.05]), linear).len(), 1);
        assert_eq!(found(simple([0.5, 0.69], [0.0, 0.02], [0.1, 0.05]), linear), []);
        // Few examples are sure of nothing.
        assert_eq!(found(simple([0.5, 0.69], [0.03, 0.04], [0.06, 0.07]), linear), []);
        // A linear model that is ahead shows that there is something to learn.
        let kinds = found(
            simple([0.5, 0.69], [0.0, 0.02], [0.0, 0.05]),
            simple([0.9, 0.2], [-0.4, 0.02], [-0.5, 0.05]),
        );
        assert!(kinds.iter().all(|finding| finding.kind != FindingKind::NoSkill), "{kinds:?}");
    }

    #[test]
    fn rare_classes_are_made_to_count() {
        let guess = simple([0.95, 0.2], [0.0, 0.01], [0.0, 0.05]);
        let finding = &found(guess, simple([0.95, 0.2], [0.0, 0.01], [0.0, 0.05]))[0];
        assert!(finding.advice().starts_with("loss.class_weights=balanced"), "{}", finding.advice());
    }
}
