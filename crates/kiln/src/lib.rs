//! Kiln's front door: what a program of your own calls.
//!
//! A [`Session`] is a run that this process trains: [`Session::create`] makes a new one from an experiment,
//! [`Session::resume`] takes up one that was stopped. [`Session::train`] trains any Burn module in it that is a
//! [`Model`], with Burn's dashboard, checkpoints that a resume continues to the bit, a test pass and a report. A
//! [`Trained`] is the model of a run, to evaluate and to predict with.
//!
//! The multilayer perceptron that experiment files describe is [`perceptron`]:
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
//! assert!(outcome.test.expect("the run came to its end").accuracy() > 0.8);
//!
//! let trained = Trained::open(outcome.run, None, perceptron)?;
//! let answers = trained.predict_values(&[0.0; 64])?;
//! assert_eq!(answers.probabilities(0).len(), 10);
//! # Ok(())
//! # }
//! ```
//!
//! A module of your own needs Burn's `TrainStep` and `InferenceStep`, one line for [`Model`], and a name in the
//! experiment file (`model.name`); `examples/cnn` is one whole.

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
pub use kiln_evaluation::{Answers, Evaluation, Metrics, Predictions, Weights};
pub use kiln_model::{
    Batch, Classified, Fused, Mlp, Model, ModelError, Pass, Predicted, Probe, StepOutput, Tally,
};
pub use kiln_training::{Event, Observer, Silent, StopSignal};
pub use session::{Outcome, Resumed, Session, is_over};
pub use setup::{Setup, check_perceptron, optimizer, perceptron};
pub use trained::Trained;

/// The experiment in the file at `path` under `overrides` of the form `key=value`, with `KILN_...` variables between
/// the two.
///
/// # Errors
/// With every mistake at once, each with its place.
pub fn experiment(path: impl AsRef<Path>, overrides: &[&str]) -> Result<Resolved, Error> {
    let overrides = overrides.iter().map(|&text| text.to_owned()).collect();
    let source = Source::File(path.as_ref().to_owned());
    Ok(resolve(&Request { source, environment: environment(), overrides })?)
}

/// The experiment that `run` was made for.
///
/// # Errors
/// Where its file cannot be read or is wrong.
pub fn of_run(run: &Run) -> Result<Experiment, Error> {
    let (name, text) = config_of(run)?;
    Ok(Experiment::from_toml_str(&name, &text)?)
}

/// Name and text of the resolved experiment file of `run`.
///
/// # Errors
/// Where it cannot be read.
pub fn config_of(run: &Run) -> Result<(String, String), Error> {
    let path = run.config_toml();
    let name = path.display().to_string();
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok((name, text)),
        Err(cause) => Err(Error::Read { path: name, cause }),
    }
}

/// The run's own settings, without and with overrides.
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

/// The experiment as a run keeps it: its paths name the same data from every working directory. The file as it was
/// written is in the run's `config.input.toml`.
pub(crate) fn with_absolute_paths(experiment: &Experiment) -> Experiment {
    let mut experiment = experiment.clone();
    let data = &mut experiment.data;
    let paths = [&mut data.path, &mut data.test_path, &mut data.validation_path];
    for path in paths.into_iter().flatten().filter(|path| *path != Path::new("-")) {
        *path = absolute_text(path).unwrap_or_else(|| path.clone());
    }
    experiment
}

/// None where there is no working directory any more, or where its name is not text, as a TOML file must be.
fn absolute_text(path: &Path) -> Option<PathBuf> {
    absolute(path).ok().filter(|path| path.to_str().is_some())
}

/// The environment as text; what is not text cannot be one of Kiln's variables.
fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// How to train, whatever is trained.
pub struct Options {
    /// What moves the weights; by default what `[optimizer]` says. Any of Burn's optimizers will do, under the
    /// experiment's learning rate and schedule.
    pub optimizer: Option<ModuleOptimizer>,
    /// Whether to open Burn's dashboard; by default on a terminal.
    pub dashboard: bool,
    /// Who else watches; by default nobody.
    pub observer: Box<dyn Observer>,
    /// The wish to stop; by default that of nobody.
    pub stop: StopSignal,
    /// Whether to draw plots and write the report; by default, yes.
    pub report: bool,
    /// An epoch, from 1, after which training pauses with a checkpoint. Training that ends by then is not tested: a resume
    /// without a pause goes on, or tests what is over. By default, none.
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

/// Why a session, an evaluation or a prediction could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The experiment file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No such backend, or it does not work here.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The data cannot be had or read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The run folder cannot be written or read.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The model does not fit the data or the stored weights.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Training could not begin, failed, or was killed.
    #[error(transparent)]
    Training(#[from] TrainingError),
    /// The test pass or the report failed.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// There are no weights to begin with.
    #[error(transparent)]
    Weights(Box<dyn std::error::Error + Send + Sync>),
    /// The experiment names a network that this program does not bring.
    #[error(
        "model.name = \"{name}\", but this program has {has}; train, evaluate and predict with the program that \
         brings \"{name}\""
    )]
    OtherModel {
        /// The name in the experiment.
        name: String,
        /// What the program has, in words.
        has: &'static str,
    },
    /// The network does not fit into memory.
    #[error(
        "model.hidden = {hidden} makes a network of {weights} weights, which takes {needed} to train; this machine has \
         {available} to give. With as many layers of {fitting} units each it would fit"
    )]
    TooLarge {
        /// The widths of the hidden layers.
        hidden: String,
        /// Weights and biases.
        weights: u128,
        /// What training takes at the least.
        needed: String,
        /// What there is.
        available: String,
        /// A width of all hidden layers that would fit.
        fitting: usize,
    },
    /// A file of the run cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: String,
        /// What went wrong.
        #[source]
        cause: std::io::Error,
    },
    /// The data are other than those that the run was trained on.
    #[error(
        "the data are no longer those that the run was trained on (their SHA-256 was {was}, now it is {is}); bring the \
         old ones back, or evaluate the new ones by their path"
    )]
    OtherData {
        /// SHA-256 of the data that the run was trained on.
        was: String,
        /// SHA-256 of the data as they are.
        is: String,
    },
    /// The run held no test examples out.
    #[error(
        "the run held no test examples out (data.test = 0); choose another split, or evaluate other data by their path"
    )]
    NoTest,
    /// The run held no validation examples out.
    #[error("the run held no validation examples out (data.validation = 0); choose another split")]
    NoValidation,
}
