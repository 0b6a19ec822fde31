//! Reads one layer: which keys it names and where, before their values are looked at.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::document::Document;
use crate::keys::{Key, Keys, split};
use crate::setting::{Findings, Setting};
use crate::shown::shown;
use crate::value::Slot;
use crate::{Fault, Origin, Problem, nearest};

/// What a layer's values come from.
pub(crate) enum Place<'a> {
    /// A text with lines.
    Text(&'a Document<'a>),
    /// A variable or an argument: one place for all of it.
    Fixed(Origin),
}

/// Reads one layer into the findings, over what lower layers left there.
pub(crate) struct Reader<'a> {
    pub(crate) keys: &'a Keys,
    pub(crate) place: Place<'a>,
    pub(crate) rank: usize,
    pub(crate) findings: &'a mut Findings,
}

/// A spanned value, as the TOML parser gives it.
pub(crate) type Found<'i> = Spanned<DeValue<'i>>;

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

    /// Notes every key that has to be given and is not.
    pub(crate) fn missing(&mut self) {
        for key in &self.keys.keys {
            let is_given =
                self.findings.settings.contains_key(&key.path) || self.findings.doubtful.contains(&key.path);
            if key.field.required && !is_given {
                let expected = key.field.kind.words();
                self.report(&key.path, &(0..0), Fault::Missing { key: key.path.clone(), expected });
            }
        }
    }

    /// Reads what is given for one dotted path: a key, or a whole section.
    pub(crate) fn entry(&mut self, path: &str, span: &Range<usize>, value: &Found<'_>) {
        if let Some(key) = self.keys.find(path) {
            self.key(key, span, value);
        } else if self.keys.section(path).is_some() {
            self.section(path, span, value);
        } else {
            self.unknown(path, span, value);
        }
    }

    /// Notes a problem with `key`, a path without list indices.
    pub(crate) fn report(&mut self, key: &str, span: &Range<usize>, fault: Fault) {
        let origin = self.origin(span);
        self.findings.doubtful.insert(key.to_owned());
        self.findings.problems.push(Problem::new(origin, fault));
    }

    /// `"optimizer.lr" = 1`: TOML takes the quoted name as one word.
    fn quoted(&mut self, name: &str, span: &Range<usize>) {
        let meant = nearest::question(&nearest::keys(self.keys, name));
        let hint = meant.replace("did you mean", "without quotes, did you mean");
        self.report(name, span, Fault::UnknownKey { key: format!("{name:?}"), hint });
    }

    fn key(&mut self, key: &'a Key, span: &Range<usize>, found: &Found<'_>) {
        let slot = Slot { key: &key.path, path: &key.path, kind: &key.field.kind, facts: &key.field.facts };
        if let Some(value) = self.value(slot, found) {
            let setting = Setting { value, origin: self.origin(span), rank: self.rank };
            self.findings.settings.insert(key.path.clone(), setting);
        }
    }

    fn section(&mut self, section: &str, span: &Range<usize>, value: &Found<'_>) {
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
        let fault = Fault::WrongType {
            key: section.to_owned(),
            expected: format!("a section, written [{section}]"),
            found: shown(value),
            hint,
        };
        self.doubt_section(section);
        self.report(section, span, fault);
    }

    fn doubt_section(&mut self, section: &str) {
        self.findings.doubtful.extend(self.keys.of_section(section).map(|key| key.path.clone()));
    }

    fn unknown(&mut self, path: &str, span: &Range<usize>, value: &Found<'_>) {
        if path == "extends" {
            return self.report(path, span, Fault::ExtendsHere);
        }
        let (section, leaf) = split(path);
        if section.is_empty() && value.get_ref().is_table() {
            let meant = nearest::word(path, self.tables());
            return match meant.map(|meant| nearest::question(&[meant])) {
                Some(hint) => self.report(path, span, Fault::UnknownKey { key: path.to_owned(), hint }),
                None => self.unknown_section(path, span),
            };
        }
        let suggestions = nearest::keys(self.keys, path);
        let known_section = section.is_empty() || self.keys.section(section).is_some();
        if !known_section && suggestions.is_empty() {
            return self.unknown_section(section, span);
        }
        self.findings.doubtful.extend(suggestions.iter().map(|key| (*key).to_owned()));
        let hint = if suggestions.is_empty() {
            self.valid_beside(section, leaf)
        } else {
            nearest::question(&suggestions)
        };
        self.report(path, span, Fault::UnknownKey { key: path.to_owned(), hint });
    }

    fn unknown_section(&mut self, section: &str, span: &Range<usize>) {
        let hint = match nearest::section(self.keys, section) {
            Some(meant) => {
                self.doubt_section(meant);
                format!("; did you mean `[{meant}]`?")
            }
            None => format!("; there are {}", self.sections()),
        };
        self.report(section, span, Fault::UnknownSection { section: section.to_owned(), hint });
    }

    /// All keys that are valid where an unknown one stood that is like none of them.
    fn valid_beside(&self, section: &str, leaf: &str) -> String {
        if let Some(meant) = nearest::section(self.keys, leaf).filter(|_| section.is_empty()) {
            return format!("; did you mean the section `[{meant}]`?");
        }
        let names: Vec<&str> = self.keys.of_section(section).map(Key::leaf).collect();
        let names = names.join(", ");
        match section {
            "" if self.keys.sections.is_empty() => format!("; there are {names}"),
            "" => format!("; outside of sections there are {names}; the sections are {}", self.sections()),
            _ => format!("; [{section}] has {names}"),
        }
    }

    fn sections(&self) -> String {
        let sections = self.keys.sections.iter().map(|section| section.name.as_str());
        self.tables().chain(sections).collect::<Vec<_>>().join(", ")
    }

    /// Keys outside of sections that hold a table.
    fn tables(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let tables = self.keys.of_section("").filter(|key| key.field.kind.is_table());
        tables.map(Key::leaf)
    }

    pub(crate) fn origin(&self, span: &Range<usize>) -> Origin {
        match &self.place {
            Place::Text(document) => document.origin(span),
            Place::Fixed(origin) => origin.clone(),
        }
    }
}
