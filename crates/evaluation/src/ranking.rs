//! Rankings: of examples by a score, for ROC and precision-recall curves, and of classes, for top-k accuracy.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::Predictions;
use crate::figures::{Defined, Reason};

/// Scores in descending order, each with whether its example is positive.
///
/// An entry is a single number, so that sorting is fast: the inverted bits of the score, then the number of the example,
/// then the positive bit.
#[derive(Clone, Debug)]
pub(crate) struct Ranking {
    entries: Vec<u64>,
    positives: u64,
}

/// The counts if every score of at least `threshold` is predicted positive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct OperatingPoint {
    pub(crate) threshold: f32,
    pub(crate) true_positives: u32,
    pub(crate) false_positives: u32,
}

impl Ranking {
    /// The examples by their probability of `class`: one class against the rest.
    pub(crate) fn of_class(predictions: &Predictions, class: usize) -> Self {
        let examples = predictions.examples().enumerate();
        let entry = |(example, (truth, _, row)): (usize, (usize, usize, &[f32]))| {
            pack(row[class], example as u64, truth == class)
        };
        Self::new(examples.map(entry).collect())
    }

    /// All probabilities of all examples, each as a decision of its own, for a micro average.
    pub(crate) fn pooled(predictions: &Predictions) -> Self {
        let entries = predictions.examples().flat_map(|(truth, _, row)| {
            row.iter().enumerate().map(move |(class, &probability)| pack(probability, 0, class == truth))
        });
        Self::new(entries.collect())
    }

    fn new(mut entries: Vec<u64>) -> Self {
        entries.par_sort_unstable();
        let positives = entries.iter().map(|entry| entry & 1).sum();
        Self { entries, positives }
    }

    pub(crate) fn positives(&self) -> u64 {
        self.positives
    }

    pub(crate) fn negatives(&self) -> u64 {
        self.entries.len() as u64 - self.positives
    }

    /// An error if there is no curve: it needs positives and negatives.
    pub(crate) fn check(&self) -> Result<(), Reason> {
        match (self.positives(), self.negatives()) {
            (0, _) => Err(Reason::NoExamples),
            (_, 0) => Err(Reason::NoOtherExamples),
            _ => Ok(()),
        }
    }

    /// Each distinct score as a threshold, in descending order.
    pub(crate) fn operating_points(&self) -> impl Iterator<Item = OperatingPoint> {
        let ties = self.entries.chunk_by(|left, right| left >> 32 == right >> 32);
        ties.scan((0, 0), |(true_positives, false_positives), tie| {
            let positives = tie.iter().map(|entry| (entry & 1) as u32).sum::<u32>();
            *true_positives += positives;
            *false_positives += tie.len() as u32 - positives;
            let threshold = f32::from_bits(!((tie[0] >> 32) as u32));
            Some(OperatingPoint {
                threshold,
                true_positives: *true_positives,
                false_positives: *false_positives,
            })
        })
    }

    /// The area under the ROC curve, in [0, 1]: the probability that a positive scores higher than a negative, where a tie
    /// counts half (Mann and Whitney 1947; `sklearn.metrics.roc_auc_score`). Exact in integers until the last division.
    pub(crate) fn area(&self) -> Defined {
        self.check()?;
        let (mut twice_area, mut before) = (0_u128, (0_u64, 0_u64));
        for OperatingPoint { true_positives, false_positives, .. } in self.operating_points() {
            let (true_positives, false_positives) = (u64::from(true_positives), u64::from(false_positives));
            let width = false_positives - before.1;
            twice_area += u128::from(width) * u128::from(before.0 + true_positives);
            before = (true_positives, false_positives);
        }
        let pairs = u128::from(self.positives()) * u128::from(self.negatives());
        Ok(twice_area as f64 / (2 * pairs) as f64)
    }

    /// The same order in a compact form, for many resamples.
    pub(crate) fn resampled_order(&self) -> ResampledOrder {
        let is_last =
            |index: usize| self.entries.get(index + 1).is_none_or(|n| n >> 32 != self.entries[index] >> 32);
        let pack = |(index, entry): (usize, &u64)| {
            let (example, positive) = ((*entry as u32) >> 1, (*entry & 1) as u32);
            example << 2 | u32::from(is_last(index)) << 1 | positive
        };
        ResampledOrder(self.entries.iter().enumerate().map(pack).collect())
    }
}

/// A ranking for bootstrap resamples, which differ in the number of copies of each example. An entry has the number of the
/// example, whether it is the last of equal scores, and whether it is positive.
#[derive(Clone, Debug)]
pub(crate) struct ResampledOrder(Vec<u32>);

