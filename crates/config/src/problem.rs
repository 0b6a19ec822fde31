//! What can be wrong with an experiment: the kinds of problems, their origins and messages, and suggestions for
//! misspelt names.

use std::fmt;
use std::path::PathBuf;

use crate::keys::{Choice, Key, Keys, split};

/// An experiment that cannot be used, with all its problems (at least one).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.problems))]
pub struct ConfigError {
    /// The problems: those in files first, from top to bottom of each file.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{fault}", prefix(.origin.as_ref()))]
pub struct Problem {
    /// Where the value with the problem comes from; `None` if there is no such value (a file is missing).
    pub origin: Option<Origin>,
    /// What is wrong.
    pub fault: ConfigFault,
}

/// What is wrong. A `hint` is empty, or begins with a semicolon and says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigFault {
    /// A file cannot be read.
    #[error("cannot read `{}`{role}: {reason}{hint}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// How the experiment uses it; empty for the experiment file itself.
        role: &'static str,
        /// Why.
        reason: String,
        /// A file with a similar name beside it.
        hint: String,
    },
    /// A file extends itself, directly or through others.
    #[error("`extends` leads back to the same file: {chain}")]
    Circle {
        /// The files, in the order in which they extend each other.
        chain: String,
    },
    /// `extends` outside of an experiment file.
    #[error("`extends` has no meaning here; only an experiment file can extend another")]
    ExtendsHere,
    /// The text is not valid TOML.
    #[error("not valid TOML: {message}, in `{line}`{hint}")]
    Syntax {
        /// The parser's message, or ours.
        message: String,
        /// The line.
        line: String,
        /// What to write instead.
        hint: String,
    },
    /// There is no such key.
    #[error("unknown key `{key}`{hint}")]
    UnknownKey {
        /// The key, with its section.
        key: String,
        /// The most similar key, or all keys that are valid there.
        hint: String,
    },
    /// There is no such section.
    #[error("unknown section `[{section}]`{hint}")]
    UnknownSection {
        /// The section.
        section: String,
        /// The most similar section, or all of them.
        hint: String,
    },
    /// A variable that begins with `KILN_` does not name a key.
    #[error("unknown environment variable `{variable}`{hint}")]
    UnknownVariable {
        /// The variable.
        variable: String,
        /// The most similar variable.
        hint: String,
    },
    /// A required key is missing.
    #[error("`{key}` is missing; it must be {expected}")]
    Missing {
        /// The key.
        key: String,
        /// Its type.
        expected: String,
    },
    /// An override is not of the form `key=value`.
    #[error("expected `key=value`, for example `optimizer.lr=0.01`")]
    Override,
    /// A value has the wrong type.
    #[error("`{key}` must be {expected}, found {found}{hint}")]
    WrongType {
        /// The key.
        key: String,
        /// Its type.
        expected: String,
        /// The value given.
        found: String,
        /// What to write instead.
        hint: String,
    },
    /// A value is not one of the names to choose from.
    #[error("`{key}` = {found} is not one of {allowed}{hint}")]
    UnknownName {
        /// The key.
        key: String,
        /// The value given.
        found: String,
        /// The names to choose from.
        allowed: String,
        /// The most similar name.
        hint: String,
    },
    /// A value is outside of its range.
    #[error("`{key}` = {found} is not allowed; it must be {allowed}")]
    OutOfRange {
        /// The key.
        key: String,
        /// The value given.
        found: String,
        /// The allowed values.
        allowed: String,
    },
    /// A key has no effect because of the value of another key.
    #[error("`{key}` = {found} has no effect {reason}")]
    NoEffect {
        /// The key.
        key: String,
        /// The value given.
        found: String,
        /// The other key with its value, and the value that is needed.
        reason: String,
    },
    /// Values are allowed one by one, but not together.
    #[error("{message}{other_origins}")]
    Contradiction {
        /// The values, why they do not fit, and what to write instead.
        message: String,
        /// The origins of the other values in words, if they are elsewhere.
        other_origins: String,
    },
    /// Validation accepted values that the Rust type does not: an error in Kiln.
    #[error("cannot be read as an experiment: {message}")]
    Unfit {
        /// Serde's message.
        message: String,
    },
}

impl Problem {
    /// A problem with the value from `origin`, with a message of the caller's.
    #[must_use]
    pub fn at(origin: Origin, message: String) -> Self {
        Self::new(origin, ConfigFault::Contradiction { message, other_origins: String::new() })
    }

