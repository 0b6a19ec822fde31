//! Gradients that die away on their way back to the first layer.

use kiln_artifacts::MetricRow;
use kiln_config::{Activation, Experiment};

use crate::case::Case;
use crate::inactive::has_dead_layer;
use crate::layers::Layer;
use crate::remedies::Remedies;
use crate::series::{latest, median, short};
use crate::{Finding, FindingKind, Remedy};

/// Gradients vanish where the first layer's relative gradient is below the last layer's times this. In networks
/// that learn it is above 0.002, even where weights of a wide first layer have grown large; where ten layers of
/// sigmoid or badly started tanh learn nothing, it is below 1e-5.
const VANISHING_RATIO: f64 = 1e-3;
/// Skill below which a network that began with vanished gradients lost its time by them, even if they came back.
const POOR_SKILL: f64 = 0.75;
/// Measurements at the end whose median must still show it: deep networks often begin on a plateau and leave it.
const LATEST: usize = 5;

/// Holds the first layer's gradient to the last layer's, each as a share of its own weights: the norm of the
/// gradient over the norm of the weights. Plain norms grow with the number of weights, of which a first layer
/// may have hundreds of times as many; the quotient does not, for both of its norms grow alike.
pub(crate) fn find(case: &Case<'_>) -> Option<Finding> {
    if has_dead_layer(case) {
        return None;
    }
    let ends = case.ends()?;
    let ratios: Vec<f64> = case.intervals.iter().filter_map(|row| first_over_last(row, ends)).collect();
    let first = *ratios.first()?;
    let now = median(latest(&ratios, LATEST))?;
    let is_late = first < VANISHING_RATIO / 10.0 && case.skill().is_some_and(|skill| skill < POOR_SKILL);
    if first >= VANISHING_RATIO || (now >= VANISHING_RATIO && !is_late) {
        return None;
    }
    let statement = format!(
        "The first layers hardly learn: as a share of its weights, the first layer's gradient was {} times the \
         last layer's when first measured and {} times at the end, where {VANISHING_RATIO} or more is usual.",
        short(first),
        short(now)
    );
    let evidence = [("first_ratio", first), ("last_ratio", now)];
    let remedies = remedies(case.experiment);
    Some(Finding::new(FindingKind::Vanishing, case.severity(), statement, remedies, &evidence))
}

fn first_over_last(row: &MetricRow, [first, last]: [&Layer<'_>; 2]) -> Option<f64> {
    let relative = |layer: &Layer<'_>| {
        Some(layer.figure_in(row, "gradient_norm")? / layer.figure_in(row, "weight_norm")?)
    };
    let ratio: f64 = relative(first)? / relative(last)?;
    ratio.is_finite().then_some(ratio)
}

fn remedies(experiment: &Experiment) -> Vec<Remedy> {
    let remedies = Remedies::of(experiment).bad_start();
    let remedies = match experiment.model.activation {
        // No start helps: a sigmoid's slope is a quarter at its steepest, and Xavier's weights keep what a
        // slope of 1 passes on.
        Activation::Sigmoid => remedies.activation_and_start("relu", "he-uniform"),
        Activation::Tanh => remedies.initialization().activation_and_start("relu", "he-uniform"),
        _ => remedies.initialization(),
    };
    remedies.fewer_layers().list()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_log::{TestLog, record};
    use crate::{Severity, findings};

    /// Measurements with these gradient norms in the first layer; the last layer's is 0.5, weights are even.
    fn log(first_layer: &[f64]) -> TestLog {
        let log = TestLog::default().epochs(&[(2.3, 0.1)]);
        first_layer.iter().fold(log, |log, norm| log.layers(&[(*norm, 4.0), (0.1, 4.0), (0.5, 4.0)]))
    }

    fn found(log: &TestLog) -> Option<Finding> {
        let mut experiment = Experiment::default();
        experiment.model.activation = Activation::Sigmoid;
        find(&Case::new(&record(log, &experiment)))
    }

    #[test]
    fn a_tiny_ratio_that_stays_is_found() {
        let finding = found(&log(&[2e-9, 3e-9, 2e-9])).unwrap();
        assert!(finding.statement.contains("4.0e-9 times the last layer's when"), "{}", finding.statement);
        assert_eq!(finding.severity, Severity::Failure);
        assert!(
            finding.advice().starts_with("model.activation=relu with model.initialization=he-uniform"),
            "{}",
            finding.advice()
        );
        assert_eq!(found(&log(&[0.0, 0.0])).map(|finding| finding.kind), Some(FindingKind::Vanishing));
    }

    /// Kinds with their advice, where the first hidden layer has these saturated shares.
    fn with_saturation(shares: [f64; 6]) -> Vec<(FindingKind, String)> {
        let (mut log, mut experiment) = (log(&[2e-9; 6]), Experiment::default());
        experiment.model.activation = Activation::Sigmoid;
        let measured = log.rows.iter_mut().filter(|row| row.figures.contains_key("layers.0.weight_norm"));
        for (row, share) in measured.zip(shares) {
            row.figures.insert("layers.0.saturated_share".into(), share);
        }
        findings(&record(&log, &experiment)).into_iter().map(|found| (found.kind, found.advice())).collect()
    }

    #[test]
    fn what_was_there_first_explains_the_other() {
        let by_start = with_saturation([0.9; 6]);
        assert_eq!(by_start[0].0, FindingKind::SaturatedUnits);
        let explained = |cause: &str| format!("first what is said of \"{cause}\", which explains it");
        assert_eq!(by_start[1], (FindingKind::Vanishing, explained("saturated-units")));
        let later = with_saturation([0.1, 0.9, 0.9, 0.9, 0.9, 0.9]);
        assert_eq!(later[0].0, FindingKind::Vanishing);
        assert_eq!(later[1], (FindingKind::SaturatedUnits, explained("vanishing")));
    }

    #[test]
    fn a_start_without_gradients_is_told_where_the_network_stayed_poor() {
        assert!(found(&log(&[2e-9, 0.1, 0.2])).is_some());
        assert_eq!(found(&log(&[2e-9, 0.1, 0.2]).epochs(&[(0.2, 0.95)])), None);
    }

    #[test]
    fn a_ratio_that_recovers_or_is_not_so_small_is_none() {
        assert_eq!(found(&log(&[2e-4, 0.1, 0.2])), None);
        assert_eq!(found(&log(&[0.1, 2e-9, 2e-9])), None);
        assert_eq!(found(&log(&[0.001, 0.001])), None);
        assert_eq!(found(&TestLog::default().layers(&[(1e-9, 1.0)])), None);
    }

    #[test]
    fn the_size_of_a_layer_does_not_decide() {
        let wide_first = TestLog::default().layers(&[(2e-3, 4.0), (0.5, 4000.0)]);
        assert_eq!(found(&wide_first), None);
    }

    #[test]
    fn a_gradient_that_a_dead_layer_stopped_has_not_vanished() {
        let mut dead = log(&[0.0, 0.0]);
        for row in &mut dead.rows {
            row.figures.insert("layers.1.dead_share".into(), 1.0);
        }
        assert_eq!(found(&dead), None);
    }
}
