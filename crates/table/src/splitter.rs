//! Splits text into cells and rows.

use std::path::PathBuf;

use memchr::{memchr2, memchr3};

use crate::{Dialect, Mismatch, Record, Separator, TableError};

/// The maximum length of a row in bytes. An unclosed quote would turn the rest of the file into one row.
const LONGEST_ROW: usize = 64 << 20;
/// The end-of-file mark that DOS programs append.
const DOS_END: u8 = 0x1a;

/// Splits text into rows. Counts lines like an editor: `\n`, `\r\n` and `\r` each end a line.
#[derive(Debug)]
pub(crate) struct Splitter {
    separator: Separator,
    single_quotes: bool,
    /// Whether `\` escapes a quote.
    escapes: bool,
    comment: Option<u8>,
    path: PathBuf,
    line: u64,
}

/// The result of a scan.
pub(crate) enum Scan {
    /// A row was read; the next one begins at this byte.
    Row(usize),
    /// The text ends within the row.
    Unfinished,
    /// There are no more rows.
    End,
}

/// How a cell ends; a number is the byte after it.
enum CellEnd {
    Separator(usize),
    Line(usize),
    Text,
    /// Its opening quote is not closed at the end of a cell.
    Quoted,
}

impl Splitter {
    pub(crate) fn new(dialect: &Dialect, path: impl Into<PathBuf>) -> Self {
        Self {
            separator: dialect.separator,
            single_quotes: dialect.single_quotes,
            escapes: false,
            comment: dialect.comment.and_then(|comment| u8::try_from(comment).ok()),
            path: path.into(),
            line: 1,
        }
    }

    /// Lets `\` escape quotes.
    pub(crate) fn with_escapes(self) -> Self {
        Self { escapes: true, ..self }
    }

    /// Counts `lines` that precede the scanned text.
    pub(crate) fn skip_lines(&mut self, lines: u64) {
        self.line += lines;
    }

    /// Reads the row at byte `at` of `text` into `record`. `is_all` says that no more text follows. Fails for an unclosed quote
    /// and for a row over 64 MiB.
    pub(crate) fn scan(
        &mut self,
        text: &str,
        at: usize,
        is_all: bool,
        record: &mut Record,
    ) -> Result<Scan, TableError> {
        let bytes = text.as_bytes();
        let (mut at, mut line) = (at, self.line);
        // Skip blank lines and comments.
        loop {
            let start = skip_blanks(bytes, at, self.separator);
            match bytes.get(start) {
                None if is_all => return Ok(Scan::End),
                None => return Ok(Scan::Unfinished),
                Some(&DOS_END) if start + 1 == bytes.len() => {
                    return Ok(if is_all { Scan::End } else { Scan::Unfinished });
                }
                Some(b'\n' | b'\r') => match line_end(bytes, start, is_all) {
                    Some(next) => at = next,
                    None => return Ok(Scan::Unfinished),
                },
                Some(&byte) if Some(byte) == self.comment => {
                    let end = memchr2(b'\n', b'\r', &bytes[start..]).map(|length| start + length);
                    match end.and_then(|end| line_end(bytes, end, is_all)) {
                        Some(next) => at = next,
                        None if is_all => return Ok(Scan::End),
                        None => return Ok(Scan::Unfinished),
                    }
                }
                Some(_) => break,
            }
            line += 1;
        }
        record.begin(line);
        let start = at;
        loop {
            let (after, lines) = self.cell(text, at, is_all, record);
            let first = line;
            line += lines;
            match after {
                // Otherwise the cell would silently swallow the rows below.
                Some(CellEnd::Quoted) if lines > 0 => return Err(self.unclosed(first)),
                Some(CellEnd::Separator(next)) => at = next,
                Some(CellEnd::Line(next)) => {
                    self.line = line + 1;
                    return Ok(Scan::Row(next));
                }
                Some(CellEnd::Text | CellEnd::Quoted) => {
                    self.line = line;
                    return Ok(Scan::Row(bytes.len()));
                }
                None if bytes.len() - start > LONGEST_ROW => return Err(self.too_long(record.line())),
                None => return Ok(Scan::Unfinished),
            }
        }
    }

