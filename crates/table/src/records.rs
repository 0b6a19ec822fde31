//! The rows of a table, whatever its format.

use std::io::Read;
use std::path::{Path, PathBuf};

use encoding_rs::Encoding;

use crate::input::{self, Content, Next, Text, read_fully};
use crate::layout::{Layout, layout};
use crate::splitter::{Scan, Splitter};
use crate::words::quoted;
use crate::{Fault, ReadOptions, Record, TableError, arff};

/// Text that is looked at to find out how a table is written.
const SAMPLE: usize = 256 << 10;
/// Lines that the sample has at least, where the file has as many: rows may be long.
const SAMPLE_LINES: usize = 10;
/// The most text that is looked at.
const LONGEST_SAMPLE: usize = 32 << 20;

/// A source of rows.
pub(crate) trait Rows: Send {
    /// Reads the next row into `record`; false when there is none.
    fn next(&mut self, record: &mut Record) -> Result<bool, TableError>;

    /// Bytes of text that have been taken apart.
    fn consumed(&self) -> u64;

    /// What has been read, once there is no further row.
    fn content(&self) -> Content;
}

/// The rows of data of a table, one after another.
pub struct Records {
    rows: Box<dyn Rows>,
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
        if let Some(kind) = foreign(&start) {
            return Err(no_table(path, kind));
        }
        let encoding = options.encoding.as_deref().map(encoding).transpose()?;
        let mut text = Text::new(reader, path, encoding)?;
        let mut buffer = Buffer::default();
        buffer.fill(&mut text, SAMPLE)?;
        if let Some(kind) = foreign_text(&buffer.text) {
            return Err(no_table(path, kind));
        }
        let guess = text
            .guessed_encoding
            .map(|name| format!("the file is no UTF-8: taken for {name} (data.encoding)"));
        let mut records = if arff::is_arff(&buffer.text) {
            arff::open(text, buffer, path)?
        } else {
            buffer.fill_lines(&mut text)?;
            let sample = buffer.sample();
            let is_all = buffer.is_all && sample.len() == buffer.text.len();
            let (layout, splitter, at) = layout(sample, is_all, path, options)?;
            buffer.at = at;
            let rows = Box::new(TextRows { text, buffer, splitter });
            Self::new(rows, layout, path, Vec::new())
        };
        records.layout.notices.extend(guess);
        Ok(records)
    }

    pub(crate) fn new(rows: Box<dyn Rows>, layout: Layout, path: &Path, listed: Vec<usize>) -> Self {
        Self { rows, layout, path: path.to_owned(), listed }
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
        self.rows.consumed()
    }

    /// What has been read, once there is no further row.
    #[must_use]
    pub fn content(&self) -> Content {
        self.rows.content()
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

impl Rows for TextRows {
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

    fn consumed(&self) -> u64 {
        self.buffer.drained + self.buffer.at as u64
    }

    fn content(&self) -> Content {
        self.buffer.content.clone()
    }
}

fn encoding(label: &str) -> Result<&'static Encoding, TableError> {
    Encoding::for_label(label.trim().as_bytes()).ok_or_else(|| {
        let expected = "a name such as \"utf-8\", \"utf-16le\", \"windows-1252\" or \"shift_jis\"";
        TableError::unfit("unknown encoding", Fault::in_key("data.encoding", expected, quoted(label)))
    })
}

