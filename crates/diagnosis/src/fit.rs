//! How well the network fits: overfitting and underfitting.

use kiln_artifacts::MetricRow;
use kiln_config::{Activation, Experiment, LrSchedulerName};

use crate::record::{NO_SKILL, RunHistory};
use crate::remedies::{Remedies, usual_rate};
use crate::series::{extremes, median, percent, short, smoothed, usual_change};
use crate::{Finding, FindingKind, Remedy, Severity};

/// The validation loss must rise from its lowest value by more than this share.
const RISE: f64 = 0.05;
/// It must also rise by more than this many median changes from epoch to epoch.
const OVERFIT_CHANGES: f64 = 4.0;

/// A validation loss that rose.
struct Rise {
    epoch: u64,
    lowest: f64,
    last_epoch: u64,
    last: f64,
}

pub(crate) fn overfit(history: &RunHistory<'_>, causes: &[Finding]) -> Option<Finding> {
    if causes.iter().any(|cause| cause.severity > Severity::Info) {
        return None;
    }
    let rise = Rise::of(history)?;
    let mut statement = format!(
        "The validation loss was lowest near epoch {} ({}) and rose by {} to {} by epoch {}, while the training loss kept \
         falling: after its lowest point, the network overfitted the training data.",
        rise.epoch,
        short(rise.lowest),
        percent(rise.last / rise.lowest - 1.0),
        short(rise.last),
        rise.last_epoch,
    );
    if let Some(epoch) = history.tested_epoch() {
        statement += &format!(" The tested network is that of epoch {epoch}.");
    }
    let evidence = [
        ("lowest_validation_loss", rise.lowest),
        ("lowest_validation_epoch", rise.epoch as f64),
        ("last_validation_loss", rise.last),
    ];
    Some(Finding::new(
        FindingKind::Overfit,
        Severity::Warning,
        statement,
        overfit_remedies(history.experiment),
        &evidence,
    ))
}

impl Rise {
    /// Smoothed, so that no single epoch decides. A rise counts only if the training loss kept falling.
    fn of(history: &RunHistory<'_>) -> Option<Self> {
        let losses: Vec<f64> = history.validation_losses();
        let (validation, train) = (smoothed(&losses), smoothed(&history.train_losses()));
        let place =
            (0..validation.len()).min_by(|one, other| validation[*one].total_cmp(&validation[*other]))?;
        let (lowest, last) = (validation[place], *validation.last()?);
        let is_learning = train.last()? < train.get(place)?;
        let noise = OVERFIT_CHANGES * usual_change(&losses)?;
        // The smoothed series begins with the second epoch of the log.
        let epoch = |place: usize| history.validation.get(place + 1).map(|row: &&MetricRow| row.epoch);
        let (epoch, last_epoch) = (epoch(place)?, history.validation.last()?.epoch);
        // Early stopping has already reacted to the rise, and an earlier network was tested.
        let was_stopped = history.experiment.early_stopping.enabled
            && history.tested_epoch().is_none_or(|tested| tested < last_epoch);
        let has_risen = !was_stopped && lowest > 0.0 && last - lowest > noise.max(RISE * lowest);
        (is_learning && has_risen).then_some(Self { epoch, lowest, last_epoch, last })
    }
}

fn overfit_remedies(experiment: &Experiment) -> Vec<Remedy> {
    Remedies::of(experiment).average().penalty().smaller_network().stop_early().more_data().list()
}

