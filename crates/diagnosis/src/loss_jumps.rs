//! A training loss that leaps up between intervals.

use kiln_config::listed;

use crate::case::Case;
use crate::remedies::Remedies;
use crate::series::{latest, median, median_deviation, short};
use crate::{Finding, FindingKind, Remedy, Severity};

/// Intervals before, whose median a loss is held to.
const BEFORE: usize = 5;
/// Intervals without which nothing can be called usual.
const LEAST_INTERVALS: usize = 8;
/// A jump is above the usual by more than this many median deviations of all such differences. Of normal noise
/// that is more than five standard deviations, which a run of thousands of intervals does not see once.
const SPREADS: f64 = 8.0;
/// It also takes back at least this share of what there was to gain: late in training, when losses are small,
/// single hard batches stand out by any number of deviations.
const SHARE_OF_START: f64 = 0.25;
/// Jumps from which training as a whole is unstable.
const MANY: usize = 3;
/// Jumps that are named one by one.
const NAMED: usize = 3;

struct Jump {
    step: u64,
    epoch: u64,
    from: f64,
    to: f64,
}

pub(crate) fn find(case: &Case<'_>) -> Option<Finding> {
    let jumps = jumps(case)?;
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
        "The loss jumped up {count} {times} far beyond its usual changes: {first}{}.",
        listed(named, "and")
    );
    let severity = if count >= MANY { Severity::Warning } else { Severity::Info };
    let remedies = remedies(case, &jumps);
    let evidence = [("jumps", count as f64), ("greatest_jump", greatest)];
    Some(Finding::new(FindingKind::LossJumps, severity, statement, remedies, &evidence))
}

/// The jumps; none where there are none. One that lasts for several intervals is one jump.
fn jumps(case: &Case<'_>) -> Option<Vec<Jump>> {
    let (rows, losses): (Vec<_>, Vec<f64>) = case.interval_losses().into_iter().unzip();
    if losses.len() < LEAST_INTERVALS {
        return None;
    }
    let usual = |index: usize| median(latest(&losses[..index], BEFORE));
    let rises: Vec<f64> = (1..losses.len()).filter_map(|index| Some(losses[index] - usual(index)?)).collect();
    let limit = (SPREADS * median_deviation(&rises)?).max(SHARE_OF_START * case.starting_loss()?);
    let is_jump = |index: usize| rises[index] > limit;
    let starts = (0..rises.len()).filter(|&index| is_jump(index) && (index == 0 || !is_jump(index - 1)));
    let jumps = starts.map(|index| {
        let (row, to) = (rows[index + 1], losses[index + 1]);
        Jump { step: row.step, epoch: row.epoch, from: to - rises[index], to }
    });
    Some(jumps.collect()).filter(|jumps: &Vec<Jump>| !jumps.is_empty())
}

fn remedies(case: &Case<'_>, jumps: &[Jump]) -> Vec<Remedy> {
    let remedies = Remedies::of(case.experiment).lower_rate().clip();
    let is_early = jumps.iter().all(|jump| jump.epoch == 1);
    let remedies = if is_early { remedies.warm_up() } else { remedies.schedule() };
    remedies.larger_batch().list()
}

#[cfg(test)]
mod tests {
    use kiln_config::Experiment;

    use super::*;
    use crate::test_log::{TestLog, record};

    fn found(losses: &[f64]) -> Option<Finding> {
        find(&Case::new(&record(&TestLog::default().losses(losses), &Experiment::default())))
    }

    /// A loss that falls with some noise.
    fn falling() -> Vec<f64> {
        (0..30).map(|index| 2.3 * (-0.1 * f64::from(index)).exp() + 0.02 * f64::from(index % 3)).collect()
    }

    #[test]
    fn a_leap_is_one_jump_however_long_it_lasts() {
        assert_eq!(found(&falling()), None);
        let mut losses = falling();
        losses[20] += 1.0;
        losses[21] += 0.9;
        let finding = found(&losses).unwrap();
        assert!(finding.statement.contains("jumped up 1 time far"), "{}", finding.statement);
        assert!(finding.statement.contains("at step 210 (epoch 1)"), "{}", finding.statement);
        assert_eq!(finding.severity, Severity::Info);
    }

    #[test]
    fn many_jumps_are_a_warning_and_the_first_are_named() {
        let mut losses = falling();
        for index in [10, 15, 20, 25] {
            losses[index] += 2.0;
        }
        let finding = found(&losses).unwrap();
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.statement.contains("4 times far beyond its usual changes: first from"));
        assert_eq!(finding.evidence[0], ("jumps".to_owned(), 4.0));
    }

    #[test]
    fn neither_a_small_rise_nor_a_noisy_loss_jumps() {
        let mut losses = falling();
        losses[28] += 0.4;
        assert_eq!(found(&losses), None);
        // Noise of any size is usual where it never ends: 0.7 to 1.7 in no order.
        let noisy: Vec<f64> = (0..30).map(|index| 0.7 + f64::from(index * 37 % 101) / 101.0).collect();
        assert_eq!(found(&noisy), None);
        assert_eq!(found(&[1.0, 1.0, 9.0]), None);
    }
}
