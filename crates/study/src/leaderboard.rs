//! The leaderboard of listed trials: as rows of text, as CSV and Markdown, and as pictures.

use std::path::Path;

use kiln_artifacts::{Machine, MetricRow, Timestamp, replace_file};
use kiln_files::csv_text;
use kiln_plot::{Axis, ErrorBarChart, ErrorBarRow, LineChart, PlotError, Series};

use crate::StudyError;
use crate::analysis::AnalysisSection;
use crate::outcome::TrialOutcome;
use crate::ranking::McNemarMethod;
use crate::results::{StudyResults, TrialResults};

/// A heading and rows of equal length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextTable {
    /// The heading.
    pub head: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
}

impl TextTable {
    /// A table of these columns, each a heading with its entries; columns with only empty entries are left out.
    pub(crate) fn of_columns(columns: impl Iterator<Item = (String, Vec<String>)>) -> Self {
        let columns: Vec<(String, Vec<String>)> =
            columns.filter(|(_, entries)| entries.iter().any(|entry| !entry.is_empty())).collect();
        let count = columns.first().map_or(0, |(_, entries)| entries.len());
        let row = |index: usize| columns.iter().map(|(_, entries)| entries[index].clone()).collect();
        Self {
            head: columns.iter().map(|(head, _)| head.clone()).collect(),
            rows: (0..count).map(row).collect(),
        }
    }
}

/// A column: its heading, and a trial's entry.
struct Column {
    head: &'static str,
    entry: fn(&TrialResults) -> String,
}

const COLUMNS: [Column; 12] = [
    Column { head: "rank", entry: rank },
    Column { head: "trial", entry: |trial| trial.name.clone() },
    Column { head: "test accuracy", entry: |trial| shown(trial, "test_accuracy") },
    Column { head: "range", entry: range },
    Column { head: "dropout active", entry: dropout_active },
    Column { head: "test loss", entry: |trial| shown(trial, "test_loss") },
    Column { head: "train accuracy", entry: |trial| shown(trial, "train_accuracy") },
    Column { head: "train loss", entry: |trial| shown(trial, "train_loss") },
    Column { head: "verdict", entry: TrialResults::verdict },
    Column { head: "paired test", entry: paired_test },
    Column { head: "parameters", entry: parameters },
    Column { head: "seconds", entry: seconds },
];

/// The leaderboard; columns that no trial has an entry for are left out.
#[must_use]
pub fn leaderboard(results: &StudyResults) -> TextTable {
    let column =
        |column: &Column| (column.head.to_owned(), results.trials.iter().map(column.entry).collect());
    TextTable::of_columns(COLUMNS.iter().map(column))
}

/// The expectations compared with the results; `None` if there are no expectations.
#[must_use]
pub fn verdicts(results: &StudyResults) -> Option<TextTable> {
    let head = ["trial", "source", "figure", "expected", "measured", "difference", "tolerance", "verdict"];
    let rows = results.checks.iter().map(|check| {
        let number = |value: Option<f64>, sign: bool| match value {
            Some(value) if sign => format!("{value:+.4}"),
            Some(value) => format!("{value}"),
            None => String::new(),
        };
        let verdict = match (check.holds, check.must_hold) {
            (true, _) => "reproduced",
            (false, true) => "NOT reproduced",
            (false, false) => "not reproduced (optional)",
        };
        vec![
            check.trial.clone(),
            check.source.clone(),
            check.subject.clone(),
            check.expected.clone(),
            check.measured.clone(),
            number(check.difference, true),
            number(check.tolerance, false),
            verdict.to_owned(),
        ]
    });
    (!results.checks.is_empty())
        .then(|| TextTable { head: head.map(str::to_owned).to_vec(), rows: rows.collect() })
}

fn rank(trial: &TrialResults) -> String {
    let rank = trial.rank.map_or_else(|| "-".to_owned(), |rank| rank.to_string());
    if trial.is_tied { format!("{rank}=") } else { rank }
}