/// With at least this many epochs, the validation loss shows whether a run has settled; with fewer, the training loss.
const EPOCHS: usize = 4;
/// A run is still improving if its mean validation loss falls by more than this share from the third quarter of the
/// epochs to the fourth.
const FALL: f64 = 0.05;
/// The same under a learning rate schedule: its last, small steps cause such a fall in a training of any length.
const FALL_UNDER_SCHEDULE: f64 = 0.15;
/// The fall must also exceed this many median changes from epoch to epoch.
const UNDERFIT_CHANGES: f64 = 2.0;
/// With fewer intervals than this, the training loss of the epochs is used instead of that of the intervals.
const INTERVALS: usize = 2;
/// A smaller fall than this share of the loss of uniform probabilities is ignored.
const FALL_OF_GUESS: f64 = 0.02;
/// The same under a learning rate schedule.
const FALL_OF_GUESS_UNDER_SCHEDULE: f64 = 0.05;
/// Steps that change the weights by less than this share of their norm are too small; about 0.001 is usual.
const SMALL_UPDATE: f64 = 2e-4;
/// A learning rate is far off if it differs from the usual one by this factor.
const FAR: f64 = 10.0;
/// If the mean loss of the first epoch exceeds that of uniform probabilities by this factor, the first steps were too
/// large. Sound runs begin near that loss, whatever the class frequencies, and fall.
const TOO_HIGH_FIRST_LOSS: f64 = 1.2;
/// With at least this skill, a narrow layer does no harm.
const FULL_SKILL: f64 = 0.9;
/// With at least this many hidden layers, the depth may be the problem, more than a lack of units.
const DEEP: usize = 4;

/// Why the network did not learn more.
enum Reason {
    /// The first steps were too large: the loss of the first epoch, and that of uniform probabilities.
    FirstStepsTooLarge(f64, f64),
    /// The steps were too small: their size as a share of the weights' norm.
    SmallSteps(f64),
    /// The loss was still falling, by this share.
    Falling(f64),
    /// The loss has settled.
    Settled,
}

/// `causes` are the findings so far. If one of them is more than information, it explains the underfitting.
pub(crate) fn underfit(history: &RunHistory<'_>, causes: &[Finding]) -> Option<Finding> {
    if causes.iter().any(|cause| cause.severity > Severity::Info) {
        return None;
    }
    let (skill, fall) = (history.skill()?, still_falling(history));
    let has_learned_nothing = skill < NO_SKILL;
    let reason = match fall {
        _ if has_learned_nothing && let Some([first, guess]) = first_steps_too_large(history) => {
            Reason::FirstStepsTooLarge(first, guess)
        }
        _ if let Some(update) = small_steps(history) => Reason::SmallSteps(update),
        Some(fall) => Reason::Falling(fall),
        None => Reason::Settled,
    };
    let narrow = narrow_layer(history).filter(|_| skill < FULL_SKILL);
    let is_poor = has_learned_nothing || trails_linear(history) || narrow.is_some();
    // Small steps alone are not a fault: a sound run may end with them.
    let is_shown = match reason {
        Reason::FirstStepsTooLarge(..) | Reason::Falling(_) => true,
        Reason::SmallSteps(_) => is_poor || fall.is_some(),
        Reason::Settled => is_poor,
    };
    if !is_shown {
        return None;
    }
    let mut statement = accuracy_sentence(history, has_learned_nothing)? + &reason.words(history);
    let is_settled = matches!(reason, Reason::Settled);
    if let Some([units, classes]) = narrow.filter(|_| is_settled) {
        statement +=
            &format!(" The narrowest hidden layer has {units} units, too few for {classes} classes.");
    }
    let severity = match reason {
        _ if has_learned_nothing => Severity::Failure,
        Reason::Falling(_) => Severity::Info,
        _ => Severity::Warning,
    };
    let remedies = reason.remedies(history);
    let evidence = [
        ("train_accuracy", history.train_accuracy()?),
        ("chance", history.chance()?),
        ("fall", fall.unwrap_or(f64::NAN)),
        ("update_ratio", typical_update(history).unwrap_or(f64::NAN)),
    ];
    Some(Finding::new(FindingKind::Underfit, severity, statement, remedies, &evidence))
}

/// Whether a linear model is significantly better, and its test accuracy exceeds even the network's training accuracy. So
/// the network does not overfit: it underfits.
fn trails_linear(history: &RunHistory<'_>) -> bool {
    let linear = history.test.and_then(|test| test.linear);
    let train = history.train_accuracy();
    history.is_behind_linear() && linear.zip(train).is_some_and(|(linear, train)| train < linear.accuracy)
}

