//! A file of another type than an experiment, such as a study's file or a worked example, read with the same checks.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::document::Document;
use crate::keys::Keys;
use crate::layers::read_argument;
use crate::problem::nearest_word;
use crate::reader::{LayerSource, Reader, ReaderState};
use crate::resolve::{typed, values};
use crate::{ConfigError, ConfigFault, Origin, Problem};

/// The value of a file, with the origin of each part.
#[derive(Clone, Debug)]
pub struct Located<T> {
    /// The file as a value.
    pub value: T,
    value_origins: BTreeMap<String, Origin>,
    /// The origin of problems with keys that the file does not have.
    start: Origin,
}

/// Reads a file of any type with the checks that an experiment file gets: `T`'s schema gives the keys, their types and
/// the values that they allow. `key=value` arguments override the file's values.
///
/// # Errors
/// All problems of the file and of the arguments.
pub fn read<T: JsonSchema + DeserializeOwned>(
    document: &Document<'_>,
    overrides: &[String],
) -> Result<Located<T>, ConfigError> {
    let keys = Keys::of::<T>();
    let table = document.table().map_err(ConfigError::new)?;
    let mut state = ReaderState::default();
    let source = || LayerSource::Text(document);
    Reader { keys: &keys, source: source(), rank: 1, state: &mut state }.document(&table);
    for text in overrides {
        read_argument(&keys, &mut state, 2, text);
    }
    Reader { keys: &keys, source: source(), rank: 1, state: &mut state }.missing();
    if !state.problems.is_empty() {
        return Err(ConfigError::new(state.problems));
    }
    let value = typed(values(&keys, &state.given))?;
    Ok(Located { value, value_origins: state.value_origins, start: document.origin(&(0..0)) })
}

impl<T> Located<T> {
    /// A problem with the value at `path` (`expect[0].trial`).
    #[must_use]
    pub fn problem(&self, path: &str, message: String) -> Problem {
        let origin = self.value_origins.get(path).unwrap_or(&self.start).clone();
        Problem::at(origin, message)
    }

    /// A problem with the name at `path`, which is not one of `allowed`.
    #[must_use]
    pub fn unknown_name(&self, path: &str, name: &str, allowed: &[&str]) -> Problem {
        let meant = nearest_word(name, allowed.iter().copied());
        let fault = ConfigFault::UnknownName {
            key: path.to_owned(),
            found: format!("{name:?}"),
            allowed: allowed.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", "),
            hint: meant.map(|meant| format!("; did you mean {meant:?}?")).unwrap_or_default(),
        };
        Problem::new(self.value_origins.get(path).unwrap_or(&self.start).clone(), fault)
    }
}
