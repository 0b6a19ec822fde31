//! Precision, recall and F1 of each class, and their means.

use crate::confusion::ClassCounts;
use crate::undefined::{Defined, Reason};

/// Precision, recall and F1 of a class as `sklearn.metrics.precision_recall_fscore_support` gives them: what is 0 / 0 is 0,
/// and a class that is neither among the examples nor ever predicted has none, and does not count in means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ClassScores {
    /// The share of those predicted to be of the class that are.
    pub(crate) precision: Defined,
    /// The share of the class that is predicted to be of it.
    pub(crate) recall: Defined,
    /// The harmonic mean of both: 2 hits / (examples + predicted).
    pub(crate) f1: Defined,
}

impl ClassScores {
    pub(crate) fn new(counts: &ClassCounts) -> Self {
        let ClassCounts { hits, support, predicted } = *counts;
        if support + predicted == 0 {
            let none = Err(Reason::NeitherTrueNorPredicted);
            return Self { precision: none, recall: none, f1: none };
        }
        // Without any, there are no hits.
        let share = |whole: u64| Ok(hits as f64 / whole.max(1) as f64);
        let f1 = Ok((2 * hits) as f64 / (support + predicted) as f64);
        Self { precision: share(predicted), recall: share(support), f1 }
    }

    /// Which of them is 0 because it is 0 / 0, and why.
    pub(crate) fn by_convention(counts: &ClassCounts) -> Option<(&'static str, Reason)> {
        match (counts.support, counts.predicted) {
            (0, 0) => None,
            (_, 0) => Some(("precision", Reason::NeverPredicted)),
            (0, _) => Some(("recall", Reason::NoExamples)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nothing_of_nothing_is_0_and_says_why() {
        let counts = |hits, support, predicted| ClassCounts { hits, support, predicted };
        let scores = |hits, support, predicted| ClassScores::new(&counts(hits, support, predicted));
        let usual = scores(2, 4, 3);
        assert_eq!((usual.precision, usual.recall, usual.f1), (Ok(2.0 / 3.0), Ok(0.5), Ok(4.0 / 7.0)));
        assert_eq!((scores(0, 4, 0).precision, scores(0, 4, 0).f1), (Ok(0.0), Ok(0.0)));
        assert_eq!((scores(0, 0, 3).recall, scores(0, 0, 3).f1), (Ok(0.0), Ok(0.0)));
        assert_eq!(scores(0, 0, 0).f1, Err(Reason::NeitherTrueNorPredicted));
        let by_convention = [counts(2, 4, 3), counts(0, 4, 0), counts(0, 0, 3), counts(0, 0, 0)]
            .map(|counts| ClassScores::by_convention(&counts));
        let expected =
            [None, Some(("precision", Reason::NeverPredicted)), Some(("recall", Reason::NoExamples)), None];
        assert_eq!(by_convention, expected);
    }
}
