//! Files that are no tables of text, and what they are.

use std::path::Path;

use crate::packed::{OLD_OFFICE, PARQUET, ZIP};
use crate::{Fault, TableError};

/// What a file that begins so is, if it is no table.
pub(crate) fn of_bytes(start: &[u8]) -> Option<&'static str> {
    Some(match start {
        start if start.starts_with(PARQUET) => {
            "a Parquet file; write it as CSV, or build the program with the feature \"parquet\""
        }
        start if start.starts_with(ZIP) => {
            "a ZIP archive or an Excel file; unpack it, save its sheet as CSV, or build the program with the feature \
             \"excel\""
        }
        start if start.starts_with(OLD_OFFICE) => {
            "an Excel file; save its sheet as CSV, or build the program with the feature \"excel\""
        }
        [b'%', b'P', b'D', b'F', ..] => "a PDF document",
        [0x89, b'P', b'N', b'G', ..] | [0xff, 0xd8, 0xff, ..] | [b'G', b'I', b'F', b'8', ..] => {
            "a picture; pictures are read by source \"image-folder\""
        }
        [b'B', b'Z', b'h', ..] => "a bzip2 file; unpack it first",
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "an xz file; unpack it first",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "a Zstandard file; unpack it first",
        [b'S', b'Q', b'L', b'i', b't', b'e', ..] => "an SQLite database; export the table as CSV",
        _ => return None,
    })
}

/// What a text that begins so is, if it is no table.
pub(crate) fn of_text(text: &str) -> Option<&'static str> {
    let start = text.trim_start();
    let lower: String = start.chars().take(15).collect::<String>().to_ascii_lowercase();
    if lower.starts_with("<!doctype html") || lower.starts_with("<html") {
        return Some("a page of HTML, perhaps an error in place of a download");
    }
    if lower.starts_with("<?xml") {
        return Some("an XML document");
    }
    let line = start.lines().next().unwrap_or("").trim_end();
    if (line.starts_with('{') && line.ends_with('}') && line.contains("\":"))
        || start.starts_with("[{")
        || line == "{"
        || line == "["
    {
        return Some("JSON; write it as CSV");
    }
    let is_pair = |word: &str| {
        word.split_once(':')
            .is_some_and(|(index, value)| index.parse::<u32>().is_ok() && value.parse::<f64>().is_ok())
    };
    let mut words = line.split_whitespace();
    let has_label = words.next().is_some_and(|word| word.parse::<f64>().is_ok());
    let pairs = words.clone().count();
    if has_label && pairs > 0 && words.all(is_pair) {
        return Some("a LIBSVM file; write it as CSV");
    }
    None
}

pub(crate) fn refused(path: &Path, kind: &'static str) -> TableError {
    let (found, remedy) = kind.split_once("; ").unwrap_or((kind, ""));
    TableError::unfit("no table", Fault::new(path, "the rows of a table as text", found).remedy(remedy))
}
