//! The report as one self-contained page: what follows from the study first, then what it follows from.

use std::path::Path;

use kiln_evaluation::{chart, html_page, scrolled};
use maud::{Markup, html};

use super::Report;
use super::leaderboard::{Table, leaderboard, verdicts};
use super::markdown::provenance;
use crate::Section;
use crate::findings::{Findings, TrialFindings};
use crate::pictures::Picture;

pub(crate) const STYLE: &str = include_str!("style.css");

/// Sections of the analysis that answer what the study asked.
const CONCLUSIONS: [&str; 3] = ["Ranking", "What leads, by setting", "What to try"];

/// `leaderboard.html`, which lies in `folder`: links to runs start there.
pub(crate) fn html(report: &Report, pictures: &[Picture], folder: &Path) -> String {
    let Report { findings, analysis } = report;
    let about = findings.about.trim();
    let (conclusions, others): (Vec<&Section>, Vec<&Section>) =
        analysis.iter().partition(|section| CONCLUSIONS.contains(&section.title));
    let body = html! {
        header {
            h1 { (findings.study) }
            @if !about.is_empty() { p.lead { (about) } }
            p.note { (provenance(findings)) }
        }
        nav aria-label="Sections" {
            a href="#conclusions" { "Conclusions" }
            a href="#leaderboard" { "Leaderboard" }
            @if !findings.checks.is_empty() { a href="#expectations" { "Expectations" } }
            a href="#curves" { "Curves" }
            @if !others.is_empty() { a href="#analysis" { "Analysis" } }
        }
        main {
            h2 id="conclusions" { "Conclusions" }
            @if let Some(words) = expected(findings) { p { (words) } }
            (statements(&conclusions))
            h2 id="leaderboard" { "Leaderboard" }
            (board(findings, folder))
            (charts(pictures, &["intervals"]))
            @if let Some(verdicts) = verdicts(findings) {
                h2 id="expectations" { "Expectations" }
                (expectations(&verdicts))
            }
            h2 id="curves" { "Curves" }
            (charts(pictures, &["gradients", "loss", "accuracy"]))
            @if !others.is_empty() {
                h2 id="analysis" { "Analysis" }
                (statements(&others))
            }
        }
    };
    html_page(&findings.study, STYLE, &body)
}

/// How many expectations hold, and which do not.
fn expected(findings: &Findings) -> Option<String> {
    let all = findings.checks.len();
    let broken: Vec<String> =
        findings.broken().map(|check| format!("{} ({})", check.trial, check.subject)).collect();
    let held = all - broken.len();
    match (all, broken.is_empty()) {
        (0, _) => None,
        (_, true) => Some(format!("All {all} expectations that must hold do.")),
        (_, false) => Some(format!(
            "{held} of {all} expectations hold. Not reproduced: {}.",
            kiln_config::listed(broken, "and")
        )),
    }
}

fn statements(sections: &[&Section]) -> Markup {
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

/// Columns of the leaderboard that fit a screen; the others are folded.
const MAIN: [&str; 6] = ["rank", "test accuracy", "range", "verdict", "paired test", "seconds"];

/// The leaderboard, with a link to the runs of each trial.
fn board(findings: &Findings, folder: &Path) -> Markup {
    let board = leaderboard(findings);
    let columns = |is_main: bool| -> Vec<usize> {
        let is_shown = |index: &usize| {
            let head = board.head[*index].as_str();
            head != "trial" && MAIN.contains(&head) == is_main
        };
        (0..board.head.len()).filter(is_shown).collect()
    };
    let (main, others) = (columns(true), columns(false));
    html! {
        (scrolled("Leaderboard", &part(findings, &board, &main, Some(folder))))
        @if !others.is_empty() {
            details {
                summary { "More figures" }
                (scrolled("More figures of the trials", &part(findings, &board, &others, None)))
            }
        }
    }
}

/// These columns, and links to the reports of the runs where a folder says from where.
fn part(findings: &Findings, board: &Table, columns: &[usize], folder: Option<&Path>) -> Markup {
    html! {
        table.leaderboard.words {
            thead { tr {
                th scope="col" { "trial" }
                @if folder.is_some() { th scope="col" { "report" } }
                @for index in columns { th scope="col" { (board.head[*index]) } }
            } }
            tbody {
                @for (row, trial) in board.rows.iter().zip(&findings.trials) {
                    tr {
                        th scope="row" { (trial.name) }
                        @if let Some(folder) = folder { td { (runs(trial, folder)) } }
                        @for index in columns { (cell(&row[*index])) }
                    }
                }
            }
        }
    }
}

/// A figure stays on its line, words are broken.
fn cell(text: &str) -> Markup {
    let is_number = text.len() < 24 && text.starts_with(|letter: char| letter.is_ascii_digit());
    html! { td.number[is_number] { (text) } }
}

/// The reports of a trial's runs by seed, those that there are.
fn runs(trial: &TrialFindings, folder: &Path) -> Markup {
    html! {
        @for seed in &trial.seeds {
            @if let Some(link) = seed.outcome.run.as_deref().and_then(|run| link(run, folder)) {
                a href=(link) aria-label={ "report of " (trial.name) ", seed " (seed.outcome.seed) } { "seed\u{a0}" (seed.outcome.seed) }
                " "
            }
        }
    }
}

/// The report of `run` as seen from `folder`.
pub(crate) fn link(run: &Path, folder: &Path) -> Option<String> {
    let report = run.join("report.html");
    let below = report.strip_prefix(folder).ok().filter(|_| report.is_file())?;
    let parts = below
        .components()
        .map(|part| part.as_os_str().to_string_lossy().replace('%', "%25").replace('#', "%23"));
    Some(parts.collect::<Vec<_>>().join("/"))
}

/// The verdict stands beside the trial, before all that it rests on.
fn expectations(Table { head, rows }: &Table) -> Markup {
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
