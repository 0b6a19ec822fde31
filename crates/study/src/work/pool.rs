//! The places of one process at which tasks are worked off, and the one thread that looks after them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::board::{Board, Next};
use super::lease::{Lease, Leases};
use super::result::TaskResult;
use super::task::{Agenda, Task};
use super::trainers::{TaskEnd, Trainer, Trainers, Worker};
use crate::{Progress, StudyError, View};

const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
/// How often it is looked whether the study was cancelled.
const BETWEEN_CANCELS: Duration = Duration::from_secs(1);
/// How long a place that has nothing to do waits before it asks again.
const IDLE: Duration = Duration::from_millis(20);
/// How often the process of a task may die without coming further, before the task counts as failed.
const MOST_CRASHES: usize = 5;

/// How the work of a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkEnd {
    /// Everything is done.
    Over,
    /// It was asked to stop before.
    Stopped,
    /// The study was cancelled.
    Cancelled,
}

/// What it takes to work.
pub(crate) struct Pool<'a> {
    /// The study's folder.
    pub(crate) study: &'a Path,
    /// How long a lease lasts.
    pub(crate) lease_time: Duration,
    /// Places.
    pub(crate) jobs: usize,
    pub(crate) worker: &'a Worker,
    pub(crate) is_stop_asked: &'a dyn Fn() -> bool,
}

/// The file in a study's folder whose presence ends all work on it.
pub(crate) const CANCELLED: &str = "cancelled";

/// What the places share.
struct Shared<'a> {
    board: Mutex<Board<'a>>,
    trainers: Trainers<'a>,
    leases: Leases,
    /// The leases of this process, by place.
    held: Mutex<HashMap<usize, Lease>>,
}

impl Pool<'_> {
    /// Works until the agenda is empty, or someone asks to stop.
    pub(crate) fn work(&self, agenda: &mut dyn Agenda, view: &mut dyn View) -> Result<WorkEnd, StudyError> {
        if self.is_cancelled() {
            return Ok(WorkEnd::Cancelled);
        }
        let board = Board::new(agenda, self.study, self.lease_time, self.jobs)?;
        let leases = board.leases();
        let shared = Shared {
            board: Mutex::new(board),
            trainers: Trainers::new(self.worker),
            leases,
            held: Mutex::default(),
        };
        let (sender, receiver) = channel();
        let (mut broken, mut is_cancelled) = (None, false);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for place in 0..self.jobs {
                let (sender, shared) = (sender.clone(), &shared);
                scope.spawn(move || shared.labour(place, &sender));
            }
            drop(sender);
            // In a thread of its own: whoever watches may keep this one waiting.
            scope.spawn(|| shared.keep_touching(&is_over));
            let mut looked = Instant::now();
            loop {
                match receiver.recv_timeout(BETWEEN_LOOKS) {
                    Ok(Ok(progress)) => view.show(&progress),
                    Ok(Err(error)) => {
                        broken.get_or_insert(error);
                        shared.trainers.stop();
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
                if looked.elapsed() >= BETWEEN_CANCELS {
                    looked = Instant::now();
                    is_cancelled |= self.is_cancelled();
                }
                if is_cancelled || (self.is_stop_asked)() {
                    shared.trainers.stop();
                }
            }
            is_over.store(true, Ordering::Relaxed);
        });
        if let Some(error) = broken {
            return Err(error);
        }
        let board = shared.board.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(match (board.is_over(), is_cancelled) {
            (true, _) => WorkEnd::Over,
            (false, true) => WorkEnd::Cancelled,
            (false, false) => WorkEnd::Stopped,
        })
    }

    fn is_cancelled(&self) -> bool {
        self.study.join(CANCELLED).exists()
    }
}

impl<'a> Shared<'a> {
    /// Works off tasks at one place, one after the other.
    fn labour(&self, place: usize, sender: &Sender<Result<Progress, StudyError>>) {
        // Nobody listens any more only when the pool's own thread has ended.
        let tell = |progress| drop(sender.send(Ok(progress)));
        let mut trainer = Trainer::default();
        while !self.trainers.is_stopping() {
            match self.step(place, &mut trainer, &tell) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    drop(sender.send(Err(error)));
                    break;
                }
            }
        }
        self.trainers.dismiss(place, &mut trainer);
    }

    /// The next task, or a pause. False where there is nothing more.
    fn step(&self, place: usize, trainer: &mut Trainer, tell: &dyn Fn(Progress)) -> Result<bool, StudyError> {
        let next = self.board().next(tell)?;
        match next {
            Next::Over => return Ok(false),
            Next::Wait => thread::sleep(IDLE),
            Next::Task { entry, number, task, lease } => {
                self.held().insert(place, lease);
                let end = self.train(place, trainer, number, &task, tell);
                let lease = self.held().remove(&place);
                let Some(lease) = lease else { unreachable!("a place keeps its lease until it is done") };
                match end {
                    Ok(end) => self.settle(entry, number, &task, lease, end, tell)?,
                    Err(error) => {
                        lease.release();
                        return Err(error);
                    }
                }
            }
        }
        Ok(true)
    }

    fn train(
        &self,
        place: usize,
        trainer: &mut Trainer,
        number: usize,
        task: &Task,
        tell: &dyn Fn(Progress),
    ) -> Result<TaskEnd, StudyError> {
        task.cell.prepare()?;
        let resumed = task.cell.run().is_some();
        tell(Progress::Started { cell: number, name: task.cell.name.clone(), resumed });
        self.trainers.train(place, trainer, number, task, tell)
    }

    fn settle(
        &self,
        entry: usize,
        number: usize,
        task: &Task,
        lease: Lease,
        end: TaskEnd,
        tell: &dyn Fn(Progress),
    ) -> Result<(), StudyError> {
        let given_back =
            || Progress::Ended { cell: number, name: task.cell.name.clone(), end: crate::CellEnd::Stopped };
        let mut board = self.board();
        match end {
            TaskEnd::Done(result) if self.leases.holds(&lease) => {
                let done = board.done(entry, &lease, &result, tell);
                if done.is_err() {
                    lease.release();
                }
                done
            }
            TaskEnd::Crashed(words) if self.leases.holds(&lease) => {
                let step = task.cell.run().and_then(|(run, _)| Some(run.status().ok()?.step)).unwrap_or(0);
                if board.crashed(entry, step) >= MOST_CRASHES {
                    board.done(entry, &lease, &TaskResult::failed(words, false), tell)
                } else {
                    tell(given_back());
                    board.give_back(entry, lease);
                    Ok(())
                }
            }
            TaskEnd::Done(_) | TaskEnd::Stopped | TaskEnd::Crashed(_) => {
                tell(given_back());
                board.give_back(entry, lease);
                Ok(())
            }
        }
    }

    /// Touches the leases as often as they need it, until all is over.
    fn keep_touching(&self, is_over: &AtomicBool) {
        let mut touched = Instant::now();
        while !is_over.load(Ordering::Relaxed) {
            thread::sleep(BETWEEN_LOOKS);
            if touched.elapsed() >= self.leases.beat() {
                touched = Instant::now();
                self.touch();
            }
        }
    }

    /// Touches the leases, and ends what was taken over by others.
    fn touch(&self) {
        for (&place, lease) in self.held().iter() {
            if !self.leases.touch(lease) {
                self.trainers.kill(place);
            }
        }
    }

    fn board(&self) -> MutexGuard<'_, Board<'a>> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, HashMap<usize, Lease>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
