//! The worker slots of one process, each training one task at a time, the thread that keeps their leases, and the
//! events that they report.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use kiln_config::Monitor;

use crate::StudyError;
use crate::work::lease::{Lease, Leases};
use crate::work::process::{TaskEnd, TrainerProcess, TrainerProcesses, Worker};
use crate::work::queue::{NextStep, TaskQueue};
use crate::work::{Agenda, Task, TaskResult};

/// An event of a running study. `task` is the number of a task, from 0, over all stages.
#[derive(Clone, Debug, PartialEq)]
pub enum StudyEvent {
    /// Work begins, or its next stage begins.
    Planned {
        /// The stage, if there are several.
        stage: Option<String>,
        /// The number of tasks, including those of earlier stages.
        tasks: usize,
        /// How many of them are done.
        finished: usize,
        /// Worker processes at once.
        jobs: usize,
    },
    /// A task was started.
    Started {
        /// The task.
        task: usize,
        /// Its trial and seed, in words.
        name: String,
        /// Whether it resumes a run that was stopped, paused or failed.
        resumed: bool,
    },
    /// A task made progress.
    Advanced {
        /// The task.
        task: usize,
        /// The share of its training that is done, in [0, 1].
        share: f64,
        /// Epoch, from 1.
        epoch: u64,
        /// Epochs in all.
        epochs: u64,
        /// Latest training loss.
        loss: Option<f64>,
        /// Latest training accuracy, in [0, 1].
        accuracy: Option<f64>,
    },
    /// A task ended.
    Ended {
        /// The task.
        task: usize,
        /// Its trial and seed, in words.
        name: String,
        /// How.
        outcome: TaskOutcome,
    },
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskOutcome {
    /// Trained up to its epoch, and not tested.
    Paused {
        /// Epochs trained.
        epochs: u64,
        /// The best validation loss so far; without a validation split, the best training loss.
        loss: Option<f64>,
    },
    /// Trained and tested.
    Finished {
        /// Share of test examples that are classified correctly, in [0, 1].
        test_accuracy: f64,
        /// Seconds of training.
        seconds: f64,
    },
    /// It failed; the others continue.
    Failed {
        /// Why.
        error: String,
    },
    /// Another process did it.
    Elsewhere,
    /// It was asked to stop, and can be resumed.
    Stopped,
}

impl TaskOutcome {
    pub(crate) fn of(result: &TaskResult) -> Self {
        let test_accuracy = result.test.get("accuracy").copied().flatten();
        match (&result.error, test_accuracy) {
            (Some(error), _) => Self::Failed { error: error.clone() },
            (None, Some(test_accuracy)) => Self::Finished { test_accuracy, seconds: result.seconds },
            (None, None) => {
                let losses =
                    [Monitor::ValidationLoss, Monitor::TrainLoss].map(|monitor| result.figure(monitor));
                Self::Paused { epochs: result.epochs, loss: losses[0].or(losses[1]) }
            }
        }
    }
}

/// Receives the events of a running study, for example to show them.
pub trait StudyObserver {
    /// Receives an event.
    fn observe(&mut self, event: &StudyEvent);
}

const BETWEEN_POLLS: Duration = Duration::from_millis(50);
/// How often the cancel file is checked.
const BETWEEN_CANCELS: Duration = Duration::from_secs(1);
/// How long an idle slot waits before it checks again.
const IDLE: Duration = Duration::from_millis(20);
/// How many times the process of a task may die without progress before the task counts as failed.
const MOST_CRASHES: usize = 5;

/// How the work of a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkEnd {
    /// Everything is done.
    Over,
    /// It was asked to stop.
    Stopped,
    /// The study was cancelled.
    Cancelled,
}

/// The worker slots of one process, and what they work on.
pub(crate) struct WorkerPool<'a> {
    /// The study's folder.
    pub(crate) study: &'a Path,
    /// How long a lease lasts without being touched.
    pub(crate) lease_time: Duration,
    /// The number of slots.
    pub(crate) jobs: usize,
    pub(crate) worker: &'a Worker,
    pub(crate) is_stop_asked: &'a dyn Fn() -> bool,
}

/// The file whose presence in a study's folder ends all work on it.
pub(crate) const CANCELLED: &str = "cancelled";

/// The state that all slots share.
struct PoolState<'a> {
    queue: Mutex<TaskQueue<'a>>,
    trainers: TrainerProcesses<'a>,
    leases: Leases,
    /// The leases of this process, by slot.
    held: Mutex<HashMap<usize, Lease>>,
}

