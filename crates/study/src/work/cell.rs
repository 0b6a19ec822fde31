//! One trial with one seed: its address, its folder and its run.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use kiln_artifacts::{Run, RunState, replace_file, runs};
use kiln_config::Experiment;
use kiln_files::sha256_hex;

use crate::StudyError;

/// Hexadecimal digits of an address: 64 bits tell any number of trials apart.
const ADDRESS_LENGTH: usize = 16;
const PAUSE_BETWEEN_LOOKS: Duration = Duration::from_millis(20);
const EXPERIMENT_FILE: &str = "experiment.toml";

/// One trial with one seed. Its folder is named by what decides its result, so that every study finds again
/// what was done, whatever the trial is called.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    /// Number of the trial, from 0.
    pub(crate) trial: usize,
    pub(crate) seed: u64,
    /// What progress and messages call it.
    pub(crate) name: String,
    pub(crate) experiment: Experiment,
    /// A hash of everything that decides the result.
    pub(crate) address: String,
    /// `<study>/trials/<address>`.
    pub(crate) folder: PathBuf,
}

impl Cell {
    pub(crate) fn new(trial: usize, experiment: &Experiment, study: &Path) -> Self {
        let seed = experiment.seed;
        let address = sha256_hex(experiment.identity().as_bytes())[..ADDRESS_LENGTH].to_owned();
        Self {
            trial,
            seed,
            name: format!("{} seed {seed}", experiment.name),
            experiment: experiment.clone(),
            folder: study.join("trials").join(&address),
            address,
        }
    }

    /// Makes the folder and writes the experiment file, if they are not there yet.
    pub(crate) fn prepare(&self) -> Result<(), StudyError> {
        let path = experiment_file(&self.folder);
        if path.is_file() {
            return Ok(());
        }
        fs::create_dir_all(&self.folder).map_err(|cause| StudyError::io("create", &self.folder, cause))?;
        Ok(replace_file(&path, self.experiment.to_toml().as_bytes())?)
    }

    /// The run in the folder: the finished one, else the latest.
    pub(crate) fn run(&self) -> Option<(Run, RunState)> {
        run_in(&self.folder)
    }
}

/// The experiment file that a worker trains, in a cell's folder.
pub(crate) fn experiment_file(folder: &Path) -> PathBuf {
    folder.join(EXPERIMENT_FILE)
}

/// The run in a cell's folder: the finished one, else the latest.
pub(crate) fn run_in(folder: &Path) -> Option<(Run, RunState)> {
    let summaries = runs::list(folder).ok()?;
    let whole: Vec<_> = summaries.iter().filter(|run| run.state.is_some()).collect();
    let finished = whole.iter().find(|run| run.state == Some(RunState::Finished));
    let chosen = finished.or(whole.first())?;
    Some((Run::open(&chosen.path).ok()?, chosen.state?))
}

/// The right of this process to train in a cell's folder. A process that outlived the study that started it may still have
/// it: then this waits. None if `is_over` while waiting.
pub(crate) fn lock(folder: &Path, is_over: impl Fn() -> bool) -> Result<Option<File>, StudyError> {
    let path = folder.join("lock");
    let open = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = open.map_err(|cause| StudyError::io("open", &path, cause))?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) if is_over() => return Ok(None),
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE_BETWEEN_LOOKS),
            Err(TryLockError::Error(cause)) => return Err(StudyError::io("lock", &path, cause)),
        }
    }
}
