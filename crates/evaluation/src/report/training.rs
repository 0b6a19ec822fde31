//! Sections of the report about how the network was made: training, data, settings, provenance.

use std::collections::BTreeMap;
use std::fs;

use kiln_artifacts::{MetricRow, MetricScope, Run};
use kiln_config::{Experiment, Explanation, Origin, Request, Source, explain, resolve};
use kiln_data::{Column, Preparation, Profile};
use kiln_diagnosis::layers;
use maud::{Markup, html};

use crate::plots::step_charts;
use crate::report::{ReportContext, ReportSection, summary::grouped};
use crate::{chart, scrolled};

/// Figures of a layer: the key in the metric log, and the heading of the column.
const LAYER_FIGURES: [(&str, &str); 5] = [
    ("gradient_norm", "gradient norm"),
    ("weight_norm", "weight norm"),
    ("update_ratio", "update / weight"),
    ("dead_share", "dead units"),
    ("saturated_share", "saturated units"),
];

pub(super) fn training_section(report: &ReportContext<'_>) -> Option<ReportSection> {
    let best = report.status.best.as_ref();
    let charts: Vec<&str> =
        ["loss", "accuracy"].into_iter().filter_map(|name| report.plot_svg(name)).collect();
    let steps = step_charts(&report.rows, best);
    let steps: Vec<String> = steps.iter().filter_map(|chart| chart.to_svg().ok()).collect();
    if charts.is_empty() && steps.is_empty() {
        return None;
    }
    let has_dropout = report.experiment.model.is_mlp() && report.experiment.model.dropout > 0.0;
    let content = html! {
        div.charts {
            @for svg in charts { (chart(svg, "")) }
            @for svg in &steps { (chart(svg, "")) }
        }
        p.note {
            "Training figures are measured during the epoch, while the weights change"
            @if has_dropout { " and with dropout active" }
            "; validation figures are measured after the epoch, in inference mode. Point at a curve to see its values."
            @if let Some(rate) = constant_rate(&report.rows) { " The learning rate is constant: " (rate) "." }
            @if report.experiment.loss.label_smoothing > 0.0 {
                " With label smoothing, the loss does not fall to 0 even if all predictions are correct."
            }
        }
        (layer_table(&report.rows))
    };
    Some(ReportSection { anchor: "training", heading: "Training", content })
}

/// The learning rate, if it never changes.
fn constant_rate(rows: &[MetricRow]) -> Option<f64> {
    let mut rates = rows.iter().filter_map(|row| row.figure("lr"));
    let first = rates.next()?;
    rates.all(|rate| rate == first).then_some(first)
}

