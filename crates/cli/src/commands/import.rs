//! `kiln import`.

use kiln::{Session, check_perceptron};
use kiln_export::import as imported;

use super::session;
use crate::arguments::Import;
use crate::experiment::resolved;
use crate::failure::Failure;
use crate::view::DownloadBar;

/// Makes a run of an experiment with the weights of another program's file, and tests it as any run is tested.
pub(crate) fn import(arguments: &Import) -> Result<(), Failure> {
    let experiment = resolved(&arguments.experiment)?;
    check_perceptron(&experiment.experiment)?;
    let mut lines = Vec::new();
    let from = std::path::absolute(&arguments.file).unwrap_or_else(|_| arguments.file.clone());
    let session = Session::create_with_weights(
        |setup| {
            let shape = [setup.features, setup.classes];
            let found = imported(&arguments.file, &setup.experiment, shape)?;
            lines = found.notices;
            Ok(found.parameters)
        },
        &from.display().to_string(),
        &experiment,
        &arguments.root.artifacts,
        &DownloadBar::default(),
    )?;
    session::test_as_it_begins(&session, &lines, &arguments.manner)
}
