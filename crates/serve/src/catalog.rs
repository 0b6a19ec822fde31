//! The models that are served, each in one or several versions.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use kiln::{Run, RunState, Trained, perceptron};
use kiln_table::{listed, quoted};

use axum::http::StatusCode;

use crate::ServeError;
use crate::metrics::Metrics;
use crate::model::{Model, Takes};
use crate::refusal::Refusal;

/// The models that are served. It is never changed: a reload puts another one in its place, and whoever has this one in hand
/// goes on with it.
pub(crate) struct Catalog {
    /// Of each name the versions, the newest last.
    models: BTreeMap<String, Vec<Arc<Model>>>,
    /// The names, in the order in which they were asked for.
    names: Vec<String>,
}

impl Catalog {
    /// Opens the runs that `words` ask for, each `RUN` or `NAME=RUN`.
    ///
    /// # Errors
    /// Where one cannot be found or opened, or is asked for twice.
    pub(crate) fn open(words: &[String], artifacts: &Path, metrics: &Metrics) -> Result<Self, ServeError> {
        let mut models: BTreeMap<String, Vec<(_, Arc<Model>)>> = BTreeMap::new();
        let mut names = Vec::new();
        for word in words {
            let model = open(word, artifacts, metrics)?;
            let started = model.trained.run().status().ok().map(|status| status.started);
            if !names.contains(&model.name) {
                names.push(model.name.clone());
            }
            let versions = models.entry(model.name.clone()).or_default();
            if versions.iter().any(|(_, other)| other.version == model.version) {
                let (name, version) = (model.name.clone(), model.version.clone());
                return Err(ServeError::Twice { name, version });
            }
            versions.push((started, Arc::new(model)));
        }
        let models = models.into_iter().map(|(name, versions)| (name, oldest_first(versions))).collect();
        Ok(Self { models, names })
    }

    /// The model `name` in `version`, or in its newest.
    ///
    /// # Errors
    /// Where there is none.
    pub(crate) fn find(&self, name: &str, version: Option<&str>) -> Result<&Arc<Model>, Refusal> {
        let missing = |message: String| Refusal::new(StatusCode::NOT_FOUND, message);
        let versions = self.models.get(name).ok_or_else(|| {
            let names = listed(self.names(), 12);
            missing(format!("there is no model {}; the models are {names}", quoted(name)))
        })?;
        let newest = versions.last().expect("a model has a version");
        let Some(version) = version else { return Ok(newest) };
        versions.iter().find(|model| model.version == version).ok_or_else(|| {
            let all = listed(versions.iter().map(|model| &*model.version), 12);
            missing(format!("model {} has no version {}; it has {all}", quoted(name), quoted(version)))
        })
    }

    /// The only model.
    ///
    /// # Errors
    /// Where there are several.
    pub(crate) fn only(&self) -> Result<&Arc<Model>, Refusal> {
        if let [name] = &self.names[..] {
            return self.find(name, None);
        }
        let names = listed(self.names(), 12);
        let message = format!("several models are served: ask /models/NAME/predict of one of {names}");
        Err(Refusal::new(StatusCode::NOT_FOUND, message))
    }

    /// The names, in the order in which they were asked for.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// The newest version of every model.
    pub(crate) fn newest(&self) -> impl Iterator<Item = &Arc<Model>> {
        self.names.iter().filter_map(|name| self.models[name].last())
    }

    /// The versions of the model `name`, the newest last.
    pub(crate) fn versions(&self, name: &str) -> &[Arc<Model>] {
        self.models.get(name).map_or(&[], |versions| versions)
    }
}

/// `versions` by when they were started, and by their ids where that is not known.
fn oldest_first<T: Ord>(mut versions: Vec<(T, Arc<Model>)>) -> Vec<Arc<Model>> {
    versions.sort_by(|left, right| (&left.0, &left.1.version).cmp(&(&right.0, &right.1.version)));
    versions.into_iter().map(|(_, model)| model).collect()
}

fn open(word: &str, artifacts: &Path, metrics: &Metrics) -> Result<Model, ServeError> {
    let (name, run) = match word.split_once('=') {
        Some((name, run)) if !Path::new(word).exists() => (Some(name), run),
        _ => (None, word),
    };
    let wrong = |cause: kiln::Error| ServeError::Run { word: word.to_owned(), cause: Box::new(cause) };
    let run = Run::resolve(artifacts, run).map_err(|error| wrong(error.into()))?;
    let name = name.map_or_else(|| run.name().to_owned(), str::to_owned);
    let is_plain = |character: char| character.is_alphanumeric() || "-_.".contains(character);
    if name.is_empty() || !name.chars().all(is_plain) {
        return Err(ServeError::Name { word: word.to_owned(), name });
    }
    let version = run.id().to_owned();
    let trained = Trained::open(run, None, perceptron).map_err(wrong)?;
    let takes = Takes::of(trained.profile());
    let metrics = metrics.of_model(&name);
    let columns = metrics.of_columns(takes.columns());
    let (weights, page) = (trained.weights(), OnceLock::new());
    let status = trained.run().status_now();
    let is_finished = status.is_ok_and(|status| status.state == RunState::Finished);
    Ok(Model { name, version, trained, is_finished, takes, metrics, columns, weights, page })
}
