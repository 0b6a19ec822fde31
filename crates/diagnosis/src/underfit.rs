//! A network that a longer or a larger training would make better.

use kiln_config::{Activation, Experiment, LrSchedulerName};

use crate::case::{Case, NO_SKILL};
use crate::remedies::{Remedies, usual_rate};
use crate::series::{extremes, median, short, usual_change};
use crate::{Finding, FindingKind, Remedy, Severity};

/// Epochs from which the validation loss shows whether a run has settled; of fewer, the training loss does.
const EPOCHS: usize = 4;
/// A run is still improving where its mean validation loss falls by more than this share from the third quarter of the
/// epochs to the fourth.
const FALL: f64 = 0.05;
/// The same under a schedule, whose last, small steps bring such a fall whatever the length of the training.
const FALL_UNDER_SCHEDULE: f64 = 0.15;
/// It is also above this many median changes from epoch to epoch.
const CHANGES: f64 = 2.0;
/// Intervals from which the training loss shows the same.
const INTERVALS: usize = 2;
/// A smaller fall is ignored, as a share of the loss of equal probabilities.
const FALL_OF_GUESS: f64 = 0.02;
/// The same under a schedule.
const FALL_OF_GUESS_UNDER_SCHEDULE: f64 = 0.05;
/// Steps of this size, as a share of the weights, are too small to get anywhere; about 0.001 is usual.
const SMALL_UPDATE: f64 = 2e-4;
/// Learning rates this many times below or above the usual one are far off.
const FAR: f64 = 10.0;
/// The mean loss of the first epoch, as a multiple of that of equal probabilities, above which the first steps threw the network
/// far away. Sound runs begin there, however frequent the classes are, and fall.
const THROWN: f64 = 1.2;
/// Skill from which a narrow layer does no harm.
const FULL_SKILL: f64 = 0.9;
/// Hidden layers from which depth, more than a lack of units, may be what keeps a network from learning.
const DEEP: usize = 4;

/// What the figures show of why the network is not better.
enum Reason {
    /// The first steps threw the network away: the loss of the first epoch and that of equal probabilities.
    Thrown(f64, f64),
    /// It moved too little: by this share of the weights.
    SmallSteps(f64),
    /// Its loss still fell, by this share.
    Falling(f64),
    /// It settled where it is.
    Settled,
}

/// `causes` are findings that say more than that the network did not learn enough: where there are any, this is none.
pub(crate) fn find(case: &Case<'_>, causes: &[Finding]) -> Option<Finding> {
    if causes.iter().any(|cause| cause.severity > Severity::Info) {
        return None;
    }
    let (skill, fall) = (case.skill()?, still_falling(case));
    let has_learned_nothing = skill < NO_SKILL;
    let reason = match fall {
        _ if has_learned_nothing && let Some([first, guess]) = thrown(case) => Reason::Thrown(first, guess),
        _ if let Some(update) = small_steps(case) => Reason::SmallSteps(update),
        Some(fall) => Reason::Falling(fall),
        None => Reason::Settled,
    };
    let narrow = narrow_layer(case).filter(|_| skill < FULL_SKILL);
    let is_poor = has_learned_nothing || trails_linear(case) || narrow.is_some();
    // Small steps alone are no fault: they may be what a sound run ends with.
    let is_shown = match reason {
        Reason::Thrown(..) | Reason::Falling(_) => true,
        Reason::SmallSteps(_) => is_poor || fall.is_some(),
        Reason::Settled => is_poor,
    };
    if !is_shown {
        return None;
    }
    let mut statement = what(case, has_learned_nothing)? + &reason.words(case);
    let is_settled = matches!(reason, Reason::Settled);
    if let Some([units, classes]) = narrow.filter(|_| is_settled) {
        statement += &format!(" Everything passes a layer of {units} units, too few for {classes} classes.");
    }
    let severity = match reason {
        _ if has_learned_nothing => Severity::Failure,
        Reason::Falling(_) => Severity::Info,
        _ => Severity::Warning,
    };
    let remedies = reason.remedies(case);
    let evidence = [
        ("train_accuracy", case.train_accuracy()?),
        ("chance", case.chance()?),
        ("fall", fall.unwrap_or(f64::NAN)),
        ("update_ratio", typical_update(case).unwrap_or(f64::NAN)),
    ];
    Some(Finding::new(FindingKind::Underfit, severity, statement, remedies, &evidence))
}

