//! Work in progress, as the user sees it on stderr: downloads, a training, a study.
//!
//! On a terminal there are progress bars; elsewhere there are lines of text, or lines of JSON on request. Burn's dashboard is
//! not here: it belongs to the training crate.

use std::collections::BTreeMap;
use std::io::{IsTerminal, stderr};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use kiln::{Event, Metrics, Observer, Outcome, Session};
use kiln_data::{ExampleCounts, Profile, Progress, Shape};
use kiln_evaluation::ConfidenceInterval;
use kiln_study::{StudyEvent, StudyObserver, StudyStatus, TaskOutcome};

use crate::output::{quoted, say};

/// A progress bar for a download. indicatif hides it unless stderr is a terminal.
#[derive(Default)]
pub(crate) struct DownloadBar(Mutex<Option<ProgressBar>>);

impl DownloadBar {
    fn with(&self, act: impl FnOnce(&mut Option<ProgressBar>)) {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Progress for DownloadBar {
    fn begin(&self, what: &str, total_bytes: Option<u64>) {
        let style =
            ProgressStyle::with_template("{msg}  {bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  {eta}");
        let bar = total_bytes.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        let bar = bar.with_style(style.expect("the template is well-formed")).with_message(what.to_owned());
        self.with(|place| *place = Some(bar));
    }

    fn advance(&self, bytes: u64) {
        self.with(|place| {
            if let Some(bar) = place {
                bar.inc(bytes);
            }
        });
    }

    fn end(&self) {
        self.with(|place| {
            if let Some(bar) = place.take() {
                bar.finish_and_clear();
            }
        });
    }
}

/// Prints each event as one line of JSON.
pub(crate) struct JsonLines;

impl Observer for JsonLines {
    fn observe(&mut self, event: &Event) {
        say(&serde_json::to_string(event).expect("an event is plain data"));
    }
}

/// Prints a line per interval and a line per epoch.
pub(crate) struct TextLines;

impl Observer for TextLines {
    fn observe(&mut self, event: &Event) {
        say(&event_line(event));
    }
}

fn event_line(event: &Event) -> String {
    match event {
        Event::Started { epoch, epochs, step: 0, examples } => {
            let plural = if *epochs == 1 { "" } else { "s" };
            format!("training {examples} examples for {epochs} epoch{plural}, from epoch {epoch}")
        }
        Event::Started { epoch, epochs, step, .. } => {
            format!("resuming in epoch {epoch} of {epochs}, after step {step}")
        }
        Event::Interval {
            epoch,
            epochs,
            examples_done,
            examples,
            loss,
            accuracy,
            lr,
            examples_per_second,
            ..
        } => {
            let width = examples.to_string().len();
            format!(
                "epoch {epoch}/{epochs}  [{examples_done:>width$}/{examples}]  loss {loss:.6}  accuracy \
                 {accuracy:.4}  lr {lr:.2e}  {examples_per_second:.0} examples/s"
            )
        }
        Event::Epoch {
            epoch,
            epochs,
            train_loss,
            train_accuracy,
            validation_loss,
            validation_accuracy,
            seconds,
            best,
        } => {
            let validation = match (validation_loss, validation_accuracy) {
                (Some(loss), Some(accuracy)) => {
                    let best = if *best { " (best)" } else { "" };
                    format!("  |  validation loss {loss:.4}  accuracy {accuracy:.4}{best}")
                }
                _ => String::new(),
            };
            format!(
                "epoch {epoch}/{epochs} done  train loss {train_loss:.4}  accuracy {train_accuracy:.4}{validation}  \
                 |  {seconds:.2} s"
            )
        }
        Event::Stopped { stop_reason, epochs_done, step } => {
            format!("training ended ({stop_reason}) after {epochs_done} epochs, {step} steps")
        }
    }
}

/// A finished training in a few lines: data, network, training and test.
pub(crate) fn summary(session: &Session, outcome: &Outcome) -> Vec<String> {
    let profile = Profile::of(session.data());
    let mut lines = vec![data_line(&profile), network_line(session, outcome, &profile)];
    if let Some(test) = &outcome.test {
        lines.push(test_line(test, outcome));
        lines.extend(test.extra_lines());
    }
    lines
}

/// The path of the report, and the next commands to try.
pub(crate) fn next_steps(session: &Session, has_report: bool) -> Vec<String> {
    let run = session.run();
    let folder = quoted(&run.folder().display().to_string());
    let files = if matches!(session.data().shape, Shape::Image { .. }) {
        "PICTURE"
    } else {
        "ROWS.csv --output ANSWERS.csv"
    };
    let report = has_report.then(|| format!("report: {}", linked(&run.report())));
    let next = format!("next: kiln predict {folder} {files}\n      kiln runs compare {folder} OTHER_RUN");
    report.into_iter().chain([next]).collect()
}

fn data_line(profile: &Profile) -> String {
    let ExampleCounts { train, validation, test } = profile.examples.unwrap_or_default();
    let held = |count: usize, what: &str| if count > 0 { format!(", {count} {what}") } else { String::new() };
    format!(
        "data: {}, {} classes; {train} training examples{}{}",
        profile.source,
        profile.classes.len(),
        held(validation, "validation"),
        held(test, "test")
    )
}

fn network_line(session: &Session, outcome: &Outcome, profile: &Profile) -> String {
    let (model, trained) = (&session.experiment().model, &outcome.trained);
    let shape = if model.is_mlp() {
        let members = if model.members > 1 { format!("{} x ", model.members) } else { String::new() };
        format!(" {members}{}", model.sizes(profile.shape.features(), profile.classes.len()))
    } else {
        String::new()
    };
    let plural = if trained.epochs == 1 { "" } else { "s" };
    let best = session.run().status().ok().and_then(|status| status.best);
    let best = best.map_or_else(String::new, |best| {
        format!("; best in epoch {} ({} {:.4})", best.epoch, best.monitor.words(), best.value)
    });
    format!(
        "network: {}{shape}, {} weights; {} epoch{plural} in {:.1} s{best}",
        model.name, outcome.weights, trained.epochs, trained.elapsed_seconds
    )
}

fn test_line(test: &Metrics, outcome: &Outcome) -> String {
    let loss = test.figure("loss").unwrap_or(f64::NAN);
    let interval = test.intervals.as_ref().and_then(|intervals| intervals.of("accuracy"));
    let interval = interval.map_or_else(String::new, |ConfidenceInterval { lower, upper }| {
        format!(" (95 % confidence interval {lower:.4} to {upper:.4})")
    });
    let network = test.checkpoint_step.filter(|step| *step != outcome.trained.steps);
    let network = network.map_or_else(String::new, |step| format!(", weights of step {step}"));
    format!(
        "test loss {loss:.4}  accuracy {:.4}{interval}  ({} examples{network})",
        test.accuracy(),
        test.examples
    )
}

/// A path as a link that a terminal can open.
fn linked(path: &Path) -> String {
    let shown = path.display().to_string();
    match std::path::absolute(path) {
        Ok(whole) if stderr().is_terminal() => {
            format!("\u{1b}]8;;file://{}\u{1b}\\{shown}\u{1b}]8;;\u{1b}\\", whole.display())
        }
        _ => shown,
    }
}

/// The view of a running study.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum StudyUi {
    /// Progress bars, one per worker.
    Live,
    /// A line of text when a training starts and when it ends.
    Plain,
    /// Nothing.
    None,
}

/// The length of a bar: finer than any terminal is wide.
const BAR_LENGTH: u64 = 1000;

/// The requested view. By default: bars on a terminal, lines elsewhere.
pub(crate) fn study_view(ui: Option<StudyUi>) -> Box<dyn StudyObserver> {
    match ui {
        Some(StudyUi::Live) => Box::new(StudyBars::new()),
        None if stderr().is_terminal() => Box::new(StudyBars::new()),
        None | Some(StudyUi::Plain) => Box::new(StudyLines { tasks: 0, done: 0 }),
        Some(StudyUi::None) => Box::new(SilentStudy),
    }
}

struct SilentStudy;

impl StudyObserver for SilentStudy {
    fn observe(&mut self, _: &StudyEvent) {}
}

/// A line when a training starts and a line when it ends.
struct StudyLines {
    tasks: usize,
    done: usize,
}

impl StudyObserver for StudyLines {
    fn observe(&mut self, event: &StudyEvent) {
        match event {
            StudyEvent::Planned { stage, tasks, finished, jobs } => {
                (self.tasks, self.done) = (*tasks, *finished);
                match stage {
                    Some(stage) => say(&format!("{stage}: {tasks} runs so far, {finished} of them finished")),
                    None => {
                        say(&format!("{tasks} runs, {finished} of them finished before; {jobs} at a time"));
                    }
                }
            }
            StudyEvent::Started { name, resumed, .. } => {
                say(&format!("{name}: {}", if *resumed { "resuming" } else { "training" }));
            }
            StudyEvent::Ended { name, outcome, .. } => {
                self.done += usize::from(!matches!(outcome, TaskOutcome::Stopped));
                say(&format!("[{}/{}] {name}: {}", self.done, self.tasks, outcome_text(outcome)));
            }
            StudyEvent::Advanced { .. } => {}
        }
    }
}

/// A bar per running training, and one for the whole study.
struct StudyBars {
    bars: MultiProgress,
    total: ProgressBar,
    running: BTreeMap<usize, ProgressBar>,
    shares: BTreeMap<usize, f64>,
    tasks: usize,
    finished_before: usize,
    started: Instant,
}

impl StudyBars {
    fn new() -> Self {
        let bars = MultiProgress::new();
        let total = bars.add(ProgressBar::new(BAR_LENGTH));
        total.set_style(style("{prefix}  {bar:30}  {msg}"));
        Self {
            bars,
            total,
            running: BTreeMap::new(),
            shares: BTreeMap::new(),
            tasks: 0,
            finished_before: 0,
            started: Instant::now(),
        }
    }

