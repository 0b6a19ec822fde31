//! Facts about a field of a file beyond its type, its meaning and its default: range, unit, condition, other names.
//!
//! Each field states its facts in `#[schemars(transform = ...)]`, beside its documentation. They become part of the
//! JSON Schema of the type, and everything that needs to know about a key reads them there.

use std::fmt;
use std::ops::Bound::{self, Excluded, Included, Unbounded};
use std::ops::RangeBounds;

use schemars::Schema;
use schemars::transform::Transform;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strum::IntoEnumIterator;

use crate::{DataSource, listed};

/// Keyword in a schema for the facts of a field.
const KEYWORD: &str = "x-kiln";

/// The facts of one field. For a list, they hold for each number or text in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// Allowed numbers.
    pub(crate) range: Range,
    /// Allowed whole numbers, if these mean something else than fractions (a count and a share).
    pub(crate) whole: Option<Range>,
    /// Allowed texts.
    pub(crate) text: TextRule,
    /// Unit of the value; may be empty.
    pub(crate) unit: String,
    /// An example value as TOML, for a key that is left out by default.
    pub(crate) example: Option<String>,
    /// The key has an effect if all of these hold.
    pub(crate) when: Vec<Condition>,
    /// Names for it in other programs.
    pub(crate) other_names: Vec<String>,
    /// Whether it changes the result of a training.
    pub(crate) decides: Decides,
}

/// A condition on another key of the same file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Condition {
    /// The other key, with its section.
    pub(crate) key: String,
    pub(crate) is: Requirement,
}

/// The value that the other key must have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Requirement {
    /// One of these names.
    OneOf(Vec<String>),
    /// A number above zero.
    Positive,
    /// The number 0.
    Zero,
    /// No value.
    LeftOut,
    /// A switch that is on. If the user switches it off, the keys that depend on it may stay as they are.
    On,
}

