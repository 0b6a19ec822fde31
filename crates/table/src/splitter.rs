//! Text to rows: where cells and rows end.

use std::path::PathBuf;

use memchr::{memchr2, memchr3};

use crate::{Fault, Form, Record, Separator, TableError};

/// The most bytes of one row. A quote that is never closed makes one row of all the rest.
const LONGEST_ROW: usize = 64 << 20;
/// What programs for DOS write below the last line.
const DOS_END: u8 = 0x1a;

/// Takes text apart into rows, and counts its lines as an editor does: `\n`, `\r\n` and `\r` each end one.
#[derive(Debug)]
pub(crate) struct Splitter {
    separator: Separator,
    single_quotes: bool,
    /// Whether a quote behind `\` belongs to its cell.
    escapes: bool,
    comment: Option<u8>,
    path: PathBuf,
    line: u64,
}

/// What a scan came to.
pub(crate) enum Scan {
    /// A row; the text goes on at this byte.
    Row(usize),
    /// The row does not end in this text.
    Unfinished,
    /// There is no further row.
    End,
}

/// Where a cell ended.
enum After {
    Separator(usize),
    Line(usize),
    Text,
    /// The quote that opened it is not closed at the end of any cell.
    Quoted,
}

impl Splitter {
    pub(crate) fn new(form: &Form, path: impl Into<PathBuf>) -> Self {
        Self {
            separator: form.separator,
            single_quotes: form.single_quotes,
            escapes: false,
            comment: form.comment.and_then(|comment| u8::try_from(comment).ok()),
            path: path.into(),
            line: 1,
        }
    }

    /// The same, for text in which a quote behind `\` belongs to its cell.
    pub(crate) fn with_escapes(self) -> Self {
        Self { escapes: true, ..self }
    }

    /// Counts `lines` that stand above what is scanned.
    pub(crate) fn skip_lines(&mut self, lines: u64) {
        self.line += lines;
    }

    /// Reads the row that begins at byte `at` of `text` into `record`. `is_all` says that no more text follows.
    ///
    /// # Errors
    /// Where a row is longer than any should be.
    pub(crate) fn scan(
        &mut self,
        text: &str,
        at: usize,
        is_all: bool,
        record: &mut Record,
    ) -> Result<Scan, TableError> {
        let bytes = text.as_bytes();
        let (mut at, mut line) = (at, self.line);
        // Lines that are blank or comments are no rows.
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
                // The rows below would be part of a cell, and lost.
                Some(After::Quoted) if lines > 0 => return Err(self.unclosed(first)),
                Some(After::Separator(next)) => at = next,
                Some(After::Line(next)) => {
                    self.line = line + 1;
                    return Ok(Scan::Row(next));
                }
                Some(After::Text | After::Quoted) => {
                    self.line = line;
                    return Ok(Scan::Row(bytes.len()));
                }
                None if bytes.len() - start > LONGEST_ROW => return Err(self.too_long(record.line())),
                None => return Ok(Scan::Unfinished),
            }
        }
    }

    /// Reads one cell into `record`; none where the text ends within it. Also says how many lines end in it.
    fn cell(&self, text: &str, at: usize, is_all: bool, record: &mut Record) -> (Option<After>, u64) {
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
                    return (is_all.then_some(After::Quoted), lines);
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
            return (Some(if lines > 0 && !rest.is_empty() { After::Quoted } else { After::Text }), lines);
        };
        let mut found = at + length;
        // What follows a closing quote, as in "a"b, belongs to the cell.
        record.push_part(&text[at..found]);
        record.end_cell(!is_quoted || length > 0);
        if lines > 0 && length > 0 {
            // The quote that closes is another one, which stands within a cell further below.
            return (Some(After::Quoted), lines);
        }
        if self.separator == Separator::Blanks {
            found = skip_blanks(bytes, found, self.separator);
            match bytes.get(found) {
                None if is_all => return (Some(After::Text), lines),
                None => return (None, lines),
                Some(b'\n' | b'\r') => {}
                Some(_) => return (Some(After::Separator(found)), lines),
            }
        } else if bytes[found] == self.separator.byte() {
            return (Some(After::Separator(found + 1)), lines);
        }
        (line_end(bytes, found, is_all).map(After::Line), lines)
    }

    fn is_quote(&self, byte: u8) -> bool {
        byte == b'"' || (byte == b'\'' && self.single_quotes)
    }

    fn unclosed(&self, line: u64) -> TableError {
        let found = "one that is open beyond the end of its line";
        let fault = Fault::new(&self.path, "a quote that is closed", found).place(format!("line {line}"));
        let remedy = "close it, or double it where it belongs to a cell: \"5\"\" disk\"; a file cut short has to be \
                      downloaded again";
        TableError::unfit("open quote", fault.remedy(remedy))
    }

    fn too_long(&self, line: u64) -> TableError {
        let found = format!("one of more than {} MB", LONGEST_ROW >> 20);
        let fault = Fault::new(&self.path, "rows of a bearable length", found).place(format!("line {line}"));
        TableError::unfit("endless row", fault.remedy("look for a quote that is never closed"))
    }
}

