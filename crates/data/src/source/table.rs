//! A csv file, read row by row: numbers, and a class in one column.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use csv::{ByteRecord, ReaderBuilder, Trim};

use kiln_files::Hasher;

use crate::{DataError, Fault};

/// A table as it was read.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    pub(super) sha256: String,
    /// Names of all columns but the label's.
    pub(super) features: Vec<String>,
    /// Row after row.
    pub(super) values: Vec<f32>,
    /// Of each row, an index into `classes`.
    pub(super) labels: Vec<u32>,
    /// In the order in which they first come.
    pub(super) classes: Vec<FoundClass>,
}

/// A class, and the line where it first comes.
#[derive(Debug)]
pub(super) struct FoundClass {
    pub(super) name: String,
    pub(super) line: u64,
}

impl Table {
    /// Reads the csv file at `path`, whose class stands in `label_column`.
    pub(super) fn read(path: &Path, label_column: &str) -> Result<Self, DataError> {
        if !path.is_file() {
            let found = if path.exists() { "a folder" } else { "nothing" };
            let fault = Fault::new(path, "a csv file", found);
            return Err(DataError::unfit(
                "missing data",
                fault.remedy("check data.path, data.test_path or the path that was given"),
            ));
        }
        Self::parse(File::open(path).map_err(DataError::read(path))?, path, label_column)
    }

    /// Reads csv from `reader`.
    pub(super) fn parse(reader: impl Read, path: &Path, label_column: &str) -> Result<Self, DataError> {
        let mut hashing = HashingReader { reader, hasher: Hasher::default(), bytes: 0 };
        let mut rows = Rows::new(&mut hashing, path, label_column)?;
        while rows.read_row()? {}
        let mut table = rows.finish()?;
        table.bytes = hashing.bytes;
        table.sha256 = hashing.hasher.finish();
        Ok(table)
    }
}

/// The table so far, and the reader of its further rows.
struct Rows<'a, R> {
    reader: csv::Reader<R>,
    record: ByteRecord,
    path: &'a Path,
    columns: Vec<String>,
    label_column: usize,
    table: Table,
    class_numbers: HashMap<String, u32>,
}

impl<'a, R: Read> Rows<'a, R> {
    fn new(reader: R, path: &'a Path, label_column: &str) -> Result<Self, DataError> {
        // Ragged rows pass the csv reader, so that the message about them can be this crate's own.
        let mut reader =
            ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(reader);
        let mut record = ByteRecord::new();
        if !read_record(&mut reader, &mut record, path)? {
            let fault = Fault::new(path, "a header and rows", "no line");
            return Err(DataError::unfit("empty csv file", fault));
        }
        let columns = column_names(&record, path)?;
        let label_column = find_label(&columns, label_column, path)?;
        let features = columns.iter().enumerate().filter(|&(column, _)| column != label_column);
        let table = Table {
            path: path.to_path_buf(),
            bytes: 0,
            sha256: String::new(),
            features: features.map(|(_, name)| name.clone()).collect(),
            values: Vec::new(),
            labels: Vec::new(),
            classes: Vec::new(),
        };
        Ok(Self { reader, record, path, columns, label_column, table, class_numbers: HashMap::new() })
    }

    /// Reads one row; false at the end.
    fn read_row(&mut self) -> Result<bool, DataError> {
        if !read_record(&mut self.reader, &mut self.record, self.path)? {
            return Ok(false);
        }
        let line = self.record.position().map_or(0, csv::Position::line);
        if self.record.len() != self.columns.len() {
            let expected = format!("{} cells, as in the header", self.columns.len());
            let fault = Fault::new(self.path, expected, self.record.len().to_string());
            return Err(DataError::unfit("ragged csv row", fault.place(format!("line {line}"))));
        }
        for (column, cell) in self.record.iter().enumerate() {
            if column != self.label_column {
                let place = || format!("line {line}, column \"{}\"", self.columns[column]);
                self.table.values.push(number(cell, self.path, place)?);
            }
        }
        let label = self.label(line)?;
        self.table.labels.push(label);
        Ok(true)
    }

    /// The class of the current row, numbered by its first appearance.
    fn label(&mut self, line: u64) -> Result<u32, DataError> {
        let place = || format!("line {line}, column \"{}\"", self.columns[self.label_column]);
        let name = text(&self.record[self.label_column], self.path, place)?;
        if name.is_empty() {
            let fault = Fault::new(self.path, "the name of a class", "an empty cell").place(place());
            return Err(DataError::unfit(
                "row without a label",
                fault.remedy("fill it in or take the row out"),
            ));
        }
        if let Some(&number) = self.class_numbers.get(name) {
            return Ok(number);
        }
        let number = self.table.classes.len() as u32;
        self.table.classes.push(FoundClass { name: name.to_owned(), line });
        self.class_numbers.insert(name.to_owned(), number);
        Ok(number)
    }

    fn finish(self) -> Result<Table, DataError> {
        if self.table.labels.is_empty() {
            let fault = Fault::new(self.path, "at least one row below the header", "none");
            return Err(DataError::unfit("csv file without rows", fault));
        }
        Ok(self.table)
    }
}

pub(crate) fn read_record<R: Read>(
    reader: &mut csv::Reader<R>,
    record: &mut ByteRecord,
    path: &Path,
) -> Result<bool, DataError> {
    reader.read_byte_record(record).map_err(|error| DataError::read(path)(io::Error::from(error)))
}

