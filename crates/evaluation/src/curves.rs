//! ROC and precision-recall curves of all classes, and their averages.

use kiln_files::csv_cell;
use rayon::prelude::*;
use serde::Serialize;

use crate::Predictions;
use crate::figures::{Defined, Reason, Sum, sum};
use crate::ranking::{OperatingPoint, Ranking};

/// The ROC curves: each class against the rest, and two averages. An undefined curve is `None`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RocCurves {
    /// One for each class, by number.
    pub classes: Vec<Option<RocCurve>>,
    /// The curve of all probabilities pooled.
    pub micro: Option<RocCurve>,
    /// The mean of the classes' curves.
    pub macro_average: Option<RocCurve>,
}

/// The precision-recall curves: each class against the rest, and all pooled. An undefined curve is `None`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PrecisionRecallCurves {
    /// One for each class, by number.
    pub classes: Vec<Option<PrecisionRecallCurve>>,
    /// The curve of all probabilities pooled.
    pub micro: Option<PrecisionRecallCurve>,
}

/// All curves, or why they are undefined.
pub(crate) struct Curves {
    roc: Vec<Result<RocCurve, Reason>>,
    micro_roc: Result<RocCurve, Reason>,
    macro_average: Result<RocCurve, Reason>,
    precision_recall: Vec<Result<PrecisionRecallCurve, Reason>>,
    micro_precision_recall: Result<PrecisionRecallCurve, Reason>,
}

impl Curves {
    /// `rankings` are those of the classes; `None` if some probabilities are NaN.
    pub(crate) fn new(predictions: &Predictions, rankings: Option<&[Ranking]>) -> Self {
        let Some(rankings) = rankings else { return Self::undefined(predictions.class_count()) };
        let macro_average = average_roc(rankings);
        let roc = rankings.par_iter().map(RocCurve::new).collect();
        let precision_recall = rankings.par_iter().map(PrecisionRecallCurve::new).collect();
        let pooled = Ranking::pooled(predictions);
        let (micro_roc, micro_precision_recall) =
            rayon::join(|| RocCurve::new(&pooled), || PrecisionRecallCurve::new(&pooled));
        Self { roc, micro_roc, macro_average, precision_recall, micro_precision_recall }
    }

    fn undefined(classes: usize) -> Self {
        Self {
            roc: vec![Err(Reason::NotFinite); classes],
            micro_roc: Err(Reason::NotFinite),
            macro_average: Err(Reason::NotFinite),
            precision_recall: vec![Err(Reason::NotFinite); classes],
            micro_precision_recall: Err(Reason::NotFinite),
        }
    }

    /// The area under each class's ROC curve.
    pub(crate) fn areas(&self) -> Vec<Defined> {
        self.roc.iter().map(area).collect()
    }

    /// The average precision of each class.
    pub(crate) fn average_precisions(&self) -> Vec<Defined> {
        self.precision_recall.iter().map(average_precision).collect()
    }

    /// The area under the ROC curve of all probabilities pooled.
    pub(crate) fn micro_area(&self) -> Defined {
        area(&self.micro_roc)
    }

    /// The area under the mean of the classes' ROC curves.
    pub(crate) fn average_area(&self) -> Defined {
        area(&self.macro_average)
    }

    /// The average precision of all probabilities pooled.
    pub(crate) fn micro_average_precision(&self) -> Defined {
        average_precision(&self.micro_precision_recall)
    }

    pub(crate) fn into_defined(self) -> (RocCurves, PrecisionRecallCurves) {
        let roc = RocCurves {
            classes: self.roc.into_iter().map(Result::ok).collect(),
            micro: self.micro_roc.ok(),
            macro_average: self.macro_average.ok(),
        };
        let precision_recall = PrecisionRecallCurves {
            classes: self.precision_recall.into_iter().map(Result::ok).collect(),
            micro: self.micro_precision_recall.ok(),
        };
        (roc, precision_recall)
    }
}

