//! A running study: a line per worker on a terminal, lines of text elsewhere.

use std::collections::BTreeMap;
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use kiln_study::{CellEnd, Progress, View};

use crate::arguments::StudyUi;
use crate::output::say;

/// Steps of a bar: finer than any terminal is wide.
pub(super) const WHOLE: u64 = 1000;

/// The view that was asked for, or the one that fits stderr.
pub(crate) fn study_view(ui: Option<StudyUi>) -> Box<dyn View> {
    match ui {
        Some(StudyUi::Live) => Box::new(Live::new()),
        None if stderr().is_terminal() => Box::new(Live::new()),
        None | Some(StudyUi::Plain) => Box::new(Plain { cells: 0, done: 0 }),
        Some(StudyUi::None) => Box::new(Silent),
    }
}

struct Silent;

impl View for Silent {
    fn show(&mut self, _: &Progress) {}
}

/// A line when a worker starts and one when it ends.
struct Plain {
    cells: usize,
    done: usize,
}

impl View for Plain {
    fn show(&mut self, progress: &Progress) {
        match progress {
            Progress::Planned { stage, cells, finished, jobs } => {
                (self.cells, self.done) = (*cells, *finished);
                match stage {
                    Some(stage) => say(&format!("{stage}: {cells} runs so far, {finished} of them finished")),
                    None => {
                        say(&format!("{cells} runs, {finished} of them finished before; {jobs} at a time"));
                    }
                }
            }
            Progress::Started { name, resumed, .. } => {
                say(&format!("{name}: {}", if *resumed { "going on" } else { "training" }));
            }
            Progress::Ended { name, end, .. } => {
                self.done += usize::from(!matches!(end, CellEnd::Stopped));
                say(&format!("[{}/{}] {name}: {}", self.done, self.cells, in_words(end)));
            }
            Progress::Advanced { .. } => {}
        }
    }
}

/// A bar per running worker, and one for the whole.
struct Live {
    bars: MultiProgress,
    total: ProgressBar,
    running: BTreeMap<usize, ProgressBar>,
    shares: BTreeMap<usize, f64>,
    cells: usize,
    finished_before: usize,
    started: Instant,
}

impl Live {
    fn new() -> Self {
        let bars = MultiProgress::new();
        let total = bars.add(ProgressBar::new(WHOLE));
        total.set_style(style("{prefix}  {bar:30}  {msg}"));
        Self {
            bars,
            total,
            running: BTreeMap::new(),
            shares: BTreeMap::new(),
            cells: 0,
            finished_before: 0,
            started: Instant::now(),
        }
    }

    fn ended(&mut self, cell: usize, name: &str, end: &CellEnd) {
        if let Some(bar) = self.running.remove(&cell) {
            bar.finish_and_clear();
        }
        match end {
            CellEnd::Stopped => {}
            _ => drop(self.shares.insert(cell, 1.0)),
        }
        // What the terminal does not take is lost; there is nowhere else to say it.
        let _ = self.bars.println(format!("{name}: {}", in_words(end)));
    }

    /// The line of the whole: what is done, and the time left at the pace so far.
    fn sum_up(&self) {
        let done_now: f64 = self.shares.values().sum();
        let done = self.finished_before as f64 + done_now;
        let open = self.cells as f64 - done;
        let whole = (self.cells as f64).max(1.0);
        self.total.set_position((done / whole * WHOLE as f64) as u64);
        let count = self.shares.values().filter(|share| **share >= 1.0).count() + self.finished_before;
        let left = self.started.elapsed().as_secs_f64() / done_now * open;
        let left = if done_now > 0.05 && left.is_finite() {
            format!(", {} left", clock(Duration::from_secs_f64(left.min(1e7))))
        } else {
            String::new()
        };
        self.total.set_message(format!(
            "{count} of {} runs, {}{left}",
            self.cells,
            clock(self.started.elapsed())
        ));
    }
}

impl View for Live {
    fn show(&mut self, progress: &Progress) {
        match progress {
            Progress::Planned { stage, cells, finished, .. } => {
                let ended_here = self.shares.values().filter(|share| **share >= 1.0).count();
                self.cells = *cells;
                self.finished_before = finished.saturating_sub(ended_here);
                self.total.set_prefix(stage.clone().unwrap_or_else(|| "all".to_owned()));
            }
            Progress::Started { cell, name, .. } => {
                let bar = self.bars.insert_before(&self.total, ProgressBar::new(WHOLE));
                bar.set_style(style("{prefix:30!}  {bar:30}  {msg}"));
                bar.set_prefix(name.clone());
                self.running.insert(*cell, bar);
            }
            Progress::Advanced { cell, share, epoch, epochs, loss, accuracy } => {
                self.shares.insert(*cell, share.min(0.99));
                if let Some(bar) = self.running.get(cell) {
                    bar.set_position((share * WHOLE as f64) as u64);
                    let figure = |name: &str, value: &Option<f64>| {
                        value.map_or_else(String::new, |value| format!("  {name} {value:.4}"))
                    };
                    let figures = figure("loss", loss) + &figure("accuracy", accuracy);
                    bar.set_message(format!("epoch {epoch}/{epochs}{figures}"));
                }
            }
            Progress::Ended { cell, name, end } => self.ended(*cell, name, end),
        }
        self.sum_up();
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.total.finish_and_clear();
    }
}

pub(super) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is well-formed")
}

fn in_words(end: &CellEnd) -> String {
    match end {
        CellEnd::Finished { test_accuracy, seconds } => {
            format!("test accuracy {test_accuracy:.4}, {seconds:.1} s")
        }
        CellEnd::Paused { epochs, loss } => {
            let loss = loss.map_or_else(String::new, |loss| format!(", loss {loss:.4}"));
            format!("{epochs} epochs{loss}")
        }
        CellEnd::Elsewhere => "done by another process".to_owned(),
        CellEnd::Failed { error } => format!("FAILED: {error}"),
        CellEnd::Stopped => "stopped".to_owned(),
    }
}

/// `1:05`, or `2:00:07`.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}
