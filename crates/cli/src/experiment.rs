//! From the words on the command line to an experiment.
//!
//! A user may give a table, a folder or a study in place of an experiment file. [`FileKind`] recognises these, so that the
//! error message can name the right command.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use kiln::environment;
use kiln_config::{DIGITS, DataSource, Request, Resolved, Source, resolve};

use crate::commands::files_and_keys;
use crate::failure::Failure;

/// An experiment file with overrides.
#[derive(Debug, Args)]
pub(crate) struct ExperimentArguments {
    /// The experiment file (default: the built-in digits), then `key=value` overrides, such as `optimizer.lr=1e-3` or
    /// `model.hidden=[256]`.
    #[arg(value_name = "FILE | KEY=VALUE", add = ArgValueCompleter::new(files_and_keys))]
    words: Vec<String>,
}

/// A path that a user may give by mistake where an experiment file is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A table of rows and columns.
    Table,
    /// A picture.
    Picture,
    /// A folder, perhaps of pictures or IDX files.
    Folder,
    /// A JSON file.
    Json,
    /// A study's TOML file.
    Study,
}

/// Resolves the file and the overrides of the command line, together with the environment variables.
pub(crate) fn resolved(arguments: &ExperimentArguments) -> Result<Resolved, Failure> {
    if let Some(place) = arguments.words.iter().position(|word| word == "=" || word.ends_with('=')) {
        let word = |at: usize| arguments.words.get(at).map_or("", String::as_str);
        let key =
            word(if word(place) == "=" { place.saturating_sub(1) } else { place }).trim_end_matches('=');
        let value = Some(word(place + 1)).filter(|value| !value.is_empty()).unwrap_or("VALUE");
        return Err(Failure::usage(format!("write a setting without blanks around the =: {key}={value}")));
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
                "give one experiment file only; {second} is a second one (overrides have the form key=value)"
            )));
        }
    };
    Ok(resolve(&Request { source, environment: environment(), overrides })?)
}

/// A question that suggests what the user may mean by the missing `path`, if anything is similar.
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

/// The built-in digits. With another `data.source`: the default settings, under the name of that data.
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

/// A name for an experiment on the data at `path`: the file or folder name without its extensions, in characters that a
/// run folder may have.
pub(crate) fn name_of_data(path: &str) -> Option<String> {
    let file = PathBuf::from(path).file_name()?.to_string_lossy().into_owned();
    let stem = file.trim_start_matches('.').split('.').next()?;
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' };
    let name: String = stem.chars().map(plain).take(60).collect();
    let name = name.trim_matches('-').to_owned();
    (!name.is_empty() && name != "latest").then_some(name)
}

/// A word without `=` must be a file. A word with `=` is a file if one of that name exists.
fn is_file(word: &str) -> bool {
    !word.contains('=') || PathBuf::from(word).is_file()
}

/// Bytes of a file that [`FileKind::of`] reads.
const START: u64 = 4096;

impl FileKind {
    /// The kind of the file at `path`, by its name and its first bytes. `None` if it may be an experiment file or does not exist.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        if path.is_dir() {
            return Some(Self::Folder);
        }
        let mut start = Vec::new();
        // Only regular files: reading from a pipe would consume its content.
        File::open(path).ok().filter(|_| path.is_file())?.take(START).read_to_end(&mut start).ok()?;
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        match extension.as_deref() {
            Some("csv" | "tsv" | "data" | "arff" | "gz" | "parquet" | "xlsx" | "xls") => {
                return Some(Self::Table);
            }
            Some("png" | "jpg" | "jpeg" | "webp" | "bmp" | "gif" | "tif" | "tiff") => {
                return Some(Self::Picture);
            }
            Some("json" | "jsonl") => return Some(Self::Json),
            _ => {}
        }
        let text = String::from_utf8_lossy(&start);
        let lines = || text.lines().map(str::trim);
        if lines().any(|line| line == "[[trial]]" || line == "[axes]" || line.starts_with("[experiment")) {
            return Some(Self::Study);
        }
        let is_toml = lines().any(|line| line.starts_with('[') || line.contains('='));
        if text.trim_start().starts_with('{') {
            return Some(Self::Json);
        }
        let is_row = |line: &str| line.matches([',', ';', '\t']).count() >= 2;
        (!is_toml && lines().take(5).filter(|line| is_row(line)).count() >= 2).then_some(Self::Table)
    }

    /// Whether the sections of the file at `path` are those of an experiment file.
    pub(crate) fn is_experiment(path: &Path) -> bool {
        let text = fs::read_to_string(path).unwrap_or_default();
        let sections = ["[data]", "[model]", "[loss]", "[optimizer]", "[training]"];
        let has = |wanted: &[&str]| text.lines().any(|line| wanted.contains(&line.trim()));
        has(&sections) && !has(&["[experiment]", "[[trial]]", "[[layer]]"])
    }

    /// Tells the user which command takes the file at `path`.
    pub(crate) fn advice(self, path: &Path) -> String {
        let path = path.display();
        match self {
            Self::Table => format!(
                "{path} is a table, not an experiment file; `kiln new {path} --label COLUMN` writes an experiment file for it"
            ),
            Self::Folder => format!(
                "{path} is a folder, not an experiment file; `kiln new {path}` writes an experiment file for the pictures in it"
            ),
            Self::Picture => {
                format!(
                    "{path} is a picture, not an experiment file; `kiln new FOLDER` writes an experiment file for a folder of pictures"
                )
            }
            Self::Json => {
                format!(
                    "{path} is a JSON file; experiment files are TOML (`kiln config show` prints an example)"
                )
            }
            Self::Study => format!("{path} is a study file; run it with `kiln study {path}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_recognised_by_name_and_by_their_first_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let kind = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            FileKind::of(&path)
        };
        assert_eq!(kind("a.csv", "a,b\n"), Some(FileKind::Table));
        assert_eq!(kind("table.txt", "a;b;c\n1;2;3\n4;5;6\n"), Some(FileKind::Table));
        assert_eq!(kind("a.toml", "name = \"a\"\n[data]\nsource = \"digits\"\n"), None);
        assert_eq!(kind("s.toml", "name = \"s\"\n[experiment]\n"), Some(FileKind::Study));
        assert_eq!(kind("x", "{\"a\": 1}"), Some(FileKind::Json));
        assert_eq!(FileKind::of(folder.path()), Some(FileKind::Folder));
        assert_eq!(FileKind::of(&folder.path().join("none")), None);
    }
}
