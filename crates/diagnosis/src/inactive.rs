//! Units that no longer take part: dead ones and saturated ones.

use kiln_config::{Activation, listed};

use crate::case::Case;
use crate::layers::Layer;
use crate::remedies::Remedies;
use crate::series::{extremes, latest, percent};
use crate::{Finding, FindingKind, Severity};

/// Share of a layer's units that are dead. Networks that train well have up to a quarter of units that one batch
/// does not wake; with half of them dead, a layer has the width of one half as large.
const DEAD_SHARE: f64 = 0.5;
/// Share of a layer's values at the flat ends of the activation, where its slope is below a fifth of its
/// steepest. Networks that train well have up to 0.2; above this, few examples move the layer's weights.
const SATURATED_SHARE: f64 = 0.8;
/// A layer that is dead as a whole.
const WHOLE: f64 = 1.0;
/// Measurements at the end that must all show it, each on a batch of its own: what one batch does not wake,
/// the next may.
const LATEST: usize = 5;
/// Units that a layer must have for a share of them to say anything.
const FEWEST_UNITS: usize = 8;
/// Examples that a batch must have: a unit that a handful does not wake need not be dead.
const LEAST_BATCH: usize = 16;
/// Training accuracy from which that did no great harm: a network that is sure of itself saturates, and one that
/// is wider than its task can spare units.
const LEARNED: f64 = 0.95;

/// Whether some layer was saturated when it was first measured, and so by its start.
pub(crate) fn began_saturated(case: &Case<'_>) -> bool {
    let first = |layer: &Layer<'_>| case.layer_series(layer, "saturated_share").first().copied();
    case.layers.iter().filter_map(first).any(|share| share >= SATURATED_SHARE)
}

/// Whether some layer has no living unit left, so that nothing passes it.
pub(crate) fn has_dead_layer(case: &Case<'_>) -> bool {
    !inactive_layers(case, "dead_share", WHOLE).is_empty()
}

pub(crate) fn dead(case: &Case<'_>) -> Option<Finding> {
    let is_whole = |layer: &(&str, f64)| {
        layer.1 >= WHOLE || units(case, layer.0).is_none_or(|units| units >= FEWEST_UNITS)
    };
    let layers =
        inactive_layers(case, "dead_share", DEAD_SHARE).into_iter().filter(is_whole).collect::<Vec<_>>();
    let is_held_back = case.is_pulled_down() || case.drops_nearly_all();
    if layers.is_empty() || is_held_back || case.experiment.training.batch_size < LEAST_BATCH {
        return None;
    }
    let mut statement = format!(
        "{} are dead, zero for every example of a batch. They pass on no gradient and seldom come back.",
        shares(&layers, "units")
    );
    let is_blocked = has_dead_layer(case);
    if is_blocked {
        statement += " Nothing passes a layer that is dead as a whole: the network's answer no longer depends \
                      on its input.";
    }
    let severity = if is_blocked { Severity::Failure } else { severity(case, &mut statement) };
    let is_small = layers.iter().any(|layer| units(case, layer.0).is_some_and(|units| units < FEWEST_UNITS));
    let remedies = Remedies::of(case.experiment).bad_start();
    // Of so few units, all may be dead by the luck of their start.
    let remedies = if is_small { remedies.larger_network() } else { remedies };
    let remedies = remedies.no_l1().lower_rate().activation("leaky-relu").initialization();
    Some(finding(FindingKind::DeadUnits, severity, statement, remedies, &layers))
}

pub(crate) fn saturated(case: &Case<'_>) -> Option<Finding> {
    let layers = inactive_layers(case, "saturated_share", SATURATED_SHARE);
    if layers.is_empty() || case.is_pulled_down() {
        return None;
    }
    let activation = if case.experiment.model.activation == Activation::Tanh { "tanh" } else { "sigmoid" };
    let mut statement = format!(
        "{} are saturated, at the flat ends of {activation}. There its slope is near zero, and little gradient \
         gets past.",
        shares(&layers, "values")
    );
    let severity = severity(case, &mut statement);
    let remedies = Remedies::of(case.experiment)
        .bad_start()
        .lower_rate()
        .initialization()
        .smaller_weights()
        .activation("relu");
    Some(finding(FindingKind::SaturatedUnits, severity, statement, remedies, &layers))
}

/// Units of a hidden layer, where its name says which it is.
fn units(case: &Case<'_>, layer: &str) -> Option<usize> {
    let number: usize = layer.rsplit_once('.')?.1.parse().ok()?;
    case.experiment.model.hidden.get(number).copied()
}