/// The bytes of a table as text: those of a workbook or a Parquet file are made text first, where the program can. `start`
/// is what has been read of `rest`; it becomes the beginning of the text.
#[cfg_attr(
    not(any(feature = "excel", feature = "parquet")),
    expect(
        unused_variables,
        clippy::unnecessary_wraps,
        clippy::ptr_arg,
        reason = "nothing is made text in this build"
    )
)]
fn packed(
    start: &mut Vec<u8>,
    rest: Box<dyn Read + Send>,
    path: &Path,
) -> Result<Box<dyn Read + Send>, TableError> {
    let whole = std::io::Cursor::new(start.clone()).chain(rest);
    #[cfg(feature = "excel")]
    if start.starts_with(ZIP) || start.starts_with(OLD_OFFICE) {
        let (mut whole, mut bytes) = (whole, Vec::new());
        whole.read_to_end(&mut bytes).map_err(|error| input::read_error(path, error))?;
        start.clear();
        return Ok(Box::new(std::io::Cursor::new(crate::excel::as_csv(bytes, path)?)));
    }
    #[cfg(feature = "parquet")]
    if start.starts_with(PARQUET) && path.is_file() {
        start.clear();
        return crate::parquet_file::as_csv(path);
    }
    Ok(Box::new(whole))
}

/// What archives, and Excel's workbooks, begin with.
const ZIP: &[u8] = b"PK\x03\x04";
/// What Excel's older workbooks begin with.
const OLD_OFFICE: &[u8] = &[0xd0, 0xcf, 0x11, 0xe0];
/// What Parquet files begin with.
const PARQUET: &[u8] = b"PAR1";

/// What a file that begins so is, if it is no table.
fn foreign(start: &[u8]) -> Option<&'static str> {
    Some(match start {
        start if start.starts_with(PARQUET) => {
            "a Parquet file; write it as CSV, or build the program with the feature \"parquet\""
        }
        start if start.starts_with(ZIP) => {
            "a ZIP archive or an Excel file; unpack it, save its sheet as CSV, or build the program with the feature \
             \"excel\""
        }
        start if start.starts_with(OLD_OFFICE) => {
            "an Excel file; save its sheet as CSV, or build the program with the feature \"excel\""
        }
        [b'%', b'P', b'D', b'F', ..] => "a PDF document",
        [0x89, b'P', b'N', b'G', ..] | [0xff, 0xd8, 0xff, ..] | [b'G', b'I', b'F', b'8', ..] => {
            "a picture; pictures are read by source \"image-folder\""
        }
        [b'B', b'Z', b'h', ..] => "a bzip2 file; unpack it first",
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "an xz file; unpack it first",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "a Zstandard file; unpack it first",
        [b'S', b'Q', b'L', b'i', b't', b'e', ..] => "an SQLite database; export the table as CSV",
        _ => return None,
    })
}

/// What a text that begins so is, if it is no table.
fn foreign_text(text: &str) -> Option<&'static str> {
    let start = text.trim_start();
    let lower: String = start.chars().take(15).collect::<String>().to_ascii_lowercase();
    if lower.starts_with("<!doctype html") || lower.starts_with("<html") {
        return Some("a page of HTML, perhaps an error in place of a download");
    }
    if lower.starts_with("<?xml") {
        return Some("an XML document");
    }
    let line = start.lines().next().unwrap_or("").trim_end();
    if (line.starts_with('{') && line.ends_with('}') && line.contains("\":"))
        || start.starts_with("[{")
        || line == "{"
        || line == "["
    {
        return Some("JSON; write it as CSV");
    }
    let is_pair = |word: &str| {
        word.split_once(':')
            .is_some_and(|(index, value)| index.parse::<u32>().is_ok() && value.parse::<f64>().is_ok())
    };
    let mut words = line.split_whitespace();
    let has_label = words.next().is_some_and(|word| word.parse::<f64>().is_ok());
    let pairs = words.clone().count();
    if has_label && pairs > 0 && words.all(is_pair) {
        return Some("a LIBSVM file; write it as CSV");
    }
    None
}

fn no_table(path: &Path, kind: &'static str) -> TableError {
    let (found, remedy) = kind.split_once("; ").unwrap_or((kind, ""));
    TableError::unfit("no table", Fault::new(path, "the rows of a table as text", found).remedy(remedy))
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use super::*;

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
            (b"PK\x03\x04abcd", "a ZIP archive or an Excel file"),
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
