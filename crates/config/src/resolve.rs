//! From the layers to one experiment: which values have an effect, whether they fit together, and where each comes
//! from. [`read`] reads other files, such as a study's or a worked example, with the same checks.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use toml::de::DeTable;
use toml::{Table, Value};

use crate::contradiction::{self, CheckedExperiment};
use crate::document::{Document, excerpt};
use crate::experiment::{literal, rendered};
use crate::facts::{Condition, Requirement};
use crate::keys::{Key, Keys, insert, value_at};
use crate::layers::{Layers, read_argument};
use crate::problem::nearest_word;
use crate::reader::{GivenValue, LayerSource, Reader, ReaderState};
use crate::{ConfigError, ConfigFault, Experiment, Origin, Problem};

/// Column of the origins, unless a value before one is longer.
const ORIGIN_COLUMN: usize = 40;

/// Where the experiment file's text comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file. Relative paths of bases start at its folder.
    File(PathBuf),
    /// A text, such as a built-in file. Relative paths of bases start at the current folder.
    Text {
        /// The name in messages.
        name: String,
        /// The TOML text.
        text: String,
    },
}

/// What to resolve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The experiment file.
    pub source: Source,
    /// The environment, as `std::env::vars` gives it; only `KILN_` variables matter.
    pub environment: Vec<(String, String)>,
    /// `key=value` arguments; values are TOML or bare words.
    pub overrides: Vec<String>,
}

/// A layer between the experiment file and the environment: a table in another file, such as a study's `overrides`.
#[derive(Clone, Copy, Debug)]
pub struct Patch<'a> {
    /// The file, for the lines in messages.
    pub document: &'a Document<'a>,
    /// The keys and values, as in an experiment file.
    pub table: &'a DeTable<'a>,
}

/// An experiment with the origins of its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The experiment, checked.
    pub experiment: Experiment,
    /// Where each value comes from, for every key.
    pub origins: BTreeMap<String, Origin>,
    /// Values that have no effect because of a higher layer, with the origin of each: a base sets `momentum`, and the
    /// file chooses another optimizer. The experiment has the default instead.
    pub unused: BTreeMap<String, (Value, Origin)>,
    /// The text of the experiment file, unchanged.
    pub input: String,
    /// The `key=value` arguments, unchanged.
    pub overrides: Vec<String>,
}

/// Combines all layers and checks the result.
///
/// # Errors
/// Every problem in any layer, and every contradiction between their values.
pub fn resolve(request: &Request) -> Result<Resolved, ConfigError> {
    resolve_patched(request, &[])
}

