//! `kiln train`.

use std::sync::Arc;

use kiln_artifacts::{DataFile, Dataset, Provenance, ProvenanceInputs, Run, RunInputs};
use kiln_backend::{Selected, select};
use kiln_data::{DataSet, Folders, Profile, load};
use kiln_evaluation::write_profile;

use crate::arguments::Train;
use crate::build::build;
use crate::commands::session::{Session, check_view};
use crate::experiment::{resolved, with_absolute_paths};
use crate::failure::Failure;
use crate::output::say;
use crate::view::DownloadBar;

/// Trains an experiment in a run folder of its own, tests it and prints the folder.
pub(crate) fn train(arguments: &Train) -> Result<(), Failure> {
    let resolved = resolved(&arguments.experiment)?;
    let experiment = resolved.experiment.clone();
    check_view(arguments.manner.ui, &experiment)?;
    let backend = select(&experiment.backend)?;
    let data =
        load(&experiment.data, experiment.seed, &Folders::from_environment(), &DownloadBar::default())?;
    kiln_training::check(&experiment, &data)?;
    // After loading: what is wrong with the data is said of the paths as they were written.
    let experiment = with_absolute_paths(&experiment);
    let inputs = RunInputs {
        resolved_toml: &experiment.to_toml(),
        input_toml: &resolved.input,
        overrides: &resolved.overrides,
    };
    let run = Run::create(&arguments.root.artifacts, &experiment.name, &inputs)?;
    let lock = run.lock()?;
    provenance(&backend, &data, experiment.seed).write(&run)?;
    write_profile(&run, &Profile::of(&data))?;
    say(&format!("{} on {}: {}", backend.name, backend.adapter, backend.reason));
    let session = Session { run, lock, experiment, data: Arc::new(data), backend };
    session.train(&arguments.manner, None)
}

pub(super) fn provenance(backend: &Selected, data: &DataSet, seed: u64) -> Provenance {
    let files = data
        .files
        .iter()
        .map(|file| DataFile { name: file.name.clone(), bytes: file.bytes, sha256: file.sha256.clone() })
        .collect();
    Provenance::collect(ProvenanceInputs {
        build: build(),
        backend: backend.name.to_string(),
        adapter: Some(backend.adapter.clone()),
        threads: backend.threads,
        dataset: Dataset { name: data.name.clone(), sha256: data.sha256.clone(), files },
        seed,
    })
}
