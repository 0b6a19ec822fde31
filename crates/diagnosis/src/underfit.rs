//! A network that is poor on what it was trained on.

use kiln_config::{Activation, Experiment, LossName};

use crate::case::{Case, NO_SKILL};
use crate::remedies::{Remedies, explained_by};
use crate::series::{extremes, fall_at_the_end, median, short};
use crate::{Finding, FindingKind, Severity};

/// Skill (the way from chance to perfection) below which training figures are poor, whatever the loss does.
const POOR_SKILL: f64 = 0.75;
/// Skill below which a run whose loss still falls was stopped too early to tell how good it can be.
const MIDDLING_SKILL: f64 = 0.9;
/// A loss that falls by more than this per epoch has not settled.
pub const STILL_FALLING: f64 = 0.01;
/// Steps of this size, as a share of the weights, are too small to get anywhere; about 0.001 is usual.
const SMALL_UPDATE: f64 = 1e-4;
/// Share of its first value that the loss must have lost to have moved at all.
const MOVED: f64 = 0.05;
/// The mean loss of the first epoch, as a multiple of that of equal probabilities, above which the first steps threw the network
/// far away. Sound runs begin there, however frequent the classes are, and fall.
const THROWN: f64 = 1.2;
/// Epochs since the lowest validation loss, and the rise since then as a share of it, from which on a network is past its
/// best.
const PAST_EPOCHS: usize = 5;
const PAST_RISE: f64 = 0.01;
/// Hidden layers from which depth, more than a lack of units, may be what keeps a network from learning.
const DEEP: usize = 4;

/// `causes` are the findings that may explain why the network did not learn.
pub(crate) fn find(case: &Case<'_>, causes: &[Finding]) -> Option<Finding> {
    let (skill, fall) = (case.skill()?, fall_per_epoch(case));
    // A run of an epoch or two has not shown that it settles.
    let is_falling = fall.is_none_or(|fall| fall > STILL_FALLING);
    if skill >= MIDDLING_SKILL || (skill >= POOR_SKILL && !is_falling) {
        return None;
    }
    if skill >= NO_SKILL && is_past_its_best(case) {
        return None;
    }
    let causes: Vec<FindingKind> =
        causes.iter().filter(|cause| cause.severity > Severity::Info).map(|cause| cause.kind).collect();
    let update = typical_update(case);
    let is_tiny = causes.is_empty() && update.is_some_and(|update| update < SMALL_UPDATE);
    let mut statement = what(case, skill)? + &course(case, fall);
    if let Some(update) = update.filter(|_| is_tiny) {
        let update = short(update);
        statement += &format!(" A step changed the weights by {update} of their size, where 0.001 is usual.");
    }
    let severity = match skill {
        _ if skill >= POOR_SKILL || fall.is_none() => Severity::Info,
        _ if skill < NO_SKILL => Severity::Failure,
        _ => Severity::Warning,
    };
    let evidence = [
        ("train_accuracy", case.train_accuracy()?),
        ("chance", case.chance()?),
        ("fall_per_epoch", fall.unwrap_or(f64::NAN)),
        ("update_ratio", update.unwrap_or(f64::NAN)),
    ];
    let thrown = thrown(case).filter(|_| causes.is_empty());
    if let Some([first, guess]) = thrown {
        statement += &format!(
            " The loss of the first epoch, {}, was above that of equal probabilities, {}: the first steps were too large.",
            short(first),
            short(guess)
        );
    }
    let (remedies, done) = (Remedies::of(case.experiment), case.epochs_done());
    let remedy = match &causes[..] {
        [] if thrown.is_some() => remedies.lower_rate().clip().words(),
        [] if is_tiny => remedies.higher_rate().momentum().more_epochs(done).words(),
        [] if fall.is_none() => remedies.more_epochs(done).words(),
        [] if is_falling => falling(case.experiment, done).words(),
        [] => settled(case.experiment).words(),
        causes => explained_by(causes),
    };
    Some(Finding::new(FindingKind::Underfit, severity, statement, remedy, &evidence))
}

/// True where the network has long been getting worse on what it does not learn from: to learn more of the training data,
/// whose classes may be noise in part, would not make it better.
fn is_past_its_best(case: &Case<'_>) -> bool {
    let losses: Vec<f64> = case.validation.iter().filter_map(|row| row.figure("loss")).collect();
    let best = losses.iter().enumerate().min_by(|left, right| left.1.total_cmp(right.1));
    best.zip(losses.last()).is_some_and(|((epoch, least), last)| {
        losses.len() - epoch > PAST_EPOCHS && *last > least * (1.0 + PAST_RISE)
    })
}

