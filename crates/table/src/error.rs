//! Errors of this crate, and text from files as messages show it.

use std::path::PathBuf;
use std::{fmt, io};

/// Why a table cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The operating system refused to read a file.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file or a setting that is not what it should be.
    #[error("{kind}: {fault}")]
    Unfit {
        /// What is wrong, in a few words.
        kind: &'static str,
        /// Where, and how.
        fault: Box<Fault>,
    },
}

impl TableError {
    pub(crate) fn unfit(kind: &'static str, fault: Box<Fault>) -> Self {
        Self::Unfit { kind, fault }
    }
}

/// Where data is at fault, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file or folder; empty when the fault lies in the configuration.
    pub path: PathBuf,
    /// The place in the file (a line and column, a byte) or the configuration key; may be empty.
    pub place: String,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// What to do about it; may be empty.
    pub remedy: String,
}

impl Fault {
    /// A fault in the file or folder `path`.
    pub fn new(path: impl Into<PathBuf>, expected: impl Into<String>, found: impl Into<String>) -> Box<Self> {
        Box::new(Self {
            path: path.into(),
            place: String::new(),
            expected: expected.into(),
            found: found.into(),
            remedy: String::new(),
        })
    }

    /// A fault in the value of the configuration key `key`.
    pub fn in_key(key: &str, expected: impl Into<String>, found: impl Into<String>) -> Box<Self> {
        Self::new("", expected, found).place(key)
    }

    /// The same, at `place`.
    #[must_use]
    pub fn place(mut self: Box<Self>, place: impl Into<String>) -> Box<Self> {
        self.place = place.into();
        self
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn remedy(mut self: Box<Self>, remedy: impl Into<String>) -> Box<Self> {
        self.remedy = remedy.into();
        self
    }
}

impl fmt::Display for Fault {
    /// On one line, without control characters: names of files may have some.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display().to_string();
        let places: Vec<&str> = [&*path, &self.place].into_iter().filter(|place| !place.is_empty()).collect();
        let Self { expected, found, remedy, .. } = self;
        let text = format!("{}: expected {expected}, found {found}", places.join(", "));
        f.write_str(&escaped(&text))?;
        if remedy.is_empty() { Ok(()) } else { write!(f, "; {}", escaped(remedy)) }
    }
}

/// The most characters of a text from a file that a message shows.
const SHOWN: usize = 80;

/// `text` without control characters, which a terminal would obey.
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

/// `text` in quotes, shortened, with control characters written out: no byte of a file reaches a terminal as it is.
#[must_use]
pub fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(SHOWN).collect();
    let mut shown = escaped(&cut);
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    format!("\"{shown}\"")
}

/// `names` in quotes, the first `most` of them and how many more there are.
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
    fn what_a_terminal_would_obey_is_escaped_and_what_is_long_is_cut() {
        assert_eq!(quoted("cat\u{1b}[31m\n"), "\"cat\\u{1b}[31m\\n\"");
        assert_eq!(quoted(&"ä".repeat(81)), format!("\"{}…\"", "ä".repeat(80)));
    }

    #[test]
    fn names_beyond_the_first_are_counted() {
        assert_eq!(listed(["a", "b"], 2), "\"a\", \"b\"");
        assert_eq!(listed(["a", "b", "c", "d"], 2), "\"a\", \"b\", and 2 more");
    }
}
