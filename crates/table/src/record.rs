//! One row of a table, as text.

/// The cells of a row, one after another in one buffer that the next row uses again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    line: u64,
    text: String,
    ends: Vec<usize>,
}

impl Record {
    /// The line of the file on which the row begins, from 1; of a sheet, its row.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The number of cells.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True when there is no cell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The cell at `column`, from 0; empty where the row has none.
    #[must_use]
    pub fn cell(&self, column: usize) -> &str {
        let Some(&end) = self.ends.get(column) else { return "" };
        let start = if column == 0 { 0 } else { self.ends[column - 1] };
        &self.text[start..end]
    }

    /// The cells, from left to right.
    pub fn cells(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|column| self.cell(column))
    }

    /// The bytes of all cells.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Empties the row, which begins on `line`.
    pub(crate) fn begin(&mut self, line: u64) {
        self.line = line;
        self.text.clear();
        self.ends.clear();
    }

    /// Adds `text` to the cell that is being put together.
    pub(crate) fn push_part(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Takes blanks off the end of the cell that is being put together, and ends it.
    pub(crate) fn end_cell(&mut self, trims: bool) {
        if trims {
            let start = self.ends.last().copied().unwrap_or(0);
            let length = self.text[start..].trim_end().len();
            self.text.truncate(start + length);
        }
        self.ends.push(self.text.len());
    }

    /// Takes cells off the end until `length` are left.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.ends.truncate(length);
        self.text.truncate(self.ends.last().copied().unwrap_or(0));
    }
}
