//! Formats other than delimited text. Weka's ARFF is always read, Excel and Parquet with the Cargo features `excel` and
//! `parquet`; other formats are refused with a hint on how to convert them.

use std::io::Read;
use std::path::Path;

use crate::input::TextStream;
use crate::records::{Buffer, TextRows};
use crate::splitter::Splitter;
use crate::{Dialect, Layout, Mismatch, Records, TableError, quoted};

/// The first bytes of ZIP archives, which include Excel workbooks.
const ZIP: &[u8] = b"PK\x03\x04";
/// The first bytes of old Excel workbooks (`.xls`).
const OLD_OFFICE: &[u8] = &[0xd0, 0xcf, 0x11, 0xe0];
/// The first bytes of Parquet files.
const PARQUET: &[u8] = b"PAR1";

/// The bytes of a table as text. Converts a workbook or a Parquet file to CSV, if this build can. `start` holds the bytes
/// already read from `rest`; a conversion empties it, because it no longer is the beginning of the text.
#[cfg_attr(
    not(any(feature = "excel", feature = "parquet")),
    expect(
        unused_variables,
        clippy::unnecessary_wraps,
        clippy::ptr_arg,
        reason = "this build converts no formats"
    )
)]
pub(crate) fn to_text(
    start: &mut Vec<u8>,
    rest: Box<dyn Read + Send>,
    path: &Path,
) -> Result<Box<dyn Read + Send>, TableError> {
    let whole = std::io::Cursor::new(start.clone()).chain(rest);
    #[cfg(feature = "excel")]
    if start.starts_with(ZIP) || start.starts_with(OLD_OFFICE) {
        let (mut whole, mut bytes) = (whole, Vec::new());
        whole.read_to_end(&mut bytes).map_err(|error| crate::input::read_error(path, error))?;
        start.clear();
        return Ok(Box::new(std::io::Cursor::new(excel::as_csv(bytes, path)?)));
    }
    #[cfg(feature = "parquet")]
    if start.starts_with(PARQUET) && path.is_file() {
        start.clear();
        return parquet_file::as_csv(path);
    }
    Ok(Box::new(whole))
}

/// Describes a file that begins with these bytes, with a hint after `; `; `None` if it may be a table.
pub(crate) fn foreign_bytes(start: &[u8]) -> Option<&'static str> {
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
            "an image; read images with data.source \"image-folder\""
        }
        [b'B', b'Z', b'h', ..] => "a bzip2 file; unpack it first",
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "an xz file; unpack it first",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "a Zstandard file; unpack it first",
        [b'S', b'Q', b'L', b'i', b't', b'e', ..] => "an SQLite database; export the table as CSV",
        _ => return None,
    })
}

/// As [`foreign_bytes`], for a file that is text.
pub(crate) fn foreign_text(text: &str) -> Option<&'static str> {
    let start = text.trim_start();
    let lower: String = start.chars().take(15).collect::<String>().to_ascii_lowercase();
    if lower.starts_with("<!doctype html") || lower.starts_with("<html") {
        return Some("an HTML page, perhaps an error page instead of the download");
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

pub(crate) fn not_a_table(path: &Path, kind: &'static str) -> TableError {
    let (found, remedy) = kind.split_once("; ").unwrap_or((kind, ""));
    TableError::unfit("not a table", Mismatch::new(path, "the rows of a table as text", found).remedy(remedy))
}

/// True if `text` begins like an ARFF file.
pub(crate) fn is_arff(text: &str) -> bool {
    let declaration = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('%'));
    declaration.is_some_and(|line| has_keyword(line, "@relation"))
}

