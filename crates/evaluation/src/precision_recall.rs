//! The precision-recall curve: how pure what is caught is, over all thresholds.

use serde::Serialize;

use crate::ranking::{Cut, Ranking};
use crate::sum::Sum;
use crate::thinning::thin;
use crate::undefined::{Defined, Reason};

/// A precision-recall curve with the points of `sklearn.metrics.precision_recall_curve`, in the other order:
/// recall rises, thresholds fall.
///
/// A curve of more than 10,000 points is thinned to points at most 1/4000 apart; its average precision is not.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PrecisionRecallCurve {
    /// Precision in [0, 1]: the share of those called positive that are; 1 at the first point.
    pub precision: Vec<f64>,
    /// Recall in [0, 1], rising: the share of the positives called positive; 0 at the first point.
    pub recall: Vec<f64>,
    /// The score from which on examples are called positive, falling; infinite (null in JSON) at the first
    /// point.
    pub thresholds: Vec<f64>,
    /// The mean of the precisions, each weighted by the rise of recall to it, in [0, 1]
    /// (`sklearn.metrics.average_precision_score`).
    pub average_precision: f64,
}

impl PrecisionRecallCurve {
    pub(crate) fn new(ranking: &Ranking) -> Result<Self, Reason> {
        let mut curve = Self {
            precision: vec![1.0],
            recall: vec![0.0],
            thresholds: vec![f64::INFINITY],
            average_precision: average_precision(ranking)?,
        };
        for cut in thin(|| ranking.cuts(), |cut| [recall(ranking, cut), precision(cut)]) {
            curve.precision.push(precision(&cut));
            curve.recall.push(recall(ranking, &cut));
            curve.thresholds.push(f64::from(cut.threshold));
        }
        Ok(curve)
    }
}

fn average_precision(ranking: &Ranking) -> Defined {
    if ranking.positives() == 0 {
        return Err(Reason::NoExamples);
    }
    let (mut total, mut before) = (Sum::default(), 0);
    for cut in ranking.cuts() {
        total.add(f64::from(cut.true_positives - before) * precision(&cut));
        before = cut.true_positives;
    }
    Ok(total.value() / ranking.positives() as f64)
}

fn precision(cut: &Cut) -> f64 {
    let called = f64::from(cut.true_positives) + f64::from(cut.false_positives);
    f64::from(cut.true_positives) / called
}

fn recall(ranking: &Ranking, cut: &Cut) -> f64 {
    f64::from(cut.true_positives) / ranking.positives() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Predictions;

    fn curve(truth: Vec<u32>, scores: &[f32]) -> Result<PrecisionRecallCurve, Reason> {
        let names = vec!["no".to_owned(), "yes".to_owned()];
        let rows = scores.iter().flat_map(|score| [1.0 - score, *score]).collect();
        let loss = vec![0.0; scores.len()];
        let predictions = Predictions::new(names, truth.clone(), truth, rows, loss).unwrap();
        PrecisionRecallCurve::new(&Ranking::of_class(&predictions, 1))
    }

    #[test]
    fn scikit_learns_own_example() {
        let curve = curve(vec![0, 0, 1, 1], &[0.1, 0.4, 0.35, 0.8]).unwrap();
        assert_eq!(curve.recall, [0.0, 0.5, 0.5, 1.0, 1.0]);
        assert_eq!(curve.precision, [1.0, 1.0, 0.5, 2.0 / 3.0, 0.5]);
        assert!((curve.average_precision - 0.833_333_333_333_333_4).abs() < 1e-15);
    }

    #[test]
    fn without_positives_there_is_none() {
        assert_eq!(curve(vec![0, 0], &[0.1, 0.4]), Err(Reason::NoExamples));
        assert_eq!(curve(vec![1, 1], &[0.1, 0.4]).unwrap().average_precision, 1.0);
    }
}
