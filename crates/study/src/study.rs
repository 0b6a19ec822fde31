//! The life of a study: its plan and its folder, the work on it, its status while it runs, and its report at the end.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, thread};

use kiln_artifacts::replace_file;
use kiln_files::json_text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::analysis::analysis;
use crate::outcome::TrialOutcome;
use crate::plan::{Plan, Preview};
use crate::report::TrialsReport;
use crate::results::StudyResults;
use crate::search::{BestTrial, SearchAgenda, SearchReport};
use crate::work::{
    Agenda, CANCELLED, Done, Leases, ResultStore, StudyObserver, Task, TaskResult, Tasks, TrialRun, WorkEnd,
    Worker, WorkerPool, lock,
};
use crate::{StudyError, read_json, report};

/// The file with the study's plan. Workers that a scheduler or another host started read it.
const PLAN_FILE: &str = "plan.json";

/// A plan, and the folder for its results.
#[derive(Debug)]
pub struct Study {
    plan: Plan,
    folder: PathBuf,
}

/// The result of a study.
#[derive(Debug)]
pub enum StudyReport {
    /// Of the trials that the study file lists.
    Trials(Box<TrialsReport>),
    /// Of a search.
    Search(Box<SearchReport>),
}

/// How the work of [`Study::work`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerDone {
    /// The study is finished.
    Finished,
    /// It was asked to stop.
    Stopped,
    /// The study was cancelled.
    Cancelled,
}

/// The agenda of listed trials: every trial with every seed, all at once.
struct TrialAgenda<'a> {
    trial_runs: &'a [TrialRun],
    is_given: bool,
}

/// The agenda of a study, by the kind of study.
enum StudyWork<'a> {
    Trials(TrialAgenda<'a>),
    Search(SearchAgenda<'a>),
}

impl StudyWork<'_> {
    fn agenda(&mut self) -> &mut dyn Agenda {
        match self {
            Self::Trials(agenda) => agenda,
            Self::Search(agenda) => agenda,
        }
    }
}

impl<'a> TrialAgenda<'a> {
    fn new(trial_runs: &'a [TrialRun]) -> Self {
        Self { trial_runs, is_given: false }
    }
}

impl Agenda for TrialAgenda<'_> {
    fn next(&mut self, _: Done<'_>) -> Result<Option<Tasks>, StudyError> {
        if std::mem::replace(&mut self.is_given, true) {
            return Ok(None);
        }
        let task = |trial_run: &TrialRun| Task { trial_run: trial_run.clone(), until: None };
        Ok(Some(Tasks { stage: None, tasks: self.trial_runs.iter().map(task).collect() }))
    }

    fn depends_on_results(&self) -> bool {
        false
    }
}

impl Study {
    /// The study of this plan in `<artifacts>/studies/<name>`.
    #[must_use]
    pub fn new(plan: Plan, artifacts: &Path) -> Self {
        let folder = artifacts.join("studies").join(&plan.name);
        Self { plan, folder }
    }

    /// Opens a study that another process has begun. An error if `folder` has no plan, or the plan is damaged.
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

    /// The study's plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Shows what the study would train, without training anything.
    #[must_use]
    pub fn preview(&self) -> Preview {
        self.plan.preview()
    }

    /// Writes the plan for the workers, and deletes the results of failed trainings, so that they are tried again.
    pub fn begin(&self) -> Result<(), StudyError> {
        fs::create_dir_all(&self.folder).map_err(|cause| StudyError::io("create", &self.folder, cause))?;
        let _ = fs::remove_file(self.folder.join(CANCELLED));
        let results = ResultStore::in_study(&self.folder)?;
        for id in results.ids()? {
            let failed = results.read(&id)?.filter(|result| result.error.is_some());
            // A search keeps trials that failed because of their settings: its later decisions depend on them.
            if failed.is_some_and(|result| self.plan.search.is_none() || !result.is_settings_fault) {
                results.remove(&id)?;
            }
        }
        Ok(replace_file(&self.folder.join(PLAN_FILE), &json_text(&self.plan))?)
    }

    /// Asks every worker of the study, on every host, to save a checkpoint and stop.
    pub fn cancel(&self) -> Result<(), StudyError> {
        Ok(replace_file(&self.folder.join(CANCELLED), b"")?)
    }

