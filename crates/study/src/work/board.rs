//! The tasks of the moment, and which of them is done next at a place of this process.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::time::{Duration, Instant};

use super::lease::{Claim, Lease, Leases, Seen};
use super::result::{Results, TaskResult};
use super::task::{Agenda, Task, Tasks};
use crate::{CellEnd, Progress, StudyError};

/// How often it is looked after tasks that other processes have.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// The tasks of the moment.
pub(crate) struct Board<'a> {
    agenda: &'a mut dyn Agenda,
    results: Results,
    leases: Leases,
    jobs: usize,
    entries: Vec<Entry>,
    /// The entry of each task: tasks that are the same are one.
    of_task: Vec<usize>,
    /// Entries that nobody is known to have.
    open: VecDeque<usize>,
    /// Entries that other processes have, with what was seen of them.
    elsewhere: VecDeque<(usize, Seen)>,
    looked: Option<Instant>,
    /// Entries of earlier stages.
    before: usize,
    /// Of all entries so far.
    finished: usize,
    is_over: bool,
}

struct Entry {
    task: Task,
    id: String,
    result: Option<TaskResult>,
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
            agenda,
            results: Results::in_study(study)?,
            leases: Leases::in_study(study, lease_time)?,
            jobs,
            entries: Vec::new(),
            of_task: Vec::new(),
            open: VecDeque::new(),
            elsewhere: VecDeque::new(),
            looked: None,
            before: 0,
            finished: 0,
            is_over: false,
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
            if self.is_over {
                return Ok(Next::Over);
            }
            while let Some(entry) = self.open.pop_front() {
                if let Some(next) = self.take(entry, None, tell)? {
                    return Ok(next);
                }
                // Whoever took it goes through the same list: to begin elsewhere in it keeps out of its way.
                let ahead = self.open.len() / 2;
                self.open.rotate_left(ahead);
            }
            let is_due = self.looked.is_none_or(|looked| looked.elapsed() >= BETWEEN_LOOKS);
            if is_due {
                self.looked = Some(Instant::now());
                for _ in 0..self.elsewhere.len() {
                    let Some((entry, seen)) = self.elsewhere.pop_front() else { break };
                    if let Some(next) = self.take(entry, Some(&seen), tell)? {
                        return Ok(next);
                    }
                }
            }
            if self.entries.iter().any(|entry| entry.result.is_none()) {
                return Ok(Next::Wait);
            }
            self.advance(tell)?;
        }
    }

    /// Takes an entry, if neither its result is there nor another process has it.
    fn take(
        &mut self,
        entry: usize,
        seen: Option<&Seen>,
        tell: &dyn Fn(Progress),
    ) -> Result<Option<Next>, StudyError> {
        let id = self.entries[entry].id.clone();
        if self.look(entry, tell)? {
            return Ok(None);
        }
        match self.leases.claim(&id, seen)? {
            Claim::Taken(seen) => {
                self.elsewhere.push_back((entry, seen));
                Ok(None)
            }
            // It may have been done between the two looks.
            Claim::Mine(lease) if self.look(entry, tell)? => {
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
    fn look(&mut self, entry: usize, tell: &dyn Fn(Progress)) -> Result<bool, StudyError> {
        if self.entries[entry].result.is_none() && self.results.has(&self.entries[entry].id) {
            let result = self.results.read(&self.entries[entry].id)?;
            if let Some(result) = result {
                self.note(entry, result, tell)?;
            }
        }
        Ok(self.entries[entry].result.is_some())
    }

    fn note(&mut self, entry: usize, result: TaskResult, tell: &dyn Fn(Progress)) -> Result<(), StudyError> {
        let name = self.entries[entry].task.cell.name.clone();
        if let Some(error) = result.error.clone()
            && self.agenda.rests_on_results()
            && !result.is_settings_fault
        {
            return Err(StudyError::Trial { name, error });
        }
        self.finished += 1;
        tell(Progress::Ended { cell: self.before + entry, name, end: CellEnd::of(&result) });
        self.entries[entry].result = Some(result);
        Ok(())
    }

    /// Notes that a place is done with an entry.
    pub(crate) fn done(
        &mut self,
        entry: usize,
        lease: &Lease,
        result: TaskResult,
        tell: &dyn Fn(Progress),
    ) -> Result<(), StudyError> {
        self.results.write(&self.entries[entry].id, &result)?;
        self.leases.finish(lease);
        self.note(entry, result, tell)
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
        let done: Vec<TaskResult> =
            self.of_task.iter().filter_map(|&entry| self.entries[entry].result.clone()).collect();
        self.before += self.entries.len();
        self.entries.clear();
        let Some(Tasks { stage, tasks }) = self.agenda.next(&done)? else {
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
                self.entries.push(Entry { task, id, result: None, crashes: Crashes::default() });
            }
        }
        self.read_results()?;
        self.finished += self.entries.iter().filter(|entry| entry.result.is_some()).count();
        let cells = self.before + self.entries.len();
        tell(Progress::Planned { stage, cells, finished: self.finished, jobs: self.jobs });
        self.open = (0..self.entries.len()).filter(|&entry| self.entries[entry].result.is_none()).collect();
        Ok(())
    }

    /// Reads the results that are there already.
    fn read_results(&mut self) -> Result<(), StudyError> {
        let known = self.results.ids()?;
        let rests_on_results = self.agenda.rests_on_results();
        for entry in &mut self.entries {
            let is_known = known.contains(&entry.id);
            // A study of an earlier version kept no results, but its runs are there.
            if !is_known && entry.task.until.is_none() && entry.task.cell.is_finished() {
                let run = entry.task.cell.run().map(|(run, _)| run);
                entry.result = run.map(|run| TaskResult::of(&run, None, true));
                if let Some(result) = &entry.result {
                    self.results.write(&entry.id, result)?;
                }
            } else if is_known {
                entry.result = self.results.read(&entry.id)?;
            }
            let error = entry.result.as_ref().filter(|result| !result.is_settings_fault);
            if let Some(error) = error.and_then(|result| result.error.clone())
                && rests_on_results
            {
                return Err(StudyError::Trial { name: entry.task.cell.name.clone(), error });
            }
        }
        Ok(())
    }
}
