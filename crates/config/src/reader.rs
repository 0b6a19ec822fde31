//! Reads one layer: finds the key of each value, and checks the value against the type and the facts of its key.
//!
//! A mistake is noted and reading continues, so that the user sees all mistakes at once.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, Range};

use serde::Deserialize;
use toml::de::{DeFloat, DeInteger, DeTable, DeValue, ValueDeserializer};
use toml::{Spanned, Value};

use crate::document::{Document, excerpt};
use crate::experiment::literal;
use crate::facts::Facts;
use crate::keys::{Choice, Field, Key, Keys, ValueKind, names, split};
use crate::problem::{nearest_choice, nearest_keys, nearest_section, nearest_word, question};
use crate::{ConfigFault, Origin, Problem};

/// Reads one layer into `state`, over the values of lower layers.
pub(crate) struct Reader<'a> {
    pub(crate) keys: &'a Keys,
    pub(crate) source: LayerSource<'a>,
    pub(crate) rank: usize,
    pub(crate) state: &'a mut ReaderState,
}

/// Where a layer's values come from.
pub(crate) enum LayerSource<'a> {
    /// A text; the origin of each value is its line.
    Text(&'a Document<'a>),
    /// A variable or an argument, which is the origin of all its values.
    Fixed(Origin),
}

/// Result of reading the layers: the values, by dotted key, and the problems.
#[derive(Debug, Default)]
pub(crate) struct ReaderState {
    pub(crate) given: BTreeMap<String, GivenValue>,
    pub(crate) problems: Vec<Problem>,
    /// Keys that a problem is about: its own, and those that a misspelt name may have meant. Later checks skip them,
    /// because a second message would only confuse.
    pub(crate) reported_keys: BTreeSet<String>,
    /// The origin of each value by its path, including values within lists and tables (`expect[0].trial`).
    pub(crate) value_origins: BTreeMap<String, Origin>,
}

/// A value from one of the layers.
#[derive(Clone, Debug)]
pub(crate) struct GivenValue {
    pub(crate) value: Value,
    /// Where its key is written.
    pub(crate) origin: Origin,
    /// Number of its layer. A higher layer overrides a lower one; defaults have 0.
    pub(crate) rank: usize,
}

/// A value with its position in the text.
pub(crate) type SpannedValue<'i> = Spanned<DeValue<'i>>;

/// The type and the facts that a value must have.
#[derive(Clone, Copy)]
struct ExpectedValue<'k> {
    /// The key: `model.hidden`.
    key: &'k str,
    /// The key, or the path to a value within it: `model.hidden[1]`.
    path: &'k str,
    kind: &'k ValueKind,
    facts: &'k Facts,
}

impl ReaderState {
    /// True if no layer gives `key`.
    pub(crate) fn is_untouched(&self, key: &str) -> bool {
        !self.given.contains_key(key)
    }

    /// Number of the layer that decides `key`.
    pub(crate) fn rank(&self, key: &str) -> usize {
        self.given.get(key).map_or(0, |given| given.rank)
    }

    /// Where the value of `key` comes from.
    pub(crate) fn origin(&self, key: &str) -> Origin {
        self.given.get(key).map_or(Origin::Default, |given| given.origin.clone())
    }
}

impl<'a> Reader<'a> {
    /// Reads a whole file.
    pub(crate) fn document(&mut self, table: &DeTable<'_>) {
        for (name, value) in table {
            if name.get_ref().contains('.') {
                self.quoted(name.get_ref(), &name.span());
            } else {
                self.entry(name.get_ref(), &name.span(), value);
            }
        }
    }

    /// Reports every required key that is missing.
    pub(crate) fn missing(&mut self) {
        for key in &self.keys.keys {
            let is_given =
                self.state.given.contains_key(&key.path) || self.state.reported_keys.contains(&key.path);
            if key.field.required && !is_given {
                let expected = key.field.kind.words();
                self.report(&key.path, &(0..0), ConfigFault::Missing { key: key.path.clone(), expected });
            }
        }
    }

