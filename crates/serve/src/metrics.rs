//! The counters of the server, and their page for Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::http::StatusCode;
use kiln_table::Remarks;

/// The upper bounds of the latency buckets, in microseconds: a perceptron answers in tens of microseconds.
const BUCKETS: [u64; 19] = [
    10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000,
    1_000_000, 2_000_000, 5_000_000, 10_000_000,
];

/// The values of the label `outcome`, which says how a request ended.
const OUTCOMES: [&str; 5] = ["ok", "rejected", "busy", "timeout", "failed"];

/// The counters of a server. Their number is bounded: they exist per served model and column, whatever clients request.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Requests in progress.
    pub(crate) in_flight: AtomicUsize,
    /// Successful and failed reloads.
    pub(crate) reloads: [AtomicU64; 2],
    /// Requests for no model: health, metadata, unknown models.
    other: [AtomicU64; OUTCOMES.len()],
    models: RwLock<BTreeMap<String, Arc<ModelMetrics>>>,
}

/// The counters of a model, over all its versions and reloads.
#[derive(Debug, Default)]
pub(crate) struct ModelMetrics {
    requests: [AtomicU64; OUTCOMES.len()],
    /// Answered rows, and rows of the same requests that could not be read.
    rows: [AtomicU64; 2],
    latency: Histogram,
    /// By name of the column.
    drift: RwLock<BTreeMap<String, Arc<Drift>>>,
}

/// Values that no training row has, values outside the training range, and missing values that training rows do not have.
type Drift = [AtomicU64; 3];

/// The counters of the used columns of a table, each with the column's index among all columns.
pub(crate) type ColumnMetrics = Vec<(usize, Arc<Drift>)>;

/// Latencies by bucket; the last bucket has no upper bound.
#[derive(Debug, Default)]
struct Histogram {
    buckets: [AtomicU64; BUCKETS.len() + 1],
    nanoseconds: AtomicU64,
}

impl Metrics {
    /// The counters of the model `name`.
    pub(crate) fn of_model(&self, name: &str) -> Arc<ModelMetrics> {
        let mut models = self.models.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(models.entry(name.to_owned()).or_default())
    }

    /// Counts a request that concerns no model.
    pub(crate) fn count_other(&self, status: StatusCode) {
        add(&self.other[outcome(status)], 1);
    }

    /// The page, in Prometheus' text format.
    pub(crate) fn page(&self) -> String {
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
        let mut page = String::with_capacity(4096);
        let counter = |page: &mut String, name: &str, help: &str| {
            let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} counter");
        };
        counter(&mut page, "kiln_requests_total", "Requests by model and outcome.");
        for (model, counts) in
            models.iter().map(|(name, model)| (&**name, &model.requests)).chain([("", &self.other)])
        {
            for (outcome, count) in OUTCOMES.iter().zip(counts) {
                let model = escaped(model);
                let _ = writeln!(
                    page,
                    "kiln_requests_total{{model=\"{model}\",outcome=\"{outcome}\"}} {}",
                    get(count)
                );
            }
        }
        let kinds = [
            ("kiln_rows_total", "Rows and pictures that were answered."),
            (
                "kiln_refused_rows_total",
                "Rows and pictures that could not be read, in requests whose other rows were answered.",
            ),
        ];
        for (kind, (name, help)) in kinds.into_iter().enumerate() {
            counter(&mut page, name, help);
            for (model, metrics) in models.iter() {
                let count = get(&metrics.rows[kind]);
                let _ = writeln!(page, "{name}{{model=\"{}\"}} {count}", escaped(model));
            }
        }
        let name = "kiln_request_duration_seconds";
        let help = "Time from a request's header to its answer, including the arrival of its body.";
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} histogram");
        for (model, metrics) in models.iter() {
            metrics.latency.write(&mut page, name, &escaped(model));
        }
        let kinds = [
            ("kiln_unknown_values_total", "Values that no training row has."),
            ("kiln_values_out_of_range_total", "Numbers outside the range of the training rows."),
            (
                "kiln_missing_values_total",
                "Missing values in columns without missing values in the training rows.",
            ),
        ];
        for (kind, (name, help)) in kinds.into_iter().enumerate() {
            counter(&mut page, name, help);
            for (model, metrics) in models.iter() {
                let drift = metrics.drift.read().unwrap_or_else(PoisonError::into_inner);
                for (column, counts) in drift.iter() {
                    let (model, column) = (escaped(model), escaped(column));
                    let count = get(&counts[kind]);
                    let _ = writeln!(page, "{name}{{model=\"{model}\",column=\"{column}\"}} {count}");
                }
            }
        }
        counter(&mut page, "kiln_reloads_total", "Reloads by outcome.");
        for (outcome, count) in ["ok", "failed"].iter().zip(&self.reloads) {
            let _ = writeln!(page, "kiln_reloads_total{{outcome=\"{outcome}\"}} {}", get(count));
        }
        let name = "kiln_requests_in_flight";
        let _ = writeln!(page, "# HELP {name} Requests in progress.\n# TYPE {name} gauge");
        let _ = writeln!(page, "{name} {}", self.in_flight.load(Ordering::Relaxed));
        page
    }
}