fn area(curve: &Result<RocCurve, Reason>) -> Defined {
    curve.as_ref().map(|curve| curve.auc).map_err(|reason| *reason)
}

fn average_precision(curve: &Result<PrecisionRecallCurve, Reason>) -> Defined {
    curve.as_ref().map(|curve| curve.average_precision).map_err(|reason| *reason)
}

impl RocCurves {
    /// The curves as CSV with the columns class, fpr, tpr and threshold. `micro avg` and `macro avg` follow the classes. The
    /// threshold of a curve's first point is `inf`, and is empty for the macro average.
    ///
    /// # Panics
    /// If `names` does not have a name for each class.
    #[must_use]
    pub fn to_csv(&self, names: &[String]) -> Vec<u8> {
        assert_eq!(names.len(), self.classes.len(), "a name for each class");
        let mut text = b"class,fpr,tpr,threshold\n".to_vec();
        let classes = names.iter().map(String::as_str).zip(&self.classes);
        for (name, curve) in classes.chain([("micro avg", &self.micro), ("macro avg", &self.macro_average)]) {
            if let Some(curve) = curve {
                append_rows(curve, &csv_cell(name), &mut text);
            }
        }
        text
    }
}

fn append_rows(curve: &RocCurve, name: &[u8], text: &mut Vec<u8>) {
    for (index, (fpr, tpr)) in curve.fpr.iter().zip(&curve.tpr).enumerate() {
        text.extend_from_slice(name);
        text.extend_from_slice(format!(",{fpr:?},{tpr:?},").as_bytes());
        if let Some(&threshold) = curve.thresholds.get(index) {
            // Scores have single precision, so this gives their shortest digits.
            text.extend_from_slice(format!("{:?}", threshold as f32).as_bytes());
        }
        text.push(b'\n');
    }
}

/// An ROC curve with the points of `sklearn.metrics.roc_curve` with its default `drop_intermediate=True`: points on a
/// straight line between others are left out.
///
/// A curve of more than 10,000 points is thinned to points at most 1/4000 apart; its area is computed before that.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RocCurve {
    /// False positive rates in [0, 1], rising: the share of the negatives that are predicted positive.
    pub fpr: Vec<f64>,
    /// True positive rates in [0, 1], rising: the share of the positives that are predicted positive.
    pub tpr: Vec<f64>,
    /// The lowest score that is predicted positive, falling; infinite (null in JSON) at the first point. Empty for a curve
    /// averaged over classes.
    pub thresholds: Vec<f64>,
    /// The area under the whole curve, in [0, 1].
    pub auc: f64,
}

impl RocCurve {
    pub(crate) fn new(ranking: &Ranking) -> Result<Self, Reason> {
        ranking.check()?;
        let corners = corners(ranking.operating_points());
        let rates = |point: &OperatingPoint| rates(ranking, point);
        Self::through(ranking, &thin(|| corners.iter().copied(), rates))
    }

    /// The curve through (0, 0) and these points.
    fn through(ranking: &Ranking, points: &[OperatingPoint]) -> Result<Self, Reason> {
        let mut curve =
            Self { fpr: vec![0.0], tpr: vec![0.0], thresholds: vec![f64::INFINITY], auc: ranking.area()? };
        for point in points {
            let [fpr, tpr] = rates(ranking, point);
            curve.fpr.push(fpr);
            curve.tpr.push(tpr);
            curve.thresholds.push(f64::from(point.threshold));
        }
        Ok(curve)
    }

    /// The curve with every threshold (`drop_intermediate=False`).
    #[cfg(test)]
    pub(crate) fn whole(ranking: &Ranking) -> Result<Self, Reason> {
        ranking.check()?;
        Self::through(ranking, &ranking.operating_points().collect::<Vec<_>>())
    }
}

/// False and true positive rate.
fn rates(ranking: &Ranking, point: &OperatingPoint) -> [f64; 2] {
    let fpr = f64::from(point.false_positives) / ranking.negatives() as f64;
    let tpr = f64::from(point.true_positives) / ranking.positives() as f64;
    [fpr, tpr]
}

