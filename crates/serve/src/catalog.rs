//! The models that are served, each in one or several versions.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use axum::http::StatusCode;
use kiln::{Mlp, Run, RunState, Trained, perceptron};
use kiln_data::{Preparation, Profile, Shape};
use kiln_table::{Remarks, Treatment, listed, quoted};

use crate::ServeError;
use crate::metrics::{ColumnMetrics, Metrics, ModelMetrics, count_remarks};
use crate::request::Refusal;

/// The models that are served. A catalog never changes: a reload replaces it, and open requests keep theirs.
pub(crate) struct Catalog {
    /// The versions of each model, the newest last.
    models: BTreeMap<String, Vec<Arc<ServedVersion>>>,
    /// The names, in the order of the command line.
    names: Vec<String>,
}

impl Catalog {
    /// Opens `runs`, each `RUN` or `NAME=RUN`.
    pub(crate) fn open(runs: &[String], artifacts: &Path, metrics: &Metrics) -> Result<Self, ServeError> {
        let mut models: BTreeMap<String, Vec<(_, Arc<ServedVersion>)>> = BTreeMap::new();
        let mut names = Vec::new();
        for word in runs {
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

    /// Version `version` of the model `name`, or its newest; 404 if absent.
    pub(crate) fn find(&self, name: &str, version: Option<&str>) -> Result<&Arc<ServedVersion>, Refusal> {
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

    /// The only model; 404 if there are several.
    pub(crate) fn only(&self) -> Result<&Arc<ServedVersion>, Refusal> {
        if let [name] = &self.names[..] {
            return self.find(name, None);
        }
        let names = listed(self.names(), 12);
        let message = format!("the server has several models: use /models/NAME/predict, with one of {names}");
        Err(Refusal::new(StatusCode::NOT_FOUND, message))
    }

    /// The names, in the order of the command line.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// The newest version of every model.
    pub(crate) fn newest(&self) -> impl Iterator<Item = &Arc<ServedVersion>> {
        self.names.iter().filter_map(|name| self.models[name].last())
    }

    /// The versions of the model `name`, the newest last.
    pub(crate) fn versions(&self, name: &str) -> &[Arc<ServedVersion>] {
        self.models.get(name).map_or(&[], |versions| versions)
    }
}

/// Sorts `versions` by their start time, then by id.
fn oldest_first<T: Ord>(mut versions: Vec<(T, Arc<ServedVersion>)>) -> Vec<Arc<ServedVersion>> {
    versions.sort_by(|left, right| (&left.0, &left.1.version).cmp(&(&right.0, &right.1.version)));
    versions.into_iter().map(|(_, model)| model).collect()
}

fn open(word: &str, artifacts: &Path, metrics: &Metrics) -> Result<ServedVersion, ServeError> {
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
    let input = ModelInput::of(trained.profile());
    let metrics = metrics.of_model(&name);
    let columns = metrics.of_columns(input.columns());
    let (weights, page) = (trained.weights(), OnceLock::new());
    let status = trained.run().status_now();
    let is_finished = status.is_ok_and(|status| status.state == RunState::Finished);
    Ok(ServedVersion { name, version, trained, is_finished, input, metrics, columns, weights, page })
}

/// A network that is served: one version of a model.
pub(crate) struct ServedVersion {
    pub(crate) name: String,
    /// The id of the run.
    pub(crate) version: String,
    pub(crate) trained: Trained<Mlp>,
    /// Whether its training had finished when it was opened.
    pub(crate) is_finished: bool,
    pub(crate) input: ModelInput,
    pub(crate) metrics: Arc<ModelMetrics>,
    /// The counters of its columns.
    pub(crate) columns: ColumnMetrics,
    /// The number of weights, about the multiply-adds per row.
    pub(crate) weights: usize,
    /// Its page, rendered at the first request for it.
    pub(crate) page: OnceLock<String>,
}

/// The examples that a network takes.
pub(crate) enum ModelInput {
    /// Pictures.
    Pictures(PictureSize),
    /// The rows of a table.
    Rows(Columns),
}

/// The size and value range of a network's pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PictureSize {
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// The greatest value of a pixel.
    pub(crate) greatest: u8,
}

/// The columns of a network's tables.
pub(crate) struct Columns {
    pub(crate) preparation: Arc<Preparation>,
    /// The columns that become features, in order.
    pub(crate) used: Vec<UsedColumn>,
    /// Indexes into `used`.
    by_name: HashMap<String, usize>,
}

/// A column that becomes features.
pub(crate) struct UsedColumn {
    pub(crate) name: String,
    /// Its index among all columns of the table.
    pub(crate) index: usize,
    pub(crate) is_number: bool,
}

impl ServedVersion {
    /// The names of the classes, by number.
    pub(crate) fn classes(&self) -> &[String] {
        &self.trained.profile().classes
    }

    /// Counts answered rows with their remarks, and rows of the same requests that could not be read.
    pub(crate) fn count_rows(&self, answered: usize, refused: usize, remarks: Option<&Remarks>) {
        self.metrics.count_rows(answered, refused);
        if let Some(remarks) = remarks {
            count_remarks(&self.columns, remarks);
        }
    }
}

impl ModelInput {
    /// The input of a network that was trained on data of `profile`.
    fn of(profile: &Profile) -> Self {
        match (&profile.shape, profile.row_preparation()) {
            (&Shape::Image { height, width, channels }, _) => {
                let greatest = profile.greatest_pixel.unwrap_or(u8::MAX);
                Self::Pictures(PictureSize { channels, height, width, greatest })
            }
            (_, Some(preparation)) => Self::Rows(Columns::new(preparation)),
            (Shape::Columns(_), None) => unreachable!("every table has a preparation"),
        }
    }

    /// The used columns of a table, each with its index among all columns; empty for pictures.
    fn columns(&self) -> Vec<(usize, String)> {
        match self {
            Self::Pictures(_) => Vec::new(),
            Self::Rows(columns) => {
                columns.used.iter().map(|column| (column.index, column.name.clone())).collect()
            }
        }
    }
}

impl PictureSize {
    /// Values of a picture.
    pub(crate) fn pixels(self) -> usize {
        self.channels * self.height * self.width
    }
}

impl Columns {
    fn new(preparation: Arc<Preparation>) -> Self {
        let used: Vec<UsedColumn> = preparation
            .columns
            .iter()
            .enumerate()
            .filter_map(|(index, column)| {
                let is_number = matches!(column.treatment.as_ref()?, Treatment::Number { .. });
                Some(UsedColumn { name: column.name.clone(), index, is_number })
            })
            .collect();
        let by_name = used.iter().enumerate().map(|(index, column)| (column.name.clone(), index)).collect();
        Self { preparation, used, by_name }
    }

    /// The index of the column `name` in `used`.
    pub(crate) fn index_of(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Whether rows may be sent as one matrix of numbers.
    pub(crate) fn are_all_numbers(&self) -> bool {
        self.used.iter().all(|column| column.is_number)
    }

    /// The names of the used columns.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.used.iter().map(|column| &*column.name)
    }
}
