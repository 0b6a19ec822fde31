//! How training went.

use kiln_artifacts::{MetricRow, Scope};
use kiln_diagnosis::layers;
use maud::{Markup, PreEscaped, html};

use super::Story;
use super::page::Section;

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
        (layer_table(&story.rows))
    };
    Some(Section { anchor: "training", heading: "Training", content })
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
        div.wide { table {
            tr { th { "layer" } @for (_, words) in &known { th { (words) } } }
            @for layer in &layers {
                tr {
                    td { (layer.name) }
                    @for (figure, _) in &known { td { (cell(figure, layer.figure(figure))) } }
                }
            }
        } }
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