/// The points without those where the curve continues straight, with the same step in both directions.
fn corners(points: impl Iterator<Item = OperatingPoint>) -> Vec<OperatingPoint> {
    let mut kept = Vec::new();
    let (mut before, mut here): (Option<OperatingPoint>, Option<OperatingPoint>) = (None, None);
    for next in points {
        kept.extend(here.filter(|here| before.is_none_or(|before| bends(&before, here, &next))));
        (before, here) = (here, Some(next));
    }
    kept.extend(here);
    kept
}

fn bends(before: &OperatingPoint, here: &OperatingPoint, next: &OperatingPoint) -> bool {
    let step = |of: fn(&OperatingPoint) -> u32| (of(here) - of(before), of(next) - of(here));
    let (first, second) = step(|point| point.false_positives);
    let (first_up, second_up) = step(|point| point.true_positives);
    first != second || first_up != second_up
}

/// The macro average of the classes' curves: at each false positive rate of any curve, the mean of all true positive rates,
/// interpolated linearly (scikit-learn's example "Multiclass receiver operating characteristic", with `numpy.interp`). A
/// point (0, 0) comes first.
///
/// At a vertical step, the interpolation takes the upper end. Therefore the area is slightly larger than the mean of the
/// classes' areas.
fn average_roc(rankings: &[Ranking]) -> Result<RocCurve, Reason> {
    let curves: Vec<CornerPoints> =
        rankings.par_iter().filter(|ranking| ranking.check().is_ok()).map(CornerPoints::new).collect();
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
    let auc = trapezoids(&grid, &heights);
    let points = || grid.iter().copied().zip(heights.iter().copied());
    let kept = thin(|| std::iter::once((0.0, 0.0)).chain(points()), |(fpr, tpr)| [*fpr, *tpr]);
    let (fpr, tpr) = kept.into_iter().unzip();
    Ok(RocCurve { fpr, tpr, thresholds: Vec::new(), auc })
}

/// The corners of a class's curve, beginning with (0, 0).
struct CornerPoints(Vec<[f64; 2]>);