/// The mean loss of the first epoch and that of equal probabilities, where the first is far above; of cross-entropy alone.
fn thrown(case: &Case<'_>) -> Option<[f64; 2]> {
    let is_likelihood = case.experiment.loss.name != LossName::Mse;
    let classes = case.test.map(|test| test.supports.len()).or_else(|| case.experiment.data.class_count());
    let guess = (classes.filter(|_| is_likelihood)? as f64).ln();
    let first = *losses(case).first()?;
    (first > guess * THROWN).then_some([first, guess])
}

fn what(case: &Case<'_>, skill: f64) -> Option<String> {
    let (accuracy, chance, epochs) = (case.train_accuracy()?, case.chance()?, case.epochs_done());
    let plural = if epochs == 1 { "" } else { "s" };
    let measured = if case.has_dropout() { " (with dropout active)" } else { "" };
    let beside = if skill < NO_SKILL {
        format!(", and always naming the most frequent class gives {chance:.4}")
    } else {
        String::new()
    };
    Some(format!("Training accuracy is {accuracy:.4}{measured} after {epochs} epoch{plural}{beside}."))
}

fn course(case: &Case<'_>, fall: Option<f64>) -> String {
    let losses = losses(case);
    match (fall, &losses[..]) {
        (Some(fall), _) if fall > STILL_FALLING => {
            format!(" The loss was still falling by {:.1} % per epoch at the end.", fall * 100.0)
        }
        (Some(_), [first, .., last]) if *last > first * (1.0 - MOVED) => {
            format!(
                " The loss hardly moved: {} in the first epoch, {} in the last.",
                short(*first),
                short(*last)
            )
        }
        (Some(_), _) => " The loss had stopped falling.".to_owned(),
        (None, _) => " That is too early to tell how good it can be.".to_owned(),
    }
}

fn losses(case: &Case<'_>) -> Vec<f64> {
    case.epochs.iter().filter_map(|row| row.figure("loss")).collect()
}

fn fall_per_epoch(case: &Case<'_>) -> Option<f64> {
    fall_at_the_end(&losses(case))
}

/// The median over the run of the greatest update ratio of a layer.
fn typical_update(case: &Case<'_>) -> Option<f64> {
    let layers: Vec<Vec<f64>> =
        case.layers.iter().map(|layer| case.layer_series(layer, "update_ratio")).collect();
    let measurements = layers.iter().map(Vec::len).min()?;
    let greatest =
        |index: usize| Some(extremes(&layers.iter().map(|series| series[index]).collect::<Vec<_>>())?.1);
    median(&(0..measurements).filter_map(greatest).collect::<Vec<_>>())
}

/// For a run of `done` epochs whose loss still fell.
pub(crate) fn falling(experiment: &Experiment, done: u64) -> Remedies<'_> {
    Remedies::of(experiment).more_epochs(done).higher_rate().momentum().less_regularization()
}

/// For a run that got no further: less of what holds it back, or else a start that a deep network learns from,
/// or room to learn more.
pub(crate) fn settled(experiment: &Experiment) -> Remedies<'_> {
    let (held_back, lr) = (Remedies::of(experiment).less_regularization(), experiment.optimizer.lr);
    let remedies = if !held_back.is_empty() {
        held_back
    } else if experiment.model.hidden.len() >= DEEP && experiment.model.activation != Activation::Identity {
        held_back.initialization().fewer_layers()
    } else {
        held_back.larger_network()
    };
    remedies.step(format!("another optimizer.lr (now {lr})"))
}

#[cfg(test)]
mod tests {
    use kiln_config::OptimizerName;

    use super::*;
    use crate::Record;
    use crate::test_log::{TestLog, record, tested};

    fn found(log: &TestLog, experiment: &Experiment) -> Option<Finding> {
        find(&Case::new(&record(log, experiment)), &[])
    }

    /// Five epochs in which the loss falls by `fall` each, and the accuracy that they end with.
    fn log(fall: f64, accuracy: f64) -> TestLog {
        let epochs = (0..5).map(|epoch| (2.0 * (1.0 - fall).powi(epoch), accuracy));
        TestLog::default().epochs(&epochs.collect::<Vec<_>>())
    }

    #[test]
    fn poor_training_figures_are_found_and_middling_ones_where_the_loss_still_falls() {
        let experiment = Experiment::default();
        for (fall, accuracy, severity) in [
            (0.0, 0.12, Some(Severity::Failure)),
            (0.0, 0.7, Some(Severity::Warning)),
            (0.05, 0.88, Some(Severity::Info)),
            (0.0, 0.88, None),
            (0.05, 0.93, None),
        ] {
            let found = found(&log(fall, accuracy), &experiment);
            assert_eq!(found.map(|finding| finding.severity), severity, "{fall} {accuracy}");
        }
    }

