//! From files and overrides to an experiment.

use std::path::{Path, PathBuf, absolute};

use kiln_artifacts::Run;
use kiln_config::{Experiment, Request, Resolved, Source, resolve};

use crate::Error;

/// The experiment in the file at `path` under `overrides` of the form `key=value`, with `KILN_...` variables between
/// the two.
///
/// # Errors
/// With every mistake at once, each with its place.
pub fn experiment(path: impl AsRef<Path>, overrides: &[&str]) -> Result<Resolved, Error> {
    let overrides = overrides.iter().map(|&text| text.to_owned()).collect();
    let source = Source::File(path.as_ref().to_owned());
    Ok(resolve(&Request { source, environment: environment(), overrides })?)
}

/// The experiment that `run` was made for.
///
/// # Errors
/// Where its file cannot be read or is wrong.
pub fn of_run(run: &Run) -> Result<Experiment, Error> {
    let (name, text) = config_of(run)?;
    Ok(Experiment::from_toml_str(&name, &text)?)
}

/// Name and text of the resolved experiment file of `run`.
///
/// # Errors
/// Where it cannot be read.
pub fn config_of(run: &Run) -> Result<(String, String), Error> {
    let path = run.config_toml();
    let name = path.display().to_string();
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok((name, text)),
        Err(cause) => Err(Error::Read { path: name, cause }),
    }
}

/// The run's own settings, without and with overrides.
pub(crate) fn with_overrides(run: &Run, overrides: &[String]) -> Result<[Experiment; 2], Error> {
    let (name, text) = config_of(run)?;
    let own = Experiment::from_toml_str(&name, &text)?;
    if overrides.is_empty() {
        return Ok([own.clone(), own]);
    }
    let source = Source::Text { name, text };
    let request = Request { source, environment: Vec::new(), overrides: overrides.to_vec() };
    Ok([own, resolve(&request)?.experiment])
}

/// The experiment as a run keeps it: its paths name the same data from every working directory. The file as it was
/// written is in the run's `config.input.toml`.
pub(crate) fn with_absolute_paths(experiment: &Experiment) -> Experiment {
    let mut experiment = experiment.clone();
    let data = &mut experiment.data;
    let paths = [&mut data.path, &mut data.test_path, &mut data.validation_path];
    for path in paths.into_iter().flatten().filter(|path| *path != Path::new("-")) {
        *path = absolute_text(path).unwrap_or_else(|| path.clone());
    }
    experiment
}

/// None where there is no working directory any more, or where its name is not text, as a TOML file must be.
fn absolute_text(path: &Path) -> Option<PathBuf> {
    absolute(path).ok().filter(|path| path.to_str().is_some())
}

/// The environment as text; what is not text cannot be one of Kiln's variables.
fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
