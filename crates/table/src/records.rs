//! Reads a table row by row.
//!
//! [`ReadOptions`] is what the user states about a table, [`Records`] opens it, and a [`Record`] is one row of text.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use encoding_rs::Encoding;

use crate::file_formats::{foreign_bytes, foreign_text, is_arff, not_a_table, open_arff, to_text};
use crate::input::{self, Chunk, TextStream, read_fully};
use crate::layout::detect_layout;
use crate::splitter::{Scan, Splitter};
use crate::{Content, Layout, Mismatch, Separator, TableError, quoted};

/// How to read a table. Everything that is not set is detected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// The column with the class.
    pub label: Option<ColumnRef>,
    /// Whether the first row names the columns.
    pub header: Option<bool>,
    /// The names of the columns, from left to right.
    pub names: Vec<String>,
    /// The names that a header would contain, if they are known. They make the detection of a header reliable.
    pub known: Vec<String>,
    /// The separator between cells.
    pub separator: Option<Separator>,
    /// A label of the WHATWG encoding standard, such as `windows-1252`.
    pub encoding: Option<String>,
    /// Additional words for a missing value; see [`is_missing`](crate::is_missing).
    pub missing: Vec<String>,
    /// Columns whose cells are kept as text, even if they are numbers. `*` means every column.
    pub as_text: Vec<String>,
}

/// A column, by name or position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnRef {
    /// The name in the header.
    Name(String),
    /// 1 is the first column, -1 the last.
    Position(i64),
}

impl ColumnRef {
    /// The index of the column among `names`. A position first matches a column whose name is that number.
    #[must_use]
    pub fn find(&self, names: &[String]) -> Option<usize> {
        match self {
            Self::Name(name) => names.iter().position(|other| other == name).or_else(|| {
                let mut alike = (0..names.len()).filter(|&at| names[at].eq_ignore_ascii_case(name.trim()));
                alike.next().filter(|_| alike.next().is_none())
            }),
            Self::Position(position) => {
                let name = position.to_string();
                let count = i64::try_from(names.len()).unwrap_or(i64::MAX);
                names.iter().position(|other| *other == name).or_else(|| match *position {
                    position @ 1.. if position <= count => Some((position - 1) as usize),
                    position @ ..=-1 if position >= -count => Some((count + position) as usize),
                    _ => None,
                })
            }
        }
    }

    /// True if one of `cells` is the name of this column.
    pub(crate) fn is_named_in<'a>(&self, mut cells: impl Iterator<Item = &'a str>) -> bool {
        match self {
            Self::Name(name) => cells.any(|cell| cell.trim().eq_ignore_ascii_case(name.trim())),
            Self::Position(_) => false,
        }
    }
}

impl fmt::Display for ColumnRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(&quoted(name)),
            Self::Position(position) => write!(f, "number {position}"),
        }
    }
}

/// One row as text. All cells share one buffer, which the next row reuses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    line: u64,
    text: String,
    ends: Vec<usize>,
}

impl Record {
    /// The line of the file on which the row begins, from 1. In a workbook, the row of the sheet.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The number of cells.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True if there are no cells.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The cell at `column`, from 0; empty if the row is too short.
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

    /// The length of all cells in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Clears the record for a row that begins on `line`.
    pub(crate) fn begin(&mut self, line: u64) {
        self.line = line;
        self.text.clear();
        self.ends.clear();
    }

    /// Appends `text` to the current cell.
    pub(crate) fn push_part(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Ends the current cell; removes blanks at its end if `trims`.
    pub(crate) fn end_cell(&mut self, trims: bool) {
        if trims {
            let start = self.ends.last().copied().unwrap_or(0);
            let length = self.text[start..].trim_end().len();
            self.text.truncate(start + length);
        }
        self.ends.push(self.text.len());
    }

    /// Removes cells at the end until `length` are left.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.ends.truncate(length);
        self.text.truncate(self.ends.last().copied().unwrap_or(0));
    }
}

/// The length in bytes of the sample from which the layout is detected.
const SAMPLE: usize = 256 << 10;
/// The minimum number of lines in the sample, if the file has as many: rows may be long.
const SAMPLE_LINES: usize = 10;
/// The maximum length of the sample in bytes.
const LONGEST_SAMPLE: usize = 32 << 20;

