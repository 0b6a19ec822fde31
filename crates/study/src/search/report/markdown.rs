//! The report of a search as Markdown.

use super::SearchReport;
use super::html::provenance;
use crate::report::markdown_table;

/// `leaderboard.md`.
pub(super) fn markdown(report: &SearchReport) -> String {
    let mut text = format!("# {}\n\n", report.study);
    if !report.about.is_empty() {
        text += &format!("{}\n\n", report.about.trim());
    }
    text += &format!("{}\n\n", provenance(report));
    text += &report.statements.iter().map(|statement| format!("- {statement}\n")).collect::<String>();
    text + "\n" + &markdown_table(&report.leaderboard())
}
