//! Precision, recall and F1 of each class, and their means.

use crate::confusion::ClassCounts;
use crate::undefined::{Defined, Reason};

/// Precision, recall and F1 of a class as `sklearn.metrics.precision_recall_fscore_support` defines them
/// with `zero_division=nan`: what is 0 / 0 has no value.
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
        Self {
            precision: ratio(hits, predicted, Reason::NeverPredicted),
            recall: ratio(hits, support, Reason::NoExamples),
            f1: ratio(2 * hits, support + predicted, Reason::NeitherTrueNorPredicted),
        }
    }
}

/// `part / whole`, or `reason` where that is 0 / 0.
pub(crate) fn ratio(part: u64, whole: u64, reason: Reason) -> Defined {
    if whole == 0 { Err(reason) } else { Ok(part as f64 / whole as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nothing_of_nothing_says_why() {
        let scores = |hits, support, predicted| ClassScores::new(&ClassCounts { hits, support, predicted });
        let usual = scores(2, 4, 3);
        assert_eq!((usual.precision, usual.recall, usual.f1), (Ok(2.0 / 3.0), Ok(0.5), Ok(4.0 / 7.0)));
        assert_eq!(scores(0, 4, 0).precision, Err(Reason::NeverPredicted));
        assert_eq!((scores(0, 0, 3).recall, scores(0, 0, 3).f1), (Err(Reason::NoExamples), Ok(0.0)));
        assert_eq!(scores(0, 0, 0).f1, Err(Reason::NeitherTrueNorPredicted));
    }
}