    fn ended(&mut self, task: usize, name: &str, outcome: &TaskOutcome) {
        if let Some(bar) = self.running.remove(&task) {
            bar.finish_and_clear();
        }
        match outcome {
            TaskOutcome::Stopped => {}
            _ => drop(self.shares.insert(task, 1.0)),
        }
        // If the terminal fails, there is nowhere else to report it.
        let _ = self.bars.println(format!("{name}: {}", outcome_text(outcome)));
    }

    /// Updates the bar of the whole study: the finished share, and the remaining time at the average pace so far.
    fn update_total(&self) {
        let done_now: f64 = self.shares.values().sum();
        let done = self.finished_before as f64 + done_now;
        let open = self.tasks as f64 - done;
        let whole = (self.tasks as f64).max(1.0);
        self.total.set_position((done / whole * BAR_LENGTH as f64) as u64);
        let count = self.shares.values().filter(|share| **share >= 1.0).count() + self.finished_before;
        let left = self.started.elapsed().as_secs_f64() / done_now * open;
        let left = if done_now > 0.05 && left.is_finite() {
            format!(", {} left", clock(Duration::from_secs_f64(left.min(1e7))))
        } else {
            String::new()
        };
        self.total.set_message(format!(
            "{count} of {} runs, {}{left}",
            self.tasks,
            clock(self.started.elapsed())
        ));
    }
}

impl StudyObserver for StudyBars {
    fn observe(&mut self, event: &StudyEvent) {
        match event {
            StudyEvent::Planned { stage, tasks, finished, .. } => {
                let ended_here = self.shares.values().filter(|share| **share >= 1.0).count();
                self.tasks = *tasks;
                self.finished_before = finished.saturating_sub(ended_here);
                self.total.set_prefix(stage.clone().unwrap_or_else(|| "all".to_owned()));
            }
            StudyEvent::Started { task, name, .. } => {
                let bar = self.bars.insert_before(&self.total, ProgressBar::new(BAR_LENGTH));
                bar.set_style(style("{prefix:30!}  {bar:30}  {msg}"));
                bar.set_prefix(name.clone());
                self.running.insert(*task, bar);
            }
            StudyEvent::Advanced { task, share, epoch, epochs, loss, accuracy } => {
                self.shares.insert(*task, share.min(0.99));
                if let Some(bar) = self.running.get(task) {
                    bar.set_position((share * BAR_LENGTH as f64) as u64);
                    let figure = |name: &str, value: &Option<f64>| {
                        value.map_or_else(String::new, |value| format!("  {name} {value:.4}"))
                    };
                    let figures = figure("loss", loss) + &figure("accuracy", accuracy);
                    bar.set_message(format!("epoch {epoch}/{epochs}{figures}"));
                }
            }
            StudyEvent::Ended { task, name, outcome } => self.ended(*task, name, outcome),
        }
        self.update_total();
    }
}

impl Drop for StudyBars {
    fn drop(&mut self) {
        self.total.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is well-formed")
}

fn outcome_text(outcome: &TaskOutcome) -> String {
    match outcome {
        TaskOutcome::Finished { test_accuracy, seconds } => {
            format!("test accuracy {test_accuracy:.4}, {seconds:.1} s")
        }
        TaskOutcome::Paused { epochs, loss } => {
            let loss = loss.map_or_else(String::new, |loss| format!(", loss {loss:.4}"));
            format!("{epochs} epochs{loss}")
        }
        TaskOutcome::Elsewhere => "done by another process".to_owned(),
        TaskOutcome::Failed { error } => format!("FAILED: {error}"),
        TaskOutcome::Stopped => "stopped".to_owned(),
    }
}

/// `1:05`, or `2:00:07`.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// Only the first trainings get their own bars.
const MAX_BARS: usize = 20;

/// A study that other processes work on: bars on a terminal, elsewhere a line whenever its progress changes.
pub(crate) struct StudyWatch {
    /// `None` unless stderr is a terminal.
    bars: Option<MultiProgress>,
    total: ProgressBar,
    running: BTreeMap<String, ProgressBar>,
    last: String,
}

impl StudyWatch {
    pub(crate) fn new() -> Self {
        let bars = stderr().is_terminal().then(MultiProgress::new);
        let total =
            bars.as_ref().map_or_else(ProgressBar::hidden, |bars| bars.add(ProgressBar::new(BAR_LENGTH)));
        total.set_style(style("{prefix}  {bar:30}  {msg}"));
        Self { bars, total, running: BTreeMap::new(), last: String::new() }
    }