    /// Reads the value at a dotted path, which names a key or a whole section.
    pub(crate) fn entry(&mut self, path: &str, span: &Range<usize>, value: &SpannedValue<'_>) {
        if let Some(key) = self.keys.find(path) {
            self.key(key, span, value);
        } else if self.keys.section(path).is_some() {
            self.section(path, span, value);
        } else {
            self.unknown(path, span, value);
        }
    }

    /// Notes a problem with `key`, which is a path without list indices.
    pub(crate) fn report(&mut self, key: &str, span: &Range<usize>, fault: ConfigFault) {
        let origin = self.origin(span);
        self.state.reported_keys.insert(key.to_owned());
        self.state.problems.push(Problem::new(origin, fault));
    }

    /// `"optimizer.lr" = 1`: to TOML, a quoted name is one word.
    fn quoted(&mut self, name: &str, span: &Range<usize>) {
        let meant = question(&nearest_keys(self.keys, name));
        let hint = meant.replace("did you mean", "without quotes, did you mean");
        self.report(name, span, ConfigFault::UnknownKey { key: format!("{name:?}"), hint });
    }

    fn key(&mut self, key: &'a Key, span: &Range<usize>, found: &SpannedValue<'_>) {
        let expected =
            ExpectedValue { key: &key.path, path: &key.path, kind: &key.field.kind, facts: &key.field.facts };
        if let Some(value) = self.value(expected, found) {
            let given = GivenValue { value, origin: self.origin(span), rank: self.rank };
            self.state.given.insert(key.path.clone(), given);
        }
    }

    fn section(&mut self, section: &str, span: &Range<usize>, value: &SpannedValue<'_>) {
        let DeValue::Table(table) = value.get_ref() else {
            return self.not_a_table(section, span, value.get_ref());
        };
        for (name, value) in table {
            self.entry(&format!("{section}.{}", name.get_ref()), &name.span(), value);
        }
    }

    /// `optimizer = "adam"`.
    fn not_a_table(&mut self, section: &str, span: &Range<usize>, value: &DeValue<'_>) {
        let mut main = ["name", "source"].iter().map(|leaf| format!("{section}.{leaf}"));
        let main = main.find(|path| self.keys.find(path).is_some() && value.is_str());
        let hint =
            main.map(|path| format!("; did you mean `{path} = {}`?", shown(value))).unwrap_or_default();
        let fault = ConfigFault::WrongType {
            key: section.to_owned(),
            expected: format!("a section, written [{section}]"),
            found: shown(value),
            hint,
        };
        self.mark_section_reported(section);
        self.report(section, span, fault);
    }

    fn mark_section_reported(&mut self, section: &str) {
        self.state.reported_keys.extend(self.keys.of_section(section).map(|key| key.path.clone()));
    }

    fn unknown(&mut self, path: &str, span: &Range<usize>, value: &SpannedValue<'_>) {
        if path == "extends" {
            return self.report(path, span, ConfigFault::ExtendsHere);
        }
        let (section, leaf) = split(path);
        if section.is_empty() && value.get_ref().is_table() {
            let meant = nearest_word(path, self.tables());
            return match meant.map(|meant| question(&[meant])) {
                Some(hint) => self.report(path, span, ConfigFault::UnknownKey { key: path.to_owned(), hint }),
                None => self.unknown_section(path, span),
            };
        }
        let suggestions = nearest_keys(self.keys, path);
        let known_section = section.is_empty() || self.keys.section(section).is_some();
        if !known_section && suggestions.is_empty() {
            return self.unknown_section(section, span);
        }
        self.state.reported_keys.extend(suggestions.iter().map(|key| (*key).to_owned()));
        let hint =
            if suggestions.is_empty() { self.valid_beside(section, leaf) } else { question(&suggestions) };
        self.report(path, span, ConfigFault::UnknownKey { key: path.to_owned(), hint });
    }

    fn unknown_section(&mut self, section: &str, span: &Range<usize>) {
        let hint = match nearest_section(self.keys, section) {
            Some(meant) => {
                self.mark_section_reported(meant);
                format!("; did you mean `[{meant}]`?")
            }
            None => format!("; the sections are {}", self.sections()),
        };
        self.report(section, span, ConfigFault::UnknownSection { section: section.to_owned(), hint });
    }

