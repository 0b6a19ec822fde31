//! What a key is for: the answer to `kiln config explain KEY`.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use crate::facts::{Condition, Facts};
use crate::keys::{Key, Keys};
use crate::kind::{Choice, Field, Kind};
use crate::literal::literal;
use crate::{ConfigError, Fault, Problem, nearest};

/// What there is to say of a key or a section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Explanation {
    /// A key with a value.
    Key(KeyExplanation),
    /// A section.
    Section(SectionExplanation),
}

/// What there is to say of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct KeyExplanation {
    /// The key, with its section.
    pub key: String,
    /// What it decides.
    pub meaning: String,
    /// The type of its value, in words.
    pub r#type: String,
    /// What the value counts or measures, if anything.
    pub unit: Option<String>,
    /// The values allowed, where the type does not say it all.
    pub allowed: Option<String>,
    /// The names to choose from.
    pub choices: Vec<Choice>,
    /// The built-in value as TOML; null for a key that is left out by default.
    pub default: Option<String>,
    /// Beside which other values it has an effect, if not always.
    pub effect: Option<String>,
}

/// What there is to say of a section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SectionExplanation {
    /// The section's name.
    pub section: String,
    /// What it decides.
    pub meaning: String,
    /// Its keys.
    pub keys: Vec<KeyExplanation>,
}

/// Explains a dotted key (`optimizer.lr`) or a section (`optimizer`).
///
/// # Errors
/// If there is no such key, naming the nearest.
pub fn explain(name: &str) -> Result<Explanation, ConfigError> {
    let name = name.trim().trim_start_matches('[').trim_end_matches(']');
    let keys = Keys::experiment();
    if let Some(key) = keys.find(name) {
        return Ok(Explanation::Key(KeyExplanation::of(key)));
    }
    if name == "extends" {
        return Ok(Explanation::Key(extends()));
    }
    let Some(section) = keys.section(name) else { return Err(unknown(name)) };
    Ok(Explanation::Section(SectionExplanation {
        section: section.name.clone(),
        meaning: section.meaning.clone(),
        keys: keys.of_section(&section.name).map(KeyExplanation::of).collect(),
    }))
}

/// Every key, with its section, in the order in which files are written.
#[must_use]
pub fn keys() -> Vec<&'static str> {
    Keys::experiment().keys.iter().map(|key| key.path.as_str()).collect()
}

impl KeyExplanation {
    fn of(key: &Key) -> Self {
        let Field { meaning, kind, facts, default, .. } = &key.field;
        let choices = if let Kind::Choice(choices) = kind { choices.clone() } else { Vec::new() };
        let conditions: Vec<String> = facts.when.iter().map(Condition::words).collect();
        Self {
            key: key.path.clone(),
            meaning: meaning.clone(),
            r#type: if choices.is_empty() { kind.words() } else { "a name".to_owned() },
            unit: (!facts.unit.is_empty()).then(|| facts.unit.clone()),
            allowed: allowed(kind, facts),
            choices,
            default: default.as_ref().map(literal),
            effect: (!conditions.is_empty()).then(|| conditions.join(" and ")),
        }
    }
}

fn extends() -> KeyExplanation {
    KeyExplanation {
        key: "extends".to_owned(),
        meaning:
            "A base file whose values this one starts from, relative to this file, or \"tabular\", which is built in: a \
             network for the rows of tables. Bases may extend others."
                .to_owned(),
        r#type: "the path of a file or the name of a built-in one, in quotes".to_owned(),
        unit: None,
        allowed: None,
        choices: Vec::new(),
        default: None,
        effect: None,
    }
}

fn allowed(kind: &Kind, Facts { range, whole, text, .. }: &Facts) -> Option<String> {
    let numbers = kind.has(&Kind::Integer) || kind.has(&Kind::Number);
    let range = match whole {
        Some(whole) => format!("{range} as a fraction, {whole} as a count"),
        None => range.to_string(),
    };
    let parts = [numbers.then_some(range), kind.has(&Kind::Text).then(|| text.words().to_owned())];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn unknown(name: &str) -> ConfigError {
    let keys = Keys::experiment();
    let mut suggestions: Vec<&str> = nearest::keys(keys, name);
    if suggestions.is_empty() {
        suggestions.extend(nearest::section(keys, name));
    }
    let hint = nearest::question(&suggestions);
    ConfigError::new(vec![Problem::new(None, Fault::UnknownKey { key: name.to_owned(), hint })])
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => key.fmt(f),
            Self::Section(section) => section.fmt(f),
        }
    }
}

impl fmt::Display for KeyExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n  {}", self.key, self.meaning)?;
        let type_and_unit = [Some(self.r#type.clone()), self.unit.clone()];
        writeln!(f, "  type     {}", type_and_unit.into_iter().flatten().collect::<Vec<_>>().join(", in "))?;
        if let Some(allowed) = &self.allowed {
            writeln!(f, "  allowed  {allowed}")?;
        }
        for (index, choice) in self.choices.iter().enumerate() {
            let label = if index == 0 { "allowed" } else { "" };
            writeln!(f, "  {label:<8} {:?}: {}", choice.name, choice.meaning)?;
        }
        writeln!(f, "  default  {}", self.default.as_deref().unwrap_or("left out"))?;
        match &self.effect {
            Some(effect) => writeln!(f, "  effect   when {effect}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for SectionExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[{}]\n  {}", self.section, self.meaning)?;
        self.keys.iter().try_for_each(|key| write!(f, "\n{key}"))
    }
}
