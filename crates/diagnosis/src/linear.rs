//! A network that a linear model is better than.

use kiln_config::Model;

use crate::case::Case;
use crate::remedies::Remedies;
use crate::{Difference, Finding, FindingKind, Severity};

/// Looked for where nothing else is: what is found besides is to be mended first.
pub(crate) fn find(case: &Case<'_>, causes: &[Finding]) -> Option<Finding> {
    let linear = case.test?.linear?;
    if !causes.is_empty() || is_linear(&case.experiment.model) || !case.is_behind_linear() {
        return None;
    }
    let statement = format!(
        "A linear model of the same features is better: accuracy {:.4}, the network's {:.4} ({}); log-loss {:.4}, the \
         network's {:.4} ({}).",
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
    let remedies = Remedies::of(case.experiment).linear_model().list();
    Some(Finding::new(FindingKind::NoBetterThanLinear, Severity::Warning, statement, remedies, &evidence))
}

fn is_linear(model: &Model) -> bool {
    model.is_mlp() && model.hidden.is_empty()
}

fn gained(gain: Difference) -> String {
    let side = if gain.mean < 0.0 { "worse" } else { "better" };
    let ends = [gain.lower, gain.upper];
    let [near, far] = if gain.mean < 0.0 { ends.map(|end| -end) } else { [gain.upper, gain.lower] };
    format!("{side} by {:.4}, {far:.4} to {near:.4}", gain.mean.abs())
}

#[cfg(test)]
mod tests {
    use kiln_config::Experiment;

    use super::*;
    use crate::test_log::{TestLog, record, simple, tested};
    use crate::{Record, Tested, findings};

    /// How far the network is ahead by accuracy and log-loss: the mean and half the interval of each.
    fn found(accuracy: [f64; 2], log_loss: [f64; 2], hidden: &[usize]) -> Option<Finding> {
        let linear = simple([0.8, 0.5], accuracy, log_loss);
        let test = Tested { linear: Some(linear), ..tested(0.8, &[50, 50]) };
        let (mut experiment, log) = (Experiment::default(), TestLog::healthy());
        experiment.model.hidden = hidden.to_vec();
        let found = findings(&Record { tested: Some(&test), ..record(&log, &experiment) });
        found.into_iter().find(|finding| finding.kind == FindingKind::NoBetterThanLinear)
    }

    #[test]
    fn a_network_that_is_not_surely_behind_is_no_finding() {
        for (accuracy, log_loss) in [
            ([0.03, 0.02], [-0.1, 0.05]),
            ([0.0, 0.02], [0.1, 0.05]),
            ([0.01, 0.02], [0.02, 0.05]),
            // Sure in 95 of 100 cases is not sure enough.
            ([-0.01, 0.02], [-0.055, 0.05]),
            // Better by one figure and worse by the other is neither.
            ([0.011, 0.019], [-0.055, 0.018]),
        ] {
            assert_eq!(found(accuracy, log_loss, &[8]), None);
        }
    }

    #[test]
    fn a_network_that_is_behind_is_advised_to_be_linear() {
        let finding = found([-0.03, 0.02], [-0.1, 0.05], &[8]).unwrap();
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!(finding.advice(), "'model.hidden=[]' (now [8])");
        let words = "(worse by 0.0300, 0.0100 to 0.0500); log-loss 0.5000, the network's 0.6000";
        assert!(finding.statement.contains(words), "{}", finding.statement);
        assert_eq!(found([-0.03, 0.02], [-0.1, 0.05], &[]), None, "it is linear");
    }

    #[test]
    fn what_is_found_besides_is_to_be_mended_first() {
        let linear = simple([0.9, 0.2], [-0.1, 0.02], [-0.5, 0.1]);
        let test = Tested { linear: Some(linear), ..tested(0.8, &[50, 50]) };
        let log = TestLog::default().epochs(&[(0.9, 0.6), (0.7, 0.7), (0.7, 0.7)]);
        let found = findings(&Record { tested: Some(&test), ..record(&log, &Experiment::default()) });
        let kinds: Vec<FindingKind> = found.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [FindingKind::Underfit]);
    }
}
