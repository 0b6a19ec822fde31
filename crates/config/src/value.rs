//! Checks one value against its key's type and rule.

use toml::Value;
use toml::de::{DeFloat, DeInteger, DeTable, DeValue};

use crate::Fault;
use crate::keys::Key;
use crate::kind::{Choice, Field, Kind, names};
use crate::nearest;
use crate::range::Range;
use crate::reader::{Found, Reader};
use crate::shown::{conversion, shown};

impl Reader<'_> {
    /// The value, if it is what `kind` asks for; else a problem is noted. `path` is the key's, with list
    /// indices.
    pub(crate) fn value(&mut self, key: &Key, path: &str, kind: &Kind, found: &Found<'_>) -> Option<Value> {
        match (kind, found.get_ref()) {
            (Kind::Boolean, DeValue::Boolean(switch)) => Some(Value::Boolean(*switch)),
            (Kind::Integer, DeValue::Integer(number)) => {
                self.whole(key, path, key.rule.range, found, integer(number))
            }
            (Kind::Number, DeValue::Integer(number)) => {
                self.number(key, path, found, integer_as_float(number))
            }
            (Kind::Number, DeValue::Float(number)) => self.number(key, path, found, float(number)),
            (Kind::Text, DeValue::String(text)) => self.text(key, path, found, text),
            (Kind::Choice(choices), DeValue::String(name)) => self.choice(key, path, choices, found, name),
            (Kind::List(element, length), DeValue::Array(values)) => {
                if length.is_some_and(|length| length != values.len()) {
                    return self.wrong_type(key, path, kind, found);
                }
                self.list(key, path, element, values.iter())
            }
            (Kind::Either(kinds), value) => self.either(key, path, kinds, found, value),
            (Kind::Record(fields), DeValue::Table(table)) => self.record(key, path, fields, found, table),
            _ => self.wrong_type(key, path, kind, found),
        }
    }

    fn whole(
        &mut self,
        key: &Key,
        path: &str,
        range: Range,
        found: &Found<'_>,
        number: Option<i64>,
    ) -> Option<Value> {
        match number.filter(|number| range.allows(*number as f64)) {
            Some(number) => Some(Value::Integer(number)),
            None if range.high.is_infinite() => {
                self.out_of_range(key, path, found, &format!("{range} and at most {}", i64::MAX))
            }
            None => self.out_of_range(key, path, found, &range.to_string()),
        }
    }

    fn number(&mut self, key: &Key, path: &str, found: &Found<'_>, number: f64) -> Option<Value> {
        if key.rule.range.allows(number) {
            return Some(Value::Float(number));
        }
        let finite = if (number as f32).is_finite() { "" } else { ", and finite as a 32-bit number" };
        let count = if key.rule.whole.is_some() { ", or a whole number (a count)" } else { "" };
        self.out_of_range(key, path, found, &format!("{}{count}{finite}", key.rule.range))
    }

    fn text(&mut self, key: &Key, path: &str, found: &Found<'_>, text: &str) -> Option<Value> {
        if key.rule.text.allows(text) {
            return Some(Value::String(text.to_owned()));
        }
        self.out_of_range(key, path, found, key.rule.text.words())
    }

    fn choice(
        &mut self,
        key: &Key,
        path: &str,
        choices: &[Choice],
        found: &Found<'_>,
        name: &str,
    ) -> Option<Value> {
        if choices.iter().any(|choice| choice.name == name) {
            return Some(Value::String(name.to_owned()));
        }
        let meant = nearest::choice(name, choices);
        let hint = meant.map(|meant| format!("; did you mean {meant:?}?")).unwrap_or_default();
        let (key_path, found_text) = (path.to_owned(), shown(found.get_ref()));
        let fault = Fault::UnknownName { key: key_path, found: found_text, allowed: names(choices), hint };
        self.report(key.path, &found.span(), fault);
        None
    }

    /// Every element is looked at, so that all their problems are told at once.
    fn list<'f, 'i: 'f>(
        &mut self,
        key: &Key,
        path: &str,
        element: &Kind,
        values: impl Iterator<Item = &'f Found<'i>>,
    ) -> Option<Value> {
        let read: Vec<Option<Value>> = values
            .enumerate()
            .map(|(index, value)| self.value(key, &format!("{path}[{index}]"), element, value))
            .collect();
        read.into_iter().collect::<Option<Vec<Value>>>().map(Value::Array)
    }

    fn either(
        &mut self,
        key: &Key,
        path: &str,
        kinds: &[Kind],
        found: &Found<'_>,
        value: &DeValue<'_>,
    ) -> Option<Value> {
        let kind = match value {
            DeValue::Integer(number) if kinds.contains(&Kind::Integer) => {
                let range = key.rule.whole.unwrap_or(key.rule.range);
                return self.whole(key, path, range, found, integer(number));
            }
            DeValue::Float(_) => Kind::Number,
            _ => Kind::Text,
        };
        if kinds.contains(&kind) && matches!(value, DeValue::Float(_) | DeValue::String(_)) {
            return self.value(key, path, &kind, found);
        }
        self.wrong_type(key, path, &Kind::Either(kinds.to_vec()), found)
    }

    fn record(
        &mut self,
        key: &Key,
        path: &str,
        fields: &[Field],
        found: &Found<'_>,
        table: &DeTable<'_>,
    ) -> Option<Value> {
        let mut read = toml::Table::new();
        let mut sound = self.only_known_fields(key, path, fields, table);
        for field in fields {
            match table.iter().find(|(name, _)| *name.get_ref() == field.name) {
                Some((_, value)) => {
                    match self.value(key, &format!("{path}.{}", field.name), &field.kind, value) {
                        Some(value) => drop(read.insert(field.name.clone(), value)),
                        None => sound = false,
                    }
                }
                None if field.required && sound => {
                    self.wrong_type(key, path, &Kind::Record(fields.to_vec()), found);
                    sound = false;
                }
                None => {}
            }
        }
        sound.then_some(Value::Table(read))
    }

    fn only_known_fields(&mut self, key: &Key, path: &str, fields: &[Field], table: &DeTable<'_>) -> bool {
        let mut sound = true;
        let known = |name: &str| fields.iter().any(|field| field.name == name);
        for (name, _) in table.iter().filter(|(name, _)| !known(name.get_ref())) {
            let names = || fields.iter().map(|field| field.name.as_str());
            let meant = nearest::word(name.get_ref(), names());
            let hint = match meant {
                Some(meant) => nearest::question(&[format!("{path}.{meant}")]),
                None => format!("; it has {}", names().collect::<Vec<_>>().join(", ")),
            };
            let fault = Fault::UnknownKey { key: format!("{path}.{}", name.get_ref()), hint };
            self.report(key.path, &name.span(), fault);
            sound = false;
        }
        sound
    }

    fn wrong_type(&mut self, key: &Key, path: &str, kind: &Kind, found: &Found<'_>) -> Option<Value> {
        let fault = Fault::WrongType {
            key: path.to_owned(),
            expected: kind.words(),
            found: shown(found.get_ref()),
            hint: conversion(kind, found.get_ref()).map(|text| format!("; write {text}")).unwrap_or_default(),
        };
        self.report(key.path, &found.span(), fault);
        None
    }

    fn out_of_range(&mut self, key: &Key, path: &str, found: &Found<'_>, allowed: &str) -> Option<Value> {
        let fault = Fault::OutOfRange {
            key: path.to_owned(),
            found: shown(found.get_ref()),
            allowed: allowed.to_owned(),
        };
        self.report(key.path, &found.span(), fault);
        None
    }
}

fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// A whole number where a fraction may stand; one that is too great for the computer becomes infinite.
fn integer_as_float(number: &DeInteger<'_>) -> f64 {
    integer(number).map_or(f64::INFINITY, |number| number as f64)
}

pub(crate) fn float(number: &DeFloat<'_>) -> f64 {
    number.as_str().parse().unwrap_or(f64::NAN)
}