impl WorkerPool<'_> {
    /// Works until the agenda is empty, or a stop is requested.
    pub(crate) fn work(
        &self,
        agenda: &mut dyn Agenda,
        observer: &mut dyn StudyObserver,
    ) -> Result<WorkEnd, StudyError> {
        if self.is_cancelled() {
            return Ok(WorkEnd::Cancelled);
        }
        let queue = TaskQueue::new(agenda, self.study, self.lease_time, self.jobs)?;
        let leases = queue.leases();
        let state = PoolState {
            queue: Mutex::new(queue),
            trainers: TrainerProcesses::new(self.worker),
            leases,
            held: Mutex::default(),
        };
        let (sender, receiver) = channel();
        let (mut first_error, mut is_cancelled) = (None, false);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for slot in 0..self.jobs {
                let (sender, state) = (sender.clone(), &state);
                scope.spawn(move || state.run_tasks(slot, &sender));
            }
            drop(sender);
            // In its own thread: the observer may block this one.
            scope.spawn(|| state.keep_touching(&is_over));
            let mut last_check = Instant::now();
            loop {
                match receiver.recv_timeout(BETWEEN_POLLS) {
                    Ok(Ok(event)) => observer.observe(&event),
                    Ok(Err(error)) => {
                        first_error.get_or_insert(error);
                        state.trainers.stop();
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
                if last_check.elapsed() >= BETWEEN_CANCELS {
                    last_check = Instant::now();
                    is_cancelled |= self.is_cancelled();
                }
                if is_cancelled || (self.is_stop_asked)() {
                    state.trainers.stop();
                }
            }
            is_over.store(true, Ordering::Relaxed);
        });
        if let Some(error) = first_error {
            return Err(error);
        }
        let queue = state.queue.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(match (queue.is_over(), is_cancelled) {
            (true, _) => WorkEnd::Over,
            (false, true) => WorkEnd::Cancelled,
            (false, false) => WorkEnd::Stopped,
        })
    }

    fn is_cancelled(&self) -> bool {
        self.study.join(CANCELLED).exists()
    }
}

impl<'a> PoolState<'a> {
    /// Does tasks in one slot, one after the other.
    fn run_tasks(&self, slot: usize, sender: &Sender<Result<StudyEvent, StudyError>>) {
        // Sending fails only after the pool's own thread has ended.
        let report = |event| drop(sender.send(Ok(event)));
        let mut trainer = TrainerProcess::default();
        while !self.trainers.is_stopping() {
            match self.step(slot, &mut trainer, &report) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    drop(sender.send(Err(error)));
                    break;
                }
            }
        }
        self.trainers.close(slot, &mut trainer);
    }

    /// Does the next task, or pauses. False if nothing is left.
    fn step(
        &self,
        slot: usize,
        trainer: &mut TrainerProcess,
        report: &dyn Fn(StudyEvent),
    ) -> Result<bool, StudyError> {
        let next = self.queue().next(report)?;
        match next {
            NextStep::Over => return Ok(false),
            NextStep::Wait => thread::sleep(IDLE),
            NextStep::Task { index, number, task, lease } => {
                self.held().insert(slot, lease);
                let end = self.train(slot, trainer, number, &task, report);
                let lease = self.held().remove(&slot);
                let Some(lease) = lease else { unreachable!("a slot keeps its lease until it is done") };
                match end {
                    Ok(end) => self.finish_task(index, number, &task, lease, end, report)?,
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
        slot: usize,
        trainer: &mut TrainerProcess,
        number: usize,
        task: &Task,
        report: &dyn Fn(StudyEvent),
    ) -> Result<TaskEnd, StudyError> {
        task.trial_run.prepare()?;
        let resumed = task.trial_run.stored_run().is_some();
        report(StudyEvent::Started { task: number, name: task.trial_run.name.clone(), resumed });
        self.trainers.train(slot, trainer, number, task, report)
    }

    fn finish_task(
        &self,
        index: usize,
        number: usize,
        task: &Task,
        lease: Lease,
        end: TaskEnd,
        report: &dyn Fn(StudyEvent),
    ) -> Result<(), StudyError> {
        let given_back = || StudyEvent::Ended {
            task: number,
            name: task.trial_run.name.clone(),
            outcome: TaskOutcome::Stopped,
        };
        let mut queue = self.queue();
        match end {
            TaskEnd::Done(result) if self.leases.holds(&lease) => {
                let done = queue.done(index, &lease, &result, report);
                if done.is_err() {
                    lease.release();
                }
                done
            }
            TaskEnd::Crashed(message) if self.leases.holds(&lease) => {
                let step = task
                    .trial_run
                    .stored_run()
                    .and_then(|(run, _)| Some(run.status().ok()?.step))
                    .unwrap_or(0);
                if queue.crashed(index, step) >= MOST_CRASHES {
                    queue.done(index, &lease, &TaskResult::failed(message, false), report)
                } else {
                    report(given_back());
                    queue.give_back(index, lease);
                    Ok(())
                }
            }
            TaskEnd::Done(_) | TaskEnd::Stopped | TaskEnd::Crashed(_) => {
                report(given_back());
                queue.give_back(index, lease);
                Ok(())
            }
        }
    }

    /// Touches the leases as often as needed, until all is over.
    fn keep_touching(&self, is_over: &AtomicBool) {
        let mut touched = Instant::now();
        while !is_over.load(Ordering::Relaxed) {
            thread::sleep(BETWEEN_POLLS);
            if touched.elapsed() >= self.leases.touch_interval() {
                touched = Instant::now();
                self.touch();
            }
        }
    }

    /// Touches the leases, and kills the process of a task that another worker has taken over.
    fn touch(&self) {
        for (&slot, lease) in self.held().iter() {
            if !self.leases.touch(lease) {
                self.trainers.kill(slot);
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, TaskQueue<'a>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, HashMap<usize, Lease>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