    /// The valid keys of `section`, for the message about an unknown key without a similar one.
    fn valid_beside(&self, section: &str, leaf: &str) -> String {
        if let Some(meant) = nearest_section(self.keys, leaf).filter(|_| section.is_empty()) {
            return format!("; did you mean the section `[{meant}]`?");
        }
        let names: Vec<&str> = self.keys.of_section(section).map(Key::leaf).collect();
        let names = names.join(", ");
        match section {
            "" if self.keys.sections.is_empty() => format!("; the keys are {names}"),
            "" => format!("; the keys outside of sections are {names}; the sections are {}", self.sections()),
            _ => format!("; [{section}] has {names}"),
        }
    }

    fn sections(&self) -> String {
        let sections = self.keys.sections.iter().map(|section| section.name.as_str());
        self.tables().chain(sections).collect::<Vec<_>>().join(", ")
    }

    /// Keys outside of sections whose value is a table.
    fn tables(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let tables = self.keys.of_section("").filter(|key| key.field.kind.is_table());
        tables.map(Key::leaf)
    }

    fn origin(&self, span: &Range<usize>) -> Origin {
        match &self.source {
            LayerSource::Text(document) => document.origin(span),
            LayerSource::Fixed(origin) => origin.clone(),
        }
    }
}

impl Reader<'_> {
    /// The value, if it is as `expected`; otherwise a problem is noted.
    fn value(&mut self, expected: ExpectedValue<'_>, found: &SpannedValue<'_>) -> Option<Value> {
        let origin = self.origin(&found.span());
        self.state.value_origins.insert(expected.path.to_owned(), origin);
        match (expected.kind, found.get_ref()) {
            (ValueKind::Boolean, DeValue::Boolean(switch)) => Some(Value::Boolean(*switch)),
            (ValueKind::Integer, DeValue::Integer(number)) => self.whole(expected, found, integer(number)),
            (ValueKind::Number, DeValue::Integer(number)) => {
                self.number(expected, found, integer_as_float(number))
            }
            (ValueKind::Number, DeValue::Float(number)) => self.number(expected, found, float(number)),
            (ValueKind::Text, DeValue::String(text)) => self.text(expected, found, text),
            (ValueKind::Choice(choices), DeValue::String(name)) => {
                self.choice(expected, choices, found, name)
            }
            (ValueKind::List(element, length), DeValue::Array(values))
                if length.is_none_or(|length| length == values.len()) =>
            {
                self.list(expected, element, values.iter())
            }
            (ValueKind::Either(kinds), value) => match kinds.iter().find(|kind| kind.fits(value)) {
                // An unknown word may stand for a name or for a switch: the message names both.
                Some(ValueKind::Choice(choices))
                    if kinds.contains(&ValueKind::Boolean)
                        && !choices.iter().any(|choice| value.as_str() == Some(&choice.name)) =>
                {
                    self.wrong_type(expected, found)
                }
                Some(kind) => self.value(ExpectedValue { kind, ..expected }, found),
                None => self.wrong_type(expected, found),
            },
            (ValueKind::Record(fields), DeValue::Table(table)) => self.record(expected, fields, found, table),
            (ValueKind::Map(element), DeValue::Table(table)) => self.map(expected, element, table),
            (ValueKind::Any, _) => Value::deserialize(ValueDeserializer::from(found.clone())).ok(),
            _ => self.wrong_type(expected, found),
        }
    }

    fn whole(
        &mut self,
        expected: ExpectedValue<'_>,
        found: &SpannedValue<'_>,
        number: Option<i64>,
    ) -> Option<Value> {
        let range = expected.facts.whole.unwrap_or(expected.facts.range);
        match number.filter(|number| range.allows(*number as f64)) {
            Some(number) => Some(Value::Integer(number)),
            None if range.high == Bound::Unbounded => {
                self.out_of_range(expected, found, &format!("{range} and at most {}", i64::MAX))
            }
            None => self.out_of_range(expected, found, &range.to_string()),
        }
    }

    fn number(
        &mut self,
        expected: ExpectedValue<'_>,
        found: &SpannedValue<'_>,
        number: f64,
    ) -> Option<Value> {
        let Facts { range, whole, .. } = expected.facts;
        if range.allows(number) {
            return Some(Value::Float(number));
        }
        let finite = if (number as f32).is_finite() { "" } else { ", and finite as a 32-bit number" };
        let count = if whole.is_some() { ", or a whole number (a count)" } else { "" };
        self.out_of_range(expected, found, &format!("{range}{count}{finite}"))
    }

    fn text(&mut self, expected: ExpectedValue<'_>, found: &SpannedValue<'_>, text: &str) -> Option<Value> {
        if expected.facts.text.allows(text) {
            return Some(Value::String(text.to_owned()));
        }
        self.out_of_range(expected, found, expected.facts.text.words())
    }

    fn choice(
        &mut self,
        expected: ExpectedValue<'_>,
        choices: &[Choice],
        found: &SpannedValue<'_>,
        name: &str,
    ) -> Option<Value> {
        if choices.iter().any(|choice| choice.name == name) {
            return Some(Value::String(name.to_owned()));
        }
        let meant = nearest_choice(name, choices);
        let fault = ConfigFault::UnknownName {
            key: expected.path.to_owned(),
            found: shown(found.get_ref()),
            allowed: names(choices),
            hint: meant.map(|meant| format!("; did you mean {meant:?}?")).unwrap_or_default(),
        };
        self.report(expected.key, &found.span(), fault);
        None
    }

    /// Reads every element, even after a mistake, to report all mistakes at once.
    fn list<'f, 'i: 'f>(
        &mut self,
        expected: ExpectedValue<'_>,
        kind: &ValueKind,
        values: impl Iterator<Item = &'f SpannedValue<'i>>,
    ) -> Option<Value> {
        let read: Vec<Option<Value>> = values
            .enumerate()
            .map(|(index, value)| {
                let path = format!("{}[{index}]", expected.path);
                self.value(ExpectedValue { path: &path, kind, ..expected }, value)
            })
            .collect();
        read.into_iter().collect::<Option<Vec<Value>>>().map(Value::Array)
    }

    fn map(&mut self, expected: ExpectedValue<'_>, kind: &ValueKind, table: &DeTable<'_>) -> Option<Value> {
        let read: Vec<(String, Option<Value>)> = table
            .iter()
            .map(|(name, value)| {
                let path = format!("{}.{}", expected.path, name.get_ref());
                (
                    name.get_ref().to_string(),
                    self.value(ExpectedValue { path: &path, kind, ..expected }, value),
                )
            })
            .collect();
        let read = read.into_iter().map(|(name, value)| Some((name, value?)));
        read.collect::<Option<toml::Table>>().map(Value::Table)
    }

    fn record(
        &mut self,
        expected: ExpectedValue<'_>,
        fields: &[Field],
        found: &SpannedValue<'_>,
        table: &DeTable<'_>,
    ) -> Option<Value> {
        let mut read = toml::Table::new();
        let mut is_sound = self.only_known_fields(expected, fields, table);
        for field in fields {
            let path = format!("{}.{}", expected.path, field.name);
            match table.iter().find(|(name, _)| *name.get_ref() == field.name) {
                Some((_, value)) => {
                    let expected =
                        ExpectedValue { path: &path, kind: &field.kind, facts: &field.facts, ..expected };
                    match self.value(expected, value) {
                        Some(value) => drop(read.insert(field.name.clone(), value)),
                        None => is_sound = false,
                    }
                }
                None if field.required && is_sound => {
                    let fault = ConfigFault::Missing { key: path, expected: field.kind.words() };
                    self.report(expected.key, &found.span(), fault);
                    is_sound = false;
                }
                None => {}
            }
        }
        is_sound.then_some(Value::Table(read))
    }

    fn only_known_fields(
        &mut self,
        expected: ExpectedValue<'_>,
        fields: &[Field],
        table: &DeTable<'_>,
    ) -> bool {
        let mut is_sound = true;
        let known = |name: &str| fields.iter().any(|field| field.name == name);
        for (name, _) in table.iter().filter(|(name, _)| !known(name.get_ref())) {
            let names = || fields.iter().map(|field| field.name.as_str());
            let hint = match nearest_word(name.get_ref(), names()) {
                Some(meant) => question(&[format!("{}.{meant}", expected.path)]),
                None => format!("; it has {}", names().collect::<Vec<_>>().join(", ")),
            };
            let fault =
                ConfigFault::UnknownKey { key: format!("{}.{}", expected.path, name.get_ref()), hint };
            self.report(expected.key, &name.span(), fault);
            is_sound = false;
        }
        is_sound
    }

    fn wrong_type(&mut self, expected: ExpectedValue<'_>, found: &SpannedValue<'_>) -> Option<Value> {
        let hint = conversion(expected.kind, found.get_ref());
        let fault = ConfigFault::WrongType {
            key: expected.path.to_owned(),
            expected: expected.kind.words(),
            found: shown(found.get_ref()),
            hint: hint.map(|text| format!("; write {text}")).unwrap_or_default(),
        };
        self.report(expected.key, &found.span(), fault);
        None
    }

    fn out_of_range(
        &mut self,
        expected: ExpectedValue<'_>,
        found: &SpannedValue<'_>,
        allowed: &str,
    ) -> Option<Value> {
        let fault = ConfigFault::OutOfRange {
            key: expected.path.to_owned(),
            found: shown(found.get_ref()),
            allowed: allowed.to_owned(),
        };
        self.report(expected.key, &found.span(), fault);
        None
    }
}

fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// An integer where a float is allowed. An integer beyond 64 bits becomes infinite, which no range allows.
fn integer_as_float(number: &DeInteger<'_>) -> f64 {
    integer(number).map_or(f64::INFINITY, |number| number as f64)
}

fn float(number: &DeFloat<'_>) -> f64 {
    number.as_str().parse().unwrap_or(f64::NAN)
}

/// The value in the form that `kind` has, if there is one: `[256]` for `256`, `0.1` for `"0.1"`.
fn conversion(kind: &ValueKind, value: &DeValue<'_>) -> Option<String> {
    match (kind, value) {
        (ValueKind::List(element, None), value) if has_type(element, value) => {
            Some(format!("[{}]", shown(value)))
        }
        (ValueKind::Number, DeValue::String(text)) => text.parse::<f64>().ok().map(|_| excerpt(text)),
        (ValueKind::Integer, DeValue::String(text)) => text.parse::<i64>().ok().map(|_| excerpt(text)),
        (ValueKind::Integer, DeValue::Float(number)) => {
            let number = float(number);
            (number.fract() == 0.0 && number.abs() < 1e15).then(|| format!("{number}"))
        }
        (ValueKind::Boolean, DeValue::String(text)) => {
            text.to_lowercase().parse::<bool>().ok().map(|switch| switch.to_string())
        }
        (ValueKind::Text, DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_)) => {
            Some(format!("\"{}\"", shown(value)))
        }
        _ => None,
    }
}

