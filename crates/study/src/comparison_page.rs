//! Several runs on one page: their results, their curves in one chart, and the settings that differ.

use std::collections::BTreeMap;

use kiln_artifacts::runs::compare;
use kiln_artifacts::{ArtifactError, MetricRow, MetricScope, Run, RunComparison};
use kiln_evaluation::{chart, html_page, scrolled};
use kiln_plot::{Axis, LineChart, PlotError, Series};
use maud::{Markup, html};

use crate::StudyError;
use crate::ranking::Spread;

/// The charts: split, figure, title.
const CURVES: [(&str, &str, &str); 4] = [
    ("validation", "loss", "Validation loss by epoch"),
    ("validation", "accuracy", "Validation accuracy by epoch"),
    ("train", "loss", "Training loss by epoch"),
    ("train", "accuracy", "Training accuracy by epoch"),
];
/// Settings that differ between repetitions of one experiment.
const REPETITION: [&str; 2] = ["name", "seed"];

/// A self-contained page that compares `runs`.
pub fn comparison_page(runs: &[Run]) -> Result<String, StudyError> {
    let comparison = compare(runs)?;
    let names = names(&comparison);
    let logs = runs.iter().map(Run::metric_rows).collect::<Result<Vec<_>, ArtifactError>>()?;
    let charts = CURVES
        .iter()
        .filter_map(|(split, figure, title)| curves(&names, &logs, split, figure, title).transpose());
    let charts = charts.collect::<Result<Vec<String>, PlotError>>()?;
    let repeated = repeated(&comparison);
    let body = html! {
        header { h1 { (runs.len()) " runs compared" } }
        main {
            h2 { "Results" }
            (scrolled("Results of the runs", &figures(&comparison, &names)))
            @if !repeated.is_empty() {
                h2 { "With other seeds" }
                (scrolled("Means over seeds", &means(&comparison, &repeated)))
                p.note { "Means over runs that differ only in their seed, with the standard deviation between them." }
            }
            h2 { "Curves" }
            div.charts { @for svg in &charts { (chart(svg, "")) } }
            h2 { "Settings that differ" }
            @if comparison.config.is_empty() { p { "All settings are equal." } }
            @else { (scrolled("Settings that differ", &settings(&comparison, &names))) }
        }
    };
    Ok(html_page("Runs compared", "", &body))
}

/// The names of the experiments, with the run's id where several runs share a name.
fn names(comparison: &RunComparison) -> Vec<String> {
    let count = |name: &str| comparison.runs.iter().filter(|run| run.name == name).count();
    let name = |run: &kiln_artifacts::ComparedRun| {
        if count(&run.name) == 1 { run.name.clone() } else { format!("{} {}", run.name, run.id) }
    };
    comparison.runs.iter().map(name).collect()
}

/// A chart with a line for each run; `None` if no run has the figure.
fn curves(
    names: &[String],
    logs: &[Vec<MetricRow>],
    split: &str,
    figure: &str,
    title: &str,
) -> Result<Option<String>, PlotError> {
    let points = |rows: &[MetricRow]| -> Vec<(f64, f64)> {
        let epochs = rows.iter().filter(|row| row.split == split && row.scope == MetricScope::Epoch);
        epochs.filter_map(|row| Some((row.epoch as f64, row.figure(figure)?))).collect()
    };
    let series = names.iter().zip(logs).enumerate();
    let series = series.map(|(number, (name, rows))| Series::new(name, number, points(rows)).with_dots());
    let y =
        if figure == "loss" { Axis::logarithmic("loss") } else { Axis::values("accuracy (share correct)") };
    match LineChart::new(title, Axis::whole_numbers("epoch"), y, series.collect()).to_svg() {
        Ok(svg) => Ok(Some(svg)),
        Err(PlotError::Nothing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn figures(comparison: &RunComparison, names: &[String]) -> Markup {
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

fn settings(comparison: &RunComparison, names: &[String]) -> Markup {
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

/// Runs that differ only in their seed.
struct SeedGroup {
    settings: String,
    /// Indices into the runs of the comparison.
    runs: Vec<usize>,
}

/// Groups of two or more such runs, each with the settings that distinguish it from the other groups.
fn repeated(comparison: &RunComparison) -> Vec<SeedGroup> {
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
    let several = groups.into_iter().filter(|(_, runs)| runs.len() > 1);
    let words =
        |settings: Vec<String>| if settings.is_empty() { "all".to_owned() } else { settings.join(", ") };
    several.map(|(settings, runs)| SeedGroup { settings: words(settings), runs }).collect()
}

/// The means of each group. A figure that some run of the group lacks has no mean.
fn means(comparison: &RunComparison, groups: &[SeedGroup]) -> Markup {
    let mean = |values: &[Option<f64>], runs: &[usize]| {
        let values = runs.iter().map(|run| values[*run]).collect::<Option<Vec<f64>>>();
        values.and_then(|values| Spread::of(&values)).map_or_else(String::new, |spread| spread.shown(4))
    };
    html! {
        table {
            thead { tr {
                th scope="col" { "settings" } th scope="col" { "runs" }
                @for figure in &comparison.figures { th scope="col" { (figure.name) } }
            } }
            tbody {
                @for SeedGroup { settings, runs } in groups {
                    tr {
                        th scope="row" { (settings) }
                        td { (runs.len()) }
                        @for figure in &comparison.figures { td { (mean(&figure.values, runs)) } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kiln_artifacts::{ComparedRun, ConfigDifference, FigureComparison, RunState};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_figure_that_a_group_lacks_leaves_its_column_empty() {
        let run = |id: &str| ComparedRun {
            name: "a".to_owned(),
            id: id.to_owned(),
            state: RunState::Finished,
            epoch: 1,
            elapsed_seconds: 1.0,
            best: None,
            test: None,
            weights_sha256: None,
        };
        let figure = |name: &str, values: [Option<f64>; 4]| FigureComparison {
            name: name.to_owned(),
            values: values.into(),
        };
        let differs = |key: &str, values: [i64; 4]| {
            let values = values.map(|value| Some(json!(value))).into();
            ConfigDifference { key: key.to_owned(), values }
        };
        let comparison = RunComparison {
            runs: ["1", "2", "3", "4"].map(run).into(),
            config: vec![differs("seed", [1, 2, 1, 2]), differs("x", [0, 0, 1, 1])],
            figures: vec![
                figure("test.loss", [None, None, Some(1.0), Some(3.0)]),
                figure("train.loss", [Some(0.5), Some(0.5), Some(2.0), Some(2.0)]),
            ],
        };
        let groups = repeated(&comparison);
        assert_eq!(
            groups.iter().map(|group| group.runs.clone()).collect::<Vec<_>>(),
            [vec![0, 1], vec![2, 3]]
        );
        let table = means(&comparison, &groups).into_string();
        assert!(table.contains("<td>2</td><td></td><td>0.5000 ± 0.0000</td>"), "{table}");
        assert!(table.contains("<td>2</td><td>2.0000 ± 1.4142</td><td>2.0000 ± 0.0000</td>"), "{table}");
    }
}
