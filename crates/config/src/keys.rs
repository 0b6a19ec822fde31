//! Every key of a kind of file: its type, meaning, default and facts, as the file's Rust type gives them.

use std::sync::LazyLock;

use schemars::{JsonSchema, Schema, schema_for};
use serde_json::Value;

use crate::Experiment;
use crate::facts::Facts;
use crate::kind::{Field, Kind, fields, followed};

/// A key that has a value of its own.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its section, if any, and its name there: `optimizer.lr`.
    pub(crate) path: String,
    pub(crate) field: Field,
}

/// A table of keys: `[optimizer]` and its like.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) meaning: String,
    pub(crate) facts: Facts,
}

/// All keys and sections, in the order in which files are written.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    pub(crate) keys: Vec<Key>,
    pub(crate) sections: Vec<Section>,
}

static EXPERIMENT: LazyLock<Keys> = LazyLock::new(Keys::of::<Experiment>);

impl Key {
    /// The section's name, empty at the top level.
    pub(crate) fn section(&self) -> &str {
        split(&self.path).0
    }

    /// The name without its section.
    pub(crate) fn leaf(&self) -> &str {
        split(&self.path).1
    }
}

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
        for field in fields(node, root) {
            let described = &node["properties"][&field.name];
            // A table that is always there is a section; one that may be left out is a value.
            if matches!(field.kind, Kind::Record(_)) && described["default"].is_object() {
                self.add(&field.name, followed(described, root), root);
                self.sections.push(Section { name: field.name, meaning: field.meaning, facts: field.facts });
            } else {
                self.keys.push(Key { path: format!("{prefix}{}", field.name), field });
            }
        }
    }

    pub(crate) fn find(&self, path: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.path == path)
    }

    pub(crate) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    pub(crate) fn of_section<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a Key> + use<'a, 'n> {
        self.keys.iter().filter(move |key| key.section() == name)
    }
}

/// A key's section (empty at the top level) and its name there.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.split_once('.').unwrap_or(("", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Is;

    #[test]
    fn counts_never_go_below_zero_and_every_default_keeps_its_rule() {
        for key in &Keys::experiment().keys {
            let range = key.field.facts.whole.unwrap_or(key.field.facts.range);
            assert!(!key.field.kind.has(&Kind::Integer) || !range.allows(-1.0), "{}", key.path);
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
    fn conditions_speak_of_keys_and_names_that_exist() {
        let keys = Keys::experiment();
        for condition in keys.keys.iter().flat_map(|key| &key.field.facts.when) {
            let governor = keys.find(&condition.key).expect(&condition.key);
            let (Is::OneOf(names), Kind::Choice(choices)) = (&condition.is, &governor.field.kind) else {
                continue;
            };
            for name in names {
                assert!(choices.iter().any(|choice| choice.name == *name), "{} {name}", condition.key);
            }
        }
    }

    #[test]
    fn other_names_lead_to_their_key_and_are_none_themselves() {
        let keys = Keys::experiment();
        for key in &keys.keys {
            for other in &key.field.facts.other_names {
                assert!(keys.keys.iter().all(|key| key.leaf() != *other), "{other}");
                assert_eq!(crate::nearest::keys(keys, other), [&key.path]);
            }
        }
        for section in &keys.sections {
            for other in &section.facts.other_names {
                assert!(keys.section(other).is_none(), "{other}");
                assert_eq!(crate::nearest::section(keys, other), Some(section.name.as_str()));
            }
        }
    }
}