/// Whether a linear model of the same features is surely better on new examples than the network even on those that it
/// learned from: so it is not that it learned them by heart.
fn trails_linear(case: &Case<'_>) -> bool {
    let linear = case.test.and_then(|test| test.linear);
    let train = case.train_accuracy();
    case.is_behind_linear() && linear.zip(train).is_some_and(|(linear, train)| train < linear.accuracy)
}

/// The units of the narrowest hidden layer and the number of classes, where that layer has fewer units than it takes
/// directions to tell the classes apart.
fn narrow_layer(case: &Case<'_>) -> Option<[usize; 2]> {
    let units = *case.experiment.model.hidden.iter().min()?;
    let classes = case.class_count()?;
    (case.experiment.model.is_mlp() && units + 1 < classes).then_some([units, classes])
}

/// The mean loss of the first epoch and that of equal probabilities, where the first is far above.
fn thrown(case: &Case<'_>) -> Option<[f64; 2]> {
    let (guess, first) = (case.guess_loss()?, *case.train_losses().first()?);
    (first > guess * THROWN).then_some([first, guess])
}

/// How far a step moved the weights, where that was too little and the rate is far below the usual.
fn small_steps(case: &Case<'_>) -> Option<f64> {
    let is_low = case.experiment.optimizer.lr < usual_rate(case.experiment) / FAR;
    typical_update(case).filter(|update| *update < SMALL_UPDATE && is_low)
}

/// By how much the loss still fell at the end, as a share of what it was, where that is more than noise.
fn still_falling(case: &Case<'_>) -> Option<f64> {
    let validation = case.validation_losses();
    if validation.len() >= EPOCHS {
        let [third, last] = last_quarters(&validation)?;
        let (lowest, _) = extremes(&validation[..validation.len() - validation.len() / 4])?;
        let noise = CHANGES * usual_change(&validation)?;
        let is_constant = case.experiment.lr_scheduler.name == LrSchedulerName::Constant;
        let [share, of_guess] = if is_constant {
            [FALL, FALL_OF_GUESS]
        } else {
            [FALL_UNDER_SCHEDULE, FALL_OF_GUESS_UNDER_SCHEDULE]
        };
        let matters = (share * last).max(of_guess * case.guess_loss().unwrap_or_default());
        let falls = third - last > noise.max(matters) && last < lowest;
        return falls.then(|| (third - last) / third);
    }
    // Of two or three epochs, either shows it.
    let intervals: Vec<f64> = case.interval_losses().iter().map(|(_, loss)| *loss).collect();
    let train = if intervals.len() >= INTERVALS { intervals } else { case.train_losses() };
    let limit = FALL_OF_GUESS * case.guess_loss()?;
    let falls = [last_quarters(&train), last_quarters(&validation)].into_iter().flatten();
    falls.filter(|[third, last]| third - last > limit).map(|[third, last]| (third - last) / third).next()
}

/// Means over the third and the last quarter; of two or three values, these are the last two.
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

/// The median, over the measurements at a learning rate of half the greatest or more, of the greatest update ratio of a layer:
/// a schedule ends with steps that are small by design.
fn typical_update(case: &Case<'_>) -> Option<f64> {
    let measured = case.intervals.iter().filter_map(|row| {
        let updates = case.layers.iter().filter_map(|layer| layer.figure_in(row, "update_ratio"));
        let (_, greatest) = extremes(&updates.collect::<Vec<_>>())?;
        Some((row.figure("lr").unwrap_or(1.0), greatest))
    });
    let measured: Vec<(f64, f64)> = measured.collect();
    let greatest_rate = measured.iter().map(|(rate, _)| *rate).fold(0.0, f64::max);
    let updates = measured.iter().filter(|(rate, _)| *rate >= greatest_rate / 2.0).map(|(_, update)| *update);
    median(&updates.collect::<Vec<_>>())
}

