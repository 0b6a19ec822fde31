//! The experiment file: its types, its layers, its validation and its messages.
//!
//! `experiment/` holds the Rust types of a file. The doc comment of a field and its `facts` are all that is stated
//! about a key; `keys` reads them back from the types' JSON Schema, and `explain` turns them into documentation.
//!
//! A file becomes an experiment in this order: `document` parses the text, `layers` combines bases, file, environment
//! and command line, `reader` checks each value against its key, and `resolve` removes values without effect and asks
//! `contradiction` whether the rest fits together. `problem` has the messages. `resolve` also reads other files,
//! such as a study's, with the same checks.
//!
//! `random` has the random streams of all crates, because they depend on nothing but the seed in the file.
//!
//! This crate does not depend on Burn, and uses the file system only to read a named file.

mod contradiction;
mod document;
mod experiment;
mod explain;
pub mod facts;
mod keys;
mod layers;
mod problem;
pub mod random;
mod reader;
mod resolve;

pub use document::{Document, read_text};
pub use experiment::{
    Activation, Automatic, Backend, BackendName, CalibrationName, Channels, Checkpoint, Ckpt, ClassLabel,
    ClassWeightRule, ClassWeights, Columns, Dashboard, Data, DataSource, DecisionName, Difference,
    DropoutMode, EarlyStopping, Evaluation, Experiment, Holdout, Initialization, LabelColumn, LayerWeights,
    Loss, LossName, LrScheduler, LrSchedulerName, Mode, Model, Monitor, Normalization, NumberEmbedding,
    Optimizer, OptimizerName, Output, SourceFacts, Training, Transpose, Ui, Unreadable,
};
pub use explain::{Explanation, KeyExplanation, SectionExplanation, explain, keys, reference, schema};
pub use keys::Choice;
pub use layers::RESERVED_VARIABLES;
pub use problem::{ConfigError, ConfigFault, Origin, Problem, listed, nearest_word};
pub use reader::shown;
pub use resolve::{Located, Patch, Request, Resolved, Source, read, resolve, resolve_patched};

/// `configs/digits.toml`: the experiment of `kiln train` without a file. It needs no network.
pub const DIGITS: &str = include_str!("../../../configs/digits.toml");