/// The severity; the statement gets a sentence where the network learned nonetheless.
fn severity(case: &Case<'_>, statement: &mut String) -> Severity {
    match case.train_accuracy() {
        Some(accuracy) if accuracy >= LEARNED => {
            *statement += &format!(" The network learned all the same: training accuracy {accuracy:.4}.");
            Severity::Info
        }
        _ => case.severity(),
    }
}

fn finding(
    kind: FindingKind,
    severity: Severity,
    statement: String,
    remedies: Remedies<'_>,
    layers: &[(&str, f64)],
) -> Finding {
    Finding::new(kind, severity, statement, remedies.list(), layers)
}

/// Layers whose share was at least `limit` in each of the latest measurements, each with the least of them. Of
/// fewer measurements, only whole layers: at its start a deep network may well answer all of a batch alike.
fn inactive_layers<'a>(case: &'a Case<'_>, name: &str, limit: f64) -> Vec<(&'a str, f64)> {
    let least = |layer: &Layer<'_>| {
        let series = case.layer_series(layer, name);
        let (least, _) = extremes(latest(&series, LATEST))?;
        (series.len() >= LATEST || least >= WHOLE).then_some(least)
    };
    let layers = case.layers.iter().filter_map(|layer| Some((layer.name, least(layer)?)));
    layers.filter(|(_, share)| *share >= limit).collect()
}

/// `63 % of the units of layers.0 and 54 % of layers.1`.
fn shares(layers: &[(&str, f64)], what: &str) -> String {
    let words = layers.iter().enumerate().map(|(index, (layer, share))| {
        let what = if index == 0 { format!("the {what} of ") } else { String::new() };
        format!("{} of {what}{layer}", percent(*share))
    });
    listed(words, "and")
}

#[cfg(test)]
mod tests {
    use kiln_config::Experiment;

    use super::*;
    use crate::test_log::{TestLog, record};

    /// Measurements of two hidden layers: the first has `shares`, the second never any.
    fn log(name: &str, shares: &[f64]) -> TestLog {
        let mut log = shares.iter().fold(TestLog::default(), |log, _| log.layers(&[(1.0, 1.0); 3]));
        for (row, share) in log.rows.iter_mut().zip(shares) {
            row.figures.insert(format!("layers.0.{name}"), *share);
            row.figures.insert(format!("layers.1.{name}"), 0.0);
        }
        log
    }

    fn found(log: &TestLog, experiment: &Experiment) -> Vec<Finding> {
        let case = Case::new(&record(log, experiment));
        [dead(&case), saturated(&case)].into_iter().flatten().collect()
    }

    #[test]
    fn layers_are_named_whose_latest_measurements_all_show_dead_units() {
        let experiment = Experiment::default();
        let finding = &found(&log("dead_share", &[0.0, 0.7, 0.63, 0.8, 0.9, 0.9]), &experiment)[0];
        assert!(
            finding.statement.starts_with("63 % of the units of layers.0 are dead,"),
            "{}",
            finding.statement
        );
        assert_eq!(finding.evidence, [("layers.0".to_owned(), 0.63)]);
        assert_eq!(finding.severity, Severity::Warning);
        let woken = [0.7, 0.7, 0.7, 0.2, 0.7, 0.7];
        assert_eq!(found(&log("dead_share", &woken), &experiment), []);
        assert_eq!(found(&log("dead_share", &[0.25; 6]), &experiment), []);
        assert_eq!(found(&log("dead_share", &[0.6; 3]), &experiment), []);
    }

    #[test]
    fn a_layer_that_is_dead_as_a_whole_is_a_failure() {
        let finding = &found(&log("dead_share", &[1.0; 2]), &Experiment::default())[0];
        assert_eq!(finding.severity, Severity::Failure);
        assert!(finding.statement.contains("Nothing passes"), "{}", finding.statement);
    }

    #[test]
    fn a_handful_of_examples_says_nothing_of_units() {
        let mut experiment = Experiment::default();
        experiment.training.batch_size = 4;
        assert_eq!(found(&log("dead_share", &[0.6; 6]), &experiment), []);
    }

    #[test]
    fn what_is_inactive_matters_less_where_the_network_learned() {
        let mut experiment = Experiment::default();
        experiment.model.activation = Activation::Tanh;
        let log = log("saturated_share", &[0.98; 6]);
        assert_eq!(found(&log, &experiment)[0].severity, Severity::Warning);
        let finding = &found(&log.epochs(&[(0.1, 0.98)]), &experiment)[0];
        assert_eq!((finding.kind, finding.severity), (FindingKind::SaturatedUnits, Severity::Info));
        assert!(finding.statement.starts_with("98 % of the values of layers.0 are saturated,"));
    }
}
