//! Every key of a kind of file: its type, meaning, default and facts, as the file's Rust type gives them.

use std::sync::LazyLock;

use schemars::{JsonSchema, Schema, schema_for};
use serde_json::Value;
use toml::Table;

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

/// A table of keys: `[optimizer]` and its like, `[data.columns]` within another.
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
        let described = |field: &Field| &node["properties"][&field.name];
        // A table that is always there is a section; one that may be left out is a value. In a file, a section's keys
        // stand in front of the sections within it.
        let is_section =
            |field: &Field| matches!(field.kind, Kind::Record(_)) && described(field)["default"].is_object();
        let (sections, keys): (Vec<Field>, Vec<Field>) = fields(node, root).into_iter().partition(is_section);
        let path = |name: &str| format!("{prefix}{name}");
        self.keys.extend(keys.into_iter().map(|field| Key { path: path(&field.name), field }));
        for field in sections {
            let name = path(&field.name);
            self.add(&name, followed(described(&field), root), root);
            self.sections.push(Section { name, meaning: field.meaning, facts: field.facts });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Is;

    #[test]
    fn counts_never_go_below_zero_and_every_default_keeps_its_rule() {
        for key in &Keys::experiment().keys {
            let range = key.field.facts.whole.unwrap_or(key.field.facts.range);
            let may_be_negative = key.path == "data.label_column";
            assert!(
                !key.field.kind.has(&Kind::Integer) || !range.allows(-1.0) || may_be_negative,
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
