//! Gradients that die away on their way back to the first layer.

use kiln_artifacts::MetricRow;
use kiln_config::{Activation, Experiment};

use crate::case::Case;
use crate::inactive::has_dead_layer;
use crate::layers::Layer;
use crate::remedies::{Remedies, explained_by};
use crate::series::{latest, median, short};
use crate::{Finding, FindingKind};

/// Gradients vanish where the first layer's relative gradient is below the last layer's times this. In networks
/// that learn it is above 0.002, even where weights of a wide first layer have grown large; where ten layers of
/// sigmoid or badly started tanh learn nothing, it is below 1e-5.
const VANISHING_RATIO: f64 = 1e-3;
/// Measurements at the end whose median must still show it: deep networks often begin on a plateau and leave it.
const LATEST: usize = 5;

/// The activation whose slope does not shrink, with the start that goes with it.
const RELU: &str = "model.activation=\"relu\" with model.initialization=\"he-uniform\"";

/// Holds the first layer's gradient to the last layer's, each as a share of its own weights: the norm of the
/// gradient over the norm of the weights. Plain norms grow with the number of weights, of which a first layer
/// may have hundreds of times as many; the quotient does not, for both of its norms grow alike.
/// Where units saturate, that is why: a saturated unit passes on little.
pub(crate) fn find(case: &Case<'_>, is_saturated: bool) -> Option<Finding> {
    if has_dead_layer(case) {
        return None;
    }
    let ends = case.ends()?;
    let ratios: Vec<f64> = case.intervals.iter().filter_map(|row| first_over_last(row, ends)).collect();
    let first = *ratios.first()?;
    let now = median(latest(&ratios, LATEST))?;
    if first >= VANISHING_RATIO || now >= VANISHING_RATIO {
        return None;
    }
    let statement = format!(
        "The first layers hardly learn: as a share of its weights, the first layer's gradient was {} times the \
         last layer's when first measured and {} times at the end, where {VANISHING_RATIO} or more is usual.",
        short(first),
        short(now)
    );
    let evidence = [("first_ratio", first), ("last_ratio", now)];
    let remedy =
        if is_saturated { explained_by(&[FindingKind::SaturatedUnits]) } else { remedy(case.experiment) };
    Some(Finding::new(FindingKind::Vanishing, case.severity(), statement, remedy, &evidence))
}

fn first_over_last(row: &MetricRow, [first, last]: [&Layer<'_>; 2]) -> Option<f64> {
    let relative = |layer: &Layer<'_>| {
        Some(layer.figure_in(row, "gradient_norm")? / layer.figure_in(row, "weight_norm")?)
    };
    let ratio: f64 = relative(first)? / relative(last)?;
    ratio.is_finite().then_some(ratio)
}

pub(crate) fn remedy(experiment: &Experiment) -> String {
    let remedies = Remedies::of(experiment);
    let remedies = match experiment.model.activation {
        // No start helps: a sigmoid's slope is a quarter at its steepest, and Xavier's weights keep what a
        // slope of 1 passes on.
        Activation::Sigmoid => remedies.step(RELU),
        Activation::Tanh => remedies.initialization().step(RELU),
        _ => remedies.initialization(),
    };
    remedies.fewer_layers().words()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Severity;
    use crate::test_log::{TestLog, record};

    /// Measurements with these gradient norms in the first layer; the last layer's is 0.5, weights are even.
    fn log(first_layer: &[f64]) -> TestLog {
        let log = TestLog::default().epochs(&[(2.3, 0.1)]);
        first_layer.iter().fold(log, |log, norm| log.layers(&[(*norm, 4.0), (0.1, 4.0), (0.5, 4.0)]))
    }

    fn found(log: &TestLog) -> Option<Finding> {
        let mut experiment = Experiment::default();
        experiment.model.activation = Activation::Sigmoid;
        find(&Case::new(&record(log, &experiment)), false)
    }

    #[test]
    fn a_tiny_ratio_that_stays_is_found() {
        let finding = found(&log(&[2e-9, 3e-9, 2e-9])).unwrap();
        assert!(finding.statement.contains("4.0e-9 times the last layer's when"), "{}", finding.statement);
        assert_eq!(finding.severity, Severity::Failure);
        assert!(finding.remedy.starts_with("model.activation=\"relu\""), "{}", finding.remedy);
        assert_eq!(found(&log(&[0.0, 0.0])).map(|finding| finding.kind), Some(FindingKind::Vanishing));
    }

    #[test]
    fn saturation_explains_it() {
        let (log, experiment) = (log(&[2e-9, 2e-9]), Experiment::default());
        let finding = find(&Case::new(&record(&log, &experiment)), true).unwrap();
        assert_eq!(finding.remedy, "first what is said of \"saturated-units\", which explains it");
    }

    #[test]
    fn a_ratio_that_recovers_or_is_not_so_small_is_none() {
        assert_eq!(found(&log(&[2e-9, 0.1, 0.2])), None);
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