    /// Shows the current progress.
    pub(crate) fn show(&mut self, status: &StudyStatus) {
        let StudyStatus { stage, tasks, done, running, best, .. } = status;
        let stage = stage.clone().unwrap_or_else(|| "all".to_owned());
        let best = best.as_ref().map_or_else(String::new, |best| {
            format!(", best {} with {:.4} after {} epochs", best.name, best.figure, best.epochs)
        });
        let Some(bars) = &self.bars else {
            let line = format!("{stage}: {done} of {tasks} trainings done{best}");
            if line != self.last {
                say(&line);
                self.last = line;
            }
            return;
        };
        self.total.set_position(*done as u64 * BAR_LENGTH / (*tasks).max(1) as u64);
        self.total.set_prefix(stage);
        self.total.set_message(format!("{done} of {tasks}, {} running{best}", running.len()));
        let shown = &running[..running.len().min(MAX_BARS)];
        self.running.retain(|name, bar| {
            let is_there = shown.iter().any(|task| task.name == *name);
            if !is_there {
                bar.finish_and_clear();
            }
            is_there
        });
        for task in shown {
            let bar = self.running.entry(task.name.clone()).or_insert_with(|| {
                let bar = bars.insert_before(&self.total, ProgressBar::new(task.epochs));
                bar.set_style(style("{prefix:30!}  {bar:30}  {msg}"));
                bar.set_prefix(task.name.clone());
                bar
            });
            bar.set_position(task.epoch);
            bar.set_message(format!("epoch {}/{} on {}", task.epoch, task.epochs, task.host));
        }
    }
}

impl Drop for StudyWatch {
    fn drop(&mut self) {
        for bar in self.running.values() {
            bar.finish_and_clear();
        }
        self.total.finish_and_clear();
    }
}
