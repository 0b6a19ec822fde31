//! The rows of a table.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use encoding_rs::Encoding;

use crate::file_formats::{foreign_bytes, foreign_text, is_arff, open_arff, packed, refused};
use crate::input::{self, Next, Text, read_fully};
use crate::layout::layout;
use crate::splitter::{Scan, Splitter};
use crate::{Content, Fault, Layout, Separator, TableError, quoted};

/// How to read a table; what is not set is found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// The column that holds the class.
    pub label: Option<ColumnRef>,
    /// Whether the first row names the columns.
    pub header: Option<bool>,
    /// Names for the columns, from left to right.
    pub names: Vec<String>,
    /// Names that a header would have; without them, what a header is is found out.
    pub known: Vec<String>,
    /// What stands between cells.
    pub separator: Option<Separator>,
    /// A label of the WHATWG encoding standard, such as `windows-1252`.
    pub encoding: Option<String>,
    /// What stands for a missing value, besides what always does.
    pub missing: Vec<String>,
    /// Columns whose cells are kept as they are written, even where they are numbers. `*` means every column.
    pub as_text: Vec<String>,
}

/// A column, by name or place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnRef {
    /// The name in the header.
    Name(String),
    /// 1 is the first column, -1 the last.
    Place(i64),
}

impl ColumnRef {
    /// Where it is among `names`. A place is taken as a name first where there is such a name.
    #[must_use]
    pub fn find(&self, names: &[String]) -> Option<usize> {
        match self {
            Self::Name(name) => names.iter().position(|other| other == name).or_else(|| {
                let mut alike = (0..names.len()).filter(|&at| names[at].eq_ignore_ascii_case(name.trim()));
                alike.next().filter(|_| alike.next().is_none())
            }),
            Self::Place(place) => {
                let name = place.to_string();
                let count = i64::try_from(names.len()).unwrap_or(i64::MAX);
                names.iter().position(|other| *other == name).or_else(|| match *place {
                    place @ 1.. if place <= count => Some((place - 1) as usize),
                    place @ ..=-1 if place >= -count => Some((count + place) as usize),
                    _ => None,
                })
            }
        }
    }

    /// True if one of `cells` is its name.
    pub(crate) fn is_named_in<'a>(&self, mut cells: impl Iterator<Item = &'a str>) -> bool {
        match self {
            Self::Name(name) => cells.any(|cell| cell.trim().eq_ignore_ascii_case(name.trim())),
            Self::Place(_) => false,
        }
    }
}

impl fmt::Display for ColumnRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(&quoted(name)),
            Self::Place(place) => write!(f, "number {place}"),
        }
    }
}

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

/// Text that is looked at to find out how a table is written.
const SAMPLE: usize = 256 << 10;
/// Lines that the sample has at least, where the file has as many: rows may be long.
const SAMPLE_LINES: usize = 10;
/// The most text that is looked at.
const LONGEST_SAMPLE: usize = 32 << 20;

/// The rows of data of a table, one after another.
pub struct Records {
    rows: TextRows,
    layout: Layout,
    path: PathBuf,
    /// Columns whose values the file itself lists: they are words, even where they are numbers.
    listed: Vec<usize>,
}

impl Records {
    /// Opens the table at `path`; `-` is standard input.
    ///
    /// # Errors
    /// Where it cannot be read, or is no table.
    pub fn open(path: &Path, options: &ReadOptions) -> Result<Self, TableError> {
        Self::read(input::open(path)?, path, options)
    }

    /// The table in the bytes of `reader`, which messages call `path`.
    ///
    /// # Errors
    /// As [`Records::open`].
    pub fn read(
        mut reader: Box<dyn Read + Send>,
        path: &Path,
        options: &ReadOptions,
    ) -> Result<Self, TableError> {
        let mut start = vec![0; 8];
        let length = read_fully(&mut *reader, &mut start).map_err(|error| input::read_error(path, error))?;
        start.truncate(length);
        let reader = packed(&mut start, reader, path)?;
        if let Some(kind) = foreign_bytes(&start) {
            return Err(refused(path, kind));
        }
        let encoding = options.encoding.as_deref().map(encoding).transpose()?;
        let mut text = Text::new(reader, path, encoding)?;
        let mut buffer = Buffer::default();
        buffer.fill(&mut text, SAMPLE)?;
        if let Some(kind) = foreign_text(&buffer.text) {
            return Err(refused(path, kind));
        }
        let guess = text
            .guessed_encoding
            .map(|name| format!("the file is no UTF-8: taken for {name} (data.encoding)"));
        let mut records = if is_arff(&buffer.text) {
            open_arff(text, buffer, path)?
        } else {
            buffer.fill_lines(&mut text)?;
            let sample = buffer.sample();
            let is_all = buffer.is_all && sample.len() == buffer.text.len();
            let (layout, splitter, at) = layout(sample, is_all, path, options)?;
            buffer.at = at;
            Self::new(TextRows { text, buffer, splitter }, layout, path, Vec::new())
        };
        records.layout.notices.extend(guess);
        Ok(records)
    }

