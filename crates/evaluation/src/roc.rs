//! The ROC curve: what is caught against what is falsely called, over all thresholds.

use serde::Serialize;

use crate::ranking::{Cut, Ranking};
use crate::thinning::thin;
use crate::undefined::Reason;

/// A receiver operating characteristic, as `sklearn.metrics.roc_curve` gives it with its default
/// `drop_intermediate=True`: points on a straight line between others are left out.
///
/// A curve of more than 10,000 points is thinned to points at most 1/4000 apart; its area is not.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RocCurve {
    /// False positive rates in [0, 1], rising: the share of the negatives called positive.
    pub fpr: Vec<f64>,
    /// True positive rates in [0, 1], rising: the share of the positives called positive.
    pub tpr: Vec<f64>,
    /// The score from which on examples are called positive, falling; infinite (null in JSON) at the first
    /// point, where none is. Empty for a curve averaged over classes.
    pub thresholds: Vec<f64>,
    /// The area under the whole curve, in [0, 1].
    pub auc: f64,
}

impl RocCurve {
    pub(crate) fn new(ranking: &Ranking) -> Result<Self, Reason> {
        ranking.check()?;
        let corners = corners(ranking.cuts());
        let rates = |cut: &Cut| rates(ranking, cut);
        Self::through(ranking, &thin(|| corners.iter().copied(), rates))
    }

    /// The curve through (0, 0) and these points.
    fn through(ranking: &Ranking, cuts: &[Cut]) -> Result<Self, Reason> {
        let mut curve =
            Self { fpr: vec![0.0], tpr: vec![0.0], thresholds: vec![f64::INFINITY], auc: ranking.area()? };
        for cut in cuts {
            let [fpr, tpr] = rates(ranking, cut);
            curve.fpr.push(fpr);
            curve.tpr.push(tpr);
            curve.thresholds.push(f64::from(cut.threshold));
        }
        Ok(curve)
    }

    /// The curve with every threshold (`drop_intermediate=False`).
    #[cfg(test)]
    pub(crate) fn whole(ranking: &Ranking) -> Result<Self, Reason> {
        ranking.check()?;
        Self::through(ranking, &ranking.cuts().collect::<Vec<_>>())
    }
}

/// False and true positive rate.
pub(crate) fn rates(ranking: &Ranking, cut: &Cut) -> [f64; 2] {
    let fpr = f64::from(cut.false_positives) / ranking.negatives() as f64;
    let tpr = f64::from(cut.true_positives) / ranking.positives() as f64;
    [fpr, tpr]
}

/// The cuts without those where the curve goes straight on: the same step again in both directions.
pub(crate) fn corners(cuts: impl Iterator<Item = Cut>) -> Vec<Cut> {
    let mut kept = Vec::new();
    let (mut before, mut here): (Option<Cut>, Option<Cut>) = (None, None);
    for next in cuts {
        kept.extend(here.filter(|here| before.is_none_or(|before| bends(&before, here, &next))));
        (before, here) = (here, Some(next));
    }
    kept.extend(here);
    kept
}

fn bends(before: &Cut, here: &Cut, next: &Cut) -> bool {
    let step = |of: fn(&Cut) -> u32| (of(here) - of(before), of(next) - of(here));
    let (first, second) = step(|cut| cut.false_positives);
    let (first_up, second_up) = step(|cut| cut.true_positives);
    first != second || first_up != second_up
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cuts(points: &[(u32, u32)]) -> Vec<Cut> {
        let cut =
            |&(false_positives, true_positives)| Cut { threshold: 0.5, true_positives, false_positives };
        points.iter().map(cut).collect()
    }

    #[test]
    fn straight_stretches_are_left_out() {
        let points = [(0, 1), (0, 2), (0, 3), (1, 3), (2, 3), (3, 4), (5, 6)];
        let expected = [(0, 1), (0, 3), (2, 3), (3, 4), (5, 6)];
        assert_eq!(corners(cuts(&points).into_iter()), cuts(&expected));
        for short in [&points[..0], &points[..1], &points[..2]] {
            assert_eq!(corners(cuts(short).into_iter()), cuts(short));
        }
    }
}
