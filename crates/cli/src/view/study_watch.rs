//! A study that others work on: bars on a terminal, a line for each step forward elsewhere.

use std::collections::BTreeMap;
use std::io::{IsTerminal, stderr};

use indicatif::{MultiProgress, ProgressBar};
use kiln_study::StudyStatus;

use super::study::{WHOLE, style};
use crate::output::say;

/// Trainings that have a bar of their own; of more, the first.
const MOST_BARS: usize = 20;

/// What is shown of a study.
pub(crate) struct StudyWatch {
    /// None where stderr is not a terminal.
    bars: Option<MultiProgress>,
    total: ProgressBar,
    running: BTreeMap<String, ProgressBar>,
    last: String,
}

impl StudyWatch {
    pub(crate) fn new() -> Self {
        let bars = stderr().is_terminal().then(MultiProgress::new);
        let total = bars.as_ref().map_or_else(ProgressBar::hidden, |bars| bars.add(ProgressBar::new(WHOLE)));
        total.set_style(style("{prefix}  {bar:30}  {msg}"));
        Self { bars, total, running: BTreeMap::new(), last: String::new() }
    }

    /// Shows how far the study is now.
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
        self.total.set_position(*done as u64 * WHOLE / (*tasks).max(1) as u64);
        self.total.set_prefix(stage);
        self.total.set_message(format!("{done} of {tasks}, {} running{best}", running.len()));
        let shown = &running[..running.len().min(MOST_BARS)];
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