/// Reads the declarations of an ARFF file; its rows follow.
pub(crate) fn open_arff(
    mut text: TextStream,
    mut buffer: Buffer,
    path: &Path,
) -> Result<Records, TableError> {
    let (mut names, mut listed) = (Vec::new(), Vec::new());
    let mut line = 0;
    loop {
        let Some((declaration, next)) = take_line(&mut text, &mut buffer)? else {
            return Err(broken_arff(path, line, "@data", "the end of the file"));
        };
        line += 1;
        buffer.at = next;
        let declaration = declaration.trim();
        if has_keyword(declaration, "@data") {
            break;
        }
        if has_keyword(declaration, "@attribute") {
            let (name, kind) = attribute(&declaration["@attribute".len()..])
                .ok_or_else(|| broken_arff(path, line, "@attribute NAME TYPE", &quoted(declaration)))?;
            if kind.starts_with('{') {
                listed.push(names.len());
            }
            names.push(name);
        }
    }
    if names.is_empty() {
        return Err(broken_arff(path, line, "an @attribute above @data", "none"));
    }
    buffer.text.drain(..buffer.at);
    buffer.at = 0;
    buffer.fill(&mut text, 1 << 12)?;
    if buffer.text.trim_start().starts_with('{') {
        let found = "sparse rows in braces, which list only the non-zero values";
        return Err(broken_arff(path, line + 1, "dense rows with a value for every attribute", found));
    }
    let dialect = Dialect { single_quotes: true, comment: Some('%'), header: false, ..Dialect::plain() };
    let mut splitter = Splitter::new(&dialect, path).with_escapes();
    splitter.skip_lines(line);
    let width = names.len();
    let layout = Layout::named(dialect, names, width);
    Ok(Records::new(TextRows { text, buffer, splitter }, layout, path, listed))
}

/// The current line of the buffer, and the byte at which the next line begins.
fn take_line(text: &mut TextStream, buffer: &mut Buffer) -> Result<Option<(String, usize)>, TableError> {
    loop {
        let rest = &buffer.text[buffer.at..];
        if let Some(length) = rest.find(['\n', '\r']) {
            let ends_in_pair = rest[length..].starts_with("\r\n");
            let next = buffer.at + length + if ends_in_pair { 2 } else { 1 };
            return Ok(Some((rest[..length].to_owned(), next)));
        }
        if buffer.is_all {
            return Ok((!rest.is_empty()).then(|| (rest.to_owned(), buffer.text.len())));
        }
        buffer.advance(text)?;
    }
}

fn has_keyword(line: &str, keyword: &str) -> bool {
    line.get(..keyword.len()).is_some_and(|start| start.eq_ignore_ascii_case(keyword))
}

/// Name and type of an attribute.
fn attribute(text: &str) -> Option<(String, String)> {
    let text = text.trim_start();
    let quote = text.chars().next().filter(|first| matches!(first, '\'' | '"'));
    let (name, kind) = if let Some(quote) = quote {
        quoted_name(&text[1..], quote)?
    } else {
        let (name, kind) = text.split_at(text.find([' ', '\t', '{'])?);
        (name.to_owned(), kind)
    };
    let kind = kind.trim();
    (!name.is_empty() && !kind.is_empty()).then(|| (name, kind.to_owned()))
}

/// The name at the beginning of `text`, up to `quote`, and the rest after it. A quote that is doubled or escaped with `\` is
/// part of the name.
fn quoted_name(text: &str, quote: char) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let next = characters.peek().map(|&(_, next)| next);
        match character {
            '\\' if next == Some(quote) => {
                characters.next();
                name.push(quote);
            }
            _ if character != quote => name.push(character),
            _ if next == Some(quote) => {
                characters.next();
                name.push(quote);
            }
            _ => return Some((name, &text[at + 1..])),
        }
    }
    None
}

fn broken_arff(path: &Path, line: u64, expected: &str, found: &str) -> TableError {
    TableError::unfit("broken ARFF file", Mismatch::new(path, expected, found).place(format!("line {line}")))
}

#[cfg(feature = "excel")]
mod excel {
    use std::io::Cursor;
    use std::path::Path;

