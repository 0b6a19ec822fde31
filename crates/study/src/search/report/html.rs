//! The report of a search as one self-contained page.

use std::path::Path;

use kiln_evaluation::{chart, html_page, scrolled};
use maud::{Markup, html};

use super::{SearchReport, TrialStage};
use crate::Table;
use crate::pictures::Picture;
use crate::report::{STYLE, link, made_by};

/// Trials that the page shows; the CSV file has all.
const MOST_ROWS: usize = 200;

/// `leaderboard.html`, which lies in `folder`: links to runs start there.
pub(super) fn html(report: &SearchReport, pictures: &[Picture], folder: &Path) -> String {
    let about = report.about.trim();
    let drawn = |name: &str| pictures.iter().find(|picture| picture.name == name);
    let failed = report.trials.iter().any(|trial| trial.stage == TrialStage::Failed);
    let body = html! {
        header {
            h1 { (report.study) }
            @if !about.is_empty() { p.lead { (about) } }
            p.note { (provenance(report)) }
        }
        nav aria-label="Sections" {
            a href="#conclusions" { "Conclusions" }
            a href="#leaderboard" { "Leaderboard" }
            a href="#tried" { "What was tried" }
            @if !report.importance.is_empty() { a href="#importance" { "What matters" } }
        }
        main {
            h2 id="conclusions" { "Conclusions" }
            ul { @for statement in &report.statements { li { (statement) } } }
            h2 id="leaderboard" { "Leaderboard" }
            (board(report, folder))
            p.note {
                "The figure of the search is the best so far, on the seeds that chose the trial. Trials with a figure on fresh seeds "
                "were trained again with seeds that the search has not seen; only these compare without luck."
            }
            h2 id="tried" { "What was tried" }
            @for picture in ["parallel", "front"].into_iter().filter_map(drawn) { (chart(&picture.svg, "")) }
            @if !report.importance.is_empty() {
                h2 id="importance" { "What matters" }
                (scrolled("What matters", &importance(report)))
                p.note {
                    "How much of the variance of the trials' ranks at the first comparison each key explains alone (epsilon squared "
                    "over quarters of its values). What keys do together is not in it."
                }
            }
            @if failed {
                h2 id="failed" { "Failed trials" }
                ul {
                    @for trial in &report.trials {
                        @if let Some(error) = &trial.error { li { (trial.name) ": " (error) } }
                    }
                }
            }
        }
    };
    html_page(&report.study, STYLE, &body)
}

/// Version, day and machine in a line.
pub(super) fn provenance(report: &SearchReport) -> String {
    let stopped = if report.was_stopped { " Stopped before its end." } else { "" };
    let made_by = made_by(report.kiln, report.written, &report.machine);
    format!("{made_by} Mean ± standard deviation (n - 1).{stopped}")
}

fn board(report: &SearchReport, folder: &Path) -> Markup {
    let Table { head, rows } = report.leaderboard();
    let links = |row: usize| -> Vec<String> {
        report.trials[row].runs.iter().filter_map(|run| link(run, folder)).collect()
    };
    let table = html! {
        table.leaderboard.words {
            thead { tr { @for name in &head { th scope="col" { (name) } } th scope="col" { "runs" } } }
            tbody {
                @for (index, row) in rows.iter().enumerate().take(MOST_ROWS) {
                    tr {
                        @for (column, cell) in row.iter().enumerate() {
                            @if column == 1 { th scope="row" { (cell) } } @else { td { (cell) } }
                        }
                        td {
                            @for (number, href) in links(index).iter().enumerate() {
                                a href=(href) { "run\u{a0}" (number + 1) } " "
                            }
                        }
                    }
                }
            }
        }
    };
    html! {
        (scrolled("Leaderboard", &table))
        @if rows.len() > MOST_ROWS { p.note { "The first " (MOST_ROWS) " of " (rows.len()) "; leaderboard.csv has all." } }
    }
}

fn importance(report: &SearchReport) -> Markup {
    html! {
        table.leaderboard {
            thead { tr { th scope="col" { "key" } th scope="col" { "share of the variance" } } }
            tbody {
                @for found in &report.importance {
                    tr {
                        th scope="row" { (found.key) }
                        td { (format!("{:.0} %", found.share * 100.0)) }
                    }
                }
            }
        }
    }
}
