//! The current tasks of a study, and which of them a worker slot of this process does next.
//!
//! Also [`simulate_claims`], which measures how many workers one folder can serve.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use kiln_artifacts::RunState;
use kiln_config::Experiment;
use kiln_config::random::{Purpose, Stream};

use crate::StudyError;
use crate::work::lease::{ClaimResult, Lease, LeaseObservation, Leases};
use crate::work::pool::{StudyEvent, TaskOutcome};
use crate::work::{Agenda, Done, ResultStore, Task, TaskResult, Tasks, TrialRun};

/// The pause between two polls of tasks that other processes do. While nothing is new the pause doubles, up to the
/// longest: a thousand workers that wait for one must not keep a file server busy.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Tasks in a row found to be taken, before the folders are listed as a whole.
const MOST_MISSES: usize = 4;
/// Leases of others that one poll checks for signs of life; the next poll checks the next ones.
const MOST_WATCHED: usize = 16;

/// The current tasks.
pub(crate) struct TaskQueue<'a> {
    depends_on_results: bool,
    agenda: &'a mut dyn Agenda,
    results: ResultStore,
    leases: Leases,
    jobs: usize,
    /// The tasks of the current stage, each once.
    tasks: Vec<QueuedTask>,
    /// The index in `tasks` of each task that the agenda listed: equal tasks share one.
    agenda_order: Vec<usize>,
    /// Indices of the tasks that are not known to be taken.
    open: VecDeque<usize>,
    /// Indices of the tasks that other processes do, with the latest observation of their leases.
    elsewhere: VecDeque<(usize, Option<LeaseObservation>)>,
    /// Tasks in a row found to be taken.
    misses: usize,
    last_poll: Option<Instant>,
    pause: Duration,
    /// The state for random jumps in the list: other processes go through the same list.
    random: u64,
    /// The number of tasks of earlier stages.
    tasks_before: usize,
    /// The number of tasks that are done, in all stages.
    finished: usize,
    is_over: bool,
    /// Whether the agenda failed to decide the next tasks.
    is_broken: bool,
}

struct QueuedTask {
    task: Task,
    id: String,
    is_done: bool,
    crashes: Crashes,
}

/// How often the process of a task died without progress since `step`.
#[derive(Clone, Copy, Debug, Default)]
struct Crashes {
    count: usize,
    step: u64,
}

/// What a worker slot does next.
pub(crate) enum NextStep {
    /// This task, under this lease. `index` is its place in the queue; `number` counts the tasks of all stages.
    Task { index: usize, number: usize, task: Box<Task>, lease: Lease },
    /// Wait until another process makes progress.
    Wait,
    /// Nothing is left.
    Over,
}

impl<'a> TaskQueue<'a> {
    pub(crate) fn new(
        agenda: &'a mut dyn Agenda,
        study: &Path,
        lease_time: Duration,
        jobs: usize,
    ) -> Result<Self, StudyError> {
        Ok(Self {
            depends_on_results: agenda.depends_on_results(),
            agenda,
            results: ResultStore::in_study(study)?,
            leases: Leases::in_study(study, lease_time)?,
            jobs,
            tasks: Vec::new(),
            agenda_order: Vec::new(),
            open: VecDeque::new(),
            elsewhere: VecDeque::new(),
            misses: 0,
            last_poll: None,
            pause: SHORTEST_PAUSE,
            random: RandomState::new().hash_one(study),
            tasks_before: 0,
            finished: 0,
            is_over: false,
            is_broken: false,
        })
    }

