//! How a command ends early: errors with their exit codes, and signals that stop the program.
//!
//! Other crates report what is wrong. The `From` implementations here choose the exit code, and add which command or option
//! of the program helps.

use std::io;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use kiln::StopSignal;
use kiln_artifacts::ArtifactError;
use kiln_backend::BackendError;
use kiln_config::ConfigError;
use kiln_data::DataError;
use kiln_evaluation::EvaluationError;
use kiln_export::{ExportError, ImportError};
use kiln_files::with_causes;
use kiln_study::StudyError;
use kiln_training::{TrainingError, restore_terminal};
use schemars::JsonSchema;
use serde::Serialize;

use crate::output::{LogError, has_printed, print_json, say, write_error};

/// The command failed.
const FAILED: u8 = 1;
/// The request is invalid: arguments or experiment file.
const USAGE: u8 = 2;
/// The command finished, but a result differs from what the file expects.
const VERDICT: u8 = 3;
/// A user or a limit stopped the work; it can be resumed.
const INTERRUPTED: u8 = 130;

/// The output of a command that failed before it had any other output.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Failed {
    /// What went wrong.
    error: ErrorBody,
}

/// What went wrong.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub(crate) struct ErrorBody {
    /// The exit code: 1 failure, 2 invalid command or experiment file, 3 a result differs from what the file expects,
    /// 130 stopped.
    exit_code: u8,
    /// What went wrong, and how to fix it.
    message: String,
}

/// An exit code with the message that explains it. An empty message is not printed.
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

    /// The same failure, with the word of the command line that caused it.
    #[cfg(feature = "serve")]
    pub(crate) fn about(self, word: &str) -> Self {
        Self { message: format!("{word}: {}", self.message), ..self }
    }

    /// Exit code and message, in the form of the JSON field `error`.
    pub(crate) fn body(&self) -> ErrorBody {
        ErrorBody { exit_code: self.code, message: self.message.clone() }
    }

    /// Prints the failure as JSON, unless another result was printed before.
    pub(crate) fn print_as_json(&self) {
        if !has_printed() {
            print_json(&Failed { error: self.body() });
        }
    }

    /// Prints the message on stderr and, if `as_json`, as JSON on stdout. Returns the exit code.
    pub(crate) fn print(self, as_json: bool) -> u8 {
        if as_json {
            self.print_as_json();
        }
        let Self { code, message } = self;
        match code {
            _ if message.is_empty() => {}
            // Stopped on request: not an error.
            INTERRUPTED => say(&message),
            _ => say(&format!("error: {message}")),
        }
        code
    }
}

/// Fails if any result could not be written.
pub(crate) fn check_written() -> Result<(), Failure> {
    match write_error() {
        Some(cause) => Err(Failure::failed(format!("cannot write the result to standard output: {cause}"))),
        None => Ok(()),
    }
}

/// The failure for an output file, chosen by the user, that cannot be written.
pub(crate) fn unwritable(path: &Path, cause: &io::Error) -> Failure {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => Failure::usage(format!(
            "cannot write {}: the folder {} does not exist",
            path.display(),
            folder.display()
        )),
        _ => Failure::failed(format!("cannot write {}: {cause}", path.display())),
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Open { path, cause } => {
                Self::failed(format!("cannot open {}: {cause}", path.display()))
            }
            LogError::Level { text, cause } => Self::usage(format!("KILN_LOG = \"{text}\": {cause}")),
        }
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

/// Data that does not fit a key of the experiment is a mistake in the experiment: such a mismatch has no path.
impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        match &error {
            DataError::Unfit { mismatch, .. } if mismatch.path.as_os_str().is_empty() => {
                Self::usage(with_causes(&error))
            }
            _ => Self::failed(with_causes(&error)),
        }
    }
}