    /// Reads one cell into `record`. Returns its end, `None` if the text ends first, and the number of line ends in it.
    fn cell(&self, text: &str, at: usize, is_all: bool, record: &mut Record) -> (Option<CellEnd>, u64) {
        let bytes = text.as_bytes();
        let mut at = skip_blanks(bytes, at, self.separator);
        let mut lines = 0;
        let mut is_quoted = false;
        if let Some(&quote) = bytes.get(at).filter(|&&byte| self.is_quote(byte)) {
            at += 1;
            loop {
                let Some(length) = memchr3(quote, b'\n', b'\r', &bytes[at..]) else {
                    record.push_part(&text[at..]);
                    record.end_cell(false);
                    return (is_all.then_some(CellEnd::Quoted), lines);
                };
                let found = at + length;
                if bytes[found] != quote {
                    let Some(next) = line_end(bytes, found, is_all) else { return (None, lines) };
                    lines += 1;
                    record.push_part(&text[at..next]);
                    at = next;
                    continue;
                }
                if self.escapes && is_escaped(&bytes[at..found]) {
                    record.push_part(&text[at..found - 1]);
                    record.push_part(&text[found..=found]);
                    at = found + 1;
                    continue;
                }
                record.push_part(&text[at..found]);
                match bytes.get(found + 1) {
                    None if !is_all => return (None, lines),
                    Some(&next) if next == quote => {
                        record.push_part(&text[found..=found]);
                        at = found + 2;
                    }
                    _ => {
                        at = found + 1;
                        break;
                    }
                }
            }
            if self.separator != Separator::Blanks {
                at = skip_blanks(bytes, at, self.separator);
            }
            is_quoted = true;
        }
        let rest = &bytes[at..];
        let length = match self.separator {
            Separator::Blanks => rest.iter().position(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')),
            separator => memchr3(separator.byte(), b'\n', b'\r', rest),
        };
        let Some(length) = length else {
            record.push_part(&text[at..]);
            if !is_all {
                return (None, lines);
            }
            record.end_cell(!is_quoted || !rest.is_empty());
            return (
                Some(if lines > 0 && !rest.is_empty() { CellEnd::Quoted } else { CellEnd::Text }),
                lines,
            );
        };
        let mut found = at + length;
        // Text after a closing quote, as in "a"b, is part of the cell.
        record.push_part(&text[at..found]);
        record.end_cell(!is_quoted || length > 0);
        if lines > 0 && length > 0 {
            // The closing quote is the opening quote of a cell in a line below.
            return (Some(CellEnd::Quoted), lines);
        }
        if self.separator == Separator::Blanks {
            found = skip_blanks(bytes, found, self.separator);
            match bytes.get(found) {
                None if is_all => return (Some(CellEnd::Text), lines),
                None => return (None, lines),
                Some(b'\n' | b'\r') => {}
                Some(_) => return (Some(CellEnd::Separator(found)), lines),
            }
        } else if bytes[found] == self.separator.byte() {
            return (Some(CellEnd::Separator(found + 1)), lines);
        }
        (line_end(bytes, found, is_all).map(CellEnd::Line), lines)
    }

    fn is_quote(&self, byte: u8) -> bool {
        byte == b'"' || (byte == b'\'' && self.single_quotes)
    }

    fn unclosed(&self, line: u64) -> TableError {
        let found = "one that is still open at the end of its line";
        let mismatch = Mismatch::new(&self.path, "a closed quote", found).place(format!("line {line}"));
        let remedy = "close it, or double it if it is part of the cell: \"5\"\" disk\"; download the file again if it is \
                      truncated";
        TableError::unfit("open quote", mismatch.remedy(remedy))
    }

    fn too_long(&self, line: u64) -> TableError {
        let found = "a longer one";
        let mismatch = Mismatch::new(&self.path, format!("rows of at most {} MiB", LONGEST_ROW >> 20), found)
            .place(format!("line {line}"));
        TableError::unfit("row too long", mismatch.remedy("look for a quote that is never closed"))
    }
}

/// True if the character after `before` is escaped: an odd number of `\` precedes it.
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1
}

/// The first byte from `at` on that is not a blank. A tab is a blank, unless it separates cells.
fn skip_blanks(bytes: &[u8], mut at: usize, separator: Separator) -> usize {
    while let Some(b' ' | b'\t') = bytes.get(at) {
        if bytes[at] == b'\t' && separator == Separator::Tab {
            break;
        }
        at += 1;
    }
    at
}

