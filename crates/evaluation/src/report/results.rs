//! Sections of the report with the results of an evaluation: confusion matrix, figures of each class, curves.

use kiln_plot::{Axis, LineChart, Series};
use maud::{Markup, html};

use crate::figures::{FIGURES, FigurePlace};
use crate::report::{ReportContext, ReportSection, ReportedEvaluation, examples::anchor, figure};
use crate::threshold::{ThresholdCurve, ThresholdPoint};
use crate::{ConfusionMatrix, Metrics, ReportRow, UndefinedFigure, chart, scrolled};

/// With more classes than this, the page shows the plot of the matrix instead of a table.
const MOST_CLASSES: usize = 40;
/// The most frequent confusions that are listed below the matrix.
const PAIRS: usize = 5;

pub(super) fn confusion_section(
    report: &ReportContext<'_>,
    tested: &ReportedEvaluation<'_>,
) -> ReportSection {
    let confusion = &tested.evaluation.confusion;
    let content = html! {
        @if confusion.classes.len() <= MOST_CLASSES {
            p.note {
                "Rows are true classes, columns are predicted classes. The colour shows the share of the row."
                @if has_cells(tested) { " Click on a number to see its examples." }
            }
            (scrolled("Confusion matrix", &confusion_table(tested, confusion)))
        } @else {
            p.note { (confusion.classes.len()) " classes; all counts are in confusion_matrix.csv." }
            @if let Some(picture) = report.plot_svg("confusion_matrix") { (maud::PreEscaped(picture)) }
        }
        (most_confused(tested, confusion))
    };
    ReportSection { anchor: "confusion", heading: "Confusion matrix", content }
}

fn has_cells(tested: &ReportedEvaluation<'_>) -> bool {
    tested.gallery.is_some_and(|gallery| !gallery.cells.is_empty())
}

fn confusion_table(tested: &ReportedEvaluation<'_>, confusion: &ConfusionMatrix) -> Markup {
    html! {
        table.confusion {
            thead { tr {
                th scope="col" { "true \\ predicted" }
                @for class in &confusion.classes { th scope="col" { (class) } }
            } }
            tbody {
                @for (truth, row) in confusion.counts.iter().enumerate() {
                    tr {
                        th scope="row" { (confusion.classes[truth]) }
                        @for (predicted, &count) in row.iter().enumerate() {
                            (cell(tested, [truth, predicted], count, row.iter().sum()))
                        }
                    }
                }
            }
        }
    }
}

fn cell(tested: &ReportedEvaluation<'_>, [truth, predicted]: [usize; 2], count: u64, total: u64) -> Markup {
    if count == 0 {
        return html! { td.none { "0" } };
    }
    let class = if truth == predicted { "hit" } else { "miss" };
    let share = count as f64 / total as f64;
    // The square root makes a few mistakes in a hundred visible.
    let strength = if truth == predicted { share } else { share.sqrt() };
    let shown = tested.gallery.is_some_and(|gallery| {
        gallery.cells.iter().any(|cell| [cell.truth as usize, cell.predicted as usize] == [truth, predicted])
    });
    html! {
        td class=(class) style=(format!("--share:{strength:.3}")) title=(format!("{:.1} % of the row", share * 100.0)) {
            @if shown { a href={ "#" (anchor(truth, predicted)) } { (count) } } @else { (count) }
        }
    }
}

/// The most frequent confusions of one class with another.
fn most_confused(tested: &ReportedEvaluation<'_>, confusion: &ConfusionMatrix) -> Markup {
    let mut pairs: Vec<(u64, usize, usize)> = Vec::new();
    for (truth, row) in confusion.counts.iter().enumerate() {
        let misses = row.iter().enumerate().filter(|(predicted, count)| *predicted != truth && **count > 0);
        pairs.extend(misses.map(|(predicted, &count)| (count, truth, predicted)));
    }
    pairs.sort_by_key(|&(count, truth, predicted)| (std::cmp::Reverse(count), truth, predicted));
    pairs.truncate(PAIRS);
    let classes = tested.classes();
    html! {
        @if pairs.is_empty() { p { "All examples are classified correctly." } }
        @else {
            p {
                "Most frequent mistakes: "
                @for (index, (count, truth, predicted)) in pairs.iter().enumerate() {
                    @if index > 0 { "; " }
                    (classes[*truth]) " predicted as " (classes[*predicted]) " (" (count) ")"
                }
                "."
            }
        }
    }
}

