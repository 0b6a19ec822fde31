//! Several runs on one page: what came of them, their curves over each other, and the settings that differ.

use std::collections::BTreeMap;

use kiln_artifacts::runs::compare;
use kiln_artifacts::{ArtifactError, Comparison, MetricRow, Run, Scope};
use kiln_plot::{Axis, LineChart, PlotError, Series, Style};
use maud::{Markup, html};

use crate::{EvaluationError, chart, html_page, scrolled};

/// Curves that there is a chart of: split, figure, title.
const CURVES: [(&str, &str, &str); 4] = [
    ("validation", "loss", "Validation loss by epoch"),
    ("validation", "accuracy", "Validation accuracy by epoch"),
    ("train", "loss", "Training loss by epoch"),
    ("train", "accuracy", "Training accuracy by epoch"),
];
/// Settings that tell repetitions of an experiment apart, and no experiments.
const REPETITION: [&str; 2] = ["name", "seed"];

/// A self-contained page that holds `runs` beside each other.
///
/// # Errors
/// Where a run's config, status or log cannot be read, or a chart cannot be drawn.
pub fn comparison_page(runs: &[Run]) -> Result<String, EvaluationError> {
    let comparison = compare(runs)?;
    let names = names(&comparison);
    let logs = runs.iter().map(Run::metric_rows).collect::<Result<Vec<_>, ArtifactError>>()?;
    let charts = CURVES
        .iter()
        .filter_map(|(split, figure, title)| curves(&names, &logs, split, figure, title).transpose());
    let charts = charts.collect::<Result<Vec<String>, PlotError>>().map_err(|problem| {
        EvaluationError::Plot { path: "the curves of the runs".into(), problem: problem.to_string() }
    })?;
    let repeated = repeated(&comparison);
    let body = html! {
        header { h1 { (runs.len()) " runs compared" } }
        main {
            h2 { "What came of them" }
            (scrolled("What came of the runs", &figures(&comparison, &names)))
            @if !repeated.is_empty() {
                h2 { "With other seeds" }
                (scrolled("Means over seeds", &means(&repeated)))
                p.note { "Means over runs that differ in their seed alone, with the standard deviation between them." }
            }
            h2 { "Curves" }
            div.charts { @for svg in &charts { (chart(svg, "")) } }
            h2 { "Settings that differ" }
            @if comparison.config.is_empty() { p { "None: all settings are equal." } }
            @else { (scrolled("Settings that differ", &settings(&comparison, &names))) }
        }
    };
    Ok(html_page("Runs compared", "", &body))
}

/// The experiment's name where it tells the runs apart, else with the id.
fn names(comparison: &Comparison) -> Vec<String> {
    let count = |name: &str| comparison.runs.iter().filter(|run| run.name == name).count();
    let name = |run: &kiln_artifacts::ComparedRun| {
        if count(&run.name) == 1 { run.name.clone() } else { format!("{} {}", run.name, run.id) }
    };
    comparison.runs.iter().map(name).collect()
}