    /// Trains everything that is not finished, and writes the report. `jobs` worker processes train at a time; by
    /// default the plan's number, or one for each core of the machine. When `is_stop_asked` returns true, all workers
    /// save a checkpoint and stop.
    ///
    /// # Errors
    /// The folder cannot be written, or another process runs the same study. A trial that fails is a result, not an
    /// error.
    pub fn run(
        &self,
        jobs: Option<usize>,
        worker: &Worker,
        is_stop_asked: &dyn Fn() -> bool,
        observer: &mut dyn StudyObserver,
    ) -> Result<StudyReport, StudyError> {
        fs::create_dir_all(&self.folder).map_err(|cause| StudyError::io("create", &self.folder, cause))?;
        let _lock = self.lock()?;
        self.begin()?;
        let trial_runs = self.trial_runs();
        let mut work = self.agenda(&trial_runs);
        let end = self.pool(jobs, worker, is_stop_asked).work(work.agenda(), observer)?;
        let report = self.report(&work, end != WorkEnd::Over)?;
        self.write(&report)?;
        Ok(report)
    }

    /// Joins the other workers of the study until nothing is left. Every worker that is there at the end writes the
    /// report. Unlike [`Study::run`], it may run in any number of processes at once.
    pub fn work(
        &self,
        jobs: Option<usize>,
        worker: &Worker,
        is_stop_asked: &dyn Fn() -> bool,
        observer: &mut dyn StudyObserver,
    ) -> Result<WorkerDone, StudyError> {
        let trial_runs = self.trial_runs();
        let mut work = self.agenda(&trial_runs);
        match self.pool(jobs, worker, is_stop_asked).work(work.agenda(), observer)? {
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
    ) -> WorkerPool<'a> {
        let cores = || thread::available_parallelism().map_or(1, Into::into);
        WorkerPool {
            study: &self.folder,
            lease_time: Duration::from_secs_f64(self.plan.lease),
            jobs: jobs.or(self.plan.jobs).unwrap_or_else(cores),
            worker,
            is_stop_asked,
        }
    }

    /// The agenda from its beginning.
    fn agenda<'a>(&'a self, trial_runs: &'a [TrialRun]) -> StudyWork<'a> {
        match &self.plan.search {
            Some(search) => StudyWork::Search(SearchAgenda::new(search, &self.folder)),
            None => StudyWork::Trials(TrialAgenda::new(trial_runs)),
        }
    }

    fn report(&self, work: &StudyWork<'_>, was_stopped: bool) -> Result<StudyReport, StudyError> {
        Ok(match work {
            StudyWork::Search(agenda) => {
                let (search, history) = (agenda.search(), agenda.history());
                let report = SearchReport::of(&self.plan, search, history, &self.folder, was_stopped);
                StudyReport::Search(Box::new(report))
            }
            StudyWork::Trials(TrialAgenda { trial_runs, .. }) => {
                let results = ResultStore::in_study(&self.folder)?;
                let mut failed = BTreeMap::new();
                for (index, trial_run) in trial_runs.iter().enumerate() {
                    let result = results.read(&Task { trial_run: trial_run.clone(), until: None }.id())?;
                    failed.extend(result.and_then(|result| Some((index, result.error?))));
                }
                let read = |(index, trial_run): (usize, &TrialRun)| {
                    TrialOutcome::read(trial_run, failed.get(&index))
                };
                let outcomes: Vec<TrialOutcome> = trial_runs.iter().enumerate().map(read).collect();
                let results = StudyResults::of(&self.plan, &outcomes, was_stopped);
                StudyReport::Trials(Box::new(TrialsReport { analysis: analysis(&results), results }))
            }
        })
    }

    /// All trial runs, seed by seed: a study that is stopped early has every trial with the first seeds.
    fn trial_runs(&self) -> Vec<TrialRun> {
        let (plan, folder) = (&self.plan, &self.folder);
        let of_seed =
            |seed: usize| plan.trials.iter().enumerate().map(move |(trial, found)| (trial, seed, found));
        let all = (0..plan.seeds.len()).flat_map(of_seed);
        all.map(|(trial, seed, found)| TrialRun::new(trial, &found.experiments[seed], folder)).collect()
    }

    fn write(&self, report: &StudyReport) -> Result<(), StudyError> {
        match (report, &self.plan.search) {
            (StudyReport::Search(report), Some(search)) => report.write(search, &self.folder),
            (StudyReport::Trials(report), _) => report::write(report, &self.folder),
            (StudyReport::Search(_), None) => unreachable!("a plan without a search has no report of one"),
        }
    }

    /// Locks the study until this process ends: two studies at once would each retry the other's failed trainings.
    fn lock(&self) -> Result<File, StudyError> {
        lock(&self.folder, || true)?.ok_or_else(|| StudyError::Busy { folder: self.folder.clone() })
    }
}

/// The file that lists the scheduler jobs of a study.
const SUBMISSIONS: &str = "submissions.json";

