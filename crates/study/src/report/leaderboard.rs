//! The leaderboard as rows of text, for every form that it is written in.

use crate::findings::{Findings, TrialFindings};
use crate::statistics::Method;

/// A heading and rows of equal length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The heading.
    pub head: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
}

/// A column: its heading, and a trial's entry.
struct Column {
    head: &'static str,
    entry: fn(&TrialFindings) -> String,
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
    Column { head: "verdict", entry: TrialFindings::verdict },
    Column { head: "paired test", entry: paired_test },
    Column { head: "parameters", entry: parameters },
    Column { head: "seconds", entry: seconds },
];

/// The leaderboard; columns that no trial has an entry for are left out.
#[must_use]
pub fn leaderboard(findings: &Findings) -> Table {
    let columns: Vec<(&str, Vec<String>)> = COLUMNS
        .iter()
        .map(|column| (column.head, findings.trials.iter().map(column.entry).collect::<Vec<_>>()))
        .filter(|(_, entries)| entries.iter().any(|entry| !entry.is_empty()))
        .collect();
    Table {
        head: columns.iter().map(|(head, _)| (*head).to_owned()).collect(),
        rows: (0..findings.trials.len())
            .map(|row| columns.iter().map(|(_, entries)| entries[row].clone()).collect())
            .collect(),
    }
}

/// The expectations and what came of them; none where there are none.
#[must_use]
pub fn verdicts(findings: &Findings) -> Option<Table> {
    let head = ["trial", "source", "figure", "expected", "measured", "difference", "tolerance", "verdict"];
    let rows = findings.checks.iter().map(|check| {
        let number = |value: Option<f64>, sign: bool| match value {
            Some(value) if sign => format!("{value:+.4}"),
            Some(value) => format!("{value}"),
            None => String::new(),
        };
        let verdict = match (check.holds, check.must_hold) {
            (true, _) => "reproduced",
            (false, true) => "NOT reproduced",
            (false, false) => "not reproduced (need not be)",
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
    (!findings.checks.is_empty())
        .then(|| Table { head: head.map(str::to_owned).to_vec(), rows: rows.collect() })
}

fn rank(trial: &TrialFindings) -> String {
    let rank = trial.rank.map_or_else(|| "-".to_owned(), |rank| rank.to_string());
    if trial.is_tied { format!("{rank}=") } else { rank }
}

fn shown(trial: &TrialFindings, figure: &str) -> String {
    trial.figures.get(figure).map_or_else(String::new, |spread| spread.shown(4))
}

/// Without dropout it would be the test accuracy once more.
fn dropout_active(trial: &TrialFindings) -> String {
    if trial.experiment.model.dropout > 0.0 { shown(trial, "dropout_active_accuracy") } else { String::new() }
}

fn range(trial: &TrialFindings) -> String {
    trial.figures.get("test_accuracy").map_or_else(String::new, |spread| spread.range(4))
}

fn paired_test(trial: &TrialFindings) -> String {
    let Some((other, test)) = &trial.test else { return String::new() };
    let form = if test.result.method == Method::ExactBinomial { ", exact" } else { "" };
    format!("p = {} against {other}{form}", probability(test.result.p_value))
}

/// Two digits that mean something.
fn probability(value: f64) -> String {
    if value >= 0.001 { format!("{value:.3}") } else { format!("{value:.0e}") }
}

fn parameters(trial: &TrialFindings) -> String {
    trial.mean("parameters").map_or_else(String::new, |count| format!("{count:.0}"))
}

fn seconds(trial: &TrialFindings) -> String {
    trial.mean("seconds").map_or_else(String::new, two_digits)
}

/// Two digits that mean something, and all before the point.
fn two_digits(value: f64) -> String {
    let power = if value > 0.0 { value.log10().floor() } else { 0.0 };
    format!("{value:.*}", (1.0 - power).clamp(0.0, 6.0) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_times_have_digits_too() {
        assert_eq!(
            [0.0, 0.034_4, 0.5, 2.04, 12.3, 4321.0].map(two_digits),
            ["0.0", "0.034", "0.50", "2.0", "12", "4321"]
        );
    }
}
