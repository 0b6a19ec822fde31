//! Tables as people have them: found out how they are written, read, and made features.
//!
//! [`Records`] gives the rows of a file in any of the usual forms. [`Table`] holds one in memory. [`Preparation`] is what
//! each column was taken for and how its cells become features, fitted on the training rows alone.
//!
//! This crate knows nothing of networks, of experiment files or of the terminal.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed"))]

mod blocks;
mod cell_text;
mod column;
mod dialect;
mod error;
mod file_formats;
mod fit;
mod input;
mod layout;
mod new_rows;
mod preparation;
mod records;
mod scale;
mod splitter;
mod table;

pub use blocks::{Blocks, Cell, Value};
pub use cell_text::{Marks, is_missing, is_missing_label, missing_words, styled_number};
pub use column::{Column, Given, Kind, Part, Treatment};
pub use dialect::{Form, Separator};
pub use error::{Fault, TableError, counted, escaped, listed, quoted};
pub use fit::Choices;
pub use input::{Content, GZIP, is_standard_input, read_error};
pub use layout::Layout;
pub use new_rows::{Remarks, RowValue, ValueFault};
pub use preparation::Preparation;
pub use records::{ColumnRef, ReadOptions, Record, Records};
pub use scale::{Scale, Scaling};
pub use table::Table;
