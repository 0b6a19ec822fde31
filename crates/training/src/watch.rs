//! Burn's dashboard for a run that another process trains, or that has ended.
//!
//! The dashboard reads the run's logs and feeds them to the same metrics that a training's own dashboard has, so both
//! look the same. Nothing is written to the run.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use burn::data::dataloader::Progress;
use burn::train::Interrupter;
use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::{
    Metric, MetricDefinition, MetricEntry, MetricId, MetricMetadata, Numeric, NumericEntry,
};
use burn::train::renderer::tui::TuiMetricsRendererWrapper;
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation, MetricsRendererTraining,
};
use kiln_artifacts::{MetricRow, MetricScope, RowTail, Run, RunStatus, TimingRow};
use kiln_data::{ExampleCounts, Profile};
use kiln_model::Tally;

use crate::dashboard::{FigureMetric, MetricKind, is_kill, settle_after_kill};
use crate::{Figures, StopSignal, TrainingError, open_dashboard};

/// Time between two polls of the logs.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Shows `run` until the user closes the dashboard, or until `stop`.
pub fn watch(run: &Run, stop: &StopSignal) -> Result<(), TrainingError> {
    match catch_unwind(AssertUnwindSafe(|| follow(run, stop))) {
        Ok(result) => result,
        // The dashboard's kill key ends only this view, not the training.
        Err(panic) if is_kill(panic.as_ref()) => {
            settle_after_kill();
            Ok(())
        }
        Err(panic) => resume_unwind(panic),
    }
}

