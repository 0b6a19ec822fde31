//! Kiln as a library: train, resume, evaluate and predict from your own program.
//!
//! Everything starts with an experiment, read from a TOML file by [`experiment()`]. A [`Session`] is a run that this
//! process trains: [`Session::create`] makes a new run folder, [`Session::resume`] continues one that was stopped or
//! killed. [`Session::train`] then does everything that `kiln train` does: Burn's dashboard, checkpoints, a test pass
//! and a report. A [`Trained`] is the model of a finished run.
//!
//! # Train and predict
//!
//! [`perceptron`] builds the network that the experiment describes:
//!
//! ```
//! use kiln::{Options, Session, Trained, experiment, perceptron};
//!
//! # fn main() -> Result<(), kiln::Error> {
//! # let folder = tempfile::tempdir().expect("a folder for the example");
//! # let artifacts = folder.path();
//! # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).expect("the workspace");
//! let digits = experiment("configs/digits.toml", &["training.epochs=8", "model.hidden=[32]"])?;
//! let session = Session::create(&digits, artifacts)?;
//! let outcome = session.train(perceptron, Options { dashboard: false, ..Options::default() })?;
//! assert!(outcome.test.expect("the training was not stopped").accuracy() > 0.8);
//!
//! let trained = Trained::open(outcome.run, None, perceptron)?;
//! let answers = trained.predict_values(&[0.0; 64])?;
//! assert_eq!(answers.probabilities(0).len(), 10);
//! # Ok(())
//! # }
//! ```
//!
//! # Your own model
//!
//! Any Burn module trains the same way. It needs Burn's `TrainStep` and `InferenceStep`, one line for [`Model`], and a
//! name of its own in the experiment (`model.name`):
//!
//! ```no_run
//! use burn::module::Module;
//! use burn::nn::loss::CrossEntropyLossConfig;
//! use burn::nn::{Linear, LinearConfig};
//! use burn::train::{ClassificationOutput, InferenceStep, TrainOutput, TrainStep};
//! use kiln::{Batch, Model, Options, Session, Setup, experiment};
//!
//! #[derive(Module, Debug)]
//! struct Softmax {
//!     linear: Linear,
//! }
//!
//! impl Softmax {
//!     fn new(setup: &Setup) -> Self {
//!         Self { linear: LinearConfig::new(setup.features, setup.classes).init(&setup.device) }
//!     }
//!
//!     fn classify(&self, batch: Batch) -> ClassificationOutput {
//!         let scores = self.linear.forward(batch.features);
//!         let loss = CrossEntropyLossConfig::new().init(&scores.device());
//!         let loss = loss.forward(scores.clone(), batch.targets.clone());
//!         ClassificationOutput::new(loss, scores, batch.targets)
//!     }
//! }
//!
//! impl TrainStep for Softmax {
//!     type Input = Batch;
//!     type Output = ClassificationOutput;
//!
//!     fn step(&self, batch: Batch) -> TrainOutput<ClassificationOutput> {
//!         let output = self.classify(batch);
//!         TrainOutput::new(self, output.loss.backward(), output)
//!     }
//! }
//!
//! impl InferenceStep for Softmax {
//!     type Input = Batch;
//!     type Output = ClassificationOutput;
//!
//!     fn step(&self, batch: Batch) -> ClassificationOutput {
//!         self.classify(batch)
//!     }
//! }
//!
//! impl Model for Softmax {}
//!
//! fn main() -> Result<(), kiln::Error> {
//!     let digits = experiment("configs/digits.toml", &["model.name=softmax"])?;
//!     let session = Session::create(&digits, "artifacts")?;
//!     session.train(Softmax::new, Options::default())?;
//!     Ok(())
//! }
//! ```
//!
//! `examples/cnn` is a complete program with a convolutional network.
//!
//! # Inside
//!
//! `session` trains a run, `trained` uses one, `setup` prepares a model (class weights, starting weights, memory), and
//! `baselines` fits the simple models that a network is compared with.

mod baselines;
mod session;
mod setup;
mod trained;

use std::io::IsTerminal;
use std::path::{Path, PathBuf, absolute};

use burn::optim::ModuleOptimizer;
use kiln_artifacts::ArtifactError;
use kiln_backend::BackendError;
use kiln_config::{ConfigError, Request, Source, resolve};
use kiln_data::DataError;
use kiln_evaluation::EvaluationError;
use kiln_training::TrainingError;

pub use kiln_artifacts::{Run, RunFailure, RunState, StopReason};
pub use kiln_config::{Experiment, Resolved};
pub use kiln_data::{DataSet, Framing, Progress, Split};
pub use kiln_diagnosis::Finding;
pub use kiln_evaluation::{Evaluation, Metrics, Predictions, UnlabelledPredictions, Weights};
pub use kiln_model::{
    Batch, Classified, Fused, Mlp, Model, ModelError, Pass, Predicted, Probe, StepOutput, Tally,
};
pub use kiln_training::{Event, Observer, Silent, StopSignal};
pub use session::{Outcome, Resumed, Session, is_over};
pub use setup::{Setup, check_perceptron, optimizer, perceptron};
pub use trained::Trained;

/// Reads the experiment in the file at `path`. Environment variables `KILN_...` override the file, and `overrides` of the
/// form `key=value` override both.
///
/// # Errors
/// One error lists all mistakes, each with its file, line and remedy.
pub fn experiment(path: impl AsRef<Path>, overrides: &[&str]) -> Result<Resolved, Error> {
    let overrides = overrides.iter().map(|&text| text.to_owned()).collect();
    let source = Source::File(path.as_ref().to_owned());
    Ok(resolve(&Request { source, environment: environment(), overrides })?)
}