/// Whether `value` already has the type `kind`.
fn has_type(kind: &ValueKind, value: &DeValue<'_>) -> bool {
    match kind {
        ValueKind::Either(kinds) => kinds.iter().any(|kind| has_type(kind, value)),
        ValueKind::Integer => value.is_integer(),
        ValueKind::Number => value.is_integer() || value.is_float(),
        ValueKind::Text => value.is_str(),
        _ => false,
    }
}

/// The value as messages show it: short, on one line.
#[must_use]
pub fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => literal(&Value::String(excerpt(text))),
        DeValue::Integer(number) => excerpt(&number.to_string()),
        DeValue::Float(number) => excerpt(&number.to_string()),
        DeValue::Boolean(switch) => switch.to_string(),
        DeValue::Datetime(time) => format!("the date {time}"),
        DeValue::Array(values) => match values.len() {
            0 => "an empty list".to_owned(),
            _ if values.iter().all(|value| !value.get_ref().is_array() && !value.get_ref().is_table()) => {
                let parts: Vec<String> = values.iter().take(20).map(|value| shown(value.get_ref())).collect();
                format!("the list [{}]", excerpt(&parts.join(", ")))
            }
            _ => "a list".to_owned(),
        },
        DeValue::Table(table) => {
            let names: Vec<String> =
                table.iter().take(20).map(|(name, _)| name.get_ref().to_string()).collect();
            format!("a table with {}", excerpt(&names.join(", ")))
        }
    }
}
