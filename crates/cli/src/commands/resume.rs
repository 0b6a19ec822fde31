//! `kiln resume`.

use std::fs;
use std::sync::Arc;

use kiln_artifacts::{Provenance, Run};
use kiln_backend::select;
use kiln_config::{Experiment, Request, Source, resolve};
use kiln_data::{Folders, load};

use crate::arguments::Resume;
use crate::build::build;
use crate::commands::session::Session;
use crate::failure::Failure;
use crate::output::say;
use crate::view::DownloadBar;

/// Goes on with a run from its last good checkpoint.
pub(crate) fn resume(arguments: &Resume) -> Result<(), Failure> {
    let run = Run::resolve(&arguments.root.artifacts, &arguments.run)?;
    let experiment = experiment(&run, &arguments.overrides)?;
    let lock = run.lock()?;
    let latest = run.checkpoint_store().latest_good()?;
    for damaged in &latest.damaged {
        say(&format!("warning: {damaged}; going on from the checkpoint before it"));
    }
    if latest.checkpoint.is_none() {
        say("no checkpoint was saved yet: the run starts from the beginning");
    }
    let backend = select(&experiment.backend)?;
    let data =
        load(&experiment.data, experiment.seed, &Folders::from_environment(), &DownloadBar::default())?;
    let mut provenance = Provenance::read(&run)?;
    provenance.add_session(build());
    provenance.write(&run)?;
    let session = Session {
        run,
        lock,
        experiment,
        data: Arc::new(data),
        backend,
        ui: arguments.ui,
        json: arguments.json,
    };
    session.train(latest.checkpoint.as_ref())
}

/// The run's own settings, with overrides; the checkpoint decides which of them may change.
fn experiment(run: &Run, overrides: &[String]) -> Result<Experiment, Failure> {
    let path = run.config_toml();
    let text = fs::read_to_string(&path)
        .map_err(|error| Failure::failed(format!("cannot read {}: {error}", path.display())))?;
    let name = path.display().to_string();
    let experiment = Experiment::from_toml_str(&name, &text)?;
    if overrides.is_empty() {
        return Ok(experiment);
    }
    let source = Source::Text { name, text };
    Ok(resolve(&Request { source, environment: Vec::new(), overrides: overrides.to_vec() })?.experiment)
}
