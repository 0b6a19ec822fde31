//! Confusion matrix, ROC, precision-recall and reliability.

use kiln_plot::{Axis, CellFormat, LineChart, Matrix, Reliability, ReliabilityBin, Series};

use super::Sketch;
use crate::{Confusion, Evaluation, Interval, PrecisionRecallCurves, RocCurves};

/// Every picture that an evaluation can have.
pub(super) const NAMES: [&str; 5] =
    ["confusion_matrix", "confusion_rates", "roc", "precision_recall", "reliability"];

/// A matrix of more classes is no picture any more.
const MOST_CLASSES: usize = 100;
/// With more curves than this none can be told from another: the averages then stand alone.
const MOST_CURVES: usize = 20;

pub(super) fn sketches(evaluation: &Evaluation) -> Vec<(&'static str, Sketch)> {
    let mut sketches = Vec::new();
    if evaluation.confusion.classes.len() <= MOST_CLASSES {
        let [counts, rates] = matrices(&evaluation.confusion);
        sketches.push(("confusion_matrix", Sketch::Matrix(counts)));
        sketches.push(("confusion_rates", Sketch::Matrix(rates)));
    }
    let names = &evaluation.confusion.classes;
    let charts = [
        ("roc", roc(&evaluation.roc, names)),
        ("precision_recall", precision_recall(&evaluation.precision_recall, names)),
    ];
    let defined = charts.into_iter().filter(|(_, chart)| !chart.series.is_empty());
    sketches.extend(defined.map(|(name, chart)| (name, Sketch::Lines(chart))));
    if let Some(bins) = &evaluation.metrics.reliability {
        let bins = bins.iter().map(|bin| ReliabilityBin {
            lower: bin.lower,
            upper: bin.upper,
            examples: bin.examples,
            confidence: bin.confidence,
            accuracy: bin.accuracy,
            interval: bin.accuracy.map(|accuracy| {
                let right = (accuracy * bin.examples as f64).round() as u64;
                let Interval { lower, upper } = Interval::of_share(right, bin.examples);
                (lower, upper)
            }),
        });
        let diagram = Reliability { title: "Reliability".to_owned(), bins: bins.collect() };
        sketches.push(("reliability", Sketch::Reliability(diagram)));
    }
    sketches
}

/// Counts, and shares of the row.
fn matrices(confusion: &Confusion) -> [Matrix; 2] {
    let matrix = |title: &str, format, cell: fn(u64, u64) -> f64| Matrix {
        title: title.to_owned(),
        row_label: "true class".to_owned(),
        column_label: "predicted class".to_owned(),
        names: confusion.classes.clone(),
        cells: confusion
            .counts
            .iter()
            .map(|row| row.iter().map(|&count| cell(count, row.iter().sum())).collect())
            .collect(),
        format,
    };
    [
        matrix("Confusion matrix", CellFormat::Count, |count, _| count as f64),
        // A class without examples has no shares: 0 / 0 leaves its row without colour.
        matrix("Confusion matrix, shares of the true class", CellFormat::Rate, |count, total| {
            count as f64 / total as f64
        }),
    ]
}

fn roc(curves: &RocCurves, names: &[String]) -> LineChart {
    let points = |curve: &crate::RocCurve| curve.fpr.iter().copied().zip(curve.tpr.iter().copied()).collect();
    let averages = [("macro average", &curves.macro_average), ("micro average", &curves.micro)];
    let series = all(names, &curves.classes, averages).map(|(index, name, curve)| {
        Series::new(format!("{name} (AUC {:.4})", curve.auc), index, points(curve))
    });
    let axes = [Axis::unit("false positive rate"), Axis::unit("true positive rate")];
    let title = match names {
        [_, positive] => format!("ROC of {positive}"),
        _ => "ROC, one class against the rest".to_owned(),
    };
    chart(&title, axes, series.collect()).with_diagonal("chance")
}

fn precision_recall(curves: &PrecisionRecallCurves, names: &[String]) -> LineChart {
    let points = |curve: &crate::PrecisionRecallCurve| {
        curve.recall.iter().copied().zip(curve.precision.iter().copied()).collect()
    };
    let series =
        all(names, &curves.classes, [("micro average", &curves.micro)]).map(|(index, name, curve)| {
            Series::new(format!("{name} (AP {:.4})", curve.average_precision), index, points(curve))
        });
    let title = match names {
        [_, positive] => format!("Precision and recall of {positive}"),
        _ => "Precision and recall".to_owned(),
    };
    chart(&title, [Axis::unit("recall"), Axis::unit("precision")], series.collect())
}

fn chart(title: &str, [x, y]: [Axis; 2], series: Vec<Series>) -> LineChart {
    LineChart::new(title, x, y, series).square()
}

/// The curves that are defined, the classes' first, each with a number for its style and a name. Of two classes the second
/// alone: the first one's says the same, and so would their averages.
fn all<'a, T, const N: usize>(
    names: &'a [String],
    classes: &'a [Option<T>],
    averages: [(&'a str, &'a Option<T>); N],
) -> impl Iterator<Item = (usize, &'a str, &'a T)> {
    let shown = if classes.len() <= MOST_CURVES { classes } else { &[] };
    let is_binary = names.len() == 2;
    let classes = names.iter().map(String::as_str).zip(shown).skip(usize::from(is_binary));
    let averages = averages.into_iter().filter(move |_| !is_binary);
    let curves = classes.chain(averages).enumerate();
    curves.filter_map(|(index, (name, curve))| Some((index, name, curve.as_ref()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EvaluationSettings, Predictions};

    fn evaluation(probabilities: Vec<f32>) -> Evaluation {
        let names = vec!["cat".to_owned(), "dog".to_owned(), "absent".to_owned()];
        let predictions =
            Predictions::new(names, vec![0, 1], vec![0, 0], probabilities, vec![0.5; 2]).unwrap();
        Evaluation::new(&predictions, &EvaluationSettings { resamples: 0, ..Default::default() }).unwrap()
    }

    #[test]
    fn what_is_undefined_is_left_out() {
        let sketches = sketches(&evaluation(vec![0.8, 0.2, 0.0, 0.6, 0.4, 0.0]));
        let names: Vec<&str> = sketches.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, NAMES);
        let Sketch::Lines(roc) = &sketches[2].1 else { panic!("curves are lines") };
        let legend: Vec<&str> = roc.series.iter().map(|series| series.name.as_str()).collect();
        assert_eq!(legend.len(), 4, "{legend:?}");
        assert!(!legend.iter().any(|name| name.contains("absent")));
        for (name, sketch) in sketches {
            assert!(sketch.draw(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn two_classes_have_one_curve() {
        let names = vec!["no".to_owned(), "yes".to_owned()];
        let predictions =
            Predictions::new(names, vec![0, 1], vec![0, 0], vec![0.8, 0.2, 0.6, 0.4], vec![0.5; 2]).unwrap();
        let settings = EvaluationSettings { resamples: 0, ..Default::default() };
        let sketches = sketches(&Evaluation::new(&predictions, &settings).unwrap());
        let charts = sketches.iter().filter_map(|(_, sketch)| match sketch {
            Sketch::Lines(chart) => Some((chart.title.as_str(), chart.series.len())),
            _ => None,
        });
        assert_eq!(charts.collect::<Vec<_>>(), [("ROC of yes", 1), ("Precision and recall of yes", 1)]);
    }

    #[test]
    fn a_model_that_diverged_has_a_confusion_matrix_alone() {
        let sketches = sketches(&evaluation(vec![f32::NAN; 6]));
        assert_eq!(sketches.len(), 2);
    }
}