    /// A problem with the value from `origin`.
    pub fn new(origin: impl Into<Option<Origin>>, fault: ConfigFault) -> Self {
        Self { origin: origin.into(), fault }
    }
}

impl ConfigError {
    /// Sorts the problems: each file's from top to bottom, then those of other origins in the order given.
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

/// Prefix of a built-in base's name in an [`Origin`].
pub(crate) const PRESET: &str = "preset ";

/// Where a value of an experiment comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The built-in default.
    Default,
    /// An experiment file, or a base that it extends.
    File {
        /// The file as the user named it.
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
    /// True unless it is a built-in default.
    #[must_use]
    pub fn is_given(&self) -> bool {
        *self != Self::Default
    }

    /// True for a value from a built-in base.
    pub(crate) fn is_of_preset(&self) -> bool {
        matches!(self, Self::File { name, .. } if name.starts_with(PRESET))
    }

    /// The origin in words, for a message about `other`: only the line, if both are in the same file.
    pub(crate) fn seen_from(&self, other: &Self) -> String {
        match (self, other) {
            (Self::File { name, line }, Self::File { name: here, .. }) if name == here => {
                format!("line {line}")
            }
            _ => self.to_string(),
        }
    }
}

/// The origin as messages and `config show` name it. Control characters become spaces: `config show` writes the origin
/// into a comment, which a line break would end.
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

/// `a`, `a or b`, `a, b or c`, where `conjunction` is `or`.
#[must_use]
pub fn listed(words: impl IntoIterator<Item = String>, conjunction: &str) -> String {
    let mut words: Vec<String> = words.into_iter().collect();
    let Some(last) = words.pop() else { return String::new() };
    if words.is_empty() { last } else { format!("{} {conjunction} {last}", words.join(", ")) }
}

/// From this similarity on, a suggestion helps more than it misleads. Found by trial on the typos of the tests.
const SIMILAR: f64 = 0.8;

/// The keys that `path` may have meant, the best first, at most three.
pub(crate) fn nearest_keys<'k>(table: &'k Keys, path: &str) -> Vec<&'k str> {
    let (section, leaf) = split(path);
    let leaf = plain(leaf.rsplit('.').next().unwrap_or(leaf));
    let section = table
        .section(section)
        .map(|known| known.name.as_str())
        .or_else(|| nearest_section(table, section))
        .unwrap_or("");
    if let Some(key) = table.of_section(section).find(|key| key.leaf() == leaf) {
        return vec![&key.path];
    }
    let elsewhere: Vec<&str> =
        table.keys.iter().filter(|key| key.leaf() == leaf).map(|key| key.path.as_str()).collect();
    if (1..=3).contains(&elsewhere.len()) {
        return elsewhere;
    }
    let beside = table.of_section(section).collect::<Vec<_>>();
    other_name(table, section, &leaf)
        .or_else(|| most_similar(&leaf, &beside))
        .or_else(|| most_similar(&leaf, &table.keys.iter().collect::<Vec<_>>()))
        .into_iter()
        .collect()
}

/// The section that `name` may have meant.
pub(crate) fn nearest_section<'k>(table: &'k Keys, name: &str) -> Option<&'k str> {
    let name = plain(name);
    let known = table.sections.iter().find(|section| section.facts.other_names.contains(&name));
    let names = table.sections.iter().map(|section| section.name.as_str());
    known.map(|section| section.name.as_str()).or_else(|| nearest_word(&name, names))
}

/// The choice that `name` may have meant.
pub(crate) fn nearest_choice<'a>(name: &str, choices: &'a [Choice]) -> Option<&'a str> {
    let found = plain(name);
    let is_meant = |choice: &&Choice| plain(&choice.name) == found || choice.other_names.contains(&found);
    let known = choices.iter().find(is_meant).map(|choice| choice.name.as_str());
    known.or_else(|| nearest_word(name, choices.iter().map(|choice| choice.name.as_str())))
}

/// The most similar of `words`, if any of them is similar enough.
#[must_use]
pub fn nearest_word<'a>(found: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    words
        .map(|word| (similarity(found, word), word))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, word)| word)
}

/// `; did you mean ...?`, or empty text without suggestions.
pub(crate) fn question(suggestions: &[impl AsRef<str>]) -> String {
    if suggestions.is_empty() {
        return String::new();
    }
    let quoted = suggestions.iter().map(|word| format!("`{}`", word.as_ref()));
    format!("; did you mean {}?", listed(quoted, "or"))
}

