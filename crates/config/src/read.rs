//! Reads a file of any type with the care that an experiment file gets.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::document::Document;
use crate::given;
use crate::keys::Keys;
use crate::reader::{Place, Reader};
use crate::resolve::{typed, values};
use crate::setting::Findings;
use crate::{ConfigError, Fault, Origin, Problem};

/// What a file says, and where it says so.
#[derive(Clone, Debug)]
pub struct Located<T> {
    /// What it says.
    pub value: T,
    places: BTreeMap<String, Origin>,
    /// The beginning of the file.
    start: Origin,
}

/// Reads a file: its keys, their types and what they allow are those of `T`'s schema. `key=value` arguments go over
/// the file's own values.
///
/// # Errors
/// Everything that is wrong with the file and the arguments.
pub fn read<T: JsonSchema + DeserializeOwned>(
    document: &Document<'_>,
    overrides: &[String],
) -> Result<Located<T>, ConfigError> {
    let keys = Keys::of::<T>();
    let table = document.table().map_err(ConfigError::new)?;
    let mut findings = Findings::default();
    let place = || Place::Text(document);
    Reader { keys: &keys, place: place(), rank: 1, findings: &mut findings }.document(&table);
    for text in overrides {
        given::argument(&keys, &mut findings, 2, text);
    }
    Reader { keys: &keys, place: place(), rank: 1, findings: &mut findings }.missing();
    if !findings.problems.is_empty() {
        return Err(ConfigError::new(findings.problems));
    }
    let value = typed(values(&keys, &findings.settings))?;
    Ok(Located { value, places: findings.places, start: document.origin(&(0..0)) })
}

impl<T> Located<T> {
    /// Says that the value at `path` (`expect[0].trial`) does not fit with the others.
    #[must_use]
    pub fn problem(&self, path: &str, message: String) -> Problem {
        let origin = self.places.get(path).unwrap_or(&self.start).clone();
        Problem::at(origin, message)
    }

    /// Says that the name at `path` is none of `allowed`.
    #[must_use]
    pub fn unknown_name(&self, path: &str, name: &str, allowed: &[&str]) -> Problem {
        let meant = crate::nearest::word(name, allowed.iter().copied());
        let fault = Fault::UnknownName {
            key: path.to_owned(),
            found: format!("{name:?}"),
            allowed: allowed.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", "),
            hint: meant.map(|meant| format!("; did you mean {meant:?}?")).unwrap_or_default(),
        };
        Problem::new(self.places.get(path).unwrap_or(&self.start).clone(), fault)
    }
}
