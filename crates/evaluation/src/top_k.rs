//! How often the true class is among the first few.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::Predictions;

/// The numbers of first classes that are looked at, as far as there are more classes than that.
const FIRST: [usize; 3] = [1, 3, 5];

/// The share of examples whose true class is among the k first, by k (`sklearn.metrics.top_k_accuracy_score`).
///
/// The predicted class comes first, so that k = 1 is the accuracy; the others follow by probability, the
/// lower number first where two are equal (scikit-learn puts the higher one first).
pub(crate) fn top_k_accuracy(predictions: &Predictions) -> BTreeMap<usize, f64> {
    let examples: Vec<_> = predictions.examples().collect();
    let ranks: Vec<usize> =
        examples.par_iter().map(|&(truth, predicted, row)| rank(truth, predicted, row)).collect();
    let share = |k: usize| ranks.iter().filter(|rank| **rank < k).count() as f64 / ranks.len() as f64;
    FIRST.into_iter().filter(|&k| k < predictions.class_count()).map(|k| (k, share(k))).collect()
}

/// How many classes come before the true one.
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

    #[test]
    fn the_predicted_class_comes_first_and_ties_go_by_number() {
        let row = [0.2, 0.3, 0.3, 0.2];
        assert_eq!([0, 1, 2, 3].map(|truth| rank(truth, 2, &row)), [2, 1, 0, 3]);
    }

    #[test]
    fn only_fewer_than_all_classes_say_something() {
        let names = ["a", "b", "c"].map(str::to_owned).to_vec();
        let predictions =
            Predictions::new(names, vec![0, 1], vec![0, 0], vec![0.5; 6], vec![0.0; 2]).unwrap();
        assert_eq!(top_k_accuracy(&predictions), BTreeMap::from([(1, 0.5)]));
    }
}
