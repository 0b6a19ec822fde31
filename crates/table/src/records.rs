//! The rows of a table.

use std::io::Read;
use std::path::{Path, PathBuf};

use encoding_rs::Encoding;

use crate::input::{self, Content, Next, Text, read_fully};
use crate::layout::{Layout, layout};
use crate::packed::packed;
use crate::splitter::{Scan, Splitter};
use crate::words::quoted;
use crate::{Fault, ReadOptions, Record, TableError, arff, foreign};

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
        if let Some(kind) = foreign::of_bytes(&start) {
            return Err(foreign::refused(path, kind));
        }
        let encoding = options.encoding.as_deref().map(encoding).transpose()?;
        let mut text = Text::new(reader, path, encoding)?;
        let mut buffer = Buffer::default();
        buffer.fill(&mut text, SAMPLE)?;
        if let Some(kind) = foreign::of_text(&buffer.text) {
            return Err(foreign::refused(path, kind));
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
mod tests;