fn shown(trial: &TrialResults, figure: &str) -> String {
    trial.figures.get(figure).map_or_else(String::new, |spread| spread.shown(4))
}

/// Empty without dropout: it would repeat the test accuracy.
fn dropout_active(trial: &TrialResults) -> String {
    if trial.experiment.model.dropout > 0.0 { shown(trial, "dropout_active_accuracy") } else { String::new() }
}

fn range(trial: &TrialResults) -> String {
    trial.figures.get("test_accuracy").map_or_else(String::new, |spread| spread.range(4))
}

fn paired_test(trial: &TrialResults) -> String {
    let Some((other, test)) = &trial.test else { return String::new() };
    let form = if test.result.method == McNemarMethod::ExactBinomial { ", exact" } else { "" };
    format!("p = {} against {other}{form}", probability(test.result.p_value))
}

/// Two significant digits.
fn probability(value: f64) -> String {
    if value >= 0.001 { format!("{value:.3}") } else { format!("{value:.0e}") }
}

fn parameters(trial: &TrialResults) -> String {
    trial.mean("parameters").map_or_else(String::new, |count| format!("{count:.0}"))
}

fn seconds(trial: &TrialResults) -> String {
    trial.mean("seconds").map_or_else(String::new, two_digits)
}

/// Two significant digits.
fn two_digits(value: f64) -> String {
    let power = if value > 0.0 { value.log10().floor() } else { 0.0 };
    format!("{value:.*}", (1.0 - power).clamp(0.0, 6.0) as usize)
}

/// Figures with columns for mean, deviation, least and greatest.
const FIGURES: [&str; 6] = [
    "test_accuracy",
    "dropout_active_accuracy",
    "test_loss",
    "dropout_active_loss",
    "train_accuracy",
    "train_loss",
];

/// `leaderboard.csv`, with all digits. Time is the last column: only it differs between equal studies.
pub(crate) fn leaderboard_csv(results: &StudyResults) -> Vec<u8> {
    let mut head: Vec<String> = ["rank", "tied", "trial", "seeds", "verdict"].map(str::to_owned).to_vec();
    for figure in FIGURES {
        head.extend(["mean", "deviation", "least", "greatest"].map(|part| format!("{figure}_{part}")));
    }
    head.extend(
        ["paired_test_against", "paired_test_p", "parameters", "error", "seconds_mean"].map(str::to_owned),
    );
    csv_text(std::iter::once(head).chain(results.trials.iter().map(csv_row)))
}

fn csv_row(trial: &TrialResults) -> Vec<String> {
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    let finished = trial.seeds.iter().filter(|seed| seed.outcome.is_finished()).count();
    let mut row = vec![
        trial.rank.map_or_else(String::new, |rank| rank.to_string()),
        trial.is_tied.to_string(),
        trial.name.clone(),
        finished.to_string(),
        trial.verdict(),
    ];
    for figure in FIGURES {
        let spread = trial.figures.get(figure);
        row.push(number(spread.map(|spread| spread.mean)));
        row.push(number(spread.and_then(|spread| spread.deviation)));
        row.push(number(spread.map(|spread| spread.least)));
        row.push(number(spread.map(|spread| spread.greatest)));
    }
    row.push(trial.test.as_ref().map_or_else(String::new, |(other, _)| other.clone()));
    row.push(number(trial.test.as_ref().map(|(_, test)| test.result.p_value)));
    row.push(number(trial.mean("parameters")));
    row.push(trial.error().unwrap_or_default().to_owned());
    row.push(number(trial.mean("seconds")));
    row
}

