//! What a key is for: the answer to `kiln config explain KEY`.

use std::fmt;

use serde::Serialize;

use crate::effect::EFFECTS;
use crate::keys::{Key, Keys};
use crate::kind::{Choice, Kind};
use crate::literal::literal;
use crate::{ConfigError, Fault, Problem, nearest};

/// What there is to say of a key or a section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Explanation {
    /// A key with a value.
    Key(KeyExplanation),
    /// A section.
    Section(SectionExplanation),
}

/// What there is to say of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    /// The built-in value as TOML; none for a key that is left out by default.
    pub default: Option<String>,
    /// Beside which other values it has an effect, if not always.
    pub effect: Option<String>,
}

/// What there is to say of a section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    let keys = Keys::get();
    if let Some(key) = keys.find(name) {
        return Ok(Explanation::Key(KeyExplanation::of(key)));
    }
    if name == "extends" {
        return Ok(Explanation::Key(extends()));
    }
    let Some(section) = keys.section(name) else { return Err(unknown(name)) };
    Ok(Explanation::Section(SectionExplanation {
        section: section.name.to_owned(),
        meaning: section.meaning.clone(),
        keys: keys.of_section(section.name).map(KeyExplanation::of).collect(),
    }))
}

/// Every key, with its section, in the order in which files are written.
#[must_use]
pub fn keys() -> Vec<&'static str> {
    Keys::get().keys.iter().map(|key| key.path).collect()
}

impl KeyExplanation {
    fn of(key: &Key) -> Self {
        let choices = if let Kind::Choice(choices) = &key.kind { choices.clone() } else { Vec::new() };
        let unit = key.rule.unit;
        Self {
            key: key.path.to_owned(),
            meaning: key.meaning.clone(),
            r#type: if choices.is_empty() { key.kind.words() } else { "a name".to_owned() },
            unit: (!unit.is_empty()).then(|| unit.to_owned()),
            allowed: allowed(key),
            choices,
            default: key.default.as_ref().map(literal),
            effect: effect(key.path),
        }
    }
}

fn extends() -> KeyExplanation {
    KeyExplanation {
        key: "extends".to_owned(),
        meaning:
            "A base file whose values this one starts from, relative to this file. Bases may extend others."
                .to_owned(),
        r#type: "the path of a file, in quotes".to_owned(),
        unit: None,
        allowed: None,
        choices: Vec::new(),
        default: None,
        effect: None,
    }
}

fn allowed(key: &Key) -> Option<String> {
    let numbers = key.kind.has(&Kind::Integer) || key.kind.has(&Kind::Number);
    let texts = key.kind.has(&Kind::Text);
    let range = match key.rule.whole {
        Some(whole) => format!("{} as a fraction, {whole} as a count", key.rule.range),
        None => key.rule.range.to_string(),
    };
    let parts = [numbers.then_some(range), texts.then(|| key.rule.text.words().to_owned())];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn effect(key: &str) -> Option<String> {
    let conditions: Vec<String> =
        EFFECTS.iter().filter(|effect| effect.key == key).map(crate::effect::Effect::words).collect();
    (!conditions.is_empty()).then(|| conditions.join(" and "))
}

fn unknown(name: &str) -> ConfigError {
    let mut suggestions: Vec<&str> = nearest::keys(name);
    if suggestions.is_empty() {
        suggestions.extend(nearest::section(name));
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
