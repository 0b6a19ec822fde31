//! Which trial is ahead, and which differences are real: means over seeds, McNemar's test, and the ranking with ties.

use schemars::JsonSchema;
use serde::Serialize;

use crate::outcome::TrialOutcome;

/// From this p-value on, two trials are tied.
pub const SIGNIFICANCE: f64 = 0.05;

/// A trial's position in the ranking by mean test accuracy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct RankedTrial {
    /// Number of the trial, from 0.
    #[serde(skip)]
    pub trial: usize,
    /// Its rank, from 1; tied trials share one. `None` if no seed is finished.
    pub rank: Option<usize>,
    /// Whether other trials share the rank.
    pub is_tied: bool,
    /// The paired test against the first trial of its rank; for that first trial, against the first of the rank before.
    pub test: Option<PairedTest>,
}

/// A paired test against another trial.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct PairedTest {
    /// Number of the other trial, from 0.
    #[serde(skip)]
    pub other: usize,
    /// The test over all seeds together, with the other trial as the first classifier.
    pub result: McNemar,
}

/// All outcomes of a trial.
pub(crate) fn of_trial(outcomes: &[TrialOutcome], trial: usize) -> impl Iterator<Item = &TrialOutcome> {
    outcomes.iter().filter(move |outcome| outcome.trial == trial)
}

/// The spread of a figure over the finished seeds of a trial.
pub(crate) fn figure_spread(outcomes: &[TrialOutcome], trial: usize, figure: &str) -> Option<Spread> {
    let finished = of_trial(outcomes, trial).filter(|outcome| outcome.is_finished());
    Spread::of(&finished.filter_map(|outcome| outcome.figure(figure)).collect::<Vec<_>>())
}

/// Every trial, the best first. A trial that the paired test cannot distinguish from the first trial of the rank above
/// shares that rank.
pub(crate) fn standings(outcomes: &[TrialOutcome], trials: usize, folds: Option<u64>) -> Vec<RankedTrial> {
    let accuracy = |trial: usize| figure_spread(outcomes, trial, "test_accuracy").map(|spread| spread.mean);
    let mut order: Vec<usize> = (0..trials).collect();
    order.sort_by(|&left, &right| {
        let [left, right] = [left, right].map(|trial| accuracy(trial).unwrap_or(f64::NEG_INFINITY));
        right.total_cmp(&left)
    });
    let mut standings: Vec<RankedTrial> = Vec::new();
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
        standings.push(RankedTrial { trial, rank, is_tied: false, test });
    }
    mark_ties(&mut standings);
    standings
}

fn mark_ties(standings: &mut [RankedTrial]) {
    let ranks: Vec<Option<usize>> = standings.iter().map(|standing| standing.rank).collect();
    for standing in standings {
        standing.is_tied =
            standing.rank.is_some() && ranks.iter().filter(|rank| **rank == standing.rank).count() > 1;
    }
}

