//! The plots of a run and of its evaluation, as SVG and PNG.
//! ---
//! Loss and accuracy by epoch.
//! ---
//! What was measured between epochs: the learning rate and, of each layer, gradients and idle units.
//! ---
//! Confusion matrix, ROC, precision-recall and reliability.
//! ---

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use kiln_artifacts::{Best, MetricRow, Scope, replace_file};
use kiln_diagnosis::layers;
use kiln_plot::{Axis, CellFormat, LineChart, Matrix, PlotError, Reliability, ReliabilityBin, Series};
use rayon::prelude::*;

use crate::evaluator::remove_if_there;
use crate::{
    ConfidenceInterval, ConfusionMatrix, Evaluation, EvaluationError, PrecisionRecallCurves, RocCurves,
};

/// A plot in both forms.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    /// File name without its ending.
    pub(crate) name: &'static str,
    pub(crate) svg: String,
    pub(crate) png: Vec<u8>,
}

/// A plot that is not drawn yet.
enum Sketch {
    Lines(kiln_plot::LineChart),
    Matrix(kiln_plot::Matrix),
    Reliability(Reliability),
}

/// Loss and accuracy by epoch, with the best one marked.
pub(crate) fn epoch_pictures(
    rows: &[MetricRow],
    best: Option<&Best>,
    place: &Path,
) -> Result<Vec<Plot>, EvaluationError> {
    draw(epoch_sketches(rows, best), place)
}

/// Confusion matrix, ROC, precision-recall and reliability, as far as they are defined.
pub(crate) fn evaluation_pictures(
    evaluation: &Evaluation,
    place: &Path,
) -> Result<Vec<Plot>, EvaluationError> {
    draw(score_sketches(evaluation), place)
}

/// Removes those of the pictures of an evaluation from `folder` that `pictures` has not.
pub(crate) fn remove_others(pictures: &[Plot], folder: &Path) -> Result<(), EvaluationError> {
    for name in
        EVALUATION_PLOTS.into_iter().filter(|name| pictures.iter().all(|picture| picture.name != *name))
    {
        for ending in ["svg", "png"] {
            remove_if_there(&folder.join(name).with_extension(ending))?;
        }
    }
    Ok(())
}

/// Writes `pictures` into `folder` and returns the files.
pub(crate) fn write(pictures: &[Plot], folder: &Path) -> Result<Vec<PathBuf>, EvaluationError> {
    if pictures.is_empty() {
        return Ok(Vec::new());
    }
    fs::create_dir_all(folder).map_err(|cause| EvaluationError::Io {
        action: "create",
        path: folder.to_owned(),
        cause,
    })?;
    let mut written = Vec::new();
    for picture in pictures {
        for (ending, bytes) in [("svg", picture.svg.as_bytes()), ("png", &picture.png)] {
            let path = folder.join(picture.name).with_extension(ending);
            replace_file(&path, bytes)?;
            written.push(path);
        }
    }
    Ok(written)
}

