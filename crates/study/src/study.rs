//! A study from its plan to its report.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use kiln_artifacts::replace_file;
use kiln_files::json_text;

use crate::analysis::analysis;
use crate::findings::Findings;
use crate::outcome::Outcome;
use crate::preview::preview;
use crate::search::SearchAgenda;
use crate::stored::read_json;
use crate::work::{Agenda, CANCELLED, Cell, Done, Pool, Results, Task, Tasks, WorkEnd};
use crate::{Plan, Preview, Report, SearchReport, StudyError, View, Worker, report};

/// The file that keeps a study's plan, for workers that were not started by it.
const PLAN_FILE: &str = "plan.json";

/// A plan with the folder that its results land in.
#[derive(Debug)]
pub struct Study {
    plan: Plan,
    folder: PathBuf,
}

/// What came of a study.
#[derive(Debug)]
pub enum StudyReport {
    /// Of trials that its file names.
    Trials(Box<Report>),
    /// Of a search.
    Search(Box<SearchReport>),
}

/// How a worker that was started by hand, or by a scheduler, came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerDone {
    /// The study is finished.
    Finished,
    /// It was asked to stop.
    Stopped,
    /// Someone cancelled the study.
    Cancelled,
}

/// Every trial with every seed, all at once.
pub(crate) struct TrialAgenda<'a> {
    cells: &'a [Cell],
    is_given: bool,
}

/// The work on a study, by its kind.
enum Work<'a> {
    Trials(TrialAgenda<'a>),
    Search(SearchAgenda<'a>),
}

impl Work<'_> {
    fn agenda(&mut self) -> &mut dyn Agenda {
        match self {
            Self::Trials(agenda) => agenda,
            Self::Search(agenda) => agenda,
        }
    }
}

impl<'a> TrialAgenda<'a> {
    pub(crate) fn new(cells: &'a [Cell]) -> Self {
        Self { cells, is_given: false }
    }
}

impl Agenda for TrialAgenda<'_> {
    fn next(&mut self, _: Done<'_>) -> Result<Option<Tasks>, StudyError> {
        if std::mem::replace(&mut self.is_given, true) {
            return Ok(None);
        }
        let task = |cell: &Cell| Task { cell: cell.clone(), until: None };
        Ok(Some(Tasks { stage: None, tasks: self.cells.iter().map(task).collect() }))
    }

    fn rests_on_results(&self) -> bool {
        false
    }
}

impl Study {
    /// The study of this plan below `<artifacts>/studies/`.
    #[must_use]
    pub fn new(plan: Plan, artifacts: &Path) -> Self {
        let folder = artifacts.join("studies").join(&plan.name);
        Self { plan, folder }
    }

    /// The study in `folder`, which another process has begun.
    ///
    /// # Errors
    /// Where there is none, or its plan is damaged.
    pub fn open(folder: &Path) -> Result<Self, StudyError> {
        let path = folder.join(PLAN_FILE);
        let plan: Option<Plan> = read_json(&path)?;
        let plan = plan.ok_or_else(|| StudyError::NoStudy { folder: folder.to_owned() })?;
        plan.check().map_err(|problem| StudyError::damaged(&path, &problem))?;
        Ok(Self { plan, folder: folder.to_owned() })
    }

    /// The study's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it tries.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What it would train.
    #[must_use]
    pub fn preview(&self) -> Preview {
        preview(&self.plan)
    }