impl CornerPoints {
    fn new(ranking: &Ranking) -> Self {
        let corners = corners(ranking.operating_points());
        let points = corners.iter().map(|point| rates(ranking, point));
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

/// The distinct false positive rates of all curves, rising.
fn merged(curves: &[CornerPoints]) -> Vec<f64> {
    let mut grid: Vec<f64> =
        curves.iter().flat_map(|CornerPoints(points)| points).map(|point| point[0]).collect();
    grid.par_sort_unstable_by(f64::total_cmp);
    grid.dedup();
    grid
}

/// The area by the trapezoidal rule.
fn trapezoids(x: &[f64], y: &[f64]) -> f64 {
    sum(x.windows(2).zip(y.windows(2)).map(|(x, y)| (x[1] - x[0]) * (y[0] + y[1]) / 2.0))
}

/// A precision-recall curve with the points of `sklearn.metrics.precision_recall_curve` in reverse order: recall rises,
/// thresholds fall.
///
/// A curve of more than 10,000 points is thinned to points at most 1/4000 apart; its average precision is computed before
/// that.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PrecisionRecallCurve {
    /// Precision in [0, 1]: the share of positive predictions that are correct; 1 at the first point.
    pub precision: Vec<f64>,
    /// Recall in [0, 1], rising: the share of the positives that are predicted positive; 0 at the first point.
    pub recall: Vec<f64>,
    /// The lowest score that is predicted positive, falling; infinite (null in JSON) at the first point.
    pub thresholds: Vec<f64>,
    /// The mean of the precisions, weighted by the increase in recall, in [0, 1]
    /// (`sklearn.metrics.average_precision_score`).
    pub average_precision: f64,
}

impl PrecisionRecallCurve {
    pub(crate) fn new(ranking: &Ranking) -> Result<Self, Reason> {
        let mut curve = Self {
            precision: vec![1.0],
            recall: vec![0.0],
            thresholds: vec![f64::INFINITY],
            average_precision: ranking_average_precision(ranking)?,
        };
        for point in thin(|| ranking.operating_points(), |point| [recall(ranking, point), precision(point)]) {
            curve.precision.push(precision(&point));
            curve.recall.push(recall(ranking, &point));
            curve.thresholds.push(f64::from(point.threshold));
        }
        Ok(curve)
    }
}

fn ranking_average_precision(ranking: &Ranking) -> Defined {
    if ranking.positives() == 0 {
        return Err(Reason::NoExamples);
    }
    let (mut total, mut before) = (Sum::default(), 0);
    for point in ranking.operating_points() {
        total.add(f64::from(point.true_positives - before) * precision(&point));
        before = point.true_positives;
    }
    Ok(total.value() / ranking.positives() as f64)
}

fn precision(point: &OperatingPoint) -> f64 {
    let predicted = f64::from(point.true_positives) + f64::from(point.false_positives);
    f64::from(point.true_positives) / predicted
}

fn recall(ranking: &Ranking, point: &OperatingPoint) -> f64 {
    f64::from(point.true_positives) / ranking.positives() as f64
}

/// A curve of at most this many points is not thinned.
const MAX_EXACT_POINTS: usize = 10_000;

/// The largest distance between kept points of a longer curve, along either axis in [0, 1].
const RESOLUTION: f64 = 1.0 / 4000.0;

/// Thins a curve of more than [`MAX_EXACT_POINTS`] points: keeps the first, the last, and enough others that each point left
/// out lies within [`RESOLUTION`] of a kept one.
///
/// `points` is called twice, once to count them, so that they need not be stored.
fn thin<T: Copy, I: Iterator<Item = T>>(points: impl Fn() -> I, position: impl Fn(&T) -> [f64; 2]) -> Vec<T> {
    if points().count() <= MAX_EXACT_POINTS {
        return points().collect();
    }
    let mut points = points();
    let mut kept: Vec<T> = points.next().into_iter().collect();
    let mut passed: Option<T> = None;
    for point in points {
        let last = kept.last().expect("a first point was kept");
        if let Some(before) = passed
            && is_far(position(last), position(&point))
        {
            kept.push(before);
        }
        passed = Some(point);
    }
    kept.extend(passed);
    kept
}

fn is_far(left: [f64; 2], right: [f64; 2]) -> bool {
    left.iter().zip(right).any(|(left, right)| (left - right).abs() > RESOLUTION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_names_the_curve_of_each_row() {
        let names = vec!["a, b".to_owned(), "c".to_owned(), "absent".to_owned()];
        let rows = vec![0.9, 0.1, 0.0, 0.2, 0.8, 0.0];
        let predictions =
            Predictions::new(names.clone(), vec![0, 1], vec![0, 1], rows, vec![0.0; 2]).unwrap();
        let rankings: Vec<Ranking> = (0..3).map(|class| Ranking::of_class(&predictions, class)).collect();
        let (roc, precision_recall) = Curves::new(&predictions, Some(&rankings)).into_defined();
        assert!(roc.classes[2].is_none() && precision_recall.classes[2].is_none());
        let text = String::from_utf8(roc.to_csv(&names)).unwrap();
        let starts =
            "class,fpr,tpr,threshold\n\"a, b\",0.0,0.0,inf\n\"a, b\",0.0,1.0,0.9\n\"a, b\",1.0,1.0,0.2\n";
        assert!(text.starts_with(starts), "{text}");
        assert!(text.ends_with("macro avg,0.0,0.0,\nmacro avg,0.0,1.0,\nmacro avg,1.0,1.0,\n"), "{text}");
        assert!(!text.contains("absent") && text.contains("micro avg,0.0,1.0,0.8\n"), "{text}");
    }

    fn operating_points(points: &[(u32, u32)]) -> Vec<OperatingPoint> {
        let point = |&(false_positives, true_positives)| OperatingPoint {
            threshold: 0.5,
            true_positives,
            false_positives,
        };
        points.iter().map(point).collect()
    }

    #[test]
    fn straight_stretches_are_left_out() {
        let points = [(0, 1), (0, 2), (0, 3), (1, 3), (2, 3), (3, 4), (5, 6)];
        let expected = [(0, 1), (0, 3), (2, 3), (3, 4), (5, 6)];
        assert_eq!(corners(operating_points(&points).into_iter()), operating_points(&expected));
        for short in [&points[..0], &points[..1], &points[..2]] {
            assert_eq!(corners(operating_points(short).into_iter()), operating_points(short));
        }
    }

    #[test]
    fn heights_are_interpolated_and_a_rise_counts_with_its_upper_end() {
        let curve = CornerPoints(vec![[0.0, 0.0], [0.0, 0.5], [0.5, 0.5], [0.5, 0.75], [1.0, 1.0]]);
        let mut heights = [0.0; 5];
        curve.add_heights(&[0.0, 0.25, 0.5, 0.75, 1.0], &mut heights);
        assert_eq!(heights, [0.5, 0.5, 0.75, 0.875, 1.0]);
    }

    #[test]
    fn an_average_without_a_curve_is_undefined() {
        assert_eq!(average_roc(&[]), Err(Reason::NoClassDefined));
    }

    fn curve(truth: Vec<u32>, scores: &[f32]) -> Result<PrecisionRecallCurve, Reason> {
        let names = vec!["no".to_owned(), "yes".to_owned()];
        let rows = scores.iter().flat_map(|score| [1.0 - score, *score]).collect();
        let loss = vec![0.0; scores.len()];
        let predictions = Predictions::new(names, truth.clone(), truth, rows, loss).unwrap();
        PrecisionRecallCurve::new(&Ranking::of_class(&predictions, 1))
    }

    #[test]
    fn the_figures_equal_those_of_scikit_learns_example() {
        let curve = curve(vec![0, 0, 1, 1], &[0.1, 0.4, 0.35, 0.8]).unwrap();
        assert_eq!(curve.recall, [0.0, 0.5, 0.5, 1.0, 1.0]);
        assert_eq!(curve.precision, [1.0, 1.0, 0.5, 2.0 / 3.0, 0.5]);
        assert!((curve.average_precision - 0.833_333_333_333_333_4).abs() < 1e-15);
    }

    #[test]
    fn without_positives_there_is_no_curve() {
        assert_eq!(curve(vec![0, 0], &[0.1, 0.4]), Err(Reason::NoExamples));
        assert_eq!(curve(vec![1, 1], &[0.1, 0.4]).unwrap().average_precision, 1.0);
    }

    /// A quarter circle, up and to the right.
    fn arc(points: usize) -> Vec<[f64; 2]> {
        let angle = |index: usize| std::f64::consts::FRAC_PI_2 * index as f64 / (points - 1) as f64;
        (0..points).map(|index| [1.0 - angle(index).cos(), angle(index).sin()]).collect()
    }

    #[test]
    fn short_curves_are_not_thinned() {
        let arc = arc(MAX_EXACT_POINTS);
        assert_eq!(thin(|| arc.iter().copied(), |point| *point), arc);
        assert!(thin(std::iter::empty::<[f64; 2]>, |point| *point).is_empty());
    }

    #[test]
    fn thinned_curves_stay_close_to_the_original() {
        let arc = arc(300_000);
        let kept = thin(|| arc.iter().copied(), |point| *point);
        assert!(kept.len() < MAX_EXACT_POINTS, "{}", kept.len());
        assert_eq!((kept[0], kept.last()), (arc[0], arc.last().copied().as_ref()));
        for pair in kept.windows(2) {
            assert!(!is_far(pair[0], pair[1]), "{pair:?}");
        }
    }
}