/// A key and some of its names: another key has an effect with one of these names.
pub type When = (&'static str, &'static [&'static str]);

/// Whether a key changes the result of a training: weights, metric log, figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decides {
    /// It changes the result.
    #[default]
    Result,
    /// The content of the file that it names changes the result, the path does not.
    Content,
    /// It does not change the result.
    Nothing,
}

/// Facts of a field whose type says everything else.
#[must_use]
pub fn plain() -> Facts {
    Facts::default()
}

/// Facts of a number, or of numbers.
#[must_use]
pub fn number(range: Range) -> Facts {
    Facts { range, ..plain() }
}

/// Facts of a text, or of texts.
#[must_use]
pub fn text(text: TextRule) -> Facts {
    Facts { text, ..plain() }
}

impl Facts {
    /// Sets the range of whole numbers, where they are counts and fractions are shares.
    #[must_use]
    pub fn whole(self, range: Range) -> Self {
        Self { whole: Some(range), ..self }
    }

    /// Sets the range of numbers, for a field that holds texts or numbers.
    #[must_use]
    pub fn range(self, range: Range) -> Self {
        Self { range, ..self }
    }

    /// Sets the unit of the value.
    #[must_use]
    pub fn unit(self, unit: &str) -> Self {
        Self { unit: unit.to_owned(), ..self }
    }

    /// Sets an example value as TOML, for a key that is left out by default.
    #[must_use]
    pub fn example(self, toml: &str) -> Self {
        Self { example: Some(toml.to_owned()), ..self }
    }

    /// The key has an effect if another key has one of some names.
    #[must_use]
    pub fn when(self, (key, names): When) -> Self {
        self.condition(key, Requirement::OneOf(names.iter().map(ToString::to_string).collect()))
    }

    /// The key has an effect if the data's source reads the key `data.<leaf>`.
    #[must_use]
    pub fn when_read(self, leaf: &str) -> Self {
        let sources = DataSource::iter().filter(|source| source.facts().keys.contains(&leaf));
        self.condition(
            "data.source",
            Requirement::OneOf(sources.map(|source| source.name().to_owned()).collect()),
        )
    }

    /// The key has an effect if `key` is above zero.
    #[must_use]
    pub fn when_positive(self, key: &str) -> Self {
        self.condition(key, Requirement::Positive)
    }

    /// The key has an effect if `key` is 0.
    #[must_use]
    pub fn when_zero(self, key: &str) -> Self {
        self.condition(key, Requirement::Zero)
    }

    /// The key has an effect if `key` is left out.
    #[must_use]
    pub fn when_left_out(self, key: &str) -> Self {
        self.condition(key, Requirement::LeftOut)
    }

    /// The key has an effect if the switch `key` is on.
    #[must_use]
    pub fn when_on(self, key: &str) -> Self {
        self.condition(key, Requirement::On)
    }

    fn condition(mut self, key: &str, is: Requirement) -> Self {
        self.when.push(Condition { key: key.to_owned(), is });
        self
    }

    /// Sets the names for it in other programs, separated by spaces.
    #[must_use]
    pub fn also_called(self, names: &str) -> Self {
        Self { other_names: names.split_whitespace().map(ToString::to_string).collect(), ..self }
    }

    /// Sets whether the key changes the result of a training. Without this call, it does.
    #[must_use]
    pub fn decides(self, decides: Decides) -> Self {
        Self { decides, ..self }
    }

    /// The facts in `node`, the schema of a field.
    pub(crate) fn of(node: &Value) -> Self {
        node.get(KEYWORD).map_or_else(Self::default, |facts| {
            Self::deserialize(facts).expect("only facts are stored under this keyword")
        })
    }

    /// Removes the facts from a schema. The schema's own keywords still state ranges and patterns.
    pub fn strip(node: &mut Value) {
        match node {
            Value::Object(fields) => {
                fields.remove(KEYWORD);
                fields.values_mut().for_each(Self::strip);
            }
            Value::Array(values) => values.iter_mut().for_each(Self::strip),
            _ => {}
        }
    }

    /// Writes ranges and patterns into every number and text of the schema.
    fn restrict(&self, node: &mut Value) {
        for part in ["items", "anyOf"] {
            match node.get_mut(part) {
                Some(Value::Array(options)) => options.iter_mut().for_each(|option| self.restrict(option)),
                Some(items) => self.restrict(items),
                None => {}
            }
        }
        let has = |name: &str| match &node["type"] {
            Value::Array(names) => names.iter().any(|found| found == name),
            found => found == name,
        };
        if has("integer") {
            self.whole.unwrap_or(self.range).bound(node, |bound| json!(bound as i64));
        } else if has("number") {
            self.range.bound(node, |bound| json!(bound));
        } else if has("string")
            && let Some(pattern) = self.text.pattern()
        {
            node["pattern"] = json!(pattern);
        }
    }
}

impl Transform for Facts {
    fn transform(&mut self, schema: &mut Schema) {
        let mut node = std::mem::take(schema).to_value();
        self.restrict(&mut node);
        node[KEYWORD] = json!(self);
        *schema = node.try_into().expect("an object stays an object");
    }
}

impl Condition {
    /// In words: "`optimizer.name` is "sgd"".
    pub(crate) fn words(&self) -> String {
        format!("`{}` is {}", self.key, self.is.words())
    }
}

impl Requirement {
    pub(crate) fn words(&self) -> String {
        match self {
            Self::OneOf(names) => listed(names.iter().map(|name| format!("{name:?}")), "or"),
            Self::Positive => "a value above 0".to_owned(),
            Self::Zero => "0".to_owned(),
            Self::LeftOut => "left out".to_owned(),
            Self::On => "true".to_owned(),
        }
    }
}

/// Numbers between two bounds. The numbers are finite, also as the 32-bit floats that networks compute with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Range {
    pub(crate) low: Bound<f64>,
    pub(crate) high: Bound<f64>,
}

