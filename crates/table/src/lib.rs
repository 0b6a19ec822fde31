//! Reads real-world tables and turns their rows into features.
//!
//! A table passes through these files:
//!
//! 1. `input` opens the file or pipe, decompresses, decodes and hashes it; `file_formats` handles ARFF, Excel and Parquet,
//!    and refuses files that are not tables.
//! 2. `dialect` and `layout` detect separator, quotes, header and decimal commas from the first rows.
//! 3. `splitter` splits the text into cells, and `records` gives one [`Record`] per row.
//! 4. `table` parses the cells (`cell_text`) and keeps them in memory (`blocks`).
//! 5. `fit` decides what each column is and fits its [`Treatment`] (`column`, `scale`) on the training rows alone; all columns
//!    together are a [`Preparation`], which is stored with the run.
//! 6. `preparation` turns the rows of a table into features; `new_rows` does so for rows to predict, and notes which of
//!    their values are unusual.
//!
//! This crate knows nothing about networks, experiment files or the terminal.

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
pub use cell_text::{DecimalMark, is_missing, is_missing_label, missing_words, styled_number};
pub use column::{Column, ColumnKind, DatePart, ParsedCell, Treatment};
pub use dialect::{Dialect, Separator};
pub use error::{Mismatch, NO_LABEL_COLUMN, TableError, counted, escaped, listed, quoted};
pub use fit::Choices;
pub use input::{Content, GZIP, is_standard_input, read_error};
pub use layout::Layout;
pub use new_rows::{Remarks, RowValue, ValueMismatch};
pub use preparation::Preparation;
pub use records::{ColumnRef, ReadOptions, Record, Records};
pub use scale::{Scale, Scaling};
pub use table::Table;
