//! How a command ends when it does not end well.

use kiln_artifacts::ArtifactError;
use kiln_backend::BackendError;
use kiln_config::ConfigError;
use kiln_data::DataError;
use kiln_evaluation::EvaluationError;
use kiln_export::{ExportError, ImportError};
use kiln_files::with_causes;
use kiln_study::StudyError;
use kiln_training::TrainingError;
use schemars::JsonSchema;
use serde::Serialize;

use crate::output::{has_printed, print_json, say};

/// Something went wrong while doing what was asked.
pub(crate) const FAILED: u8 = 1;
/// The request itself is wrong: arguments or experiment file.
pub(crate) const USAGE: u8 = 2;
/// The work was done, and what it found is not what was expected.
pub(crate) const VERDICT: u8 = 3;
/// Someone or something stopped the work; it can be resumed.
pub(crate) const INTERRUPTED: u8 = 130;

/// The answer of a command that failed before it had another.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Failed {
    /// What went wrong.
    error: ErrorBody,
}

/// What went wrong.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub(crate) struct ErrorBody {
    /// The exit code: 1 failed, 2 the command or the experiment file is wrong, 3 a study found something else than it
    /// expected, 130 stopped.
    exit_code: u8,
    /// What went wrong, and what helps.
    message: String,
}

/// An exit code with the message that explains it; an empty message is not printed.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// What went wrong.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { code: FAILED, message: message.into() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, message: message.into() }
    }

    pub(crate) fn verdict(message: impl Into<String>) -> Self {
        Self { code: VERDICT, message: message.into() }
    }

    pub(crate) fn interrupted(message: impl Into<String>) -> Self {
        Self { code: INTERRUPTED, message: message.into() }
    }

    /// The same, of what `word` of the command line asks for.
    #[cfg(feature = "serve")]
    pub(crate) fn about(self, word: &str) -> Self {
        Self { message: format!("{word}: {}", self.message), ..self }
    }

    /// Exit code and message, as answers in JSON have them under `error`.
    pub(crate) fn body(&self) -> ErrorBody {
        ErrorBody { exit_code: self.code, message: self.message.clone() }
    }

    /// Prints it as the answer in JSON, if there is none yet.
    pub(crate) fn answer(&self) {
        if !has_printed() {
            print_json(&Failed { error: self.body() });
        }
    }

    /// Prints the message and gives the exit code; `as_json` where answers are asked for as JSON.
    pub(crate) fn print(self, as_json: bool) -> u8 {
        if as_json {
            self.answer();
        }
        let Self { code, message } = self;
        match code {
            _ if message.is_empty() => {}
            // Whoever stops it wants it stopped.
            INTERRUPTED => say(&message),
            _ => say(&format!("error: {message}")),
        }
        code
    }
}

impl From<kiln::Error> for Failure {
    fn from(error: kiln::Error) -> Self {
        match error {
            kiln::Error::Config(error) => error.into(),
            kiln::Error::Backend(error) => error.into(),
            kiln::Error::Training(error) => error.into(),
            kiln::Error::Artifact(error) => error.into(),
            kiln::Error::Evaluation(error) => error.into(),
            kiln::Error::OtherModel { .. }
            | kiln::Error::TooLarge { .. }
            | kiln::Error::NoTest
            | kiln::Error::NoValidation => Self::usage(with_causes(&error)),
            kiln::Error::Weights(error) => match error.downcast::<ImportError>() {
                Ok(error) => (*error).into(),
                Err(error) => Self::failed(with_causes(&*error)),
            },
            kiln::Error::OtherData { .. } => Self::failed(format!("{error} (--data PATH)")),
            error => Self::failed(with_causes(&error)),
        }
    }
}

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Kiln(error) => error.into(),
            error => Self::failed(with_causes(&error)),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(with_causes(&error))
    }
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        match error {
            BackendError::NotCompiledIn { .. } => Self::usage(with_causes(&error)),
            _ => Self::failed(with_causes(&error)),
        }
    }
}

/// What a key of the experiment asks of the data in vain is a mistake in the experiment.
impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        match &error {
            DataError::Unfit { fault, .. } if fault.path.as_os_str().is_empty() => {
                Self::usage(with_causes(&error))
            }
            _ => Self::failed(with_causes(&error)),
        }
    }
}

/// What went wrong with a run folder, and what of the program helps.
impl From<ArtifactError> for Failure {
    fn from(error: ArtifactError) -> Self {
        let advice = match error {
            ArtifactError::DiskFull { .. } => {
                "; what was saved before is intact: free some space, then go on with a run by `kiln resume`, or try again"
            }
            ArtifactError::PermissionDenied { .. } => {
                "; change its permissions, or choose another folder (--artifacts DIR or KILN_ARTIFACTS)"
            }
            ArtifactError::Io { action: "make", .. } => {
                "; choose another folder (--artifacts DIR or KILN_ARTIFACTS)"
            }
            ArtifactError::Gone { .. } => "; put it back and go on with `kiln resume`, or train again",
            ArtifactError::RunNotFound { .. } | ArtifactError::NotARun { .. } => {
                "; `kiln runs list` shows every run"
            }
            _ => "",
        };
        Self::failed(with_causes(&error) + advice)
    }
}

impl From<EvaluationError> for Failure {
    fn from(error: EvaluationError) -> Self {
        match error {
            EvaluationError::Artifact(error) => error.into(),
            EvaluationError::NoCheckpoint { ref run } => {
                Self::failed(format!("{error}; train it first with `kiln resume {run}`"))
            }
            error => Self::failed(with_causes(&error)),
        }
    }
}

impl From<StudyError> for Failure {
    fn from(error: StudyError) -> Self {
        match error {
            StudyError::Config(error) => error.into(),
            StudyError::Artifact(error) => error.into(),
            error => Self::failed(with_causes(&error)),
        }
    }
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Mismatch { .. } => Self::usage(error.to_string()),
            error => Self::failed(with_causes(&error)),
        }
    }
}

impl From<TrainingError> for Failure {
    fn from(error: TrainingError) -> Self {
        match error {
            TrainingError::Artifact(error) => error.into(),
            TrainingError::Changed { .. } => Self::usage(format!(
                "{error}: `kiln train`, or `kiln train --from RUN` to begin with the weights of this one"
            )),
            TrainingError::NoBatch { .. } => Self::usage(with_causes(&error)),
            TrainingError::Killed => {
                Self::interrupted(format!("{error}; `kiln resume` goes on from the last checkpoint"))
            }
            error => Self::failed(with_causes(&error)),
        }
    }
}
