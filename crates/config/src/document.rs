//! A TOML text: reading it from a file, its table, its lines, and messages about its syntax.
//!
//! Public because a study's file is made of tables that it reads by itself.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::problem::nearest_word;
use crate::{ConfigError, ConfigFault, Origin, Problem};

/// The longest part of a line that a message repeats, in characters.
const LONGEST_EXCERPT: usize = 60;

/// More than any experiment file has. Without a limit, a data file would take minutes, and a device would never end.
const LARGEST: u64 = 16 * 1024 * 1024;

/// A named TOML text.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
    /// Offset of each line's first byte.
    starts: Vec<usize>,
}

/// The text of a configuration file.
///
/// # Errors
/// If the file is missing, a folder, larger than 16 MiB or not UTF-8, or the system refuses to read it.
pub fn read_text(path: &Path) -> Result<String, ConfigError> {
    read_file(path).map_err(|fault| ConfigError::new(vec![Problem::new(None, fault)]))
}

impl<'a> Document<'a> {
    /// A text. Messages call it by `name`.
    #[must_use]
    pub fn new(name: &'a str, text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { name, text, starts }
    }

    /// The text as a table.
    ///
    /// # Errors
    /// Every line that is not valid TOML, from top to bottom.
    pub fn table(&self) -> Result<DeTable<'a>, Vec<Problem>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        if errors.is_empty() {
            return Ok(table.into_inner());
        }
        let mut problems: Vec<_> = errors.iter().map(|error| self.syntax(error)).collect();
        problems.sort_by_key(|(line, _)| *line);
        // Further errors in a line are often consequences of its first one.
        problems.dedup_by_key(|(line, _)| *line);
        Err(problems.into_iter().map(|(_, problem)| problem).collect())
    }

    /// The file and line of a part of the text.
    #[must_use]
    pub fn origin(&self, span: &Range<usize>) -> Origin {
        Origin::File { name: self.name.to_owned(), line: self.line(span.start) }
    }

    fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    fn syntax(&self, error: &toml::de::Error) -> (usize, Problem) {
        let span = error.span().unwrap_or_default();
        let line = self.line(span.start);
        let text = self.text.lines().nth(line - 1).unwrap_or_default();
        let fault = syntax_fault(error.message(), text);
        (line, Problem::new(self.origin(&span), fault))
    }
}

pub(crate) fn read_file(path: &Path) -> Result<String, ConfigFault> {
    let bytes = bytes(path).map_err(|error| unreadable(path, &reason(path, &error)))?;
    if bytes.len() as u64 > LARGEST {
        return Err(unreadable(path, "it is larger than 16 MiB, too large for an experiment file"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = String::from_utf8_lossy(&error.as_bytes()[..at]).matches('\n').count() + 1;
        unreadable(path, &format!("it is not UTF-8 text (line {line}, byte {at})"))
    })
}

/// The problem with `line`. Common mistakes have a message of our own, all others have the parser's.
pub(crate) fn syntax_fault(message: &str, line: &str) -> ConfigFault {
    let line = line.trim();
    let (message, hint) = unquoted(message, line)
        .or_else(|| yaml(line))
        .unwrap_or_else(|| (message.replace("duplicate key", "duplicate key or section"), String::new()));
    ConfigFault::Syntax { message, line: excerpt(line), hint }
}

/// Text without quotes.
fn unquoted(message: &str, line: &str) -> Option<(String, String)> {
    let quotes_help =
        message.starts_with("string values must be quoted") || message.starts_with("invalid boolean");
    let (key, value) = line.split_once('=').filter(|_| quotes_help)?;
    let (key, value) = (excerpt(key.trim()), before_comment(value));
    match value {
        "" => Some(("a key without a value".to_owned(), String::new())),
        "True" | "False" => {
            Some((format!("`{value}` is not a value"), format!("; write {key} = {}", value.to_lowercase())))
        }
        _ if value.chars().all(|c| c.is_alphanumeric() || "-_./".contains(c)) => {
            Some(("text without quotes".to_owned(), format!("; write {key} = \"{}\"", excerpt(value))))
        }
        _ => None,
    }
}

/// `key: value`, which is YAML.
fn yaml(line: &str) -> Option<(String, String)> {
    let (key, value) = line.split_once(':').filter(|(key, _)| !key.contains(['=', '"', '#', '[']))?;
    let key = excerpt(key.trim());
    let hint = match before_comment(value) {
        "" => format!("; a section is written [{key}]"),
        value => format!("; write {key} = {}", excerpt(value)),
    };
    Some(("a key without `=`".to_owned(), hint))
}

fn before_comment(value: &str) -> &str {
    value.split('#').next().unwrap_or_default().trim()
}

/// The beginning of a text, on one line.
pub(crate) fn excerpt(text: &str) -> String {
    let mut letters = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let start: String = letters.by_ref().take(LONGEST_EXCERPT).collect();
    if letters.next().is_some() { format!("{start}...") } else { start }
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn reason(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound if !folder(path).is_dir() => {
            format!("there is no folder `{}`", folder(path).display())
        }
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder, not a file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

fn unreadable(path: &Path, reason: &str) -> ConfigFault {
    let hint = similar(path).filter(|_| reason == "no such file");
    let hint = hint.map(|similar| format!("; did you mean `{}`?", similar.display())).unwrap_or_default();
    ConfigFault::Unreadable { path: path.to_owned(), role: "", reason: reason.to_owned(), hint }
}

/// The file in the same folder with the most similar name.
fn similar(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let names: Vec<String> = folder(path)
        .read_dir()
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|other| Path::new(other).extension().is_some_and(|extension| extension == "toml"))
        .collect();
    let stems = names.iter().map(|name| name.trim_end_matches(".toml"));
    let stem = nearest_word(name.trim_end_matches(".toml"), stems)?;
    Some(path.with_file_name(format!("{stem}.toml")))
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}
