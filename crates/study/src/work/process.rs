//! Worker processes that train, one for each slot, and the protocol with them: a line of JSON for each request and each
//! message.
//!
//! A process trains task after task, so that starting it and reading the data costs each trial little. It reads
//! requests from its standard input and stops when that ends. It also ends when the process that started it dies,
//! however it dies, so that no worker process is left behind.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kiln::{
    Event, Observer, Options, Resumed, Run, RunFailure, RunState, Session, StopSignal, experiment, is_over,
    perceptron,
};
use kiln_config::RESERVED_VARIABLES;
use serde::{Deserialize, Serialize};

use crate::StudyError;
use crate::work::pool::StudyEvent;
use crate::work::{Task, TaskResult, experiment_file, lock, stored_run_in};

/// A trial run to train, with the built-in perceptron.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainRequest {
    /// The trial run's folder, with the experiment and the run.
    pub folder: PathBuf,
    /// The epoch, from 1, after which to pause; `None` for the whole training and its test.
    pub until: Option<usize>,
}

/// A message of a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// Training made progress.
    Event(Event),
    /// The last message of a request.
    Ended(WorkerEnd),
}

/// How the work on a request ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerEnd {
    /// It is done, or failed.
    Done(TaskResult),
    /// The worker was asked to stop; the run can be resumed.
    Stopped,
}

impl TrainRequest {
    /// Parses a request from a line. The error is a sentence.
    pub fn read(line: &str) -> Result<Self, String> {
        serde_json::from_str(line).map_err(|error| format!("not an order of a study: {error}"))
    }