    use calamine::{Data, Reader, open_workbook_auto_from_rs};

    use crate::{Mismatch, TableError};

    /// The first sheet with rows of the workbook `bytes`, as CSV with one line per row.
    pub(super) fn as_csv(bytes: Vec<u8>, path: &Path) -> Result<Vec<u8>, TableError> {
        let broken = |found: String| {
            let mismatch = Mismatch::new(path, "an Excel workbook", found);
            TableError::unfit("broken Excel file", mismatch.remedy("save the sheet as CSV"))
        };
        let mut workbook = open_workbook_auto_from_rs(Cursor::new(bytes)).map_err(|_| {
            super::not_a_table(
                path,
                "a ZIP archive or a damaged Excel file; unpack it, or save its sheet as CSV",
            )
        })?;
        for name in workbook.sheet_names() {
            let range = workbook.worksheet_range(&name).map_err(|error| broken(error.to_string()))?;
            if range.is_empty() {
                continue;
            }
            // Empty rows at the top count too, so that line numbers are row numbers of the sheet.
            let above = range.start().map_or(0, |(row, _)| row as usize);
            let rows = range.rows().map(|row| row.iter().map(text).collect::<Vec<String>>());
            let mut csv = vec![b'\n'; above];
            csv.extend(kiln_files::csv_text(rows));
            return Ok(csv);
        }
        Err(broken("no sheet with rows".to_owned()))
    }

    fn text(cell: &Data) -> String {
        let text = match cell {
            Data::DateTime(moment) => moment
                .as_datetime()
                .map_or_else(|| moment.to_string(), |moment| moment.format("%Y-%m-%d %H:%M:%S").to_string()),
            Data::Error(_) | Data::Empty => String::new(),
            cell => cell.to_string(),
        };
        text.replace(['\n', '\r'], " ")
    }
}

#[cfg(feature = "parquet")]
mod parquet_file {
    use std::fs::File;
    use std::io::{self, BufWriter, PipeReader, Read, Write};
    use std::path::Path;
    use std::thread::{self, JoinHandle};

    use jiff::Timestamp;
    use jiff::civil::Date;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    use crate::{Mismatch, TableError};

    /// The rows of the Parquet file at `path` as CSV with a header. A separate thread converts them while they are read.
    pub(super) fn as_csv(path: &Path) -> Result<Box<dyn Read + Send>, TableError> {
        let refused = |source| TableError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(refused)?;
        let broken = |found: String| {
            TableError::unfit("broken Parquet file", Mismatch::new(path, "a Parquet file", found))
        };
        let reader = SerializedFileReader::new(file).map_err(|error| broken(error.to_string()))?;
        let (text, pipe) = io::pipe().map_err(refused)?;
        let writer = thread::spawn(move || write_rows(&reader, pipe));
        Ok(Box::new(ConvertedRows { text, writer: Some(writer) }))
    }

    /// The text of the rows. A row that cannot be read is an error after the text of the rows before it.
    struct ConvertedRows {
        text: PipeReader,
        writer: Option<JoinHandle<io::Result<()>>>,
    }

