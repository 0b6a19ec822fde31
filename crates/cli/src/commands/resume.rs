//! `kiln resume`.

use std::sync::Arc;

use kiln_artifacts::{Provenance, Run, RunState};
use kiln_backend::select;
use kiln_config::{Experiment, Request, Source, resolve};
use kiln_data::{Folders, Profile, load};
use kiln_evaluation::write_profile;
use kiln_training::check_resumable;

use crate::arguments::Resume;
use crate::build::build;
use crate::commands::session::{Session, check_view};
use crate::commands::train::provenance;
use crate::experiment::config_of;
use crate::failure::Failure;
use crate::output::{print, say};
use crate::view::DownloadBar;

/// Goes on with a run from its last good checkpoint.
pub(crate) fn resume(arguments: &Resume) -> Result<(), Failure> {
    let run = Run::resolve(&arguments.root.artifacts, &arguments.run)?;
    let [made_with, experiment] = experiments(&run, &arguments.overrides)?;
    check_view(arguments.manner.ui, &experiment)?;
    let lock = run.lock()?;
    let store = run.checkpoint_store();
    let latest = store.latest_good()?;
    check_resumable(&made_with, latest.checkpoint.as_ref(), &experiment)?;
    if run.status()?.state == RunState::Finished {
        say("the run is finished: there is nothing to go on with");
        print(&run.folder().display().to_string());
        return Ok(());
    }
    store.recover()?;
    for damaged in &latest.damaged {
        say(&format!("warning: {damaged}"));
    }
    match &latest.checkpoint {
        Some(checkpoint) => say(&format!("going on from the checkpoint of step {}", checkpoint.step)),
        None => say("there is no checkpoint to go on from: the run starts from the beginning"),
    }
    let backend = select(&experiment.backend)?;
    let data =
        load(&experiment.data, experiment.seed, &Folders::from_environment(), &DownloadBar::default())?;
    if run.run_json().is_file() {
        let mut provenance = Provenance::read(&run)?;
        provenance.add_session(build());
        provenance.write(&run)?;
    } else {
        // The process that made the run was killed before it had written down where it comes from.
        provenance(&backend, &data, experiment.seed).write(&run)?;
    }
    write_profile(&run, &Profile::of(&data))?;
    let session = Session { run, lock, experiment, data: Arc::new(data), backend };
    session.train(&arguments.manner, latest.checkpoint.as_ref())
}

/// The run's own settings, without and with overrides.
fn experiments(run: &Run, overrides: &[String]) -> Result<[Experiment; 2], Failure> {
    let (name, text) = config_of(run)?;
    let own = Experiment::from_toml_str(&name, &text)?;
    if overrides.is_empty() {
        return Ok([own.clone(), own]);
    }
    let source = Source::Text { name, text };
    let request = Request { source, environment: Vec::new(), overrides: overrides.to_vec() };
    Ok([own, resolve(&request)?.experiment])
}
