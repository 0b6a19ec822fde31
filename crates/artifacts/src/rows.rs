//! The lines of `metrics.jsonl` and `timings.jsonl`, and `metrics.csv`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kiln_files::csv_text;
use schemars::JsonSchema;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use strum::IntoStaticStr;

use crate::{ArtifactError, Run, replace_file, status::now};

/// The steps that a row's figures cover.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum MetricScope {
    /// The steps since the row before.
    Interval,
    /// A whole epoch.
    Epoch,
}

/// Figures of one split at one step.
///
/// One flat JSON object: `split`, `scope`, `epoch`, `step`, then the figures by name, in alphabetical order. Numbers
/// have the fewest digits that read back to the same bits. JSON cannot express infinity or NaN: both are written as
/// null, and null is read as NaN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricRow {
    /// `train`, `validation` or `test`.
    pub split: String,
    /// The steps that the figures cover.
    pub scope: MetricScope,
    /// The epoch, from 1.
    pub epoch: u64,
    /// Steps done.
    pub step: u64,
    /// The figures by name (`loss`, `accuracy`, `learning_rate`, ...). The names of this row's own fields are reserved.
    #[serde(flatten, serialize_with = "write_figures", deserialize_with = "read_figures")]
    #[schemars(with = "BTreeMap<String, Option<f64>>")]
    pub figures: BTreeMap<String, f64>,
}

/// How long one split took, for one interval or one epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimingRow {
    /// `train`, `validation` or `test`.
    pub split: String,
    /// The steps that the time covers: since the row before, or the whole epoch.
    pub scope: MetricScope,
    /// The epoch, from 1.
    pub epoch: u64,
    /// Steps done.
    pub step: u64,
    /// Seconds of the epoch, in a row for an epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch_seconds: Option<f64>,
    /// Seconds of the interval, in a row for an interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<f64>,
    /// Examples per second in that time; NaN if no time passed.
    #[serde(deserialize_with = "crate::null_as_nan")]
    pub examples_per_second: f64,
    /// When it ended.
    pub wall_time: Timestamp,
}

const OWN_FIELDS: [&str; 4] = ["split", "scope", "epoch", "step"];

impl MetricScope {
    /// The word in the logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl MetricRow {
    /// A row with these figures.
    pub fn new<'a>(
        split: &str,
        scope: MetricScope,
        epoch: u64,
        step: u64,
        figures: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> Self {
        let figures = figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { split: split.to_owned(), scope, epoch, step, figures }
    }

    /// A figure by name.
    #[must_use]
    pub fn figure(&self, name: &str) -> Option<f64> {
        self.figures.get(name).copied()
    }
}

impl TimingRow {
    /// A row for `examples` examples that took `seconds` seconds until now.
    #[must_use]
    pub fn now(split: &str, scope: MetricScope, epoch: u64, step: u64, seconds: f64, examples: u64) -> Self {
        let examples_per_second = if seconds > 0.0 { examples as f64 / seconds } else { f64::NAN };
        let wall_time = now();
        let (epoch_seconds, interval_seconds) = match scope {
            MetricScope::Epoch => (Some(seconds), None),
            MetricScope::Interval => (None, Some(seconds)),
        };
        let split = split.to_owned();
        Self { split, scope, epoch, step, epoch_seconds, interval_seconds, examples_per_second, wall_time }
    }
}

/// Writes `metrics.csv` from `metrics.jsonl`: split, scope, epoch, step, then a column for each figure of any row. A
/// missing figure is an empty cell; a non-finite figure is `NaN`. If writing fails, an older table stays.
pub fn write_metrics_csv(run: &Run) -> Result<(), ArtifactError> {
    let rows = run.metric_rows()?;
    replace_file(&run.metrics_csv(), &to_csv(&rows))
}