    pub(crate) fn leases(&self) -> Leases {
        self.leases.clone()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// What to do next. `report` receives news about tasks of other processes.
    pub(crate) fn next(&mut self, report: &dyn Fn(StudyEvent)) -> Result<NextStep, StudyError> {
        loop {
            if self.is_over || self.is_broken {
                return Ok(NextStep::Over);
            }
            while let Some(index) = self.open.pop_front() {
                if let Some(next) = self.take(index, None, report)? {
                    self.misses = 0;
                    return Ok(next);
                }
                self.skip_ahead(report)?;
            }
            if self.last_poll.is_none_or(|last_poll| last_poll.elapsed() >= self.pause) {
                self.last_poll = Some(Instant::now());
                if let Some(next) = self.poll_others(report)? {
                    self.pause = SHORTEST_PAUSE;
                    return Ok(next);
                }
            }
            if self.tasks.iter().any(|queued| !queued.is_done) {
                return Ok(NextStep::Wait);
            }
            self.advance(report)?;
        }
    }

    /// Jumps to another part of the list after a task that another process has: that process goes through the same
    /// list.
    fn skip_ahead(&mut self, report: &dyn Fn(StudyEvent)) -> Result<(), StudyError> {
        self.misses += 1;
        if self.misses >= MOST_MISSES {
            self.misses = 0;
            self.refresh(report)?;
        }
        if !self.open.is_empty() {
            let mut stream = Stream::new(self.random, Purpose::Sampling, &[]);
            self.random = stream.next_u64();
            self.open.rotate_left(stream.below(self.open.len()));
        }
        Ok(())
    }

    /// Updates which tasks are done or taken, by listing the folders. Returns whether anything changed.
    fn refresh(&mut self, report: &dyn Fn(StudyEvent)) -> Result<bool, StudyError> {
        let (known, leased) = (self.results.ids()?, self.leases.ids()?);
        let before = (self.open.len(), self.elsewhere.len());
        for (index, seen) in std::mem::take(&mut self.elsewhere) {
            if !known.contains(&self.tasks[index].id) || !self.check_done(index, report) {
                self.elsewhere.push_back((index, seen));
            }
        }
        for index in std::mem::take(&mut self.open) {
            let id = &self.tasks[index].id;
            if known.contains(id) && self.check_done(index, report) {
                continue;
            }
            if leased.contains(&self.tasks[index].task.trial_run.address) {
                self.elsewhere.push_back((index, None));
            } else {
                self.open.push_back(index);
            }
        }
        Ok(before != (self.open.len(), self.elsewhere.len()))
    }

    /// Checks the tasks of other processes: one may be done, or free again.
    fn poll_others(&mut self, report: &dyn Fn(StudyEvent)) -> Result<Option<NextStep>, StudyError> {
        let is_new = self.refresh(report)?;
        self.pause = if is_new { SHORTEST_PAUSE } else { (self.pause * 2).min(LONGEST_PAUSE) };
        // Round-robin: a task that is still taken goes to the end.
        for _ in 0..self.elsewhere.len().min(MOST_WATCHED) {
            let Some((index, seen)) = self.elsewhere.pop_front() else { break };
            if let Some(next) = self.take(index, seen.as_ref(), report)? {
                return Ok(Some(next));
            }
        }
        Ok(None)
    }

    /// Takes a task, unless its result is stored or another process holds it.
    fn take(
        &mut self,
        index: usize,
        seen: Option<&LeaseObservation>,
        report: &dyn Fn(StudyEvent),
    ) -> Result<Option<NextStep>, StudyError> {
        if self.check_done(index, report) {
            return Ok(None);
        }
        // The lease is for the trial run: two of its tasks would train the same run.
        match self.leases.claim(&self.tasks[index].task.trial_run.address, seen)? {
            ClaimResult::Held(seen) => {
                self.elsewhere.push_back((index, Some(seen)));
                Ok(None)
            }
            // Another process may have done it between the check and the claim.
            ClaimResult::Acquired(lease) if self.check_done(index, report) => {
                self.leases.finish(&lease);
                Ok(None)
            }
            ClaimResult::Acquired(lease) => {
                let task = Box::new(self.tasks[index].task.clone());
                Ok(Some(NextStep::Task { index, number: self.tasks_before + index, task, lease }))
            }
        }
    }

    /// Whether the result of a task is stored.
    fn check_done(&mut self, index: usize, report: &dyn Fn(StudyEvent)) -> bool {
        let queued = &mut self.tasks[index];
        if !queued.is_done && self.results.has(&queued.id) {
            queued.is_done = true;
            self.finished += 1;
            let name = queued.task.trial_run.name.clone();
            report(StudyEvent::Ended {
                task: self.tasks_before + index,
                name,
                outcome: TaskOutcome::Elsewhere,
            });
        }
        self.tasks[index].is_done
    }

    /// Stores the result of a task that a slot has done.
    pub(crate) fn done(
        &mut self,
        index: usize,
        lease: &Lease,
        result: &TaskResult,
        report: &dyn Fn(StudyEvent),
    ) -> Result<(), StudyError> {
        // Another machine may succeed where this one failed, so such a failure must not decide anything.
        check_usable(self.depends_on_results, &self.tasks[index].task, result)?;
        let queued = &mut self.tasks[index];
        self.results.write(&queued.id, result)?;
        self.leases.finish(lease);
        queued.is_done = true;
        self.finished += 1;
        let name = queued.task.trial_run.name.clone();
        report(StudyEvent::Ended { task: self.tasks_before + index, name, outcome: TaskOutcome::of(result) });
        Ok(())
    }

    /// Takes back a task that a slot did not finish.
    pub(crate) fn give_back(&mut self, index: usize, lease: Lease) {
        if self.leases.holds(&lease) {
            lease.release();
        }
        self.open.push_back(index);
    }

    /// Counts a crash at `step` of a task's run. Returns the number of crashes without progress.
    pub(crate) fn crashed(&mut self, index: usize, step: u64) -> usize {
        let crashes = &mut self.tasks[index].crashes;
        let count = if step > crashes.step { 1 } else { crashes.count + 1 };
        *crashes = Crashes { count, step };
        count
    }

    /// Moves on to the next tasks of the agenda.
    fn advance(&mut self, report: &dyn Fn(StudyEvent)) -> Result<(), StudyError> {
        let Self { agenda, tasks, results, agenda_order, depends_on_results, .. } = self;
        let read = || {
            let of = |&index: &usize| {
                let QueuedTask { task, id, .. } = &tasks[index];
                let result = results.read_again(id)?;
                check_usable(*depends_on_results, task, &result)?;
                Ok(result)
            };
            agenda_order.iter().map(of).collect()
        };
        let next = agenda.next(&read);
        // After an error the agenda cannot be called again: all slots stop.
        self.is_broken = next.is_err();
        let next = next?;
        self.tasks_before += self.tasks.len();
        self.tasks.clear();
        let Some(Tasks { stage, tasks }) = next else {
            self.is_over = true;
            return Ok(());
        };
        let mut indices: HashMap<String, usize> = HashMap::new();
        self.agenda_order.clear();
        for task in tasks {
            let id = task.id();
            let next = self.tasks.len();
            let index = *indices.entry(id.clone()).or_insert(next);
            self.agenda_order.push(index);
            if index == next {
                self.tasks.push(QueuedTask { task, id, is_done: false, crashes: Crashes::default() });
            }
        }
        self.mark_done_tasks()?;
        self.finished += self.tasks.iter().filter(|queued| queued.is_done).count();
        let tasks = self.tasks_before + self.tasks.len();
        report(StudyEvent::Planned { stage, tasks, finished: self.finished, jobs: self.jobs });
        self.open = (0..self.tasks.len()).filter(|&index| !self.tasks[index].is_done).collect();
        Ok(())
    }

    /// Marks the tasks whose results are stored already.
    fn mark_done_tasks(&mut self) -> Result<(), StudyError> {
        let known = self.results.ids()?;
        for queued in &mut self.tasks {
            queued.is_done = known.contains(&queued.id);
            // Earlier versions stored no results, but their runs are there.
            if !queued.is_done
                && queued.task.until.is_none()
                && let Some((run, RunState::Finished)) = queued.task.trial_run.stored_run()
            {
                self.results.write(&queued.id, &TaskResult::of(&run, None, true)?)?;
                queued.is_done = true;
            }
        }
        Ok(())
    }
}

/// An error if later decisions depend on this result, and it is a failure that the settings did not cause.
fn check_usable(depends_on_results: bool, task: &Task, result: &TaskResult) -> Result<(), StudyError> {
    match &result.error {
        Some(error) if depends_on_results && !result.is_settings_fault => {
            Err(StudyError::Trial { name: task.trial_run.name.clone(), error: error.clone() })
        }
        _ => Ok(()),
    }
}

/// The timings of a simulation.
#[derive(Clone, Debug)]
pub struct ClaimTimings {
    /// The number of claims.
    pub claims: usize,
    /// Tasks that more than one worker did; must be 0.
    pub twice: usize,
    /// Time from the first claim to the last result.
    pub elapsed: Duration,
    /// The waiting times of workers for their next task, sorted; the wait at the end is left out.
    pub waits: Vec<Duration>,
}

/// An agenda of fixed tasks.
struct FixedTasks(Vec<Task>);

impl Agenda for FixedTasks {
    fn next(&mut self, _: Done<'_>) -> Result<Option<Tasks>, StudyError> {
        let tasks = std::mem::take(&mut self.0);
        Ok((!tasks.is_empty()).then_some(Tasks { stage: None, tasks }))
    }