/// `leaderboard.md`: the ranking and the expectations.
pub(crate) fn leaderboard_markdown(results: &StudyResults) -> String {
    let mut text = format!("# {}\n\n", results.study);
    if !results.about.is_empty() {
        text += &format!("{}\n\n", results.about.trim());
    }
    text += &format!("{}\n\n", provenance(results));
    text += &markdown_table(&leaderboard(results));
    if results.trials.iter().any(|trial| trial.rank.is_some()) {
        text += "\n![Test accuracy of every trial: seeds, mean and standard deviation](intervals.svg)\n";
    }
    if let Some(verdicts) = verdicts(results) {
        text += &format!("\n## Expectations\n\n{}", markdown_table(&verdicts));
    }
    text
}

/// `analysis.md`.
pub(crate) fn analysis_markdown(study: &str, analysis: &[AnalysisSection]) -> String {
    let sections = analysis.iter().map(|section| {
        let statements = section.statements.iter().map(|statement| format!("- {statement}\n"));
        format!("\n## {}\n\n{}", section.title, statements.collect::<String>())
    });
    format!("# {study}: analysis\n{}", sections.collect::<String>())
}

/// Version, date, machine and seeds in one line.
pub(crate) fn provenance(results: &StudyResults) -> String {
    let seeds: Vec<String> = results.seeds.iter().map(ToString::to_string).collect();
    let over = match results.folds {
        Some(_) => format!("Cross-validated in {}", results.over()),
        None => format!("Seeds {}", seeds.join(", ")),
    };
    let stopped = if results.was_stopped { " Stopped before its end." } else { "" };
    let made_by = made_by(results.kiln, results.written, &results.machine);
    format!("{made_by} {over}; mean ± standard deviation (n - 1).{stopped}")
}

/// Version, date and machine.
pub(crate) fn made_by(kiln: &str, written: Timestamp, machine: &Machine) -> String {
    let cpu = machine.cpu.as_deref().unwrap_or(&machine.architecture);
    let cores = machine.cores.map_or_else(String::new, |cores| format!(", {cores} cores"));
    let day: String = written.to_string().chars().take(10).collect();
    format!("Made by kiln {kiln} on {day}: {cpu}{cores}.")
}

/// A table as Markdown.
pub(crate) fn markdown_table(table: &TextTable) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule = format!("|{}\n", " --- |".repeat(table.head.len()));
    line(&table.head) + &rule + &table.rows.iter().map(|row| line(row)).collect::<String>()
}

/// A picture as SVG and PNG.
pub(crate) struct Picture {
    /// File name without extension.
    pub(crate) name: &'static str,
    pub(crate) svg: String,
    png: Vec<u8>,
}

/// Every picture that has data: `intervals`, `loss`, `accuracy`, `gradients`.
pub(crate) fn pictures(results: &StudyResults) -> Result<Vec<Picture>, PlotError> {
    let intervals = intervals(results);
    // On a logarithmic axis: otherwise one exploding trial would flatten all other curves.
    let loss = curves(results, "Training loss by epoch", Axis::logarithmic("loss"), "loss");
    let accuracy = Axis::values("accuracy (share correct)");
    let accuracy = curves(results, "Training accuracy by epoch", accuracy, "accuracy");
    let gradients = gradients(results);
    let drawn = [
        ("intervals", intervals.to_svg(), intervals.to_png()),
        ("loss", loss.to_svg(), loss.to_png()),
        ("accuracy", accuracy.to_svg(), accuracy.to_png()),
        ("gradients", gradients.to_svg(), gradients.to_png()),
    ];
    drawn_ones(drawn)
}

/// A picture's name, with the SVG and the PNG or why they could not be drawn.
pub(crate) type Drawn = (&'static str, Result<String, PlotError>, Result<Vec<u8>, PlotError>);

/// The pictures, without those that have no data yet.
pub(crate) fn drawn_ones(drawn: impl IntoIterator<Item = Drawn>) -> Result<Vec<Picture>, PlotError> {
    let mut pictures = Vec::new();
    for (name, svg, png) in drawn {
        match (svg, png) {
            (Ok(svg), Ok(png)) => pictures.push(Picture { name, svg, png }),
            (Err(PlotError::Nothing { .. }), _) => {}
            (Err(error), _) | (_, Err(error)) => return Err(error),
        }
    }
    Ok(pictures)
}

impl Picture {
    /// Writes both files into `folder`.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), StudyError> {
        let path = folder.join(self.name);
        replace_file(&path.with_extension("svg"), self.svg.as_bytes())?;
        Ok(replace_file(&path.with_extension("png"), &self.png)?)
    }
}

