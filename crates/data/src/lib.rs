//! Data for training: sources, splits, scaling, and batches in an order fixed by (seed, epoch).
//!
//! [`load`] turns the `[data]` section of an experiment into a [`DataSet`]. Its splits share the raw values
//! that the source has, in the type that the source has them in; scaling happens when a [`Batch`] is made.
//! Which examples go where, and in which order they come, are pure functions of the seed.
//!
//! This crate knows nothing of models, of training, or of the terminal: it reports transfers to a
//! [`Progress`], logs through `tracing`, and never prints.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed"))]

mod altered;
mod balance;
mod batch;
mod columns;
mod data_file;
mod dataset;
mod describe;
mod download;
mod epoch;
mod error;
mod folders;
mod given_examples;
mod holdout;
mod inputs;
mod label_noise;
mod labelled;
mod loader;
mod normalizer;
mod profile;
mod progress;
mod reading;
mod render;
mod selection;
mod source;
mod split;
mod storage;
mod table_rows;
mod transfer;

pub use altered::{Holds, UsedColumn};
pub use batch::{Batch, Pass};
pub use dataset::{DataSet, FileRecord, Shape, load, load_like, load_with};
pub use describe::{Content, Description, describe};
pub use download::{Attempt, Downloads, Timeouts, Unavailable};
pub use epoch::{Batching, Epoch, epoch_order};
pub use error::DataError;
pub use folders::Folders;
pub use given_examples::{GivenRows, examples_of_pixels};
pub use holdout::Ties;
pub use inputs::{Frame, Framing, Inputs, inputs, inputs_of_picture, inputs_of_values};
pub use kiln_table::{Column, Fault, Preparation};
pub use labelled::labelled;
pub use loader::SplitLoader;
pub use normalizer::Normalizer;
pub use profile::{ExampleCounts, Profile};
pub use progress::{NoProgress, Progress};
pub use reading::Reading;
pub use render::{render_blocks, render_columns, render_numbers};
pub use source::{Pictures, Published, PublishedFile, pictures_below, read_options};
pub use split::{Example, Split};
pub use storage::Raw;
pub use table_rows::{RowBlock, TableRows};
