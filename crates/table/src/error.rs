//! Errors of this crate, and how messages show text that comes from files.

use std::path::PathBuf;
use std::{fmt, io};

/// The kind of error of a table without the column of the class.
pub const NO_LABEL_COLUMN: &str = "no label column";

/// Why a table cannot be read or prepared.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The operating system could not read a file.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file or a setting is not as expected.
    #[error("{kind}: {mismatch}")]
    Unfit {
        /// A short description of the problem.
        kind: &'static str,
        /// Where it is, what was expected and what was found.
        mismatch: Box<Mismatch>,
    },
}

impl TableError {
    pub(crate) fn unfit(kind: &'static str, mismatch: Box<Mismatch>) -> Self {
        Self::Unfit { kind, mismatch }
    }
}

/// The difference between what was expected at some place and what was found there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The file or folder; empty if the problem is in the configuration.
    pub path: PathBuf,
    /// The position in the file (line and column, byte) or the configuration key; may be empty.
    pub place: String,
    /// The expected content.
    pub expected: String,
    /// The actual content.
    pub found: String,
    /// How to fix it; may be empty.
    pub remedy: String,
}

impl Mismatch {
    /// A mismatch in the file or folder `path`.
    pub fn new(path: impl Into<PathBuf>, expected: impl Into<String>, found: impl Into<String>) -> Box<Self> {
        Box::new(Self {
            path: path.into(),
            place: String::new(),
            expected: expected.into(),
            found: found.into(),
            remedy: String::new(),
        })
    }

    /// A mismatch in the value of the configuration key `key`.
    pub fn in_key(key: &str, expected: impl Into<String>, found: impl Into<String>) -> Box<Self> {
        Self::new("", expected, found).place(key)
    }

    /// Sets the position.
    #[must_use]
    pub fn place(mut self: Box<Self>, place: impl Into<String>) -> Box<Self> {
        self.place = place.into();
        self
    }

    /// Sets the remedy.
    #[must_use]
    pub fn remedy(mut self: Box<Self>, remedy: impl Into<String>) -> Box<Self> {
        self.remedy = remedy.into();
        self
    }
}

impl fmt::Display for Mismatch {
    /// One line without control characters, which file names may contain.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display().to_string();
        let places: Vec<&str> = [&*path, &self.place].into_iter().filter(|place| !place.is_empty()).collect();
        let Self { expected, found, remedy, .. } = self;
        let text = format!("{}: expected {expected}, found {found}", places.join(", "));
        f.write_str(&escaped(&text))?;
        if remedy.is_empty() { Ok(()) } else { write!(f, "; {}", escaped(remedy)) }
    }
}

/// Messages show at most this many characters of a text from a file.
const SHOWN: usize = 80;

/// `text` with its control characters escaped, because a terminal would execute them.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// `text` in quotes, shortened to 80 characters, with its control characters escaped.
#[must_use]
pub fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(SHOWN).collect();
    let mut shown = escaped(&cut);
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    format!("\"{shown}\"")
}

/// The first `most` of `names` in quotes, and the number of the others.
#[must_use]
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>, most: usize) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let mut words: Vec<String> = names.iter().take(most).map(|name| quoted(name)).collect();
    if names.len() > most {
        words.push(format!("and {} more", names.len() - most));
    }
    words.join(", ")
}

/// "1 picture" or "2 pictures".
#[must_use]
pub fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_long_texts_are_cut() {
        assert_eq!(quoted("cat\u{1b}[31m\n"), "\"cat\\u{1b}[31m\\n\"");
        assert_eq!(quoted(&"ä".repeat(81)), format!("\"{}…\"", "ä".repeat(80)));
    }

    #[test]
    fn names_beyond_the_first_are_counted() {
        assert_eq!(listed(["a", "b"], 2), "\"a\", \"b\"");
        assert_eq!(listed(["a", "b", "c", "d"], 2), "\"a\", \"b\", and 2 more");
    }
}
