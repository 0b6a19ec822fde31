//! What can be wrong with an experiment, and its message.

use std::path::PathBuf;

use crate::Origin;

/// An experiment that cannot be used: everything found wrong with it, at least one problem.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.problems))]
pub struct ConfigError {
    /// The problems, files first, each file's from top to bottom.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{fault}", prefix(.origin.as_ref()))]
pub struct Problem {
    /// Where the value at fault was given; none where there is no such place (a file that is missing).
    pub origin: Option<Origin>,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong. Every `hint` is empty, or begins with a semicolon and says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A file that could not be read.
    #[error("cannot read `{}`{role}: {reason}{hint}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What it is to the experiment; empty for the experiment file itself.
        role: &'static str,
        /// Why.
        reason: String,
        /// A file with a similar name beside it.
        hint: String,
    },
    /// A base that extends itself, straight or by way of others.
    #[error("`extends` goes round in a circle: {chain}")]
    Circle {
        /// The files, in the order in which they extend each other.
        chain: String,
    },
    /// `extends` where only the file itself may say it.
    #[error("`extends` has no meaning here; only an experiment file can extend another")]
    ExtendsHere,
    /// Text that is no TOML.
    #[error("not valid TOML: {message}, in `{line}`{hint}")]
    Syntax {
        /// What the parser missed.
        message: String,
        /// The line at fault.
        line: String,
        /// What to write instead.
        hint: String,
    },
    /// A key that does not exist.
    #[error("unknown key `{key}`{hint}")]
    UnknownKey {
        /// The key, with its section.
        key: String,
        /// The nearest valid key, or all that are valid there.
        hint: String,
    },
    /// A section that does not exist.
    #[error("unknown section `[{section}]`{hint}")]
    UnknownSection {
        /// The section.
        section: String,
        /// The nearest valid section, or all of them.
        hint: String,
    },
    /// An environment variable that begins as ours do and is none.
    #[error("unknown environment variable `{variable}`{hint}")]
    UnknownVariable {
        /// The variable.
        variable: String,
        /// The nearest valid one.
        hint: String,
    },
    /// A key that has to be given.
    #[error("`{key}` is missing; it has to be {expected}")]
    Missing {
        /// The key.
        key: String,
        /// The type that it has.
        expected: String,
    },
    /// An override that is no `key=value`.
    #[error("expected `key=value`, for example `optimizer.lr=0.01`")]
    Override,
    /// A value of another type.
    #[error("`{key}` must be {expected}, found {found}{hint}")]
    WrongType {
        /// The key.
        key: String,
        /// The type that it has.
        expected: String,
        /// The value given.
        found: String,
        /// What to write instead.
        hint: String,
    },
    /// A value that is none of the names to choose from.
    #[error("`{key}` = {found} is none of {allowed}{hint}")]
    UnknownName {
        /// The key.
        key: String,
        /// The value given.
        found: String,
        /// The names to choose from.
        allowed: String,
        /// The nearest of them.
        hint: String,
    },
    /// A value outside what is allowed.
    #[error("`{key}` = {found} is not allowed; it must be {allowed}")]
    OutOfRange {
        /// The key.
        key: String,
        /// The value given.
        found: String,
        /// What is allowed.
        allowed: String,
    },
    /// A key that does nothing beside the other settings.
    #[error("`{key}` = {found} has no effect {reason}")]
    NoEffect {
        /// The key.
        key: String,
        /// The value given.
        found: String,
        /// The setting that takes its effect away, and what would give it one.
        reason: String,
    },
    /// Values that are each allowed, but not together.
    #[error("{message}{places}")]
    Contradiction {
        /// The values, why they do not fit, and what would.
        message: String,
        /// Where the others of them were given, if elsewhere.
        places: String,
    },
    /// A combination of values that was let through by mistake and that no experiment can hold.
    #[error("cannot be read as an experiment: {message}")]
    Unfit {
        /// What serde says.
        message: String,
    },
}

impl Problem {
    /// What is wrong at a place, in words.
    #[must_use]
    pub fn at(origin: Origin, message: String) -> Self {
        Self::new(origin, Fault::Contradiction { message, places: String::new() })
    }

    /// A fault at a place.
    pub fn new(origin: impl Into<Option<Origin>>, fault: Fault) -> Self {
        Self { origin: origin.into(), fault }
    }
}

impl ConfigError {
    /// The problems of each file from top to bottom, then those of other places, as they were found.
    #[must_use]
    pub fn new(mut problems: Vec<Problem>) -> Self {
        let mut files: Vec<String> = Vec::new();
        for problem in &problems {
            if let Some(Origin::File { name, .. }) = &problem.origin
                && !files.contains(name)
            {
                files.push(name.clone());
            }
        }
        problems.sort_by_key(|problem| match &problem.origin {
            Some(Origin::File { name, line }) => (files.iter().position(|file| file == name), *line),
            _ => (Some(usize::MAX), 0),
        });
        Self { problems }
    }
}

fn prefix(origin: Option<&Origin>) -> String {
    origin.map(|origin| format!("{origin}: ")).unwrap_or_default()
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
