//! The plots of a run and of its evaluation, as SVG and PNG.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use kiln_artifacts::{BestEpoch, MetricRow, MetricScope, replace_file};
use kiln_diagnosis::layers;
use kiln_plot::{Axis, CellFormat, LineChart, Matrix, PlotError, ReliabilityBin, ReliabilityDiagram, Series};
use rayon::prelude::*;

use crate::evaluator::remove_if_there;
use crate::{
    ConfidenceInterval, ConfusionMatrix, Evaluation, EvaluationError, PrecisionRecallCurves, RocCurves,
};

/// A plot in both formats.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    /// File name without extension.
    pub(crate) name: &'static str,
    pub(crate) svg: String,
    pub(crate) png: Vec<u8>,
}

/// The content of a plot, before it is drawn.
enum PlotData {
    Lines(kiln_plot::LineChart),
    Matrix(kiln_plot::Matrix),
    Reliability(ReliabilityDiagram),
}

/// Loss and accuracy by epoch, with the best epoch marked.
pub(crate) fn epoch_plots(
    rows: &[MetricRow],
    best: Option<&BestEpoch>,
    folder: &Path,
) -> Result<Vec<Plot>, EvaluationError> {
    draw(epoch_plot_data(rows, best), folder)
}

/// Confusion matrix, ROC, precision-recall and reliability; those that are undefined are left out.
pub(crate) fn evaluation_plots(evaluation: &Evaluation, folder: &Path) -> Result<Vec<Plot>, EvaluationError> {
    draw(evaluation_plot_data(evaluation), folder)
}

/// Removes the plots of an earlier evaluation from `folder` that are not in `plots`.
pub(crate) fn remove_others(plots: &[Plot], folder: &Path) -> Result<(), EvaluationError> {
    for name in EVALUATION_PLOTS.into_iter().filter(|name| plots.iter().all(|plot| plot.name != *name)) {
        for ending in ["svg", "png"] {
            remove_if_there(&folder.join(name).with_extension(ending))?;
        }
    }
    Ok(())
}

/// Writes `plots` into `folder` and returns the files.
pub(crate) fn write(plots: &[Plot], folder: &Path) -> Result<Vec<PathBuf>, EvaluationError> {
    if plots.is_empty() {
        return Ok(Vec::new());
    }
    fs::create_dir_all(folder).map_err(|cause| EvaluationError::Io {
        action: "create",
        path: folder.to_owned(),
        cause,
    })?;
    let mut written = Vec::new();
    for plot in plots {
        for (ending, bytes) in [("svg", plot.svg.as_bytes()), ("png", &plot.png)] {
            let path = folder.join(plot.name).with_extension(ending);
            replace_file(&path, bytes)?;
            written.push(path);
        }
    }
    Ok(written)
}

