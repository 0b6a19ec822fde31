//! `status.json`: the state and the progress of a run, for every program that reads the run folder.

use std::{path::Path, process};

use jiff::Timestamp;
use kiln_config::Monitor;
use kiln_files::json_text;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use strum::Display;

use crate::{ArtifactError, error::read_json, hostname, replace_file};

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RunState {
    /// A process is training it.
    Running,
    /// It is complete, early stopping included.
    Finished,
    /// It stopped before its end; `kiln resume` continues it.
    Interrupted,
    /// An error ended it.
    Failed,
}

/// Why training stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum StopReason {
    /// The last epoch is done.
    Completed,
    /// The monitored figure no longer improved.
    #[strum(serialize = "early stopping")]
    EarlyStopping,
    /// `training.max_steps` was reached.
    #[strum(serialize = "training.max_steps")]
    MaxSteps,
    /// `training.max_time` was over.
    #[strum(serialize = "training.max_time")]
    MaxTime,
    /// Training paused after an epoch as requested, for example by a search.
    Paused,
    /// The user pressed Ctrl-C or the dashboard's stop key, or the system asked the process to end.
    #[strum(serialize = "stopped")]
    CtrlC,
    /// An error, which `error` of the status describes.
    Error,
    /// No training: the weights come from another program and are only tested.
    #[strum(serialize = "not trained")]
    NotTrained,
}

/// The best epoch so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BestEpoch {
    /// The figure that decides which epoch is best.
    pub monitor: Monitor,
    /// The value; NaN (null in JSON) if it was not finite.
    #[serde(deserialize_with = "null_as_nan")]
    #[schemars(with = "Option<f64>")]
    pub value: f64,
    /// The epoch, from 1.
    pub epoch: u64,
    /// The optimizer steps done at its end.
    pub step: u64,
}

/// The main figures on the test split.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TestFigures {
    /// Mean loss per example; NaN (null in JSON) if it was not finite.
    #[serde(deserialize_with = "null_as_nan")]
    #[schemars(with = "Option<f64>")]
    pub loss: f64,
    /// Fraction of correctly classified examples, 0 to 1.
    #[serde(deserialize_with = "null_as_nan")]
    #[schemars(with = "Option<f64>")]
    pub accuracy: f64,
}

/// The content of `status.json`. Times are RFC 3339 in UTC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunStatus {
    /// The state. A killed process leaves `running` in the file; `kiln runs` notices that it is dead.
    pub state: RunState,
    /// Why it stopped.
    #[serde(default)]
    pub stop_reason: Option<StopReason>,
    /// The current or last epoch, from 1; 0 before the first.
    pub epoch: u64,
    /// Number of epochs planned.
    pub epochs: u64,
    /// Steps done.
    pub step: u64,
    /// Number of steps planned.
    pub steps: u64,
    /// The best epoch so far.
    #[serde(default)]
    pub best: Option<BestEpoch>,
    /// The test figures, after the evaluation.
    #[serde(default)]
    pub test: Option<TestFigures>,
    /// SHA-256 of the final weights, to compare runs.
    #[serde(default)]
    pub weights_sha256: Option<String>,
    /// When the run was first started.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// When this was written.
    #[schemars(with = "String")]
    pub updated: Timestamp,
    /// When it ended, in any state.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub finished: Option<Timestamp>,
    /// Seconds of training over all sessions.
    #[serde(default)]
    pub elapsed_seconds: f64,
    /// The error message, if the state is `failed`.
    #[serde(default)]
    pub error: Option<String>,
    /// The kind of that error.
    #[serde(default)]
    pub failure: Option<RunFailure>,
    /// Id of the process that trains the run, or trained it last.
    #[serde(default)]
    pub pid: Option<u32>,
    /// The machine of that process.
    #[serde(default)]
    pub hostname: Option<String>,
}

/// The kinds of error that end a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum RunFailure {
    /// A figure became NaN or infinite.
    NonFinite {
        /// `loss`, `gradient` or `weights`.
        figure: String,
        /// The value: `NaN`, `inf` or `-inf`.
        value: String,
        /// Number of the batch, from 1, over the whole training.
        step: u64,
        /// Epoch, from 1.
        epoch: u64,
        /// The first layer that is affected, in words.
        place: String,
    },
    /// Any other error; see the message.
    Other,
}

impl RunFailure {
    /// The kind, parsed from an error's message, for older runs that stored only the message: "loss became NaN at
    /// step 3 (epoch 1): layers.0.weight is the first that is not finite. Try ...".
    fn of_message(message: &str) -> Self {
        let non_finite = || {
            let (figure, rest) = message.split_once(" became ")?;
            let (value, rest) = rest.split_once(" at step ")?;
            let (step, rest) = rest.split_once(" (epoch ")?;
            let (epoch, rest) = rest.split_once("): ")?;
            let place = rest.split(". Try ").next()?.trim_end_matches('.').to_owned();
            let (step, epoch) = (step.parse().ok()?, epoch.parse().ok()?);
            Some(Self::NonFinite { figure: figure.to_owned(), value: value.to_owned(), step, epoch, place })
        };
        non_finite().unwrap_or(Self::Other)
    }
}

