//! `kiln train`.

use kiln::{Resolved, Run, Session, check_perceptron, of_run};
use kiln_artifacts::{RunState, runs};

use crate::arguments::Train;
use crate::commands::session::{self, check_view, wanted_view};
use crate::experiment::resolved;
use crate::failure::Failure;
use crate::output::quoted;
use crate::view::DownloadBar;

/// Trains an experiment in a run folder of its own, tests it and prints the folder.
pub(crate) fn train(arguments: &Train) -> Result<(), Failure> {
    let experiment = resolved(&arguments.experiment)?;
    let artifacts = &arguments.root.artifacts;
    check_view(arguments.manner.ui, &experiment.experiment)?;
    check_perceptron(&experiment.experiment)?;
    let start = arguments.from.as_ref().map(|text| Run::resolve(artifacts, text)).transpose()?;
    let interrupted = if start.is_none() { interrupted(arguments, &experiment) } else { None };
    let session = Session::create_from(start.as_ref(), &experiment, artifacts, &DownloadBar::default())?;
    if let Some(run) = interrupted {
        let run = quoted(&run.folder().display().to_string());
        let notice =
            format!("note: a run with these settings was interrupted; `kiln resume {run}` goes on with it");
        session::notify(wanted_view(arguments.manner.ui, session.experiment()), &notice);
    }
    session::train(&session, &arguments.manner)
}

/// The latest interrupted run of the same experiment; what cannot be read is none.
fn interrupted(arguments: &Train, resolved: &Resolved) -> Option<Run> {
    let identity = resolved.experiment.identity();
    let runs = runs::list(&arguments.root.artifacts).ok()?.into_iter();
    let mut runs = runs
        .filter(|run| run.name == resolved.experiment.name && run.state == Some(RunState::Interrupted))
        .filter_map(|run| Run::open(run.path).ok())
        .filter(|run| !run.start().is_file());
    runs.find(|run| of_run(run).is_ok_and(|experiment| experiment.identity() == identity))
}