/// The data rows of a table, read one by one.
pub struct Records {
    rows: TextRows,
    layout: Layout,
    path: PathBuf,
    /// Columns whose values the file itself lists; these are categories, even if they are numbers.
    listed: Vec<usize>,
}

impl Records {
    /// Opens the table at `path`; `-` is standard input.
    pub fn open(path: &Path, options: &ReadOptions) -> Result<Self, TableError> {
        Self::read(input::open(path)?, path, options)
    }

    /// Reads the table in the bytes of `reader`. `path` is for messages.
    pub fn read(
        mut reader: Box<dyn Read + Send>,
        path: &Path,
        options: &ReadOptions,
    ) -> Result<Self, TableError> {
        let mut start = vec![0; 8];
        let length = read_fully(&mut *reader, &mut start).map_err(|error| input::read_error(path, error))?;
        start.truncate(length);
        let reader = to_text(&mut start, reader, path)?;
        if let Some(kind) = foreign_bytes(&start) {
            return Err(not_a_table(path, kind));
        }
        let encoding = options.encoding.as_deref().map(encoding).transpose()?;
        let mut text = TextStream::new(reader, path, encoding)?;
        let mut buffer = Buffer::default();
        buffer.fill(&mut text, SAMPLE)?;
        if let Some(kind) = foreign_text(&buffer.text) {
            return Err(not_a_table(path, kind));
        }
        let guess = text.guessed_encoding.map(|name| {
            format!("the file is not UTF-8; it is read as {name} (data.encoding sets another encoding)")
        });
        let mut records = if is_arff(&buffer.text) {
            open_arff(text, buffer, path)?
        } else {
            buffer.fill_lines(&mut text)?;
            let sample = buffer.sample();
            let is_all = buffer.is_all && sample.len() == buffer.text.len();
            let (layout, splitter, at) = detect_layout(sample, is_all, path, options)?;
            buffer.at = at;
            Self::new(TextRows { text, buffer, splitter }, layout, path, Vec::new())
        };
        records.layout.notices.extend(guess);
        Ok(records)
    }

    pub(crate) fn new(rows: TextRows, layout: Layout, path: &Path, listed: Vec<usize>) -> Self {
        Self { rows, layout, path: path.to_owned(), listed }
    }

    /// Gives the columns these `names`, if they have none and the numbers agree.
    #[must_use]
    pub fn called(mut self, names: &[String]) -> Self {
        if !self.layout.has_names() && self.layout.names.len() == names.len() {
            self.layout.notices.extend(self.layout.matched_by_position());
            self.layout.names = names.to_vec();
            self.layout.is_named = vec![true; names.len()];
        }
        self
    }

    /// Dialect and columns of the table.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Columns whose values the file itself lists: the nominal attributes of ARFF.
    #[must_use]
    pub fn listed(&self) -> &[usize] {
        &self.listed
    }

    /// Reads the next row into `record`; false at the end. A row of wrong length is not an error here, but in
    /// [`Records::check`]. An empty cell after the last column is dropped.
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

    /// Fails unless `record` has one cell per column.
    pub fn check(&self, record: &Record) -> Result<(), TableError> {
        let width = self.layout.names.len();
        if record.len() == width {
            return Ok(());
        }
        let expected = format!("{width} cells, one for each column");
        let mismatch = Mismatch::new(&self.path, expected, record.len().to_string());
        Err(TableError::unfit("ragged row", mismatch.place(format!("line {}", record.line()))))
    }

    /// The number of bytes of text that have been split into rows.
    #[must_use]
    pub fn consumed(&self) -> u64 {
        self.rows.buffer.drained + self.rows.buffer.at as u64
    }

    /// Size and hash of the file; complete after the last row.
    #[must_use]
    pub fn content(&self) -> Content {
        self.rows.buffer.content.clone()
    }
}

/// Text that has been read but not yet split into rows.
#[derive(Default)]
pub(crate) struct Buffer {
    pub(crate) text: String,
    pub(crate) at: usize,
    pub(crate) is_all: bool,
    pub(crate) content: Content,
    /// The number of bytes that have been removed from the text.
    drained: u64,
}