    /// Trains the run. `on_start` is called before training starts. `report` gets every message except the last one,
    /// which is returned.
    pub fn run(
        &self,
        stop: &StopSignal,
        on_start: impl FnOnce(&Run),
        report: impl FnMut(&Message) + Send + 'static,
    ) -> Message {
        Message::Ended(match self.trained(stop, on_start, report) {
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
        on_start: impl FnOnce(&Run),
        report: impl FnMut(&Message) + Send + 'static,
    ) -> Result<WorkerEnd, kiln::Error> {
        let lock = lock(&self.folder, || stop.is_requested()).map_err(artifact)?;
        let Some(_lock) = lock else { return Ok(WorkerEnd::Stopped) };
        let session = match stored_run_in(&self.folder) {
            Some((run, RunState::Finished)) => return Ok(WorkerEnd::Done(self.result(&run, true)?)),
            Some((run, _)) => match Session::resume(run, &[])? {
                Resumed::Ready(session) => *session,
                Resumed::Finished(run) => return Ok(WorkerEnd::Done(self.result(&run, true)?)),
            },
            None => Session::create(&experiment(experiment_file(&self.folder), &[])?, &self.folder)?,
        };
        on_start(session.run());
        let options = Options {
            dashboard: false,
            observer: Box::new(MessageObserver(report)),
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

    /// The result of `run` at the request's end. A run that was trained beyond it already was not over there.
    fn result(&self, run: &Run, is_over: bool) -> Result<TaskResult, kiln::Error> {
        let whole = TaskResult::of(run, None, is_over)?;
        Ok(match self.until {
            Some(until) if whole.epochs > until as u64 => TaskResult::of(run, self.until, false)?,
            _ => whole,
        })
    }
}

/// Whether the training would fail on every machine: its settings make a value non-finite. Other failures, such as a
/// network that does not fit into memory, depend on the machine.
fn is_settings_fault(error: &kiln::Error) -> bool {
    matches!(error, kiln::Error::Training(error) if matches!(error.kind(), RunFailure::NonFinite { .. }))
}

fn artifact(error: StudyError) -> kiln::Error {
    match error {
        StudyError::Artifact(error) => error.into(),
        other => unreachable!("a lock fails by its file alone: {other}"),
    }
}

struct MessageObserver<F>(F);

impl<F: FnMut(&Message) + Send> Observer for MessageObserver<F> {
    fn observe(&mut self, event: &Event) {
        (self.0)(&Message::Event(event.clone()));
    }
}

/// The program that trains for a study. It reads a [`TrainRequest`] from each line of its standard input, trains the
/// run, stops when that input ends, and writes every [`Message`] as a line to its standard error.
#[derive(Clone, Debug)]
pub struct Worker {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// All worker processes, by slot; `None` after they were asked to stop.
#[derive(Debug)]
pub(crate) struct TrainerProcesses<'a> {
    worker: &'a Worker,
    running: Mutex<Option<HashMap<usize, RunningProcess>>>,
}

#[derive(Debug)]
struct RunningProcess {
    child: Child,
    input: ChildStdin,
}

/// The process of one slot, as the slot sees it.
#[derive(Debug, Default)]
pub(crate) struct TrainerProcess {
    /// Its standard error; `None` if it has not started or has ended.
    output: Option<BufReader<ChildStderr>>,
    /// Its compute backend: a process has only one.
    backend: String,
}

/// How the work of a process on a task ended.
#[derive(Debug, PartialEq)]
pub(crate) enum TaskEnd {
    Done(TaskResult),
    Stopped,
    /// The process died; the text is all that is known.
    Crashed(String),
}

impl<'a> TrainerProcesses<'a> {
    pub(crate) fn new(worker: &'a Worker) -> Self {
        Self { worker, running: Mutex::new(Some(HashMap::new())) }
    }

    /// Asks all processes, present and future, to stop with a checkpoint.
    pub(crate) fn stop(&self) {
        // Closing their input asks them to stop. Dropping a child does not wait for it, so the lock is held only
        // briefly.
        drop(self.running().take());
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.running().is_none()
    }

    /// Kills the process of a slot at once: another worker has taken over its task.
    pub(crate) fn kill(&self, slot: usize) {
        if let Some(running) = self.running().as_mut().and_then(|running| running.get_mut(&slot)) {
            // It may have ended already.
            let _ = running.child.kill();
        }
    }

    /// Trains `task` in the slot's process, or in a new one. `report` receives its events, with `number` as the task's
    /// number.
    pub(crate) fn train(
        &self,
        slot: usize,
        trainer: &mut TrainerProcess,
        number: usize,
        task: &Task,
        report: &dyn Fn(StudyEvent),
    ) -> Result<TaskEnd, StudyError> {
        let backend = format!("{:?}", task.trial_run.experiment.backend);
        if trainer.output.is_some() && trainer.backend != backend {
            self.close(slot, trainer);
        }
        if trainer.output.is_none() {
            let Some(output) = self.start(slot)? else { return Ok(TaskEnd::Stopped) };
            *trainer = TrainerProcess { output: Some(output), backend };
        }
        let request = TrainRequest { folder: task.trial_run.folder.clone(), until: task.until };
        if !self.send(slot, &request) && self.is_stopping() {
            self.close(slot, trainer);
            return Ok(TaskEnd::Stopped);
        }
        let Some(output) = &mut trainer.output else { unreachable!("it was started") };
        let last = read_messages(number, output, report);
        match last.end {
            Some(WorkerEnd::Done(result)) => Ok(TaskEnd::Done(result)),
            Some(WorkerEnd::Stopped) => {
                // The process ends after this message.
                self.close(slot, trainer);
                Ok(TaskEnd::Stopped)
            }
            None => {
                let status = self.close(slot, trainer);
                let reason =
                    if last.last_line.is_empty() { String::new() } else { format!(": {}", last.last_line) };
                Ok(if self.is_stopping() {
                    TaskEnd::Stopped
                } else {
                    TaskEnd::Crashed(format!("the worker ended with {status}{reason}"))
                })
            }
        }
    }

    /// Waits for the end of a slot's process, which has nothing left to do. Returns its exit status in words.
    pub(crate) fn close(&self, slot: usize, trainer: &mut TrainerProcess) -> String {
        let running = self.running().as_mut().and_then(|running| running.remove(&slot));
        let child = running.map(|RunningProcess { child, input }| {
            drop(input);
            child
        });
        // A process that was asked to stop closes its output after it has saved its run.
        if let Some(mut output) = trainer.output.take() {
            let _ = std::io::copy(&mut output, &mut std::io::sink());
        }
        let status = child.and_then(|mut child| child.wait().ok());
        status.map_or_else(|| "an unknown status".to_owned(), |status| status.to_string())
    }

    fn start(&self, slot: usize) -> Result<Option<BufReader<ChildStderr>>, StudyError> {
        let mut running = self.running();
        let Some(running) = running.as_mut() else { return Ok(None) };
        let mut command = Command::new(&self.worker.program);
        command.args(&self.worker.arguments);
        isolate(&mut command);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let spawned = command.spawn();
        let mut child =
            spawned.map_err(|cause| StudyError::NoWorker { program: self.worker.program.clone(), cause })?;
        let (input, output) = (child.stdin.take(), child.stderr.take());
        let (Some(input), Some(output)) = (input, output) else { unreachable!("both are piped") };
        running.insert(slot, RunningProcess { child, input });
        Ok(Some(BufReader::new(output)))
    }

    /// Sends a request. False if the process has ended, or all were asked to stop.
    fn send(&self, slot: usize, request: &TrainRequest) -> bool {
        let line = serde_json::to_string(request).expect("a request is plain data");
        let mut running = self.running();
        let running = running.as_mut().and_then(|running| running.get_mut(&slot));
        running.is_some_and(|running| writeln!(running.input, "{line}").is_ok())
    }

    fn running(&self) -> MutexGuard<'_, Option<HashMap<usize, RunningProcess>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The experiment file contains every setting, so the environment variables that the study has applied already must
/// not be applied again. The process gets its own process group, so that Ctrl-C reaches only the study.
fn isolate(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("KILN_") && !RESERVED_VARIABLES.contains(&name.as_ref()) {
            command.env_remove(name.as_ref());
        }
    }
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
}

/// The last output of a worker.
#[derive(Debug, Default, PartialEq)]
struct LastOutput {
    /// How it ended; `None` if it was killed.
    end: Option<WorkerEnd>,
    /// The last line that is not a message, such as a panic's.
    last_line: String,
}

/// Reports events until the worker is done with its request, or closes its standard error.
fn read_messages(task: usize, lines: &mut impl BufRead, report: &dyn Fn(StudyEvent)) -> LastOutput {
    let mut last = LastOutput::default();
    let mut bytes = Vec::new();
    while lines.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        bytes.clear();
        match serde_json::from_str::<Message>(&line) {
            Ok(Message::Event(event)) => report(study_event(task, &event)),
            Ok(Message::Ended(end)) => {
                last.end = Some(end);
                break;
            }
            Err(_) => last.last_line = line,
        }
    }
    last
}

fn study_event(task: usize, event: &Event) -> StudyEvent {
    let advanced = |done: f64, epoch: usize, epochs: usize, loss, accuracy| StudyEvent::Advanced {
        task,
        share: if epochs > 0 { (done / epochs as f64).clamp(0.0, 1.0) } else { 0.0 },
        epoch: epoch as u64,
        epochs: epochs as u64,
        loss,
        accuracy,
    };
    match *event {
        Event::Started { epoch, epochs, .. } => advanced(epoch as f64 - 1.0, epoch, epochs, None, None),
        Event::Interval { epoch, epochs, examples_done, examples, loss, accuracy, .. } => {
            let within = if examples > 0 { examples_done as f64 / examples as f64 } else { 0.0 };
            advanced(epoch as f64 - 1.0 + within, epoch, epochs, Some(loss), Some(accuracy))
        }
        Event::Epoch { epoch, epochs, train_loss, train_accuracy, .. } => {
            advanced(epoch as f64, epoch, epochs, Some(train_loss), Some(train_accuracy))
        }
        Event::Stopped { epochs_done: done, .. } => advanced(done as f64, done, done, None, None),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn events_become_shares_of_the_whole_and_other_lines_are_kept() {
        let told = RefCell::new(Vec::new());
        let interval = Event::Interval {
            epoch: 2,
            epochs: 4,
            examples_done: 50,
            examples: 100,
            loss: 1.0,
            accuracy: 0.5,
            lr: 0.1,
            gradient_norm: 1.0,
            examples_per_second: 10.0,
        };
        let epoch = Event::Epoch {
            epoch: 2,
            epochs: 4,
            train_loss: 0.5,
            train_accuracy: 0.5,
            validation_loss: None,
            validation_accuracy: None,
            seconds: 1.0,
            best: true,
        };
        let messages = [
            Message::Event(Event::Started { epoch: 1, epochs: 4, step: 0, examples: 100 }),
            Message::Event(interval),
            Message::Event(epoch),
            Message::Ended(WorkerEnd::Stopped),
        ];
        let lines = messages.iter().map(|message| serde_json::to_string(message).unwrap() + "\n");
        let lines = "flex on CPU\n".to_owned() + &lines.collect::<String>() + "of the next order\n";
        let mut rest = lines.as_bytes();
        let last = read_messages(0, &mut rest, &|event| told.borrow_mut().push(event));
        assert_eq!((last.end, last.last_line.as_str()), (Some(WorkerEnd::Stopped), "flex on CPU"));
        assert_eq!(rest, b"of the next order\n");
        let shares: Vec<f64> = told
            .borrow()
            .iter()
            .map(|event| if let StudyEvent::Advanced { share, .. } = event { *share } else { -1.0 })
            .collect();
        assert_eq!(shares, [0.0, 0.375, 0.5]);
    }
}
