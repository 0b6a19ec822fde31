//! What a worker process is told and what it tells back: a line of JSON each.

use std::path::PathBuf;

use kiln::{
    Event, Observer, Options, Resumed, Run, RunFailure, RunState, Session, StopSignal, experiment, is_over,
    perceptron,
};
use serde::{Deserialize, Serialize};

use super::cell::{experiment_file, lock, run_in};
use super::result::TaskResult;

/// A cell to train, with the built-in perceptron.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The cell's folder: what to train, and where its run is or goes.
    pub folder: PathBuf,
    /// The epoch, from 1, after which to pause; none for the whole training and its test.
    pub until: Option<usize>,
}

/// What a worker tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// Training came further.
    Event(Event),
    /// The worker's last word on an order.
    Ended(WorkerEnd),
}

/// How the work on an order ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerEnd {
    /// It is done, or failed.
    Done(TaskResult),
    /// The worker was asked to stop; the run can be resumed.
    Stopped,
}

impl Order {
    /// The order in a line.
    ///
    /// # Errors
    /// In words, where there is none.
    pub fn read(line: &str) -> Result<Self, String> {
        serde_json::from_str(line).map_err(|error| format!("not an order of a study: {error}"))
    }

    /// Trains the run. `begun` hears of it before training; `tell` gets every message but the last, which is returned.
    pub fn carry_out(
        &self,
        stop: &StopSignal,
        begun: impl FnOnce(&Run),
        tell: impl FnMut(&Message) + Send + 'static,
    ) -> Message {
        Message::Ended(match self.trained(stop, begun, tell) {
            Ok(end) => end,
            Err(error) => WorkerEnd::Done(TaskResult::failed(
                kiln_files::with_causes(&error),
                is_settings_fault(&error),
            )),
        })
    }

    fn trained(
        &self,
        stop: &StopSignal,
        begun: impl FnOnce(&Run),
        tell: impl FnMut(&Message) + Send + 'static,
    ) -> Result<WorkerEnd, kiln::Error> {
        let lock = lock(&self.folder, || stop.is_requested()).map_err(artifact)?;
        let Some(_lock) = lock else { return Ok(WorkerEnd::Stopped) };
        let session = match run_in(&self.folder) {
            Some((run, RunState::Finished)) => return Ok(WorkerEnd::Done(self.result(&run, true)?)),
            Some((run, _)) => match Session::resume(run, &[])? {
                Resumed::Ready(session) => *session,
                Resumed::Finished(run) => return Ok(WorkerEnd::Done(self.result(&run, true)?)),
            },
            None => Session::create(&experiment(experiment_file(&self.folder), &[])?, &self.folder)?,
        };
        begun(session.run());
        let options = Options {
            dashboard: false,
            observer: Box::new(Told(tell)),
            stop: stop.clone(),
            report: false,
            pause_after: self.until,
            optimizer: None,
        };
        let outcome = session.train(perceptron, options)?;
        let (reason, epochs) = (outcome.trained.reason, outcome.trained.epochs);
        let is_over = is_over(reason);
        let is_there = is_over || self.until.is_some_and(|until| epochs >= until);
        if !is_there {
            return Ok(WorkerEnd::Stopped);
        }
        Ok(WorkerEnd::Done(self.result(&outcome.run, is_over)?))
    }

    /// What `run` came to by the order's end. A run that went on beyond it was not over then.
    fn result(&self, run: &Run, is_over: bool) -> Result<TaskResult, kiln::Error> {
        let whole = TaskResult::of(run, None, is_over)?;
        Ok(match self.until {
            Some(until) if whole.epochs > until as u64 => TaskResult::of(run, self.until, false)?,
            _ => whole,
        })
    }
}

/// Whether a training would fail everywhere: its settings make its figures infinite. Whether a network fits into memory is the
/// machine's fault too.
fn is_settings_fault(error: &kiln::Error) -> bool {
    matches!(error, kiln::Error::Training(error) if matches!(error.kind(), RunFailure::NonFinite { .. }))
}

fn artifact(error: crate::StudyError) -> kiln::Error {
    match error {
        crate::StudyError::Artifact(error) => error.into(),
        other => unreachable!("a lock fails by its file alone: {other}"),
    }
}

struct Told<F>(F);

impl<F: FnMut(&Message) + Send> Observer for Told<F> {
    fn observe(&mut self, event: &Event) {
        (self.0)(&Message::Event(event.clone()));
    }
}