impl Default for Range {
    fn default() -> Self {
        Self { low: Unbounded, high: Unbounded }
    }
}

/// The greatest width and batch size, 2^24: above it, a 32-bit float cannot represent every count.
pub const GREATEST_COUNT: f64 = 16_777_216.0;

/// Above 0.
pub const POSITIVE: Range = Range { low: Excluded(0.0), high: Unbounded };
/// 0 or more.
pub const AT_LEAST_0: Range = at_least(0.0);
/// 1 or more.
pub const AT_LEAST_1: Range = at_least(1.0);
/// At least 0 and below 1.
pub const FRACTION: Range = Range { low: Included(0.0), high: Excluded(1.0) };
/// Above 0 and below 1.
pub const OPEN_FRACTION: Range = Range { low: Excluded(0.0), high: Excluded(1.0) };
/// From 0 to 1, both included.
pub const SHARE: Range = between(0.0, 1.0);

/// `low` or more.
#[must_use]
pub const fn at_least(low: f64) -> Range {
    Range { low: Included(low), high: Unbounded }
}

/// From `low` to `high`, both included.
#[must_use]
pub const fn between(low: f64, high: f64) -> Range {
    Range { low: Included(low), high: Included(high) }
}

/// Above 0, up to and including `high`.
#[must_use]
pub const fn positive_to(high: f64) -> Range {
    Range { low: Excluded(0.0), high: Included(high) }
}

impl Range {
    pub(crate) fn allows(self, number: f64) -> bool {
        (self.low, self.high).contains(&number) && (number as f32).is_finite()
    }

    /// Writes the bounds into a JSON Schema; `number` turns a bound into JSON.
    fn bound(self, node: &mut Value, number: impl Fn(f64) -> Value) {
        for (bound, [included, excluded]) in
            [(self.low, ["minimum", "exclusiveMinimum"]), (self.high, ["maximum", "exclusiveMaximum"])]
        {
            match bound {
                Included(bound) => node[included] = number(bound),
                Excluded(bound) => node[excluded] = number(bound),
                Unbounded => {}
            }
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |bound, [included, excluded]: [&str; 2]| match bound {
            Included(bound) => Some(format!("{included} {bound}")),
            Excluded(bound) => Some(format!("{excluded} {bound}")),
            Unbounded => None,
        };
        let bounds = [words(self.low, ["at least", "above"]), words(self.high, ["at most", "below"])];
        let bounds: Vec<String> = bounds.into_iter().flatten().collect();
        f.write_str(if bounds.is_empty() { "any finite number" } else { "" })?;
        f.write_str(&bounds.join(" and "))
    }
}

/// The form that a text must have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextRule {
    /// Any text.
    #[default]
    Any,
    /// Any text that is not empty.
    NotEmpty,
    /// A folder name that is valid on every system.
    Name,
}

/// The longest name: a date and a file name follow it in paths, and systems allow 255 bytes for a name.
const LONGEST_NAME: usize = 100;

impl TextRule {
    /// Whether `text` has this form.
    #[must_use]
    pub fn allows(self, text: &str) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        match self {
            Self::Any => true,
            Self::NotEmpty => !text.is_empty(),
            Self::Name => {
                (1..=LONGEST_NAME).contains(&text.len()) && !text.starts_with('.') && text.chars().all(plain)
            }
        }
    }

    /// The form in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Any => "any text",
            Self::NotEmpty => "text that is not empty",
            Self::Name => "1 to 100 letters, digits, `.`, `_` and `-`, not beginning with `.`",
        }
    }

    /// The form as a regular expression, for the JSON Schema.
    fn pattern(self) -> Option<&'static str> {
        match self {
            Self::Any => None,
            Self::NotEmpty => Some("^(.|\n)+$"),
            Self::Name => Some("^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$"),
        }
    }
}
