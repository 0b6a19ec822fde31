//! Unstable training: non-finite values, exploding gradients and weights, jumps of the loss, and divergence.

use kiln_artifacts::RunFailure;
use kiln_config::{Experiment, listed};

use crate::record::RunHistory;
use crate::remedies::{Remedies, explained_by};
use crate::series::{extremes, latest, median, median_deviation, short, smoothed};
use crate::{Finding, FindingKind, Remedy, Severity};

/// A statement and the figures behind it.
type Observation = (String, Vec<(&'static str, f64)>);

pub(crate) fn non_finite(history: &RunHistory<'_>) -> Option<Finding> {
    let (statement, evidence) = non_finite_failure(history).or_else(|| non_finite_in_log(history))?;
    Some(Finding::new(
        FindingKind::NonFinite,
        Severity::Failure,
        statement,
        smaller_steps(history.experiment),
        &evidence,
    ))
}

fn non_finite_failure(history: &RunHistory<'_>) -> Option<Observation> {
    let RunFailure::NonFinite { figure, value, step, epoch, place } = history.failure? else { return None };
    let statement = format!(
        "Training produced a non-finite value: {figure} became {value} at step {step} (epoch {epoch}): {place}."
    );
    let last = history.interval_losses().last().map(|(row, loss)| (row.step, *loss));
    let evidence =
        last.map_or(Vec::new(), |(step, loss)| vec![("last_loss", loss), ("last_step", step as f64)]);
    Some((statement, evidence))
}

/// The first non-finite figure in the metric log. The log stores it as null, which is read as NaN.
fn non_finite_in_log(history: &RunHistory<'_>) -> Option<Observation> {
    let rows = history.intervals.iter().chain(&history.epochs).chain(&history.validation);
    let mut bad = rows.filter_map(|row| {
        let (name, _) = row.figures.iter().find(|(_, value)| !value.is_finite())?;
        Some((row, name))
    });
    let (row, name) = bad.next()?;
    let statement = format!(
        "The {name} of the {} split was NaN or infinite at step {} (epoch {}).",
        row.split, row.step, row.epoch
    );
    Some((statement, vec![("step", row.step as f64), ("rows", 1.0 + bad.count() as f64)]))
}

/// A global gradient norm above this explodes. Networks that train well stay below 15, even with ten layers; networks
/// that explode pass 100 in the first epoch.
const GREAT_NORM: f64 = 100.0;
/// The same for the growth of that norm since its first measurement, which does not depend on the scale of the loss
/// (mse begins near 0.1). In a healthy run that begins on a plateau, the norm grows about thirtyfold.
const GREAT_GROWTH: f64 = 1e3;
/// Weights that grow by this factor at every measurement grow exponentially. Steps of constant size, as Adam takes
/// them, make weights grow linearly; their factor falls below this from the third measurement.
const WEIGHT_FACTOR: f64 = 1.5;
/// This many measurements at the end of the log must all show that growth.
const WEIGHT_STREAK: usize = 4;

/// `is_non_finite` says that the run also has that finding, which already lists the same remedies.
pub(crate) fn exploding(history: &RunHistory<'_>, is_non_finite: bool) -> Option<Finding> {
    let (words, evidence): (Vec<_>, Vec<_>) =
        [exploding_gradients(history), exploding_weights(history)].into_iter().flatten().unzip();
    let mut statement = words.concat();
    if statement.is_empty() {
        return None;
    }
    let is_held = is_clipped(history) && history.failure.is_none() && history.severity() == Severity::Warning;
    let severity = match history.failure {
        Some(_) => Severity::Failure,
        None if is_held => Severity::Info,
        None => history.severity(),
    };
    if is_held {
        statement += " Clipping limited it, and the network still learned.";
    }
    let remedies = match () {
        () if is_held => Vec::new(),
        () if is_non_finite => explained_by(FindingKind::NonFinite),
        () => smaller_steps(history.experiment),
    };
    Some(Finding::new(FindingKind::Exploding, severity, statement, remedies, &evidence.concat()))
}

/// Remedies for exploding gradients and the non-finite values that they lead to.
fn smaller_steps(experiment: &Experiment) -> Vec<Remedy> {
    Remedies::of(experiment).bad_start().lower_rate().clip().initialization().fewer_layers().list()
}

fn is_clipped(history: &RunHistory<'_>) -> bool {
    let training = &history.experiment.training;
    training.max_norm.is_some() || training.max_value.is_some()
}

fn exploding_gradients(history: &RunHistory<'_>) -> Option<Observation> {
    let norms = history.intervals.iter().filter_map(|row| Some((row.step, row.figure("gradient_norm")?)));
    let norms: Vec<(u64, f64)> = norms.filter(|(_, norm)| norm.is_finite()).collect();
    let (_, first) = *norms.first()?;
    let (step, greatest) = *norms.iter().max_by(|one, other| one.1.total_cmp(&other.1))?;
    let has_grown = first > 0.0 && greatest / first >= GREAT_GROWTH;
    if greatest < GREAT_NORM && !has_grown {
        return None;
    }
    let clipped = if is_clipped(history) { " before clipping" } else { "" };
    let comparison = if greatest > first {
        format!("; it was {} at the first measurement. Values below 15 are usual.", short(first))
    } else {
        ", the first measurement. Values below 15 are usual.".to_owned()
    };
    let greatest_words = short(greatest);
    let statement = format!("The gradient norm reached {greatest_words}{clipped} at step {step}{comparison}");
    let evidence = vec![("first_gradient_norm", first), ("greatest_gradient_norm", greatest)];
    Some((statement, evidence))
}

/// The layer with the largest weights among those whose weights still grew exponentially at the end.
fn exploding_weights(history: &RunHistory<'_>) -> Option<Observation> {
    let layers = history.layers.iter().filter_map(|layer| {
        let norms = history.layer_series(layer, "weight_norm");
        let streak = norms.len().checked_sub(WEIGHT_STREAK + 1)?;
        let (low, _) = extremes(&norms)?;
        let grows = |pair: &[f64]| pair[0] > 0.0 && pair[1] / pair[0] >= WEIGHT_FACTOR;
        let last = *norms.last()?;
        norms[streak..].windows(2).all(grows).then_some((layer, norms[0].min(low), last))
    });
    let (layer, first, last) = layers.max_by(|one, other| one.2.total_cmp(&other.2))?;
    let statement = format!(
        "{}The weights of {} grow exponentially: their norm went from {} to {} and increased by at least 50 % at each \
         of the last {WEIGHT_STREAK} measurements.",
        if exploding_gradients(history).is_some() { " " } else { "" },
        layer.name,
        short(first),
        short(last)
    );
    Some((statement, vec![("least_weight_norm", first), ("last_weight_norm", last)]))
}

/// Each loss is compared with the median of this many intervals before it.
const BEFORE: usize = 5;
/// With fewer intervals than this, the usual change cannot be estimated.
const LEAST_INTERVALS: usize = 8;
/// A jump exceeds that median by more than this many median absolute deviations of all such differences. For normal
/// noise this is more than five standard deviations, which even thousands of intervals do not reach by chance.
const SPREADS: f64 = 8.0;
/// A jump is also at least this share of the starting loss: late in training, when losses are small, a single hard
/// batch can be any number of deviations away.
const SHARE_OF_START: f64 = 0.25;
/// With at least this many jumps, the finding is a warning.
const MANY: usize = 3;
/// The statement describes at most this many jumps.
const NAMED: usize = 3;

struct Jump {
    step: u64,
    epoch: u64,
    from: f64,
    to: f64,
}

pub(crate) fn loss_jumps(history: &RunHistory<'_>) -> Option<Finding> {
    let jumps = jumps(history)?;
    let greatest = jumps.iter().map(|jump| jump.to - jump.from).fold(f64::NAN, f64::max);
    let named = jumps.iter().take(NAMED).map(|jump| {
        format!(
            "from {} to {} at step {} (epoch {})",
            short(jump.from),
            short(jump.to),
            jump.step,
            jump.epoch
        )
    });
    let (count, times) = (jumps.len(), if jumps.len() == 1 { "time" } else { "times" });
    let first = if count > NAMED { "first " } else { "" };
    let statement = format!(
        "The training loss jumped up {count} {times}, far more than it usually changes: {first}{}.",
        listed(named, "and")
    );
    let severity = if count >= MANY { Severity::Warning } else { Severity::Info };
    let remedies = jump_remedies(history, &jumps);
    let evidence = [("jumps", count as f64), ("greatest_jump", greatest)];
    Some(Finding::new(FindingKind::LossJumps, severity, statement, remedies, &evidence))
}

/// The jumps, if there are any. A jump that lasts for several intervals counts once.
fn jumps(history: &RunHistory<'_>) -> Option<Vec<Jump>> {
    let (rows, losses): (Vec<_>, Vec<f64>) = history.interval_losses().into_iter().unzip();
    if losses.len() < LEAST_INTERVALS {
        return None;
    }
    let usual = |index: usize| median(latest(&losses[..index], BEFORE));
    let rises: Vec<f64> = (1..losses.len()).filter_map(|index| Some(losses[index] - usual(index)?)).collect();
    let limit = (SPREADS * median_deviation(&rises)?).max(SHARE_OF_START * history.starting_loss()?);
    let is_jump = |index: usize| rises[index] > limit;
    let starts = (0..rises.len()).filter(|&index| is_jump(index) && (index == 0 || !is_jump(index - 1)));
    let jumps = starts.map(|index| {
        let (row, to) = (rows[index + 1], losses[index + 1]);
        Jump { step: row.step, epoch: row.epoch, from: to - rises[index], to }
    });
    Some(jumps.collect()).filter(|jumps: &Vec<Jump>| !jumps.is_empty())
}

fn jump_remedies(history: &RunHistory<'_>, jumps: &[Jump]) -> Vec<Remedy> {
    let remedies = Remedies::of(history.experiment).lower_rate().clip();
    let is_early = jumps.iter().all(|jump| jump.epoch == 1);
    let remedies = if is_early { remedies.warm_up() } else { remedies.schedule() };
    remedies.larger_batch().list()
}

/// A loss that ends above its first value by this factor has diverged. The loss of a network that learns nothing stays
/// near its first value, with noise of about 1 %.
const ABOVE_START: f64 = 1.1;
/// A loss has also diverged if it lost this share of its gain and ended above its lowest value by the factor
/// below: late in training, a very small loss may double without harm.
const LOST_SHARE: f64 = 0.25;
const ABOVE_LOWEST: f64 = 1.5;
/// Training has also diverged if the accuracy ended below its best by this much. This does not depend on the loss.
const LOST_ACCURACY: f64 = 0.2;

/// How the training loss developed.
struct LossCourse {
    first: f64,
    lowest: f64,
    last: f64,
    /// The starting loss minus the lowest.
    gained: f64,
}

pub(crate) fn diverging(history: &RunHistory<'_>) -> Option<Finding> {
    // The loss is logged without the penalty: it may rise while the sum of both still falls.
    if history.penalty_shrank_all_weights() {
        return None;
    }
    let (course, accuracy) = (LossCourse::of(history)?, lost_accuracy(history));
    if !course.has_diverged() && accuracy.is_none() {
        return None;
    }
    let fallen = accuracy.map_or_else(String::new, |(best, last)| {
        format!(" The training accuracy was {best:.4} at its best and {last:.4} at the end.")
    });
    let evidence = [("first_loss", course.first), ("lowest_loss", course.lowest), ("last_loss", course.last)];
    let remedy = Remedies::of(history.experiment).lower_rate().schedule().clip().list();
    let statement = course.words() + &fallen;
    Some(Finding::new(FindingKind::Diverging, history.severity(), statement, remedy, &evidence))
}

impl LossCourse {
    /// `lowest` and `last` are smoothed, so that no single interval decides.
    fn of(history: &RunHistory<'_>) -> Option<Self> {
        let losses: Vec<f64> = history.interval_losses().iter().map(|(_, loss)| *loss).collect();
        let smooth = smoothed(&losses);
        let (lowest, _) = extremes(&smooth)?;
        let gained = history.starting_loss()? - lowest;
        Some(Self { first: *losses.first()?, lowest, last: *smooth.last()?, gained })
    }

    fn has_diverged(&self) -> bool {
        let lost = self.last - self.lowest;
        let has_lost = self.gained > 0.0 && lost > LOST_SHARE * self.gained;
        self.last > ABOVE_START * self.first || (has_lost && self.last > ABOVE_LOWEST * self.lowest)
    }

    fn words(&self) -> String {
        let Self { first, lowest, last, .. } = *self;
        let fell = if lowest < first { format!(", fell to {}", short(lowest)) } else { String::new() };
        format!("The training loss began at {}{fell} and was {} at the end.", short(first), short(last))
    }
}

/// The best and the last training accuracy, both smoothed, if the last is far below the best.
fn lost_accuracy(history: &RunHistory<'_>) -> Option<(f64, f64)> {
    let accuracies = history.epochs.iter().filter_map(|row| row.figure("accuracy"));
    let smooth = smoothed(&accuracies.filter(|accuracy| accuracy.is_finite()).collect::<Vec<_>>());
    let (_, best) = extremes(&smooth)?;
    let last = *smooth.last()?;
    (best - last > LOST_ACCURACY).then_some((best, last))
}

#[cfg(test)]
mod tests {
    use kiln_artifacts::RunFailure;
    use kiln_config::Experiment;

    use super::*;
    use crate::RunRecord;
    use crate::record::tests::{TestLog, record};

    fn found_non_finite(log: &TestLog, failure: Option<&RunFailure>) -> Option<Finding> {
        non_finite(&RunHistory::new(&RunRecord { failure, ..record(log, &Experiment::default()) }))
    }

    #[test]
    fn the_finding_about_a_failure_names_the_step_and_the_layer() {
        let failure = RunFailure::NonFinite {
            figure: "loss".into(),
            value: "NaN".into(),
            step: 3,
            epoch: 1,
            place: "layer 2 is the first".into(),
        };
        let finding = found_non_finite(&TestLog::default().losses(&[2.3]), Some(&failure)).unwrap();
        let expected = "Training produced a non-finite value: loss became NaN at step 3 (epoch 1): layer 2 is the first.";
        assert_eq!(finding.statement, expected);
        assert_eq!(finding.severity, Severity::Failure);
        assert_eq!(finding.evidence, [("last_loss".to_owned(), 2.3), ("last_step".to_owned(), 10.0)]);
    }

    #[test]
    fn a_null_in_the_log_is_found_without_a_failure() {
        let log = TestLog::default().epochs(&[(1.0, 0.5)]).validation(&[(f64::NAN, 0.1)]);
        let statement = found_non_finite(&log, None).unwrap().statement;
        assert_eq!(statement, "The loss of the validation split was NaN or infinite at step 20 (epoch 1).");
    }

    #[test]
    fn other_failures_and_finite_figures_give_no_finding() {
        assert_eq!(found_non_finite(&TestLog::healthy(), None), None);
        assert_eq!(found_non_finite(&TestLog::healthy(), Some(&RunFailure::Other)), None);
    }

    fn found_exploding(log: &TestLog, experiment: &Experiment) -> Option<Finding> {
        exploding(&RunHistory::new(&record(log, experiment)), false)
    }

    fn norms(norms: &[f64]) -> TestLog {
        norms.iter().fold(TestLog::default(), |log, norm| log.interval(&[("gradient_norm", *norm)]))
    }

    #[test]
    fn a_large_norm_or_a_large_growth_is_found() {
        let experiment = Experiment::default();
        for (series, is_found) in [
            (vec![0.6, 7.2, 3.0], false),
            (vec![0.1, 99.0, 1.0], false),
            (vec![2.0, 140.0, 1.0], true),
            (vec![1e-3, 0.9], false),
            (vec![1e-3, 1.1], true),
        ] {
            assert_eq!(found_exploding(&norms(&series), &experiment).is_some(), is_found, "{series:?}");
        }
    }

    #[test]
    fn gradients_that_clipping_limited_are_only_information() {
        let mut experiment = Experiment::default();
        let log = norms(&[140.0, 4.0]).epochs(&[(0.2, 0.95)]);
        let finding = found_exploding(&log, &experiment).unwrap();
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.advice().contains("training.max_norm=1.0"), "{}", finding.advice());
        experiment.training.max_norm = Some(1.0);
        let finding = found_exploding(&log, &experiment).unwrap();
        assert_eq!((finding.severity, finding.remedies.len()), (Severity::Info, 0));
        assert!(
            finding.statement.contains("reached 140 before clipping at step 10, the first"),
            "{}",
            finding.statement
        );
        let failed =
            RunHistory::new(&RunRecord { failure: Some(&RunFailure::Other), ..record(&log, &experiment) });
        let finding = exploding(&failed, true).unwrap();
        assert_eq!(finding.severity, Severity::Failure);
        assert_eq!(finding.advice(), "the remedies for \"non-finite\" first");
    }

    #[test]
    fn weights_that_grow_exponentially_to_the_end_explode() {
        let log =
            |norms: &[f64]| norms.iter().fold(TestLog::default(), |log, norm| log.layers(&[(1.0, *norm)]));
        let experiment = Experiment::default();
        let exponential = found_exploding(&log(&[1.0, 1.1, 2.0, 4.0, 8.0, 16.0]), &experiment).unwrap();
        assert!(
            exponential.statement.starts_with("The weights of layers.0 grow"),
            "{}",
            exponential.statement
        );
        let linear = [13.0, 64.0, 120.0, 180.0, 240.0, 300.0];
        let ended = [0.1, 0.2, 0.4, 0.8, 1.6, 1.7];
        for norms in [&linear[..], &ended, &[0.0, 1.0, 2.0]] {
            assert_eq!(found_exploding(&log(norms), &experiment), None, "{norms:?}");
        }
    }

    fn found_jumps(losses: &[f64]) -> Option<Finding> {
        loss_jumps(&RunHistory::new(&record(&TestLog::default().losses(losses), &Experiment::default())))
    }

    /// A loss that falls with some noise.
    fn falling() -> Vec<f64> {
        (0..30).map(|index| 2.3 * (-0.1 * f64::from(index)).exp() + 0.02 * f64::from(index % 3)).collect()
    }

    #[test]
    fn a_jump_counts_once_however_long_it_lasts() {
        assert_eq!(found_jumps(&falling()), None);
        let mut losses = falling();
        losses[20] += 1.0;
        losses[21] += 0.9;
        let finding = found_jumps(&losses).unwrap();
        assert!(finding.statement.contains("jumped up 1 time, far"), "{}", finding.statement);
        assert!(finding.statement.contains("at step 210 (epoch 1)"), "{}", finding.statement);
        assert_eq!(finding.severity, Severity::Info);
    }

    #[test]
    fn many_jumps_are_a_warning_and_the_first_are_named() {
        let mut losses = falling();
        for index in [10, 15, 20, 25] {
            losses[index] += 2.0;
        }
        let finding = found_jumps(&losses).unwrap();
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.statement.contains("4 times, far more than it usually changes: first from"));
        assert_eq!(finding.evidence[0], ("jumps".to_owned(), 4.0));
    }

    #[test]
    fn neither_a_small_rise_nor_a_noisy_loss_jumps() {
        let mut losses = falling();
        losses[28] += 0.4;
        assert_eq!(found_jumps(&losses), None);
        // Constant noise is usual, whatever its size: here values from 0.7 to 1.7 in no order.
        let noisy: Vec<f64> = (0..30).map(|index| 0.7 + f64::from(index * 37 % 101) / 101.0).collect();
        assert_eq!(found_jumps(&noisy), None);
        assert_eq!(found_jumps(&[1.0, 1.0, 9.0]), None);
    }

    fn found_diverging(log: &TestLog) -> Option<Finding> {
        diverging(&RunHistory::new(&record(log, &Experiment::default())))
    }

    #[test]
    fn a_loss_that_loses_what_it_gained_or_ends_above_its_start_is_found() {
        for (losses, is_found) in [
            (vec![2.3, 1.0, 0.5, 0.3, 0.2, 0.2], false),
            (vec![2.3, 2.31, 2.32, 2.31, 2.32], false),
            (vec![2.3, 2.4, 2.6, 2.7, 2.8], true),
            (vec![2.3, 1.0, 0.5, 0.2, 0.2, 0.2, 0.9, 1.0, 1.0], true),
            (vec![2.3, 0.1, 0.002, 0.002, 0.002, 0.02, 0.02, 0.02], false),
            (vec![2.3, 1.0, 0.5, 0.3, 0.2, 9.0], false),
            (vec![54.0, 1.0, 0.5, 0.3, 2.3, 2.3, 2.3], true),
        ] {
            assert_eq!(
                found_diverging(&TestLog::default().losses(&losses)).is_some(),
                is_found,
                "{losses:?}"
            );
        }
    }

    #[test]
    fn an_accuracy_that_fell_is_stated() {
        let epochs = [(0.5, 0.8), (0.4, 0.9), (0.4, 0.9), (0.5, 0.4), (0.5, 0.3), (0.5, 0.3)];
        let log = TestLog::default().losses(&[0.5; 6]).epochs(&epochs);
        let statement = found_diverging(&log).unwrap().statement;
        assert!(statement.ends_with("was 0.9000 at its best and 0.3000 at the end."), "{statement}");
    }

    #[test]
    fn a_rising_loss_under_a_penalty_that_shrinks_all_weights_is_not_divergence() {
        let norms = [9.0, 5.0, 2.0, 1.0, 0.5, 0.1];
        let log = norms.iter().fold(TestLog::default(), |log, norm| {
            log.interval(&[("loss", 3.0 - 0.1 * norm), ("layers.0.weight_norm", *norm)])
        });
        assert!(found_diverging(&log).is_some());
        let mut experiment = Experiment::default();
        experiment.loss.l2 = 1.0;
        assert_eq!(diverging(&RunHistory::new(&record(&log, &experiment))), None);
    }
}