/// The byte after the line end at `at`; `None` if the text ends in a `\r` that a `\n` may follow.
fn line_end(bytes: &[u8], at: usize, is_all: bool) -> Option<usize> {
    match (bytes[at], bytes.get(at + 1)) {
        (b'\n', _) => Some(at + 1),
        (_, Some(b'\n')) => Some(at + 2),
        (_, Some(_)) => Some(at + 1),
        (_, None) => is_all.then_some(at + 1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Rows and the lines on which they begin, if the text arrives in pieces of `piece` bytes.
    fn rows(dialect: &Dialect, text: &str, piece: usize) -> Vec<(u64, Vec<String>)> {
        let mut splitter = Splitter::new(dialect, "t.csv");
        let (mut rows, mut record, mut at, mut known) = (Vec::new(), Record::default(), 0, 0);
        loop {
            let is_all = known == text.len();
            let scan = splitter.scan(&text[..known], at, is_all, &mut record);
            match scan.unwrap_or_else(|error| {
                rows.push((0, vec![error.to_string()]));
                Scan::End
            }) {
                Scan::Row(next) => {
                    at = next;
                    rows.push((record.line(), record.cells().map(str::to_owned).collect()));
                }
                Scan::Unfinished => {
                    known = (known + piece).min(text.len());
                    while !text.is_char_boundary(known) {
                        known += 1;
                    }
                }
                Scan::End => return rows,
            }
        }
    }

    fn cells(dialect: &Dialect, text: &str) -> Vec<(u64, Vec<String>)> {
        rows(dialect, text, usize::MAX / 2)
    }

    fn row(line: u64, cells: &[&str]) -> (u64, Vec<String>) {
        (line, cells.iter().map(|&cell| cell.to_owned()).collect())
    }

    #[test]
    fn lines_are_counted_as_an_editor_counts_them() {
        for end in ["\n", "\r\n", "\r"] {
            let text = "a,b\n\n  \n1,\"two\nlines\"\n3,4".replace('\n', end);
            let lines: Vec<u64> = cells(&Dialect::plain(), &text).into_iter().map(|(line, _)| line).collect();
            assert_eq!(lines, [1, 4, 6], "{end:?}");
        }
    }

    #[test]
    fn quotes_and_blanks_around_cells_are_removed() {
        let found = cells(&Dialect::plain(), " a , \"b, \"\"c\"\" \" ,\"d\"e,'f'\n,,\"\",\n");
        assert_eq!(found, [row(1, &["a", "b, \"c\" ", "de", "'f'"]), row(2, &["", "", "", ""])]);
        let single = Dialect { single_quotes: true, ..Dialect::plain() };
        assert_eq!(cells(&single, "'it''s','a,b'"), [row(1, &["it's", "a,b"])]);
        assert_eq!(cells(&Dialect::plain(), "a,\"never closed"), [row(1, &["a", "never closed"])]);
        let blanks = Dialect { separator: Separator::Blanks, ..Dialect::plain() };
        assert_eq!(cells(&blanks, "\"a b\" \"c\"  d \"\"\n"), [row(1, &["a b", "c", "d", ""])]);
    }

    #[test]
    fn a_quote_that_would_swallow_rows_is_an_error() {
        let found = cells(&Dialect::plain(), "a,b\n1,\"2\n3,4\n");
        assert_eq!(found[0], row(1, &["a", "b"]));
        assert!(found[1].1[0].starts_with("open quote: t.csv, line 2: expected a closed quote"), "{found:?}");
    }

    #[test]
    fn the_end_mark_of_a_dos_file_is_not_a_row() {
        assert_eq!(cells(&Dialect::plain(), "a\r\nb\r\n\u{1a}"), [row(1, &["a"]), row(2, &["b"])]);
        assert_eq!(cells(&Dialect::plain(), "\u{1a}\nb"), [row(1, &["\u{1a}"]), row(2, &["b"])]);
    }

    #[test]
    fn a_backslash_escapes_quotes_on_request() {
        let dialect = Dialect { single_quotes: true, ..Dialect::plain() };
        let mut splitter = Splitter::new(&dialect, "t.arff").with_escapes();
        let mut record = Record::default();
        splitter.scan(r"'can\'t, won\'t','\\',a\'b", 0, true, &mut record).unwrap();
        assert_eq!(record.cells().collect::<Vec<_>>(), ["can't, won't", r"\\", r"a\'b"]);
    }

    #[test]
    fn blanks_separate_cells_and_comments_are_skipped() {
        let dialect = Dialect { separator: Separator::Blanks, comment: Some('%'), ..Dialect::plain() };
        assert_eq!(
            cells(&dialect, "% title\n  1 \t 2  \n3 \"4 5\"\n% end"),
            [row(2, &["1", "2"]), row(3, &["3", "4 5"])]
        );
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_make_the_same_rows(text in "[a\"', \r\n;é\t]{0,60}", piece in 1_usize..9, kind in 0_usize..5) {
            let dialect = Dialect { separator: Separator::ALL[kind], single_quotes: true, ..Dialect::plain() };
            prop_assert_eq!(rows(&dialect, &text, piece), cells(&dialect, &text));
        }

        #[test]
        fn plain_rows_are_read_as_they_were_written(table in proptest::collection::vec(proptest::collection::vec("[a-z\"\n,']{1,5}", 2..4), 1..6)) {
            let text = String::from_utf8(kiln_files::csv_text(table.clone())).unwrap();
            let read: Vec<Vec<String>> = cells(&Dialect::plain(), &text).into_iter().map(|(_, row)| row).collect();
            prop_assert_eq!(read, table);
        }
    }
}