fn draw(plots: Vec<(&'static str, PlotData)>, folder: &Path) -> Result<Vec<Plot>, EvaluationError> {
    let draw = |(name, data): (&'static str, PlotData)| {
        data.draw(name).map_err(|problem| EvaluationError::Plot {
            path: folder.join(name),
            problem: problem.to_string(),
        })
    };
    plots.into_par_iter().map(draw).collect()
}

impl PlotData {
    fn draw(&self, name: &'static str) -> Result<Plot, PlotError> {
        let (svg, png) = match self {
            Self::Lines(chart) => (chart.to_svg()?, chart.to_png()?),
            Self::Matrix(matrix) => (matrix.to_svg()?, matrix.to_png()?),
            Self::Reliability(diagram) => (diagram.to_svg()?, diagram.to_png()?),
        };
        Ok(Plot { name, svg, png })
    }
}

/// File name, title, figure and y axis. A loss falls by factors: on a linear axis, only the first epochs would be visible.
fn epoch_charts() -> [(&'static str, &'static str, &'static str, Axis); 2] {
    [
        ("loss", "Loss by epoch", "loss", Axis::logarithmic("loss")),
        ("accuracy", "Accuracy by epoch", "accuracy", Axis::values("accuracy")),
    ]
}

/// The curves of `rows`, with the `best` epoch marked.
fn epoch_plot_data(rows: &[MetricRow], best: Option<&BestEpoch>) -> Vec<(&'static str, PlotData)> {
    let plot = |(name, title, figure, y): (&'static str, &str, &str, Axis)| {
        let splits = ["train", "validation"].into_iter().enumerate();
        let series: Vec<Series> =
            splits.filter_map(|(index, split)| series(rows, figure, split, index)).collect();
        let chart = LineChart::new(title, Axis::whole_numbers("epoch"), y, series);
        let chart = match best {
            Some(BestEpoch { epoch, .. }) => chart.with_mark(*epoch as f64, format!("best: epoch {epoch}")),
            None => chart,
        };
        (!chart.series.is_empty()).then_some((name, PlotData::Lines(chart)))
    };
    epoch_charts().into_iter().filter_map(plot).collect()
}

/// A figure of a split by epoch, if it is finite in some epoch.
fn series(rows: &[MetricRow], figure: &str, split: &str, index: usize) -> Option<Series> {
    let epochs = rows.iter().filter(|row| row.scope == MetricScope::Epoch && row.split == split);
    let points: BTreeMap<u64, f64> =
        epochs.filter_map(|row| Some((row.epoch, row.figure(figure)?))).collect();
    let any_finite = points.values().any(|value| value.is_finite());
    let points = points.into_iter().map(|(epoch, value)| (epoch as f64, value)).collect();
    any_finite.then(|| Series::new(split, index, points).with_dots())
}

/// A chart over layers: the figure's name in the metric log, the title, and the y axis with its label.
type LayerPlot = (&'static str, &'static str, fn(&'static str) -> Axis, &'static str);

const LAYER_PLOTS: [LayerPlot; 4] = [
    ("gradient_norm", "Gradient norm by layer", Axis::logarithmic, "gradient norm"),
    ("update_ratio", "Update ratio by layer", Axis::logarithmic, "update norm / weight norm"),
    ("dead_share", "Dead units by layer", Axis::values, "share of units that are always 0"),
    ("saturated_share", "Saturated units by layer", Axis::values, "share of saturated outputs"),
];

/// More curves than this cannot be distinguished, so a deep network is shown by a selection of its layers.
const MOST_LAYERS: usize = 12;

/// Charts over steps: learning rate, gradients, updates and inactive units. A chart without data or change is left out.
pub(crate) fn step_charts(rows: &[MetricRow], best: Option<&BestEpoch>) -> Vec<LineChart> {
    let measured: Vec<&MetricRow> =
        rows.iter().filter(|row| row.scope == MetricScope::Interval && row.split == "train").collect();
    let rate = Series::new("learning rate", 0, points(&measured, "lr"));
    let rate = LineChart::new("Learning rate", Axis::whole_numbers("step"), Axis::values("lr"), vec![rate]);
    let layers = LAYER_PLOTS.iter().map(|plot| layer_chart(plot, &measured));
    let marked = |chart: LineChart| match best {
        Some(BestEpoch { step, epoch, .. }) => chart.with_mark(*step as f64, format!("best: epoch {epoch}")),
        None => chart,
    };
    std::iter::once(rate).chain(layers).filter(changes).map(marked).collect()
}

fn layer_chart((figure, title, axis, label): &LayerPlot, measured: &[&MetricRow]) -> LineChart {
    let names: Vec<&str> =
        measured.first().map_or(Vec::new(), |row| layers(row).iter().map(|layer| layer.name).collect());
    let series = chosen(&names).enumerate();
    let series =
        series.map(|(index, name)| Series::new(name, index, points(measured, &format!("{name}.{figure}"))));
    let series = series.filter(|series| !series.points.is_empty()).collect();
    LineChart::new(*title, Axis::whole_numbers("step"), axis(label), series)
}

/// The first and the last of `names`, and evenly spaced ones between them.
fn chosen<'a>(names: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    let count = names.len().min(MOST_LAYERS);
    (0..count).map(move |index| names[index * (names.len() - 1) / (count - 1).max(1)])
}

fn points(measured: &[&MetricRow], figure: &str) -> Vec<(f64, f64)> {
    measured.iter().filter_map(|row| Some((row.step as f64, row.figure(figure)?))).collect()
}

/// Whether some curve has two different values. If not, the text or the table of layers is enough.
fn changes(chart: &LineChart) -> bool {
    chart.series.iter().any(|series| {
        let mut finite = series.points.iter().map(|point| point.1).filter(|value| value.is_finite());
        finite.next().is_some_and(|first| finite.any(|value| value != first))
    })
}

/// The names of all plots that an evaluation can have.
const EVALUATION_PLOTS: [&str; 5] =
    ["confusion_matrix", "confusion_rates", "roc", "precision_recall", "reliability"];

/// With more classes than this, the confusion matrix is not drawn.
const MOST_CLASSES: usize = 100;
/// With more curves than this, only the averages are drawn, because the curves could not be distinguished.
const MOST_CURVES: usize = 20;

fn evaluation_plot_data(evaluation: &Evaluation) -> Vec<(&'static str, PlotData)> {
    let mut plots = Vec::new();
    if evaluation.confusion.classes.len() <= MOST_CLASSES {
        let [counts, rates] = matrices(&evaluation.confusion);
        plots.push(("confusion_matrix", PlotData::Matrix(counts)));
        plots.push(("confusion_rates", PlotData::Matrix(rates)));
    }
    let names = &evaluation.confusion.classes;
    let charts = [
        ("roc", roc(&evaluation.roc, names)),
        ("precision_recall", precision_recall(&evaluation.precision_recall, names)),
    ];
    let defined = charts.into_iter().filter(|(_, chart)| !chart.series.is_empty());
    plots.extend(defined.map(|(name, chart)| (name, PlotData::Lines(chart))));
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
        let diagram = ReliabilityDiagram { title: "Reliability".to_owned(), bins: bins.collect() };
        plots.push(("reliability", PlotData::Reliability(diagram)));
    }
    plots
}

/// The confusion matrix as counts, and as shares of each row.
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
        // For a class without examples, 0 / 0 is NaN and leaves its row without colour.
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

/// The defined curves, first those of the classes, each with a number for its style and a name. With two classes, only the
/// curve of the second: that of the first and the averages would say the same.
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
        MetricRow::new(split, MetricScope::Epoch, epoch, epoch, [("loss", loss)])
    }

    fn charts(rows: &[MetricRow]) -> Vec<(&'static str, LineChart)> {
        let best = BestEpoch { monitor: Monitor::ValidationLoss, value: 1.0, epoch: 2, step: 20 };
        let charts = epoch_plot_data(rows, Some(&best)).into_iter().map(|(name, data)| match data {
            PlotData::Lines(chart) => (name, chart),
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
    fn without_a_finite_value_there_is_no_plot() {
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
        MetricRow::new("train", MetricScope::Interval, 1, step, figures)
    }

    fn titles(rows: &[MetricRow]) -> Vec<String> {
        step_charts(rows, None).into_iter().map(|chart| chart.title).collect()
    }

    #[test]
    fn only_figures_that_were_logged_and_change_have_a_chart() {
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
    fn a_selection_of_many_layers_is_shown() {
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
    fn undefined_curves_are_left_out() {
        let plots = evaluation_plot_data(&evaluation(vec![0.8, 0.2, 0.0, 0.6, 0.4, 0.0]));
        let names: Vec<&str> = plots.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, EVALUATION_PLOTS);
        let PlotData::Lines(roc) = &plots[2].1 else { panic!("curves are lines") };
        let legend: Vec<&str> = roc.series.iter().map(|series| series.name.as_str()).collect();
        assert_eq!(legend.len(), 4, "{legend:?}");
        assert!(!legend.iter().any(|name| name.contains("absent")));
        for (name, data) in plots {
            assert!(data.draw(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn two_classes_have_one_curve() {
        let names = vec!["no".to_owned(), "yes".to_owned()];
        let predictions =
            Predictions::new(names, vec![0, 1], vec![0, 0], vec![0.8, 0.2, 0.6, 0.4], vec![0.5; 2]).unwrap();
        let settings = EvaluationSettings { resamples: 0, ..Default::default() };
        let plots = evaluation_plot_data(&Evaluation::new(&predictions, &settings).unwrap());
        let charts = plots.iter().filter_map(|(_, data)| match data {
            PlotData::Lines(chart) => Some((chart.title.as_str(), chart.series.len())),
            _ => None,
        });
        assert_eq!(charts.collect::<Vec<_>>(), [("ROC of yes", 1), ("Precision and recall of yes", 1)]);
    }

    #[test]
    fn a_model_that_diverged_has_only_a_confusion_matrix() {
        let plots = evaluation_plot_data(&evaluation(vec![f32::NAN; 6]));
        assert_eq!(plots.len(), 2);
    }
}