/// Like [`resolve`], with `patches` over the file; later patches override earlier ones.
pub fn resolve_patched(request: &Request, patches: &[Patch<'_>]) -> Result<Resolved, ConfigError> {
    let mut layers = Layers::default();
    let input = layers.source(&request.source);
    for patch in patches {
        layers.patch(patch);
    }
    layers.environment(&request.environment);
    layers.overrides(&request.overrides);
    let Layers { mut state, complete, .. } = layers;
    if !complete {
        return Err(ConfigError::new(state.problems));
    }
    let unused = report_or_remove_ineffective(&mut state);
    let experiment = experiment(&mut state, false)?;
    let origin = |key: &str| (key.to_owned(), state.origin(key));
    Ok(Resolved {
        experiment,
        origins: Keys::experiment().keys.iter().map(|key| origin(&key.path)).collect(),
        unused: unused
            .into_iter()
            .map(|(key, GivenValue { value, origin, .. })| (key, (value, origin)))
            .collect(),
        input,
        overrides: request.overrides.clone(),
    })
}

impl Experiment {
    /// Reads a file that was resolved before, such as a run's `config.toml`; messages call it `name`. Missing keys have
    /// their defaults. There are no other layers. Keys without effect are allowed, because such a file spells out every
    /// default.
    pub fn from_toml_str(name: &str, text: &str) -> Result<Self, ConfigError> {
        let document = Document::new(name, text);
        let table = document.table().map_err(ConfigError::new)?;
        let mut state = ReaderState::default();
        let keys = Keys::experiment();
        Reader { keys, source: LayerSource::Text(&document), rank: 1, state: &mut state }.document(&table);
        experiment(&mut state, true)
    }
}

impl Resolved {
    /// Every key that the user set, with its value as TOML, in the order of the sections. Defaults and built-in bases
    /// do not count.
    #[must_use]
    pub fn given(&self) -> Vec<(String, String)> {
        let values = self.experiment.values();
        let is_own = |origin: &Origin| origin.is_given() && !origin.is_of_preset();
        let is_given = |key: &&Key| self.origins.get(&key.path).is_some_and(is_own);
        let value = |key: &Key| Some((key.path.clone(), literal(value_at(&values, &key.path)?)));
        Keys::experiment().keys.iter().filter(is_given).filter_map(value).collect()
    }

    /// [`Experiment::to_toml`] of the experiment.
    #[must_use]
    pub fn to_toml(&self) -> String {
        self.experiment.to_toml()
    }

    /// The same file for human readers, with the origin of each value as a comment.
    #[must_use]
    pub fn show(&self) -> String {
        rendered(&self.experiment.values(), |key, value| self.line(key, value))
    }

    fn line(&self, key: &Key, value: &Value) -> String {
        let line = self.experiment.assignment(key, value);
        let origin = match self.origins.get(&key.path).unwrap_or(&Origin::Default) {
            Origin::CommandLine { .. } => "command line".to_owned(),
            origin => origin.to_string(),
        };
        let idle = key.path == "checkpoint.monitor" && self.experiment.monitors_nothing();
        let idle = if idle { "; nothing is held out, so the last checkpoint counts as best" } else { "" };
        let unused = self.unused.get(&key.path);
        let unused =
            unused.map(|(value, origin)| format!("; {} of {origin} has no effect here", literal(value)));
        format!("{line:<ORIGIN_COLUMN$} # {origin}{idle}{}\n", unused.unwrap_or_default())
    }
}

/// The experiment with the given values, if there are no problems.
fn experiment(state: &mut ReaderState, resolved_before: bool) -> Result<Experiment, ConfigError> {
    let values = values(Keys::experiment(), &state.given);
    let experiment: Experiment = typed(values.clone())?;
    let checked = CheckedExperiment { experiment: &experiment, values: &values, state, resolved_before };
    let contradictions = contradiction::problems(&checked);
    state.problems.extend(contradictions);
    if state.problems.is_empty() {
        return Ok(experiment);
    }
    Err(ConfigError::new(std::mem::take(&mut state.problems)))
}

/// The given values over the defaults, as one table.
pub(crate) fn values(keys: &Keys, given: &BTreeMap<String, GivenValue>) -> Table {
    let mut values = Table::new();
    for key in &keys.keys {
        let value = given.get(&key.path).map(|given| &given.value);
        if let Some(value) = value.or(key.field.default.as_ref()) {
            insert(&mut values, &key.path, value.clone());
        }
    }
    values
}

pub(crate) fn typed<T: DeserializeOwned>(values: Table) -> Result<T, ConfigError> {
    values.try_into().map_err(|error: toml::de::Error| {
        let fault = ConfigFault::Unfit { message: error.message().to_owned() };
        ConfigError::new(vec![Problem::new(None, fault)])
    })
}

/// Reports every given value that has no effect. If a higher layer took the effect away, this is not a mistake (a base
/// sets `momentum`, the file chooses adam): such values are removed and returned.
fn report_or_remove_ineffective(state: &mut ReaderState) -> BTreeMap<String, GivenValue> {
    let mut unused = BTreeMap::new();
    // A removed key counts as its default for the keys after it, so a key must come before the keys that depend on it.
    for (key, condition) in Keys::experiment().keys.iter().flat_map(conditions) {
        let is_reported = [&key.path, &condition.key].iter().any(|key| state.reported_keys.contains(*key));
        if is_reported || is_fine(key, condition, state) {
            continue;
        }
        if state.rank(&condition.key) > state.rank(&key.path) {
            unused.extend(state.given.remove_entry(&key.path));
        } else {
            report(key, condition, state);
        }
    }
    unused
}

impl Experiment {
    /// The keys whose values have no effect because of other keys.
    #[must_use]
    pub fn without_effect(&self) -> Vec<&'static str> {
        let values = self.values();
        let unmet = Keys::experiment().keys.iter().flat_map(conditions).filter(|(_, condition)| {
            let governor =
                Keys::experiment().find(&condition.key).and_then(|key| value_at(&values, &key.path));
            !is_met(&condition.is, governor)
        });
        let mut keys: Vec<&str> = unmet.map(|(key, _)| key.path.as_str()).collect();
        keys.dedup();
        keys
    }
}