fn to_csv(rows: &[MetricRow]) -> Vec<u8> {
    let names: BTreeSet<&String> = rows.iter().flat_map(|row| row.figures.keys()).collect();
    let head =
        OWN_FIELDS.map(str::to_owned).into_iter().chain(names.iter().map(|name| (*name).clone())).collect();
    let cells = |row: &MetricRow| {
        let own =
            [row.split.clone(), row.scope.as_str().to_owned(), row.epoch.to_string(), row.step.to_string()];
        // Debug writes 1e-9, where Display writes nine zeros.
        let cell = |name: &&String| row.figure(name).map(|value| format!("{value:?}")).unwrap_or_default();
        own.into_iter().chain(names.iter().map(cell)).collect()
    };
    csv_text(std::iter::once(head).chain(rows.iter().map(cells)))
}

fn write_figures<S: Serializer>(figures: &BTreeMap<String, f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match figures.keys().find(|name| OWN_FIELDS.contains(&name.as_str())) {
        Some(name) => Err(S::Error::custom(format!("{name:?} cannot be the name of a figure"))),
        None => figures.serialize(serializer),
    }
}

fn read_figures<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f64>, D::Error> {
    let figures = BTreeMap::<String, Option<f64>>::deserialize(deserializer)?;
    Ok(figures.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::{MetricLog, test_run::TestRun};

    #[test]
    fn a_row_is_one_flat_object_for_any_order_of_its_figures() {
        let line = r#"{"split":"train","scope":"interval","epoch":1,"step":300,"accuracy":0.9,"loss":0.1}"#;
        for figures in [[("loss", 0.1), ("accuracy", 0.9)], [("accuracy", 0.9), ("loss", 0.1)]] {
            let row = MetricRow::new("train", MetricScope::Interval, 1, 300, figures);
            assert_eq!(serde_json::to_string(&row).unwrap(), line);
            assert_eq!(serde_json::from_str::<MetricRow>(line).unwrap(), row);
        }
    }

    #[test]
    fn a_non_finite_figure_is_null_and_reads_back_as_nan() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let row = MetricRow::new("train", MetricScope::Epoch, 1, 2, [("loss", value)]);
            let line = serde_json::to_string(&row).unwrap();
            assert!(line.ends_with("\"loss\":null}"), "{line}");
            let read: MetricRow = serde_json::from_str(&line).unwrap();
            assert!(read.figure("loss").unwrap().is_nan());
        }
    }

    #[test]
    fn a_figure_cannot_have_the_name_of_a_field() {
        let row = MetricRow::new("train", MetricScope::Epoch, 1, 2, [("step", 1.0)]);
        assert!(serde_json::to_string(&row).is_err());
    }

    #[test]
    fn a_row_without_a_step_is_refused() {
        let line = r#"{"split":"train","scope":"epoch","epoch":1,"loss":0.1}"#;
        let problem = serde_json::from_str::<MetricRow>(line).unwrap_err().to_string();
        assert!(problem.starts_with("missing field `step`"), "{problem}");
    }

    proptest! {
        #[test]
        fn every_number_reads_back_to_the_bit(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let row = MetricRow::new("train", MetricScope::Epoch, 1, 2, [("loss", value)]);
            let read: MetricRow = serde_json::from_str(&serde_json::to_string(&row).unwrap()).unwrap();
            prop_assert_eq!(read.figure("loss").unwrap().to_bits(), bits);
        }
    }

    #[test]
    fn the_table_has_a_column_for_every_figure_of_any_row() {
        let run = TestRun::new();
        let mut log = MetricLog::open_append(run.metrics()).unwrap();
        let interval = [("loss", 1e-9), ("learning_rate", 0.1)];
        log.append(&MetricRow::new("train", MetricScope::Interval, 1, 5, interval)).unwrap();
        let epoch = [("loss", f64::NAN), ("accuracy", 1.0)];
        log.append(&MetricRow::new("validation", MetricScope::Epoch, 1, 9, epoch)).unwrap();
        write_metrics_csv(&run).unwrap();
        let expected = "split,scope,epoch,step,accuracy,learning_rate,loss\n\
                        train,interval,1,5,,0.1,1e-9\n\
                        validation,epoch,1,9,1.0,,NaN\n";
        assert_eq!(fs::read_to_string(run.metrics_csv()).unwrap(), expected);
    }
}
