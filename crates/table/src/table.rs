//! A table in memory.
//!
//! While one thread splits a batch of rows into cells, another parses the cells of the batch before.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::{
    Blocks, Cell, ColumnRef, Content, Layout, Mismatch, NO_LABEL_COLUMN, ParsedCell, ReadOptions, Record,
    Records, TableError, Value, is_missing, is_missing_label, listed, quoted,
};

/// A table as read: each cell is a number, a text or missing. What its columns mean is not decided yet.
#[derive(Debug)]
pub struct Table {
    path: PathBuf,
    layout: Layout,
    content: Content,
    cells: Blocks<Cell>,
    /// The distinct texts of each column; a cell holds the index of its text.
    texts: Vec<Vec<Box<str>>>,
    /// The line of each row in the file.
    lines: Vec<u32>,
    /// The column with the class.
    label: Option<usize>,
    /// Columns whose values the file itself lists.
    listed: Vec<usize>,
}

impl Table {
    /// Reads the table at `path`. Calls `progress` from time to time with the number of bytes read since the last call.
    pub fn read(
        path: &Path,
        options: &ReadOptions,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self, TableError> {
        Self::take(Records::open(path, options)?, options, progress)
    }

    /// Reads all of `records`.
    pub fn take(
        mut records: Records,
        options: &ReadOptions,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self, TableError> {
        let names = &records.layout().names;
        if names.is_empty() {
            let mismatch = Mismatch::new(records.path(), "rows with cells", "no line");
            return Err(TableError::unfit("empty table", mismatch));
        }
        let label = options.label.as_ref().map(|label| find_label(&records, label)).transpose()?;
        let as_text = text_columns(&records, label, &options.as_text);
        let mut table = Self {
            path: records.path().to_owned(),
            layout: records.layout().clone(),
            content: Content::default(),
            cells: Blocks::new(names.len()),
            texts: vec![Vec::new(); names.len()],
            lines: Vec::new(),
            label,
            listed: records.listed().to_vec(),
        };
        let parser = CellParser {
            as_text: &as_text,
            label,
            missing: &options.missing,
            decimal_comma: table.layout.dialect.decimal_comma,
        };
        let mut numbers: Vec<HashMap<Box<str>, u32>> = vec![HashMap::new(); table.texts.len()];
        let (mut batch, mut next, mut told) = (Batch::default(), Batch::default(), 0);
        batch.fill(&mut records)?;
        while !batch.rows().is_empty() {
            let (cells, filled) = rayon::join(|| batch.cells(&parser), || next.fill(&mut records));
            table.append(&batch, &cells, &mut numbers);
            filled?;
            std::mem::swap(&mut batch, &mut next);
            progress(records.consumed() - told);
            told = records.consumed();
        }
        if table.lines.is_empty() {
            let mismatch = Mismatch::new(&table.path, "at least one row of data", "none");
            return Err(TableError::unfit("table without rows", mismatch));
        }
        table.content = records.content();
        Ok(table)
    }

    /// Adds the rows of `batch` with their parsed `cells`, and gives their texts an index.
    fn append(&mut self, batch: &Batch, cells: &[Cell], numbers: &mut [HashMap<Box<str>, u32>]) {
        let texts = &mut self.texts;
        for (record, row) in batch.rows().iter().zip(cells.chunks_exact(texts.len())) {
            self.cells.push(row.iter().enumerate().map(|(column, &cell)| match cell {
                Cell::UNNUMBERED => {
                    Cell::text(intern(record.cell(column), &mut numbers[column], &mut texts[column]))
                }
                cell => cell,
            }));
            self.lines.push(u32::try_from(record.line()).unwrap_or(u32::MAX));
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Dialect and columns of the file.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Size and hash of the file.
    #[must_use]
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// The names of the columns.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.layout.names
    }

    /// The error for a column `name` that the configuration key `key` requires but the table does not have.
    #[must_use]
    pub fn no_column(&self, name: &str, key: &str) -> TableError {
        let expected = format!("a column {} ({key})", quoted(name));
        let mismatch = Mismatch::new(&self.path, expected, columns_in_words(self.names()));
        TableError::unfit("no such column", mismatch)
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.lines.len()
    }

    /// The line of the file on which `row` begins, from 1.
    #[must_use]
    pub fn line(&self, row: usize) -> u32 {
        self.lines[row]
    }

    /// The lines of all rows.
    #[must_use]
    pub fn lines(&self) -> &[u32] {
        &self.lines
    }

    /// The index of the column with the class.
    #[must_use]
    pub fn label(&self) -> Option<usize> {
        self.label
    }

    /// The cell of `row` in `column`.
    #[must_use]
    pub fn cell(&self, row: usize, column: usize) -> Cell {
        self.cells.row(row)[column]
    }

    /// The distinct texts of `column`, by the index in its cells.
    #[must_use]
    pub fn texts(&self, column: usize) -> &[Box<str>] {
        &self.texts[column]
    }

    /// True if the file itself lists the values of `column`.
    pub(crate) fn is_listed(&self, column: usize) -> bool {
        self.listed.contains(&column)
    }

    /// The first line among `rows` with `text` in `column`; 0 if no row has it.
    #[must_use]
    pub fn first_line(&self, column: usize, text: &str, rows: impl Iterator<Item = u32>) -> u32 {
        let number = self.texts[column].iter().position(|other| **other == *text);
        rows.filter(|&row| match self.cell(row as usize, column).value() {
            Value::Text(text) => Some(text as usize) == number,
            Value::Number(_) | Value::Missing => false,
        })
        .map(|row| self.line(row as usize))
        .min()
        .unwrap_or(0)
    }

    /// Moves the cells out.
    pub(crate) fn take_cells(&mut self) -> Blocks<Cell> {
        std::mem::replace(&mut self.cells, Blocks::new(self.texts.len()))
    }
}

fn intern(text: &str, numbers: &mut HashMap<Box<str>, u32>, texts: &mut Vec<Box<str>>) -> u32 {
    if let Some(&number) = numbers.get(text) {
        return number;
    }
    let number = texts.len() as u32;
    texts.push(text.into());
    numbers.insert(text.into(), number);
    number
}

/// For each column, whether its cells are kept as text. Ignores unknown names: the caller knows their configuration key and
/// reports them.
fn text_columns(records: &Records, label: Option<usize>, named: &[String]) -> Vec<bool> {
    let columns = &records.layout().names;
    let mut as_text = vec![named.iter().any(|name| name == "*"); columns.len()];
    let named = named.iter().filter_map(|name| ColumnRef::Name(name.clone()).find(columns));
    for column in named.chain(records.listed().iter().copied()).chain(label) {
        as_text[column] = true;
    }
    as_text
}

fn columns_in_words(names: &[String]) -> String {
    listed(names.iter().map(String::as_str), 12)
}

fn find_label(records: &Records, label: &ColumnRef) -> Result<usize, TableError> {
    let names = &records.layout().names;
    let has_names = records.layout().has_names();
    let found = label.find(names);
    if let Some(column) = found.filter(|_| names.len() > 1) {
        return Ok(column);
    }
    if names.len() < 2 {
        let expected = "at least one column besides the label";
        let mismatch = Mismatch::new(records.path(), expected, columns_in_words(names));
        let remedy = "set data.separator if the cells are not separated by commas, semicolons, tabs, pipes or \
                      blanks";
        return Err(TableError::unfit("no feature columns", mismatch.remedy(remedy)));
    }
    let expected = format!("a column {label} (data.label_column)");
    let remedy = if has_names {
        nearest(names, label)
    } else {
        "the first row is data, so the columns have no names: set the position of the label, for example \
         data.label_column=-1 for the last column, or all names with data.names; if the first row is a header, set \
         data.header=true"
            .to_owned()
    };
    let found =
        if has_names { columns_in_words(names) } else { format!("{} columns without names", names.len()) };
    Err(TableError::unfit(NO_LABEL_COLUMN, Mismatch::new(records.path(), expected, found).remedy(remedy)))
}

/// Suggests the name most similar to `label`, or explains how to name a column.
fn nearest(names: &[String], label: &ColumnRef) -> String {
    if let ColumnRef::Name(label) = label {
        let likeness = |name: &str| strsim::jaro_winkler(&name.to_lowercase(), &label.to_lowercase());
        let best = names.iter().max_by(|left, right| likeness(left).total_cmp(&likeness(right)));
        if let Some(name) = best.filter(|name| likeness(name) > 0.8) {
            return format!("did you mean data.label_column={}?", quoted(name));
        }
    }
    "set data.label_column to the name or the position of the column with the class: 1 is the first, -1 the last"
        .to_owned()
}

/// The maximum number of rows in a batch.
const ROWS: usize = 1024;
/// A batch is full when its text has so many bytes.
const BYTES: usize = 1 << 19;

/// Some rows as text. The next batch reuses their memory.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    records: Vec<Record>,
    rows: usize,
}

/// Parses the cells of a table.
pub(crate) struct CellParser<'a> {
    /// For each column, whether its cells are kept as text.
    pub(crate) as_text: &'a [bool],
    /// The column with the class.
    pub(crate) label: Option<usize>,
    /// Additional words for a missing value.
    pub(crate) missing: &'a [String],
    pub(crate) decimal_comma: bool,
}

impl Batch {
    /// Replaces the rows by the next ones; none are left at the end.
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