fn draw(sketches: Vec<(&'static str, Sketch)>, place: &Path) -> Result<Vec<Plot>, EvaluationError> {
    let draw = |(name, sketch): (&'static str, Sketch)| {
        sketch
            .draw(name)
            .map_err(|problem| EvaluationError::Plot { path: place.join(name), problem: problem.to_string() })
    };
    sketches.into_par_iter().map(draw).collect()
}

impl Sketch {
    fn draw(&self, name: &'static str) -> Result<Plot, PlotError> {
        let (svg, png) = match self {
            Self::Lines(chart) => (chart.to_svg()?, chart.to_png()?),
            Self::Matrix(matrix) => (matrix.to_svg()?, matrix.to_png()?),
            Self::Reliability(diagram) => (diagram.to_svg()?, diagram.to_png()?),
        };
        Ok(Plot { name, svg, png })
    }
}

/// File name, title, figure, and the y axis. A loss falls by factors: on an even axis only its first epochs would be seen.
fn plots() -> [(&'static str, &'static str, &'static str, Axis); 2] {
    [
        ("loss", "Loss by epoch", "loss", Axis::logarithmic("loss")),
        ("accuracy", "Accuracy by epoch", "accuracy", Axis::values("accuracy (share right)")),
    ]
}

/// The curves of `rows`, with the `best` epoch marked.
fn epoch_sketches(rows: &[MetricRow], best: Option<&Best>) -> Vec<(&'static str, Sketch)> {
    let plot = |(name, title, figure, y): (&'static str, &str, &str, Axis)| {
        let splits = ["train", "validation"].into_iter().enumerate();
        let series: Vec<Series> =
            splits.filter_map(|(index, split)| series(rows, figure, split, index)).collect();
        let chart = LineChart::new(title, Axis::whole_numbers("epoch"), y, series);
        let chart = match best {
            Some(Best { epoch, .. }) => chart.with_mark(*epoch as f64, format!("best: epoch {epoch}")),
            None => chart,
        };
        (!chart.series.is_empty()).then_some((name, Sketch::Lines(chart)))
    };
    plots().into_iter().filter_map(plot).collect()
}

/// A split's figure by epoch, if any epoch has a finite one.
fn series(rows: &[MetricRow], figure: &str, split: &str, index: usize) -> Option<Series> {
    let epochs = rows.iter().filter(|row| row.scope == Scope::Epoch && row.split == split);
    let points: BTreeMap<u64, f64> =
        epochs.filter_map(|row| Some((row.epoch, row.figure(figure)?))).collect();
    let any_finite = points.values().any(|value| value.is_finite());
    let points = points.into_iter().map(|(epoch, value)| (epoch as f64, value)).collect();
    any_finite.then(|| Series::new(split, index, points).with_dots())
}

/// A figure of the layers: its name in the metric log, the chart's title, and the y axis.
type LayerPlot = (&'static str, &'static str, fn(&'static str) -> Axis, &'static str);

const LAYER_PLOTS: [LayerPlot; 4] = [
    ("gradient_norm", "Gradient norm by layer", Axis::logarithmic, "gradient norm"),
    ("update_ratio", "Update over weight by layer", Axis::logarithmic, "norm of the update / of the weights"),
    ("dead_share", "Dead units by layer", Axis::values, "share of units that are always 0"),
    ("saturated_share", "Saturated units by layer", Axis::values, "share of outputs at a flat end"),
];

/// With more layers than this their curves cannot be told apart: then some of them stand for all.
const MOST_LAYERS: usize = 12;

/// Charts over steps, only of what the log has and what changes.
pub(crate) fn step_charts(rows: &[MetricRow], best: Option<&Best>) -> Vec<LineChart> {
    let measured: Vec<&MetricRow> =
        rows.iter().filter(|row| row.scope == Scope::Interval && row.split == "train").collect();
    let rate = Series::new("learning rate", 0, points(&measured, "lr"));
    let rate = LineChart::new("Learning rate", Axis::whole_numbers("step"), Axis::values("lr"), vec![rate]);
    let layers = LAYER_PLOTS.iter().map(|plot| of_layers(plot, &measured));
    let marked = |chart: LineChart| match best {
        Some(Best { step, epoch, .. }) => chart.with_mark(*step as f64, format!("best: epoch {epoch}")),
        None => chart,
    };
    std::iter::once(rate).chain(layers).filter(changes).map(marked).collect()
}

fn of_layers((figure, title, axis, label): &LayerPlot, measured: &[&MetricRow]) -> LineChart {
    let names: Vec<&str> =
        measured.first().map_or(Vec::new(), |row| layers(row).iter().map(|layer| layer.name).collect());
    let series = chosen(&names).enumerate();
    let series =
        series.map(|(index, name)| Series::new(name, index, points(measured, &format!("{name}.{figure}"))));
    let series = series.filter(|series| !series.points.is_empty()).collect();
    LineChart::new(*title, Axis::whole_numbers("step"), axis(label), series)
}

/// The first and the last of `names`, and evenly many between them.
fn chosen<'a>(names: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    let count = names.len().min(MOST_LAYERS);
    (0..count).map(move |index| names[index * (names.len() - 1) / (count - 1).max(1)])
}

fn points(measured: &[&MetricRow], figure: &str) -> Vec<(f64, f64)> {
    measured.iter().filter_map(|row| Some((row.step as f64, row.figure(figure)?))).collect()
}

/// Whether some curve has two different values: else a sentence or the table of layers says it all.
fn changes(chart: &LineChart) -> bool {
    chart.series.iter().any(|series| {
        let mut finite = series.points.iter().map(|point| point.1).filter(|value| value.is_finite());
        finite.next().is_some_and(|first| finite.any(|value| value != first))
    })
}

/// Every picture that an evaluation can have.
const EVALUATION_PLOTS: [&str; 5] =
    ["confusion_matrix", "confusion_rates", "roc", "precision_recall", "reliability"];

/// A matrix of more classes is no picture any more.
const MOST_CLASSES: usize = 100;
/// With more curves than this none can be told from another: the averages then stand alone.
const MOST_CURVES: usize = 20;

fn score_sketches(evaluation: &Evaluation) -> Vec<(&'static str, Sketch)> {
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
                let ConfidenceInterval { lower, upper } = ConfidenceInterval::of_share(right, bin.examples);
                (lower, upper)
            }),
        });
        let diagram = Reliability { title: "Reliability".to_owned(), bins: bins.collect() };
        sketches.push(("reliability", Sketch::Reliability(diagram)));
    }
    sketches
}

/// Counts, and shares of the row.
fn matrices(confusion: &ConfusionMatrix) -> [Matrix; 2] {
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
    curve_chart(&title, axes, series.collect()).with_diagonal("chance")
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
    curve_chart(&title, [Axis::unit("recall"), Axis::unit("precision")], series.collect())
}