/// A chart with a line for each run; none where no run has the figure.
fn curves(
    names: &[String],
    logs: &[Vec<MetricRow>],
    split: &str,
    figure: &str,
    title: &str,
) -> Result<Option<String>, PlotError> {
    let points = |rows: &[MetricRow]| -> Vec<(f64, f64)> {
        let epochs = rows.iter().filter(|row| row.split == split && row.scope == Scope::Epoch);
        epochs.filter_map(|row| Some((row.epoch as f64, row.figure(figure)?))).collect()
    };
    let series = names.iter().zip(logs).enumerate().map(|(number, (name, rows))| Series {
        name: name.clone(),
        style: Style::nth(number),
        has_dots: true,
        points: points(rows),
    });
    let y = if figure == "loss" { Axis::logarithmic("loss") } else { Axis::values("accuracy (share right)") };
    match LineChart::new(title, Axis::whole_numbers("epoch"), y, series.collect()).to_svg() {
        Ok(svg) => Ok(Some(svg)),
        Err(PlotError::Nothing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn figures(comparison: &Comparison, names: &[String]) -> Markup {
    html! {
        table {
            thead { tr {
                th scope="col" { "run" } th scope="col" { "state" } th scope="col" { "epochs" } th scope="col" { "seconds" }
                @for figure in &comparison.figures { th scope="col" { (figure.name) } }
            } }
            tbody {
                @for (place, (run, name)) in comparison.runs.iter().zip(names).enumerate() {
                    tr {
                        th scope="row" { (name) }
                        td { (run.state) } td { (run.epoch) } td { (format!("{:.1}", run.elapsed_seconds)) }
                        @for figure in &comparison.figures {
                            td { @if let Some(value) = figure.values[place] { (format!("{value:.4}")) } }
                        }
                    }
                }
            }
        }
    }
}

fn settings(comparison: &Comparison, names: &[String]) -> Markup {
    html! {
        table.words {
            thead { tr { th scope="col" { "setting" } @for name in names { th scope="col" { (name) } } } }
            tbody {
                @for difference in &comparison.config {
                    tr {
                        th scope="row" { code { (difference.key) } }
                        @for value in &difference.values {
                            td { @if let Some(value) = value { code { (value) } } }
                        }
                    }
                }
            }
        }
    }
}

/// Runs that differ in their seed alone.
struct Repeated {
    settings: String,
    runs: usize,
    /// Figure, mean and standard deviation.
    figures: Vec<(String, f64, f64)>,
}

/// Groups of two runs or more; what the settings besides the seed are tells them apart.
fn repeated(comparison: &Comparison) -> Vec<Repeated> {
    let settings = |place: usize| -> Vec<String> {
        let decisive = comparison.config.iter().filter(|one| !REPETITION.contains(&one.key.as_str()));
        let value = |one: &kiln_artifacts::ConfigDifference| {
            let value = one.values[place].as_ref().map_or_else(|| "left out".to_owned(), ToString::to_string);
            format!("{} = {value}", one.key)
        };
        decisive.map(value).collect()
    };
    let mut groups: BTreeMap<Vec<String>, Vec<usize>> = BTreeMap::new();
    for place in 0..comparison.runs.len() {
        groups.entry(settings(place)).or_default().push(place);
    }
    let several = groups.into_iter().filter(|(_, places)| places.len() > 1);
    several
        .map(|(settings, places)| Repeated {
            settings: if settings.is_empty() { "all".to_owned() } else { settings.join(", ") },
            runs: places.len(),
            figures: comparison
                .figures
                .iter()
                .filter_map(|figure| {
                    let values =
                        places.iter().map(|place| figure.values[*place]).collect::<Option<Vec<f64>>>()?;
                    let (mean, deviation) = spread(&values);
                    Some((figure.name.clone(), mean, deviation))
                })
                .collect(),
        })
        .collect()
}

/// Mean and standard deviation (n - 1) of two values or more.
fn spread(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0)).sqrt())
}

fn means(groups: &[Repeated]) -> Markup {
    html! {
        table {
            thead { tr {
                th scope="col" { "settings" } th scope="col" { "runs" }
                @for (name, ..) in groups.iter().flat_map(|group| &group.figures).take(groups[0].figures.len()) {
                    th scope="col" { (name) }
                }
            } }
            tbody {
                @for group in groups {
                    tr {
                        th scope="row" { (group.settings) }
                        td { (group.runs) }
                        @for (_, mean, deviation) in &group.figures { td { (format!("{mean:.4} ± {deviation:.4}")) } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_that_of_a_sample() {
        let (mean, deviation) = spread(&[1.0, 2.0, 3.0]);
        assert!((mean - 2.0).abs() < 1e-12 && (deviation - 1.0).abs() < 1e-12);
    }
}