    fn depends_on_results(&self) -> bool {
        false
    }
}

/// Lets `workers` threads, each with its own view of the folder `study`, claim `tasks` tasks that only wait for `work`.
pub fn simulate_claims(
    study: &Path,
    workers: usize,
    tasks: usize,
    work: Duration,
) -> Result<ClaimTimings, StudyError> {
    let trial_run = TrialRun::new(0, &Experiment::default(), study);
    let task = |number: usize| {
        let trial_run = TrialRun { address: format!("{number:016x}"), ..trial_run.clone() };
        Task { trial_run, until: Some(1) }
    };
    let done = Mutex::new(vec![0_u32; tasks]);
    let started = Instant::now();
    let worker = || -> Result<Vec<Duration>, StudyError> {
        let mut agenda = FixedTasks((0..tasks).map(task).collect());
        let mut queue = TaskQueue::new(&mut agenda, study, Duration::from_mins(1), 1)?;
        let (mut waits, mut asked) = (Vec::new(), Instant::now());
        loop {
            match queue.next(&|_| {})? {
                NextStep::Over => return Ok(waits),
                NextStep::Wait => thread::sleep(Duration::from_millis(20)),
                NextStep::Task { index, number, lease, .. } => {
                    waits.push(asked.elapsed());
                    done.lock().unwrap_or_else(std::sync::PoisonError::into_inner)[number] += 1;
                    thread::sleep(work);
                    queue.done(index, &lease, &TaskResult::default(), &|_| {})?;
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
    Ok(ClaimTimings { claims: waits.len(), twice, elapsed: started.elapsed(), waits })
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
