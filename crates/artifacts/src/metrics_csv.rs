//! `metrics.csv`: the metric log as a table.

use std::collections::BTreeSet;

use kiln_files::csv_text;

use crate::{ArtifactError, MetricRow, Run, replace_file};

/// Writes `metrics.csv` from `metrics.jsonl`: split, scope, epoch, step, then a column for each figure that
/// any row has. A figure that a row lacks is empty; one that was not finite is `NaN`.
///
/// # Errors
///
/// When the log is malformed or the table cannot be written; an older table then stays.
pub fn write_metrics_csv(run: &Run) -> Result<(), ArtifactError> {
    let rows = run.metric_rows()?;
    replace_file(&run.metrics_csv(), &to_csv(&rows))
}

fn to_csv(rows: &[MetricRow]) -> Vec<u8> {
    let names: BTreeSet<&String> = rows.iter().flat_map(|row| row.figures.keys()).collect();
    let own = ["split", "scope", "epoch", "step"].map(str::to_owned);
    let head = own.into_iter().chain(names.iter().map(|name| (*name).clone())).collect();
    let cells = |row: &MetricRow| {
        let own =
            [row.split.clone(), row.scope.as_str().to_owned(), row.epoch.to_string(), row.step.to_string()];
        // Debug, unlike Display, writes 1e-9 rather than nine zeros.
        let cell = |name: &&String| row.figure(name).map(|value| format!("{value:?}")).unwrap_or_default();
        own.into_iter().chain(names.iter().map(cell)).collect()
    };
    csv_text(std::iter::once(head).chain(rows.iter().map(cells)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{MetricLog, Scope, test_run::TestRun};

    #[test]
    fn has_a_column_for_every_figure_of_any_row() {
        let run = TestRun::new();
        let mut log = MetricLog::open_append(run.metrics()).unwrap();
        let interval = [("loss", 1e-9), ("learning_rate", 0.1)];
        log.append(&MetricRow::new("train", Scope::Interval, 1, 5, interval)).unwrap();
        let epoch = [("loss", f64::NAN), ("accuracy", 1.0)];
        log.append(&MetricRow::new("validation", Scope::Epoch, 1, 9, epoch)).unwrap();
        write_metrics_csv(&run).unwrap();
        let expected = "split,scope,epoch,step,accuracy,learning_rate,loss\n\
                        train,interval,1,5,,0.1,1e-9\n\
                        validation,epoch,1,9,1.0,,NaN\n";
        assert_eq!(fs::read_to_string(run.metrics_csv()).unwrap(), expected);
    }
}