/// The ranked trials, the best on top.
fn intervals(results: &StudyResults) -> ErrorBarChart {
    let row = |trial: &TrialResults| {
        let spread = trial.figures.get("test_accuracy")?;
        let tie = if trial.is_tied { "=" } else { "" };
        Some(ErrorBarRow {
            label: format!("{}{tie}  {}", trial.rank?, trial.name),
            mean: spread.mean,
            deviation: spread.deviation,
            seeds: trial
                .seeds
                .iter()
                .filter(|seed| seed.outcome.is_finished())
                .filter_map(|seed| seed.outcome.figure("test_accuracy"))
                .collect(),
        })
    };
    ErrorBarChart {
        title: format!("{}: test accuracy", results.study),
        value_label: "test accuracy".to_owned(),
        decimals: 4,
        rows: results.trials.iter().filter_map(row).collect(),
    }
}

/// One line for each seed of each trial, in the order of rank; the seeds of a trial share a colour.
fn curves(results: &StudyResults, title: &str, y: Axis, figure: &str) -> LineChart {
    let points = |outcome: &TrialOutcome| {
        let value = |row: &MetricRow| (row.epoch as f64, row.figure(figure).unwrap_or(f64::NAN));
        outcome.epochs.iter().map(value).collect()
    };
    LineChart::new(title, Axis::whole_numbers("epoch"), y, lines(results, points))
}

/// The gradient norm of each layer, when it was first measured.
fn gradients(results: &StudyResults) -> LineChart {
    let points = |outcome: &TrialOutcome| {
        let norms = outcome.layer_gradients.iter().enumerate();
        norms.map(|(layer, norm)| ((layer + 1) as f64, *norm)).collect()
    };
    let (x, y) =
        (Axis::whole_numbers("layer, from the input to the output"), Axis::logarithmic("gradient norm"));
    let series = lines(results, points).into_iter().map(Series::with_dots).collect();
    LineChart::new("Gradient norm by layer at the first measurement", x, y, series)
}

/// Only runs with a finite point: a legend entry without a line would confuse.
fn lines(results: &StudyResults, points: impl Fn(&TrialOutcome) -> Vec<(f64, f64)>) -> Vec<Series> {
    let mut lines = Vec::new();
    for (index, trial) in results.trials.iter().enumerate() {
        for seed in &trial.seeds {
            let points = points(&seed.outcome);
            if points.iter().any(|(_, value)| value.is_finite()) {
                lines.push(Series::new(trial.name.as_str(), index, points));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{study_results, trial};

    #[test]
    fn short_times_have_significant_digits() {
        assert_eq!(
            [0.0, 0.034_4, 0.5, 2.04, 12.3, 4321.0].map(two_digits),
            ["0.0", "0.034", "0.50", "2.0", "12", "4321"]
        );
    }

    #[test]
    fn gradients_go_from_the_first_layer_to_the_last() {
        let mut vanishing = trial("vanishing", &[0.1]);
        vanishing.seeds[0].outcome.layer_gradients = vec![1e-9, 1e-4, 0.5];
        let chart = gradients(&study_results(vec![vanishing, trial("unmeasured", &[0.9])]));
        assert_eq!(chart.series.len(), 1, "a trial without a line has no name in the legend");
        assert_eq!(chart.series[0].points, [(1.0, 1e-9), (2.0, 1e-4), (3.0, 0.5)]);
    }
}
