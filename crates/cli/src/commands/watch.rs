//! `kiln watch`.

use std::io::{IsTerminal, stdout};
use std::thread;
use std::time::Duration;

use kiln_artifacts::Run;
use kiln_training::StopSignal;

use crate::arguments::Watch;
use crate::commands::study;
use crate::failure::Failure;
use crate::interrupt::stop_on_ctrl_c;
use crate::output::print;
use crate::view::StudyWatch;

/// Shows the dashboard of a run that another process trains, or that ended; or how far a study is.
pub(crate) fn watch(arguments: &Watch) -> Result<(), Failure> {
    let run = match Run::resolve(&arguments.root.artifacts, &arguments.run) {
        Ok(run) => run,
        Err(error) => {
            let study = study::named(&arguments.run, &arguments.root.artifacts).ok_or(error)?;
            let stop = StopSignal::default();
            stop_on_ctrl_c(&stop);
            return watch_study(&study, &stop);
        }
    };
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

const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// Shows how far a study is until it is done, whoever works on it.
fn watch_study(study: &kiln_study::Study, stop: &StopSignal) -> Result<(), Failure> {
    let mut view = StudyWatch::new();
    loop {
        let status = study.status()?;
        view.show(&status);
        if status.is_finished || status.is_cancelled || stop.is_requested() {
            drop(view);
            print(&study::in_words(&status));
            return Ok(());
        }
        thread::sleep(BETWEEN_LOOKS);
    }
}
