//! Layers that learn little or nothing: vanishing gradients, dead units and saturated units.

use kiln_artifacts::MetricRow;
use kiln_config::{Activation, Experiment, listed};

use crate::record::{Layer, RunHistory};
use crate::remedies::Remedies;
use crate::series::{extremes, latest, median, percent, short};
use crate::{Finding, FindingKind, Remedy, Severity};

/// Gradients vanish if the first layer's relative gradient is below the last layer's times this. In networks that learn,
/// the ratio is above 0.002, even with a wide first layer whose weights have grown large; in ten layers of sigmoid or
/// badly initialized tanh that learn nothing, it is below 1e-5.
const VANISHING_RATIO: f64 = 1e-3;
/// If a network began with vanishing gradients and its skill stayed below this, they are reported even if they recovered.
const POOR_SKILL: f64 = 0.75;
/// The number of measurements at the end that decide. Deep networks often begin on a plateau and leave it, and each
/// measurement sees another batch: a unit that is zero for one batch may be active for the next.
const LATEST: usize = 5;

/// Compares the relative gradients of the first and the last layer: gradient norm divided by weight norm. A norm alone
/// grows with the number of weights, and a first layer may have hundreds of times as many; in the quotient this cancels.
pub(crate) fn vanishing(history: &RunHistory<'_>) -> Option<Finding> {
    if has_dead_layer(history) {
        return None;
    }
    let ends = history.first_and_last_layer()?;
    let ratios: Vec<f64> = history.intervals.iter().filter_map(|row| first_over_last(row, ends)).collect();
    let first = *ratios.first()?;
    let now = median(latest(&ratios, LATEST))?;
    let is_late = first < VANISHING_RATIO / 10.0 && history.skill().is_some_and(|skill| skill < POOR_SKILL);
    if first >= VANISHING_RATIO || (now >= VANISHING_RATIO && !is_late) {
        return None;
    }
    let statement = format!(
        "The first layers hardly learn: relative to its weights, the first layer's gradient was {} times the last layer's \
         at the first measurement and {} times at the end. Values of {VANISHING_RATIO} or more are usual.",
        short(first),
        short(now)
    );
    let evidence = [("first_ratio", first), ("last_ratio", now)];
    let remedies = vanishing_remedies(history.experiment);
    Some(Finding::new(FindingKind::Vanishing, history.severity(), statement, remedies, &evidence))
}

fn first_over_last(row: &MetricRow, [first, last]: [&Layer<'_>; 2]) -> Option<f64> {
    let relative = |layer: &Layer<'_>| {
        Some(layer.figure_in(row, "gradient_norm")? / layer.figure_in(row, "weight_norm")?)
    };
    let ratio: f64 = relative(first)? / relative(last)?;
    ratio.is_finite().then_some(ratio)
}

fn vanishing_remedies(experiment: &Experiment) -> Vec<Remedy> {
    let remedies = Remedies::of(experiment).bad_start();
    let remedies = match experiment.model.activation {
        // No initialization helps: a sigmoid's slope is at most a quarter, and Xavier initialization assumes a slope of 1.
        Activation::Sigmoid => remedies.activation_and_start("relu", "he-uniform"),
        Activation::Tanh => remedies.initialization().activation_and_start("relu", "he-uniform"),
        _ => remedies.initialization(),
    };
    remedies.fewer_layers().list()
}

/// A layer with at least this share of dead units is reported. In networks that train well, up to a quarter of the units
/// are zero for a whole batch; with half of them dead, a layer is effectively half as wide.
const DEAD_SHARE: f64 = 0.5;
/// The same for the share of values in the flat parts of the activation, where its slope is below a fifth of the maximum.
/// Networks that train well have up to 0.2; above 0.8, few examples still change the layer's weights.
const SATURATED_SHARE: f64 = 0.8;
/// The share of a layer that is dead as a whole.
const WHOLE: f64 = 1.0;
/// In a layer of fewer units, a share says little.
const FEWEST_UNITS: usize = 8;
/// With smaller batches, a unit may be zero for the whole batch without being dead.
const LEAST_BATCH: usize = 16;
/// With at least this training accuracy, the finding is only information: a confident network saturates, and a network
/// that is wider than necessary can do without some units.
const LEARNED: f64 = 0.95;

