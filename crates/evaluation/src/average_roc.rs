//! One ROC curve for all classes: the mean height of theirs.

use rayon::prelude::*;

use crate::ranking::Ranking;
use crate::roc::{RocCurve, corners, rates};
use crate::sum::sum;
use crate::thinning::thin;
use crate::undefined::Reason;

/// The macro average of the classes' curves: at each false positive rate that one of them has, the mean of
/// their true positive rates, interpolated linearly (scikit-learn's example "Multiclass receiver operating
/// characteristic", with `numpy.interp`). A point (0, 0) is put first.
///
/// Where a curve goes straight up, interpolation takes the upper end, so that the area is a little above the
/// mean of the classes' areas.
pub(crate) fn average_roc(rankings: &[Ranking]) -> Result<RocCurve, Reason> {
    let curves: Vec<Points> =
        rankings.par_iter().filter(|ranking| ranking.check().is_ok()).map(Points::new).collect();
    if curves.is_empty() {
        return Err(Reason::NoClassDefined);
    }
    let grid = merged(&curves);
    let mut heights = vec![0.0; grid.len()];
    for curve in &curves {
        curve.add_heights(&grid, &mut heights);
    }
    for height in &mut heights {
        *height /= curves.len() as f64;
    }
    let auc = area(&grid, &heights);
    let points = || grid.iter().copied().zip(heights.iter().copied());
    let kept = thin(|| std::iter::once((0.0, 0.0)).chain(points()), |(fpr, tpr)| [*fpr, *tpr]);
    let (fpr, tpr) = kept.into_iter().unzip();
    Ok(RocCurve { fpr, tpr, thresholds: Vec::new(), auc })
}

/// The corners of a class's curve, (0, 0) first.
struct Points(Vec<[f64; 2]>);

impl Points {
    fn new(ranking: &Ranking) -> Self {
        let corners = corners(ranking.cuts());
        let points = corners.iter().map(|cut| rates(ranking, cut));
        Self(std::iter::once([0.0, 0.0]).chain(points).collect())
    }

    /// Adds the curve's height at each point of a rising `grid` to `heights`.
    fn add_heights(&self, grid: &[f64], heights: &mut [f64]) {
        let Self(points) = self;
        let mut at = 0;
        for (&x, height) in grid.iter().zip(heights) {
            while points.get(at + 1).is_some_and(|next| next[0] <= x) {
                at += 1;
            }
            let [left, low] = points[at];
            *height += match points.get(at + 1) {
                Some([right, high]) if x > left => (high - low) / (right - left) * (x - left) + low,
                _ => low,
            };
        }
    }
}

/// The false positive rates of all curves, each once, rising.
fn merged(curves: &[Points]) -> Vec<f64> {
    let mut grid: Vec<f64> = curves.iter().flat_map(|Points(points)| points).map(|point| point[0]).collect();
    grid.par_sort_unstable_by(f64::total_cmp);
    grid.dedup();
    grid
}

/// The area by trapezoids.
fn area(x: &[f64], y: &[f64]) -> f64 {
    sum(x.windows(2).zip(y.windows(2)).map(|(x, y)| (x[1] - x[0]) * (y[0] + y[1]) / 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_are_interpolated_and_a_rise_counts_with_its_upper_end() {
        let curve = Points(vec![[0.0, 0.0], [0.0, 0.5], [0.5, 0.5], [0.5, 0.75], [1.0, 1.0]]);
        let mut heights = [0.0; 5];
        curve.add_heights(&[0.0, 0.25, 0.5, 0.75, 1.0], &mut heights);
        assert_eq!(heights, [0.5, 0.5, 0.75, 0.875, 1.0]);
    }

    #[test]
    fn no_curve_no_average() {
        assert_eq!(average_roc(&[]), Err(Reason::NoClassDefined));
    }
}