impl Buffer {
    /// Reads until the text has at least `length` bytes, or to the end of the file.
    pub(crate) fn fill(&mut self, text: &mut TextStream, length: usize) -> Result<(), TableError> {
        while !self.is_all && self.text.len() < length {
            match text.next()? {
                Chunk::Text(more) if self.text.is_empty() => self.text = more,
                Chunk::Text(more) => self.text.push_str(&more),
                Chunk::End(content) => {
                    self.is_all = true;
                    self.content = content;
                }
            }
        }
        Ok(())
    }

    /// Drops the text before `at` and reads more.
    pub(crate) fn advance(&mut self, text: &mut TextStream) -> Result<(), TableError> {
        self.text.drain(..self.at);
        self.drained += self.at as u64;
        self.at = 0;
        // Doubles the text: otherwise a long row would be scanned from its beginning for every block.
        let length = self.text.len() * 2 + 1;
        self.fill(text, length)
    }

    /// Reads until the sample has enough lines to detect their layout.
    fn fill_lines(&mut self, text: &mut TextStream) -> Result<(), TableError> {
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

    /// The sample: a fixed length, but at least ten lines.
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

/// Splits a stream of text into rows.
pub(crate) struct TextRows {
    pub(crate) text: TextStream,
    pub(crate) buffer: Buffer,
    pub(crate) splitter: Splitter,
}

impl TextRows {
    /// Reads the next row into `record`; false at the end.
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
        TableError::unfit("unknown encoding", Mismatch::in_key("data.encoding", expected, quoted(label)))
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use super::*;

    #[test]
    fn columns_are_found_by_name_and_by_position() {
        let names = ["id", "Class", "class", "-1", "Weight"].map(str::to_owned);
        let name = |text: &str| ColumnRef::Name(text.to_owned()).find(&names);
        assert_eq!(
            (name("class"), name("Class"), name("weight "), name("CLASS")),
            (Some(2), Some(1), Some(4), None)
        );
        let position = |position: i64| ColumnRef::Position(position).find(&names);
        assert_eq!(
            (position(1), position(5), position(-5), position(-1)),
            (Some(0), Some(4), Some(0), Some(3))
        );
        for out in [0, 6, -6, i64::MAX, i64::MIN] {
            assert_eq!(position(out), None, "{out}");
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
    fn gzip_is_detected_by_its_bytes() {
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
    fn rows_may_be_longer_than_the_sample() {
        let wide = |first: &str| format!("{first},{}\n", vec!["0.123456789"; 40_000].join(","));
        let text = format!("{}{}", wide("a"), wide("b"));
        let records = read(text.into_bytes()).unwrap();
        assert_eq!(records.layout().names.len(), 40_001);
        assert_eq!(rows(records).len(), 2);
    }

    #[test]
    fn other_encodings_lead_to_a_notice() {
        let records = read(b"gr\xf6\xdfe,k\n1,x\n2,y\n".to_vec()).unwrap();
        assert_eq!(records.layout().names, ["größe", "k"]);
        assert_eq!(
            records.layout().notices,
            ["the file is not UTF-8; it is read as windows-1252 (data.encoding sets another encoding)"]
        );
        let options = ReadOptions { encoding: Some("utf-7".to_owned()), ..ReadOptions::default() };
        let message = Records::read(Box::new(Cursor::new(b"a,b\n".to_vec())), Path::new("t"), &options);
        assert!(message.err().unwrap().to_string().starts_with("unknown encoding: data.encoding"));
    }

    #[test]
    fn other_formats_are_refused_by_name() {
        for (bytes, wanted) in [
            (&b"PAR1\x15\x04"[..], "a Parquet file; write it as CSV"),
            (b"PK\x03\x04abcd", "a ZIP archive or a"),
            (b"<!DOCTYPE html><p>", "an HTML page"),
            (b"<?xml version='1.0'?>", "an XML document"),
            (b"{\"a\": 1}\n{\"a\": 2}\n", "JSON; write it as CSV"),
            (b"[{\"a\": 1}]", "JSON; write it as CSV"),
            (b"+1 1:0.5 3:1\n-1 2:1\n", "a LIBSVM file"),
        ] {
            let message = read(bytes.to_vec()).err().unwrap().to_string();
            assert!(message.starts_with("not a table: t: expected") && message.contains(wanted), "{message}");
        }
    }
}