    pub(crate) fn new(rows: TextRows, layout: Layout, path: &Path, listed: Vec<usize>) -> Self {
        Self { rows, layout, path: path.to_owned(), listed }
    }

    /// The same rows, whose columns are called `names` where they have no names and are as many.
    #[must_use]
    pub fn called(mut self, names: &[String]) -> Self {
        if !self.layout.has_names() && self.layout.names.len() == names.len() {
            self.layout.notices.extend(self.layout.matched_by_place());
            self.layout.names = names.to_vec();
            self.layout.is_named = vec![true; names.len()];
        }
        self
    }

    /// How the table is written, and its columns.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Columns whose values the file itself lists (ARFF's nominal attributes).
    #[must_use]
    pub fn listed(&self) -> &[usize] {
        &self.listed
    }

    /// Reads the next row into `record`, as many cells as there are columns; false when there is none.
    ///
    /// # Errors
    /// Where the file cannot be read further. A row of another length is none: see [`Records::check`].
    pub fn next(&mut self, record: &mut Record) -> Result<bool, TableError> {
        if !self.rows.next(record)? {
            return Ok(false);
        }
        let width = self.layout.names.len();
        if record.len() == width + 1 && record.cell(width).is_empty() {
            record.truncate(width);
        }
        Ok(true)
    }

    /// Nothing, if `record` has a cell for every column.
    ///
    /// # Errors
    /// A message about the row, if not.
    pub fn check(&self, record: &Record) -> Result<(), TableError> {
        let width = self.layout.names.len();
        if record.len() == width {
            return Ok(());
        }
        let expected = format!("{width} cells, one for each column");
        let fault = Fault::new(&self.path, expected, record.len().to_string());
        Err(TableError::unfit("ragged row", fault.place(format!("line {}", record.line()))))
    }

    /// Bytes of text that have been taken apart so far.
    #[must_use]
    pub fn consumed(&self) -> u64 {
        self.rows.buffer.drained + self.rows.buffer.at as u64
    }

    /// What has been read, once there is no further row.
    #[must_use]
    pub fn content(&self) -> Content {
        self.rows.buffer.content.clone()
    }
}

/// Text that has been read and not yet taken apart.
#[derive(Default)]
pub(crate) struct Buffer {
    pub(crate) text: String,
    pub(crate) at: usize,
    pub(crate) is_all: bool,
    pub(crate) content: Content,
    /// Bytes that are no longer in the text.
    drained: u64,
}

impl Buffer {
    /// Reads until at least `length` bytes are there, or all.
    pub(crate) fn fill(&mut self, text: &mut Text, length: usize) -> Result<(), TableError> {
        while !self.is_all && self.text.len() < length {
            match text.next()? {
                Next::Text(more) if self.text.is_empty() => self.text = more,
                Next::Text(more) => self.text.push_str(&more),
                Next::End(content) => {
                    self.is_all = true;
                    self.content = content;
                }
            }
        }
        Ok(())
    }

    /// What follows is read in place of what has been taken apart.
    pub(crate) fn advance(&mut self, text: &mut Text) -> Result<(), TableError> {
        self.text.drain(..self.at);
        self.drained += self.at as u64;
        self.at = 0;
        // At least as much again: a long row is not scanned from its beginning for every block.
        let length = self.text.len() * 2 + 1;
        self.fill(text, length)
    }

    /// Reads until the sample has enough lines to tell how they are written.
    fn fill_lines(&mut self, text: &mut Text) -> Result<(), TableError> {
        let (mut lines, mut seen) = (0, 0);
        while !self.is_all && self.text.len() < LONGEST_SAMPLE {
            lines += memchr::memchr2_iter(b'\n', b'\r', &self.text.as_bytes()[seen..]).count();
            if lines >= SAMPLE_LINES {
                break;
            }
            seen = self.text.len();
            self.fill(text, seen * 2)?;
        }
        Ok(())
    }

    /// The text that is looked at: some, and ten lines at least.
    fn sample(&self) -> &str {
        let mut ends = memchr::memchr2_iter(b'\n', b'\r', self.text.as_bytes());
        let lines = ends.nth(SAMPLE_LINES - 1).map_or(self.text.len(), |at| at + 1);
        let mut end = SAMPLE.max(lines).min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        &self.text[..end]
    }
}

/// Rows from text.
pub(crate) struct TextRows {
    pub(crate) text: Text,
    pub(crate) buffer: Buffer,
    pub(crate) splitter: Splitter,
}

