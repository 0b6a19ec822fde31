//! Reads one layer: which keys it names and where, before their values are looked at.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::document::Document;
use crate::keys::{Key, Keys, split};
use crate::setting::{Findings, Setting};
use crate::shown::shown;
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
    pub(crate) place: Place<'a>,
    pub(crate) rank: usize,
    pub(crate) findings: &'a mut Findings,
}

/// A spanned value, as the TOML parser gives it.
pub(crate) type Found<'i> = Spanned<DeValue<'i>>;

impl Reader<'_> {
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

    /// Reads what is given for one dotted path: a key, or a whole section.
    pub(crate) fn entry(&mut self, path: &str, span: &Range<usize>, value: &Found<'_>) {
        let keys = Keys::get();
        if let Some(key) = keys.find(path) {
            self.key(key, span, value);
        } else if keys.section(path).is_some() {
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
        let hint =
            nearest::question(&nearest::keys(name)).replace("did you mean", "without quotes, did you mean");
        self.report(name, span, Fault::UnknownKey { key: format!("{name:?}"), hint });
    }

    fn key(&mut self, key: &Key, span: &Range<usize>, found: &Found<'_>) {
        if let Some(value) = self.value(key, key.path, &key.kind, found) {
            let setting = Setting { value, origin: self.origin(span), rank: self.rank };
            self.findings.settings.insert(key.path.to_owned(), setting);
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
        let main = main.find(|path| Keys::get().find(path).is_some() && value.is_str());
        let hint =
            main.map(|path| format!("; did you mean `{path} = {}`?", shown(value))).unwrap_or_default();
        let fault = Fault::WrongType {
            key: section.to_owned(),
            expected: format!("a section, written [{section}]"),
            found: shown(value),
            hint,
        };
        for key in Keys::get().of_section(section) {
            self.findings.doubtful.insert(key.path.to_owned());
        }
        self.report(section, span, fault);
    }

    fn unknown(&mut self, path: &str, span: &Range<usize>, value: &Found<'_>) {
        if path == "extends" {
            return self.report(path, span, Fault::ExtendsHere);
        }
        let (section, leaf) = split(path);
        if section.is_empty() && value.get_ref().is_table() {
            return self.unknown_section(path, span);
        }
        let suggestions = nearest::keys(path);
        let known_section = section.is_empty() || Keys::get().section(section).is_some();
        if !known_section && suggestions.is_empty() {
            return self.unknown_section(section, span);
        }
        for key in &suggestions {
            self.findings.doubtful.insert((*key).to_owned());
        }
        let hint = if suggestions.is_empty() {
            valid_beside(section, leaf)
        } else {
            nearest::question(&suggestions)
        };
        self.report(path, span, Fault::UnknownKey { key: path.to_owned(), hint });
    }

    fn unknown_section(&mut self, section: &str, span: &Range<usize>) {
        let hint = match nearest::section(section) {
            Some(meant) => {
                for key in Keys::get().of_section(meant) {
                    self.findings.doubtful.insert(key.path.to_owned());
                }
                format!("; did you mean `[{meant}]`?")
            }
            None => format!("; there are {}", sections()),
        };
        self.report(section, span, Fault::UnknownSection { section: section.to_owned(), hint });
    }

    fn origin(&self, span: &Range<usize>) -> Origin {
        match &self.place {
            Place::Text(document) => document.origin(span),
            Place::Fixed(origin) => origin.clone(),
        }
    }
}

/// All keys that are valid where an unknown one stood that is like none of them.
fn valid_beside(section: &str, leaf: &str) -> String {
    if let Some(meant) = nearest::section(leaf).filter(|_| section.is_empty()) {
        return format!("; did you mean the section `[{meant}]`?");
    }
    let names: Vec<&str> = Keys::get().of_section(section).map(Key::leaf).collect();
    match section {
        "" => {
            format!("; outside of sections there are {}; the sections are {}", names.join(", "), sections())
        }
        _ => format!("; [{section}] has {}", names.join(", ")),
    }
}

fn sections() -> String {
    Keys::get().sections.iter().map(|section| section.name).collect::<Vec<_>>().join(", ")
}
