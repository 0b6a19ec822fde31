//! The keys of a file with their types, meanings, defaults and facts, read from the JSON Schema of the file's Rust
//! type.

use std::sync::LazyLock;

use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;
use serde_json::Value;
use toml::Table;
use toml::de::DeValue;

use crate::facts::Facts;
use crate::{Experiment, listed};

/// All keys and sections, in the order in which files are written.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    pub(crate) keys: Vec<Key>,
    pub(crate) sections: Vec<ConfigSection>,
}

/// A table of keys, such as `[optimizer]`, or `[data.columns]` within `[data]`.
#[derive(Debug)]
pub(crate) struct ConfigSection {
    pub(crate) name: String,
    pub(crate) meaning: String,
    pub(crate) facts: Facts,
}

/// A key that has a value of its own.
#[derive(Debug)]
pub(crate) struct Key {
    /// The section, if any, and the name there: `optimizer.lr`.
    pub(crate) path: String,
    pub(crate) field: Field,
}

/// A field of a table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) meaning: String,
    pub(crate) kind: ValueKind,
    pub(crate) facts: Facts,
    pub(crate) required: bool,
    /// The built-in value; `None` for a key that is left out by default.
    pub(crate) default: Option<toml::Value>,
}

/// A name to choose, with its meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Choice {
    /// The name as it is written in a file.
    pub name: String,
    /// The meaning.
    pub meaning: String,
    /// Names for it in other programs.
    #[serde(skip)]
    pub(crate) other_names: Vec<String>,
}

/// The type of a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ValueKind {
    Boolean,
    Integer,
    Number,
    Text,
    /// One of some names.
    Choice(Vec<Choice>),
    /// Values of one type, with their number if it is fixed.
    List(Box<ValueKind>, Option<usize>),
    /// Any of some types.
    Either(Vec<ValueKind>),
    /// A table with these fields.
    Record(Vec<Field>),
    /// A table with any names, whose values have one type.
    Map(Box<ValueKind>),
    /// Anything: the owner of the key reads the value itself.
    Any,
}

static EXPERIMENT: LazyLock<Keys> = LazyLock::new(Keys::of::<Experiment>);

impl Keys {
    /// The keys of an experiment file.
    pub(crate) fn experiment() -> &'static Self {
        &EXPERIMENT
    }

    /// The keys of a file of type `T`.
    pub(crate) fn of<T: JsonSchema>() -> Self {
        let root = schema_for!(T);
        let mut all = Self::default();
        all.add("", root.as_value(), &root);
        all
    }

    fn add(&mut self, section: &str, node: &Value, root: &Schema) {
        let prefix = if section.is_empty() { String::new() } else { format!("{section}.") };
        let described = |field: &Field| &node["properties"][&field.name];
        // A table that always exists is a section; a table that may be left out is a value. In a file, the keys of a
        // section come before the sections within it.
        let is_section = |field: &Field| {
            matches!(field.kind, ValueKind::Record(_)) && described(field)["default"].is_object()
        };
        let (sections, keys): (Vec<Field>, Vec<Field>) = fields(node, root).into_iter().partition(is_section);
        let path = |name: &str| format!("{prefix}{name}");
        self.keys.extend(keys.into_iter().map(|field| Key { path: path(&field.name), field }));
        for field in sections {
            let name = path(&field.name);
            self.add(&name, followed(described(&field), root), root);
            self.sections.push(ConfigSection { name, meaning: field.meaning, facts: field.facts });
        }
    }

    pub(crate) fn find(&self, path: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.path == path)
    }

    pub(crate) fn section(&self, name: &str) -> Option<&ConfigSection> {
        self.sections.iter().find(|section| section.name == name)
    }

    pub(crate) fn of_section<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a Key> + use<'a, 'n> {
        self.keys.iter().filter(move |key| key.section() == name)
    }
}

impl Key {
    /// The section's name, empty at the top level.
    pub(crate) fn section(&self) -> &str {
        split(&self.path).0
    }

    /// The name without the section.
    pub(crate) fn leaf(&self) -> &str {
        split(&self.path).1
    }
}

