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
mod build;
mod error;
mod experiment;
mod memory;
mod options;
mod session;
mod setup;
mod start;
mod trained;

pub use error::Error;
pub use experiment::{config_of, experiment, of_run};
pub use kiln_artifacts::{Run, RunFailure, RunState, StopReason};
pub use kiln_config::{Experiment, Resolved};
pub use kiln_data::{DataSet, Framing, Progress, Split};
pub use kiln_diagnosis::Finding;
pub use kiln_evaluation::{Answers, Evaluation, Metrics, Predictions, Weights};
pub use kiln_model::{
    Batch, Classified, Fused, Mlp, Model, ModelError, Pass, Predicted, Probe, StepOutput, Tally,
};
pub use kiln_training::{Event, Observer, Silent, StopSignal};
pub use options::Options;
pub use session::{Outcome, Resumed, Session, is_over};
pub use setup::{Setup, check_perceptron, optimizer, perceptron};
pub use trained::Trained;
