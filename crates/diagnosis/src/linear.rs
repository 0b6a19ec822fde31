//! A network that is not ahead of a linear model.

use kiln_config::Model;

use crate::case::Case;
use crate::{Difference, Finding, FindingKind, Severity};

/// Looked for where nothing has kept the network from learning: what did is the finding then.
pub(crate) fn find(case: &Case<'_>, causes: &[Finding]) -> Option<Finding> {
    let linear = case.test?.linear?;
    let has_failed = causes.iter().any(|cause| cause.severity == Severity::Failure);
    if has_failed || is_linear(&case.experiment.model) {
        return None;
    }
    let gains = [linear.accuracy_gain, linear.log_loss_gain];
    if gains.iter().any(|gain| gain.lower > 0.0) {
        return None;
    }
    // Better by one figure and worse by the other is neither.
    let is_behind = gains.iter().any(|gain| gain.upper < 0.0) && gains.iter().all(|gain| gain.mean <= 0.0);
    let verdict = if is_behind {
        "A linear model of the same features is better"
    } else {
        "The network is not surely ahead of a linear model of the same features"
    };
    let statement = format!(
        "{verdict}: accuracy {:.4}, the network's {:.4} ({}); log-loss {:.4}, the network's {:.4} ({}).",
        linear.accuracy,
        linear.accuracy + linear.accuracy_gain.mean,
        gained(linear.accuracy_gain),
        linear.log_loss,
        linear.log_loss - linear.log_loss_gain.mean,
        gained(linear.log_loss_gain),
    );
    let severity = if is_behind { Severity::Warning } else { Severity::Info };
    // Where something else is found, that is what to mend.
    let is_all = is_behind && causes.is_empty() && case.experiment.model.is_mlp();
    let remedy = if is_all { "model.hidden=[]" } else { "" };
    let evidence = [
        ("linear_accuracy", linear.accuracy),
        ("linear_log_loss", linear.log_loss),
        ("accuracy_gain", linear.accuracy_gain.mean),
        ("log_loss_gain", linear.log_loss_gain.mean),
    ];
    Some(Finding::new(FindingKind::NoBetterThanLinear, severity, statement, remedy.to_owned(), &evidence))
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
    use crate::test_log::{TestLog, record, tested};
    use crate::{Linear, Record, Tested, findings};

    fn ahead(mean: f64, half: f64) -> Difference {
        Difference { mean, lower: mean - half, upper: mean + half }
    }

    fn found(accuracy_gain: Difference, log_loss_gain: Difference, hidden: &[usize]) -> Option<Finding> {
        let linear = Linear { accuracy: 0.8, log_loss: 0.5, accuracy_gain, log_loss_gain };
        let test = Tested { linear: Some(linear), ..tested(0.8, &[50, 50], None) };
        let (mut experiment, log) = (Experiment::default(), TestLog::healthy());
        experiment.model.hidden = hidden.to_vec();
        let found = findings(&Record { tested: Some(&test), ..record(&log, &experiment) });
        found.into_iter().find(|finding| finding.kind == FindingKind::NoBetterThanLinear)
    }

    #[test]
    fn either_figure_that_is_surely_better_is_enough() {
        assert_eq!(found(ahead(0.03, 0.02), ahead(-0.1, 0.05), &[8]), None);
        assert_eq!(found(ahead(0.0, 0.02), ahead(0.1, 0.05), &[8]), None);
        let finding = found(ahead(0.01, 0.02), ahead(0.02, 0.05), &[8]).unwrap();
        assert_eq!((finding.severity, finding.remedy.as_str()), (Severity::Info, ""));
        let words = "the network's 0.8100 (better by 0.0100, -0.0100 to 0.0300); log-loss 0.5000, the network's 0.4800";
        assert!(finding.statement.contains(words), "{}", finding.statement);
    }

    #[test]
    fn better_by_one_figure_and_worse_by_the_other_is_neither() {
        let finding = found(ahead(0.011, 0.019), ahead(-0.055, 0.018), &[8]).unwrap();
        assert_eq!((finding.severity, finding.remedy.as_str()), (Severity::Info, ""));
        assert!(finding.statement.starts_with("The network is not surely ahead"), "{}", finding.statement);
    }

    #[test]
    fn what_is_found_besides_is_to_be_mended_first() {
        let linear = Linear {
            accuracy: 0.9,
            log_loss: 0.2,
            accuracy_gain: ahead(-0.1, 0.02),
            log_loss_gain: ahead(-0.5, 0.1),
        };
        let test = Tested { linear: Some(linear), ..tested(0.8, &[50, 50], None) };
        let log = TestLog::default().epochs(&[(0.9, 0.6), (0.7, 0.7), (0.5, 0.8)]);
        let (experiment, log) = (Experiment::default(), log);
        let found = findings(&Record { tested: Some(&test), ..record(&log, &experiment) });
        let kinds: Vec<FindingKind> = found.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [FindingKind::Underfit, FindingKind::NoBetterThanLinear]);
        assert!(!found[0].remedy.is_empty() && found[1].remedy.is_empty(), "{found:?}");
    }

    #[test]
    fn a_network_that_is_behind_is_advised_to_be_linear() {
        let finding = found(ahead(-0.03, 0.02), ahead(-0.1, 0.05), &[8]).unwrap();
        assert_eq!((finding.severity, finding.remedy.as_str()), (Severity::Warning, "model.hidden=[]"));
        assert!(finding.statement.contains("(worse by 0.0300, 0.0100 to 0.0500)"), "{}", finding.statement);
        assert_eq!(found(ahead(-0.03, 0.02), ahead(-0.1, 0.05), &[]), None, "it is linear");
    }
}
