//! The experiment file: its types, its layers, its validation and its messages.
//!
//! This crate knows nothing of Burn, and of the file system no more than reading a named file.

mod contradiction;
mod document;
mod effect;
mod experiment;
mod explain;
pub mod facts;
mod file;
mod given;
mod keys;
mod kind;
mod layers;
mod literal;
mod nearest;
mod origin;
mod problem;
pub mod random;
mod range;
mod read;
mod reader;
mod reference;
mod render;
mod resolve;
mod same;
mod schema;
mod sections;
mod setting;
mod shown;
mod value;
mod words;

pub use document::Document;
pub use experiment::Experiment;
pub use explain::{Explanation, KeyExplanation, SectionExplanation, explain, keys};
pub use file::read_text;
pub use given::RESERVED_VARIABLES;
pub use kind::Choice;
pub use nearest::word as nearest_word;
pub use origin::Origin;
pub use problem::{ConfigError, Fault, Problem};
pub use read::{Located, read};
pub use reference::reference;
pub use resolve::{Patch, Request, Resolved, Source, resolve, resolve_patched};
pub use same::Difference;
pub use schema::schema;
pub use sections::{
    Activation, Automatic, Backend, BackendName, CalibrationName, Channels, Checkpoint, Ckpt, ClassLabel,
    ClassWeightRule, ClassWeights, Columns, Dashboard, Data, DataSource, DecisionName, DropoutMode,
    EarlyStopping, Evaluation, Holdout, Initialization, LabelColumn, LayerWeights, Loss, LossName,
    LrScheduler, LrSchedulerName, Mode, Model, Monitor, Normalization, NumberEmbedding, Optimizer,
    OptimizerName, Output, SourceFacts, Training, Transpose, Ui, Unreadable,
};
pub use shown::shown;
pub use words::listed;

/// `configs/digits.toml`: the experiment of a bare `kiln train`, which needs no file and no network.
pub const DIGITS: &str = include_str!("../../../configs/digits.toml");
