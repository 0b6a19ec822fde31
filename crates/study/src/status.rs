//! How far a study is, read from its folder.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::search::SearchAgenda;
use crate::stored::read_json;
use crate::study::TrialAgenda;
use crate::work::{Agenda, CANCELLED, Leases, Results, Task, TaskResult, Tasks};
use crate::{Study, StudyError};

/// The file that names the jobs of schedulers that work on a study.
const SUBMISSIONS: &str = "submissions.json";

/// How far a study is.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct StudyStatus {
    /// The study's name.
    pub study: String,
    /// Its folder.
    pub folder: PathBuf,
    /// What is done now, where there are several stages.
    pub stage: Option<String>,
    /// Trainings that are known to be needed.
    pub tasks: usize,
    /// How many of them are done.
    pub done: usize,
    /// How many of those failed.
    pub failed: usize,
    /// Trainings that workers have in hand.
    pub running: Vec<RunningTask>,
    /// Whether everything is done.
    pub is_finished: bool,
    /// Whether someone cancelled it.
    pub is_cancelled: bool,
    /// The best trial so far and its figure, of a search.
    pub best: Option<BestTrial>,
    /// Jobs of schedulers that were submitted for it.
    pub jobs: Vec<Submission>,
}

/// A training that a worker has in hand.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct RunningTask {
    /// The trial and its seed.
    pub name: String,
    /// The worker's host.
    pub host: String,
    /// The worker's process there.
    pub process: u32,
    /// Epochs trained, as far as its run tells.
    pub epoch: u64,
    /// Epochs that it trains to.
    pub epochs: u64,
}

/// The best trial of a search so far.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct BestTrial {
    /// Its name.
    pub name: String,
    /// Epochs at which its figure was taken.
    pub epochs: usize,
    /// Its figure.
    pub figure: f64,
}

/// An array of workers that was given to a scheduler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Submission {
    /// The scheduler.
    pub engine: String,
    /// The job, as the scheduler numbers it.
    pub job: String,
}

impl Study {
    /// How far it is.
    ///
    /// # Errors
    /// Where its folder cannot be read.
    pub fn status(&self) -> Result<StudyStatus, StudyError> {
        let (folder, plan) = (self.folder(), self.plan());
        let results = Results::of_study(folder);
        let mut seen = Seen::default();
        let best = if let Some(search) = &plan.search {
            let mut agenda = SearchAgenda::new(search, folder).of_others();
            seen.follow(&mut agenda, &results)?;
            agenda.best()
        } else {
            seen.follow(&mut TrialAgenda::new(&self.cells()), &results)?;
            None
        };
        let leases = Leases::of_study(folder, Duration::from_secs_f64(plan.lease));
        let running = leases.held().into_iter().filter_map(|(id, holder)| {
            let task = seen.open.values().find(|task| task.cell.address == id)?;
            let whole = task.cell.experiment.training.epochs;
            let run = task.cell.run().and_then(|(run, _)| run.status().ok());
            Some(RunningTask {
                name: task.cell.name.clone(),
                host: holder.host,
                process: holder.process,
                epoch: run.map_or(0, |status| status.epoch),
                epochs: task.until.unwrap_or(whole) as u64,
            })
        });
        Ok(StudyStatus {
            study: plan.name.clone(),
            folder: folder.to_owned(),
            stage: seen.stage.clone(),
            tasks: seen.tasks,
            done: seen.tasks - seen.open.len(),
            failed: seen.failed,
            running: running.collect(),
            is_finished: seen.open.is_empty() && seen.is_at_end,
            is_cancelled: folder.join(CANCELLED).exists(),
            best,
            jobs: self.submissions()?,
        })
    }

    /// The jobs of schedulers that were submitted for it.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn submissions(&self) -> Result<Vec<Submission>, StudyError> {
        Ok(read_json(&self.folder().join(SUBMISSIONS))?.unwrap_or_default())
    }

    /// Forgets these jobs: they were cancelled, and their numbers may become others'.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn forget_submissions(&self) -> Result<(), StudyError> {
        Ok(kiln_artifacts::replace_file(&self.folder().join(SUBMISSIONS), b"[]\n")?)
    }

    /// Notes that workers were given to a scheduler.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn note_submission(&self, submission: Submission) -> Result<(), StudyError> {
        let mut all = self.submissions()?;
        all.push(submission);
        let path = self.folder().join(SUBMISSIONS);
        Ok(kiln_artifacts::replace_file(&path, &kiln_files::json_text(&all))?)
    }
}

/// What an agenda has come to, going by the results that are there.
#[derive(Default)]
struct Seen {
    stage: Option<String>,
    tasks: usize,
    failed: usize,
    /// Tasks without a result, by id.
    open: BTreeMap<String, Task>,
    is_at_end: bool,
}

impl Seen {
    fn follow(&mut self, agenda: &mut dyn Agenda, results: &Results) -> Result<(), StudyError> {
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