impl ValueKind {
    /// The type that `node`, a part of the schema `root`, describes.
    ///
    /// # Panics
    /// If a Rust type has a form of schema that no key has had so far.
    fn from_schema(node: &Value, root: &Schema) -> Self {
        let node = followed(node, root);
        if *node == Value::Bool(true) {
            return Self::Any;
        }
        if let Some(options) = node["oneOf"].as_array() {
            return Self::Choice(options.iter().map(Choice::from_schema).collect());
        }
        if let Some(options) = node["anyOf"].as_array() {
            return Self::either(options.iter().filter(|option| option["type"] != "null"), root);
        }
        match type_name(node) {
            "boolean" => Self::Boolean,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "string" => Self::Text,
            "array" => Self::List(Box::new(Self::from_schema(&node["items"], root)), length(node)),
            "object" if node["properties"].is_object() => Self::Record(fields(node, root)),
            "object" => Self::Map(Box::new(Self::from_schema(&node["additionalProperties"], root))),
            other => unreachable!("no key has this type of schema: {other}"),
        }
    }

    fn either<'a>(options: impl Iterator<Item = &'a Value>, root: &Schema) -> Self {
        let mut kinds: Vec<Self> = options.map(|option| Self::from_schema(option, root)).collect();
        if kinds.len() == 1 { kinds.remove(0) } else { Self::Either(kinds) }
    }

    /// A value of this type in words: "a whole number".
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Boolean => "true or false".to_owned(),
            Self::Integer => "a whole number".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::Text => "text in quotes".to_owned(),
            Self::Choice(choices) => format!("one of {}", names(choices)),
            Self::List(element, Some(length)) => format!("a list of {length} {}", element.plural()),
            Self::List(element, None) => format!("a list of {}", element.plural()),
            Self::Either(kinds) if kinds.contains(&Self::Number) => "a number".to_owned(),
            Self::Either(kinds) => listed(kinds.iter().map(Self::words), "or"),
            Self::Record(fields) => format!("a table with {}", field_names(fields)),
            Self::Map(_) => "a table".to_owned(),
            Self::Any => "a value".to_owned(),
        }
    }

    /// Whether `value` has this form; its parts are not checked.
    pub(crate) fn fits(&self, value: &DeValue<'_>) -> bool {
        match self {
            Self::Boolean => value.is_bool(),
            Self::Integer => value.is_integer(),
            Self::Number => value.is_integer() || value.is_float(),
            Self::Text | Self::Choice(_) => value.is_str(),
            Self::List(..) => value.is_array(),
            Self::Record(_) | Self::Map(_) => value.is_table(),
            Self::Either(kinds) => kinds.iter().any(|kind| kind.fits(value)),
            Self::Any => true,
        }
    }

    /// Whether the values are tables.
    pub(crate) fn is_table(&self) -> bool {
        matches!(self, Self::Record(_) | Self::Map(_))
    }

    /// Whether values of type `part` occur in a value of this type.
    pub(crate) fn has(&self, part: &Self) -> bool {
        match self {
            Self::List(element, _) => element.has(part),
            Self::Either(kinds) => kinds.iter().any(|kind| kind.has(part)),
            Self::Record(fields) => fields.iter().any(|field| field.kind.has(part)),
            kind => kind == part,
        }
    }

    fn plural(&self) -> String {
        match self {
            Self::Boolean => "switches".to_owned(),
            Self::Integer => "whole numbers".to_owned(),
            Self::Number => "numbers".to_owned(),
            Self::Text => "texts in quotes".to_owned(),
            Self::Choice(choices) => format!("names out of {}", names(choices)),
            Self::List(element, _) => format!("lists of {}", element.plural()),
            Self::Either(kinds) => listed(kinds.iter().map(Self::plural), "or"),
            Self::Record(fields) => format!("tables with {}", field_names(fields)),
            Self::Map(_) => "tables".to_owned(),
            Self::Any => "values".to_owned(),
        }
    }
}

impl Choice {
    fn from_schema(node: &Value) -> Self {
        let name = node["const"].as_str().unwrap_or_default().to_owned();
        Self { name, meaning: meaning(node), other_names: Facts::of(node).other_names }
    }
}

/// A key's section (empty at the top level) and its name there.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

/// The value at `path` within `values`.
pub(crate) fn value_at<'v>(values: &'v Table, path: &str) -> Option<&'v toml::Value> {
    match path.split_once('.') {
        None => values.get(path),
        Some((section, rest)) => value_at(values.get(section)?.as_table()?, rest),
    }
}

