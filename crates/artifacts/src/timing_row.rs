//! A line of `timings.jsonl`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Scope, status};

/// How long one split took, for one interval or one epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimingRow {
    /// `train`, `validation` or `test`.
    pub split: String,
    /// What is timed: the steps since the row before, or the whole epoch.
    pub scope: Scope,
    /// The epoch, from 1.
    pub epoch: u64,
    /// Steps done.
    pub step: u64,
    /// Seconds that the epoch took, in a row for an epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch_seconds: Option<f64>,
    /// Seconds that the interval took, in a row for an interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<f64>,
    /// Examples per second over that time; not a number when no time passed.
    #[serde(deserialize_with = "status::null_as_nan")]
    pub examples_per_second: f64,
    /// When it was over.
    pub wall_time: Timestamp,
}

impl TimingRow {
    /// A row for `examples` examples that took `seconds` seconds until now.
    #[must_use]
    pub fn now(split: &str, scope: Scope, epoch: u64, step: u64, seconds: f64, examples: u64) -> Self {
        let examples_per_second = if seconds > 0.0 { examples as f64 / seconds } else { f64::NAN };
        let wall_time = status::now();
        let (epoch_seconds, interval_seconds) = match scope {
            Scope::Epoch => (Some(seconds), None),
            Scope::Interval => (None, Some(seconds)),
        };
        let split = split.to_owned();
        Self { split, scope, epoch, step, epoch_seconds, interval_seconds, examples_per_second, wall_time }
    }
}
