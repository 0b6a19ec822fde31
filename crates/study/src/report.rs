//! The report of a study of listed trials: all its files, and the page that shows the conclusions first, then the
//! figures behind them.

use std::path::Path;
use std::{fs, io};

use kiln_artifacts::{Run, replace_file};
use kiln_config::Experiment;
use kiln_evaluation::{
    EvaluationError, PREDICTIONS_FILE, chart, html_page, read_evaluation, scrolled, write_report,
    write_training_report,
};
use kiln_files::json_text;
use maud::{Markup, html};
use schemars::JsonSchema;
use serde::Serialize;

use crate::StudyError;
use crate::analysis::AnalysisSection;
use crate::leaderboard::{
    Picture, TextTable, analysis_markdown, leaderboard, leaderboard_csv, leaderboard_markdown, pictures,
    provenance, verdicts,
};
use crate::results::{StudyResults, TrialResults};

/// The results of a study, and their meaning in sentences.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "StudyReport")]
pub struct TrialsReport {
    /// The results.
    #[serde(flatten)]
    pub results: StudyResults,
    /// Their meaning.
    pub analysis: Vec<AnalysisSection>,
}

/// Writes all files of the report into the study's folder, each whole or not at all.
pub(crate) fn write(report: &TrialsReport, folder: &Path) -> Result<(), StudyError> {
    let TrialsReport { results, analysis } = report;
    let pictures = pictures(results)?;
    write_run_reports(results);
    let files = [
        ("leaderboard.csv", leaderboard_csv(results)),
        ("leaderboard.md", leaderboard_markdown(results).into_bytes()),
        ("leaderboard.html", report_page(report, &pictures, folder).into_bytes()),
        ("analysis.md", analysis_markdown(&results.study, analysis).into_bytes()),
        ("study.json", json_text(report)),
    ];
    for (name, bytes) in files {
        replace_file(&folder.join(name), &bytes)?;
    }
    write_out_of_fold(results, folder)?;
    pictures.iter().try_for_each(|picture| picture.write(folder))
}

pub(crate) const STYLE: &str = include_str!("style.css");

/// Sections of the analysis that answer the study's question.
const CONCLUSIONS: [&str; 3] = ["Ranking", "Which settings lead", "What to try"];

/// The head of a study's page: its name, what it shows, and where the figures come from.
pub(crate) fn page_header(study: &str, about: &str, provenance: &str) -> Markup {
    let about = about.trim();
    html! {
        header {
            h1 { (study) }
            @if !about.is_empty() { p.lead { (about) } }
            p.note { (provenance) }
        }
    }
}

/// `leaderboard.html` in `folder`; links to runs are relative to it.
fn report_page(report: &TrialsReport, pictures: &[Picture], folder: &Path) -> String {
    let TrialsReport { results, analysis } = report;
    let (conclusions, others): (Vec<&AnalysisSection>, Vec<&AnalysisSection>) =
        analysis.iter().partition(|section| CONCLUSIONS.contains(&section.title));
    let body = html! {
        (page_header(&results.study, &results.about, &provenance(results)))
        nav aria-label="Sections" {
            a href="#conclusions" { "Conclusions" }
            a href="#leaderboard" { "Leaderboard" }
            @if !results.checks.is_empty() { a href="#expectations" { "Expectations" } }
            a href="#curves" { "Curves" }
            @if !others.is_empty() { a href="#analysis" { "Analysis" } }
        }
        main {
            h2 id="conclusions" { "Conclusions" }
            @if let Some(words) = expectation_summary(results) { p { (words) } }
            (statements(&conclusions))
            h2 id="leaderboard" { "Leaderboard" }
            (leaderboard_table(results, folder))
            (charts(pictures, &["intervals"]))
            @if let Some(verdicts) = verdicts(results) {
                h2 id="expectations" { "Expectations" }
                (expectation_table(&verdicts))
            }
            h2 id="curves" { "Curves" }
            (charts(pictures, &["gradients", "loss", "accuracy"]))
            @if !others.is_empty() {
                h2 id="analysis" { "Analysis" }
                (statements(&others))
            }
        }
    };
    html_page(&results.study, STYLE, &body)
}