/// The units of the narrowest hidden layer and the number of classes, if the layer has fewer dimensions than are needed to
/// separate the classes.
fn narrow_layer(history: &RunHistory<'_>) -> Option<[usize; 2]> {
    let units = *history.experiment.model.hidden.iter().min()?;
    let classes = history.class_count()?;
    (history.experiment.model.is_mlp() && units + 1 < classes).then_some([units, classes])
}

/// The mean loss of the first epoch and that of uniform probabilities, if the former is far above the latter.
fn first_steps_too_large(history: &RunHistory<'_>) -> Option<[f64; 2]> {
    let (guess, first) = (history.guess_loss()?, *history.train_losses().first()?);
    (first > guess * TOO_HIGH_FIRST_LOSS).then_some([first, guess])
}

/// The typical update ratio, if it is too small and the learning rate is far below the usual one.
fn small_steps(history: &RunHistory<'_>) -> Option<f64> {
    let is_low = history.experiment.optimizer.lr < usual_rate(history.experiment) / FAR;
    typical_update(history).filter(|update| *update < SMALL_UPDATE && is_low)
}

/// The relative fall of the loss at the end, if it exceeds the noise.
fn still_falling(history: &RunHistory<'_>) -> Option<f64> {
    let validation = history.validation_losses();
    if validation.len() >= EPOCHS {
        let [third, last] = last_quarters(&validation)?;
        let (lowest, _) = extremes(&validation[..validation.len() - validation.len() / 4])?;
        let noise = UNDERFIT_CHANGES * usual_change(&validation)?;
        let is_constant = history.experiment.lr_scheduler.name == LrSchedulerName::Constant;
        let [share, of_guess] = if is_constant {
            [FALL, FALL_OF_GUESS]
        } else {
            [FALL_UNDER_SCHEDULE, FALL_OF_GUESS_UNDER_SCHEDULE]
        };
        let matters = (share * last).max(of_guess * history.guess_loss().unwrap_or_default());
        let falls = third - last > noise.max(matters) && last < lowest;
        return falls.then(|| (third - last) / third);
    }
    // With at most three epochs, the training loss or the validation loss may show it.
    let intervals: Vec<f64> = history.interval_losses().iter().map(|(_, loss)| *loss).collect();
    let train = if intervals.len() >= INTERVALS { intervals } else { history.train_losses() };
    let limit = FALL_OF_GUESS * history.guess_loss()?;
    let falls = [last_quarters(&train), last_quarters(&validation)].into_iter().flatten();
    falls.filter(|[third, last]| third - last > limit).map(|[third, last]| (third - last) / third).next()
}

/// Means over the third and the last quarter. With two or three values, these are the last two values.
fn last_quarters(values: &[f64]) -> Option<[f64; 2]> {
    let size = (values.len() / 4).max(1);
    let [.., last] = values else { return None };
    if values.len() < 2 || !last.is_finite() {
        return None;
    }
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let (before, last) = values.split_at(values.len() - size);
    Some([mean(&before[before.len() - size..]), mean(last)])
}

/// The largest update ratio among the layers, as the median over measurements. Measurements at less than half the largest
/// learning rate do not count, because a schedule ends with small steps by design.
fn typical_update(history: &RunHistory<'_>) -> Option<f64> {
    let measured = history.intervals.iter().filter_map(|row| {
        let updates = history.layers.iter().filter_map(|layer| layer.figure_in(row, "update_ratio"));
        let (_, greatest) = extremes(&updates.collect::<Vec<_>>())?;
        Some((row.figure("lr").unwrap_or(1.0), greatest))
    });
    let measured: Vec<(f64, f64)> = measured.collect();
    let greatest_rate = measured.iter().map(|(rate, _)| *rate).fold(0.0, f64::max);
    let updates = measured.iter().filter(|(rate, _)| *rate >= greatest_rate / 2.0).map(|(_, update)| *update);
    median(&updates.collect::<Vec<_>>())
}

