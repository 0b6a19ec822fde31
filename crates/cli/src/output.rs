//! Results go to stdout, talk goes to stderr. A reader that went away is no error.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use crate::failure::Failure;

/// Prints a result.
pub(crate) fn print(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Prints a result as JSON.
pub(crate) fn print_json(value: &impl Serialize) {
    print(&serde_json::to_string_pretty(value).expect("results are plain data"));
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
    let cut = |cell: &String| match cell.char_indices().nth(WIDEST) {
        Some((end, _)) => format!("{}…", &cell[..end]),
        None => cell.clone(),
    };
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