impl RunStatus {
    /// The status of a run that this process starts now, with the planned epochs and steps.
    #[must_use]
    pub fn running(epochs: u64, steps: u64) -> Self {
        let now = now();
        Self {
            state: RunState::Running,
            stop_reason: None,
            epoch: 0,
            epochs,
            step: 0,
            steps,
            best: None,
            test: None,
            weights_sha256: None,
            started: now,
            updated: now,
            finished: None,
            elapsed_seconds: 0.0,
            error: None,
            failure: None,
            pid: Some(process::id()),
            hostname: Some(hostname().to_owned()),
        }
    }

    /// This status when this process resumes the run: `running`, without how it stopped and without its results.
    #[must_use]
    pub fn resumed(self) -> Self {
        Self {
            state: RunState::Running,
            stop_reason: None,
            test: None,
            weights_sha256: None,
            finished: None,
            error: None,
            failure: None,
            pid: Some(process::id()),
            hostname: Some(hostname().to_owned()),
            ..self
        }
    }

    /// This status when the run ends now in `state`, for `reason`.
    #[must_use]
    pub fn stopped(self, state: RunState, reason: StopReason) -> Self {
        Self { state, stop_reason: Some(reason), finished: Some(now()), ..self }
    }

    /// Reads a `status.json`.
    pub fn read(path: &Path) -> Result<Self, ArtifactError> {
        let mut status: Self = read_json(path)?;
        // Older runs do not have a kind.
        status.failure = status.failure.or_else(|| status.error.as_deref().map(RunFailure::of_message));
        Ok(status)
    }

    /// Replaces a `status.json` atomically, with `updated` set to now. If writing fails, the old file stays.
    pub fn write(&self, path: &Path) -> Result<(), ArtifactError> {
        let status = Self { updated: now(), ..self.clone() };
        replace_file(path, &json_text(&status))
    }
}

/// Now, in whole milliseconds: more digits would only make the file harder to read.
pub(crate) fn now() -> Timestamp {
    let milliseconds = Timestamp::now().as_millisecond();
    Timestamp::from_millisecond(milliseconds).expect("the present is within jiff's range")
}

/// Reads a number, or null as NaN. JSON cannot express non-finite numbers, so serde writes null for them.
pub fn null_as_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::*;
    use crate::test_run::TestRun;

    #[test]
    fn a_status_reads_back() {
        let run = TestRun::new();
        let best = BestEpoch { monitor: Monitor::ValidationLoss, value: 0.1, epoch: 2, step: 20 };
        let status = RunStatus {
            best: Some(best),
            test: Some(TestFigures { loss: 0.1, accuracy: 0.9 }),
            weights_sha256: Some("ab".to_owned()),
            error: Some("no space".to_owned()),
            failure: Some(RunFailure::Other),
            ..RunStatus::running(3, 30).stopped(RunState::Failed, StopReason::Error)
        };
        run.write_status(&status).unwrap();
        let read = run.status().unwrap();
        assert_eq!(RunStatus { updated: status.updated, ..read }, status);
        let text = fs::read_to_string(run.status_json()).unwrap();
        assert!(text.contains("\"state\": \"failed\"") && text.contains("\"monitor\": \"validation_loss\""));
    }

    #[test]
    fn a_non_finite_loss_reads_back_as_nan() {
        let run = TestRun::new();
        let test = TestFigures { loss: f64::INFINITY, accuracy: 0.1 };
        run.write_status(&RunStatus { test: Some(test), ..RunStatus::running(1, 1) }).unwrap();
        assert!(run.status().unwrap().test.unwrap().loss.is_nan());
    }

    #[test]
    fn a_resume_clears_how_the_run_stopped_and_keeps_its_progress() {
        let stopped = RunStatus { step: 7, elapsed_seconds: 2.5, ..RunStatus::running(3, 30) }
            .stopped(RunState::Interrupted, StopReason::CtrlC);
        let resumed = stopped.clone().resumed();
        assert_eq!((resumed.state, resumed.stop_reason, resumed.finished), (RunState::Running, None, None));
        assert_eq!((resumed.step, resumed.elapsed_seconds, resumed.started), (7, 2.5, stopped.started));
    }

    #[test]
    fn a_reader_never_sees_half_a_status() {
        let run = TestRun::new();
        let last = 200;
        thread::scope(|scope| {
            scope.spawn(|| {
                for step in 1..=last {
                    run.write_status(&RunStatus { step, ..RunStatus::running(1, last) }).unwrap();
                }
            });
            let mut seen = 0;
            while seen < last {
                let step = run.status().unwrap().step;
                assert!(step >= seen);
                seen = step;
            }
        });
    }

    #[test]
    fn malformed_json_is_reported_with_its_line() {
        let run = TestRun::new();
        fs::write(run.status_json(), "{\n  \"state\": \"flying\"\n}").unwrap();
        let message = run.status().unwrap_err().to_string();
        assert!(message.contains("status.json, line 2: unknown variant `flying`"), "{message}");
    }
}
