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
    /// A file of the study is not what was written.
    #[error("{} is damaged: {problem}; delete it, and `kiln study FILE` makes it anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The folder that was named is not that of a study.
    #[error("{} is not the folder of a study: it has no plan.json; `kiln study FILE` makes it", folder.display())]
    NoStudy {
        /// The folder.
        folder: PathBuf,
    },
    /// A trial of a search failed for a reason that is not its settings.
    #[error(
        "{name} failed, and not by its settings: {error}. What a search tries next rests on every result, so this worker \
         stops here; the same command goes on once this is mended"
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
        /// What the system said.
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