/// The paired test over every seed that both trials finished. `None` without stored predictions, or if their numbers
/// differ. Of a repeated cross-validation only the first repeat counts: the others test the same examples again.
fn paired_test(
    outcomes: &[TrialOutcome],
    first: usize,
    second: usize,
    folds: Option<u64>,
) -> Option<PairedTest> {
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

/// Groups of two or more trials whose metric logs are equal, byte for byte, with every seed.
pub(crate) fn shared_traces(outcomes: &[TrialOutcome], trials: usize) -> Vec<Vec<usize>> {
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

/// Mean, standard deviation and range of a figure over several seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Spread {
    /// How many values there are.
    pub count: usize,
    /// Their mean.
    #[schemars(with = "Option<f64>")]
    pub mean: f64,
    /// Their sample standard deviation (n - 1); null for a single value.
    pub deviation: Option<f64>,
    /// The least.
    #[schemars(with = "Option<f64>")]
    pub least: f64,
    /// The greatest.
    #[schemars(with = "Option<f64>")]
    pub greatest: f64,
}

impl Spread {
    /// The spread of `values`; `None` if there are no values.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let count = values.len();
        let mean = values.iter().sum::<f64>() / count as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Some(Self {
            count,
            mean,
            deviation: (count > 1).then(|| (squares / (count - 1) as f64).sqrt()),
            least: values.iter().copied().fold(f64::INFINITY, f64::min),
            greatest: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }

    /// Mean and deviation as text, such as `0.9557 ± 0.0010`, with this many decimals.
    #[must_use]
    pub fn shown(&self, digits: usize) -> String {
        match self.deviation {
            Some(deviation) => format!("{:.digits$} ± {deviation:.digits$}", self.mean),
            None => format!("{:.digits$}", self.mean),
        }
    }

    /// The range as text, such as `0.9542 to 0.9568`; empty for a single value.
    #[must_use]
    pub fn range(&self, digits: usize) -> String {
        if self.count < 2 {
            return String::new();
        }
        format!("{:.digits$} to {:.digits$}", self.least, self.greatest)
    }
}

/// Below this many discordant examples the chi-square approximation is too coarse; the exact binomial test is used.
const FEWEST_FOR_CHI_SQUARE: u64 = 25;

/// McNemar's test: do two classifiers make errors equally often on the same examples?
///
/// McNemar 1947, "Note on the sampling error of the difference between correlated proportions or percentages"; the
/// continuity correction is by Edwards (1948). Only discordant examples count: those that exactly one of the two
/// classifies correctly.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct McNemar {
    /// Examples that only the first classifies correctly.
    pub first_alone: u64,
    /// Examples that only the second classifies correctly.
    pub second_alone: u64,
    /// Probability of a difference at least as great if both made errors equally often, in [0, 1].
    pub p_value: f64,
    /// How the p-value was computed.
    pub method: McNemarMethod,
}

/// How a p-value is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "McNemarMethod")]
pub enum McNemarMethod {
    /// The exact two-sided binomial test.
    ExactBinomial,
    /// Chi-square with one degree of freedom and continuity correction.
    ChiSquare,
}

impl McNemar {
    /// The test, given the numbers of examples that only the first and only the second classifies correctly.
    #[must_use]
    pub fn of(first_alone: u64, second_alone: u64) -> Self {
        let discordant = first_alone + second_alone;
        let (p_value, method) = if discordant < FEWEST_FOR_CHI_SQUARE {
            (binomial(first_alone.min(second_alone), discordant), McNemarMethod::ExactBinomial)
        } else {
            let distance = (first_alone.abs_diff(second_alone) as f64 - 1.0).max(0.0);
            (chi_square_tail(distance * distance / discordant as f64), McNemarMethod::ChiSquare)
        };
        Self { first_alone, second_alone, p_value, method }
    }
}

/// Twice the probability of at most `fewer` heads in `throws` throws of a coin, at most 1.
fn binomial(fewer: u64, throws: u64) -> f64 {
    let mut term = 0.5_f64.powi(i32::try_from(throws).unwrap_or(i32::MAX));
    let mut sum = term;
    for head in 1..=fewer {
        term *= (throws - head + 1) as f64 / head as f64;
        sum += term;
    }
    (2.0 * sum).min(1.0)
}

/// The probability of more than `x` under chi-square with one degree of freedom.
fn chi_square_tail(x: f64) -> f64 {
    libm::erfc((x / 2.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::tests::outcome;

    fn with_predictions(trial: usize, right: &[bool]) -> TrialOutcome {
        let accuracy = right.iter().filter(|&&right| right).count() as f64 / right.len() as f64;
        let mut outcome = outcome(&[("test_accuracy", accuracy)]);
        outcome.trial = trial;
        outcome.predictions = Some(right.to_vec());
        outcome
    }

    /// An outcome with the first `count` of 100 examples predicted correctly.
    fn first_right(trial: usize, count: usize) -> TrialOutcome {
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

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        let spread = Spread::of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap();
        assert_eq!((spread.mean, spread.least, spread.greatest), (5.0, 2.0, 9.0));
        // statistics.stdev([2, 4, 4, 4, 5, 5, 7, 9]) in Python
        assert!((spread.deviation.unwrap() - 2.138_089_935_299_395).abs() < 1e-14);
    }

    #[test]
    fn one_value_has_no_deviation_and_none_has_no_spread() {
        let spread = Spread::of(&[0.5]).unwrap();
        assert_eq!(
            (spread.deviation, spread.shown(2), spread.range(2)),
            (None, "0.50".into(), String::new())
        );
        assert_eq!(Spread::of(&[]), None);
    }

    /// Python's `2 * sum(comb(n, k) for k in range(fewer + 1)) / 2**n` and `erfc(sqrt(x / 2))`.
    #[test]
    fn p_values_are_those_of_python() {
        for (first, second, p_value, method) in [
            (0, 0, 1.0, McNemarMethod::ExactBinomial),
            (5, 5, 1.0, McNemarMethod::ExactBinomial),
            (1, 9, 0.021_484_375, McNemarMethod::ExactBinomial),
            (2, 20, 0.000_121_116_638_183_593_75, McNemarMethod::ExactBinomial),
            (12, 13, 1.0, McNemarMethod::ChiSquare),
            (10, 25, 0.017_960_477_526, McNemarMethod::ChiSquare),
            (121, 59, 5.450_094_825e-6, McNemarMethod::ChiSquare),
            (500, 300, 1.982_453_687_6e-12, McNemarMethod::ChiSquare),
        ] {
            let test = McNemar::of(first, second);
            assert_eq!(test.method, method, "{first} {second}");
            let error = (test.p_value - p_value).abs();
            assert!(error <= 1e-9 * p_value, "{first} {second}: {} for {p_value}", test.p_value);
        }
    }

    #[test]
    fn the_complementary_error_function_is_that_of_the_tables() {
        for (x, expected) in [
            (0.0, 1.0),
            (0.5, 0.479_500_122_186_953_5),
            (1.0, 0.157_299_207_050_285_13),
            (1.999, 0.004_698_443_348_629_488),
            (2.0, 0.004_677_734_981_047_266),
            (3.0, 2.209_049_699_858_543_8e-5),
            (5.0, 1.537_459_794_428_035e-12),
        ] {
            let found = libm::erfc(x);
            assert!((found - expected).abs() <= 1e-9 * expected, "{x}: {found} for {expected}");
        }
    }
}
