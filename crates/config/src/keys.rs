//! Every key of an experiment file: its type, meaning, default and rule.

use std::sync::LazyLock;

use schemars::schema_for;

use crate::Experiment;
use crate::kind::{Kind, followed};
use crate::range::{RULES, Rule};

/// A key that has a value of its own.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) path: &'static str,
    pub(crate) meaning: String,
    pub(crate) kind: Kind,
    pub(crate) rule: &'static Rule,
    /// The built-in value; none for a key that is left out by default.
    pub(crate) default: Option<toml::Value>,
}

/// A table of keys: `[optimizer]` and its like.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) name: &'static str,
    pub(crate) meaning: String,
}

/// All keys and sections, in the order in which files are written.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) keys: Vec<Key>,
    pub(crate) sections: Vec<Section>,
}

static KEYS: LazyLock<Keys> = LazyLock::new(Keys::from_types);

impl Key {
    /// The section's name, empty at the top level.
    pub(crate) fn section(&self) -> &'static str {
        split(self.path).0
    }

    /// The name without its section.
    pub(crate) fn leaf(&self) -> &'static str {
        split(self.path).1
    }
}

impl Keys {
    pub(crate) fn get() -> &'static Self {
        &KEYS
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

    fn from_types() -> Self {
        let root = schema_for!(Experiment);
        let defaults = toml::Table::try_from(Experiment::default()).expect("the defaults are plain TOML");
        let mut names: Vec<&str> = RULES.iter().map(|rule| split(rule.key).0).collect();
        names.dedup();
        let section = |name| Section { name, meaning: meaning(&root.as_value()["properties"][name]) };
        Self {
            keys: RULES.iter().map(|rule| Key::from_types(rule, &root, &defaults)).collect(),
            sections: names.into_iter().filter(|name| !name.is_empty()).map(section).collect(),
        }
    }
}

impl Key {
    fn from_types(rule: &'static Rule, root: &schemars::Schema, defaults: &toml::Table) -> Self {
        let (section, leaf) = split(rule.key);
        let properties = &root.as_value()["properties"];
        let (parent, values) = if section.is_empty() {
            (root.as_value(), Some(defaults))
        } else {
            (followed(&properties[section], root), defaults.get(section).and_then(toml::Value::as_table))
        };
        let node = &parent["properties"][leaf];
        Self {
            path: rule.key,
            meaning: meaning(node),
            kind: Kind::from_schema(node, root),
            rule,
            default: values.and_then(|values| values.get(leaf)).cloned().or_else(|| schema_default(node)),
        }
    }
}

/// The default that the schema names for a key which a default experiment does not write out.
fn schema_default(node: &serde_json::Value) -> Option<toml::Value> {
    node["default"].as_str().map(|text| toml::Value::String(text.to_owned()))
}

/// A key's section (empty at the top level) and its name there.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.split_once('.').unwrap_or(("", path))
}

fn meaning(node: &serde_json::Value) -> String {
    node["description"].as_str().unwrap_or_default().replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::effect::{EFFECTS, When};

    /// The leaves of the schema, with their sections.
    fn leaves() -> BTreeSet<String> {
        let root = schema_for!(Experiment);
        let properties =
            |node: &serde_json::Value| node["properties"].as_object().cloned().unwrap_or_default();
        let mut leaves = BTreeSet::new();
        for (name, node) in properties(root.as_value()) {
            let inner = properties(followed(&node, &root));
            if inner.is_empty() {
                leaves.insert(name);
            } else {
                leaves.extend(inner.keys().map(|leaf| format!("{name}.{leaf}")));
            }
        }
        leaves
    }

    #[test]
    fn the_rules_are_for_the_keys_of_the_types_each_once() {
        let rules: Vec<String> = RULES.iter().map(|rule| rule.key.to_owned()).collect();
        assert_eq!(rules.iter().cloned().collect::<BTreeSet<_>>(), leaves());
        assert_eq!(rules.len(), leaves().len());
    }

    #[test]
    fn counts_never_go_below_zero_and_every_default_keeps_its_rule() {
        for key in &Keys::get().keys {
            let range = key.rule.whole.unwrap_or(key.rule.range);
            assert!(!key.kind.has(&Kind::Integer) || range.low >= 0.0, "{}", key.path);
            let numbers = match &key.default {
                Some(toml::Value::Array(values)) => values.clone(),
                value => value.iter().map(|value| (*value).clone()).collect(),
            };
            for number in numbers {
                let number = number.as_float().or(number.as_integer().map(|whole| whole as f64));
                assert!(number.is_none_or(|number| key.rule.range.allows(number)), "{}", key.path);
            }
        }
    }

    #[test]
    fn effects_speak_of_keys_and_names_that_exist() {
        for effect in EFFECTS {
            assert!(Keys::get().find(effect.key).is_some(), "{}", effect.key);
            let governor = Keys::get().find(effect.governor).expect(effect.governor);
            let (When::Is(names), Kind::Choice(choices)) = (effect.when, &governor.kind) else { continue };
            for name in names {
                assert!(choices.iter().any(|choice| choice.name == *name), "{} {name}", effect.governor);
            }
        }
    }
}
