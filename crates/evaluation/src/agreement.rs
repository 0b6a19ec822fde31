//! How far predictions agree with the truth beyond what chance gives.

use crate::confusion::ClassCounts;
use crate::undefined::{Defined, Reason};

/// Sums over the confusion matrix from which kappa and the correlation follow, without rounding.
struct Sums {
    examples: i128,
    correct: i128,
    /// Sum over classes of examples times predictions.
    chance: i128,
    /// Sum over classes of the square of the examples.
    truth: i128,
    /// Sum over classes of the square of the predictions.
    predicted: i128,
}

impl Sums {
    fn new(counts: &[ClassCounts]) -> Self {
        let sum = |of: &dyn Fn(&ClassCounts) -> i128| counts.iter().map(of).sum();
        Self {
            examples: sum(&|class| class.support.into()),
            correct: sum(&|class| class.hits.into()),
            chance: sum(&|class| i128::from(class.support) * i128::from(class.predicted)),
            truth: sum(&|class| i128::from(class.support).pow(2)),
            predicted: sum(&|class| i128::from(class.predicted).pow(2)),
        }
    }
}

/// Cohen's kappa (Cohen 1960; `sklearn.metrics.cohen_kappa_score`), in [-1, 1]: 0 for chance, 1 for perfect
/// agreement.
pub(crate) fn cohen_kappa(counts: &[ClassCounts]) -> Defined {
    let Sums { examples, correct, chance, .. } = Sums::new(counts);
    let expected_errors = examples * examples - chance;
    if expected_errors == 0 {
        return Err(Reason::AllTrueAlike);
    }
    Ok(1.0 - (examples * (examples - correct)) as f64 / expected_errors as f64)
}

/// The correlation of Matthews for several classes (Gorodkin 2004; `sklearn.metrics.matthews_corrcoef`), in
/// [-1, 1]. Where all examples or all predictions are of one class it is 0 / 0, for which scikit-learn gives
/// 0, as the figure does.
pub(crate) fn matthews_correlation(counts: &[ClassCounts]) -> Defined {
    let Sums { examples, correct, chance, truth, predicted } = Sums::new(counts);
    let square = examples * examples;
    if square == truth {
        return Err(Reason::AllTrueAlike);
    }
    if square == predicted {
        return Err(Reason::AllPredictedAlike);
    }
    let spread = ((square - truth) as f64 * (square - predicted) as f64).sqrt();
    Ok((correct * examples - chance) as f64 / spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(entries: &[(u64, u64, u64)]) -> Vec<ClassCounts> {
        entries.iter().map(|&(hits, support, predicted)| ClassCounts { hits, support, predicted }).collect()
    }

    #[test]
    fn cohens_own_kind_of_example() {
        // 20 and 15 of 50 agreed on, margins 25 to 25 and 30 to 20: observed 0.7, by chance 0.5.
        let counts = counts(&[(20, 25, 30), (15, 25, 20)]);
        assert!((cohen_kappa(&counts).unwrap() - 0.4).abs() < 1e-15);
    }

    #[test]
    fn one_class_alone_leaves_nothing_to_agree_on() {
        let one = counts(&[(5, 5, 5), (0, 0, 0)]);
        assert_eq!(cohen_kappa(&one), Err(Reason::AllTrueAlike));
        assert_eq!(matthews_correlation(&one), Err(Reason::AllTrueAlike));
        let collapsed = counts(&[(5, 5, 8), (0, 3, 0)]);
        assert_eq!(cohen_kappa(&collapsed), Ok(0.0));
        assert_eq!(matthews_correlation(&collapsed), Err(Reason::AllPredictedAlike));
    }

    #[test]
    fn a_billion_examples_do_not_overflow() {
        let counts = counts(&[(1 << 29, 1 << 29, 1 << 29), (1 << 29, 1 << 29, 1 << 29)]);
        assert_eq!((cohen_kappa(&counts), matthews_correlation(&counts)), (Ok(1.0), Ok(1.0)));
    }
}