/// Sets the value at `path` within `values`.
pub(crate) fn insert(values: &mut Table, path: &str, value: toml::Value) {
    match path.split_once('.') {
        None => drop(values.insert(path.to_owned(), value)),
        Some((section, rest)) => {
            let table = values.entry(section).or_insert_with(|| toml::Value::Table(Table::new()));
            if let toml::Value::Table(table) = table {
                insert(table, rest, value);
            }
        }
    }
}

/// The names in quotes, separated by commas.
pub(crate) fn names(choices: &[Choice]) -> String {
    choices.iter().map(|choice| format!("{:?}", choice.name)).collect::<Vec<_>>().join(", ")
}

fn field_names(fields: &[Field]) -> String {
    fields.iter().map(|field| format!("`{}`", field.name)).collect::<Vec<_>>().join(" and ")
}

/// The node, or the definition that it refers to.
fn followed<'a>(node: &'a Value, root: &'a Schema) -> &'a Value {
    node["$ref"]
        .as_str()
        .and_then(|reference| root.pointer(reference.trim_start_matches('#')))
        .unwrap_or(node)
}

/// The name of the type; for an optional value, the type that is not null.
fn type_name(node: &Value) -> &str {
    let several = node["type"].as_array().map(Vec::as_slice).unwrap_or_default();
    let name = several.iter().find(|name| **name != "null").unwrap_or(&node["type"]);
    name.as_str().unwrap_or_default()
}

fn length(node: &Value) -> Option<usize> {
    let least = node["minItems"].as_u64()?;
    (node["maxItems"].as_u64() == Some(least)).then_some(least as usize)
}

/// The fields of the table that `node` describes.
fn fields(node: &Value, root: &Schema) -> Vec<Field> {
    let is_required =
        |name: &str| node["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name));
    let properties = node["properties"].as_object().into_iter().flatten();
    let field = |(name, node): (&String, &Value)| Field {
        name: name.clone(),
        meaning: meaning(node),
        kind: ValueKind::from_schema(node, root),
        facts: Facts::of(node),
        required: is_required(name),
        default: toml::Value::try_from(&node["default"]).ok(),
    };
    properties.map(field).collect()
}

/// The description in a schema, on one line.
fn meaning(node: &Value) -> String {
    node["description"].as_str().unwrap_or_default().replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Requirement;
    use crate::problem::{nearest_keys, nearest_section};

    #[test]
    fn counts_never_go_below_zero_and_every_default_keeps_its_rule() {
        for key in &Keys::experiment().keys {
            let range = key.field.facts.whole.unwrap_or(key.field.facts.range);
            let may_be_negative = key.path == "data.label_column";
            assert!(
                !key.field.kind.has(&ValueKind::Integer) || !range.allows(-1.0) || may_be_negative,
                "{}",
                key.path
            );
            let numbers = match &key.field.default {
                Some(toml::Value::Array(values)) => values.clone(),
                value => value.iter().map(|value| (*value).clone()).collect(),
            };
            for number in numbers {
                let number = number.as_float().or(number.as_integer().map(|whole| whole as f64));
                assert!(number.is_none_or(|number| key.field.facts.range.allows(number)), "{}", key.path);
            }
        }
    }

    #[test]
    fn conditions_name_keys_and_values_that_exist() {
        let keys = Keys::experiment();
        for condition in keys.keys.iter().flat_map(|key| &key.field.facts.when) {
            let governor = keys.find(&condition.key).expect(&condition.key);
            let (Requirement::OneOf(names), ValueKind::Choice(choices)) =
                (&condition.is, &governor.field.kind)
            else {
                continue;
            };
            for name in names {
                assert!(choices.iter().any(|choice| choice.name == *name), "{} {name}", condition.key);
            }
        }
    }

    #[test]
    fn other_names_lead_to_their_key_and_are_not_keys_themselves() {
        let keys = Keys::experiment();
        for key in &keys.keys {
            for other in &key.field.facts.other_names {
                assert!(keys.keys.iter().all(|key| key.leaf() != *other), "{other}");
                assert_eq!(nearest_keys(keys, other), [&key.path]);
            }
        }
        for section in &keys.sections {
            for other in &section.facts.other_names {
                assert!(keys.section(other).is_none(), "{other}");
                assert_eq!(nearest_section(keys, other), Some(section.name.as_str()));
            }
        }
    }
}
