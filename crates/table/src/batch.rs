//! Some rows of a table on their way from text to cells.

use crate::cell::Cell;
use crate::missing::{is_missing, is_missing_label};
use crate::{Given, Record, Records, TableError};

/// Rows in a batch, at most.
const ROWS: usize = 1024;
/// Bytes of text in a batch, but for its last row.
const BYTES: usize = 1 << 19;

/// Rows as text. The memory of their cells is used again and again.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    records: Vec<Record>,
    rows: usize,
}

/// How cells are read.
pub(crate) struct Reading<'a> {
    /// Columns whose cells are kept as they are written.
    pub(crate) as_text: &'a [bool],
    /// The column that holds the class.
    pub(crate) label: Option<usize>,
    /// What stands for a missing value, besides what always does.
    pub(crate) missing: &'a [String],
    pub(crate) decimal_comma: bool,
}

impl Batch {
    /// Reads the rows that come next, if any.
    pub(crate) fn fill(&mut self, records: &mut Records) -> Result<(), TableError> {
        let mut bytes = 0;
        self.rows = 0;
        while self.rows < ROWS && bytes < BYTES {
            if self.rows == self.records.len() {
                self.records.push(Record::default());
            }
            let record = &mut self.records[self.rows];
            if !records.next(record)? {
                return Ok(());
            }
            records.check(record)?;
            bytes += record.bytes();
            self.rows += 1;
        }
        Ok(())
    }

    /// The rows.
    pub(crate) fn rows(&self) -> &[Record] {
        &self.records[..self.rows]
    }

    /// The cells of all rows, one after another; of a text, [`Cell::UNNUMBERED`].
    pub(crate) fn cells(&self, reading: &Reading<'_>) -> Vec<Cell> {
        let mut cells = Vec::with_capacity(self.rows * reading.as_text.len());
        for record in self.rows() {
            cells.extend(record.cells().enumerate().map(|(column, text)| reading.cell(column, text)));
        }
        cells
    }
}

impl Reading<'_> {
    fn cell(&self, column: usize, text: &str) -> Cell {
        let is_missing = if self.label == Some(column) { is_missing_label } else { is_missing };
        match Given::of(text, self.as_text[column], self.decimal_comma, self.missing, is_missing) {
            Given::Number(number) => Cell::number(number),
            Given::Missing => Cell::MISSING,
            Given::Text(_) => Cell::UNNUMBERED,
        }
    }
}