impl ResampledOrder {
    /// The area under the ROC curve if the example at `position` occurs `copies[position]` times; `None` without positives or
    /// without negatives.
    pub(crate) fn area(&self, copies: &[u8]) -> Option<f64> {
        let (mut twice_area, mut above, mut negatives) = (0_u64, 0_u64, 0_u64);
        let (mut tied_positives, mut tied_negatives) = (0_u64, 0_u64);
        for &entry in &self.0 {
            let count = u64::from(copies[(entry >> 2) as usize]);
            let positives = count * u64::from(entry & 1);
            tied_positives += positives;
            tied_negatives += count - positives;
            if entry & 2 != 0 {
                twice_area += tied_negatives * (2 * above + tied_positives);
                above += tied_positives;
                negatives += tied_negatives;
                (tied_positives, tied_negatives) = (0, 0);
            }
        }
        let pairs = above * negatives;
        (pairs != 0).then(|| twice_area as f64 / (2 * pairs) as f64)
    }
}

/// Packs an entry so that larger scores sort first. The bits of non-negative floats are in the order of the floats; adding
/// 0 turns -0 into 0.
fn pack(score: f32, example: u64, positive: bool) -> u64 {
    u64::from(!(score + 0.0).to_bits()) << 32 | example << 1 | u64::from(positive)
}

/// The values of k; those that are not below the number of classes are left out.
const TOP_K: [usize; 3] = [1, 3, 5];

/// The share of examples whose true class is among the k most probable ones, by k (`sklearn.metrics.top_k_accuracy_score`).
///
/// The predicted class ranks first, so that k = 1 gives the accuracy. The others follow by probability; of equal ones, the
/// lower number ranks first (in scikit-learn, the higher).
pub(crate) fn top_k_accuracy(predictions: &Predictions) -> BTreeMap<usize, f64> {
    let examples: Vec<_> = predictions.examples().collect();
    let ranks: Vec<usize> =
        examples.par_iter().map(|&(truth, predicted, row)| rank(truth, predicted, row)).collect();
    let share = |k: usize| ranks.iter().filter(|rank| **rank < k).count() as f64 / ranks.len() as f64;
    TOP_K.into_iter().filter(|&k| k < predictions.class_count()).map(|k| (k, share(k))).collect()
}

/// The number of classes that rank before the true one.
fn rank(truth: usize, predicted: usize, row: &[f32]) -> usize {
    if truth == predicted {
        return 0;
    }
    let is_before = |class: usize, probability: f32| {
        probability > row[truth] || (probability == row[truth] && class < truth)
    };
    let others = row.iter().enumerate().filter(|(class, _)| *class != predicted);
    1 + others.filter(|(class, probability)| is_before(*class, **probability)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two classes; the given scores of the second one and whether each example is of it.
    pub(crate) fn ranking(scores: &[(f32, bool)]) -> Ranking {
        let names = vec!["no".to_owned(), "yes".to_owned()];
        let truth: Vec<u32> = scores.iter().map(|(_, positive)| u32::from(*positive)).collect();
        let rows = scores.iter().flat_map(|(score, _)| [1.0 - score, *score]).collect();
        let loss = vec![0.0; scores.len()];
        Ranking::of_class(&Predictions::new(names, truth.clone(), truth, rows, loss).unwrap(), 1)
    }

    #[test]
    fn equal_scores_are_one_point_of_the_curve() {
        let ranking = ranking(&[(0.5, true), (0.9, true), (0.5, false), (0.0, false), (-0.0, true)]);
        let points: Vec<_> = ranking
            .operating_points()
            .map(|point| (point.threshold, point.true_positives, point.false_positives))
            .collect();
        assert_eq!(points, [(0.9, 1, 0), (0.5, 2, 1), (0.0, 3, 2)]);
        // Of six pairs, three are in order and two are ties.
        assert_eq!(ranking.area(), Ok(4.0 / 6.0));
    }

    #[test]
    fn a_resample_gives_the_area_of_the_copied_examples() {
        let whole = ranking(&[(0.5, true), (0.9, true), (0.5, false), (0.2, false), (0.1, true)]);
        assert_eq!(whole.resampled_order().area(&[1; 5]), whole.area().ok());
        let copied = ranking(&[(0.5, true), (0.5, true), (0.5, false), (0.2, false), (0.2, false)]);
        assert_eq!(whole.resampled_order().area(&[2, 0, 1, 2, 0]), copied.area().ok());
        assert_eq!(whole.resampled_order().area(&[2, 3, 0, 0, 0]), None);
    }

    #[test]
    fn positives_or_negatives_alone_have_no_area() {
        assert_eq!(ranking(&[(0.5, true)]).area(), Err(Reason::NoOtherExamples));
        assert_eq!(ranking(&[(0.5, false)]).area(), Err(Reason::NoExamples));
    }

    #[test]
    fn the_predicted_class_comes_first_and_ties_go_by_number() {
        let row = [0.2, 0.3, 0.3, 0.2];
        assert_eq!([0, 1, 2, 3].map(|truth| rank(truth, 2, &row)), [2, 1, 0, 3]);
    }

    #[test]
    fn only_k_below_the_number_of_classes_counts() {
        let names = ["a", "b", "c"].map(str::to_owned).to_vec();
        let predictions =
            Predictions::new(names, vec![0, 1], vec![0, 0], vec![0.5; 6], vec![0.0; 2]).unwrap();
        assert_eq!(top_k_accuracy(&predictions), BTreeMap::from([(1, 0.5)]));
    }
}