/// The training accuracy reached, and what a baseline reaches.
fn accuracy_sentence(history: &RunHistory<'_>, has_learned_nothing: bool) -> Option<String> {
    let (accuracy, chance, epochs) = (history.train_accuracy()?, history.chance()?, history.epochs_done());
    let plural = if epochs == 1 { "" } else { "s" };
    let measured = if history.has_dropout() { " (with dropout active)" } else { "" };
    let baseline = match history.test.and_then(|test| test.linear) {
        _ if has_learned_nothing => format!("; always predicting the most frequent class gives {chance:.4}"),
        Some(linear) if trails_linear(history) => {
            format!("; a linear model reaches {:.4} on the test data", linear.accuracy)
        }
        _ => String::new(),
    };
    Some(format!("The training accuracy is {accuracy:.4}{measured} after {epochs} epoch{plural}{baseline}."))
}

impl Reason {
    fn words(&self, history: &RunHistory<'_>) -> String {
        match self {
            Self::FirstStepsTooLarge(first, guess) => format!(
                " The loss of the first epoch was {}, above the {} of uniform class probabilities: the first steps were too large.",
                short(*first),
                short(*guess)
            ),
            Self::SmallSteps(update) => format!(
                " A step changed the weights by {} of their norm, where 0.001 is usual: the learning rate is too low.",
                short(*update)
            ),
            Self::Falling(fall) => {
                let of = if history.validation_losses().len() >= EPOCHS { "validation loss" } else { "loss" };
                format!(
                    " The {of} was still falling: by {:.0} % from the third to the last quarter of the training.",
                    fall * 100.0
                )
            }
            Self::Settled => " The loss has settled at this level.".to_owned(),
        }
    }

    fn remedies(&self, history: &RunHistory<'_>) -> Vec<Remedy> {
        let (remedies, done, steps) =
            (Remedies::of(history.experiment), history.epochs_done(), history.steps_done());
        match self {
            Self::FirstStepsTooLarge(..) => remedies.lower_rate().clip(),
            Self::SmallSteps(_) => remedies.higher_rate().momentum().more_epochs(done, steps),
            Self::Falling(_) => {
                remedies.more_epochs(done, steps).higher_rate().momentum().less_regularization()
            }
            Self::Settled => settled(history.experiment),
        }
        .list()
    }
}

/// Remedies for a loss that has settled: the usual learning rate and initialization, and less regularization. Otherwise,
/// an initialization that suits a deep network, or a larger network.
fn settled(experiment: &Experiment) -> Remedies<'_> {
    let (lr, usual) = (experiment.optimizer.lr, usual_rate(experiment));
    let remedies = Remedies::of(experiment).bad_start();
    let remedies = match () {
        () if lr >= usual * FAR => remedies.lower_rate(),
        () if lr <= usual / FAR => remedies.higher_rate().momentum(),
        () => remedies,
    };
    let remedies = remedies.less_regularization();
    if !remedies.is_empty() {
        remedies
    } else if experiment.model.hidden.len() >= DEEP && experiment.model.activation != Activation::Identity {
        remedies.initialization().fewer_layers()
    } else {
        remedies.larger_network()
    }
}

#[cfg(test)]
mod tests {
    use kiln_config::OptimizerName;

    use super::*;
    use crate::record::tests::{TestLog, record, simple, tested};
    use crate::{RunRecord, TestFigures};

    fn found_overfit(log: &TestLog, test: Option<&TestFigures>) -> Option<Finding> {
        overfit(&RunHistory::new(&RunRecord { tested: test, ..record(log, &Experiment::default()) }), &[])
    }

    fn validation_log(validation: &[f64]) -> TestLog {
        let train: Vec<(f64, f64)> = (1..=validation.len()).map(|epoch| (0.5 / epoch as f64, 0.97)).collect();
        TestLog::default()
            .epochs(&train)
            .validation(&validation.iter().map(|loss| (*loss, 0.95)).collect::<Vec<_>>())
    }

    #[test]
    fn a_validation_loss_that_rose_names_its_best_epoch_and_the_one_that_was_tested() {
        let rising = validation_log(&[0.5, 0.3, 0.2, 0.2, 0.25, 0.3, 0.35, 0.4]);
        let finding = found_overfit(&rising, None).unwrap();
        assert!(
            finding.statement.contains("lowest near epoch 3 (0.200) and rose by 75 % to 0.350 by epoch 8")
        );
        let test = TestFigures { step: Some(60), ..tested(0.9, &[50, 50]) };
        let statement = found_overfit(&rising, Some(&test)).unwrap().statement;
        assert!(statement.ends_with("The tested network is that of epoch 3."), "{statement}");
        assert!(
            finding.advice().starts_with("model.dropout=0.5 with model.members=4"),
            "{}",
            finding.advice()
        );
    }

