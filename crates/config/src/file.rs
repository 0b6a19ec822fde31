//! Reads a named file, or says what stands in the way.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::{ConfigError, Fault, Problem, nearest};

/// More than any experiment file has; devices and data files never end or take minutes.
const LARGEST: u64 = 16 * 1024 * 1024;

/// The text of a configuration file.
///
/// # Errors
/// If it is missing, a folder, larger than 16 MiB, not UTF-8, or the system refuses it.
pub fn read_text(path: &Path) -> Result<String, ConfigError> {
    read(path).map_err(|fault| ConfigError::new(vec![Problem::new(None, fault)]))
}

/// The file's text.
///
/// # Errors
/// If it is missing, a folder, larger than 16 MiB, not UTF-8, or the system refuses it.
pub(crate) fn read(path: &Path) -> Result<String, Fault> {
    let bytes = bytes(path).map_err(|error| unreadable(path, &reason(path, &error)))?;
    if bytes.len() as u64 > LARGEST {
        return Err(unreadable(path, "it is larger than 16 MiB, which no experiment file is"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = String::from_utf8_lossy(&error.as_bytes()[..at]).matches('\n').count() + 1;
        unreadable(path, &format!("it is not UTF-8 text (line {line}, byte {at})"))
    })
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

fn unreadable(path: &Path, reason: &str) -> Fault {
    let hint = similar(path).filter(|_| reason == "no such file");
    let hint = hint.map(|similar| format!("; did you mean `{}`?", similar.display())).unwrap_or_default();
    Fault::Unreadable { path: path.to_owned(), role: "", reason: reason.to_owned(), hint }
}

/// The file beside `path` whose name is most like its own.
fn similar(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let names: Vec<String> = folder(path)
        .read_dir()
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|other| Path::new(other).extension().is_some_and(|extension| extension == "toml"))
        .collect();
    let stems = names.iter().map(|name| name.trim_end_matches(".toml"));
    let stem = nearest::word(name.trim_end_matches(".toml"), stems)?;
    Some(path.with_file_name(format!("{stem}.toml")))
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}
