//! How many workers one folder bears: claims as they are made, of tasks that only wait.

use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use kiln_config::Experiment;

use super::board::{Board, Next};
use super::cell::Cell;
use super::result::TaskResult;
use super::task::{Agenda, Done, Task, Tasks};
use crate::StudyError;

/// What the claims of a simulation cost.
#[derive(Clone, Debug)]
pub struct ClaimFigures {
    /// Claims.
    pub claims: usize,
    /// Tasks that were worked on by more than one worker; there should be none.
    pub twice: usize,
    /// From the first claim to the last result.
    pub elapsed: Duration,
    /// How long a worker waited for its next task, while there were any; sorted.
    pub waits: Vec<Duration>,
}

/// As many tasks as asked for, once.
struct Waiting(Vec<Task>);

impl Agenda for Waiting {
    fn next(&mut self, _: Done<'_>) -> Result<Option<Tasks>, StudyError> {
        let tasks = std::mem::take(&mut self.0);
        Ok((!tasks.is_empty()).then_some(Tasks { stage: None, tasks }))
    }

    fn rests_on_results(&self) -> bool {
        false
    }
}

/// Lets `workers`, each as a process of its own would, claim `tasks` in the study's folder `study`; a task takes `work`.
///
/// # Errors
/// Where the folder cannot be written.
///
/// # Panics
/// Where the system has no room for so many threads.
pub fn simulate_claims(
    study: &Path,
    workers: usize,
    tasks: usize,
    work: Duration,
) -> Result<ClaimFigures, StudyError> {
    let cell = Cell::new(0, &Experiment::default(), study);
    let task = |number: usize| {
        let cell = Cell { address: format!("{number:016x}"), ..cell.clone() };
        Task { cell, until: Some(1) }
    };
    let done = Mutex::new(vec![0_u32; tasks]);
    let started = Instant::now();
    let worker = || -> Result<Vec<Duration>, StudyError> {
        let mut agenda = Waiting((0..tasks).map(task).collect());
        let mut board = Board::new(&mut agenda, study, Duration::from_mins(1), 1)?;
        let (mut waits, mut asked) = (Vec::new(), Instant::now());
        loop {
            match board.next(&|_| {})? {
                Next::Over => return Ok(waits),
                Next::Wait => thread::sleep(Duration::from_millis(20)),
                Next::Task { entry, number, lease, .. } => {
                    waits.push(asked.elapsed());
                    done.lock().unwrap_or_else(std::sync::PoisonError::into_inner)[number] += 1;
                    thread::sleep(work);
                    board.done(entry, &lease, &TaskResult::default(), &|_| {})?;
                    asked = Instant::now();
                }
            }
        }
    };
    let waits: Result<Vec<Vec<Duration>>, StudyError> = thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut waits: Vec<Duration> = waits?.into_iter().flatten().collect();
    waits.sort_unstable();
    let done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let twice = done.iter().filter(|&&count| count > 1).count();
    Ok(ClaimFigures { claims: waits.len(), twice, elapsed: started.elapsed(), waits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_workers_do_every_task_once() {
        let folder = tempfile::tempdir().unwrap();
        let found = simulate_claims(folder.path(), 32, 200, Duration::from_millis(1)).unwrap();
        assert_eq!((found.claims, found.twice), (200, 0), "{found:?}");
    }
}