    #[test]
    fn a_network_that_gets_worse_on_what_it_has_not_seen_wants_no_more_of_the_training_data() {
        let (experiment, train) = (Experiment::default(), [(0.7, 0.7); 10]);
        let found = |last: f64| {
            let validation: Vec<(f64, f64)> =
                (0..10).map(|epoch| (if epoch == 3 { 0.6 } else { last }, 0.7)).collect();
            found(&TestLog::default().epochs(&train).validation(&validation), &experiment)
        };
        assert!(found(0.601).is_some() && found(0.65).is_none());
        // One that has learned nothing has nothing to lose.
        let validation: Vec<(f64, f64)> = (0..10).map(|epoch| (2.3 + f64::from(epoch), 0.1)).collect();
        let nothing = TestLog::default().epochs(&[(2.3, 0.1); 10]).validation(&validation);
        assert!(super::find(&Case::new(&record(&nothing, &experiment)), &[]).is_some());
    }

    #[test]
    fn a_loss_that_still_falls_wants_more_epochs_or_larger_steps() {
        let mut experiment = Experiment::default();
        experiment.optimizer.name = OptimizerName::Sgd;
        let finding = found(&log(0.05, 0.7), &experiment).unwrap();
        assert!(finding.statement.contains("still falling by 5.0 % per epoch"), "{}", finding.statement);
        let expected = "going on with the run: it ended after 5 of 10 epochs, a higher optimizer.lr (now 0.001) or optimizer.momentum=0.9";
        assert_eq!(finding.remedy, expected);
    }

    #[test]
    fn a_loss_that_began_above_a_guess_wants_smaller_steps() {
        let thrown = TestLog::default().epochs(&[(3.1, 0.1), (2.6, 0.12), (2.2, 0.15)]);
        let mut experiment = Experiment::default();
        experiment.optimizer.lr = 0.1;
        let finding = found(&thrown, &experiment).unwrap();
        let words = "The loss of the first epoch, 3.10, was above that of equal probabilities, 2.30:";
        assert!(finding.statement.contains(words), "{}", finding.statement);
        assert!(finding.remedy.starts_with("a lower optimizer.lr (now 0.1)"), "{}", finding.remedy);
        // The loss of naming a frequent class every time is small: no sound run begins there.
        let skewed = TestLog::default().epochs(&[(0.42, 0.9), (0.36, 0.9), (0.34, 0.9)]);
        let test = tested(0.9, &[90, 10], None);
        let case = Case::new(&Record { tested: Some(&test), ..record(&skewed, &experiment) });
        assert!(!find(&case, &[]).unwrap().statement.contains("equal probabilities"));
        experiment.loss.name = LossName::Mse;
        assert!(!found(&thrown, &experiment).unwrap().remedy.contains("lower optimizer.lr"));
    }

    #[test]
    fn tiny_steps_are_told() {
        let log = log(0.0, 0.1).interval(&[("layers.0.weight_norm", 1.0), ("layers.0.update_ratio", 2e-6)]);
        let finding = found(&log, &Experiment::default()).unwrap();
        assert!(finding.statement.contains("the weights by 2.0e-6 of their size"), "{}", finding.statement);
        assert!(finding.remedy.starts_with("a higher optimizer.lr"), "{}", finding.remedy);
    }

    #[test]
    fn a_run_of_an_epoch_has_not_shown_what_it_can() {
        let finding = found(&TestLog::default().epochs(&[(2.3, 0.1)]), &Experiment::default()).unwrap();
        assert_eq!(finding.severity, Severity::Info);
        assert!(finding.statement.ends_with("That is too early to tell how good it can be."));
        assert_eq!(finding.remedy, "going on with the run: it ended after 1 of 10 epochs");
    }

    #[test]
    fn a_penalty_is_lowered_and_a_cause_comes_first() {
        let mut experiment = Experiment::default();
        experiment.loss.l2 = 1.0;
        let log = log(0.0, 0.1);
        assert!(found(&log, &experiment).unwrap().remedy.starts_with("a lower loss.l2 (now 1) or another"));
        let finding =
            |severity| Finding::new(FindingKind::Vanishing, severity, String::new(), String::new(), &[]);
        let case = Case::new(&record(&log, &experiment));
        let remedy = find(&case, &[finding(Severity::Failure)]).unwrap().remedy;
        assert_eq!(remedy, "first what is said of \"vanishing\", which explains it");
        let causes = [finding(Severity::Failure), finding(Severity::Warning)];
        assert!(find(&case, &causes).unwrap().remedy.ends_with("which explain it"));
        assert!(find(&case, &[finding(Severity::Info)]).unwrap().remedy.contains("loss.l2"));
    }
}