/// Lower case with underscores: `batchSize`, `Batch-Size` and `batch_size` are one word.
fn plain(name: &str) -> String {
    let mut plain = String::new();
    let mut after_small = false;
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && after_small {
            plain.push('_');
        }
        after_small = letter.is_ascii_lowercase();
        plain.push(if "- ".contains(letter) { '_' } else { letter.to_ascii_lowercase() });
    }
    plain
}

fn other_name<'k>(table: &'k Keys, section: &str, leaf: &str) -> Option<&'k str> {
    let ours = |path: &str| table.find(path).map(|key| key.path.as_str());
    let is_called = |key: &&Key| key.field.facts.other_names.iter().any(|other| other == leaf);
    match leaf {
        "type" | "kind" | "method" => {
            ours(&format!("{section}.name")).or_else(|| ours(&format!("{section}.source")))
        }
        _ => table.keys.iter().find(is_called).map(|key| key.path.as_str()),
    }
}

fn most_similar<'k>(leaf: &str, keys: &[&'k Key]) -> Option<&'k str> {
    let best = nearest_word(leaf, keys.iter().map(|key| key.leaf()))?;
    keys.iter().find(|key| key.leaf() == best).map(|key| key.path.as_str())
}

fn similarity(left: &str, right: &str) -> f64 {
    // A long input is not a typo, and both measures take time proportional to the product of the lengths.
    if left.len() > 100 {
        return 0.0;
    }
    strsim::jaro_winkler(left, right).max(strsim::normalized_damerau_levenshtein(left, right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_two_are_joined_by_the_conjunction_and_the_others_by_commas() {
        let of = |words: &[&str]| listed(words.iter().map(ToString::to_string), "or");
        assert_eq!(
            [of(&[]), of(&["a"]), of(&["a", "b"]), of(&["a", "b", "c"])],
            ["", "a", "a or b", "a, b or c"]
        );
    }

    #[test]
    fn typos_and_words_of_other_programs_find_their_key() {
        for (found, meant) in [
            ("optimizer.momentun", "optimizer.momentum"),
            ("optimizer.weigth_decay", "optimizer.weight_decay"),
            ("optimizer.type", "optimizer.name"),
            ("data.type", "data.source"),
            ("training.epoch", "training.epochs"),
            ("training.nepochs", "training.epochs"),
            ("training.max-norm", "training.max_norm"),
            ("model.hiden", "model.hidden"),
            ("model.Activation", "model.activation"),
            ("loss.labelSmoothing", "loss.label_smoothing"),
            ("early_stopping.enable", "early_stopping.enabled"),
            ("checkpoint.keep_last_k", "checkpoint.keep_latest_k"),
            ("model.seed", "seed"),
            ("data.num_threads", "backend.threads"),
            ("epochs", "training.epochs"),
            ("optmizer.lr", "optimizer.lr"),
            ("optmizer.momentun", "optimizer.momentum"),
        ] {
            assert_eq!(nearest_keys(Keys::experiment(), found), [meant], "{found}");
        }
        assert_eq!(nearest_keys(Keys::experiment(), "training.qwerty"), Vec::<&str>::new());
    }

    #[test]
    fn sections_are_found_by_spelling_and_by_other_names() {
        for (found, meant) in [
            ("optimiser", "optimizer"),
            ("optim", "optimizer"),
            ("train", "training"),
            ("lr-scheduler", "lr_scheduler"),
            ("EarlyStopping", "early_stopping"),
            ("dataset", "data"),
            ("eval", "evaluation"),
        ] {
            assert_eq!(nearest_section(Keys::experiment(), found), Some(meant), "{found}");
        }
        assert_eq!(nearest_section(Keys::experiment(), "zzz"), None);
    }

    #[test]
    fn names_are_found_by_case_by_other_names_and_by_spelling() {
        let crate::keys::ValueKind::Choice(choices) =
            &Keys::experiment().find("loss.name").unwrap().field.kind
        else {
            panic!()
        };
        for (found, meant) in [
            ("CrossEntropy", "cross-entropy"),
            ("CE", "cross-entropy"),
            ("NLL", "nll"),
            ("cross-entrpy", "cross-entropy"),
        ] {
            assert_eq!(nearest_choice(found, choices), Some(meant), "{found}");
        }
        assert_eq!(nearest_choice("hinge", choices), None);
    }
}
