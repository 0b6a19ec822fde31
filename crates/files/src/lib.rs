//! Files that survive a crash, SHA-256, and values as JSON and CSV text.
//!
//! `replacement` writes files completely or not at all; `disk` has the system calls behind it and a disk that fails on
//! purpose, for tests. This crate does not depend on other Kiln crates, nor on the content of a file.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot set itself up must panic"))]

mod disk;
mod replacement;

use std::error::Error;

use serde::Serialize;
use sha2::{Digest, Sha256};

pub use disk::{Disk, FailingDisk, Failure, SystemDisk};
pub use replacement::{FileError, Replacement, create_file, remove_leftovers, replace_file, replace_file_on};

/// A running SHA-256.
#[derive(Clone, Debug, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Adds these bytes.
    pub fn update(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.update(bytes.as_ref());
    }

    /// The hash as 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The SHA-256 of `bytes` as 64 lower-case hexadecimal digits.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    let mut hasher = Hasher::default();
    hasher.update(bytes);
    hasher.finish()
}

/// The SHA-256 of `bytes` as bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// `value` as indented JSON, ending in a line break.
///
/// # Panics
/// If JSON cannot express it, for example a map whose keys are not text.
#[must_use]
pub fn json_text(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("plain data can be written as JSON");
    text.push(b'\n');
    text
}

/// The rows as CSV with quotes where necessary and `\n` after each line.
#[must_use]
pub fn csv_text(rows: impl IntoIterator<Item = Vec<String>>) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).expect("writing to a vector does not fail");
    }
    writer.into_inner().expect("writing to a vector does not fail")
}

/// The messages of `error` and of each cause, on one line: `cannot write x: permission denied`.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// One CSV cell, in quotes if necessary, without a line break.
#[must_use]
pub fn csv_cell(text: &str) -> Vec<u8> {
    let mut cell = csv_text([vec![text.to_owned()]]);
    cell.pop();
    cell
}

/// The first `most` characters of `text`, with an ellipsis if there are more.
#[must_use]
pub fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_the_hash_that_the_standard_gives() {
        // FIPS 180-4, example B.1.
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn a_text_in_pieces_has_the_hash_of_the_whole_text() {
        let mut hasher = Hasher::default();
        hasher.update(b"a");
        hasher.update(b"bc");
        assert_eq!(hasher.finish(), sha256_hex(b"abc"));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(["äöü", "äöüß"].map(|text| shortened(text, 3)), ["äöü", "äöü…"]);
    }

    #[test]
    fn cells_are_quoted_where_necessary() {
        let cells = ["plain", "a,b", "say \"hi\"", ""].map(|text| String::from_utf8(csv_cell(text)).unwrap());
        assert_eq!(cells, ["plain", "\"a,b\"", "\"say \"\"hi\"\"\"", "\"\""]);
    }
}