fn follow(run: &Run, stop: &StopSignal) -> Result<(), TrainingError> {
    let mut logs = Logs::of(run);
    let mut status = run.status_now()?;
    let interrupter = Interrupter::new();
    let mut screen = Screen::open(run, &status, interrupter.clone());
    while !stop.is_requested() && !interrupter.should_stop() {
        let (restarted, rows) = logs.poll()?;
        if restarted {
            // A resume has cut the log back: start over with the remaining rows.
            drop(screen);
            screen = Screen::open(run, &status, interrupter.clone());
        }
        for (row, timing) in &rows {
            screen.show(row, timing.as_ref());
        }
        let now = run.status_now()?;
        if now.state != status.state {
            screen.show_title(run, &now);
        }
        status = now;
        screen.refresh();
        std::thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}

/// A row of the metric log, with its row of timings if there is one.
type TimedRow = (MetricRow, Option<TimingRow>);

/// Follows the metric log, and joins each row with its timing.
struct Logs {
    metrics: RowTail<MetricRow>,
    timings: RowTail<TimingRow>,
    /// Timings read before their metric rows.
    waiting: Vec<TimingRow>,
}

impl Logs {
    fn of(run: &Run) -> Self {
        Self {
            metrics: RowTail::new(run.metrics()),
            timings: RowTail::new(run.timings()),
            waiting: Vec::new(),
        }
    }

    /// The new rows. True if the log was cut back and they start from its beginning.
    fn poll(&mut self) -> Result<(bool, Vec<TimedRow>), TrainingError> {
        let metrics = self.metrics.poll()?;
        // Timings are optional: without them, the figures are shown all the same.
        let timings = self
            .timings
            .poll()
            .unwrap_or_else(|_| kiln_artifacts::TailPoll { restarted: false, rows: Vec::new() });
        if metrics.restarted || timings.restarted {
            self.waiting.clear();
        }
        self.waiting.extend(timings.rows);
        let rows = metrics.rows.into_iter().map(|row| {
            let is_its = |timing: &TimingRow| {
                (&timing.split, timing.scope, timing.step) == (&row.split, row.scope, row.step)
            };
            let found = self.waiting.iter().position(is_its);
            let timing = found.map(|index| self.waiting.drain(..=index).next_back());
            (row, timing.flatten())
        });
        Ok((metrics.restarted, rows.collect()))
    }
}

/// The dashboard with the metrics that it shows.
struct Screen {
    dashboard: TuiMetricsRendererWrapper,
    train: Vec<FigureMetric>,
    validation: Vec<FigureMetric>,
    test: Vec<FigureMetric>,
    counts: ExampleCounts,
    epochs: u64,
    epoch: u64,
    /// The scope of the curves' points: intervals, or epochs if the run's first row is that of an epoch.
    points: Option<MetricScope>,
    done: usize,
    is_tested: bool,
}

impl Screen {
    fn open(run: &Run, status: &RunStatus, interrupter: Interrupter) -> Self {
        let metrics =
            |kinds: &mut dyn Iterator<Item = MetricKind>| kinds.map(FigureMetric::new).collect::<Vec<_>>();
        let train = metrics(&mut MetricKind::ALL.into_iter());
        let measured = || MetricKind::ALL.into_iter().filter(|kind| kind.in_validation());
        let validation = measured().map(|kind| FigureMetric::of_validation(kind, &[])).collect();
        let test = metrics(&mut measured());
        let mut dashboard = open_dashboard(interrupter, status.epoch as usize);
        for metric in &train {
            dashboard.register_metric(MetricDefinition {
                metric_id: MetricId::new(metric.name()),
                name: metric.name(),
                description: None,
                attributes: metric.attributes(),
            });
        }
        let mut screen = Self {
            dashboard,
            train,
            validation,
            test,
            counts: counts(run),
            epochs: status.epochs,
            epoch: 0,
            points: None,
            done: 0,
            is_tested: false,
        };
        screen.show_title(run, status);
        screen
    }

    /// Shows the run's name and status, and the keys that leave.
    fn show_title(&mut self, run: &Run, status: &RunStatus) {
        // The box is narrow and cuts the text off, so the most important part comes first.
        let label = format!("{}, q s: leave, {} {}", status.state, run.name(), run.id());
        self.epochs = status.epochs;
        let epoch = self.epoch.max(1) as usize;
        self.dashboard.start(status.epochs as usize, epoch, Some(self.counts.train), Some(&label));
    }

    fn show(&mut self, row: &MetricRow, timing: Option<&TimingRow>) {
        if row.epoch != self.epoch {
            self.epoch = row.epoch;
            self.done = 0;
            self.train.iter_mut().chain(&mut self.validation).for_each(Metric::clear);
        }
        match row.split.as_str() {
            "train" => self.show_training(row, timing),
            "validation" => {
                let states = states(&mut self.validation, row, timing, true);
                states.for_each(|state| self.dashboard.update_valid(state));
            }
            _ => {
                let states = states(&mut self.test, row, timing, true);
                states.for_each(|state| self.dashboard.update_test(EvaluationName::new("test"), state));
                self.dashboard.start_global_progress(1);
                self.dashboard.start_test("test", self.counts.test);
                self.is_tested = true;
            }
        }
    }

    fn show_training(&mut self, row: &MetricRow, timing: Option<&TimingRow>) {
        let points = *self.points.get_or_insert(row.scope);
        if row.scope == MetricScope::Epoch {
            // The row of an epoch repeats the examples of its intervals.
            self.train.iter_mut().for_each(Metric::clear);
        } else if self.done == 0 {
            self.dashboard.start_split("train", self.counts.train);
        }
        let states = states(&mut self.train, row, timing, row.scope == points);
        states.for_each(|state| self.dashboard.update_train(state));
        self.done += examples(timing);
        if row.scope == MetricScope::Epoch {
            self.done = self.counts.train;
            self.dashboard.update_split(self.done);
            self.dashboard.end_split();
            if row.epoch < self.epochs {
                self.dashboard.update_epoch(row.epoch as usize);
            }
        }
    }

    /// Repeats the progress. This call panics if the user has killed the dashboard, which ends [`watch`].
    fn refresh(&mut self) {
        if self.is_tested {
            self.dashboard.update_test_progress(self.counts.test);
        } else {
            self.dashboard.update_split(self.done.min(self.counts.train));
        }
    }
}

/// Updates `metrics` with `row`, and returns those that the row has a figure for. If `has_point`, each comes with a point
/// for its curve.
fn states<'a>(
    metrics: &'a mut [FigureMetric],
    row: &MetricRow,
    timing: Option<&TimingRow>,
    has_point: bool,
) -> impl Iterator<Item = MetricState> + use<'a> {
    let (figures, row) = (figures(row, timing), row.clone());
    let has_time = timing.is_some();
    metrics.iter_mut().filter_map(move |metric| {
        let is_there = match metric.kind() {
            MetricKind::Loss => row.figure("loss").is_some(),
            MetricKind::Accuracy => row.figure("accuracy").is_some(),
            MetricKind::LearningRate => row.figure("lr").is_some(),
            MetricKind::ExamplesPerSecond => has_time,
            MetricKind::GradientNorm => row.figure("gradient_norm").is_some(),
            MetricKind::UpdateRatio => greatest(&row, &["update_ratio"]).is_some(),
            MetricKind::InactiveShare => greatest(&row, &INACTIVE).is_some(),
        };
        let metadata = MetricMetadata { progress: Progress::new(0, 0, None), iteration: None, lr: None };
        let entry = metric.update(&figures, &metadata).ok().filter(|_| is_there)?;
        let entry = MetricEntry::new(MetricId::new(metric.name()), entry);
        let point: Option<NumericEntry> = Numeric::value(metric).filter(|_| has_point);
        Some(MetricState::Numeric(entry, point))
    })
}