/// How many expectations hold, and which must but do not.
fn expectation_summary(results: &StudyResults) -> Option<String> {
    let all = results.checks.len();
    let broken: Vec<String> =
        results.broken().map(|check| format!("{} ({})", check.trial, check.subject)).collect();
    let held = all - broken.len();
    match (all, broken.is_empty()) {
        (0, _) => None,
        (_, true) => Some(format!("All expectations that must hold are met ({all} expectations in total).")),
        (_, false) => Some(format!(
            "{held} of {all} expectations hold. Not reproduced: {}.",
            kiln_config::listed(broken, "and")
        )),
    }
}

fn statements(sections: &[&AnalysisSection]) -> Markup {
    html! {
        @for section in sections {
            h3 { (section.title) }
            ul { @for statement in &section.statements { li { (statement) } } }
        }
    }
}

fn charts(pictures: &[Picture], names: &[&str]) -> Markup {
    let drawn = |name: &&str| pictures.iter().find(|picture| picture.name == *name);
    html! { div.charts { @for picture in names.iter().filter_map(drawn) { (chart(&picture.svg, "")) } } }
}

/// Columns that fit on a screen; the others are folded away.
const MAIN: [&str; 6] = ["rank", "test accuracy", "range", "verdict", "paired test", "seconds"];

/// The leaderboard, with a link to the runs of each trial.
fn leaderboard_table(results: &StudyResults, folder: &Path) -> Markup {
    let board = leaderboard(results);
    let columns = |is_main: bool| -> Vec<usize> {
        let is_shown = |index: &usize| {
            let head = board.head[*index].as_str();
            head != "trial" && MAIN.contains(&head) == is_main
        };
        (0..board.head.len()).filter(is_shown).collect()
    };
    let (main, others) = (columns(true), columns(false));
    html! {
        (scrolled("Leaderboard", &table_part(results, &board, &main, Some(folder))))
        @if !others.is_empty() {
            details {
                summary { "More figures" }
                (scrolled("More figures of the trials", &table_part(results, &board, &others, None)))
            }
        }
    }
}

/// The leaderboard with these columns; with a folder also with links to the runs' reports.
fn table_part(results: &StudyResults, board: &TextTable, columns: &[usize], folder: Option<&Path>) -> Markup {
    html! {
        table.leaderboard.words {
            thead { tr {
                th scope="col" { "trial" }
                @if folder.is_some() { th scope="col" { "report" } }
                @for index in columns { th scope="col" { (board.head[*index]) } }
            } }
            tbody {
                @for (row, trial) in board.rows.iter().zip(&results.trials) {
                    tr {
                        th scope="row" { (trial.name) }
                        @if let Some(folder) = folder { td { (run_links(trial, folder)) } }
                        @for index in columns { (table_cell(&row[*index])) }
                    }
                }
            }
        }
    }
}

/// A number is never broken across lines; words may be.
fn table_cell(text: &str) -> Markup {
    let is_number = text.len() < 24 && text.starts_with(|letter: char| letter.is_ascii_digit());
    html! { td.number[is_number] { (text) } }
}

/// Links to the existing reports of a trial's runs, by seed.
fn run_links(trial: &TrialResults, folder: &Path) -> Markup {
    html! {
        @for seed in &trial.seeds {
            @if let Some(link) = seed.outcome.run.as_deref().and_then(|run| link(run, folder)) {
                a href=(link) aria-label={ "report of " (trial.name) ", seed " (seed.outcome.seed) } { "seed\u{a0}" (seed.outcome.seed) }
                " "
            }
        }
    }
}

/// A link to the report of `run`, relative to `folder`.
pub(crate) fn link(run: &Path, folder: &Path) -> Option<String> {
    let report = run.join("report.html");
    let below = report.strip_prefix(folder).ok().filter(|_| report.is_file())?;
    let parts = below
        .components()
        .map(|part| part.as_os_str().to_string_lossy().replace('%', "%25").replace('#', "%23"));
    Some(parts.collect::<Vec<_>>().join("/"))
}

