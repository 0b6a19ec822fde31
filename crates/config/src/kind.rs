//! The type of a key, read from the JSON Schema that the Rust types give.

use schemars::JsonSchema;
use schemars::Schema;
use serde::Serialize;
use serde_json::Value;
use toml::de::DeValue;

use crate::facts::Facts;
use crate::words::listed;

/// The type of a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Boolean,
    Integer,
    Number,
    Text,
    /// One of some names.
    Choice(Vec<Choice>),
    /// Values of one type, and how many if that is fixed.
    List(Box<Kind>, Option<usize>),
    /// Any of some types.
    Either(Vec<Kind>),
    /// A table with these fields.
    Record(Vec<Field>),
    /// A table of names of one's own, each with a value of one type.
    Map(Box<Kind>),
    /// Anything: another reader looks at it.
    Any,
}

/// A name to choose, and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Choice {
    /// The name, as a file has it.
    pub name: String,
    /// What it stands for.
    pub meaning: String,
    /// What other programs call it.
    #[serde(skip)]
    pub(crate) other_names: Vec<String>,
}

/// A field of a table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) meaning: String,
    pub(crate) kind: Kind,
    pub(crate) facts: Facts,
    pub(crate) required: bool,
    /// The built-in value; none for what is left out by default.
    pub(crate) default: Option<toml::Value>,
}

impl Kind {
    /// The type that `node`, a part of the schema `root`, describes.
    ///
    /// # Panics
    /// If a Rust type of this crate has a form of schema that no key has had so far.
    pub(crate) fn from_schema(node: &Value, root: &Schema) -> Self {
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
            other => unreachable!("a type of schema that no key has: {other}"),
        }
    }

    fn either<'a>(options: impl Iterator<Item = &'a Value>, root: &Schema) -> Self {
        let mut kinds: Vec<Self> = options.map(|option| Self::from_schema(option, root)).collect();
        if kinds.len() == 1 { kinds.remove(0) } else { Self::Either(kinds) }
    }

    /// One value of this type, in words: "a whole number".
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

    /// Whether a value of this form may be of this type, whatever its parts are.
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

    /// Whether its values are tables.
    pub(crate) fn is_table(&self) -> bool {
        matches!(self, Self::Record(_) | Self::Map(_))
    }

    /// Whether values of type `part` occur in it.
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

/// The names, quoted and with commas.
pub(crate) fn names(choices: &[Choice]) -> String {
    choices.iter().map(|choice| format!("{:?}", choice.name)).collect::<Vec<_>>().join(", ")
}

fn field_names(fields: &[Field]) -> String {
    fields.iter().map(|field| format!("`{}`", field.name)).collect::<Vec<_>>().join(" and ")
}

/// The node itself, or the definition that it refers to.
pub(crate) fn followed<'a>(node: &'a Value, root: &'a Schema) -> &'a Value {
    node["$ref"]
        .as_str()
        .and_then(|reference| root.pointer(reference.trim_start_matches('#')))
        .unwrap_or(node)
}

/// The type's name; of an optional value, the type that it has when it is there.
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
pub(crate) fn fields(node: &Value, root: &Schema) -> Vec<Field> {
    let is_required =
        |name: &str| node["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name));
    let properties = node["properties"].as_object().into_iter().flatten();
    let field = |(name, node): (&String, &Value)| Field {
        name: name.clone(),
        meaning: meaning(node),
        kind: Kind::from_schema(node, root),
        facts: Facts::of(node),
        required: is_required(name),
        default: toml::Value::try_from(&node["default"]).ok(),
    };
    properties.map(field).collect()
}

/// What a schema says of the thing that it describes, on one line.
pub(crate) fn meaning(node: &Value) -> String {
    node["description"].as_str().unwrap_or_default().replace('\n', " ")
}