    impl Read for ConvertedRows {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let read = self.text.read(buffer)?;
            if read == 0
                && !buffer.is_empty()
                && let Some(writer) = self.writer.take()
            {
                writer.join().unwrap_or_else(|_| Err(io::Error::other("a row cannot be read")))?;
            }
            Ok(read)
        }
    }

    fn write_rows(reader: &SerializedFileReader<File>, pipe: impl Write) -> io::Result<()> {
        let mut writer = BufWriter::new(pipe);
        let schema = reader.metadata().file_metadata().schema_descr();
        let names: Vec<String> =
            schema.root_schema().get_fields().iter().map(|field| field.name().to_owned()).collect();
        writer.write_all(&kiln_files::csv_text([names]))?;
        for row in reader.get_row_iter(None).map_err(io::Error::other)? {
            let row = row.map_err(io::Error::other)?;
            let cells: Vec<String> = row.get_column_iter().map(|(_, field)| text(field)).collect();
            writer.write_all(&kiln_files::csv_text([cells]))?;
        }
        writer.flush()
    }

    fn text(field: &Field) -> String {
        let moment = |moment: Result<Timestamp, jiff::Error>| {
            moment.map(|moment| moment.strftime("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default()
        };
        match field {
            Field::Null => String::new(),
            Field::Str(text) => text.clone(),
            Field::Date(days) => {
                let date = Date::constant(1970, 1, 1).checked_add(jiff::Span::new().days(i64::from(*days)));
                date.map(|date| date.to_string()).unwrap_or_default()
            }
            Field::TimestampMillis(millis) => moment(Timestamp::from_millisecond(*millis)),
            Field::TimestampMicros(micros) => moment(Timestamp::from_microsecond(*micros)),
            Field::Bytes(bytes) => String::from_utf8_lossy(bytes.data()).into_owned(),
            // Display rounds numbers.
            Field::Double(number) => number.to_string(),
            Field::Float(number) => number.to_string(),
            field => field.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::{ReadOptions, Record, Table, Value};

    fn records(text: &str) -> Result<Records, TableError> {
        let reader = Box::new(Cursor::new(text.to_owned()));
        Records::read(reader, Path::new("t.arff"), &ReadOptions::default())
    }

    #[test]
    fn attributes_may_be_spelled_in_many_ways() {
        let text = "% by x\n@RELATION 'a b'\n\n@ATTRIBUTE 'it\\'s' {'x, y','can\\'t'}\n@attribute \"n m\"\treal\n\
                    @attribute n{1,2}\n@attribute n string\r\n@Data\n% rows\n'x, y', 1.5,1,'a b'\n\n'can\\'t',?,2,c\n";
        let mut records = records(text).unwrap();
        assert_eq!(records.layout().names, ["it's", "n m", "n", "n (2)"]);
        assert_eq!(records.listed(), [0, 2]);
        let (mut record, mut rows) = (Record::default(), Vec::new());
        while records.next(&mut record).unwrap() {
            rows.push((record.line(), record.cells().map(str::to_owned).collect::<Vec<_>>()));
        }
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        assert_eq!(rows, [(10, row(["x, y", "1.5", "1", "a b"])), (12, row(["can't", "?", "2", "c"]))]);
    }

    #[test]
    fn listed_values_are_texts_even_if_they_are_numbers() {
        let options = ReadOptions::default();
        let text = "@relation r\n@attribute a {1,2}\n@attribute b real\n@data\n1,1\n2,?\n?,3\n";
        let table = Table::take(records(text).unwrap(), &options, &mut |_| {}).unwrap();
        let value = |row, column| table.cell(row, column).value();
        assert_eq!((value(0, 0), value(1, 0), value(2, 0)), (Value::Text(0), Value::Text(1), Value::Missing));
        assert_eq!((value(0, 1), value(1, 1)), (Value::Number(1.0), Value::Missing));
        assert!(table.is_listed(0) && !table.is_listed(1));
    }

    #[test]
    fn broken_files_are_refused_with_their_line() {
        for (text, wanted) in [
            ("@relation r\n@attribute a real\n", "line 2: expected @data, found the end"),
            ("@relation r\n@attribute a\n@data\n", "line 2: expected @attribute NAME TYPE"),
            ("@relation r\n@attribute 'a real\n@data\n", "line 2: expected @attribute NAME TYPE"),
            ("@relation r\n@data\n1\n", "line 2: expected an @attribute above @data, found none"),
            (
                "@relation r\n@attribute a real\n@data\n{0 1}\n",
                "line 4: expected dense rows with a value for every",
            ),
        ] {
            let message = records(text).err().unwrap().to_string();
            assert!(message.contains(wanted), "{message}");
        }
    }
}
