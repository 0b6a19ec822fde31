//! The processes that train: one for each place at which tasks are worked off.
//!
//! A process trains task after task, so that starting it and reading the data costs no trial much. Each reads its orders from
//! its standard input and stops where that ends. It also ends when the process that started it dies, however it dies, so that
//! no trainer is left behind.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kiln::Event;
use kiln_config::RESERVED_VARIABLES;

use super::order::{Message, Order, WorkerEnd};
use super::result::TaskResult;
use super::task::Task;
use crate::{Progress, StudyError};

/// The program that trains for a study: it reads an [`Order`] in each line of its standard input, carries it out, stops when
/// that input ends, and writes every [`Message`] as a line to its standard error.
#[derive(Clone, Debug)]
pub struct Worker {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// All processes, by place; none once they were asked to stop.
#[derive(Debug)]
pub(crate) struct Trainers<'a> {
    worker: &'a Worker,
    running: Mutex<Option<HashMap<usize, Running>>>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    input: ChildStdin,
}

/// One place's process, as the place sees it.
#[derive(Debug, Default)]
pub(crate) struct Trainer {
    /// What it says; none where it was not started yet, or is gone.
    words: Option<BufReader<ChildStderr>>,
    /// The backend that it computes on: a process has one.
    backend: String,
}

/// How the work of a process on a task ended.
#[derive(Debug, PartialEq)]
pub(crate) enum TaskEnd {
    Done(TaskResult),
    Stopped,
    /// The process is gone, and this is all that is known of it.
    Crashed(String),
}

impl<'a> Trainers<'a> {
    pub(crate) fn new(worker: &'a Worker) -> Self {
        Self { worker, running: Mutex::new(Some(HashMap::new())) }
    }

    /// Asks all processes, now and later, to stop with a checkpoint.
    pub(crate) fn stop(&self) {
        // Dropped without the lock: a child that is dropped is not waited for.
        drop(self.running().take());
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.running().is_none()
    }

    /// Ends the process of a place at once: what it does is another's by now.
    pub(crate) fn kill(&self, place: usize) {
        if let Some(running) = self.running().as_mut().and_then(|running| running.get_mut(&place)) {
            // It may have ended by itself.
            let _ = running.child.kill();
        }
    }

    /// Trains `task` at `place` in its process, or in a new one. `tell` hears how far it is; cells are told of as `index`.
    pub(crate) fn train(
        &self,
        place: usize,
        trainer: &mut Trainer,
        index: usize,
        task: &Task,
        tell: &dyn Fn(Progress),
    ) -> Result<TaskEnd, StudyError> {
        let backend = format!("{:?}", task.cell.experiment.backend);
        if trainer.words.is_some() && trainer.backend != backend {
            self.dismiss(place, trainer);
        }
        if trainer.words.is_none() {
            let Some(words) = self.start(place)? else { return Ok(TaskEnd::Stopped) };
            *trainer = Trainer { words: Some(words), backend };
        }
        let order = Order { folder: task.cell.folder.clone(), until: task.until };
        if !self.order(place, &order) && self.is_stopping() {
            self.dismiss(place, trainer);
            return Ok(TaskEnd::Stopped);
        }
        let Some(words) = &mut trainer.words else { unreachable!("it was started") };
        let last = listen(index, words, tell);
        match last.end {
            Some(WorkerEnd::Done(result)) => Ok(TaskEnd::Done(result)),
            Some(WorkerEnd::Stopped) => {
                // It ends after that.
                self.dismiss(place, trainer);
                Ok(TaskEnd::Stopped)
            }
            None => {
                let status = self.dismiss(place, trainer);
                let said = if last.talk.is_empty() { String::new() } else { format!(": {}", last.talk) };
                Ok(if self.is_stopping() {
                    TaskEnd::Stopped
                } else {
                    TaskEnd::Crashed(format!("the worker ended with {status}{said}"))
                })
            }
        }
    }

    /// Waits for the end of a place's process, which has nothing more to do. Gives how it ended.
    pub(crate) fn dismiss(&self, place: usize, trainer: &mut Trainer) -> String {
        let running = self.running().as_mut().and_then(|running| running.remove(&place));
        let child = running.map(|Running { child, input }| {
            drop(input);
            child
        });
        // One that was asked to stop ends its output when it has saved its run.
        if let Some(mut words) = trainer.words.take() {
            let _ = std::io::copy(&mut words, &mut std::io::sink());
        }
        let status = child.and_then(|mut child| child.wait().ok());
        status.map_or_else(|| "an unknown status".to_owned(), |status| status.to_string())
    }

    fn start(&self, place: usize) -> Result<Option<BufReader<ChildStderr>>, StudyError> {
        let mut running = self.running();
        let Some(running) = running.as_mut() else { return Ok(None) };
        let mut command = Command::new(&self.worker.program);
        command.args(&self.worker.arguments);
        settle(&mut command);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let spawned = command.spawn();
        let mut child =
            spawned.map_err(|cause| StudyError::NoWorker { program: self.worker.program.clone(), cause })?;
        let (input, words) = (child.stdin.take(), child.stderr.take());
        let (Some(input), Some(words)) = (input, words) else { unreachable!("both are piped") };
        running.insert(place, Running { child, input });
        Ok(Some(BufReader::new(words)))
    }

    /// Hands an order over. False where the process is gone, or all were asked to stop.
    fn order(&self, place: usize, order: &Order) -> bool {
        let line = serde_json::to_string(order).expect("an order is plain data");
        let mut running = self.running();
        let running = running.as_mut().and_then(|running| running.get_mut(&place));
        running.is_some_and(|running| writeln!(running.input, "{line}").is_ok())
    }

    fn running(&self) -> MutexGuard<'_, Option<HashMap<usize, Running>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker's file says everything: variables that the study itself obeyed must not be obeyed again. It has a
/// process group of its own, so that Ctrl-C reaches the study alone.
fn settle(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("KILN_") && !RESERVED_VARIABLES.contains(&name.as_ref()) {
            command.env_remove(name.as_ref());
        }
    }
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
}

/// What a worker said last.
#[derive(Debug, Default, PartialEq)]
struct LastWords {
    /// How it ended; none where it was killed.
    end: Option<WorkerEnd>,
    /// The last line that was not a message, such as that of a panic.
    talk: String,
}

/// Passes progress on until the worker is done with its order, or closes its stderr.
fn listen(index: usize, lines: &mut impl BufRead, tell: &dyn Fn(Progress)) -> LastWords {
    let mut last = LastWords::default();
    let mut bytes = Vec::new();
    while lines.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        bytes.clear();
        match serde_json::from_str::<Message>(&line) {
            Ok(Message::Event(event)) => tell(progress(index, &event)),
            Ok(Message::Ended(end)) => {
                last.end = Some(end);
                break;
            }
            Err(_) => last.talk = line,
        }
    }
    last
}

fn progress(cell: usize, event: &Event) -> Progress {
    let advanced = |done: f64, epoch: usize, epochs: usize, loss, accuracy| Progress::Advanced {
        cell,
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
    fn events_become_shares_of_the_whole_and_talk_is_kept() {
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
        let last = listen(0, &mut rest, &|progress| told.borrow_mut().push(progress));
        assert_eq!((last.end, last.talk.as_str()), (Some(WorkerEnd::Stopped), "flex on CPU"));
        assert_eq!(rest, b"of the next order\n");
        let shares: Vec<f64> = told
            .borrow()
            .iter()
            .map(|progress| if let Progress::Advanced { share, .. } = progress { *share } else { -1.0 })
            .collect();
        assert_eq!(shares, [0.0, 0.375, 0.5]);
    }
}