fn curve_chart(title: &str, [x, y]: [Axis; 2], series: Vec<Series>) -> LineChart {
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
    use kiln_config::Monitor;
    use kiln_plot::Mark;

    use super::*;
    use crate::{EvaluationSettings, Predictions};

    fn row(split: &str, epoch: u64, loss: f64) -> MetricRow {
        MetricRow::new(split, Scope::Epoch, epoch, epoch, [("loss", loss)])
    }

    fn charts(rows: &[MetricRow]) -> Vec<(&'static str, LineChart)> {
        let best = Best { monitor: Monitor::ValidationLoss, value: 1.0, epoch: 2, step: 20 };
        let charts = epoch_sketches(rows, Some(&best)).into_iter().map(|(name, sketch)| match sketch {
            Sketch::Lines(chart) => (name, chart),
            _ => panic!("curves are lines"),
        });
        charts.collect()
    }

    #[test]
    fn each_split_is_a_series_and_a_later_row_of_an_epoch_counts() {
        let rows = [
            row("train", 1, 2.0),
            row("train", 1, 1.0),
            row("train", 2, f64::NAN),
            row("validation", 1, 3.0),
        ];
        let charts = charts(&rows);
        assert_eq!(charts.len(), 1, "no row has an accuracy");
        let (name, chart) = &charts[0];
        assert_eq!(
            (*name, chart.series[0].name.as_str(), chart.series[1].name.as_str()),
            ("loss", "train", "validation")
        );
        assert_eq!(chart.series[0].points[0], (1.0, 1.0));
        assert!(chart.series[0].points[1].1.is_nan(), "a gap");
        assert_eq!(chart.marks, [Mark { x: 2.0, label: "best: epoch 2".to_owned() }]);
    }

    #[test]
    fn nothing_finite_is_no_picture() {
        assert!(charts(&[row("train", 1, f64::NAN)]).is_empty() && charts(&[]).is_empty());
    }

    fn interval_row(step: u64, rate: f64, gradient: f64) -> MetricRow {
        let figures = [
            ("lr", rate),
            ("layers.0.weight_norm", 1.0),
            ("layers.0.gradient_norm", gradient),
            ("layers.0.dead_share", 0.0),
            ("layers.1.weight_norm", 1.0),
            ("layers.1.gradient_norm", 2.0 * gradient),
        ];
        MetricRow::new("train", Scope::Interval, 1, step, figures)
    }

    fn titles(rows: &[MetricRow]) -> Vec<String> {
        step_charts(rows, None).into_iter().map(|chart| chart.title).collect()
    }

    #[test]
    fn only_what_was_logged_and_changes_has_a_chart() {
        assert_eq!(
            titles(&[interval_row(1, 0.1, 1.0), interval_row(2, 0.1, 2.0)]),
            ["Gradient norm by layer"]
        );
        assert_eq!(titles(&[interval_row(1, 0.1, 1.0), interval_row(2, 0.05, 1.0)]), ["Learning rate"]);
        assert!(titles(&[]).is_empty());
        let charts = step_charts(&[interval_row(1, 0.1, 1.0), interval_row(2, 0.1, 2.0)], None);
        let names: Vec<&str> = charts[0].series.iter().map(|series| series.name.as_str()).collect();
        assert_eq!(names, ["layers.0", "layers.1"]);
        assert!(charts[0].to_svg().is_ok());
    }

    #[test]
    fn of_many_layers_some_stand_for_all() {
        let names: Vec<String> = (0..40).map(|index| index.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let chosen: Vec<&str> = chosen(&names).collect();
        assert_eq!((chosen.len(), chosen[0], chosen[11]), (12, "0", "39"));
        assert_eq!(super::chosen(&["only"]).collect::<Vec<_>>(), ["only"]);
    }

    fn evaluation(probabilities: Vec<f32>) -> Evaluation {
        let names = vec!["cat".to_owned(), "dog".to_owned(), "absent".to_owned()];
        let predictions =
            Predictions::new(names, vec![0, 1], vec![0, 0], probabilities, vec![0.5; 2]).unwrap();
        Evaluation::new(&predictions, &EvaluationSettings { resamples: 0, ..Default::default() }).unwrap()
    }

    #[test]
    fn what_is_undefined_is_left_out() {
        let sketches = score_sketches(&evaluation(vec![0.8, 0.2, 0.0, 0.6, 0.4, 0.0]));
        let names: Vec<&str> = sketches.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, EVALUATION_PLOTS);
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
        let sketches = score_sketches(&Evaluation::new(&predictions, &settings).unwrap());
        let charts = sketches.iter().filter_map(|(_, sketch)| match sketch {
            Sketch::Lines(chart) => Some((chart.title.as_str(), chart.series.len())),
            _ => None,
        });
        assert_eq!(charts.collect::<Vec<_>>(), [("ROC of yes", 1), ("Precision and recall of yes", 1)]);
    }

    #[test]
    fn a_model_that_diverged_has_a_confusion_matrix_alone() {
        let sketches = score_sketches(&evaluation(vec![f32::NAN; 6]));
        assert_eq!(sketches.len(), 2);
    }
}