impl TextRows {
    /// Reads the next row into `record`; false when there is none.
    fn next(&mut self, record: &mut Record) -> Result<bool, TableError> {
        loop {
            let Buffer { text, at, is_all, .. } = &self.buffer;
            match self.splitter.scan(text, *at, *is_all, record)? {
                Scan::Row(next) => {
                    self.buffer.at = next;
                    return Ok(true);
                }
                Scan::End => return Ok(false),
                Scan::Unfinished => self.buffer.advance(&mut self.text)?,
            }
        }
    }
}

fn encoding(label: &str) -> Result<&'static Encoding, TableError> {
    Encoding::for_label(label.trim().as_bytes()).ok_or_else(|| {
        let expected = "a name such as \"utf-8\", \"utf-16le\", \"windows-1252\" or \"shift_jis\"";
        TableError::unfit("unknown encoding", Fault::in_key("data.encoding", expected, quoted(label)))
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use super::*;

    #[test]
    fn columns_are_found_by_name_and_by_place() {
        let names = ["id", "Class", "class", "-1", "Weight"].map(str::to_owned);
        let name = |text: &str| ColumnRef::Name(text.to_owned()).find(&names);
        assert_eq!(
            (name("class"), name("Class"), name("weight "), name("CLASS")),
            (Some(2), Some(1), Some(4), None)
        );
        let place = |place: i64| ColumnRef::Place(place).find(&names);
        assert_eq!((place(1), place(5), place(-5), place(-1)), (Some(0), Some(4), Some(0), Some(3)));
        for out in [0, 6, -6, i64::MAX, i64::MIN] {
            assert_eq!(place(out), None, "{out}");
        }
    }

    fn rows(mut records: Records) -> Vec<Vec<String>> {
        let (mut record, mut rows) = (Record::default(), Vec::new());
        while records.next(&mut record).unwrap() {
            records.check(&record).unwrap();
            rows.push(record.cells().map(str::to_owned).collect());
        }
        rows
    }

    fn read(bytes: Vec<u8>) -> Result<Records, TableError> {
        Records::read(Box::new(Cursor::new(bytes)), Path::new("t"), &ReadOptions::default())
    }

    #[test]
    fn gzip_is_known_by_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"a,b\n1,x\n2,y\n").unwrap();
        let bytes = encoder.finish().unwrap();
        let options = ReadOptions::default();
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(rows(Records::open(&path, &options).unwrap()), [["1", "x"], ["2", "y"]]);
        std::fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
        let message = Records::open(&path, &options).err().unwrap().to_string();
        assert!(message.starts_with("damaged gzip file"), "{message}");
        std::fs::write(&path, b"\x1f\x8bno gzip").unwrap();
        let message = Records::open(&path, &options).err().unwrap().to_string();
        assert!(message.starts_with("damaged gzip file"), "{message}");
    }

    #[test]
    fn rows_may_be_longer_than_what_is_looked_at() {
        let wide = |first: &str| format!("{first},{}\n", vec!["0.123456789"; 40_000].join(","));
        let text = format!("{}{}", wide("a"), wide("b"));
        let records = read(text.into_bytes()).unwrap();
        assert_eq!(records.layout().names.len(), 40_001);
        assert_eq!(rows(records).len(), 2);
    }

    #[test]
    fn other_encodings_are_noticed() {
        let records = read(b"gr\xf6\xdfe,k\n1,x\n2,y\n".to_vec()).unwrap();
        assert_eq!(records.layout().names, ["größe", "k"]);
        assert_eq!(
            records.layout().notices,
            ["the file is no UTF-8: taken for windows-1252 (data.encoding)"]
        );
        let options = ReadOptions { encoding: Some("utf-7".to_owned()), ..ReadOptions::default() };
        let message = Records::read(Box::new(Cursor::new(b"a,b\n".to_vec())), Path::new("t"), &options);
        assert!(message.err().unwrap().to_string().starts_with("unknown encoding: data.encoding"));
    }

    #[test]
    fn what_is_no_table_is_called_by_its_name() {
        for (bytes, wanted) in [
            (&b"PAR1\x15\x04"[..], "a Parquet file; write it as CSV"),
            (b"PK\x03\x04abcd", "a ZIP archive or a"),
            (b"<!DOCTYPE html><p>", "a page of HTML"),
            (b"<?xml version='1.0'?>", "an XML document"),
            (b"{\"a\": 1}\n{\"a\": 2}\n", "JSON; write it as CSV"),
            (b"[{\"a\": 1}]", "JSON; write it as CSV"),
            (b"+1 1:0.5 3:1\n-1 2:1\n", "a LIBSVM file"),
        ] {
            let message = read(bytes.to_vec()).err().unwrap().to_string();
            assert!(message.starts_with("no table: t: expected") && message.contains(wanted), "{message}");
        }
    }
}