    pub(crate) fn rows(&self) -> &[Record] {
        &self.records[..self.rows]
    }

    /// The cells of all rows in order. A text becomes [`Cell::UNNUMBERED`].
    pub(crate) fn cells(&self, parser: &CellParser<'_>) -> Vec<Cell> {
        let mut cells = Vec::with_capacity(self.rows * parser.as_text.len());
        for record in self.rows() {
            cells.extend(record.cells().enumerate().map(|(column, text)| parser.cell(column, text)));
        }
        cells
    }
}

impl CellParser<'_> {
    fn cell(&self, column: usize, text: &str) -> Cell {
        let is_missing = if self.label == Some(column) { is_missing_label } else { is_missing };
        match ParsedCell::parse(text, self.as_text[column], self.decimal_comma, self.missing, is_missing) {
            ParsedCell::Number(number) => Cell::number(number),
            ParsedCell::Missing => Cell::MISSING,
            ParsedCell::Text(_) => Cell::UNNUMBERED,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Cursor;

    use super::*;

    /// Reads the table `text`.
    pub(crate) fn read(text: &str, options: &ReadOptions) -> Result<Table, String> {
        let reader = Box::new(Cursor::new(text.to_owned()));
        let records =
            Records::read(reader, Path::new("t.csv"), options).map_err(|error| error.to_string())?;
        Table::take(records, options, &mut |_| {}).map_err(|error| error.to_string())
    }

    fn labelled(label: ColumnRef) -> ReadOptions {
        ReadOptions { label: Some(label), ..ReadOptions::default() }
    }

    #[test]
    fn cells_are_numbers_texts_or_nothing() {
        let options = ReadOptions {
            as_text: vec!["code".to_owned()],
            missing: vec!["-9".to_owned()],
            ..labelled(ColumnRef::Name("k".to_owned()))
        };
        let table = read("n,code,w,k\n1.5,01,a,1\n?,1,b,2\n-9,?,a,-\n", &options).unwrap();
        let column = |column| (0..3).map(|row| table.cell(row, column).value()).collect::<Vec<_>>();
        let (text, missing) = (Value::Text, Value::Missing);
        assert_eq!(column(0), [Value::Number(1.5), missing, missing]);
        assert_eq!(column(1), [text(0), text(1), missing]);
        assert_eq!(column(2), [text(0), text(1), text(0)]);
        // `-` may be the name of a class.
        assert_eq!(column(3), [text(0), text(1), text(2)]);
        assert_eq!((table.texts(1).to_vec(), table.lines()), (vec!["01".into(), "1".into()], &[2, 3, 4][..]));
    }

    #[test]
    fn unusable_tables_are_refused() {
        let last = || labelled(ColumnRef::Position(-1));
        let named = |name: &str| labelled(ColumnRef::Name(name.to_owned()));
        for (text, options, wanted) in [
            ("", last(), "empty table"),
            ("\n\n", last(), "empty table"),
            ("a,b\n", last(), "table without rows"),
            ("a\n1\n2\n", last(), "no feature columns"),
            ("a,b\n1,x\n", named("bb"), "did you mean data.label_column=\"b\"?"),
            ("a,b\n1,x\n", labelled(ColumnRef::Position(3)), "expected a column number 3"),
            ("a,b\n1,x\n2\n", last(), "t.csv, line 3: expected 2 cells, one for each column, found 1"),
            ("a,b,c\n1,\"x\n2,3\n", last(), "t.csv, line 2: expected a closed quote"),
        ] {
            let message = read(text, &options).unwrap_err();
            assert!(message.contains(wanted), "{message}");
        }
        let two = ReadOptions { names: vec!["a".into(), "b".into(), "c".into()], ..last() };
        assert!(
            read("1,x\n2,y\n", &two).unwrap_err().contains("expected 3 cells, one for each column, found 2")
        );
    }
}