/// The layers at the last measurement.
fn layer_table(rows: &[MetricRow]) -> Markup {
    let measured = rows.iter().filter(|row| row.scope == MetricScope::Interval).map(|row| (row, layers(row)));
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

pub(super) fn data_section(report: &ReportContext<'_>) -> Option<ReportSection> {
    let profile = report.profile.as_ref()?;
    let preparation = profile.preparation();
    if profile.notices.is_empty() && preparation.is_none() && profile.examples.is_none() {
        return None;
    }
    let content = html! {
        @if let Some(counts) = profile.examples {
            p {
                (grouped(counts.train as u64)) " training examples, " (grouped(counts.validation as u64))
                " validation examples and " (grouped(counts.test as u64)) " test examples; "
                (grouped(profile.shape.features() as u64)) " features, " (profile.classes.len()) " classes."
            }
        }
        @if !profile.notices.is_empty() {
            ul.findings { @for notice in &profile.notices { li.info { (notice) } } }
        }
        @if let Some(preparation) = preparation { (columns(profile, preparation)) }
    };
    Some(ReportSection { anchor: "data", heading: "Data", content })
}

fn columns(profile: &Profile, preparation: &Preparation) -> Markup {
    let used = preparation.used().count();
    let features = |column: &Column| {
        column.treatment.as_ref().map_or("left out".to_owned(), |treatment| treatment.features().to_string())
    };
    html! {
        p.note {
            (used) " of " (preparation.columns.len()) " columns are used and become " (profile.shape.features())
            " features. The kind of each column follows from the training rows. Missing numbers are replaced by the median, \
             and an extra feature marks them."
        }
        (scrolled("Columns of the data", &html! {
            table.words {
                thead { tr {
                    @for head in ["column", "kind", "features", "missing in training", "why"] { th scope="col" { (head) } }
                } }
                tbody {
                    @for column in &preparation.columns {
                        tr {
                            th scope="row" { (column.name) }
                            td { (column.kind.name()) }
                            td { (features(column)) }
                            td { (column.missing) }
                            td { (column.why) }
                        }
                    }
                }
            }
        }))
    }
}

/// A longer value, such as a list of weights, is shortened; `config.toml` has all of it.
const LONGEST: usize = 200;

/// A setting with an effect on the run.
struct ResolvedSetting {
    key: String,
    /// Its value as TOML.
    value: String,
    /// Where it came from; `None` for a built-in default.
    origin: Option<String>,
}

pub(super) fn settings_section(report: &ReportContext<'_>) -> ReportSection {
    let settings = settings(report.run, report.experiment);
    let (given, defaults): (Vec<&ResolvedSetting>, Vec<&ResolvedSetting>) =
        settings.iter().partition(|setting| setting.origin.is_some());
    let content = html! {
        @if given.is_empty() { p { "All settings have their default values." } }
        @else { (scrolled("Settings of this experiment", &settings_table(&given))) }
        details {
            summary { (defaults.len()) " settings with default values" }
            (scrolled("Settings with default values", &settings_table(&defaults)))
        }
        p.note { "Settings that have no effect in this run are not listed; config.toml has all settings." }
    };
    ReportSection { anchor: "experiment", heading: "Settings", content }
}

fn settings_table(settings: &[&ResolvedSetting]) -> Markup {
    let has_origins = settings.iter().any(|setting| setting.origin.is_some());
    html! {
        table.words {
            thead {
                tr { th scope="col" { "setting" } th scope="col" { "value" } @if has_origins { th scope="col" { "from" } } }
            }
            tbody {
                @for ResolvedSetting { key, value, origin } in settings {
                    tr {
                        th scope="row" { code { (key) } }
                        td { code { (shortened(value)) } }
                        @if let Some(origin) = origin { td { (origin) } }
                    }
                }
            }
        }
    }
}

fn shortened(value: &str) -> String {
    let short = kiln_files::shortened(value, LONGEST);
    if short == value { short } else { short + " (in full in config.toml)" }
}

fn settings(run: &Run, experiment: &Experiment) -> Vec<ResolvedSetting> {
    let text = experiment.to_toml();
    let values = assignments(&text);
    let without_effect = experiment.without_effect();
    let origins = origins(run);
    let settings = values.iter().filter_map(|(key, value)| {
        let Ok(Explanation::Key(about)) = explain(key) else { return None };
        if without_effect.contains(&key.as_str()) {
            return None;
        }
        let origin = match origins.get(key) {
            Some(origin) if origin.is_given() => Some(origin_words(origin)),
            _ if about.default.as_deref() == Some(*value) => None,
            // Neither in the files of the run nor the default.
            _ => Some("a base, the environment, a study or a resume".to_owned()),
        };
        Some(ResolvedSetting { key: key.clone(), value: (*value).to_owned(), origin })
    });
    settings.collect()
}

/// The keys and values of an experiment file as Kiln writes it, one per line. Keys that are commented out have no effect
/// and are skipped.
fn assignments(text: &str) -> Vec<(String, &str)> {
    let mut section = "";
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
        } else if let Some((key, value)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            found.push((if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }, value));
        }
    }
    found
}

/// The origin of each setting, from the run's copies of its file and its overrides. Empty if the file extends a base that is
/// not in the run's folder.
fn origins(run: &Run) -> BTreeMap<String, Origin> {
    let overrides = fs::read_to_string(run.overrides_txt()).unwrap_or_default();
    let request = Request {
        source: Source::File(run.input_config_toml()),
        environment: Vec::new(),
        overrides: overrides.lines().map(str::to_owned).collect(),
    };
    resolve(&request).map(|resolved| resolved.origins).unwrap_or_default()
}