/// True if what follows `before` stands behind a `\` that is not itself behind one.
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1
}

/// The first byte from `at` on that is no blank; a tab is one unless it separates cells.
fn skip_blanks(bytes: &[u8], mut at: usize, separator: Separator) -> usize {
    while let Some(b' ' | b'\t') = bytes.get(at) {
        if bytes[at] == b'\t' && separator == Separator::Tab {
            break;
        }
        at += 1;
    }
    at
}

/// The byte after the end of line at `at`; none where a `\r` ends the text and a `\n` may follow.
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

    /// Rows with the lines on which they begin, the text given in pieces of `piece` bytes.
    fn rows(form: &Form, text: &str, piece: usize) -> Vec<(u64, Vec<String>)> {
        let mut splitter = Splitter::new(form, "t.csv");
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

    fn cells(form: &Form, text: &str) -> Vec<(u64, Vec<String>)> {
        rows(form, text, usize::MAX / 2)
    }

    fn row(line: u64, cells: &[&str]) -> (u64, Vec<String>) {
        (line, cells.iter().map(|&cell| cell.to_owned()).collect())
    }

    #[test]
    fn lines_are_counted_as_an_editor_counts_them() {
        for end in ["\n", "\r\n", "\r"] {
            let text = "a,b\n\n  \n1,\"two\nlines\"\n3,4".replace('\n', end);
            let lines: Vec<u64> = cells(&Form::plain(), &text).into_iter().map(|(line, _)| line).collect();
            assert_eq!(lines, [1, 4, 6], "{end:?}");
        }
    }

    #[test]
    fn quotes_blanks_and_what_follows_them() {
        let found = cells(&Form::plain(), " a , \"b, \"\"c\"\" \" ,\"d\"e,'f'\n,,\"\",\n");
        assert_eq!(found, [row(1, &["a", "b, \"c\" ", "de", "'f'"]), row(2, &["", "", "", ""])]);
        let single = Form { single_quotes: true, ..Form::plain() };
        assert_eq!(cells(&single, "'it''s','a,b'"), [row(1, &["it's", "a,b"])]);
        assert_eq!(cells(&Form::plain(), "a,\"never closed"), [row(1, &["a", "never closed"])]);
        let blanks = Form { separator: Separator::Blanks, ..Form::plain() };
        assert_eq!(cells(&blanks, "\"a b\" \"c\"  d \"\"\n"), [row(1, &["a b", "c", "d", ""])]);
    }

    #[test]
    fn a_quote_that_would_swallow_rows_is_an_error() {
        let found = cells(&Form::plain(), "a,b\n1,\"2\n3,4\n");
        assert_eq!(found[0], row(1, &["a", "b"]));
        assert!(
            found[1].1[0].starts_with("open quote: t.csv, line 2: expected a quote that is closed"),
            "{found:?}"
        );
    }

    #[test]
    fn the_end_of_a_dos_file_is_no_row() {
        assert_eq!(cells(&Form::plain(), "a\r\nb\r\n\u{1a}"), [row(1, &["a"]), row(2, &["b"])]);
        assert_eq!(cells(&Form::plain(), "\u{1a}\nb"), [row(1, &["\u{1a}"]), row(2, &["b"])]);
    }

    #[test]
    fn quotes_behind_a_backslash_where_that_is_the_custom() {
        let form = Form { single_quotes: true, ..Form::plain() };
        let mut splitter = Splitter::new(&form, "t.arff").with_escapes();
        let mut record = Record::default();
        splitter.scan(r"'can\'t, won\'t','\\',a\'b", 0, true, &mut record).unwrap();
        assert_eq!(record.cells().collect::<Vec<_>>(), ["can't, won't", r"\\", r"a\'b"]);
    }

    #[test]
    fn blanks_and_comments() {
        let form = Form { separator: Separator::Blanks, comment: Some('%'), ..Form::plain() };
        assert_eq!(
            cells(&form, "% title\n  1 \t 2  \n3 \"4 5\"\n% end"),
            [row(2, &["1", "2"]), row(3, &["3", "4 5"])]
        );
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_make_the_same_rows(text in "[a\"', \r\n;é\t]{0,60}", piece in 1_usize..9, kind in 0_usize..5) {
            let form = Form { separator: Separator::ALL[kind], single_quotes: true, ..Form::plain() };
            prop_assert_eq!(rows(&form, &text, piece), cells(&form, &text));
        }

        #[test]
        fn plain_rows_are_read_as_they_were_written(table in proptest::collection::vec(proptest::collection::vec("[a-z\"\n,']{1,5}", 2..4), 1..6)) {
            let text = String::from_utf8(kiln_files::csv_text(table.clone())).unwrap();
            let read: Vec<Vec<String>> = cells(&Form::plain(), &text).into_iter().map(|(_, row)| row).collect();
            prop_assert_eq!(read, table);
        }
    }
}