    #[test]
    fn a_single_epoch_noise_and_a_steady_loss_give_no_finding() {
        for validation in [
            &[0.5, 0.3, 0.2, 0.2, 0.2, 0.2, 0.2, 0.4][..],
            &[0.5, 0.3, 0.21, 0.2, 0.205, 0.2, 0.203, 0.204],
            &[0.5, 0.4, 0.3, 0.34, 0.3, 0.35, 0.31, 0.35],
            &[0.2, 0.4],
        ] {
            assert_eq!(found_overfit(&validation_log(validation), None), None, "{validation:?}");
        }
    }

    #[test]
    fn a_network_that_no_longer_learns_does_not_overfit() {
        let train: Vec<(f64, f64)> = (1..=8).map(|epoch| (0.5 * f64::from(epoch), 0.5)).collect();
        let validation = [0.5, 0.3, 0.2, 0.2, 0.25, 0.3, 0.35, 0.4].map(|loss| (loss, 0.5));
        assert_eq!(found_overfit(&TestLog::default().epochs(&train).validation(&validation), None), None);
    }

    fn found_underfit(log: &TestLog, experiment: &Experiment, test: Option<&TestFigures>) -> Option<Finding> {
        underfit(&RunHistory::new(&RunRecord { tested: test, ..record(log, experiment) }), &[])
    }

    /// Training figures that settled at this accuracy.
    fn settled_at(accuracy: f64) -> TestLog {
        TestLog::default().epochs(&[(0.6, accuracy); 8]).validation(&[(0.6, accuracy); 8])
    }

    /// A test in which a linear model of this accuracy is significantly better than the network.
    fn behind_linear(accuracy: f64) -> TestFigures {
        let linear = simple([accuracy, 0.3], [-0.1, 0.02], [-0.2, 0.05]);
        TestFigures { linear: Some(linear), ..tested(accuracy - 0.1, &[50; 10]) }
    }

    #[test]
    fn a_network_that_trails_a_linear_model_even_in_training_is_too_small() {
        let experiment = Experiment::default();
        let finding = found_underfit(&settled_at(0.7), &experiment, Some(&behind_linear(0.9))).unwrap();
        assert_eq!(finding.severity, Severity::Warning);
        assert!(
            finding
                .statement
                .contains("a linear model reaches 0.9000 on the test data. The loss has settled")
        );
        assert!(finding.advice().starts_with("'model.hidden=[2048,512]'"), "{}", finding.advice());
        // Here the training accuracy is above the linear model's: more units would not help.
        assert_eq!(found_underfit(&settled_at(0.95), &experiment, Some(&behind_linear(0.9))), None);
    }

    #[test]
    fn a_middling_accuracy_alone_shows_nothing() {
        let (experiment, test) = (Experiment::default(), tested(0.8, &[50; 10]));
        assert_eq!(found_underfit(&settled_at(0.8), &experiment, Some(&test)), None);
    }

    #[test]
    fn a_layer_of_too_few_units_is_named() {
        let mut experiment = Experiment::default();
        experiment.model.hidden = vec![64, 2];
        let finding = found_underfit(&settled_at(0.4), &experiment, None).unwrap();
        assert!(
            finding.statement.ends_with("The narrowest hidden layer has 2 units, too few for 10 classes.")
        );
        assert_eq!(found_underfit(&settled_at(0.95), &experiment, None), None);
    }

