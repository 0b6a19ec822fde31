//! What came of a study, for people.

use kiln_study::{Preview, Report, SearchReport, Table, leaderboard, verdicts};

use crate::output;

/// Rows of a search's leaderboard that are printed; the files have all.
const MOST_ROWS: usize = 20;

pub(super) fn of_trials(Report { findings, analysis }: &Report) -> String {
    let mut text = table(leaderboard(findings));
    if let Some(verdicts) = verdicts(findings) {
        text += &format!("\n\n{}", table(verdicts));
    }
    for section in analysis {
        text += &format!("\n\n{}", section.title);
        for statement in &section.statements {
            text += &format!("\n- {statement}");
        }
    }
    text + "\n"
}

pub(super) fn of_search(report: &SearchReport) -> String {
    let Table { head, mut rows } = report.leaderboard();
    let left = rows.len().saturating_sub(MOST_ROWS);
    rows.truncate(MOST_ROWS);
    let mut text = table(Table { head, rows });
    if left > 0 {
        text += &format!("\nand {left} more in leaderboard.csv");
    }
    text += "\n";
    for statement in &report.statements {
        text += &format!("\n- {statement}");
    }
    text + "\n"
}

/// What a study would train.
pub(super) fn preview(preview: &Preview) -> String {
    let Preview { study, head, rows, more, statements } = preview;
    let mut text = format!("{study}\n\n{}", table(Table { head: head.clone(), rows: rows.clone() }));
    if *more > 0 {
        text += &format!("\nand {more} more");
    }
    text += "\n";
    for statement in statements {
        text += &format!("\n- {statement}");
    }
    text
}

fn table(Table { head, rows }: Table) -> String {
    output::table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}