/// Adds what the user can do about the run folder.
impl From<ArtifactError> for Failure {
    fn from(error: ArtifactError) -> Self {
        let advice = match error {
            ArtifactError::DiskFull { .. } => {
                "; everything saved before is intact: free some space, then continue a run with `kiln resume`, or try again"
            }
            ArtifactError::PermissionDenied { .. } => {
                "; change the permissions, or choose another folder (--artifacts DIR or KILN_ARTIFACTS)"
            }
            ArtifactError::Io { action: "make", .. } => {
                "; choose another folder (--artifacts DIR or KILN_ARTIFACTS)"
            }
            ArtifactError::Gone { .. } => "; put it back and continue with `kiln resume`, or train again",
            ArtifactError::RunNotFound { .. } | ArtifactError::NotARun { .. } => {
                "; list all runs with `kiln runs list`"
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
                Self::failed(format!("{error}; train it first: `kiln resume {run}`"))
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
                "{error}: use `kiln train`, or `kiln train --from RUN` to start from the weights of this run"
            )),
            TrainingError::NoBatch { .. } => Self::usage(with_causes(&error)),
            TrainingError::Killed => {
                Self::interrupted(format!("{error}; `kiln resume` continues from the last checkpoint"))
            }
            error => Self::failed(with_causes(&error)),
        }
    }
}

/// The first signal that asked the program to stop.
static STOPPED_BY: OnceLock<&'static str> = OnceLock::new();

/// The first signal that asked the program to stop, if any did.
pub(crate) fn stopped_by() -> Option<&'static str> {
    STOPPED_BY.get().copied()
}

/// Turns SIGINT, SIGTERM and SIGHUP into a stop request. The second signal exits at once; checkpoints stay valid.
pub(crate) fn stop_on_ctrl_c(stop: &StopSignal) {
    let stop = stop.clone();
    catch(move || {
        if !stop.request() {
            restore_terminal();
            std::process::exit(i32::from(INTERRUPTED));
        }
    });
}

/// The same for a process that a scheduler ends. Schedulers signal all processes of a job, some of them twice. Therefore only
/// a Ctrl-C that comes at least a second after the first signal exits at once.
pub(crate) fn stop_on_signals(stop: &StopSignal) {
    let stop = stop.clone();
    let first = OnceLock::new();
    catch(move || {
        let first = *first.get_or_init(Instant::now);
        if !stop.request() && first.elapsed() >= Duration::from_secs(1) && stopped_by() == Some("Ctrl-C") {
            std::process::exit(i32::from(INTERRUPTED));
        }
    });
}

/// At SIGINT, SIGTERM or SIGHUP, calls `last` and exits.
pub(crate) fn leave_on_ctrl_c(last: impl Fn() + Send + 'static) {
    catch(move || {
        last();
        std::process::exit(i32::from(INTERRUPTED));
    });
}

fn catch(handler: impl Fn() + Send + 'static) {
    if let Err(error) = on_signal(handler) {
        tracing::warn!("cannot handle Ctrl-C; it will end the program at once: {error}");
    }
}

/// Calls `handler` in its own thread at each signal that asks the program to stop.
#[cfg(unix)]
fn on_signal(handler: impl Fn() + Send + 'static) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    // Under `nohup`, a handler would make the end of the terminal the end of the run.
    if !hangup_is_ignored() {
        signals.add_signal(SIGHUP)?;
    }
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in &mut signals {
            // Keep the first.
            let _ = STOPPED_BY.set(match signal {
                SIGINT => "Ctrl-C",
                SIGTERM => "SIGTERM",
                _ => "the end of its terminal",
            });
            handler();
        }
    })?;
    Ok(())
}

#[cfg(not(unix))]
fn on_signal(handler: impl Fn() + Send + 'static) -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(handler)
}

/// Whether this process was started with SIGHUP ignored, as by `nohup` or `trap "" HUP`.
///
/// Children inherit this setting, so a shell that sends SIGHUP to itself survives only if the signal is ignored. A direct
/// query needs unsafe code, or `/proc`, which macOS lacks. Without a shell, the result is `false`. Call this before a handler is
/// set: children do not inherit handlers.
#[cfg(unix)]
fn hangup_is_ignored() -> bool {
    use std::process::{Command, Stdio};
    let mut shell = Command::new("sh");
    shell.args(["-c", "kill -s HUP $$"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.status().is_ok_and(|status| status.success())
}
