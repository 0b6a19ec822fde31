//! How training went.

use kiln_artifacts::{MetricRow, Scope};
use maud::{Markup, PreEscaped, html};

use super::Story;
use super::page::Section;
use crate::findings::layer_names;

/// Figures of a layer as the metric log names them, and as people do.
const LAYER_FIGURES: [(&str, &str); 5] = [
    ("gradient_norm", "gradient norm"),
    ("weight_norm", "weight norm"),
    ("update_ratio", "update / weight"),
    ("dead_share", "dead units"),
    ("saturated_share", "saturated units"),
];

pub(super) fn section(story: &Story<'_>) -> Option<Section> {
    let charts: Vec<&str> = ["loss", "accuracy"].into_iter().filter_map(|name| story.picture(name)).collect();
    if charts.is_empty() {
        return None;
    }
    let content = html! {
        div.charts { @for chart in charts { div { (PreEscaped(chart)) } } }
        p.note {
            "Training figures are measured while the weights move"
            @if story.experiment.model.is_mlp() && story.experiment.model.dropout > 0.0 { " and with dropout on" }
            "; validation figures after the epoch, in inference mode."
        }
        (layers(&story.rows))
    };
    Some(Section { anchor: "training", heading: "Training", content })
}

/// The layers at the last measurement.
fn layers(rows: &[MetricRow]) -> Markup {
    let is_measured = |row: &&MetricRow| row.scope == Scope::Interval && !layer_names(row).is_empty();
    let Some(row) = rows.iter().rfind(is_measured) else { return html! {} };
    let names = layer_names(row);
    let known: Vec<(&str, &str)> = LAYER_FIGURES
        .into_iter()
        .filter(|(figure, _)| names.iter().any(|layer| of(row, layer, figure).is_some()))
        .collect();
    html! {
        h3 { "Layers at the last measurement (step " (row.step) ")" }
        div.wide { table {
            tr { th { "layer" } @for (_, words) in &known { th { (words) } } }
            @for layer in &names {
                tr {
                    td { (layer) }
                    @for (figure, _) in &known { td { (cell(figure, of(row, layer, figure))) } }
                }
            }
        } }
    }
}

fn of(row: &MetricRow, layer: &str, figure: &str) -> Option<f64> {
    row.figure(&format!("{layer}.{figure}"))
}

fn cell(figure: &str, value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if figure.ends_with("share") => format!("{:.1} %", value * 100.0),
        Some(value) if value != 0.0 && (value.abs() < 1e-3 || value.abs() >= 1e5) => format!("{value:.2e}"),
        Some(value) => format!("{value:.4}"),
    }
}