    #[test]
    fn a_validation_loss_that_still_falls_calls_for_a_longer_training() {
        let falling: Vec<(f64, f64)> = (0..8).map(|epoch| (2.0 * 0.9_f64.powi(epoch), 0.7)).collect();
        let log = TestLog::default().epochs(&falling).validation(&falling);
        let experiment = Experiment {
            training: kiln_config::Training { epochs: 8, ..Default::default() },
            ..Default::default()
        };
        let finding = found_underfit(&log, &experiment, None).unwrap();
        assert_eq!(finding.severity, Severity::Info);
        assert!(
            finding.statement.contains("The validation loss was still falling: by 19 %"),
            "{}",
            finding.statement
        );
        assert!(finding.advice().starts_with("training.epochs=24 (now 8)"), "{}", finding.advice());
        // A falling training loss does not count if the validation loss has settled.
        assert_eq!(
            found_underfit(
                &TestLog::default().epochs(&falling).validation(&[(0.9, 0.7); 8]),
                &experiment,
                None
            ),
            None
        );
    }

    #[test]
    fn a_schedule_that_ends_in_small_steps_gives_no_finding_and_a_rate_that_is_too_low_does() {
        let mut experiment = Experiment::default();
        let measured = |log: TestLog, update: f64, lr: f64| {
            log.interval(&[("layers.0.weight_norm", 1.0), ("layers.0.update_ratio", update), ("lr", lr)])
        };
        let cosine = |log| measured(measured(measured(log, 2e-3, 1e-3), 1e-3, 6e-4), 1e-7, 1e-6);
        assert_eq!(found_underfit(&cosine(settled_at(0.8)), &experiment, None), None);
        experiment.optimizer.lr = 1e-6;
        let slow = |log| measured(measured(log, 2e-6, 1e-6), 2e-6, 1e-6);
        let finding = found_underfit(&slow(settled_at(0.12)), &experiment, None).unwrap();
        assert!(finding.statement.contains("the weights by 2.0e-6 of their norm"), "{}", finding.statement);
        assert!(finding.advice().starts_with("optimizer.lr=0.001 (now 0.000001)"), "{}", finding.advice());
        experiment.optimizer.name = OptimizerName::Sgd;
        assert!(
            found_underfit(&slow(settled_at(0.12)), &experiment, None)
                .unwrap()
                .advice()
                .contains("momentum=0.9")
        );
    }

    #[test]
    fn a_loss_that_began_above_uniform_probabilities_calls_for_smaller_steps() {
        let log = TestLog::default().epochs(&[(3.1, 0.1), (2.6, 0.12), (2.2, 0.15)]);
        let mut experiment = Experiment::default();
        experiment.optimizer.lr = 0.1;
        let finding = found_underfit(&log, &experiment, None).unwrap();
        let words = "The loss of the first epoch was 3.10, above the 2.30 of uniform class probabilities:";
        assert!(finding.statement.contains(words), "{}", finding.statement);
        assert!(finding.advice().starts_with("optimizer.lr=0.001 (now 0.1)"), "{}", finding.advice());
    }

    #[test]
    fn a_penalty_is_lowered_first_and_a_cause_replaces_the_finding() {
        let mut experiment = Experiment::default();
        experiment.loss.l2 = 1.0;
        let log = settled_at(0.1);
        let advice = found_underfit(&log, &experiment, None).unwrap().advice();
        assert_eq!(advice, "loss.l2=0.1 (now 1)");
        let found_with =
            |severity| Finding::new(FindingKind::Vanishing, severity, String::new(), Vec::new(), &[]);
        let history = RunHistory::new(&record(&log, &experiment));
        assert_eq!(underfit(&history, &[found_with(Severity::Failure)]), None);
        assert!(underfit(&history, &[found_with(Severity::Info)]).is_some());
    }

    #[test]
    fn a_run_of_one_epoch_is_judged_by_its_training_loss() {
        let log =
            TestLog::default().losses(&[2.2, 1.4, 1.0, 0.8]).epochs(&[(1.3, 0.6)]).validation(&[(0.8, 0.7)]);
        let experiment = Experiment {
            training: kiln_config::Training { epochs: 1, ..Default::default() },
            ..Default::default()
        };
        let finding = found_underfit(&log, &experiment, None).unwrap();
        assert!(finding.statement.contains("The loss was still falling: by 20 %"), "{}", finding.statement);
        let settled = TestLog::default().losses(&[0.4, 0.2, 0.11, 0.1]).epochs(&[(0.2, 0.95)]);
        assert_eq!(found_underfit(&settled, &experiment, None), None);
    }
}
