//! The network compared with baselines on the test split: the most frequent class, and a linear model.

use kiln_config::Model;

use crate::record::RunHistory;
use crate::remedies::Remedies;
use crate::{BaselineFigures, Difference, Finding, FindingKind, Severity};

/// If the most frequent class has at least this share, the other classes are rare.
const RARE: f64 = 0.9;

/// A gain over the baseline's log-loss of less than this share is negligible, even if it is significant.
const LITTLE: f64 = 0.02;
/// A linear model whose log-loss is lower than the baseline's by this share is clearly better.
const CLEAR: f64 = 0.1;
/// A gain in accuracy of less than this share of the baseline's error rate is negligible.
const LITTLE_ACCURACY: f64 = 0.1;

/// Neither the network nor a linear model clearly beats the majority-class baseline, although training itself went well:
/// the features probably carry no information about the classes.
pub(crate) fn no_skill(history: &RunHistory<'_>, causes: &[Finding]) -> Option<Finding> {
    let (guess, linear) = (history.test?.guess?, history.test?.linear?);
    let has_failed = causes.iter().any(|cause| cause.severity == Severity::Failure);
    let finds_something = history.is_behind_linear() || linear.log_loss < guess.log_loss * (1.0 - CLEAR);
    if has_failed || is_ahead(&guess) || finds_something {
        return None;
    }
    let statement = format!(
        "Neither the network nor a linear model clearly beats the baseline that always predicts the most frequent class. \
         Accuracy: network {:.4}, linear model {:.4}, baseline {:.4}. Log-loss: network {:.4}, linear model {:.4}, \
         baseline {:.4}. The features may carry no information about the classes.",
        guess.accuracy + guess.accuracy_gain.mean,
        linear.accuracy,
        guess.accuracy,
        guess.log_loss - guess.log_loss_gain.mean,
        linear.log_loss,
        guess.log_loss,
    );
    let is_rare = guess.accuracy >= RARE && history.experiment.loss.class_weights.is_even();
    let remedies = Remedies::of(history.experiment);
    let remedies = if is_rare { remedies.balanced() } else { remedies };
    let remedies = remedies
        .text("checking the data: whether each row has the right label, and which features can separate the classes");
    let evidence = [
        ("guess_accuracy", guess.accuracy),
        ("accuracy_gain", guess.accuracy_gain.mean),
        ("log_loss_gain", guess.log_loss_gain.mean),
    ];
    Some(Finding::new(FindingKind::NoSkill, Severity::Failure, statement, remedies.list(), &evidence))
}

/// Whether the network beats the baseline by more than a negligible amount. A significant gain in accuracy is not enough:
/// if all examples of a class look alike, they are right or wrong together, and the interval is too narrow.
fn is_ahead(guess: &BaselineFigures) -> bool {
    let BaselineFigures { accuracy, log_loss, accuracy_gain, log_loss_gain } = guess;
    let is_more_often_right =
        accuracy_gain.lower > 0.0 && accuracy_gain.mean > LITTLE_ACCURACY * (1.0 - accuracy);
    is_more_often_right || log_loss_gain.mean > LITTLE * log_loss
}

/// A linear model is significantly better. Reported only without other findings, because those are to be fixed first.
pub(crate) fn no_better_than_linear(history: &RunHistory<'_>, causes: &[Finding]) -> Option<Finding> {
    let linear = history.test?.linear?;
    if !causes.is_empty() || is_linear(&history.experiment.model) || !history.is_behind_linear() {
        return None;
    }
    let statement = format!(
        "A linear model on the same features is better. Accuracy: linear model {:.4}, network {:.4} ({}). Log-loss: linear \
         model {:.4}, network {:.4} ({}).",
        linear.accuracy,
        linear.accuracy + linear.accuracy_gain.mean,
        gained(linear.accuracy_gain),
        linear.log_loss,
        linear.log_loss - linear.log_loss_gain.mean,
        gained(linear.log_loss_gain),
    );
    let evidence = [
        ("linear_accuracy", linear.accuracy),
        ("linear_log_loss", linear.log_loss),
        ("accuracy_gain", linear.accuracy_gain.mean),
        ("log_loss_gain", linear.log_loss_gain.mean),
    ];
    let remedies = Remedies::of(history.experiment).linear_model().list();
    Some(Finding::new(FindingKind::NoBetterThanLinear, Severity::Warning, statement, remedies, &evidence))
}

fn is_linear(model: &Model) -> bool {
    model.is_mlp() && model.hidden.is_empty()
}

/// `worse by 0.0300, 95 % interval 0.0100 to 0.0500`.
fn gained(gain: Difference) -> String {
    let side = if gain.mean < 0.0 { "worse" } else { "better" };
    let ends = [gain.lower, gain.upper];
    let [near, far] = if gain.mean < 0.0 { ends.map(|end| -end) } else { [gain.upper, gain.lower] };
    format!("{side} by {:.4}, 95 % interval {far:.4} to {near:.4}", gain.mean.abs())
}

#[cfg(test)]
mod tests {
    use kiln_config::Experiment;

    use super::*;
    use crate::record::tests::{TestLog, record, simple, tested};
    use crate::{RunRecord, TestFigures, findings};

