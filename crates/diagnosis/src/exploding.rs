//! Gradients and weights that grow by orders of magnitude.

use kiln_config::Experiment;

use crate::case::Case;
use crate::remedies::{Remedies, explained_by};
use crate::series::{extremes, short};
use crate::{Finding, FindingKind, Remedy, Severity};

/// Norm of all gradients together above which they explode. Networks that train well stay below 15, ten layers
/// deep ones included; those that explode pass 100 in the first epoch.
const GREAT_NORM: f64 = 100.0;
/// Growth of that norm since it was first measured: three orders of magnitude, which a loss on another scale
/// (mse begins near 0.1) does not hide. Where training begins on a plateau, a healthy norm grows some thirtyfold.
const GREAT_GROWTH: f64 = 1e3;
/// Factor from one measurement to the next that, kept up, is exponential growth. Steps of one size (adam's) make
/// weights grow in a straight line, whose factors sink below this from the third measurement on.
const WEIGHT_FACTOR: f64 = 1.5;
/// Measurements at the end of the log that must all show it.
const WEIGHT_STREAK: usize = 4;

/// `is_non_finite` where the run left the finite numbers, of which the remedy is the same and was given.
pub(crate) fn find(case: &Case<'_>, is_non_finite: bool) -> Option<Finding> {
    let (words, evidence): (Vec<_>, Vec<_>) = [gradients(case), weights(case)].into_iter().flatten().unzip();
    let mut statement = words.concat();
    if statement.is_empty() {
        return None;
    }
    let is_held = is_clipped(case) && case.failure.is_none() && case.severity() == Severity::Warning;
    let severity = match case.failure {
        Some(_) => Severity::Failure,
        None if is_held => Severity::Info,
        None => case.severity(),
    };
    if is_held {
        statement += " Clipping held it: the network learned all the same.";
    }
    let remedies = match () {
        () if is_held => Vec::new(),
        () if is_non_finite => explained_by(FindingKind::NonFinite),
        () => remedies(case.experiment),
    };
    Some(Finding::new(FindingKind::Exploding, severity, statement, remedies, &evidence.concat()))
}

/// What helps against exploding gradients.
pub(crate) fn remedies(experiment: &Experiment) -> Vec<Remedy> {
    Remedies::of(experiment).bad_start().lower_rate().clip().initialization().fewer_layers().list()
}

fn is_clipped(case: &Case<'_>) -> bool {
    let training = &case.experiment.training;
    training.max_norm.is_some() || training.max_value.is_some()
}

