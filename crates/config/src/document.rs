//! A TOML text: its table, its lines, and what is wrong with its syntax.
//!
//! Public because a study's file is read with the same care, and part of it is an experiment's.

use std::ops::Range;

use toml::de::DeTable;

use crate::{Fault, Origin, Problem};

/// A named TOML text.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
    /// Offset of each line's first byte.
    starts: Vec<usize>,
}

/// The longest part of a line that a message repeats, in characters.
const LONGEST_EXCERPT: usize = 60;

impl<'a> Document<'a> {
    /// A text, with the name that messages call it by.
    #[must_use]
    pub fn new(name: &'a str, text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { name, text, starts }
    }

    /// The table that the text holds.
    ///
    /// # Errors
    /// Every place where the text is no TOML, from top to bottom, one per line.
    pub fn table(&self) -> Result<DeTable<'a>, Vec<Problem>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        if errors.is_empty() {
            return Ok(table.into_inner());
        }
        let mut problems: Vec<_> = errors.iter().map(|error| self.syntax(error)).collect();
        problems.sort_by_key(|(line, _)| *line);
        // What follows the first mistake of a line is often nothing but its consequence.
        problems.dedup_by_key(|(line, _)| *line);
        Err(problems.into_iter().map(|(_, problem)| problem).collect())
    }

    /// The place of a part of the text.
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

/// What is wrong with `line`: the commonest mistakes in our words, all others in the parser's.
pub(crate) fn syntax_fault(message: &str, line: &str) -> Fault {
    let line = line.trim();
    let (message, hint) = unquoted(message, line).or_else(|| yaml(line)).unwrap_or_else(|| {
        (message.replace("duplicate key", "a key or section given before"), String::new())
    });
    Fault::Syntax { message, line: excerpt(line), hint }
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
            Some((format!("`{value}` is no value"), format!("; write {key} = {}", value.to_lowercase())))
        }
        _ if value.chars().all(|c| c.is_alphanumeric() || "-_./".contains(c)) => {
            Some(("text without quotes".to_owned(), format!("; write {key} = \"{}\"", excerpt(value))))
        }
        _ => None,
    }
}

/// `key: value`, as YAML has it.
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
