//! `kiln resume`.

use kiln::{Resumed, Run, Session, check_perceptron, of_run};

use crate::arguments::Resume;
use crate::commands::session::{self, check_view};
use crate::failure::Failure;
use crate::output::{print, say};
use crate::view::DownloadBar;

/// Goes on with a run from its last good checkpoint.
pub(crate) fn resume(arguments: &Resume) -> Result<(), Failure> {
    let run = Run::resolve(&arguments.root.artifacts, &arguments.run)?;
    let experiment = of_run(&run)?;
    check_view(arguments.manner.ui, &experiment)?;
    check_perceptron(&experiment)?;
    match Session::resume_with(run, &arguments.overrides, &DownloadBar::default())? {
        Resumed::Ready(session) => session::train(&session, &arguments.manner),
        Resumed::Finished(run) => {
            say("the run is finished: there is nothing to go on with");
            print(&run.folder().display().to_string());
            Ok(())
        }
    }
}