/// The progress of a study, read from its folder.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct StudyStatus {
    /// The study's name.
    pub study: String,
    /// Its folder.
    pub folder: PathBuf,
    /// The current stage, if there are several.
    pub stage: Option<String>,
    /// Trainings that are known so far to be needed.
    pub tasks: usize,
    /// Trainings that are done, failed ones included.
    pub done: usize,
    /// Trainings that failed.
    pub failed: usize,
    /// Trainings that workers are doing now.
    pub running: Vec<RunningTask>,
    /// Whether everything is done.
    pub is_finished: bool,
    /// Whether the study was cancelled.
    pub is_cancelled: bool,
    /// The best trial so far, in a search.
    pub best: Option<BestTrial>,
    /// Scheduler jobs that were submitted for the study.
    pub jobs: Vec<Submission>,
}

/// A training that a worker is doing now.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct RunningTask {
    /// The trial and its seed.
    pub name: String,
    /// The worker's host.
    pub host: String,
    /// The worker's process id on that host.
    pub process: u32,
    /// Epochs trained so far, by the run's status.
    pub epoch: u64,
    /// The epoch at which this training pauses or ends.
    pub epochs: u64,
}

/// A job array of workers that was submitted to a scheduler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Submission {
    /// The scheduler.
    pub engine: String,
    /// The scheduler's job id.
    pub job: String,
}

impl Study {
    /// Reads the progress of the study from its folder. Nothing is decided or changed.
    pub fn status(&self) -> Result<StudyStatus, StudyError> {
        let (folder, plan) = (self.folder(), self.plan());
        let results = ResultStore::of_study(folder);
        let mut progress = AgendaProgress::default();
        let best = if let Some(search) = &plan.search {
            let mut agenda = SearchAgenda::new(search, folder).read_only();
            progress.follow(&mut agenda, &results)?;
            agenda.best()
        } else {
            progress.follow(&mut TrialAgenda::new(&self.trial_runs()), &results)?;
            None
        };
        let leases = Leases::of_study(folder, Duration::from_secs_f64(plan.lease));
        let running = leases.held().into_iter().filter_map(|(id, holder)| {
            let task = progress.open.values().find(|task| task.trial_run.address == id)?;
            let whole = task.trial_run.experiment.training.epochs;
            let run = task.trial_run.stored_run().and_then(|(run, _)| run.status().ok());
            Some(RunningTask {
                name: task.trial_run.name.clone(),
                host: holder.host,
                process: holder.process,
                epoch: run.map_or(0, |status| status.epoch),
                epochs: task.until.unwrap_or(whole) as u64,
            })
        });
        Ok(StudyStatus {
            study: plan.name.clone(),
            folder: folder.to_owned(),
            stage: progress.stage.clone(),
            tasks: progress.tasks,
            done: progress.tasks - progress.open.len(),
            failed: progress.failed,
            running: running.collect(),
            is_finished: progress.open.is_empty() && progress.is_at_end,
            is_cancelled: folder.join(CANCELLED).exists(),
            best,
            jobs: self.submissions()?,
        })
    }

    /// The scheduler jobs that were submitted for the study.
    pub fn submissions(&self) -> Result<Vec<Submission>, StudyError> {
        Ok(read_json(&self.folder().join(SUBMISSIONS))?.unwrap_or_default())
    }

    /// Forgets the submitted jobs once they are cancelled: the scheduler may give their ids to others.
    pub fn forget_submissions(&self) -> Result<(), StudyError> {
        Ok(replace_file(&self.folder().join(SUBMISSIONS), b"[]\n")?)
    }

    /// Records a scheduler job.
    pub fn note_submission(&self, submission: Submission) -> Result<(), StudyError> {
        let mut all = self.submissions()?;
        all.push(submission);
        let path = self.folder().join(SUBMISSIONS);
        Ok(replace_file(&path, &json_text(&all))?)
    }
}

/// The progress of an agenda, by the stored results.
#[derive(Default)]
struct AgendaProgress {
    stage: Option<String>,
    tasks: usize,
    failed: usize,
    /// Tasks without a result, by id.
    open: BTreeMap<String, Task>,
    is_at_end: bool,
}

impl AgendaProgress {
    fn follow(&mut self, agenda: &mut dyn Agenda, results: &ResultStore) -> Result<(), StudyError> {
        let known = results.ids()?;
        let mut done: Vec<TaskResult> = Vec::new();
        while self.open.is_empty() {
            let Some(Tasks { stage, tasks }) = agenda.next(&|| Ok(done.clone()))? else {
                self.is_at_end = true;
                return Ok(());
            };
            self.stage = stage.or(self.stage.take());
            done.clear();
            let mut ids = HashSet::new();
            for task in tasks {
                let id = task.id();
                let is_new = ids.insert(id.clone());
                self.tasks += usize::from(is_new);
                match known.contains(&id).then(|| results.read(&id)).transpose()?.flatten() {
                    Some(result) => {
                        self.failed += usize::from(is_new && result.error.is_some());
                        done.push(result);
                    }
                    None => drop(self.open.insert(id, task)),
                }
            }
        }
        Ok(())
    }
}