type Found = (String, Vec<(&'static str, f64)>);

fn gradients(case: &Case<'_>) -> Option<Found> {
    let norms = case.intervals.iter().filter_map(|row| Some((row.step, row.figure("gradient_norm")?)));
    let norms: Vec<(u64, f64)> = norms.filter(|(_, norm)| norm.is_finite()).collect();
    let (_, first) = *norms.first()?;
    let (step, greatest) = *norms.iter().max_by(|one, other| one.1.total_cmp(&other.1))?;
    let has_grown = first > 0.0 && greatest / first >= GREAT_GROWTH;
    if greatest < GREAT_NORM && !has_grown {
        return None;
    }
    let clipped = if is_clipped(case) { " before clipping" } else { "" };
    let beside = if greatest > first {
        format!("; it was {} when first measured, and below 15 is usual.", short(first))
    } else {
        ", the first measurement; below 15 is usual.".to_owned()
    };
    let greatest_words = short(greatest);
    let statement = format!("The gradient's norm reached {greatest_words}{clipped} at step {step}{beside}");
    let evidence = vec![("first_gradient_norm", first), ("greatest_gradient_norm", greatest)];
    Some((statement, evidence))
}

/// The layer whose weights grew most, where they still grew exponentially at the end.
fn weights(case: &Case<'_>) -> Option<Found> {
    let layers = case.layers.iter().filter_map(|layer| {
        let norms = case.layer_series(layer, "weight_norm");
        let streak = norms.len().checked_sub(WEIGHT_STREAK + 1)?;
        let (low, _) = extremes(&norms)?;
        let grows = |pair: &[f64]| pair[0] > 0.0 && pair[1] / pair[0] >= WEIGHT_FACTOR;
        let last = *norms.last()?;
        norms[streak..].windows(2).all(grows).then_some((layer, norms[0].min(low), last))
    });
    let (layer, first, last) = layers.max_by(|one, other| one.2.total_cmp(&other.2))?;
    let statement = format!(
        "{}The weights of {} grow exponentially: their norm went from {} to {} and rose by half or \
         more at each of the last {WEIGHT_STREAK} measurements.",
        if gradients(case).is_some() { " " } else { "" },
        layer.name,
        short(first),
        short(last)
    );
    Some((statement, vec![("least_weight_norm", first), ("last_weight_norm", last)]))
}

#[cfg(test)]
mod tests {
    use kiln_artifacts::RunFailure;

    use super::*;
    use crate::Record;
    use crate::test_log::{TestLog, record};

    fn found(log: &TestLog, experiment: &Experiment) -> Option<Finding> {
        find(&Case::new(&record(log, experiment)), false)
    }

    fn norms(norms: &[f64]) -> TestLog {
        norms.iter().fold(TestLog::default(), |log, norm| log.interval(&[("gradient_norm", *norm)]))
    }

    #[test]
    fn a_great_norm_or_a_great_growth_is_found() {
        let experiment = Experiment::default();
        for (series, is_found) in [
            (vec![0.6, 7.2, 3.0], false),
            (vec![0.1, 99.0, 1.0], false),
            (vec![2.0, 140.0, 1.0], true),
            (vec![1e-3, 0.9], false),
            (vec![1e-3, 1.1], true),
        ] {
            assert_eq!(found(&norms(&series), &experiment).is_some(), is_found, "{series:?}");
        }
    }

    #[test]
    fn what_clipping_held_is_no_more_than_good_to_know() {
        let mut experiment = Experiment::default();
        let log = norms(&[140.0, 4.0]).epochs(&[(0.2, 0.95)]);
        let finding = found(&log, &experiment).unwrap();
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.advice().contains("training.max_norm=1.0"), "{}", finding.advice());
        experiment.training.max_norm = Some(1.0);
        let finding = found(&log, &experiment).unwrap();
        assert_eq!((finding.severity, finding.remedies.len()), (Severity::Info, 0));
        assert!(
            finding.statement.contains("reached 140 before clipping at step 10, the first"),
            "{}",
            finding.statement
        );
        let failed = Case::new(&Record { failure: Some(&RunFailure::Other), ..record(&log, &experiment) });
        let finding = find(&failed, true).unwrap();
        assert_eq!(finding.severity, Severity::Failure);
        assert_eq!(finding.advice(), "first what is said of \"non-finite\", which explains it");
    }

    #[test]
    fn weights_explode_that_grow_exponentially_to_the_end() {
        let log =
            |norms: &[f64]| norms.iter().fold(TestLog::default(), |log, norm| log.layers(&[(1.0, *norm)]));
        let experiment = Experiment::default();
        let exponential = found(&log(&[1.0, 1.1, 2.0, 4.0, 8.0, 16.0]), &experiment).unwrap();
        assert!(
            exponential.statement.starts_with("The weights of layers.0 grow"),
            "{}",
            exponential.statement
        );
        let linear = [13.0, 64.0, 120.0, 180.0, 240.0, 300.0];
        let ended = [0.1, 0.2, 0.4, 0.8, 1.6, 1.7];
        for norms in [&linear[..], &ended, &[0.0, 1.0, 2.0]] {
            assert_eq!(found(&log(norms), &experiment), None, "{norms:?}");
        }
    }
}
