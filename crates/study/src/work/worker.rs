//! One process that trains one cell.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{ChildStdin, Command, ExitStatus, Stdio};

use kiln::{Event, RunState};
use kiln_config::RESERVED_VARIABLES;

use super::cell::Cell;
use super::leash::Leash;
use super::order::{Message, Order, WorkerEnd};
use crate::{CellEnd, Progress, StudyError};

/// The program that works for a study: it reads an [`Order`] from its standard input, carries it out, stops when that
/// input ends, and writes every [`Message`] as a line to its standard error.
#[derive(Clone, Debug)]
pub struct Worker {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// The program that trains, and how its processes are asked to stop.
pub(crate) struct Workshop<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) leash: &'a Leash,
}

impl Workshop<'_> {
    /// Trains cell number `index` to its end, or goes on where it was stopped. `tell` hears how far it is.
    pub(crate) fn train(
        &self,
        index: usize,
        cell: &Cell,
        tell: &dyn Fn(Progress),
    ) -> Result<CellEnd, StudyError> {
        cell.prepare()?;
        let Some(output) = cell.lock(|| self.leash.is_let_go())? else { return Ok(CellEnd::Stopped) };
        let before = cell.run();
        if let Some((run, RunState::Finished)) = &before {
            return Ok(CellEnd::finished(run));
        }
        tell(Progress::Started { cell: index, name: cell.name.clone(), resumed: before.is_some() });
        let order = Order {
            artifacts: cell.folder.clone(),
            experiment: cell.experiment_toml(),
            resume: before.map(|(run, _)| run.folder().to_owned()),
        };
        let mut command = Command::new(&self.worker.program);
        command.args(&self.worker.arguments);
        settle(&mut command);
        command.stdin(Stdio::piped()).stdout(output).stderr(Stdio::piped());
        let no_worker = |cause| StudyError::NoWorker { program: self.worker.program.clone(), cause };
        let mut child = command.spawn().map_err(no_worker)?;
        // The command keeps its copy of the locked output open.
        drop(command);
        self.leash.hold(index, child.stdin.take().and_then(|input| handed_over(&order, input)));
        let last = child.stderr.take().map(|stderr| listen(index, BufReader::new(stderr), tell));
        let status = child.wait();
        self.leash.drop(index);
        Ok(end(cell, status.map_err(no_worker)?, last.unwrap_or_default()))
    }
}

/// Hands the order over; none where the worker is gone already, which its status will say.
fn handed_over(order: &Order, mut input: ChildStdin) -> Option<ChildStdin> {
    let line = serde_json::to_string(order).expect("an order is plain data");
    writeln!(input, "{line}").ok().map(|()| input)
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

/// Passes progress on until the worker closes its stderr.
fn listen(index: usize, lines: impl BufRead, tell: &dyn Fn(Progress)) -> LastWords {
    let mut last = LastWords::default();
    for line in lines.lines().map_while(Result::ok) {
        match serde_json::from_str::<Message>(&line) {
            Ok(Message::Event(event)) => tell(progress(index, &event)),
            Ok(Message::Ended(end)) => last.end = Some(end),
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

fn end(cell: &Cell, status: ExitStatus, last: LastWords) -> CellEnd {
    let run = cell.run();
    if let Some((run, RunState::Finished)) = &run {
        return CellEnd::finished(run);
    }
    match last.end {
        Some(WorkerEnd::Stopped) => CellEnd::Stopped,
        Some(WorkerEnd::Failed(error)) => CellEnd::Failed { error },
        Some(WorkerEnd::Finished) | None => {
            let noted = run.and_then(|(run, _)| run.status().ok()?.error);
            let talk = if last.talk.is_empty() { String::new() } else { format!(": {}", last.talk) };
            CellEnd::Failed {
                error: noted.unwrap_or_else(|| format!("the worker ended with {status}{talk}")),
            }
        }
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
            Message::Ended(WorkerEnd::Failed("no space".to_owned())),
        ];
        let lines = messages.iter().map(|message| serde_json::to_string(message).unwrap() + "\n");
        let lines = lines.collect::<String>() + "flex on CPU\n";
        let last = listen(0, lines.as_bytes(), &|progress| told.borrow_mut().push(progress));
        assert_eq!(last.end, Some(WorkerEnd::Failed("no space".to_owned())));
        assert_eq!(last.talk, "flex on CPU");
        let shares: Vec<f64> = told
            .borrow()
            .iter()
            .map(|progress| if let Progress::Advanced { share, .. } = progress { *share } else { -1.0 })
            .collect();
        assert_eq!(shares, [0.0, 0.375, 0.5]);
    }
}
