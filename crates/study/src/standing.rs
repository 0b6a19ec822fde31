//! Who is ahead, and which gaps are real.

use schemars::JsonSchema;
use serde::Serialize;

use crate::outcome::Outcome;
use crate::statistics::{McNemar, Spread};

/// Above this probability a difference is called a tie.
pub const SIGNIFICANCE: f64 = 0.05;

/// A trial's place in the ranking by mean test accuracy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Standing {
    /// Number of the trial, from 0.
    #[serde(skip)]
    pub trial: usize,
    /// Its rank, from 1; tied trials share one. None where no seed was finished.
    pub rank: Option<usize>,
    /// Whether other trials share the rank.
    pub is_tied: bool,
    /// The paired test against the first trial of its rank, or, for that one, of the rank before.
    pub test: Option<PairedTest>,
}

/// A paired test against another trial.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct PairedTest {
    /// Number of the other trial, from 0.
    #[serde(skip)]
    pub other: usize,
    /// The test over all seeds together; the other trial is the first classifier.
    pub result: McNemar,
}

/// All outcomes of a trial.
pub(crate) fn of_trial(outcomes: &[Outcome], trial: usize) -> impl Iterator<Item = &Outcome> {
    outcomes.iter().filter(move |outcome| outcome.trial == trial)
}

/// The spread of a figure over the finished seeds of a trial.
pub(crate) fn spread(outcomes: &[Outcome], trial: usize, figure: &str) -> Option<Spread> {
    let finished = of_trial(outcomes, trial).filter(|outcome| outcome.is_finished());
    Spread::of(&finished.filter_map(|outcome| outcome.figure(figure)).collect::<Vec<_>>())
}

/// Every trial, the best first. A trial that the paired test cannot tell from the first of the rank above it
/// shares that rank.
pub(crate) fn standings(outcomes: &[Outcome], trials: usize, folds: Option<u64>) -> Vec<Standing> {
    let accuracy = |trial: usize| spread(outcomes, trial, "test_accuracy").map(|spread| spread.mean);
    let mut order: Vec<usize> = (0..trials).collect();
    order.sort_by(|&left, &right| {
        let [left, right] = [left, right].map(|trial| accuracy(trial).unwrap_or(f64::NEG_INFINITY));
        right.total_cmp(&left)
    });
    let mut standings: Vec<Standing> = Vec::new();
    let mut first = None;
    for (place, trial) in order.into_iter().enumerate() {
        let test = first.and_then(|other| paired_test(outcomes, other, trial, folds));
        let is_tied = test.as_ref().is_some_and(|test| test.result.p_value >= SIGNIFICANCE);
        let rank = accuracy(trial).map(|_| match standings.last().and_then(|last| last.rank) {
            Some(rank) if is_tied => rank,
            _ => place + 1,
        });
        if !is_tied {
            first = Some(trial);
        }
        standings.push(Standing { trial, rank, is_tied: false, test });
    }
    mark_ties(&mut standings);
    standings
}

fn mark_ties(standings: &mut [Standing]) {
    let ranks: Vec<Option<usize>> = standings.iter().map(|standing| standing.rank).collect();
    for standing in standings {
        standing.is_tied =
            standing.rank.is_some() && ranks.iter().filter(|rank| **rank == standing.rank).count() > 1;
    }
}

/// The paired test over every seed that both trials finished; none where no predictions were kept, or they
/// are not equally many. Of a cross-validation that is repeated, only the first: the others test the same examples again.
fn paired_test(outcomes: &[Outcome], first: usize, second: usize, folds: Option<u64>) -> Option<PairedTest> {
    let (mut first_alone, mut second_alone, mut any) = (0, 0, false);
    for left in of_trial(outcomes, first).filter(|left| folds.is_none_or(|folds| left.seed < folds)) {
        let right = of_trial(outcomes, second).find(|right| right.seed == left.seed);
        let pair = right.and_then(|right| Some((left.predictions.as_ref()?, right.predictions.as_ref()?)));
        let Some((left, right)) = pair else { continue };
        if left.len() != right.len() {
            return None;
        }
        any = true;
        for (&left, &right) in left.iter().zip(right) {
            first_alone += u64::from(left && !right);
            second_alone += u64::from(right && !left);
        }
    }
    any.then(|| PairedTest { other: first, result: McNemar::of(first_alone, second_alone) })
}

/// Trials whose metric logs are equal byte for byte at every seed that was finished, two or more together.
pub(crate) fn shared_traces(outcomes: &[Outcome], trials: usize) -> Vec<Vec<usize>> {
    let trace = |trial: usize| -> Option<Vec<(u64, &String)>> {
        let seeds =
            of_trial(outcomes, trial).map(|outcome| Some((outcome.seed, outcome.trace_sha256.as_ref()?)));
        seeds.collect::<Option<Vec<_>>>().filter(|seeds| !seeds.is_empty())
    };
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for trial in 0..trials {
        let Some(own) = trace(trial) else { continue };
        match groups.iter_mut().find(|group| trace(group[0]).as_ref() == Some(&own)) {
            Some(group) => group.push(trial),
            None => groups.push(vec![trial]),
        }
    }
    groups.retain(|group| group.len() > 1);
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::tests::outcome;

    fn with_predictions(trial: usize, right: &[bool]) -> Outcome {
        let accuracy = right.iter().filter(|&&right| right).count() as f64 / right.len() as f64;
        let mut outcome = outcome(&[("test_accuracy", accuracy)]);
        outcome.trial = trial;
        outcome.predictions = Some(right.to_vec());
        outcome
    }

    /// The first `count` of 100 examples right.
    fn first_right(trial: usize, count: usize) -> Outcome {
        with_predictions(trial, &(0..100).map(|index| index < count).collect::<Vec<_>>())
    }

    #[test]
    fn ties_share_a_rank_and_real_gaps_do_not() {
        let outcomes = [first_right(0, 60), first_right(1, 90), first_right(2, 88), first_right(3, 58)];
        let standings = standings(&outcomes, 5, None);
        let found: Vec<_> =
            standings.iter().map(|standing| (standing.trial, standing.rank, standing.is_tied)).collect();
        let expected = [
            (1, Some(1), true),
            (2, Some(1), true),
            (0, Some(3), true),
            (3, Some(3), true),
            (4, None, false),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn without_predictions_nothing_is_tied() {
        let mut outcomes = [first_right(0, 60), first_right(1, 60)];
        outcomes[0].predictions = None;
        assert!(
            standings(&outcomes, 2, None).iter().all(|standing| !standing.is_tied && standing.test.is_none())
        );
    }

    #[test]
    fn equal_logs_are_one_trace() {
        let traced = |trial: usize, trace: &str| {
            let mut outcome = first_right(trial, 50);
            outcome.trace_sha256 = Some(trace.to_owned());
            outcome
        };
        let outcomes = [traced(0, "a"), traced(1, "b"), traced(2, "a"), first_right(3, 50)];
        assert_eq!(shared_traces(&outcomes, 4), [[0, 2]]);
    }
}
