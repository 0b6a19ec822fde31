//! The leaderboard of a search as rows: without a clock in them, so that equal searches give equal bytes.

use super::{SearchReport, SearchedTrial};
use crate::{Spread, Table};

/// `leaderboard.csv`.
pub(super) fn csv(report: &SearchReport) -> Vec<u8> {
    let figure = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    let head = ["rank", "trial", "stage", "epochs", report.monitor.as_str()];
    let spreads = [
        "fresh_mean",
        "fresh_deviation",
        "fresh_seeds",
        "close_call_mean",
        "close_call_seeds",
        "test_accuracy",
        "test_loss",
    ];
    let head = head.into_iter().chain(spreads).chain(report.keys.iter().map(String::as_str));
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.write_record(head).expect("memory has room");
    for trial in &report.trials {
        let confirmed = trial.confirmed.as_ref();
        let test = [&trial.test_accuracy, &trial.test_loss].map(|test| test.as_ref().map(|test| test.mean));
        let cells = [
            trial.rank.to_string(),
            trial.name.clone(),
            trial.stage.to_string(),
            trial.epochs.to_string(),
            figure(trial.figure),
            figure(confirmed.map(|spread| spread.mean)),
            figure(confirmed.and_then(|spread| spread.deviation)),
            confirmed.map_or_else(String::new, |spread| spread.count.to_string()),
            figure(trial.close_call.as_ref().map(|spread| spread.mean)),
            trial.close_call.as_ref().map_or_else(String::new, |spread| spread.count.to_string()),
            figure(test[0]),
            figure(test[1]),
        ];
        let settings = report.keys.iter().map(|key| shown_setting(trial, key));
        writer.write_record(cells.into_iter().chain(settings)).expect("every row is as long as the head");
    }
    writer.into_inner().expect("memory has room")
}

/// What a trial sets a key to, as TOML; empty where it does not.
pub(super) fn setting<'t>(trial: &'t SearchedTrial, key: &str) -> &'t str {
    trial.settings.iter().find(|(found, _)| found == key).map_or("", |(_, value)| value)
}

/// The same, with a text as it is.
fn shown_setting(trial: &SearchedTrial, key: &str) -> String {
    let value = setting(trial, key);
    let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    inner.filter(|inner| !inner.contains(['"', '\\'])).unwrap_or(value).to_owned()
}

/// The leaderboard for people; columns that no trial has an entry for are left out.
pub(super) fn table(report: &SearchReport) -> Table {
    let monitor = report.monitor.replace('_', " ");
    let shown = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.4}"));
    let mut columns: Vec<(String, Vec<String>)> = Vec::new();
    let mut column = |head: &str, entry: &dyn Fn(&SearchedTrial) -> String| {
        let entries: Vec<String> = report.trials.iter().map(entry).collect();
        if entries.iter().any(|entry| !entry.is_empty()) {
            columns.push((head.to_owned(), entries));
        }
    };
    column("rank", &|trial| trial.rank.to_string());
    column("trial", &|trial| trial.name.clone());
    column("stage", &|trial| trial.stage.to_string());
    column("epochs", &|trial| trial.epochs.to_string());
    column(&monitor, &|trial| shown(trial.figure));
    column("on fresh seeds", &|trial| {
        trial.confirmed.as_ref().map_or_else(String::new, |found| found.shown(4))
    });
    column("close call", &|trial| {
        let shown = |found: &Spread| format!("{} ({} seeds)", found.shown(4), found.count);
        trial.close_call.as_ref().map_or_else(String::new, shown)
    });
    column("test accuracy", &|trial| {
        trial.test_accuracy.as_ref().map_or_else(String::new, |found| found.shown(4))
    });
    column("test loss", &|trial| trial.test_loss.as_ref().map_or_else(String::new, |found| found.shown(4)));
    for key in &report.keys {
        column(key, &|trial| shown_setting(trial, key));
    }
    Table {
        head: columns.iter().map(|(head, _)| head.clone()).collect(),
        rows: (0..report.trials.len())
            .map(|row| columns.iter().map(|(_, entries)| entries[row].clone()).collect())
            .collect(),
    }
}