fn what(case: &Case<'_>, has_learned_nothing: bool) -> Option<String> {
    let (accuracy, chance, epochs) = (case.train_accuracy()?, case.chance()?, case.epochs_done());
    let plural = if epochs == 1 { "" } else { "s" };
    let measured = if case.has_dropout() { " (with dropout active)" } else { "" };
    let beside = match case.test.and_then(|test| test.linear) {
        _ if has_learned_nothing => format!(", and always naming the most frequent class gives {chance:.4}"),
        Some(linear) if trails_linear(case) => {
            format!(", and a linear model has {:.4} on the test data", linear.accuracy)
        }
        _ => String::new(),
    };
    Some(format!("Training accuracy is {accuracy:.4}{measured} after {epochs} epoch{plural}{beside}."))
}

impl Reason {
    fn words(&self, case: &Case<'_>) -> String {
        match self {
            Self::Thrown(first, guess) => format!(
                " The loss of the first epoch, {}, was above that of equal probabilities, {}: the first steps were too large.",
                short(*first),
                short(*guess)
            ),
            Self::SmallSteps(update) => format!(
                " A step changed the weights by {} of their size, where 0.001 is usual: the learning rate is too low.",
                short(*update)
            ),
            Self::Falling(fall) => {
                let of = if case.validation_losses().len() >= EPOCHS { "validation loss" } else { "loss" };
                format!(
                    " The {of} was still falling: by {:.0} % from the third quarter of the training to the last.",
                    fall * 100.0
                )
            }
            Self::Settled => " The loss has settled there.".to_owned(),
        }
    }

    fn remedies(&self, case: &Case<'_>) -> Vec<Remedy> {
        let (remedies, done, steps) = (Remedies::of(case.experiment), case.epochs_done(), case.steps_done());
        match self {
            Self::Thrown(..) => remedies.lower_rate().clip(),
            Self::SmallSteps(_) => remedies.higher_rate().momentum().more_epochs(done, steps),
            Self::Falling(_) => {
                remedies.more_epochs(done, steps).higher_rate().momentum().less_regularization()
            }
            Self::Settled => settled(case.experiment),
        }
        .list()
    }
}