/// Whether some layer was saturated at its first measurement, that is, because of its initialization.
pub(crate) fn began_saturated(history: &RunHistory<'_>) -> bool {
    let first = |layer: &Layer<'_>| history.layer_series(layer, "saturated_share").first().copied();
    history.layers.iter().filter_map(first).any(|share| share >= SATURATED_SHARE)
}

/// Whether all units of some layer are dead, so that it passes on nothing.
pub(crate) fn has_dead_layer(history: &RunHistory<'_>) -> bool {
    !inactive_layers(history, "dead_share", WHOLE).is_empty()
}

pub(crate) fn dead_units(history: &RunHistory<'_>) -> Option<Finding> {
    let is_whole = |layer: &(&str, f64)| {
        layer.1 >= WHOLE || unit_count(history, layer.0).is_none_or(|units| units >= FEWEST_UNITS)
    };
    let layers =
        inactive_layers(history, "dead_share", DEAD_SHARE).into_iter().filter(is_whole).collect::<Vec<_>>();
    let is_held_back = history.penalty_shrank_all_weights() || history.drops_nearly_all();
    if layers.is_empty() || is_held_back || history.experiment.training.batch_size < LEAST_BATCH {
        return None;
    }
    let mut statement = format!(
        "{} are dead: they are zero for every example of a batch. Their weights receive no gradient, so they seldom recover.",
        shares(&layers, "units")
    );
    let is_blocked = has_dead_layer(history);
    if is_blocked {
        statement += " A layer in which all units are dead blocks the network: its output no longer depends on its input.";
    }
    let severity = if is_blocked { Severity::Failure } else { severity(history, &mut statement) };
    let is_small =
        layers.iter().any(|layer| unit_count(history, layer.0).is_some_and(|units| units < FEWEST_UNITS));
    let remedies = Remedies::of(history.experiment).bad_start();
    // So few units may all be dead by chance, because of their initialization.
    let remedies = if is_small { remedies.larger_network() } else { remedies };
    let remedies = remedies.no_l1().lower_rate().activation("leaky-relu").initialization();
    Some(finding(FindingKind::DeadUnits, severity, statement, remedies, &layers))
}

pub(crate) fn saturated_units(history: &RunHistory<'_>) -> Option<Finding> {
    let layers = inactive_layers(history, "saturated_share", SATURATED_SHARE);
    if layers.is_empty() || history.penalty_shrank_all_weights() {
        return None;
    }
    let activation = if history.experiment.model.activation == Activation::Tanh { "tanh" } else { "sigmoid" };
    let mut statement = format!(
        "{} are saturated: they lie in the flat parts of {activation}, where its slope is near zero and little gradient passes.",
        shares(&layers, "values")
    );
    let severity = severity(history, &mut statement);
    let remedies = Remedies::of(history.experiment)
        .bad_start()
        .lower_rate()
        .initialization()
        .smaller_weights()
        .activation("relu");
    Some(finding(FindingKind::SaturatedUnits, severity, statement, remedies, &layers))
}

/// The number of units of a hidden layer, if its name ends with its number.
fn unit_count(history: &RunHistory<'_>, layer: &str) -> Option<usize> {
    let number: usize = layer.rsplit_once('.')?.1.parse().ok()?;
    history.experiment.model.hidden.get(number).copied()
}

