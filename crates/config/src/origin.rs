//! Where a value comes from.

use std::fmt;

use crate::layers::PRESET;

/// Where a value of the resolved experiment comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The built-in default.
    Default,
    /// An experiment file, or a base that it extends.
    File {
        /// The file, as it was named.
        name: String,
        /// Line, from 1.
        line: usize,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
    /// A `key=value` on the command line.
    CommandLine {
        /// The whole argument.
        text: String,
    },
}

impl Origin {
    /// True for anything but a built-in default.
    #[must_use]
    pub fn is_given(&self) -> bool {
        *self != Self::Default
    }

    /// True for a value of a base that is built in.
    pub(crate) fn is_of_preset(&self) -> bool {
        matches!(self, Self::File { name, .. } if name.starts_with(PRESET))
    }

    /// The place as a message about `other` names it: within one file, the line alone.
    pub(crate) fn seen_from(&self, other: &Self) -> String {
        match (self, other) {
            (Self::File { name, line }, Self::File { name: here, .. }) if name == here => {
                format!("line {line}")
            }
            _ => self.to_string(),
        }
    }
}

/// The place, as messages and `config show` name it. Control characters are left out: they could end a comment.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { name, line } => write!(f, "{}:{line}", one_line(name)),
            Self::Environment { variable } => write!(f, "environment {}", one_line(variable)),
            Self::CommandLine { text } => write!(f, "command line `{}`", one_line(text)),
        }
    }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
