//! Burn's dashboard over the metric log of a run that another process trains, or that ended.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use burn::train::Interrupter;
use burn::train::logger::TrainingProgressLogger;
use burn::train::metric::{
    MetricAttributes, MetricDefinition, MetricEntry, MetricId, NumericAttributes, NumericEntry,
    SerializedEntry,
};
use burn::train::renderer::tui::TuiMetricsRendererWrapper;
use burn::train::renderer::{MetricState, MetricsRenderer, MetricsRendererTraining};
use kiln_artifacts::{MetricRow, MetricTail, Run, RunState, Scope, Status};

use crate::dashboard::settle_after_kill;
use crate::job::is_kill;
use crate::{StopSignal, TrainingError, open_dashboard};

/// Time between two looks at the run.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The figures that are shown: name in the log, name on the screen, factor, digits, whether higher is better.
const FIGURES: [(&str, &str, f64, usize, bool); 4] = [
    ("loss", "Loss", 1.0, 4, false),
    ("accuracy", "Accuracy", 100.0, 2, true),
    ("lr", "Learning rate", 1.0, 6, true),
    ("gradient_norm", "Gradient norm", 1.0, 3, false),
];

/// Shows `run` until it ends and the user closes the dashboard, or until `stop`. Never touches the run.
///
/// # Errors
/// Where the run's status or log cannot be read.
pub fn watch(run: &Run, stop: &StopSignal) -> Result<(), TrainingError> {
    match catch_unwind(AssertUnwindSafe(|| follow(run, stop))) {
        Ok(result) => result,
        // The dashboard's kill key: here there is only a watcher to end.
        Err(panic) if is_kill(panic.as_ref()) => {
            settle_after_kill();
            Ok(())
        }
        Err(panic) => resume_unwind(panic),
    }
}

fn follow(run: &Run, stop: &StopSignal) -> Result<(), TrainingError> {
    let mut tail = MetricTail::new(run.metrics());
    let mut status = run.status_now()?;
    let interrupter = Interrupter::new();
    let mut screen = Screen::open(run, &status, interrupter.clone());
    while !stop.is_requested() && !interrupter.should_stop() {
        let poll = tail.poll()?;
        if poll.restarted {
            // A resumed run cuts its log back; the screen starts over with what is left.
            drop(screen);
            screen = Screen::open(run, &status, interrupter.clone());
        }
        let had_rows = !poll.rows.is_empty();
        for row in &poll.rows {
            screen.show(row, &status);
        }
        status = run.status_now()?;
        if status.state != RunState::Running && !had_rows {
            screen.stay();
            return Ok(());
        }
        screen.refresh();
        std::thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}

struct Screen {
    dashboard: TuiMetricsRendererWrapper,
    done: usize,
}

impl Screen {
    fn open(run: &Run, status: &Status, interrupter: Interrupter) -> Self {
        let mut dashboard = open_dashboard(interrupter, 0);
        for (_, title, _, _, higher_is_better) in FIGURES {
            let attributes = MetricAttributes::Numeric(NumericAttributes { unit: None, higher_is_better });
            dashboard.register_metric(MetricDefinition {
                metric_id: id(title),
                name: Arc::new(title.to_owned()),
                description: None,
                attributes,
            });
        }
        let label = format!("{} {} ({})", run.name(), run.id(), status.state);
        dashboard.start(status.epochs as usize, 1, None, Some(&label));
        Self { dashboard, done: 0 }
    }

    fn show(&mut self, row: &MetricRow, status: &Status) {
        let batches = status.steps.checked_div(status.epochs).unwrap_or_default();
        let done = row.step.saturating_sub((row.epoch.max(1) - 1) * batches);
        match row.split.as_str() {
            "train" => {
                self.dashboard.start_split("train", batches as usize);
                self.each_figure(row, MetricsRendererTraining::update_train);
                self.done = done as usize;
                self.dashboard.update_split(self.done);
                if row.scope == Scope::Epoch {
                    self.dashboard.end_split();
                    self.dashboard.update_epoch(row.epoch as usize);
                }
            }
            "validation" => {
                self.dashboard.start_split("valid", 1);
                self.each_figure(row, MetricsRendererTraining::update_valid);
                self.dashboard.update_split(1);
                self.dashboard.end_split();
            }
            _ => {}
        }
    }

    fn each_figure(&mut self, row: &MetricRow, update: fn(&mut TuiMetricsRendererWrapper, MetricState)) {
        for (name, title, factor, digits, _) in FIGURES {
            let Some(value) = row.figure(name).map(|value| value * factor) else { continue };
            let text = format!("{value:.digits$}");
            let entry = MetricEntry::new(id(title), SerializedEntry::new(text.clone(), text));
            let point = value.is_finite().then_some(NumericEntry::Value(value));
            update(&mut self.dashboard, MetricState::Numeric(entry, point));
        }
    }

    /// Says again how far the run is: a dashboard that was killed is noticed when it is spoken to.
    fn refresh(&mut self) {
        self.dashboard.update_split(self.done);
    }

    /// Leaves the dashboard open until the user closes it.
    fn stay(self) {
        drop(self.dashboard.persistent());
    }
}

fn id(title: &str) -> MetricId {
    MetricId::new(Arc::new(title.to_owned()))
}