/// The severity. If the network learned nevertheless, this appends a sentence to the statement.
fn severity(history: &RunHistory<'_>, statement: &mut String) -> Severity {
    match history.train_accuracy() {
        Some(accuracy) if accuracy >= LEARNED => {
            *statement += &format!(" The network still learned: its training accuracy is {accuracy:.4}.");
            Severity::Info
        }
        _ => history.severity(),
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

/// Layers whose share was at least `limit` in each of the latest measurements, with the smallest of these shares. With
/// fewer measurements, only layers that are inactive as a whole count: at the start of training, a deep network may give
/// the same output for a whole batch.
fn inactive_layers<'a>(history: &'a RunHistory<'_>, name: &str, limit: f64) -> Vec<(&'a str, f64)> {
    let least = |layer: &Layer<'_>| {
        let series = history.layer_series(layer, name);
        let (least, _) = extremes(latest(&series, LATEST))?;
        (series.len() >= LATEST || least >= WHOLE).then_some(least)
    };
    let layers = history.layers.iter().filter_map(|layer| Some((layer.name, least(layer)?)));
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
    use crate::record::tests::{TestLog, record};
    use crate::{Severity, findings};

    /// Measurements with these gradient norms in the first layer; the last layer's is 0.5, and all weight norms are 4.
    fn gradient_log(first_layer: &[f64]) -> TestLog {
        let log = TestLog::default().epochs(&[(2.3, 0.1)]);
        first_layer.iter().fold(log, |log, norm| log.layers(&[(*norm, 4.0), (0.1, 4.0), (0.5, 4.0)]))
    }

    fn found_vanishing(log: &TestLog) -> Option<Finding> {
        let mut experiment = Experiment::default();
        experiment.model.activation = Activation::Sigmoid;
        vanishing(&RunHistory::new(&record(log, &experiment)))
    }

    #[test]
    fn a_tiny_ratio_that_stays_is_found() {
        let finding = found_vanishing(&gradient_log(&[2e-9, 3e-9, 2e-9])).unwrap();
        assert!(
            finding.statement.contains("4.0e-9 times the last layer's at the first"),
            "{}",
            finding.statement
        );
        assert_eq!(finding.severity, Severity::Failure);
        assert!(
            finding.advice().starts_with("model.activation=relu with model.initialization=he-uniform"),
            "{}",
            finding.advice()
        );
        assert_eq!(
            found_vanishing(&gradient_log(&[0.0, 0.0])).map(|finding| finding.kind),
            Some(FindingKind::Vanishing)
        );
    }

    /// The findings and their advice if the first hidden layer has these saturated shares.
    fn with_saturation(shares: [f64; 6]) -> Vec<(FindingKind, String)> {
        let (mut log, mut experiment) = (gradient_log(&[2e-9; 6]), Experiment::default());
        experiment.model.activation = Activation::Sigmoid;
        let measured = log.rows.iter_mut().filter(|row| row.figures.contains_key("layers.0.weight_norm"));
        for (row, share) in measured.zip(shares) {
            row.figures.insert("layers.0.saturated_share".into(), share);
        }
        findings(&record(&log, &experiment)).into_iter().map(|found| (found.kind, found.advice())).collect()
    }

    #[test]
    fn the_finding_that_came_first_explains_the_other() {
        let by_start = with_saturation([0.9; 6]);
        assert_eq!(by_start[0].0, FindingKind::SaturatedUnits);
        let explained = |cause: &str| format!("the remedies for \"{cause}\" first");
        assert_eq!(by_start[1], (FindingKind::Vanishing, explained("saturated-units")));
        let later = with_saturation([0.1, 0.9, 0.9, 0.9, 0.9, 0.9]);
        assert_eq!(later[0].0, FindingKind::Vanishing);
        assert_eq!(later[1], (FindingKind::SaturatedUnits, explained("vanishing")));
    }

    #[test]
    fn gradients_that_vanished_at_the_start_are_reported_if_the_network_stayed_poor() {
        assert!(found_vanishing(&gradient_log(&[2e-9, 0.1, 0.2])).is_some());
        assert_eq!(found_vanishing(&gradient_log(&[2e-9, 0.1, 0.2]).epochs(&[(0.2, 0.95)])), None);
    }

    #[test]
    fn a_ratio_that_recovers_or_is_not_that_small_gives_no_finding() {
        assert_eq!(found_vanishing(&gradient_log(&[2e-4, 0.1, 0.2])), None);
        assert_eq!(found_vanishing(&gradient_log(&[0.1, 2e-9, 2e-9])), None);
        assert_eq!(found_vanishing(&gradient_log(&[0.001, 0.001])), None);
        assert_eq!(found_vanishing(&TestLog::default().layers(&[(1e-9, 1.0)])), None);
    }

    #[test]
    fn the_size_of_a_layer_does_not_decide() {
        let wide_first = TestLog::default().layers(&[(2e-3, 4.0), (0.5, 4000.0)]);
        assert_eq!(found_vanishing(&wide_first), None);
    }

    #[test]
    fn a_gradient_that_a_dead_layer_blocks_is_not_vanishing() {
        let mut dead = gradient_log(&[0.0, 0.0]);
        for row in &mut dead.rows {
            row.figures.insert("layers.1.dead_share".into(), 1.0);
        }
        assert_eq!(found_vanishing(&dead), None);
    }

    /// Measurements of two hidden layers: `shares` for the first, 0 for the second.
    fn share_log(name: &str, shares: &[f64]) -> TestLog {
        let mut log = shares.iter().fold(TestLog::default(), |log, _| log.layers(&[(1.0, 1.0); 3]));
        for (row, share) in log.rows.iter_mut().zip(shares) {
            row.figures.insert(format!("layers.0.{name}"), *share);
            row.figures.insert(format!("layers.1.{name}"), 0.0);
        }
        log
    }

    fn found_inactive(log: &TestLog, experiment: &Experiment) -> Vec<Finding> {
        let history = RunHistory::new(&record(log, experiment));
        [dead_units(&history), saturated_units(&history)].into_iter().flatten().collect()
    }

    #[test]
    fn a_layer_is_reported_if_all_its_latest_measurements_show_dead_units() {
        let experiment = Experiment::default();
        let finding =
            &found_inactive(&share_log("dead_share", &[0.0, 0.7, 0.63, 0.8, 0.9, 0.9]), &experiment)[0];
        assert!(
            finding.statement.starts_with("63 % of the units of layers.0 are dead:"),
            "{}",
            finding.statement
        );
        assert_eq!(finding.evidence, [("layers.0".to_owned(), 0.63)]);
        assert_eq!(finding.severity, Severity::Warning);
        let woken = [0.7, 0.7, 0.7, 0.2, 0.7, 0.7];
        assert_eq!(found_inactive(&share_log("dead_share", &woken), &experiment), []);
        assert_eq!(found_inactive(&share_log("dead_share", &[0.25; 6]), &experiment), []);
        assert_eq!(found_inactive(&share_log("dead_share", &[0.6; 3]), &experiment), []);
    }

    #[test]
    fn a_layer_that_is_dead_as_a_whole_is_a_failure() {
        let finding = &found_inactive(&share_log("dead_share", &[1.0; 2]), &Experiment::default())[0];
        assert_eq!(finding.severity, Severity::Failure);
        assert!(finding.statement.contains("blocks the network"), "{}", finding.statement);
    }

    #[test]
    fn small_batches_say_nothing_about_units() {
        let mut experiment = Experiment::default();
        experiment.training.batch_size = 4;
        assert_eq!(found_inactive(&share_log("dead_share", &[0.6; 6]), &experiment), []);
    }

    #[test]
    fn inactive_units_matter_less_if_the_network_learned() {
        let mut experiment = Experiment::default();
        experiment.model.activation = Activation::Tanh;
        let log = share_log("saturated_share", &[0.98; 6]);
        assert_eq!(found_inactive(&log, &experiment)[0].severity, Severity::Warning);
        let finding = &found_inactive(&log.epochs(&[(0.1, 0.98)]), &experiment)[0];
        assert_eq!((finding.kind, finding.severity), (FindingKind::SaturatedUnits, Severity::Info));
        assert!(finding.statement.starts_with("98 % of the values of layers.0 are saturated:"));
    }
}
