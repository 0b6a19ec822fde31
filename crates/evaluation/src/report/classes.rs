//! The figures of each class, in scikit-learn's names.

use maud::{Markup, html};

use super::page::Section;
use super::{Story, figure};
use crate::figures::{FIGURES, Place};
use crate::{Metrics, ReportRow, Undefined};

pub(super) fn section(story: &Story<'_>) -> Section {
    let metrics = &story.evaluation.metrics;
    let report = &story.evaluation.report;
    let content = html! {
        div.wide { table {
            tr {
                @for head in ["class", "precision", "recall", "f1-score", "AUC", "average precision", "support"] {
                    th { (head) }
                }
            }
            @for class in &metrics.classes {
                tr {
                    td { (class.class) }
                    @for value in [class.precision, class.recall, class.f1, class.auc, class.average_precision] {
                        td { (figure(value)) }
                    }
                    td { (class.support) }
                }
            }
            (mean(&report.macro_avg, metrics.figure("macro_auc"), metrics.figure("macro_average_precision")))
            (mean(&report.weighted_avg, metrics.figure("weighted_auc"), metrics.figure("weighted_average_precision")))
        } }
        (others(metrics))
        (reasons("Undefined figures", "", &metrics.undefined))
        (reasons("Figures that are 0 by convention", "0 / 0: ", &metrics.by_convention))
    };
    Section { anchor: "classes", heading: "Classes", content }
}

fn mean(row: &ReportRow, auc: Option<f64>, average_precision: Option<f64>) -> Markup {
    let defined = |value: f64| (!value.is_nan()).then_some(value);
    html! {
        tr {
            td { (row.name) }
            @for value in [defined(row.precision), defined(row.recall), defined(row.f1), auc, average_precision] {
                td { (figure(value)) }
            }
            td { (row.support) }
        }
    }
}

fn others(metrics: &Metrics) -> Markup {
    let top_k = metrics.top_k_accuracy.iter().flatten();
    let mut rows: Vec<(String, String)> =
        top_k.map(|(k, value)| (format!("top-{k} accuracy"), figure(Some(*value)))).collect();
    let listed = FIGURES.iter().filter(|row| row.place == Place::List);
    rows.extend(listed.map(|row| (row.words.to_owned(), figure(metrics.figure(row.key)))));
    html! {
        h3 { "Other figures" }
        table.facts { @for (name, value) in rows { tr { td { (name) } td { (value) } } } }
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