/// The names in the header, which must all be there and all differ.
pub(crate) fn column_names(header: &ByteRecord, path: &Path) -> Result<Vec<String>, DataError> {
    let mut names: Vec<String> = Vec::with_capacity(header.len());
    let mut first_at = HashMap::new();
    for (column, cell) in header.iter().enumerate() {
        let place = || format!("line 1, column {}", column + 1);
        // Spreadsheet programs mark the beginning of UTF-8 files so.
        let name = text(cell, path, place)?.trim_start_matches('\u{feff}').to_owned();
        if name.is_empty() {
            let fault = Fault::new(path, "a name", "an empty cell").place(place());
            return Err(DataError::unfit(
                "csv column without a name",
                fault.remedy("name every column in the header"),
            ));
        }
        if let Some(first) = first_at.insert(name.clone(), column) {
            let found = format!("\"{name}\" in columns {} and {}", first + 1, column + 1);
            let fault = Fault::new(path, "every name once", found).place("line 1");
            return Err(DataError::unfit("repeated csv column", fault.remedy("rename one of them")));
        }
        names.push(name);
    }
    Ok(names)
}

fn find_label(columns: &[String], label_column: &str, path: &Path) -> Result<usize, DataError> {
    if columns.len() < 2 && (columns[0] == label_column || !columns[0].contains([';', '\t'])) {
        let fault =
            Fault::new(path, "at least one column besides the label", columns.join(", ")).place("line 1");
        return Err(DataError::unfit("no feature columns", fault));
    }
    columns.iter().position(|name| name == label_column).ok_or_else(|| {
        let nearest = columns.iter().max_by(|left, right| {
            let likeness =
                |name: &str| strsim::jaro_winkler(&name.to_lowercase(), &label_column.to_lowercase());
            likeness(left).total_cmp(&likeness(right))
        });
        let remedy = match nearest {
            Some(name) if columns.len() > 1 => format!("did you mean data.label_column=\"{name}\"?"),
            _ => "separate the columns with commas".to_owned(),
        };
        let expected = format!("a column \"{label_column}\" (data.label_column)");
        let fault = Fault::new(path, expected, columns.join(", ")).place("line 1");
        DataError::unfit("no label column", fault.remedy(remedy))
    })
}

pub(crate) fn number(cell: &[u8], path: &Path, place: impl Fn() -> String) -> Result<f32, DataError> {
    let parsed = std::str::from_utf8(cell).ok().and_then(|text| text.parse::<f32>().ok());
    parsed.filter(|number| number.is_finite()).ok_or_else(|| {
        let found = match String::from_utf8_lossy(cell) {
            empty if empty.is_empty() => "an empty cell".to_owned(),
            text => format!("\"{}\"", text.chars().take(40).collect::<String>()),
        };
        let fault = Fault::new(path, "a finite number", found).place(place());
        DataError::unfit(
            "not a number",
            fault.remedy("features must be numbers; fill the cell in or take the row out"),
        )
    })
}

fn text<'a>(cell: &'a [u8], path: &Path, place: impl Fn() -> String) -> Result<&'a str, DataError> {
    std::str::from_utf8(cell).map_err(|_| {
        let fault = Fault::new(path, "UTF-8 text", "other bytes").place(place());
        DataError::unfit("not a text file", fault.remedy("save the file as a csv in UTF-8"))
    })
}

/// Hashes what passes through it, so that a large table is read once and never lies in memory as text.
struct HashingReader<R> {
    reader: R,
    hasher: Hasher,
    bytes: u64,
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(bytes: &[u8]) -> Result<Table, DataError> {
        Table::parse(bytes, Path::new("table.csv"), "label")
    }

    #[test]
    fn numbers_and_classes_are_told_apart_by_the_header() {
        let bytes = b"a,label,b\n1, yes ,2.5\n-3,no,1e2\n4,yes,0\n";
        let table = parse(bytes).unwrap();
        assert_eq!(table.features, ["a", "b"]);
        assert_eq!(table.values, [1.0, 2.5, -3.0, 100.0, 4.0, 0.0]);
        assert_eq!(table.labels, [0, 1, 0]);
        let classes: Vec<_> = table.classes.iter().map(|class| (class.name.as_str(), class.line)).collect();
        assert_eq!(classes, [("yes", 2), ("no", 3)]);
        assert_eq!((table.bytes, table.sha256), (bytes.len() as u64, kiln_files::sha256_hex(bytes)));
    }

    #[test]
    fn quotes_a_byte_order_mark_and_windows_line_ends_are_understood() {
        let table = parse(b"\xef\xbb\xbf\"a\",label\r\n\"1\",\"x, y\"\r\n2,z\r\n").unwrap();
        assert_eq!(table.features, ["a"]);
        assert_eq!(table.classes[0].name, "x, y");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn arbitrary_text_with_a_good_header_never_panics(text in "[-0-9a-z.,\"\n ]{0,200}") {
            let _ = parse(format!("a,b,label\n{text}").as_bytes());
        }

        #[test]
        fn a_mutated_table_is_refused_or_has_whole_rows(position in 0_usize..35, value: u8, cut in 0_usize..36) {
            let mut bytes = b"a,b,label\n1,2,x\n3,4,y\n5.5,-6e1,x\n00".to_vec();
            bytes[position] = value;
            bytes.truncate(cut);
            if let Ok(table) = parse(&bytes) {
                prop_assert_eq!(table.values.len(), table.labels.len() * table.features.len());
                prop_assert!(table.values.iter().all(|value| value.is_finite()));
            }
        }
    }
}
