//! Trains many variants of an experiment and compares them, and computes small worked examples step by step.
//!
//! A [`Plan`] is a study file, resolved: listed trials or a search, seeds and expectations. A [`Study`] is a plan
//! with its folder. It trains every trial with every seed in worker processes, and writes a report. Where to read:
//!
//! 1. `plan`: reads and checks the study file.
//! 2. `study`: the life of a study: begin, work, cancel, status, report.
//! 3. `work`: tasks for workers that share only a folder: leases, results, the queue, worker processes. `scheduler` writes
//!    the jobs that start such workers on a cluster.
//! 4. `search`: decides, wave by wave, which trials a search trains. It has a report of its own.
//! 5. `outcome`: figures and verdicts of one training. `results`: all of them, ranked (`ranking`) and compared with the
//!    expectations. `analysis`: what they mean, in sentences.
//! 6. `leaderboard` and `report`: the files of a study of listed trials. `comparison_page`: any runs on one page.
//! 7. `trace`: worked examples, apart from all of the above.
//!
//! This crate does not know the command line, and it never prints.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test whose setup fails should panic"))]

mod analysis;
mod comparison_page;
mod leaderboard;
mod outcome;
mod plan;
mod ranking;
mod report;
mod results;
mod scheduler;
mod search;
mod study;
mod trace;
mod work;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kiln_artifacts::ArtifactError;
use kiln_config::ConfigError;
use serde::de::DeserializeOwned;

pub use analysis::AnalysisSection;
pub use comparison_page::comparison_page;
pub use leaderboard::{TextTable, leaderboard, verdicts};
pub use outcome::{Collapse, SeedState, TrialOutcome, Verdict, VerdictRules};
pub use plan::{Claim, Expectation, Plan, PlanRequest, Preview, Trial};
pub use ranking::{McNemar, McNemarMethod, PairedTest, SIGNIFICANCE, Spread};
pub use report::TrialsReport;
pub use results::ExpectationCheck;
pub use results::{SeedResults, StudyResults, TrialResults};
pub use scheduler::Workers;
pub use search::{BestTrial, SearchReport, SearchedTrial, TrialStage, Winner};
pub use search::{
    Condition, Confirm, Dimension, Domain, Halving, KeyImportance, NumberRange, Search, SearchMethod,
};
pub use study::{RunningTask, Study, StudyReport, StudyStatus, Submission, WorkerDone};
pub use trace::{Quantity, QuantityKind, Trace, TraceFile, trace};
pub use work::{ClaimTimings, simulate_claims};
pub use work::{
    Message, StudyEvent, StudyObserver, TaskOutcome, TaskResult, TrainRequest, Worker, WorkerEnd,
};

/// Why a study cannot run, or cannot store its results. A trial that fails is a result, not an error of this type.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    /// The study file, or an experiment that it defines, is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A folder or file of the study could not be read or written.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A picture could not be drawn.
    #[error(transparent)]
    Plot(#[from] kiln_plot::PlotError),
    /// A stored file of the study is damaged.
    #[error("{} is damaged: {problem}; delete it, and `kiln study FILE` writes it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The folder is not the folder of a study.
    #[error("{} is not the folder of a study: it has no plan.json; `kiln study FILE` creates one", folder.display())]
    NoStudy {
        /// The folder.
        folder: PathBuf,
    },
    /// A trial of a search failed, and its settings are not the reason.
    #[error(
        "{name} failed, but not because of its settings: {error}. A search needs every result to decide what it tries next, \
         so this worker stops here. Fix the cause, then run the same command to resume"
    )]
    Trial {
        /// The trial and its seed.
        name: String,
        /// Why.
        error: String,
    },
    /// Another process runs the study.
    #[error("another process is running the study in {}: wait until it ends, stop it, or help it with `kiln study work`",
        folder.display())]
    Busy {
        /// The study's folder.
        folder: PathBuf,
    },
    /// A worker process could not be started.
    #[error("cannot start {}", program.display())]
    NoWorker {
        /// The program.
        program: PathBuf,
        /// The operating system's error.
        #[source]
        cause: io::Error,
    },
}

impl StudyError {
    pub(crate) fn damaged(path: &Path, problem: &dyn std::fmt::Display) -> Self {
        Self::Damaged { path: path.to_owned(), problem: problem.to_string() }
    }

    pub(crate) fn io(action: &'static str, path: &Path, cause: io::Error) -> Self {
        Self::Artifact(ArtifactError::io(action, path, cause))
    }
}

/// Reads a JSON file; `None` if it does not exist.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StudyError> {
    match fs::read(path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map(Some).map_err(|cause| StudyError::damaged(path, &cause))
        }
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(StudyError::io("read", path, cause)),
    }
}

/// Reads a JSON file that this process has seen before, so that its absence is an error.
pub(crate) fn read_again<T: DeserializeOwned>(path: &Path) -> Result<T, StudyError> {
    read_json(path)?.ok_or_else(|| {
        let cause = io::Error::new(io::ErrorKind::NotFound, "another process removed it");
        StudyError::io("read", path, cause)
    })
}

/// The names of the files in a folder; empty if the folder does not exist.
pub(crate) fn file_names(folder: &Path) -> Result<impl Iterator<Item = String> + use<>, StudyError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => Some(entries),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => None,
        Err(cause) => return Err(StudyError::io("read", folder, cause)),
    };
    Ok(entries.into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok()))
}