/// The verdict comes right after the trial, before the figures behind it.
fn expectation_table(TextTable { head, rows }: &TextTable) -> Markup {
    let last = head.len() - 1;
    let has_entries = |index: &usize| rows.iter().any(|row| !row[*index].is_empty());
    let order: Vec<usize> = [0, last].into_iter().chain((1..last).filter(has_entries)).collect();
    scrolled(
        "Expectations",
        &html! {
            table.leaderboard.words {
                thead { tr { @for index in &order { th scope="col" { (head[*index]) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            th scope="row" { (row[0]) }
                            @for index in &order[1..] { td.bad[row[*index] == "NOT reproduced"] { (row[*index]) } }
                        }
                    }
                }
            }
        },
    )
}

/// Writes `out_of_fold/<trial>.csv` for each trial of a cross-validation: the test predictions of all its runs, which
/// did not train on these examples, each line with the seed of its run. A trial with a missing run gets no file.
/// Files of earlier studies are deleted.
fn write_out_of_fold(results: &StudyResults, folder: &Path) -> Result<(), StudyError> {
    let folder = folder.join("out_of_fold");
    match fs::remove_dir_all(&folder) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            return Err(StudyError::io("remove", &folder, cause));
        }
        _ => {}
    }
    if results.folds.is_none() {
        return Ok(());
    }
    fs::create_dir_all(&folder).map_err(|cause| StudyError::io("create", &folder, cause))?;
    for trial in &results.trials {
        if let Some(text) = joined_predictions(trial) {
            replace_file(&folder.join(format!("{}.csv", trial.name)), &text)?;
        }
    }
    Ok(())
}

fn joined_predictions(trial: &TrialResults) -> Option<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for (number, seed) in trial.seeds.iter().enumerate() {
        let run = Run::open(seed.outcome.run.as_ref()?).ok()?;
        let mut reader = csv::Reader::from_path(run.evaluation("test").join(PREDICTIONS_FILE)).ok()?;
        let of = seed.outcome.seed.to_string();
        let behind = |first: &str, row: &csv::StringRecord| -> csv::StringRecord {
            std::iter::once(first).chain(row).collect()
        };
        let header = behind("seed", reader.headers().ok()?);
        if number == 0 {
            writer.write_record(&header).ok()?;
        }
        for row in reader.records() {
            writer.write_record(&behind(&of, &row.ok()?)).ok()?;
        }
    }
    writer.into_inner().ok()
}

/// Writes the report of one run of each trial, unless it exists: of the first failed run, if one failed, else of the
/// first. A report takes a tenth of a second; `kiln report` writes those of the other seeds. The study does not need
/// them: a report that cannot be written is left out.
fn write_run_reports(results: &StudyResults) {
    for run in results.trials.iter().filter_map(example_run) {
        if !run.report().exists() {
            // Errors in the run's files show in the study's figures already.
            let _ = run_report(&run);
        }
    }
}

/// The run that says most about a trial.
fn example_run(trial: &TrialResults) -> Option<Run> {
    let seeds = || trial.seeds.iter().map(|seed| &seed.outcome).filter(|outcome| outcome.run.is_some());
    let ended = seeds()
        .find(|outcome| outcome.error.is_some())
        .or_else(|| seeds().find(|outcome| outcome.is_finished()));
    Run::open(ended?.run.as_ref()?).ok()
}

/// Writes the report of a run: of its test, or of its training only.
pub(crate) fn run_report(run: &Run) -> Result<(), EvaluationError> {
    let text = fs::read_to_string(run.config_toml()).unwrap_or_default();
    let Ok(experiment) = Experiment::from_toml_str("config.toml", &text) else { return Ok(()) };
    if run.evaluation("test").is_dir() {
        let (evaluation, gallery) = read_evaluation(run, "test")?;
        write_report(run, "test", &experiment, &evaluation, gallery.as_ref())?;
    } else {
        write_training_report(run, &experiment)?;
    }
    Ok(())
}
