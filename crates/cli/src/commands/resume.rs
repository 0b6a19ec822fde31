//! `kiln resume`.

use std::path::Path;

use kiln::{Resumed, Run, Session, check_perceptron, of_run};
use kiln_artifacts::{ArtifactError, RunState, StopReason, TestFigures, runs};
use kiln_training::spans_whole_training;
use schemars::JsonSchema;
use serde::Serialize;

use crate::arguments::Resume;
use crate::commands::session::{self, check_view};
use crate::failure::Failure;
use crate::output::{print, print_json, quoted, say};
use crate::view::DownloadBar;

/// A run with nothing left to train.
#[derive(Serialize, JsonSchema)]
pub(crate) struct FinishedRun {
    /// The run folder.
    run: String,
    /// Why its training stopped.
    stop_reason: Option<StopReason>,
    /// What its test found; null where it has none.
    test: Option<TestFigures>,
}

/// Goes on with a run from its last good checkpoint.
pub(crate) fn resume(arguments: &Resume) -> Result<(), Failure> {
    let run = with_status(Run::resolve(&arguments.root.artifacts, &arguments.run))?;
    let experiment = of_run(&run)?;
    check_view(arguments.manner.ui, &experiment)?;
    check_perceptron(&experiment)?;
    match Session::resume_with(run, &arguments.overrides, &DownloadBar::default())? {
        Resumed::Ready(session) => session::train(&session, &arguments.manner),
        Resumed::Finished(run) => {
            say(&finished(&run, &arguments.root.artifacts)?);
            let (path, status) = (run.folder().display().to_string(), run.status()?);
            if arguments.manner.json {
                print_json(&FinishedRun { run: path, stop_reason: status.stop_reason, test: status.test });
            } else {
                print(&path);
            }
            Ok(())
        }
    }
}

/// A run whose status was lost or damaged can go on all the same.
fn with_status(found: Result<Run, ArtifactError>) -> Result<Run, Failure> {
    let folder = match found {
        Err(ArtifactError::NotARun { path, missing: "status.json" }) => path,
        Ok(run) if matches!(run.status(), Err(ArtifactError::Malformed { .. })) => run.folder().to_owned(),
        other => return Ok(other?),
    };
    say(&format!("warning: {} has no readable status.json; it gets a new one", folder.display()));
    Ok(Run::mend_status(&folder)?)
}

/// That there is nothing to go on with, and what there may be instead.
fn finished(run: &Run, artifacts: &Path) -> Result<String, Failure> {
    let (folder, status, experiment) =
        (quoted(&run.folder().display().to_string()), run.status()?, of_run(run)?);
    let longer = match status.stop_reason {
        Some(StopReason::EarlyStopping) => {
            let patience = 2 * experiment.early_stopping.patience.max(1);
            format!("`kiln resume {folder} early_stopping.patience={patience}` gives it more patience")
        }
        Some(StopReason::Completed) if !spans_whole_training(&experiment) => {
            format!("`kiln resume {folder} training.epochs={}` makes it longer", 2 * status.epochs.max(1))
        }
        _ => format!("`kiln train FILE --from {folder}` begins another with its weights"),
    };
    let mut words = format!("the run is finished, and nothing is left to do; {longer}");
    let others =
        runs::list(artifacts)?.into_iter().filter(|other| other.state == Some(RunState::Interrupted));
    for other in others.filter(|other| other.name == run.name()) {
        let other = quoted(&other.path.display().to_string());
        words += &format!("\nthis one was interrupted: `kiln resume {other}`");
    }
    Ok(words)
}