const INACTIVE: [&str; 2] = ["dead_share", "saturated_share"];

/// The figures of a row, as the training's own dashboard would show them.
fn figures(row: &MetricRow, timing: Option<&TimingRow>) -> Figures {
    let figure = |name: &str| row.figure(name).unwrap_or(f64::NAN);
    // Without timings the number of examples is unknown. Any large number gives the same loss and accuracy.
    let examples = match examples(timing) {
        0 => 1_000_000,
        examples => examples,
    };
    let tally = Tally {
        loss_sum: figure("loss") * examples as f64,
        weight: examples as f64,
        correct: (figure("accuracy") * examples as f64).round() as u64,
        examples: examples as u64,
    };
    Figures {
        tally,
        learning_rate: figure("lr"),
        gradient_norm: figure("gradient_norm"),
        update_ratio: greatest(row, &["update_ratio"]).unwrap_or(f64::NAN),
        inactive_share: greatest(row, &INACTIVE).unwrap_or(0.0),
        seconds: timing.and_then(seconds).unwrap_or(f64::NAN),
    }
}

fn seconds(timing: &TimingRow) -> Option<f64> {
    timing.interval_seconds.or(timing.epoch_seconds)
}

/// The number of examples of a row, from its speed and its seconds; 0 if unknown.
fn examples(timing: Option<&TimingRow>) -> usize {
    let examples = timing.and_then(|timing| Some(timing.examples_per_second * seconds(timing)?));
    examples.filter(|examples| examples.is_finite()).map_or(0, |examples| examples.round() as usize)
}

/// The greatest of the figures called `names` over all layers.
fn greatest(row: &MetricRow, names: &[&str]) -> Option<f64> {
    let is_wanted = |key: &str| key.rsplit_once('.').is_some_and(|(_, name)| names.contains(&name));
    let values = row.figures.iter().filter(|(key, value)| is_wanted(key) && value.is_finite());
    values.map(|(_, value)| *value).reduce(f64::max)
}

/// The numbers of examples; 0 for runs of earlier versions, which did not store them.
fn counts(run: &Run) -> ExampleCounts {
    let profile = std::fs::read(run.data_json()).ok();
    let profile = profile.and_then(|bytes| serde_json::from_slice::<Profile>(&bytes).ok());
    profile.and_then(|profile| profile.examples).unwrap_or_default()
}
