//! Tables as people have them: found out how they are written, read, and made features.
//!
//! [`Records`] gives the rows of a file in any of the usual forms. [`Table`] holds one in memory. [`Preparation`] is what
//! each column was taken for and how its cells become features, fitted on the training rows alone.
//!
//! This crate knows nothing of networks, of experiment files or of the terminal.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed"))]

mod arff;
mod batch;
mod blocks;
mod candidate;
mod cell;
mod column;
mod date;
mod encoding;
mod error;
#[cfg(feature = "excel")]
mod excel;
mod fit;
mod foreign;
mod form;
mod given_row;
mod head;
mod input;
mod layout;
mod missing;
mod number;
mod options;
mod packed;
#[cfg(feature = "parquet")]
mod parquet_file;
mod preparation;
mod record;
mod records;
mod remarks;
mod scale;
mod seen;
mod splitter;
mod table;
mod treatment;
mod words;

pub use blocks::Blocks;
pub use cell::{Cell, Value};
pub use column::{Column, Kind};
pub use error::{Fault, TableError};
pub use fit::Choices;
pub use form::{Form, Separator};
pub use given_row::{RowValue, ValueFault};
pub use input::{Content, GZIP, is_standard_input, read_error};
pub use layout::Layout;
pub use missing::{is_missing, is_missing_label, missing_words};
pub use number::{Marks, styled_number};
pub use options::{ColumnRef, ReadOptions};
pub use preparation::Preparation;
pub use record::Record;
pub use records::Records;
pub use remarks::Remarks;
pub use scale::{Scale, Scaling};
pub use table::Table;
pub use treatment::{Given, Part, Treatment};
pub use words::{counted, escaped, listed, quoted};
