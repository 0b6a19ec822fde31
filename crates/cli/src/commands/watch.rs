//! `kiln watch`.

use std::io::{IsTerminal, stdout};

use kiln_artifacts::Run;
use kiln_training::StopSignal;

use crate::arguments::Watch;
use crate::failure::Failure;
use crate::interrupt::stop_on_ctrl_c;

/// Shows the dashboard of a run that another process trains, or that ended.
pub(crate) fn watch(arguments: &Watch) -> Result<(), Failure> {
    let run = Run::resolve(&arguments.root.artifacts, &arguments.run)?;
    if !stdout().is_terminal() {
        return Err(Failure::usage(format!(
            "the dashboard needs a terminal; `kiln runs show {}` prints the same figures",
            arguments.run
        )));
    }
    let stop = StopSignal::default();
    stop_on_ctrl_c(&stop);
    Ok(kiln_training::watch(&run, &stop)?)
}
