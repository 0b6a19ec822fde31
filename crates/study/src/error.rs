//! Why a study cannot be run.

use std::io;
use std::path::{Path, PathBuf};

use kiln_artifacts::ArtifactError;
use kiln_config::ConfigError;

/// A study that cannot be run, or whose results cannot be kept. A trial that fails is no such error.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    /// The study file, or an experiment that it makes, is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A folder or file of the study could not be read or written.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A picture could not be drawn.
    #[error(transparent)]
    Plot(#[from] kiln_plot::PlotError),
    /// Another process runs the study.
    #[error("another process is running the study in {}: wait until it ends, or stop it", folder.display())]
    Busy {
        /// The study's folder.
        folder: PathBuf,
    },
    /// A worker process could not be started.
    #[error("cannot start {}", program.display())]
    NoWorker {
        /// The program.
        program: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
}

impl StudyError {
    pub(crate) fn io(action: &'static str, path: &Path, cause: io::Error) -> Self {
        Self::Artifact(ArtifactError::io(action, path, cause))
    }
}