/// The origin without the path of the run's folder, so that the report is the same wherever the folder lies.
fn origin_words(origin: &Origin) -> String {
    match origin {
        Origin::File { name, .. } if name.starts_with("preset ") => name.clone(),
        Origin::File { line, .. } => format!("file, line {line}"),
        Origin::CommandLine { .. } => "command line".to_owned(),
        other => other.to_string(),
    }
}

/// Versions, machine, data and source code.
pub(super) fn origin_section(report: &ReportContext<'_>) -> Option<ReportSection> {
    let provenance = report.provenance.as_ref()?;
    let machine = &provenance.machine;
    let unknown = || "unknown".to_owned();
    let cores = machine.cores.map_or_else(unknown, |cores| cores.to_string());
    let git = provenance.git.as_ref().map_or_else(
        || "not in a git checkout".to_owned(),
        |git| {
            format!("{}{}", git.commit, if git.dirty { " with uncommitted changes (git.diff)" } else { "" })
        },
    );
    let adapter = provenance.adapter.as_deref().unwrap_or_default();
    let facts = [
        ("run", format!("{}/{}", report.run.name(), report.run.id())),
        ("started", report.status.started.to_string()),
        ("training time", format!("{:.1} s", report.status.elapsed_seconds)),
        ("epochs and steps", format!("{} and {}", report.status.epoch, report.status.step)),
        ("backend", format!("{} on {adapter}, {} threads", provenance.backend, provenance.threads)),
        (
            "machine",
            format!("{}, {cores} cores, {}", machine.cpu.clone().unwrap_or_else(unknown), machine.os),
        ),
        ("trained on", format!("{}, SHA-256 {}", provenance.dataset.name, provenance.dataset.sha256)),
        ("seed", provenance.seed.to_string()),
        ("Kiln, Burn, compiler", {
            let build = &provenance.build;
            format!("{}, {}, {}", build.kiln, build.burn, build.rustc)
        }),
        ("source", git),
    ];
    let content = html! {
        table.words { @for (name, value) in facts { tr { th scope="row" { (name) } td { (value) } } } }
        p.note {
            "For details, see run.json, metrics.jsonl"
            @if let Some(tested) = &report.tested { " and the folder evaluation/" (tested.name) }
            "."
        }
    };
    Some(ReportSection { anchor: "provenance", heading: "Provenance", content })
}

#[cfg(test)]
mod tests {
    use kiln_artifacts::RunInputs;

    use super::*;

    #[test]
    fn settings_with_an_effect_are_listed_with_their_origins() {
        let folder = tempfile::tempdir().unwrap();
        let overrides = ["optimizer.lr=0.5".to_owned()];
        let input = "[optimizer]\nname = \"sgd\"\n";
        let run = Run::create(
            folder.path(),
            "a",
            &RunInputs { resolved_toml: "", input_toml: input, overrides: &overrides, start: None },
        )
        .unwrap();
        let mut experiment = Experiment::from_toml_str("a", input).unwrap();
        experiment.optimizer.lr = 0.5;
        experiment.training.epochs = 3;
        let settings = settings(&run, &experiment);
        let origin = |key: &str| {
            let setting = settings.iter().find(|setting| setting.key == key);
            setting.map(|setting| (setting.value.as_str(), setting.origin.as_deref()))
        };
        assert_eq!(origin("optimizer.name"), Some(("\"sgd\"", Some("file, line 2"))));
        assert_eq!(origin("optimizer.lr"), Some(("0.5", Some("command line"))));
        assert_eq!(origin("optimizer.momentum"), Some(("0.0", None)));
        assert_eq!(origin("optimizer.betas"), None, "for adam");
        assert_eq!(origin("early_stopping.patience"), None, "switched off");
        let epochs = origin("training.epochs").unwrap();
        assert_eq!(epochs, ("3", Some("a base, the environment, a study or a resume")));
    }

    #[test]
    fn a_long_value_is_shortened() {
        assert_eq!(shortened("[1, 2]"), "[1, 2]");
        assert!(shortened(&"9".repeat(300)).ends_with("… (in full in config.toml)"));
    }
}