    /// Writes the plan where workers find it, and forgets what failed before, so that it is tried again.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn begin(&self) -> Result<(), StudyError> {
        fs::create_dir_all(&self.folder).map_err(|cause| StudyError::io("create", &self.folder, cause))?;
        let _ = fs::remove_file(self.folder.join(CANCELLED));
        let results = Results::in_study(&self.folder)?;
        for id in results.ids()? {
            let failed = results.read(&id)?.filter(|result| result.error.is_some());
            // What a search decided rests on trials that failed by their settings.
            if failed.is_some_and(|result| self.plan.search.is_none() || !result.is_settings_fault) {
                results.remove(&id)?;
            }
        }
        Ok(replace_file(&self.folder.join(PLAN_FILE), &json_text(&self.plan))?)
    }

    /// Asks every worker of the study, wherever it is, to stop with a checkpoint.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn cancel(&self) -> Result<(), StudyError> {
        Ok(replace_file(&self.folder.join(CANCELLED), b"")?)
    }

    /// Trains what is not finished yet, `jobs` tasks at a time (by default as the plan says, or as many as the machine has
    /// cores), each by a `worker` process, and writes the report. `is_stop_asked` is looked at all the time; once it says
    /// yes, all workers stop with a checkpoint.
    ///
    /// # Errors
    /// Where the folder cannot be written, or another process runs the same study. A trial that fails is a
    /// finding.
    pub fn run(
        &self,
        jobs: Option<usize>,
        worker: &Worker,
        is_stop_asked: &dyn Fn() -> bool,
        view: &mut dyn View,
    ) -> Result<StudyReport, StudyError> {
        fs::create_dir_all(&self.folder).map_err(|cause| StudyError::io("create", &self.folder, cause))?;
        let _lock = self.lock()?;
        self.begin()?;
        let cells = self.cells();
        let mut work = self.begun(&cells);
        let end = self.pool(jobs, worker, is_stop_asked).work(work.agenda(), view)?;
        let report = self.report(&work, end != WorkEnd::Over)?;
        self.write(&report)?;
        Ok(report)
    }

    /// Works beside others at what is not finished yet, until nothing is left. Whoever is there at the end writes the report.
    ///
    /// # Errors
    /// As [`Study::run`], but for the other process: there may be any number.
    pub fn work(
        &self,
        jobs: Option<usize>,
        worker: &Worker,
        is_stop_asked: &dyn Fn() -> bool,
        view: &mut dyn View,
    ) -> Result<WorkerDone, StudyError> {
        let cells = self.cells();
        let mut work = self.begun(&cells);
        match self.pool(jobs, worker, is_stop_asked).work(work.agenda(), view)? {
            WorkEnd::Stopped => Ok(WorkerDone::Stopped),
            WorkEnd::Cancelled => Ok(WorkerDone::Cancelled),
            WorkEnd::Over => {
                self.write(&self.report(&work, false)?)?;
                Ok(WorkerDone::Finished)
            }
        }
    }

    fn pool<'a>(
        &'a self,
        jobs: Option<usize>,
        worker: &'a Worker,
        is_stop_asked: &'a dyn Fn() -> bool,
    ) -> Pool<'a> {
        let cores = || thread::available_parallelism().map_or(1, Into::into);
        Pool {
            study: &self.folder,
            lease_time: Duration::from_secs_f64(self.plan.lease),
            jobs: jobs.or(self.plan.jobs).unwrap_or_else(cores),
            worker,
            is_stop_asked,
        }
    }

    /// The work on the study, from its beginning; `cells` are those of its trials.
    fn begun<'a>(&'a self, cells: &'a [Cell]) -> Work<'a> {
        match &self.plan.search {
            Some(search) => Work::Search(SearchAgenda::new(search, &self.folder)),
            None => Work::Trials(TrialAgenda::new(cells)),
        }
    }

    fn report(&self, work: &Work<'_>, was_stopped: bool) -> Result<StudyReport, StudyError> {
        Ok(match work {
            Work::Search(agenda) => {
                let report = SearchReport::of(
                    &self.plan,
                    agenda.search(),
                    agenda.history(),
                    &self.folder,
                    was_stopped,
                );
                StudyReport::Search(Box::new(report))
            }
            Work::Trials(TrialAgenda { cells, .. }) => {
                let results = Results::in_study(&self.folder)?;
                let mut failed = BTreeMap::new();
                for (index, cell) in cells.iter().enumerate() {
                    let result = results.read(&Task { cell: cell.clone(), until: None }.id())?;
                    failed.extend(result.and_then(|result| Some((index, result.error?))));
                }
                let read = |(index, cell): (usize, &Cell)| Outcome::read(cell, failed.get(&index));
                let outcomes: Vec<Outcome> = cells.iter().enumerate().map(read).collect();
                let findings = Findings::of(&self.plan, &outcomes, was_stopped);
                StudyReport::Trials(Box::new(Report { analysis: analysis(&findings), findings }))
            }
        })
    }

    /// Seed by seed: stopped early, the study has all trials of the first seeds.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let (plan, folder) = (&self.plan, &self.folder);
        let of_seed =
            |seed: usize| plan.trials.iter().enumerate().map(move |(trial, found)| (trial, seed, found));
        let all = (0..plan.seeds.len()).flat_map(of_seed);
        all.map(|(trial, seed, found)| Cell::new(trial, &found.experiments[seed], folder)).collect()
    }

    fn write(&self, report: &StudyReport) -> Result<(), StudyError> {
        match (report, &self.plan.search) {
            (StudyReport::Search(report), Some(search)) => report.write(search, &self.folder),
            (StudyReport::Trials(report), _) => report::write(report, &self.folder),
            (StudyReport::Search(_), None) => unreachable!("a plan without a search has no report of one"),
        }
    }

    /// Held until this process ends: two studies at once would each retry what failed for the other.
    fn lock(&self) -> Result<File, StudyError> {
        let path = self.folder.join("lock");
        let open = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let file = open.map_err(|cause| StudyError::io("open", &path, cause))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(StudyError::Busy { folder: self.folder.clone() }),
            Err(TryLockError::Error(cause)) => Err(StudyError::io("lock", &path, cause)),
        }
    }
}