/// The experiment of `run`.
pub fn of_run(run: &Run) -> Result<Experiment, Error> {
    let (name, text) = config_of(run)?;
    Ok(Experiment::from_toml_str(&name, &text)?)
}

/// Path and text of the resolved experiment file of `run`.
pub fn config_of(run: &Run) -> Result<(String, String), Error> {
    let path = run.config_toml();
    let name = path.display().to_string();
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok((name, text)),
        Err(cause) => Err(Error::Read { path: name, cause }),
    }
}

/// The experiment of `run`, without and with `overrides`.
pub(crate) fn with_overrides(run: &Run, overrides: &[String]) -> Result<[Experiment; 2], Error> {
    let (name, text) = config_of(run)?;
    let own = Experiment::from_toml_str(&name, &text)?;
    if overrides.is_empty() {
        return Ok([own.clone(), own]);
    }
    let source = Source::Text { name, text };
    let request = Request { source, environment: Vec::new(), overrides: overrides.to_vec() };
    Ok([own, resolve(&request)?.experiment])
}

/// The experiment as a run stores it: with absolute paths, which are valid in every working directory. The user's own
/// file is in the run's `config.input.toml`.
pub(crate) fn with_absolute_paths(experiment: &Experiment) -> Experiment {
    let mut experiment = experiment.clone();
    let data = &mut experiment.data;
    let paths = [&mut data.path, &mut data.test_path, &mut data.validation_path];
    for path in paths.into_iter().flatten().filter(|path| *path != Path::new("-")) {
        *path = absolute_text(path).unwrap_or_else(|| path.clone());
    }
    experiment
}

/// `None` if the working directory no longer exists, or if the path is not UTF-8, which a TOML file must be.
fn absolute_text(path: &Path) -> Option<PathBuf> {
    absolute(path).ok().filter(|path| path.to_str().is_some())
}

/// The environment variables. Those that are not UTF-8 cannot be Kiln's.
#[must_use]
pub fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// How [`Session::train`] optimizes, shows, stops and reports. The experiment itself is in the session.
pub struct Options {
    /// Any of Burn's optimizers, used with the experiment's learning rate and schedule. By default the optimizer that the
    /// experiment names.
    pub optimizer: Option<ModuleOptimizer>,
    /// Whether to open Burn's dashboard. By default only on a terminal.
    pub dashboard: bool,
    /// Receives the events of the training. By default they are ignored.
    pub observer: Box<dyn Observer>,
    /// Stops the training with a checkpoint. Keep a clone to request the stop.
    pub stop: StopSignal,
    /// Whether to draw plots and write the report. By default true.
    pub report: bool,
    /// An epoch, from 1, after which training pauses with a checkpoint. A paused training is not tested, even if it ends
    /// with that epoch; resume it without a pause to continue and to test it. By default there is no pause.
    pub pause_after: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        let dashboard = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
        Self {
            optimizer: None,
            dashboard,
            observer: Box::new(Silent),
            stop: StopSignal::default(),
            report: true,
            pause_after: None,
        }
    }
}

/// Why a session, an evaluation or a prediction failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The experiment file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The backend is not built in, or does not work on this machine.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The data cannot be downloaded or read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The run folder cannot be written or read.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The model does not fit the data or the stored weights.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Training could not start, failed, or was killed.
    #[error(transparent)]
    Training(#[from] TrainingError),
    /// The test pass or the report failed.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// The starting weights could not be read.
    #[error(transparent)]
    Weights(Box<dyn std::error::Error + Send + Sync>),
    /// The experiment names a network that this program does not have.
    #[error(
        "model.name = \"{name}\", but this program has {has}; train, evaluate and predict with the program that \
         has \"{name}\""
    )]
    OtherModel {
        /// The name in the experiment.
        name: String,
        /// The program's network, in words.
        has: &'static str,
    },
    /// The network does not fit into memory.
    #[error(
        "model.hidden = {hidden} makes a network of {weights} weights; training it needs {needed} of memory, and \
         {available} are available. With the same number of layers of {fitting} units each, it would fit"
    )]
    TooLarge {
        /// The widths of the hidden layers.
        hidden: String,
        /// The number of weights and biases.
        weights: u128,
        /// The memory that training needs at least.
        needed: String,
        /// The available memory.
        available: String,
        /// A width with which the network would fit, if all hidden layers have it.
        fitting: usize,
    },
    /// A file of the run cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: String,
        /// The cause.
        #[source]
        cause: std::io::Error,
    },
    /// The data differs from the data that the run was trained on.
    #[error(
        "the data has changed since the run was trained (SHA-256 was {was}, is {is}); restore the old data, or evaluate \
         the new data by path"
    )]
    OtherData {
        /// SHA-256 of the data that the run was trained on.
        was: String,
        /// SHA-256 of the data now.
        is: String,
    },
    /// The run has no test split.
    #[error(
        "the run has no test examples (data.test = 0); choose another split, or evaluate other data by path"
    )]
    NoTest,
    /// The run has no validation split.
    #[error("the run has no validation examples (data.validation = 0); choose another split")]
    NoValidation,
}

/// The code of the guide "Your own model" is compiled with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/own-model.md")]
struct OwnModelGuide;
