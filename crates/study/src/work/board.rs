//! The tasks of the moment, and which of them is done next at a place of this process.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::time::{Duration, Instant};

use kiln_artifacts::RunState;
use kiln_config::random::{Purpose, Stream};

use super::lease::{Claim, Lease, Leases, Seen};
use super::result::{Results, TaskResult};
use super::task::{Agenda, Task, Tasks};
use crate::{CellEnd, Progress, StudyError};

/// How soon it is looked after tasks that other processes have. While nothing new is seen, the pause doubles, up to the longest:
/// a thousand workers that wait for one must not keep a file server busy.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Tasks in a row that others were found to have, before the folders are listed as a whole.
const MOST_MISSES: usize = 4;
/// Leases of others that are looked at for signs of life at a time, in turn.
const MOST_WATCHED: usize = 16;

/// The tasks of the moment.
pub(crate) struct Board<'a> {
    rests_on_results: bool,
    agenda: &'a mut dyn Agenda,
    results: Results,
    leases: Leases,
    jobs: usize,
    entries: Vec<Entry>,
    /// The entry of each task: tasks that are the same are one.
    of_task: Vec<usize>,
    /// Entries that nobody is known to have.
    open: VecDeque<usize>,
    /// Entries that other processes have, with what was seen of their leases.
    elsewhere: VecDeque<(usize, Option<Seen>)>,
    /// Tasks in a row that others were found to have.
    misses: usize,
    looked: Option<Instant>,
    pause: Duration,
    /// Where to go on in the list, where others go through it too.
    random: u64,
    /// Entries of earlier stages.
    before: usize,
    /// Of all entries so far.
    finished: usize,
    is_over: bool,
    /// Whether the agenda could not say what is next.
    is_broken: bool,
}

struct Entry {
    task: Task,
    id: String,
    is_done: bool,
    crashes: Crashes,
}

/// How often the process that trains a task died without having come further.
#[derive(Clone, Copy, Debug, Default)]
struct Crashes {
    count: usize,
    step: u64,
}

/// What a place does next.
pub(crate) enum Next {
    /// This task, under this lease. The number counts all tasks of all stages.
    Task { entry: usize, number: usize, task: Box<Task>, lease: Lease },
    /// Nothing, until someone else comes further.
    Wait,
    /// Nothing more.
    Over,
}

