//! A study from its plan to its report.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::thread;

use crate::analysis::analysis;
use crate::findings::Findings;
use crate::outcome::Outcome;
use crate::work::{Cell, Shift, work};
use crate::{Plan, Report, StudyError, View, Worker, report};

/// A plan with the folder that its results land in.
#[derive(Debug)]
pub struct Study {
    plan: Plan,
    folder: PathBuf,
    cells: Vec<Cell>,
}

impl Study {
    /// The study of this plan below `<artifacts>/studies/`.
    #[must_use]
    pub fn new(plan: Plan, artifacts: &Path) -> Self {
        let folder = artifacts.join("studies").join(&plan.name);
        // Seed by seed: stopped early, the study has all trials of the first seeds.
        let cells = (0..plan.seeds.len())
            .flat_map(|seed| {
                plan.trials.iter().enumerate().map(move |(trial, found)| (trial, &found.experiments[seed]))
            })
            .map(|(trial, experiment)| Cell::new(trial, experiment, &folder))
            .collect();
        Self { plan, folder, cells }
    }

    /// The study's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Trains what is not finished yet, `jobs` cells at a time (by default as the plan says, or as many as the
    /// machine has cores), each by a `worker` process, and writes the report. `is_stop_asked` is looked at all the time; once it says yes,
    /// all workers stop with a checkpoint.
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
    ) -> Result<Report, StudyError> {
        fs::create_dir_all(&self.folder).map_err(|cause| StudyError::io("create", &self.folder, cause))?;
        let _lock = self.lock()?;
        let cores = || thread::available_parallelism().map_or(1, Into::into);
        let jobs = jobs.or(self.plan.jobs).unwrap_or_else(cores);
        let Shift { failed, was_stopped } = work(&self.cells, jobs, worker, is_stop_asked, view)?;
        let read = |(index, cell): (usize, &Cell)| Outcome::read(cell, failed.get(&index));
        let outcomes: Vec<Outcome> = self.cells.iter().enumerate().map(read).collect();
        let findings = Findings::of(&self.plan, &outcomes, was_stopped);
        let report = Report { analysis: analysis(&findings), findings };
        report::write(&report, &self.folder)?;
        Ok(report)
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