    fn findings_with_baselines(guess: BaselineFigures, linear: BaselineFigures) -> Vec<Finding> {
        let test = TestFigures { guess: Some(guess), linear: Some(linear), ..tested(0.5, &[50, 50]) };
        let (log, experiment) = (TestLog::healthy(), Experiment::default());
        findings(&RunRecord { tested: Some(&test), ..record(&log, &experiment) })
    }

    #[test]
    fn a_network_that_does_not_beat_the_baseline_has_no_skill() {
        let finding = &findings_with_baselines(
            simple([0.5, 0.69], [0.01, 0.02], [-0.1, 0.05]),
            simple([0.5, 0.7], [0.0, 0.02], [0.0, 0.05]),
        )[0];
        assert_eq!((finding.kind, finding.severity), (FindingKind::NoSkill, Severity::Failure));
        assert!(
            finding.statement.contains("Accuracy: network 0.5100, linear model 0.5000, baseline 0.5000."),
            "{}",
            finding.statement
        );
        assert!(finding.advice().starts_with("checking the data"), "{}", finding.advice());
    }

    #[test]
    fn a_model_that_beats_the_baseline_has_skill() {
        let linear = simple([0.5, 0.7], [0.0, 0.02], [0.0, 0.05]);
        assert_eq!(findings_with_baselines(simple([0.5, 0.69], [0.06, 0.02], [0.0, 0.05]), linear), []);
        assert_eq!(findings_with_baselines(simple([0.5, 0.69], [0.04, 0.02], [0.0, 0.05]), linear).len(), 1);
        assert_eq!(findings_with_baselines(simple([0.5, 0.69], [0.0, 0.02], [0.1, 0.05]), linear), []);
        // With few examples, the intervals are wide.
        assert_eq!(findings_with_baselines(simple([0.5, 0.69], [0.03, 0.04], [0.06, 0.07]), linear), []);
        // A better linear model shows that there is something to learn.
        let kinds = findings_with_baselines(
            simple([0.5, 0.69], [0.0, 0.02], [0.0, 0.05]),
            simple([0.9, 0.2], [-0.4, 0.02], [-0.5, 0.05]),
        );
        assert!(kinds.iter().all(|finding| finding.kind != FindingKind::NoSkill), "{kinds:?}");
    }

    #[test]
    fn with_rare_classes_class_weights_come_first() {
        let guess = simple([0.95, 0.2], [0.0, 0.01], [0.0, 0.05]);
        let finding = &findings_with_baselines(guess, simple([0.95, 0.2], [0.0, 0.01], [0.0, 0.05]))[0];
        assert!(finding.advice().starts_with("loss.class_weights=balanced"), "{}", finding.advice());
    }

    /// The network's gain in accuracy and in log-loss: the mean and half the interval of each.
    fn found_behind_linear(accuracy: [f64; 2], log_loss: [f64; 2], hidden: &[usize]) -> Option<Finding> {
        let linear = simple([0.8, 0.5], accuracy, log_loss);
        let test = TestFigures { linear: Some(linear), ..tested(0.8, &[50, 50]) };
        let (mut experiment, log) = (Experiment::default(), TestLog::healthy());
        experiment.model.hidden = hidden.to_vec();
        let found = findings(&RunRecord { tested: Some(&test), ..record(&log, &experiment) });
        found.into_iter().find(|finding| finding.kind == FindingKind::NoBetterThanLinear)
    }

    #[test]
    fn a_network_that_is_not_significantly_worse_gives_no_finding() {
        for (accuracy, log_loss) in [
            ([0.03, 0.02], [-0.1, 0.05]),
            ([0.0, 0.02], [0.1, 0.05]),
            ([0.01, 0.02], [0.02, 0.05]),
            // Significant at 95 %, but not at 99 %.
            ([-0.01, 0.02], [-0.055, 0.05]),
            // Worse by one figure and better by the other.
            ([0.011, 0.019], [-0.055, 0.018]),
        ] {
            assert_eq!(found_behind_linear(accuracy, log_loss, &[8]), None);
        }
    }

    #[test]
    fn for_a_network_that_is_worse_a_linear_model_is_the_remedy() {
        let finding = found_behind_linear([-0.03, 0.02], [-0.1, 0.05], &[8]).unwrap();
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!(finding.advice(), "'model.hidden=[]' (now [8])");
        let words = "(worse by 0.0300, 95 % interval 0.0100 to 0.0500). Log-loss: linear model 0.5000, network 0.6000";
        assert!(finding.statement.contains(words), "{}", finding.statement);
        assert_eq!(found_behind_linear([-0.03, 0.02], [-0.1, 0.05], &[]), None, "it is linear");
    }

    #[test]
    fn another_finding_is_to_be_fixed_first() {
        let linear = simple([0.9, 0.2], [-0.1, 0.02], [-0.5, 0.1]);
        let test = TestFigures { linear: Some(linear), ..tested(0.8, &[50, 50]) };
        let log = TestLog::default().epochs(&[(0.9, 0.6), (0.7, 0.7), (0.7, 0.7)]);
        let found = findings(&RunRecord { tested: Some(&test), ..record(&log, &Experiment::default()) });
        let kinds: Vec<FindingKind> = found.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [FindingKind::Underfit]);
    }
}
