//! One `kiln` process that trains one cell.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

use kiln_artifacts::RunState;
use kiln_config::RESERVED_VARIABLES;
use serde::Deserialize;

use super::cell::Cell;
use super::leash::Leash;
use crate::{CellEnd, Progress, StudyError};

/// The exit code of a run that was asked to stop.
const INTERRUPTED: i32 = 130;

/// The program that trains, and how its processes are asked to stop.
pub(crate) struct Workshop<'a> {
    pub(crate) program: PathBuf,
    pub(crate) leash: &'a Leash,
}

/// What is read of an event line; see `kiln_training::Event`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line {
    event: String,
    epoch: f64,
    epochs: f64,
    examples_done: f64,
    examples: f64,
    loss: Option<f64>,
    accuracy: Option<f64>,
    train_loss: Option<f64>,
    train_accuracy: Option<f64>,
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
        let mut command = Command::new(&self.program);
        match &before {
            Some((run, _)) => command.arg("resume").arg(run.folder()),
            None => command.arg("train").arg(cell.experiment_toml()),
        };
        command.arg("--artifacts").arg(&cell.folder).args([
            "--ui",
            "json",
            "--no-report",
            "--stop-with-stdin",
        ]);
        settle(&mut command);
        command.stdin(Stdio::piped()).stdout(output).stderr(Stdio::piped());
        let mut child =
            command.spawn().map_err(|cause| StudyError::NoWorker { program: self.program.clone(), cause })?;
        // The command keeps its copy of the locked output open.
        drop(command);
        self.leash.hold(index, child.stdin.take());
        let talk = child.stderr.take().map(|stderr| listen(index, BufReader::new(stderr), tell));
        let status = child.wait();
        self.leash.drop(index);
        let status = status.map_err(|cause| StudyError::NoWorker { program: self.program.clone(), cause })?;
        Ok(end(cell, status, &talk.unwrap_or_default()))
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

/// Passes progress on until the worker closes its stderr. Gives the error that it named last, if any: whoever is
/// killed names none, and other talk is no reason.
fn listen(index: usize, lines: impl BufRead, tell: &dyn Fn(Progress)) -> String {
    let mut last = String::new();
    for line in lines.lines().map_while(Result::ok) {
        match serde_json::from_str::<Line>(&line) {
            Ok(line) => tell(line.progress(index)),
            Err(_) if line.starts_with("error: ") => last = line,
            Err(_) => {}
        }
    }
    last
}

impl Line {
    fn progress(&self, cell: usize) -> Progress {
        let whole = if self.event == "epoch" || self.event == "stopped" { 1.0 } else { 0.0 };
        let within = if self.examples > 0.0 { self.examples_done / self.examples } else { whole };
        let done = if self.event == "started" { self.epoch - 1.0 } else { self.epoch - 1.0 + within };
        Progress::Advanced {
            cell,
            share: if self.epochs > 0.0 { (done / self.epochs).clamp(0.0, 1.0) } else { 0.0 },
            epoch: self.epoch as u64,
            epochs: self.epochs as u64,
            loss: self.loss.or(self.train_loss),
            accuracy: self.accuracy.or(self.train_accuracy),
        }
    }
}

fn end(cell: &Cell, status: ExitStatus, last_words: &str) -> CellEnd {
    let run = cell.run();
    if let Some((run, RunState::Finished)) = &run {
        return CellEnd::finished(run);
    }
    if status.code() == Some(INTERRUPTED) {
        return CellEnd::Stopped;
    }
    let noted = run.and_then(|(run, _)| run.status().ok()?.error);
    let said = || last_words.trim_start_matches("error: ").to_owned();
    let error = noted.unwrap_or_else(said);
    CellEnd::Failed {
        error: if error.is_empty() { format!("the worker ended with {status}") } else { error },
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn events_become_shares_of_the_whole_and_talk_is_kept() {
        let told = RefCell::new(Vec::new());
        let lines = "{\"event\":\"started\",\"epoch\":1,\"epochs\":4,\"step\":0,\"examples\":100}\n\
                     {\"event\":\"interval\",\"epoch\":2,\"epochs\":4,\"examples_done\":50,\"examples\":100,\"loss\":1.0}\n\
                     {\"event\":\"epoch\",\"epoch\":2,\"epochs\":4,\"train_loss\":0.5,\"validation_loss\":null}\n\
                     error: no space\nflex on CPU\n";
        let last = listen(0, lines.as_bytes(), &|progress| told.borrow_mut().push(progress));
        assert_eq!(last, "error: no space");
        let shares: Vec<f64> = told
            .borrow()
            .iter()
            .map(|progress| if let Progress::Advanced { share, .. } = progress { *share } else { -1.0 })
            .collect();
        assert_eq!(shares, [0.0, 0.375, 0.5]);
    }
}