impl<'a> Board<'a> {
    pub(crate) fn new(
        agenda: &'a mut dyn Agenda,
        study: &Path,
        lease_time: Duration,
        jobs: usize,
    ) -> Result<Self, StudyError> {
        Ok(Self {
            rests_on_results: agenda.rests_on_results(),
            agenda,
            results: Results::in_study(study)?,
            leases: Leases::in_study(study, lease_time)?,
            jobs,
            entries: Vec::new(),
            of_task: Vec::new(),
            open: VecDeque::new(),
            elsewhere: VecDeque::new(),
            misses: 0,
            looked: None,
            pause: SHORTEST_PAUSE,
            random: RandomState::new().hash_one(study),
            before: 0,
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

    /// What to do next; `tell` hears what became known on the way.
    pub(crate) fn next(&mut self, tell: &dyn Fn(Progress)) -> Result<Next, StudyError> {
        loop {
            if self.is_over || self.is_broken {
                return Ok(Next::Over);
            }
            while let Some(entry) = self.open.pop_front() {
                if let Some(next) = self.take(entry, None, tell)? {
                    self.misses = 0;
                    return Ok(next);
                }
                self.missed(tell)?;
            }
            if self.looked.is_none_or(|looked| looked.elapsed() >= self.pause) {
                self.looked = Some(Instant::now());
                if let Some(next) = self.look_around(tell)? {
                    self.pause = SHORTEST_PAUSE;
                    return Ok(next);
                }
            }
            if self.entries.iter().any(|entry| !entry.is_done) {
                return Ok(Next::Wait);
            }
            self.advance(tell)?;
        }
    }

    /// Goes on elsewhere in the list after a task that another process has: that one goes through the same list.
    fn missed(&mut self, tell: &dyn Fn(Progress)) -> Result<(), StudyError> {
        self.misses += 1;
        if self.misses >= MOST_MISSES {
            self.misses = 0;
            self.list(tell)?;
        }
        if !self.open.is_empty() {
            let mut stream = Stream::new(self.random, Purpose::Sampling, &[]);
            self.random = stream.next_u64();
            self.open.rotate_left(stream.below(self.open.len()));
        }
        Ok(())
    }

    /// Sees which of the open tasks are done or taken by now, from the folders as a whole. Gives whether anything was new.
    fn list(&mut self, tell: &dyn Fn(Progress)) -> Result<bool, StudyError> {
        let (known, leased) = (self.results.ids()?, self.leases.ids()?);
        let before = (self.open.len(), self.elsewhere.len());
        for (entry, seen) in std::mem::take(&mut self.elsewhere) {
            if !known.contains(&self.entries[entry].id) || !self.look(entry, tell) {
                self.elsewhere.push_back((entry, seen));
            }
        }
        for entry in std::mem::take(&mut self.open) {
            let id = &self.entries[entry].id;
            if known.contains(id) && self.look(entry, tell) {
                continue;
            }
            if leased.contains(&self.entries[entry].task.cell.address) {
                self.elsewhere.push_back((entry, None));
            } else {
                self.open.push_back(entry);
            }
        }
        Ok(before != (self.open.len(), self.elsewhere.len()))
    }

    /// Looks after what other processes have: whether it is done, or free again.
    fn look_around(&mut self, tell: &dyn Fn(Progress)) -> Result<Option<Next>, StudyError> {
        let is_new = self.list(tell)?;
        self.pause = if is_new { SHORTEST_PAUSE } else { (self.pause * 2).min(LONGEST_PAUSE) };
        // In turn: what is still taken goes to the end.
        for _ in 0..self.elsewhere.len().min(MOST_WATCHED) {
            let Some((entry, seen)) = self.elsewhere.pop_front() else { break };
            if let Some(next) = self.take(entry, seen.as_ref(), tell)? {
                return Ok(Some(next));
            }
        }
        Ok(None)
    }

    /// Takes an entry, if neither its result is there nor another process has it.
    fn take(
        &mut self,
        entry: usize,
        seen: Option<&Seen>,
        tell: &dyn Fn(Progress),
    ) -> Result<Option<Next>, StudyError> {
        if self.look(entry, tell) {
            return Ok(None);
        }
        // Two tasks of one cell train the same run.
        match self.leases.claim(&self.entries[entry].task.cell.address, seen)? {
            Claim::Taken(seen) => {
                self.elsewhere.push_back((entry, Some(seen)));
                Ok(None)
            }
            // It may have been done between the two looks.
            Claim::Mine(lease) if self.look(entry, tell) => {
                self.leases.finish(&lease);
                Ok(None)
            }
            Claim::Mine(lease) => {
                let task = Box::new(self.entries[entry].task.clone());
                Ok(Some(Next::Task { entry, number: self.before + entry, task, lease }))
            }
        }
    }

    /// Whether the result of an entry is there.
    fn look(&mut self, entry: usize, tell: &dyn Fn(Progress)) -> bool {
        let found = &mut self.entries[entry];
        if !found.is_done && self.results.has(&found.id) {
            found.is_done = true;
            self.finished += 1;
            let name = found.task.cell.name.clone();
            tell(Progress::Ended { cell: self.before + entry, name, end: CellEnd::Elsewhere });
        }
        self.entries[entry].is_done
    }

    /// Notes that a place is done with an entry.
    pub(crate) fn done(
        &mut self,
        entry: usize,
        lease: &Lease,
        result: &TaskResult,
        tell: &dyn Fn(Progress),
    ) -> Result<(), StudyError> {
        // What a machine could not do, another may: nothing is decided by it.
        check(self.rests_on_results, &self.entries[entry].task, result)?;
        let found = &mut self.entries[entry];
        self.results.write(&found.id, result)?;
        self.leases.finish(lease);
        found.is_done = true;
        self.finished += 1;
        let name = found.task.cell.name.clone();
        tell(Progress::Ended { cell: self.before + entry, name, end: CellEnd::of(result) });
        Ok(())
    }

    /// Notes that a place gives an entry back that is not done.
    pub(crate) fn give_back(&mut self, entry: usize, lease: Lease) {
        if self.leases.holds(&lease) {
            lease.release();
        }
        self.open.push_back(entry);
    }

    /// Counts a crash at `step` of an entry's run. Gives how many there were without a step forward.
    pub(crate) fn crashed(&mut self, entry: usize, step: u64) -> usize {
        let crashes = &mut self.entries[entry].crashes;
        let count = if step > crashes.step { 1 } else { crashes.count + 1 };
        *crashes = Crashes { count, step };
        count
    }

    /// Goes on to the next tasks.
    fn advance(&mut self, tell: &dyn Fn(Progress)) -> Result<(), StudyError> {
        let Self { agenda, entries, results, of_task, rests_on_results, .. } = self;
        let read = || {
            let of = |&entry: &usize| {
                let Entry { task, id, .. } = &entries[entry];
                let result = results.read_again(id)?;
                check(*rests_on_results, task, &result)?;
                Ok(result)
            };
            of_task.iter().map(of).collect()
        };
        let next = agenda.next(&read);
        // After a mistake it cannot be asked again: other places leave too.
        self.is_broken = next.is_err();
        let next = next?;
        self.before += self.entries.len();
        self.entries.clear();
        let Some(Tasks { stage, tasks }) = next else {
            self.is_over = true;
            return Ok(());
        };
        let mut numbers: HashMap<String, usize> = HashMap::new();
        self.of_task.clear();
        for task in tasks {
            let id = task.id();
            let next = self.entries.len();
            let entry = *numbers.entry(id.clone()).or_insert(next);
            self.of_task.push(entry);
            if entry == next {
                self.entries.push(Entry { task, id, is_done: false, crashes: Crashes::default() });
            }
        }
        self.see_results()?;
        self.finished += self.entries.iter().filter(|entry| entry.is_done).count();
        let cells = self.before + self.entries.len();
        tell(Progress::Planned { stage, cells, finished: self.finished, jobs: self.jobs });
        self.open = (0..self.entries.len()).filter(|&entry| !self.entries[entry].is_done).collect();
        Ok(())
    }

    /// Sees which results are there already.
    fn see_results(&mut self) -> Result<(), StudyError> {
        let known = self.results.ids()?;
        for entry in &mut self.entries {
            entry.is_done = known.contains(&entry.id);
            // A study of an earlier version kept no results, but its runs are there.
            if !entry.is_done
                && entry.task.until.is_none()
                && let Some((run, RunState::Finished)) = entry.task.cell.run()
            {
                self.results.write(&entry.id, &TaskResult::of(&run, None, true)?)?;
                entry.is_done = true;
            }
        }
        Ok(())
    }
}

/// Refuses a failure on which nothing can be built.
fn check(rests_on_results: bool, task: &Task, result: &TaskResult) -> Result<(), StudyError> {
    match &result.error {
        Some(error) if rests_on_results && !result.is_settings_fault => {
            Err(StudyError::Trial { name: task.cell.name.clone(), error: error.clone() })
        }
        _ => Ok(()),
    }
}
