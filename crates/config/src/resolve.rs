//! From the layers to one experiment.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use toml::de::DeTable;
use toml::{Table, Value};

use crate::contradiction::{self, Case};
use crate::document::Document;
use crate::effect;
use crate::keys::{Keys, insert};
use crate::layers::Layers;
use crate::reader::{Place, Reader};
use crate::setting::{Findings, Setting};
use crate::{ConfigError, Experiment, Fault, Origin, Problem};

/// Where the experiment file's text comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file; bases that it extends are looked for beside it.
    File(PathBuf),
    /// Text at hand, such as a built-in file; bases are looked for in the current folder.
    Text {
        /// What messages call it.
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
    /// `key=value` arguments, values as TOML or bare words.
    pub overrides: Vec<String>,
}

/// A layer between the experiment file and the environment: a table of settings in another file, such as a
/// study's `overrides`.
#[derive(Clone, Copy, Debug)]
pub struct Patch<'a> {
    /// The file; messages name it and its lines.
    pub document: &'a Document<'a>,
    /// The settings, as an experiment file has them.
    pub table: &'a DeTable<'a>,
}

/// An experiment with the story of its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The experiment, valid in itself.
    pub experiment: Experiment,
    /// Where each key's value comes from, by dotted key. Every key is here.
    pub origins: BTreeMap<String, Origin>,
    /// Values that a lower layer gave and that a higher one left without effect (the momentum of a base
    /// whose optimizer the file replaces), with the place of each. The experiment has the default there.
    pub unused: BTreeMap<String, (Value, Origin)>,
    /// The file's own text, as it was given.
    pub input: String,
    /// The `key=value` arguments, as they were given.
    pub overrides: Vec<String>,
}

/// Puts all layers together and checks the whole.
///
/// # Errors
/// Everything that is wrong in any layer, and every contradiction between their values.
pub fn resolve(request: &Request) -> Result<Resolved, ConfigError> {
    resolve_patched(request, &[])
}

/// As [`resolve`], with `patches` over the file, later ones over earlier ones.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_patched(request: &Request, patches: &[Patch<'_>]) -> Result<Resolved, ConfigError> {
    let mut layers = Layers::default();
    let input = layers.source(&request.source);
    for patch in patches {
        layers.patch(patch);
    }
    layers.environment(&request.environment);
    layers.overrides(&request.overrides);
    let Layers { mut findings, complete, .. } = layers;
    if !complete {
        return Err(ConfigError::new(findings.problems));
    }
    let unused = effect::settle(&mut findings);
    let experiment = experiment(&mut findings, false)?;
    let origin = |key: &str| (key.to_owned(), findings.origin(key));
    Ok(Resolved {
        experiment,
        origins: Keys::experiment().keys.iter().map(|key| origin(&key.path)).collect(),
        unused: unused
            .into_iter()
            .map(|(key, Setting { value, origin, .. })| (key, (value, origin)))
            .collect(),
        input,
        overrides: request.overrides.clone(),
    })
}

impl Experiment {
    /// Reads a file that was resolved before, such as a run's `config.toml`; `name` is what messages call
    /// it. Keys that are missing have their defaults. There are no further layers, and since such a file
    /// spells out every default, keys without effect are no mistake.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn from_toml_str(name: &str, text: &str) -> Result<Self, ConfigError> {
        let document = Document::new(name, text);
        let table = document.table().map_err(ConfigError::new)?;
        let mut findings = Findings::default();
        let keys = Keys::experiment();
        Reader { keys, place: Place::Text(&document), rank: 1, findings: &mut findings }.document(&table);
        experiment(&mut findings, true)
    }
}

/// The experiment that the settings make, if nothing is wrong with them.
fn experiment(findings: &mut Findings, resolved_before: bool) -> Result<Experiment, ConfigError> {
    let values = values(Keys::experiment(), &findings.settings);
    let experiment: Experiment = typed(values.clone())?;
    let case = Case { experiment: &experiment, values: &values, findings, resolved_before };
    let contradictions = contradiction::problems(&case);
    findings.problems.extend(contradictions);
    if findings.problems.is_empty() {
        return Ok(experiment);
    }
    Err(ConfigError::new(std::mem::take(&mut findings.problems)))
}

/// The settings over the defaults, as one table.
pub(crate) fn values(keys: &Keys, settings: &BTreeMap<String, Setting>) -> Table {
    let mut values = Table::new();
    for key in &keys.keys {
        let given = settings.get(&key.path).map(|setting| &setting.value);
        if let Some(value) = given.or(key.field.default.as_ref()) {
            insert(&mut values, &key.path, value.clone());
        }
    }
    values
}

pub(crate) fn typed<T: DeserializeOwned>(values: Table) -> Result<T, ConfigError> {
    values.try_into().map_err(|error: toml::de::Error| {
        let fault = Fault::Unfit { message: error.message().to_owned() };
        ConfigError::new(vec![Problem::new(None, fault)])
    })
}
