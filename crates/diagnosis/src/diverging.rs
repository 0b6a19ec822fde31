//! A training loss that ends well above where it has been.

use crate::case::Case;
use crate::remedies::Remedies;
use crate::series::{extremes, short, smoothed};
use crate::{Finding, FindingKind};

/// A loss that ends above its first by this factor has diverged. Noise around the loss of a guess, where a
/// network stays that learns nothing, is a hundredth.
const ABOVE_START: f64 = 1.1;
/// It has diverged, too, where it lost this share of what it had gained and ended above its lowest by the factor
/// below: late in training a loss may well double without having lost anything to speak of.
const LOST_SHARE: f64 = 0.25;
const ABOVE_LOWEST: f64 = 1.5;
/// And where the accuracy ended below its best by this much, whatever the scale of the loss.
const LOST_ACCURACY: f64 = 0.2;

/// The course of the training loss.
struct Course {
    first: f64,
    lowest: f64,
    last: f64,
    /// What there was to lose, less the lowest.
    gained: f64,
}

pub(crate) fn find(case: &Case<'_>) -> Option<Finding> {
    // Then the loss, which is logged without the penalty, rises while the sum of both still falls.
    if case.is_pulled_down() {
        return None;
    }
    let (course, accuracy) = (Course::of(case)?, lost_accuracy(case));
    if !course.has_diverged() && accuracy.is_none() {
        return None;
    }
    let fallen = accuracy.map_or_else(String::new, |(best, last)| {
        format!(" Training accuracy was {best:.4} at its best and {last:.4} at the end.")
    });
    let evidence = [("first_loss", course.first), ("lowest_loss", course.lowest), ("last_loss", course.last)];
    let remedy = Remedies::of(case.experiment).lower_rate().schedule().clip().list();
    let statement = course.words() + &fallen;
    Some(Finding::new(FindingKind::Diverging, case.severity(), statement, remedy, &evidence))
}

impl Course {
    /// Lowest and last are smoothed: no single interval decides.
    fn of(case: &Case<'_>) -> Option<Self> {
        let losses: Vec<f64> = case.interval_losses().iter().map(|(_, loss)| *loss).collect();
        let smooth = smoothed(&losses);
        let (lowest, _) = extremes(&smooth)?;
        let gained = case.starting_loss()? - lowest;
        Some(Self { first: *losses.first()?, lowest, last: *smooth.last()?, gained })
    }

    fn has_diverged(&self) -> bool {
        let lost = self.last - self.lowest;
        let has_lost = self.gained > 0.0 && lost > LOST_SHARE * self.gained;
        self.last > ABOVE_START * self.first || (has_lost && self.last > ABOVE_LOWEST * self.lowest)
    }

    fn words(&self) -> String {
        let Self { first, lowest, last, .. } = *self;
        let been =
            if lowest < first { format!(" and had been down to {}", short(lowest)) } else { String::new() };
        format!("The training loss was {} at the end; it began at {}{been}.", short(last), short(first))
    }
}

/// The best accuracy and the last, both smoothed, where much was lost.
fn lost_accuracy(case: &Case<'_>) -> Option<(f64, f64)> {
    let accuracies = case.epochs.iter().filter_map(|row| row.figure("accuracy"));
    let smooth = smoothed(&accuracies.filter(|accuracy| accuracy.is_finite()).collect::<Vec<_>>());
    let (_, best) = extremes(&smooth)?;
    let last = *smooth.last()?;
    (best - last > LOST_ACCURACY).then_some((best, last))
}

#[cfg(test)]
mod tests {
    use kiln_config::Experiment;

    use super::*;
    use crate::test_log::{TestLog, record};

    fn found(log: &TestLog) -> Option<Finding> {
        find(&Case::new(&record(log, &Experiment::default())))
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
            assert_eq!(found(&TestLog::default().losses(&losses)).is_some(), is_found, "{losses:?}");
        }
    }

    #[test]
    fn an_accuracy_that_fell_is_told() {
        let epochs = [(0.5, 0.8), (0.4, 0.9), (0.4, 0.9), (0.5, 0.4), (0.5, 0.3), (0.5, 0.3)];
        let log = TestLog::default().losses(&[0.5; 6]).epochs(&epochs);
        let statement = found(&log).unwrap().statement;
        assert!(statement.ends_with("was 0.9000 at its best and 0.3000 at the end."), "{statement}");
    }

    #[test]
    fn a_penalty_that_shrinks_all_weights_makes_no_divergence() {
        let norms = [9.0, 5.0, 2.0, 1.0, 0.5, 0.1];
        let log = norms.iter().fold(TestLog::default(), |log, norm| {
            log.interval(&[("loss", 3.0 - 0.1 * norm), ("layers.0.weight_norm", *norm)])
        });
        assert!(found(&log).is_some());
        let mut experiment = Experiment::default();
        experiment.loss.l2 = 1.0;
        assert_eq!(find(&Case::new(&record(&log, &experiment))), None);
    }
}
