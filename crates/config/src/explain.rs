//! Documentation of the keys: `kiln config explain KEY`, the commented reference of all keys, and the JSON Schema for
//! editors.

use std::fmt;

use schemars::{JsonSchema, schema_for};
use serde::Serialize;
use serde_json::{Value, json};

use crate::experiment::literal;
use crate::facts::{Condition, Facts};
use crate::keys::{Choice, Field, Key, Keys, ValueKind, split};
use crate::problem::{nearest_keys, nearest_section, question};
use crate::{ConfigError, ConfigFault, Experiment, Problem};

/// The explanation of a key or a section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Explanation {
    /// A key with a value.
    Key(KeyExplanation),
    /// A section.
    Section(SectionExplanation),
}

/// The explanation of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct KeyExplanation {
    /// The key, with its section.
    pub key: String,
    /// What it decides.
    pub meaning: String,
    /// The type of its value, in words.
    pub r#type: String,
    /// The unit of the value, if it has one.
    pub unit: Option<String>,
    /// The allowed values, if the type alone does not say it.
    pub allowed: Option<String>,
    /// The names to choose from.
    pub choices: Vec<Choice>,
    /// The built-in value as TOML; null for a key that is left out by default.
    pub default: Option<String>,
    /// The condition on other keys under which it has an effect, if there is one.
    pub effect: Option<String>,
}

/// The explanation of a section.
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
/// If there is no such key; the message names the most similar one.
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
        let choices = if let ValueKind::Choice(choices) = kind { choices.clone() } else { Vec::new() };
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
            "A base file whose values this file starts from: a path relative to this file, or \"tabular\", a built-in base \
             for the rows of tables. A base may extend another base."
                .to_owned(),
        r#type: "the path of a file or the name of a built-in base, in quotes".to_owned(),
        unit: None,
        allowed: None,
        choices: Vec::new(),
        default: None,
        effect: None,
    }
}

fn allowed(kind: &ValueKind, Facts { range, whole, text, .. }: &Facts) -> Option<String> {
    let numbers = kind.has(&ValueKind::Integer) || kind.has(&ValueKind::Number);
    let range = match whole {
        Some(whole) => format!("{range} as a fraction, {whole} as a count"),
        None => range.to_string(),
    };
    let parts = [numbers.then_some(range), kind.has(&ValueKind::Text).then(|| text.words().to_owned())];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn unknown(name: &str) -> ConfigError {
    let keys = Keys::experiment();
    let mut suggestions: Vec<&str> = nearest_keys(keys, name);
    if suggestions.is_empty() {
        suggestions.extend(nearest_section(keys, name));
    }
    let hint = question(&suggestions);
    ConfigError::new(vec![Problem::new(None, ConfigFault::UnknownKey { key: name.to_owned(), hint })])
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

const INTRODUCTION: &str = "\
# Every key of an experiment file, with its meaning and its default. This file has the same effect as an empty
# file. A line like `# limit = 1000` is an example of a key that is left out by default.
#
# A file may begin with `extends = \"base.toml\"`, a path relative to itself. It then starts from that file's values.
# `extends = \"tabular\"` is a built-in base: a network for tables. `kiln config show` prints its values.
# Later layers override earlier ones: defaults, bases, the file, the environment (KILN_OPTIMIZER__LR=0.1),
# `key=value` arguments.
";

/// Greatest width of a comment, in characters.
const WIDTH: usize = 105;

/// An experiment file with every key at its default and explained. A key without a default is a comment with an
/// example.
#[must_use]
pub fn reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    let mut open = "";
    for key in &Keys::experiment().keys {
        let (section, leaf) = split(&key.path);
        if section != open {
            let meaning = Keys::experiment().section(section).map_or("", |section| &section.meaning);
            text.extend(["\n", &comment(meaning, ""), "[", section, "]\n"]);
            open = section;
        }
        if let Ok(Explanation::Key(explanation)) = explain(&key.path) {
            text.extend(["\n", &about(&explanation), &line(key, leaf)]);
        }
    }
    text
}

/// `lr = 0.001`, or `# limit = 1000`.
fn line(key: &Key, leaf: &str) -> String {
    match &key.field.default {
        Some(default) => format!("{leaf} = {}\n", literal(default)),
        None => format!("# {leaf} = {}\n", key.field.facts.example.as_deref().unwrap_or_default()),
    }
}

fn about(key: &KeyExplanation) -> String {
    let mut text = comment(&key.meaning, "");
    let unit = key.unit.as_ref().map(|unit| format!("Unit: {unit}."));
    let allowed = key.allowed.as_ref().map(|allowed| format!("Allowed: {allowed}."));
    let effect = key.effect.as_ref().map(|effect| format!("Has an effect when {effect}."));
    let facts: Vec<String> = [allowed, unit, effect].into_iter().flatten().collect();
    if !facts.is_empty() {
        text += &comment(&facts.join(" "), "");
    }
    for choice in &key.choices {
        text += &comment(&format!("{:?}: {}", choice.name, choice.meaning), "  ");
    }
    text
}

/// The text as comment lines.
fn comment(words: &str, indent: &str) -> String {
    let mut lines = vec![format!("# {indent}")];
    for word in words.split_whitespace() {
        let line = lines.last().map_or(0, |line| line.chars().count());
        if line + 1 + word.chars().count() > WIDTH {
            lines.push(format!("#   {indent}"));
        }
        if let Some(line) = lines.last_mut() {
            let space = if line.ends_with(' ') { "" } else { " " };
            line.extend([space, word]);
        }
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

/// The JSON Schema (draft 2020-12) of an experiment file: types, meanings, defaults, names to choose from and ranges.
#[must_use]
pub fn schema() -> Value {
    let mut schema = schema_for!(Experiment).to_value();
    drop_nulls(&mut schema);
    schema["title"] = json!("Kiln experiment");
    schema["description"] = json!("One experiment: everything that determines a training run.");
    schema["properties"]["extends"] = json!({
        "description": "A base whose values this file starts from: a path relative to this file, or a built-in name.",
        "type": "string",
        "minLength": 1,
    });
    Facts::strip(&mut schema);
    schema
}

/// Removes nulls: TOML does not have them, a key is left out instead.
fn drop_nulls(node: &mut Value) {
    match node {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            if let Some(Value::Array(types)) = fields.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = &types[..] {
                    let only = only.clone();
                    fields.insert("type".to_owned(), only);
                }
            }
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(values) => values.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}