/// For a run that got no further: the usual rate or start where another was used; less of what holds it back; or else a
/// start that a deep network learns from, or room to learn more.
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
    use crate::test_log::{TestLog, record, simple, tested};
    use crate::{Record, Tested};

    fn found(log: &TestLog, experiment: &Experiment, test: Option<&Tested>) -> Option<Finding> {
        find(&Case::new(&Record { tested: test, ..record(log, experiment) }), &[])
    }

    /// Training figures that settled at this accuracy.
    fn settled_at(accuracy: f64) -> TestLog {
        TestLog::default().epochs(&[(0.6, accuracy); 8]).validation(&[(0.6, accuracy); 8])
    }

    /// A linear model of this accuracy, surely ahead of the network.
    fn behind(accuracy: f64) -> Tested {
        let linear = simple([accuracy, 0.3], [-0.1, 0.02], [-0.2, 0.05]);
        Tested { linear: Some(linear), ..tested(accuracy - 0.1, &[50; 10]) }
    }

    #[test]
    fn a_network_that_trails_a_linear_model_even_where_it_learned_wants_more_room() {
        let experiment = Experiment::default();
        let finding = found(&settled_at(0.7), &experiment, Some(&behind(0.9))).unwrap();
        assert_eq!(finding.severity, Severity::Warning);
        assert!(
            finding.statement.contains("a linear model has 0.9000 on the test data. The loss has settled")
        );
        assert!(finding.advice().starts_with("'model.hidden=[2048,512]'"), "{}", finding.advice());
        // Its training accuracy is above the linear model's: more units would not help.
        assert_eq!(found(&settled_at(0.95), &experiment, Some(&behind(0.9))), None);
    }

    #[test]
    fn a_middling_accuracy_alone_shows_nothing() {
        let (experiment, test) = (Experiment::default(), tested(0.8, &[50; 10]));
        assert_eq!(found(&settled_at(0.8), &experiment, Some(&test)), None);
    }

    #[test]
    fn a_layer_of_too_few_units_is_named() {
        let mut experiment = Experiment::default();
        experiment.model.hidden = vec![64, 2];
        let finding = found(&settled_at(0.4), &experiment, None).unwrap();
        assert!(finding.statement.ends_with("Everything passes a layer of 2 units, too few for 10 classes."));
        assert_eq!(found(&settled_at(0.95), &experiment, None), None);
    }

    #[test]
    fn a_validation_loss_that_still_falls_wants_a_longer_training() {
        let falling: Vec<(f64, f64)> = (0..8).map(|epoch| (2.0 * 0.9_f64.powi(epoch), 0.7)).collect();
        let log = TestLog::default().epochs(&falling).validation(&falling);
        let experiment = Experiment {
            training: kiln_config::Training { epochs: 8, ..Default::default() },
            ..Default::default()
        };
        let finding = found(&log, &experiment, None).unwrap();
        assert_eq!(finding.severity, Severity::Info);
        assert!(
            finding.statement.contains("The validation loss was still falling: by 19 %"),
            "{}",
            finding.statement
        );
        assert!(finding.advice().starts_with("training.epochs=24 (now 8)"), "{}", finding.advice());
        // Training figures alone do not count where validation has settled.
        assert_eq!(
            found(&TestLog::default().epochs(&falling).validation(&[(0.9, 0.7); 8]), &experiment, None),
            None
        );
    }

    #[test]
    fn a_schedule_that_ends_in_small_steps_is_no_finding_and_a_rate_that_is_too_low_is() {
        let mut experiment = Experiment::default();
        let measured = |log: TestLog, update: f64, lr: f64| {
            log.interval(&[("layers.0.weight_norm", 1.0), ("layers.0.update_ratio", update), ("lr", lr)])
        };
        let cosine = |log| measured(measured(measured(log, 2e-3, 1e-3), 1e-3, 6e-4), 1e-7, 1e-6);
        assert_eq!(found(&cosine(settled_at(0.8)), &experiment, None), None);
        experiment.optimizer.lr = 1e-6;
        let slow = |log| measured(measured(log, 2e-6, 1e-6), 2e-6, 1e-6);
        let finding = found(&slow(settled_at(0.12)), &experiment, None).unwrap();
        assert!(finding.statement.contains("the weights by 2.0e-6 of their size"), "{}", finding.statement);
        assert!(finding.advice().starts_with("optimizer.lr=0.001 (now 0.000001)"), "{}", finding.advice());
        experiment.optimizer.name = OptimizerName::Sgd;
        assert!(found(&slow(settled_at(0.12)), &experiment, None).unwrap().advice().contains("momentum=0.9"));
    }

    #[test]
    fn a_loss_that_began_above_a_guess_wants_smaller_steps() {
        let thrown = TestLog::default().epochs(&[(3.1, 0.1), (2.6, 0.12), (2.2, 0.15)]);
        let mut experiment = Experiment::default();
        experiment.optimizer.lr = 0.1;
        let finding = found(&thrown, &experiment, None).unwrap();
        let words = "The loss of the first epoch, 3.10, was above that of equal probabilities, 2.30:";
        assert!(finding.statement.contains(words), "{}", finding.statement);
        assert!(finding.advice().starts_with("optimizer.lr=0.001 (now 0.1)"), "{}", finding.advice());
    }

    #[test]
    fn a_penalty_is_lowered_first_and_a_cause_says_all() {
        let mut experiment = Experiment::default();
        experiment.loss.l2 = 1.0;
        let log = settled_at(0.1);
        let advice = found(&log, &experiment, None).unwrap().advice();
        assert_eq!(advice, "loss.l2=0.1 (now 1)");
        let found_with =
            |severity| Finding::new(FindingKind::Vanishing, severity, String::new(), Vec::new(), &[]);
        let case = Case::new(&record(&log, &experiment));
        assert_eq!(find(&case, &[found_with(Severity::Failure)]), None);
        assert!(find(&case, &[found_with(Severity::Info)]).is_some());
    }

    #[test]
    fn a_run_of_an_epoch_is_judged_by_its_training_loss() {
        let log =
            TestLog::default().losses(&[2.2, 1.4, 1.0, 0.8]).epochs(&[(1.3, 0.6)]).validation(&[(0.8, 0.7)]);
        let experiment = Experiment {
            training: kiln_config::Training { epochs: 1, ..Default::default() },
            ..Default::default()
        };
        let finding = found(&log, &experiment, None).unwrap();
        assert!(finding.statement.contains("The loss was still falling: by 20 %"), "{}", finding.statement);
        let settled = TestLog::default().losses(&[0.4, 0.2, 0.11, 0.1]).epochs(&[(0.2, 0.95)]);
        assert_eq!(found(&settled, &experiment, None), None);
    }
}