/// Averages over classes that say nothing new with two classes.
const OF_MANY_CLASSES: [&str; 3] = ["micro_auc", "macro_average_roc_auc", "micro_average_precision"];

pub(super) fn classes_section(tested: &ReportedEvaluation<'_>) -> ReportSection {
    let metrics = &tested.evaluation.metrics;
    let content = html! {
        (scrolled("Figures of each class", &class_table(tested)))
        (other_figures(metrics, tested.is_binary()))
        (reasons("Undefined figures", "", &metrics.undefined))
        (reasons("Figures that are set to 0 by convention", "0 / 0: ", &metrics.by_convention))
    };
    ReportSection { anchor: "classes", heading: "Classes", content }
}

/// With two classes there is one AUC, shown at the top of the page, and means over the classes say nothing new.
fn class_table(tested: &ReportedEvaluation<'_>) -> Markup {
    let metrics = &tested.evaluation.metrics;
    let report = &tested.evaluation.report;
    let with_means = !tested.is_binary();
    html! {
        table {
            thead { tr {
                @for head in ["class", "precision", "recall", "f1-score"] { th scope="col" { (head) } }
                @if with_means { th scope="col" { "AUC" } }
                @for head in ["average precision", "support"] { th scope="col" { (head) } }
            } }
            tbody {
                @for class in &metrics.classes {
                    tr {
                        th scope="row" { (class.class) }
                        @for value in [class.precision, class.recall, class.f1] { td { (figure(value)) } }
                        @if with_means { td { (figure(class.auc)) } }
                        td { (figure(class.average_precision)) }
                        td { (class.support) }
                    }
                }
                @if with_means {
                    (mean(&report.macro_avg, metrics.figure("macro_auc"), metrics.figure("macro_average_precision")))
                    (mean(&report.weighted_avg, metrics.figure("weighted_auc"), metrics.figure("weighted_average_precision")))
                }
            }
        }
    }
}

fn mean(row: &ReportRow, auc: Option<f64>, average_precision: Option<f64>) -> Markup {
    let defined = |value: f64| (!value.is_nan()).then_some(value);
    html! {
        tr {
            th scope="row" { (row.name) }
            @for value in [defined(row.precision), defined(row.recall), defined(row.f1), auc, average_precision] {
                td { (figure(value)) }
            }
            td { (row.support) }
        }
    }
}

fn other_figures(metrics: &Metrics, is_binary: bool) -> Markup {
    let top_k = metrics.top_k_accuracy.iter().flatten();
    let top_k = top_k.filter(|(k, _)| **k > 1);
    let mut rows: Vec<(String, String)> =
        top_k.map(|(k, value)| (format!("top-{k} accuracy"), figure(Some(*value)))).collect();
    let listed = FIGURES.iter().filter(|row| row.place == FigurePlace::List);
    let listed = listed.filter(|row| !is_binary || !OF_MANY_CLASSES.contains(&row.key));
    rows.extend(listed.map(|row| (row.words.to_owned(), figure(metrics.figure(row.key)))));
    html! {
        h3 { "Other figures" }
        table { @for (name, value) in rows { tr { th scope="row" { (name) } td { (value) } } } }
    }
}

