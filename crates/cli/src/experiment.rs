//! From the command line's words to an experiment.

use std::path::PathBuf;

use kiln_config::{DIGITS, Request, Resolved, Source, resolve};

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
