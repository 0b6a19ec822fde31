//! What a field of a file says of itself beyond its type, its meaning and its default.
//!
//! Each field carries these facts as `#[schemars(transform = ...)]`, so that they stand beside its documentation, and
//! travel within the JSON Schema that its type gives: everything that asks about a key reads them there.

use schemars::Schema;
use schemars::transform::Transform;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strum::IntoEnumIterator;

use crate::DataSource;
pub use crate::range::{
    AT_LEAST_0, AT_LEAST_1, FRACTION, GREATEST_COUNT, OPEN_FRACTION, POSITIVE, Range, SHARE, TextRule,
    at_least, between, positive_to,
};
use crate::words::listed;

/// Where a schema keeps a field's facts.
const KEYWORD: &str = "x-kiln";

/// The facts of one field. Numbers and texts in a list each follow its rules.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// What its numbers may be.
    pub(crate) range: Range,
    /// What its whole numbers may be, where they mean something else than fractions do.
    pub(crate) whole: Option<Range>,
    /// What its texts may be.
    pub(crate) text: TextRule,
    /// What its value counts or measures; may be empty.
    pub(crate) unit: String,
    /// A value that one might give, as TOML, of a key that is left out by default.
    pub(crate) example: Option<String>,
    /// It has an effect where all of these hold.
    pub(crate) when: Vec<Condition>,
    /// What other programs call it.
    pub(crate) other_names: Vec<String>,
    /// Whether it decides what a training gives.
    pub(crate) decides: Decides,
}

/// What must hold of another key of the same file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Condition {
    /// The other key, with its section.
    pub(crate) key: String,
    pub(crate) is: Is,
}

/// What the other key must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Is {
    /// One of these names.
    OneOf(Vec<String>),
    /// A number above zero.
    Positive,
    /// The number 0.
    Zero,
    /// Left out.
    LeftOut,
    /// A switch that is on. Whoever switches it off on purpose may keep the rest as it is.
    On,
}

/// A key and some of its names: beside one of these, another key has an effect.
pub type When = (&'static str, &'static [&'static str]);

/// Whether a key decides what a training gives: weights, metric log, figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decides {
    /// It does.
    #[default]
    Result,
    /// What the file that it names holds decides, not where the file lies.
    Content,
    /// It does not.
    Nothing,
}

/// Facts of a field whose type says all else.
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
    /// What whole numbers may be, where they are counts and fractions are shares.
    #[must_use]
    pub fn whole(self, range: Range) -> Self {
        Self { whole: Some(range), ..self }
    }

    /// What numbers may be, beside texts.
    #[must_use]
    pub fn range(self, range: Range) -> Self {
        Self { range, ..self }
    }

    /// What the value counts or measures.
    #[must_use]
    pub fn unit(self, unit: &str) -> Self {
        Self { unit: unit.to_owned(), ..self }
    }

    /// A value that one might give, as TOML; for a key that is left out by default.
    #[must_use]
    pub fn example(self, toml: &str) -> Self {
        Self { example: Some(toml.to_owned()), ..self }
    }

    /// It has an effect where a key is one of some names.
    #[must_use]
    pub fn when(self, (key, names): When) -> Self {
        self.condition(key, Is::OneOf(names.iter().map(ToString::to_string).collect()))
    }

    /// It has an effect where the data's source reads the key `data.<leaf>`.
    #[must_use]
    pub fn when_read(self, leaf: &str) -> Self {
        let sources = DataSource::iter().filter(|source| source.facts().keys.contains(&leaf));
        self.condition("data.source", Is::OneOf(sources.map(|source| source.name().to_owned()).collect()))
    }

    /// It has an effect where `key` is above zero.
    #[must_use]
    pub fn when_positive(self, key: &str) -> Self {
        self.condition(key, Is::Positive)
    }

    /// It has an effect where `key` is 0.
    #[must_use]
    pub fn when_zero(self, key: &str) -> Self {
        self.condition(key, Is::Zero)
    }

    /// It has an effect where `key` is left out.
    #[must_use]
    pub fn when_left_out(self, key: &str) -> Self {
        self.condition(key, Is::LeftOut)
    }

    /// It has an effect where the switch `key` is on.
    #[must_use]
    pub fn when_on(self, key: &str) -> Self {
        self.condition(key, Is::On)
    }

    fn condition(mut self, key: &str, is: Is) -> Self {
        self.when.push(Condition { key: key.to_owned(), is });
        self
    }

    /// What other programs call it, in words separated by blanks.
    #[must_use]
    pub fn also_called(self, names: &str) -> Self {
        Self { other_names: names.split_whitespace().map(ToString::to_string).collect(), ..self }
    }

    /// Whether it decides what a training gives; it does unless this says otherwise.
    #[must_use]
    pub fn decides(self, decides: Decides) -> Self {
        Self { decides, ..self }
    }

    /// The facts that `node`, a field's schema, carries.
    pub(crate) fn of(node: &Value) -> Self {
        node.get(KEYWORD).map_or_else(Self::default, |facts| {
            Self::deserialize(facts).expect("only a field's own facts are under this keyword")
        })
    }

    /// Takes the facts out of a schema; what they allow is in the schema's own words too.
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

    /// Writes what is allowed into every number and text of the schema.
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
        *schema = node.try_into().expect("an object stays one");
    }
}

impl Condition {
    /// In words: "`optimizer.name` is "sgd"".
    pub(crate) fn words(&self) -> String {
        format!("`{}` is {}", self.key, self.is.words())
    }
}

impl Is {
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
