//! The report as one self-contained page.

use kiln_evaluation::html_page;
use maud::{Markup, PreEscaped, html};

use super::Report;
use super::leaderboard::{Table, leaderboard, verdicts};
use super::markdown::provenance;
use crate::pictures::Picture;

/// Colours follow the reader's own choice of light or dark.
const STYLE: &str = include_str!("style.css");

/// `leaderboard.html`.
pub(crate) fn html(Report { findings, analysis }: &Report, pictures: &[Picture]) -> String {
    let about = findings.about.trim();
    let picture = |name: &str| pictures.iter().find(|picture| picture.name == name).map(|found| &found.svg);
    let body = html! {
        h1 { (findings.study) }
        @if !about.is_empty() { p { (about) } }
        p.note { (provenance(findings)) }
        (table(&leaderboard(findings)))
        (chart(picture("intervals")))
        @if let Some(verdicts) = verdicts(findings) { h2 { "Expectations" } (table(&verdicts)) }
        h2 { "Training curves" }
        (chart(picture("loss")))
        (chart(picture("accuracy")))
        h2 { "Analysis" }
        @for section in analysis {
            h3 { (section.title) }
            ul { @for statement in &section.statements { li { (statement) } } }
        }
    };
    html_page(&findings.study, STYLE, &body)
}

fn chart(svg: Option<&String>) -> Markup {
    html! { @if let Some(svg) = svg { div.wide { (PreEscaped(svg)) } } }
}

fn table(table: &Table) -> Markup {
    html! {
        div.wide { table {
            tr { @for cell in &table.head { th { (cell) } } }
            @for row in &table.rows {
                tr { @for cell in row { td.bad[cell == "NOT reproduced"] { (cell) } } }
            }
        } }
    }
}
