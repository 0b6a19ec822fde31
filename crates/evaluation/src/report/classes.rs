//! The figures of each class, in scikit-learn's names.

use maud::{Markup, html};

use super::page::Section;
use super::{Tested, figure};
use crate::figures::{FIGURES, Place};
use crate::{Metrics, ReportRow, Undefined, scrolled};

/// Averages over classes, which of two classes repeat or blur the figures of the one.
const OF_MANY_CLASSES: [&str; 3] = ["micro_auc", "macro_average_roc_auc", "micro_average_precision"];

pub(super) fn section(tested: &Tested<'_>) -> Section {
    let metrics = &tested.evaluation.metrics;
    let content = html! {
        (scrolled("Figures of each class", &table(tested)))
        (others(metrics, tested.is_binary()))
        (reasons("Undefined figures", "", &metrics.undefined))
        (reasons("Figures that are 0 by convention", "0 / 0: ", &metrics.by_convention))
    };
    Section { anchor: "classes", heading: "Classes", content }
}

/// Of two classes the area under the curve is one figure, which stands above, and means over the two say nothing new.
fn table(tested: &Tested<'_>) -> Markup {
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

fn others(metrics: &Metrics, is_binary: bool) -> Markup {
    let top_k = metrics.top_k_accuracy.iter().flatten();
    let top_k = top_k.filter(|(k, _)| **k > 1);
    let mut rows: Vec<(String, String)> =
        top_k.map(|(k, value)| (format!("top-{k} accuracy"), figure(Some(*value)))).collect();
    let listed = FIGURES.iter().filter(|row| row.place == Place::List);
    let listed = listed.filter(|row| !is_binary || !OF_MANY_CLASSES.contains(&row.key));
    rows.extend(listed.map(|row| (row.words.to_owned(), figure(metrics.figure(row.key)))));
    html! {
        h3 { "Other figures" }
        table { @for (name, value) in rows { tr { th scope="row" { (name) } td { (value) } } } }
    }
}

/// Why figures have no value, or 0.
fn reasons(heading: &str, what: &str, figures: &[Undefined]) -> Markup {
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
