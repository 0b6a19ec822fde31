//! Checks one value against its type and facts.

use serde::Deserialize;
use toml::Value;
use toml::de::{DeFloat, DeInteger, DeTable, DeValue, ValueDeserializer};

use crate::Fault;
use crate::facts::Facts;
use crate::kind::{Choice, Field, Kind, names};
use crate::nearest;
use crate::reader::{Found, Reader};
use crate::shown::{conversion, shown};

/// Where a value goes.
#[derive(Clone, Copy)]
pub(crate) struct Slot<'k> {
    /// The key.
    pub(crate) key: &'k str,
    /// The same, with what leads to a value within the key's.
    pub(crate) path: &'k str,
    pub(crate) kind: &'k Kind,
    pub(crate) facts: &'k Facts,
}

impl Reader<'_> {
    /// The value, if it is what `slot` asks for; else a problem is noted.
    pub(crate) fn value(&mut self, slot: Slot<'_>, found: &Found<'_>) -> Option<Value> {
        let origin = self.origin(&found.span());
        self.findings.places.insert(slot.path.to_owned(), origin);
        match (slot.kind, found.get_ref()) {
            (Kind::Boolean, DeValue::Boolean(switch)) => Some(Value::Boolean(*switch)),
            (Kind::Integer, DeValue::Integer(number)) => self.whole(slot, found, integer(number)),
            (Kind::Number, DeValue::Integer(number)) => self.number(slot, found, integer_as_float(number)),
            (Kind::Number, DeValue::Float(number)) => self.number(slot, found, float(number)),
            (Kind::Text, DeValue::String(text)) => self.text(slot, found, text),
            (Kind::Choice(choices), DeValue::String(name)) => self.choice(slot, choices, found, name),
            (Kind::List(element, length), DeValue::Array(values))
                if length.is_none_or(|length| length == values.len()) =>
            {
                self.list(slot, element, values.iter())
            }
            (Kind::Either(kinds), value) => match kinds.iter().find(|kind| kind.fits(value)) {
                // Of a word that is none of its names, a switch is the other reading.
                Some(Kind::Choice(choices))
                    if kinds.contains(&Kind::Boolean)
                        && !choices.iter().any(|choice| value.as_str() == Some(&choice.name)) =>
                {
                    self.wrong_type(slot, found)
                }
                Some(kind) => self.value(Slot { kind, ..slot }, found),
                None => self.wrong_type(slot, found),
            },
            (Kind::Record(fields), DeValue::Table(table)) => self.record(slot, fields, found, table),
            (Kind::Map(element), DeValue::Table(table)) => self.map(slot, element, table),
            (Kind::Any, _) => Value::deserialize(ValueDeserializer::from(found.clone())).ok(),
            _ => self.wrong_type(slot, found),
        }
    }

    fn whole(&mut self, slot: Slot<'_>, found: &Found<'_>, number: Option<i64>) -> Option<Value> {
        let range = slot.facts.whole.unwrap_or(slot.facts.range);
        match number.filter(|number| range.allows(*number as f64)) {
            Some(number) => Some(Value::Integer(number)),
            None if range.high == std::ops::Bound::Unbounded => {
                self.out_of_range(slot, found, &format!("{range} and at most {}", i64::MAX))
            }
            None => self.out_of_range(slot, found, &range.to_string()),
        }
    }

    fn number(&mut self, slot: Slot<'_>, found: &Found<'_>, number: f64) -> Option<Value> {
        let Facts { range, whole, .. } = slot.facts;
        if range.allows(number) {
            return Some(Value::Float(number));
        }
        let finite = if (number as f32).is_finite() { "" } else { ", and finite as a 32-bit number" };
        let count = if whole.is_some() { ", or a whole number (a count)" } else { "" };
        self.out_of_range(slot, found, &format!("{range}{count}{finite}"))
    }

    fn text(&mut self, slot: Slot<'_>, found: &Found<'_>, text: &str) -> Option<Value> {
        if slot.facts.text.allows(text) {
            return Some(Value::String(text.to_owned()));
        }
        self.out_of_range(slot, found, slot.facts.text.words())
    }

    fn choice(&mut self, slot: Slot<'_>, choices: &[Choice], found: &Found<'_>, name: &str) -> Option<Value> {
        if choices.iter().any(|choice| choice.name == name) {
            return Some(Value::String(name.to_owned()));
        }
        let meant = nearest::choice(name, choices);
        let fault = Fault::UnknownName {
            key: slot.path.to_owned(),
            found: shown(found.get_ref()),
            allowed: names(choices),
            hint: meant.map(|meant| format!("; did you mean {meant:?}?")).unwrap_or_default(),
        };
        self.report(slot.key, &found.span(), fault);
        None
    }

    /// Every element is looked at, so that all their problems are told at once.
    fn list<'f, 'i: 'f>(
        &mut self,
        slot: Slot<'_>,
        kind: &Kind,
        values: impl Iterator<Item = &'f Found<'i>>,
    ) -> Option<Value> {
        let read: Vec<Option<Value>> = values
            .enumerate()
            .map(|(index, value)| {
                let path = format!("{}[{index}]", slot.path);
                self.value(Slot { path: &path, kind, ..slot }, value)
            })
            .collect();
        read.into_iter().collect::<Option<Vec<Value>>>().map(Value::Array)
    }

    fn map(&mut self, slot: Slot<'_>, kind: &Kind, table: &DeTable<'_>) -> Option<Value> {
        let read: Vec<(String, Option<Value>)> = table
            .iter()
            .map(|(name, value)| {
                let path = format!("{}.{}", slot.path, name.get_ref());
                (name.get_ref().to_string(), self.value(Slot { path: &path, kind, ..slot }, value))
            })
            .collect();
        let read = read.into_iter().map(|(name, value)| Some((name, value?)));
        read.collect::<Option<toml::Table>>().map(Value::Table)
    }

    fn record(
        &mut self,
        slot: Slot<'_>,
        fields: &[Field],
        found: &Found<'_>,
        table: &DeTable<'_>,
    ) -> Option<Value> {
        let mut read = toml::Table::new();
        let mut is_sound = self.only_known_fields(slot, fields, table);
        for field in fields {
            let path = format!("{}.{}", slot.path, field.name);
            match table.iter().find(|(name, _)| *name.get_ref() == field.name) {
                Some((_, value)) => {
                    let slot = Slot { path: &path, kind: &field.kind, facts: &field.facts, ..slot };
                    match self.value(slot, value) {
                        Some(value) => drop(read.insert(field.name.clone(), value)),
                        None => is_sound = false,
                    }
                }
                None if field.required && is_sound => {
                    let fault = Fault::Missing { key: path, expected: field.kind.words() };
                    self.report(slot.key, &found.span(), fault);
                    is_sound = false;
                }
                None => {}
            }
        }
        is_sound.then_some(Value::Table(read))
    }

    fn only_known_fields(&mut self, slot: Slot<'_>, fields: &[Field], table: &DeTable<'_>) -> bool {
        let mut is_sound = true;
        let known = |name: &str| fields.iter().any(|field| field.name == name);
        for (name, _) in table.iter().filter(|(name, _)| !known(name.get_ref())) {
            let names = || fields.iter().map(|field| field.name.as_str());
            let hint = match nearest::word(name.get_ref(), names()) {
                Some(meant) => nearest::question(&[format!("{}.{meant}", slot.path)]),
                None => format!("; it has {}", names().collect::<Vec<_>>().join(", ")),
            };
            let fault = Fault::UnknownKey { key: format!("{}.{}", slot.path, name.get_ref()), hint };
            self.report(slot.key, &name.span(), fault);
            is_sound = false;
        }
        is_sound
    }

    fn wrong_type(&mut self, slot: Slot<'_>, found: &Found<'_>) -> Option<Value> {
        let hint = conversion(slot.kind, found.get_ref());
        let fault = Fault::WrongType {
            key: slot.path.to_owned(),
            expected: slot.kind.words(),
            found: shown(found.get_ref()),
            hint: hint.map(|text| format!("; write {text}")).unwrap_or_default(),
        };
        self.report(slot.key, &found.span(), fault);
        None
    }

    fn out_of_range(&mut self, slot: Slot<'_>, found: &Found<'_>, allowed: &str) -> Option<Value> {
        let fault = Fault::OutOfRange {
            key: slot.path.to_owned(),
            found: shown(found.get_ref()),
            allowed: allowed.to_owned(),
        };
        self.report(slot.key, &found.span(), fault);
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
