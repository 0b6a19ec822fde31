//! From the command line's words to an experiment.

use std::path::{Path, PathBuf};

use kiln_config::{DIGITS, DataSource, Request, Resolved, Source, resolve};

use crate::arguments::ExperimentArguments;
use crate::failure::Failure;
use crate::file_kind::FileKind;

/// Resolves the file and the overrides on the command line, with the environment.
pub(crate) fn resolved(arguments: &ExperimentArguments) -> Result<Resolved, Failure> {
    if let Some(place) = arguments.words.iter().position(|word| word == "=" || word.ends_with('=')) {
        let word = |at: usize| arguments.words.get(at).map_or("", String::as_str);
        let key =
            word(if word(place) == "=" { place.saturating_sub(1) } else { place }).trim_end_matches('=');
        let value = Some(word(place + 1)).filter(|value| !value.is_empty()).unwrap_or("VALUE");
        return Err(Failure::usage(format!("a setting has no blanks around its =: {key}={value}")));
    }
    let (files, overrides): (Vec<String>, Vec<String>) =
        arguments.words.iter().cloned().partition(|word| is_file(word));
    let source = match files.as_slice() {
        [] => without_file(&overrides),
        [file] => {
            let path = PathBuf::from(file);
            if let Some(kind) = FileKind::of(&path) {
                return Err(Failure::usage(kind.advice(&path)));
            }
            if let Some(meant) = meant(&path).filter(|_| !path.exists()) {
                return Err(Failure::usage(meant));
            }
            Source::File(path)
        }
        [_, second, ..] => {
            return Err(Failure::usage(format!(
                "one experiment file at a time: {second} is a second one; an override has the form key=value"
            )));
        }
    };
    Ok(resolve(&Request { source, environment: environment(), overrides })?)
}

/// A question with what the user may mean by `path`, which is not there; none where nothing is like it.
fn meant(path: &Path) -> Option<String> {
    let (shown, name) = (path.display(), path.file_stem().unwrap_or_default().to_string_lossy());
    let file = PathBuf::from("configs").join(format!("{name}.toml"));
    let mut meant: Vec<String> =
        file.is_file().then(|| format!("`kiln train {}`", file.display())).into_iter().collect();
    if toml::Value::from(name.as_ref()).try_into::<DataSource>().is_ok() {
        meant.push(format!("`kiln train data.source={name}`"));
    }
    let words = format!("there is no experiment file {shown}; did you mean {}?", meant.join(" or "));
    (!meant.is_empty()).then_some(words)
}

/// The built-in digits; of another data set the defaults, under the name of the data.
fn without_file(overrides: &[String]) -> Source {
    let value = |key: &str| {
        let given = overrides.iter().rev().filter_map(|word| word.split_once('='));
        let given = given.filter(|(name, _)| name.trim() == key).map(|(_, value)| value.to_owned()).next();
        given.map(|value| value.trim().trim_matches(['"', '\'']).to_owned())
    };
    match value("data.source").or_else(|| std::env::var("KILN_DATA__SOURCE").ok()) {
        Some(source) if source != "digits" => {
            let path = value("data.path").filter(|path| path != "-");
            let name = path.as_deref().and_then(name_of_data).unwrap_or(source);
            Source::Text { name: "the defaults".to_owned(), text: format!("name = {name:?}\n") }
        }
        _ => Source::Text { name: "configs/digits.toml (built in)".to_owned(), text: DIGITS.to_owned() },
    }
}

/// A name for an experiment on the data at `path`: that of the file or folder, without endings, in letters that a run's
/// folder may have.
pub(crate) fn name_of_data(path: &str) -> Option<String> {
    let file = PathBuf::from(path).file_name()?.to_string_lossy().into_owned();
    let stem = file.trim_start_matches('.').split('.').next()?;
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' };
    let name: String = stem.chars().map(plain).take(60).collect();
    let name = name.trim_matches('-').to_owned();
    (!name.is_empty() && name != "latest").then_some(name)
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
