//! What a worker process is told and what it tells back: a line of JSON each.

use std::io::BufRead;
use std::path::PathBuf;

use kiln::{
    Event, Observer, Options, Outcome, Resumed, Run, Session, StopSignal, experiment, is_over, perceptron,
};
use serde::{Deserialize, Serialize};

/// One run to train, with the built-in perceptron.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The folder that a new run goes into.
    pub artifacts: PathBuf,
    /// The experiment file of a new run.
    pub experiment: PathBuf,
    /// The run to resume in place of a new one.
    pub resume: Option<PathBuf>,
}

/// What a worker tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// Training came further.
    Event(Event),
    /// The worker's last word.
    Ended(WorkerEnd),
}

/// How a worker ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerEnd {
    /// The run is finished.
    Finished,
    /// It was asked to stop; the run can be resumed.
    Stopped,
    /// With this error.
    Failed(String),
}

impl Order {
    /// The order in the next line of `input`.
    ///
    /// # Errors
    /// In words, where there is none.
    pub fn read(input: &mut impl BufRead) -> Result<Self, String> {
        let mut line = String::new();
        input.read_line(&mut line).map_err(|error| error.to_string())?;
        serde_json::from_str(&line).map_err(|error| format!("not an order of a study: {error}"))
    }

    /// Trains the run. `begun` hears of it before training; `tell` gets every message but the last, which is returned.
    pub fn carry_out(
        &self,
        stop: StopSignal,
        begun: impl FnOnce(&Run),
        tell: impl FnMut(&Message) + Send + 'static,
    ) -> Message {
        let end = match self.trained(stop, begun, tell) {
            Ok(None) => WorkerEnd::Finished,
            Ok(Some(outcome)) if is_over(outcome.trained.reason) => WorkerEnd::Finished,
            Ok(Some(_)) => WorkerEnd::Stopped,
            Err(error) => WorkerEnd::Failed(kiln_files::with_causes(&error)),
        };
        Message::Ended(end)
    }

    fn trained(
        &self,
        stop: StopSignal,
        begun: impl FnOnce(&Run),
        tell: impl FnMut(&Message) + Send + 'static,
    ) -> Result<Option<Outcome>, kiln::Error> {
        let session = match &self.resume {
            None => Session::create(&experiment(&self.experiment, &[])?, &self.artifacts)?,
            Some(folder) => match Session::resume(Run::open(folder)?, &[])? {
                Resumed::Ready(session) => *session,
                Resumed::Finished(_) => return Ok(None),
            },
        };
        begun(session.run());
        let observer = Box::new(Told(tell));
        let options = Options { dashboard: false, observer, stop, report: false, optimizer: None };
        session.train(perceptron, options).map(Some)
    }
}

struct Told<F>(F);

impl<F: FnMut(&Message) + Send> Observer for Told<F> {
    fn observe(&mut self, event: &Event) {
        (self.0)(&Message::Event(event.clone()));
    }
}
