//! From the command line's words to an experiment.

use std::path::{Path, PathBuf, absolute};

use kiln_artifacts::Run;
use kiln_config::{DIGITS, Experiment, Request, Resolved, Source, resolve};

use crate::arguments::ExperimentArguments;
use crate::failure::Failure;

/// Resolves the file and the overrides on the command line, with the environment.
pub(crate) fn resolved(arguments: &ExperimentArguments) -> Result<Resolved, Failure> {
    let (files, overrides): (Vec<String>, Vec<String>) =
        arguments.words.iter().cloned().partition(|word| is_file(word));
    let source = match files.as_slice() {
        [] => Source::Text { name: "configs/digits.toml (built in)".to_owned(), text: DIGITS.to_owned() },
        [file] => Source::File(PathBuf::from(file)),
        [_, second, ..] => {
            return Err(Failure::usage(format!(
                "one experiment file at a time: {second} is a second one; an override has the form key=value"
            )));
        }
    };
    Ok(resolve(&Request { source, environment: environment(), overrides })?)
}

/// The experiment as a run keeps it: its paths name the same data from every working directory. The file as it was
/// written is in the run's `config.input.toml`.
pub(crate) fn with_absolute_paths(experiment: &Experiment) -> Experiment {
    let mut experiment = experiment.clone();
    for path in [&mut experiment.data.path, &mut experiment.data.test_path].into_iter().flatten() {
        *path = absolute_text(path).unwrap_or_else(|| path.clone());
    }
    experiment
}

/// None where there is no working directory any more, or where its name is not text, as a TOML file must be.
fn absolute_text(path: &Path) -> Option<PathBuf> {
    absolute(path).ok().filter(|path| path.to_str().is_some())
}

/// The experiment that `run` was made for.
pub(crate) fn of_run(run: &Run) -> Result<Experiment, Failure> {
    let (name, text) = config_of(run)?;
    Ok(Experiment::from_toml_str(&name, &text)?)
}

/// Name and text of the resolved experiment file of `run`.
pub(crate) fn config_of(run: &Run) -> Result<(String, String), Failure> {
    let path = run.config_toml();
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Failure::failed(format!("cannot read {}: {error}", path.display())))?;
    Ok((path.display().to_string(), text))
}

/// A word without `=` can only be a file; one with it is a file if it names one.
fn is_file(word: &str) -> bool {
    !word.contains('=') || PathBuf::from(word).is_file()
}

/// The environment as text; what is not text cannot be one of Kiln's variables.
pub(crate) fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
