//! The rows of a table, block by block, to be predicted.

use std::path::Path;
use std::sync::Arc;

use kiln_table::{Blocks, Preparation, Record, Records, Remarks, quoted};

use crate::source::not_pictures;
use crate::storage::Storage;
use crate::{DataError, Profile, Split};

/// The rows of a table of any length, in bounded memory.
pub struct TableRows {
    records: Records,
    preparation: Arc<Preparation>,
    places: Vec<usize>,
    remarks: Remarks,
}

/// Some rows of a table, one after another.
#[derive(Debug)]
pub struct RowBlock {
    /// The rows, as the file has them.
    pub rows: Vec<Record>,
    /// Of each row, what is wrong with it; nothing where it can be predicted.
    pub faults: Vec<Option<String>>,
    /// Of each row that can be predicted, what is not known of it, such as `embarked: unknown "Z"; deck: missing`; empty
    /// where all is.
    pub notes: Vec<String>,
    /// The rows that can be predicted, in order. Their labels are all 0 and mean nothing.
    pub examples: Split,
}

impl TableRows {
    /// Opens the table at `path` (`-` is standard input) for a network that was trained on tables like it. Columns may stand
    /// in any order, and there may be others.
    ///
    /// # Errors
    /// Where it cannot be read, lacks a column, or the network takes no tables.
    pub fn open(path: &Path, profile: &Profile) -> Result<Self, DataError> {
        let preparation = profile.row_preparation().ok_or_else(|| not_pictures(path))?;
        let records = Records::open(path, &preparation.read_options())?;
        let places = preparation.places(records.layout(), path)?;
        Ok(Self { records, preparation, places, remarks: Remarks::default() })
    }

    /// Names of the file's columns.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.records.layout().names
    }

    /// The next `most` rows, fewer at the end; none after the last.
    ///
    /// # Errors
    /// Where the file cannot be read further.
    pub fn next_block(&mut self, most: usize) -> Result<Option<RowBlock>, DataError> {
        let (mut rows, mut faults, mut notes, mut lines) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut cells = Blocks::new(self.preparation.raw_width());
        let mut record = Record::default();
        while rows.len() < most && self.records.next(&mut record)? {
            let fault = cells.push_row(|raw| self.read_row(&record, raw)).err();
            if fault.is_none() {
                let text = |used: usize| record.cell(self.places[used]);
                notes.push(self.preparation.remark(cells.row(lines.len()), text, &mut self.remarks));
                lines.push(record.line() as u32);
            }
            faults.push(fault);
            rows.push(record.clone());
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let labels = vec![0; lines.len()];
        let examples = Split::new(Storage::cells(cells, Arc::clone(&self.preparation), lines), labels);
        Ok(Some(RowBlock { rows, faults, notes, examples }))
    }

    /// What is remarkable about the rows so far, a sentence each.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let by_place = self.records.layout().matched_by_place();
        by_place.into_iter().chain(self.preparation.sentences(&self.remarks)).collect()
    }

    fn read_row(&self, record: &Record, raw: &mut Vec<f64>) -> Result<(), String> {
        let width = self.columns().len();
        if record.len() != width {
            let first = quoted(record.cell(0));
            return Err(format!("{} cells instead of {width}, the first {first}", record.len()));
        }
        let decimal_comma = self.records.layout().form.decimal_comma;
        self.preparation.record(record, &self.places, decimal_comma, raw)
    }
}
