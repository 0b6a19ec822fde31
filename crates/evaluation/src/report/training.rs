//! How training went.

use kiln_artifacts::{MetricRow, Scope};
use kiln_diagnosis::layers;
use maud::{Markup, html};

use super::Story;
use super::page::Section;
use crate::pictures::step_charts;
use crate::{chart, scrolled};

/// Figures of a layer as the metric log names them, and as people do.
const LAYER_FIGURES: [(&str, &str); 5] = [
    ("gradient_norm", "gradient norm"),
    ("weight_norm", "weight norm"),
    ("update_ratio", "update / weight"),
    ("dead_share", "dead units"),
    ("saturated_share", "saturated units"),
];

pub(super) fn section(story: &Story<'_>) -> Option<Section> {
    let best = story.status.best.as_ref();
    let charts: Vec<&str> = ["loss", "accuracy"].into_iter().filter_map(|name| story.picture(name)).collect();
    let steps = step_charts(&story.rows, best);
    let steps: Vec<String> = steps.iter().filter_map(|chart| chart.to_svg().ok()).collect();
    if charts.is_empty() && steps.is_empty() {
        return None;
    }
    let has_dropout = story.experiment.model.is_mlp() && story.experiment.model.dropout > 0.0;
    let content = html! {
        div.charts {
            @for svg in charts { (chart(svg, "")) }
            @for svg in &steps { (chart(svg, "")) }
        }
        p.note {
            "Training figures are measured while the weights move"
            @if has_dropout { " and with dropout on" }
            "; validation figures after the epoch, in inference mode. The values of a curve are under the pointer."
            @if let Some(rate) = constant_rate(&story.rows) { " The learning rate is " (rate) " throughout." }
            @if story.experiment.loss.label_smoothing > 0.0 {
                " Labels are smoothed, so that the loss does not fall to 0 even where every answer is right."
            }
        }
        (layer_table(&story.rows))
    };
    Some(Section { anchor: "training", heading: "Training", content })
}

/// The learning rate where it never changes.
fn constant_rate(rows: &[MetricRow]) -> Option<f64> {
    let mut rates = rows.iter().filter_map(|row| row.figure("lr"));
    let first = rates.next()?;
    rates.all(|rate| rate == first).then_some(first)
}

/// The layers at the last measurement.
fn layer_table(rows: &[MetricRow]) -> Markup {
    let measured = rows.iter().filter(|row| row.scope == Scope::Interval).map(|row| (row, layers(row)));
    let Some((row, layers)) = measured.rev().find(|(_, layers)| !layers.is_empty()) else { return html! {} };
    let known: Vec<(&str, &str)> = LAYER_FIGURES
        .into_iter()
        .filter(|(figure, _)| layers.iter().any(|layer| layer.figure(figure).is_some()))
        .collect();
    html! {
        h3 { "Layers at the last measurement (step " (row.step) ")" }
        (scrolled("Layers at the last measurement", &html! { table {
            thead { tr { th scope="col" { "layer" } @for (_, words) in &known { th scope="col" { (words) } } } }
            tbody {
                @for layer in &layers {
                    tr {
                        th scope="row" { (layer.name) }
                        @for (figure, _) in &known { td { (cell(figure, layer.figure(figure))) } }
                    }
                }
            }
        } }))
    }
}

fn cell(figure: &str, value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if figure.ends_with("share") => format!("{:.1} %", value * 100.0),
        Some(value) if value != 0.0 && (value.abs() < 1e-3 || value.abs() >= 1e5) => format!("{value:.2e}"),
        Some(value) => format!("{value:.4}"),
    }
}