/// Why figures are undefined, or 0.
fn reasons(heading: &str, what: &str, figures: &[UndefinedFigure]) -> Markup {
    html! {
        @if !figures.is_empty() {
            h3 { (heading) }
            ul {
                @for undefined in figures {
                    li {
                        (undefined.figure)
                        @if let Some(class) = &undefined.class { " of " (class) }
                        ": " (what) (undefined.reason) "."
                    }
                }
            }
        }
    }
}

/// How to read the ROC curves of several classes, and the single one of two classes.
const ROC: [&str; 2] = [
    "Each class against the rest. A curve closer to the upper left corner is better.",
    "A curve closer to the upper left corner is better.",
];
const PRECISION_RECALL: &str = "A curve closer to the upper right corner is better.";
const RELIABILITY: &str = "The accuracy for each of 15 bins of confidence (the probability of the predicted class), with the number of examples. \
     On the diagonal, predictions with a confidence of 80 % are correct in 80 % of cases. Bars below the diagonal: the network \
     is overconfident. Bars above it: the network is underconfident. If an interval crosses the diagonal, the difference may \
     be due to chance.";

pub(super) fn charts_section(
    report: &ReportContext<'_>,
    tested: &ReportedEvaluation<'_>,
) -> Option<ReportSection> {
    let roc = ROC[usize::from(tested.is_binary())];
    let notes = [("roc", roc), ("precision_recall", PRECISION_RECALL), ("reliability", RELIABILITY)];
    let charts: Vec<(&str, &str)> =
        notes.into_iter().filter_map(|(name, words)| Some((report.plot_svg(name)?, words))).collect();
    let thresholds = tested.thresholds.as_ref().map_or(Vec::new(), by_threshold);
    if charts.is_empty() && thresholds.is_empty() {
        return None;
    }
    let content = html! {
        div.charts {
            @for (picture, words) in charts { (chart(picture, words)) }
            @for (picture, words) in thresholds { (chart(&picture, words)) }
        }
        @if let Some(error) = tested.evaluation.metrics.figure("ece") {
            p.note {
                "Expected calibration error: " (figure(Some(error)))
                ". It is the mean distance between accuracy and confidence over the 15 bins."
            }
        }
    };
    Some(ReportSection { anchor: "curves", heading: "Curves and calibration", content })
}

/// Charts of precision, recall and cost on the held-out examples, as functions of the threshold.
fn by_threshold(curve: &ThresholdCurve) -> Vec<(String, &'static str)> {
    let at = |of: fn(&ThresholdPoint) -> Option<f64>| -> Vec<(f64, f64)> {
        curve.points.iter().filter_map(|point| Some((point.threshold, of(point)?))).collect()
    };
    let chosen = |greatest: f64| {
        let threshold = curve.chosen.threshold;
        Series::new(format!("chosen: {threshold:.4}"), 2, vec![(threshold, 0.0), (threshold, greatest)])
    };
    let x = || Axis::unit(format!("lowest probability at which {} is predicted", curve.chosen.positive));
    let rates = vec![
        Series::new("precision", 0, at(|point| point.precision)),
        Series::new("recall", 1, at(|point| Some(point.recall))),
        chosen(1.0),
    ];
    let rates = LineChart::new("Precision and recall by threshold", x(), Axis::unit("share"), rates);
    let costs = at(|point| point.cost);
    let greatest = costs.iter().fold(0.0_f64, |greatest, (_, cost)| greatest.max(*cost));
    let costs = vec![Series::new("mean cost", 0, costs), chosen(greatest)];
    let costs = LineChart::new("Mean cost by threshold", x(), Axis::values("mean cost of an example"), costs);
    let rates = (!curve.points.is_empty()).then(|| rates.to_svg().ok()).flatten();
    let costs = (greatest > 0.0).then(|| costs.to_svg().ok()).flatten();
    let rates = rates.map(|svg| (svg, "Measured on the held-out examples, not on those of this test."));
    let costs = costs.map(|svg| {
        (svg, "Measured on the held-out examples. The threshold itself follows from the costs of the two mistakes alone.")
    });
    rates.into_iter().chain(costs).collect()
}