fn conditions(key: &'static Key) -> impl Iterator<Item = (&'static Key, &'static Condition)> {
    key.field.facts.when.iter().map(move |condition| (key, condition))
}

/// True if the key has an effect, or does not need one because it has its default or was switched off.
fn is_fine(key: &Key, condition: &Condition, state: &ReaderState) -> bool {
    let given = state.given.get(&key.path).map(|given| &given.value);
    given.is_none() || given == key.field.default.as_ref() || holds(condition, state)
}

fn holds(condition: &Condition, state: &ReaderState) -> bool {
    let is_touched = condition.is == Requirement::On && !state.is_untouched(&condition.key);
    is_touched || is_met(&condition.is, value(state, &condition.key))
}

fn is_met(is: &Requirement, governor: Option<&Value>) -> bool {
    match is {
        Requirement::OneOf(names) => {
            governor.and_then(Value::as_str).is_some_and(|name| names.iter().any(|n| n == name))
        }
        Requirement::Positive => governor.and_then(Value::as_float).is_some_and(|number| number > 0.0),
        Requirement::Zero => governor == Some(&Value::Integer(0)),
        Requirement::LeftOut => governor.is_none(),
        Requirement::On => governor == Some(&Value::Boolean(true)),
    }
}

fn report(key: &Key, Condition { key: governor, is }: &Condition, state: &mut ReaderState) {
    let Some(given) = state.given.get(&key.path) else { return };
    let value = value(state, governor).map(literal).unwrap_or_default();
    let governor_origin = state.origin(governor).seen_from(&given.origin);
    let remedy = match is {
        Requirement::OneOf(_) => format!("it is for {}", is.words()),
        Requirement::LeftOut => "leave one of them out".to_owned(),
        Requirement::Positive | Requirement::Zero | Requirement::On => format!("it needs {}", is.words()),
    };
    let reason = format!("with `{governor}` = {value} ({governor_origin}); {remedy}");
    let found = excerpt(&literal(&given.value));
    let fault = ConfigFault::NoEffect { key: key.path.clone(), found, reason };
    let problem = Problem::new(given.origin.clone(), fault);
    state.reported_keys.insert(key.path.clone());
    state.problems.push(problem);
}

fn value<'a>(state: &'a ReaderState, key: &str) -> Option<&'a Value> {
    let given = state.given.get(key).map(|given| &given.value);
    given.or_else(|| Keys::experiment().find(key).and_then(|key| key.field.default.as_ref()))
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OptimizerName;

    #[test]
    fn what_another_value_switches_off_has_no_effect() {
        let mut experiment = Experiment::default();
        let without = experiment.without_effect();
        assert!(
            without.contains(&"optimizer.momentum") && without.contains(&"lr_scheduler.gamma"),
            "{without:?}"
        );
        assert!(!without.contains(&"optimizer.betas") && !without.contains(&"optimizer.lr"), "{without:?}");
        experiment.optimizer.name = OptimizerName::Sgd;
        let without = experiment.without_effect();
        assert!(
            without.contains(&"optimizer.betas") && without.contains(&"optimizer.dampening"),
            "{without:?}"
        );
        assert!(!without.contains(&"optimizer.momentum"), "{without:?}");
    }
}