impl ModelMetrics {
    /// The counters of these columns, each given with its index among all columns.
    pub(crate) fn of_columns(&self, columns: Vec<(usize, String)>) -> ColumnMetrics {
        let mut drift = self.drift.write().unwrap_or_else(PoisonError::into_inner);
        columns.into_iter().map(|(index, name)| (index, Arc::clone(drift.entry(name).or_default()))).collect()
    }

    /// Counts a request that was answered with `status` after `took`.
    pub(crate) fn count(&self, status: StatusCode, took: Duration) {
        add(&self.requests[outcome(status)], 1);
        self.latency.add(took);
    }

    /// Counts answered rows, and rows of the same requests that could not be read.
    pub(crate) fn count_rows(&self, answered: usize, refused: usize) {
        add(&self.rows[0], answered as u64);
        add(&self.rows[1], refused as u64);
    }
}

/// Counts the remarks about rows.
pub(crate) fn count_remarks(columns: &ColumnMetrics, remarks: &Remarks) {
    for (kind, counts) in [&remarks.unknown, &remarks.outside, &remarks.missing].into_iter().enumerate() {
        for (index, column) in columns {
            if let Some(&count @ 1..) = counts.get(*index) {
                add(&column[kind], count as u64);
            }
        }
    }
}

impl Histogram {
    fn add(&self, took: Duration) {
        let bucket = BUCKETS.partition_point(|&end| Duration::from_micros(end) < took);
        add(&self.buckets[bucket], 1);
        add(&self.nanoseconds, u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    fn write(&self, page: &mut String, name: &str, model: &str) {
        let mut count = 0;
        let ends = BUCKETS.iter().map(|&end| (end as f64 / 1e6).to_string()).chain(["+Inf".to_owned()]);
        for (end, bucket) in ends.zip(&self.buckets) {
            count += get(bucket);
            let _ = writeln!(page, "{name}_bucket{{model=\"{model}\",le=\"{end}\"}} {count}");
        }
        let seconds = get(&self.nanoseconds) as f64 / 1e9;
        let _ = writeln!(page, "{name}_sum{{model=\"{model}\"}} {seconds}");
        let _ = writeln!(page, "{name}_count{{model=\"{model}\"}} {count}");
    }
}

fn outcome(status: StatusCode) -> usize {
    match status {
        StatusCode::TOO_MANY_REQUESTS => 2,
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => 3,
        status if status.is_server_error() => 4,
        status if status.is_client_error() => 1,
        _ => 0,
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// `text` as the value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_counter() {
        let metrics = Metrics::default();
        let model = metrics.of_model("a");
        let columns = model.of_columns(vec![(0, "x\"".to_owned()), (2, "y".to_owned())]);
        model.count(StatusCode::OK, Duration::from_micros(10));
        model.count(StatusCode::BAD_REQUEST, Duration::from_micros(11));
        model.count(StatusCode::OK, Duration::from_mins(1));
        let remarks = Remarks { unknown: vec![2, 0, 0], outside: vec![0, 7, 1], missing: vec![0; 3] };
        model.count_rows(3, 4);
        count_remarks(&columns, &remarks);
        metrics.count_other(StatusCode::NOT_FOUND);
        let page = metrics.page();
        for line in [
            "kiln_requests_total{model=\"a\",outcome=\"ok\"} 2",
            "kiln_requests_total{model=\"a\",outcome=\"rejected\"} 1",
            "kiln_requests_total{model=\"\",outcome=\"rejected\"} 1",
            "kiln_rows_total{model=\"a\"} 3",
            "kiln_refused_rows_total{model=\"a\"} 4",
            "kiln_request_duration_seconds_bucket{model=\"a\",le=\"0.00001\"} 1",
            "kiln_request_duration_seconds_bucket{model=\"a\",le=\"0.00002\"} 2",
            "kiln_request_duration_seconds_bucket{model=\"a\",le=\"10\"} 2",
            "kiln_request_duration_seconds_bucket{model=\"a\",le=\"+Inf\"} 3",
            "kiln_request_duration_seconds_count{model=\"a\"} 3",
            "kiln_unknown_values_total{model=\"a\",column=\"x\\\"\"} 2",
            "kiln_values_out_of_range_total{model=\"a\",column=\"y\"} 1",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} in {page}");
        }
    }

    #[test]
    fn after_a_reload_the_counters_of_remaining_columns_continue() {
        let metrics = Metrics::default();
        let [first, second] = [["x", "y"], ["y", "z"]].map(|names| {
            let columns = names.map(str::to_owned).into_iter().enumerate().collect();
            metrics.of_model("a").of_columns(columns)
        });
        let remarks = Remarks { unknown: vec![1, 2], outside: vec![0; 2], missing: vec![0; 2] };
        count_remarks(&first, &remarks);
        count_remarks(&second, &remarks);
        for (column, count) in [("x", 1), ("y", 3), ("z", 2)] {
            let line = format!("kiln_unknown_values_total{{model=\"a\",column=\"{column}\"}} {count}");
            assert!(metrics.page().lines().any(|found| found == line), "{line}");
        }
    }
}
