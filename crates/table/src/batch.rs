//! Some rows of a table on their way from text to cells.

use crate::cell::Cell;
use crate::missing::{is_missing, is_missing_label};
use crate::number::cell_number;
use crate::{Record, Records, TableError};

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
        // What stands for no value may well be a number, such as -999.
        let is_text = self.as_text[column] || self.missing.iter().any(|missing| missing == text);
        let number = if is_text { None } else { cell_number(text, self.decimal_comma) };
        let is_absent = || match self.label {
            Some(label) if label == column => is_missing_label(text, self.missing),
            _ => is_missing(text, self.missing),
        };
        match number {
            Some(number) => Cell::number(number),
            None if is_absent() => Cell::MISSING,
            None => Cell::UNNUMBERED,
        }
    }
}
