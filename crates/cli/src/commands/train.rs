//! `kiln train`.

use kiln::{Session, check_perceptron};

use crate::arguments::Train;
use crate::commands::session::{self, check_view};
use crate::experiment::resolved;
use crate::failure::Failure;
use crate::view::DownloadBar;

/// Trains an experiment in a run folder of its own, tests it and prints the folder.
pub(crate) fn train(arguments: &Train) -> Result<(), Failure> {
    let experiment = resolved(&arguments.experiment)?;
    check_view(arguments.manner.ui, &experiment.experiment)?;
    check_perceptron(&experiment.experiment)?;
    let session = Session::create_with(&experiment, &arguments.root.artifacts, &DownloadBar::default())?;
    session::train(&session, &arguments.manner)
}
