//! Reads a table of a study file: every value typed, every problem with its place.

use std::ops::Range;

use kiln_config::{Document, Fault, Problem, nearest_word, shown};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A spanned value, as the TOML parser gives it.
pub(crate) type Found<'a> = Spanned<DeValue<'a>>;

/// A file that is being read, and what is wrong with it.
pub(crate) struct Sheet<'a> {
    pub(crate) document: &'a Document<'a>,
    pub(crate) problems: Vec<Problem>,
}

/// One table of the file, by the name that messages give it; empty for the file itself.
#[derive(Clone, Copy)]
pub(crate) struct Part<'t, 'a> {
    pub(crate) name: &'t str,
    pub(crate) table: &'t DeTable<'a>,
}

impl<'t, 'a> Part<'t, 'a> {
    pub(crate) fn find(self, key: &str) -> Option<&'t Found<'a>> {
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    pub(crate) fn path(self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }
}

impl<'a> Sheet<'a> {
    pub(crate) fn new(document: &'a Document<'a>) -> Self {
        Self { document, problems: Vec::new() }
    }

    pub(crate) fn report(&mut self, span: &Range<usize>, fault: Fault) {
        self.problems.push(Problem::new(self.document.origin(span), fault));
    }

    /// Notes every key of `part` that is none of `known`.
    pub(crate) fn known_keys(&mut self, part: Part<'_, '_>, known: &[&str]) {
        for (name, _) in part.table.iter().filter(|(name, _)| !known.contains(&name.get_ref().as_ref())) {
            let hint = match nearest_word(name.get_ref(), known.iter().copied()) {
                Some(meant) => format!("; did you mean `{}`?", part.path(meant)),
                None => format!("; there are {}", known.join(", ")),
            };
            self.report(&name.span(), Fault::UnknownKey { key: part.path(name.get_ref()), hint });
        }
    }

    pub(crate) fn text(&mut self, part: Part<'_, '_>, key: &str) -> Option<String> {
        let found = part.find(key)?;
        match found.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            _ => self.wrong_type(&part.path(key), "text in quotes", found),
        }
    }

    pub(crate) fn switch(&mut self, part: Part<'_, '_>, key: &str) -> Option<bool> {
        let found = part.find(key)?;
        match found.get_ref() {
            DeValue::Boolean(switch) => Some(*switch),
            _ => self.wrong_type(&part.path(key), "true or false", found),
        }
    }

    /// A number that is finite and not below `least`.
    pub(crate) fn number(&mut self, part: Part<'_, '_>, key: &str, least: f64) -> Option<f64> {
        let found = part.find(key)?;
        self.number_of(&part.path(key), found, least)
    }

    pub(crate) fn number_of(&mut self, path: &str, found: &Found<'_>, least: f64) -> Option<f64> {
        let Some(number) = number(found.get_ref()) else {
            return self.wrong_type(path, "a number", found);
        };
        if number.is_finite() && number >= least {
            return Some(number);
        }
        let allowed = if least.is_finite() { format!("at least {least}") } else { "finite".to_owned() };
        self.out_of_range(path, &allowed, found)
    }

    /// A whole number that is not below `least`.
    pub(crate) fn whole(&mut self, part: Part<'_, '_>, key: &str, least: u64) -> Option<u64> {
        let found = part.find(key)?;
        self.whole_of(&part.path(key), found, least)
    }

    pub(crate) fn whole_of(&mut self, path: &str, found: &Found<'_>, least: u64) -> Option<u64> {
        let DeValue::Integer(number) = found.get_ref() else {
            return self.wrong_type(path, "a whole number", found);
        };
        match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) if number.unsigned_abs() >= least && number >= 0 => Some(number.unsigned_abs()),
            _ => self.out_of_range(path, &format!("at least {least}"), found),
        }
    }

    pub(crate) fn table<'t, 'd>(&mut self, part: Part<'t, 'd>, key: &str) -> Option<&'t DeTable<'d>> {
        let found = part.find(key)?;
        match found.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => self.wrong_type(&part.path(key), &format!("a table, written [{}]", part.path(key)), found),
        }
    }

    /// The tables of `[[key]]`; none where there are none.
    pub(crate) fn tables<'t, 'd>(
        &mut self,
        part: Part<'t, 'd>,
        key: &str,
    ) -> Vec<(&'t Found<'d>, &'t DeTable<'d>)> {
        let Some(found) = part.find(key) else { return Vec::new() };
        let DeValue::Array(values) = found.get_ref() else {
            let _: Option<()> =
                self.wrong_type(key, &format!("a list of tables, each written [[{key}]]"), found);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for value in values {
            match value.get_ref() {
                DeValue::Table(table) => tables.push((value, table)),
                _ => drop(self.wrong_type::<()>(key, "a list of tables", value)),
            }
        }
        tables
    }

    pub(crate) fn list<'t, 'd>(&mut self, part: Part<'t, 'd>, key: &str) -> Option<Vec<&'t Found<'d>>> {
        let found = part.find(key)?;
        match found.get_ref() {
            DeValue::Array(values) if !values.is_empty() => Some(values.iter().collect()),
            _ => self.wrong_type(&part.path(key), "a list with at least one value", found),
        }
    }

    pub(crate) fn wrong_type<T>(&mut self, path: &str, expected: &str, found: &Found<'_>) -> Option<T> {
        let fault = Fault::WrongType {
            key: path.to_owned(),
            expected: expected.to_owned(),
            found: shown(found.get_ref()),
            hint: String::new(),
        };
        self.report(&found.span(), fault);
        None
    }

    pub(crate) fn out_of_range<T>(&mut self, path: &str, allowed: &str, found: &Found<'_>) -> Option<T> {
        let fault = Fault::OutOfRange {
            key: path.to_owned(),
            found: shown(found.get_ref()),
            allowed: allowed.to_owned(),
        };
        self.report(&found.span(), fault);
        None
    }

    /// Notes that `message` is so, at `span`.
    pub(crate) fn contradiction(&mut self, span: &Range<usize>, message: String) {
        self.report(span, Fault::Contradiction { message, places: String::new() });
    }
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number as f64)
        }
        DeValue::Float(number) => number.as_str().parse().ok(),
        _ => None,
    }
}
