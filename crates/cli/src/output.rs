//! Results go to stdout, talk goes to stderr. A closed pipe is not an error; a full disk is.

use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use kiln_files::shortened;
use serde::Serialize;

use crate::failure::Failure;

/// Why a result could not be written, the first time.
static UNWRITTEN: OnceLock<io::Error> = OnceLock::new();
/// Whether any result was printed.
static HAS_PRINTED: AtomicBool = AtomicBool::new(false);

/// Prints a result.
pub(crate) fn print(text: &str) {
    HAS_PRINTED.store(true, Ordering::Relaxed);
    let mut out = io::stdout().lock();
    if let Err(cause) = writeln!(out, "{text}").and_then(|()| out.flush())
        && cause.kind() != ErrorKind::BrokenPipe
    {
        // Of several, the first says why.
        let _ = UNWRITTEN.set(cause);
    }
}

/// Whether any result was printed.
pub(crate) fn has_printed() -> bool {
    HAS_PRINTED.load(Ordering::Relaxed)
}

/// That some result could not be written, if so.
pub(crate) fn check_written() -> Result<(), Failure> {
    match UNWRITTEN.get() {
        Some(cause) => Err(Failure::failed(format!("cannot write the result to standard output: {cause}"))),
        None => Ok(()),
    }
}

/// Prints a result as JSON.
pub(crate) fn print_json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => print(&text),
        // A path that is not UTF-8.
        Err(cause) => {
            let _ = UNWRITTEN.set(io::Error::other(format!("{cause} (JSON holds no other)")));
        }
    }
}

/// Tells the user something.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// A file of the user's own choice that cannot be written.
pub(crate) fn unwritable(path: &Path, cause: &io::Error) -> Failure {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => Failure::usage(format!(
            "cannot write {}: there is no folder {}",
            path.display(),
            folder.display()
        )),
        _ => Failure::failed(format!("cannot write {}: {cause}", path.display())),
    }
}

/// The most characters of a cell that [`table`] shows.
const WIDEST: usize = 200;

/// Rows as columns of equal width, two spaces apart. Cells that no terminal could show are cut.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let cut = |cell: &String| shortened(cell, WIDEST);
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(cut).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect();
    lines.join("\n")
}

/// A word as a shell takes it.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}
