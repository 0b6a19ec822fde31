//! `kiln study work`.

use std::path::{Path, PathBuf};

use kiln::StopSignal;
use kiln_study::{Study, WorkerDone};

use super::worker;
use crate::arguments::Work;
use crate::failure::Failure;
use crate::interrupt::{stop_on_signals, stopped_by};
use crate::output::{print, quoted};
use crate::view::study_view;

/// The study that is named by its folder, or by its name below the artifacts.
pub(super) fn open(named: &Path, artifacts: &Path) -> Result<Study, Failure> {
    let below: PathBuf = artifacts.join("studies").join(named);
    let folder = if named.is_dir() { named } else { &below };
    if !folder.is_dir() {
        let (named, place) = (named.display(), artifacts.join("studies"));
        return Err(Failure::failed(format!(
            "there is no study {named} in {}; `kiln study FILE` begins one",
            place.display()
        )));
    }
    Ok(Study::open(folder)?)
}

/// Works at a study that was begun, until nothing is left or someone asks to stop.
pub(super) fn work(arguments: &Work) -> Result<(), Failure> {
    let study = open(&arguments.study, &arguments.root.artifacts)?;
    let stop = StopSignal::default();
    stop_on_signals(&stop);
    let mut view = study_view(arguments.working.ui);
    let jobs = arguments.working.jobs.map(usize::from);
    let end = study.work(jobs, &worker()?, &|| stop.is_requested(), view.as_mut())?;
    drop(view);
    let folder = study.folder().display().to_string();
    match end {
        WorkerDone::Finished => {
            print(&folder);
            Ok(())
        }
        WorkerDone::Cancelled => {
            Err(Failure::failed(format!("{folder} was cancelled; its trials are saved")))
        }
        WorkerDone::Stopped => {
            let by = stopped_by().map_or_else(String::new, |by| format!(" by {by}"));
            Err(Failure::interrupted(format!(
                "stopped{by}, and all of it is saved: `kiln study work {}` goes on from here",
                quoted(&folder)
            )))
        }
    }
}
