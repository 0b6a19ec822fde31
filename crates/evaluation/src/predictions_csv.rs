//! Writes and reads `predictions.csv`. The reader trusts nothing in the file.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use csv::{ByteRecord, Reader, ReaderBuilder, StringRecord};
use kiln_files::{csv_cell, csv_text};
use rayon::prelude::*;

use crate::predictions::is_probability;
use crate::{EvaluationError, Predictions};

/// The prefix of the column with the probability of a class; the name of the class follows.
const PROBABILITY_PREFIX: &str = "p_";
/// The columns before the probabilities.
const FIRST_COLUMNS: [&str; 3] = ["index", "true", "predicted"];
/// The column after the probabilities.
const LOSS: &str = "loss";
/// The column after the loss, if examples have weights.
const WEIGHT: &str = "weight";
/// The last column, if examples are rows of a file: the line where each begins.
const LINE: &str = "line";

/// The number of rows that a thread writes at a time.
const ROWS: usize = 4096;
/// The number of such pieces that are in memory at once, in addition to the whole text.
const PIECES: usize = 16;

impl Predictions {
    /// The predictions as CSV: for each example its `index` in the split (from 0), its `true` and `predicted` class by name, a
    /// probability `p_<class>` for each class, its `loss`, its `weight` if examples have weights, and its `line` if they are
    /// rows of a file.
    ///
    /// Numbers have the fewest digits that give the same bits when read: as single precision for a probability, and as double
    /// precision for a loss.
    #[must_use]
    pub fn to_csv(&self) -> Vec<u8> {
        let names: Vec<Vec<u8>> = self.classes().iter().map(|name| csv_cell(name)).collect();
        let mut text = self.header();
        let starts: Vec<usize> = (0..self.len()).step_by(ROWS).collect();
        for starts in starts.chunks(PIECES) {
            let pieces: Vec<Vec<u8>> = starts.par_iter().map(|&start| self.csv_rows(start, &names)).collect();
            text.reserve(pieces.iter().map(Vec::len).sum());
            for piece in &pieces {
                text.extend_from_slice(piece);
            }
        }
        text
    }

    fn header(&self) -> Vec<u8> {
        let first = FIRST_COLUMNS.map(str::to_owned).into_iter();
        let probabilities = self.classes().iter().map(|name| format!("{PROBABILITY_PREFIX}{name}"));
        let weight = self.weights().map(|_| WEIGHT.to_owned());
        let line = self.lines().map(|_| LINE.to_owned());
        csv_text([first.chain(probabilities).chain([LOSS.to_owned()]).chain(weight).chain(line).collect()])
    }

    fn csv_rows(&self, start: usize, names: &[Vec<u8>]) -> Vec<u8> {
        let end = self.len().min(start + ROWS);
        let mut text = Vec::with_capacity((end - start) * (40 + 16 * self.class_count()));
        for example in start..end {
            self.csv_row(example, names, &mut text);
        }
        text
    }

    fn csv_row(&self, example: usize, names: &[Vec<u8>], text: &mut Vec<u8>) {
        const INFALLIBLE: &str = "writing to a vector does not fail";
        write!(text, "{example},").expect(INFALLIBLE);
        text.extend_from_slice(&names[self.truth()[example] as usize]);
        text.push(b',');
        text.extend_from_slice(&names[self.predicted()[example] as usize]);
        // The debug format is the shortest that reads back exactly, with an exponent if that is much shorter.
        for probability in self.probabilities(example) {
            write!(text, ",{probability:?}").expect(INFALLIBLE);
        }
        write!(text, ",{:?}", self.loss()[example]).expect(INFALLIBLE);
        if let Some(weights) = self.weights() {
            write!(text, ",{:?}", weights[example]).expect(INFALLIBLE);
        }
        if let Some(lines) = self.lines() {
            write!(text, ",{}", lines[example]).expect(INFALLIBLE);
        }
        text.push(b'\n');
    }
}

impl Predictions {
    /// Reads a `predictions.csv` that [`Predictions::to_csv`] wrote. Every value is the same bit for bit.
    ///
    /// # Errors
    /// [`EvaluationError::Io`] if the file cannot be read; [`EvaluationError::Malformed`] with the line if it is malformed.
    pub fn read(path: &Path) -> Result<Self, EvaluationError> {
        let io = |cause| EvaluationError::Io { action: "read", path: path.to_owned(), cause };
        let file = BufReader::with_capacity(1 << 20, File::open(path).map_err(io)?);
        PredictionsReader::new(path, file)?.read()
    }
}

/// The reader of a file, after its header.
struct PredictionsReader<R> {
    path: PathBuf,
    rows: Reader<R>,
    classes: Vec<String>,
    numbers: HashMap<Vec<u8>, u32>,
    has_weights: bool,
    has_lines: bool,
    columns: ColumnValues,
}

/// The values read so far, by column.
#[derive(Default)]
struct ColumnValues {
    truth: Vec<u32>,
    predicted: Vec<u32>,
    probabilities: Vec<f32>,
    loss: Vec<f64>,
    weights: Vec<f64>,
    lines: Vec<u32>,
}

/// What was expected in a row, and what was found there.
type FormatError = (String, String);

impl<R: Read> PredictionsReader<R> {
    fn new(path: &Path, source: R) -> Result<Self, EvaluationError> {
        let path = path.to_owned();
        let mut rows = ReaderBuilder::new().from_reader(source);
        let header = rows.headers().map_err(|error| malformed_csv(&path, error))?.clone();
        let (classes, has_weights, has_lines) =
            header_classes(&header).map_err(|error| malformed(&path, 1, error))?;
        let numbers = classes.iter().zip(0..).map(|(name, number)| (name.clone().into_bytes(), number));
        let numbers: HashMap<Vec<u8>, u32> = numbers.collect();
        if numbers.len() != classes.len() {
            let error = ("one column for each class".to_owned(), "two columns with the same name".to_owned());
            return Err(malformed(&path, 1, error));
        }
        Ok(Self { path, rows, classes, numbers, has_weights, has_lines, columns: ColumnValues::default() })
    }

    fn read(mut self) -> Result<Predictions, EvaluationError> {
        let mut row = ByteRecord::new();
        while self.rows.read_byte_record(&mut row).map_err(|error| malformed_csv(&self.path, error))? {
            if let Err(error) = self.take(&row) {
                let line = row.position().map_or(0, csv::Position::line);
                return Err(malformed(&self.path, line, error));
            }
        }
        let ColumnValues { truth, predicted, probabilities, loss, weights, lines } = self.columns;
        let predictions = Predictions::new(self.classes, truth, predicted, probabilities, loss)?;
        let predictions = if self.has_weights { predictions.with_weights(weights)? } else { predictions };
        if self.has_lines { predictions.with_lines(lines) } else { Ok(predictions) }
    }

    /// Adds a row. The CSV reader guarantees that it is as long as the header.
    fn take(&mut self, row: &ByteRecord) -> Result<(), FormatError> {
        let index: usize = number(&row[0], "an index", |_| true)?;
        let expected = self.columns.truth.len();
        if index != expected {
            return Err((format!("index {expected}, because examples are in order"), index.to_string()));
        }
        let class = |cell: &[u8]| {
            self.numbers.get(cell).copied().ok_or_else(|| ("the name of a class".to_owned(), quoted(cell)))
        };
        self.columns.truth.push(class(&row[1])?);
        self.columns.predicted.push(class(&row[2])?);
        let (first, after) = (FIRST_COLUMNS.len(), FIRST_COLUMNS.len() + self.classes.len());
        for column in first..after {
            let value = number(&row[column], "a probability in [0, 1]", |value| is_probability(*value))?;
            self.columns.probabilities.push(value);
        }
        self.columns.loss.push(number(&row[after], "a loss", |_| true)?);
        if self.has_weights {
            let is_weight = |value: &f64| value.is_finite() && *value >= 0.0;
            self.columns.weights.push(number(&row[after + 1], "a weight of at least 0", is_weight)?);
        }
        if self.has_lines {
            self.columns.lines.push(number(&row[row.len() - 1], "a line number", |_| true)?);
        }
        Ok(())
    }
}

/// The names of the classes, and whether there are columns for weights and for lines.
fn header_classes(header: &StringRecord) -> Result<(Vec<String>, bool, bool), FormatError> {
    let names: Vec<&str> = header.iter().collect();
    let has_lines = names.last() == Some(&LINE) && names.len() > FIRST_COLUMNS.len();
    let names = if has_lines { &names[..names.len() - 1] } else { &names[..] };
    let has_weights = names.last() == Some(&WEIGHT) && names.len() > FIRST_COLUMNS.len();
    let names = if has_weights { &names[..names.len() - 1] } else { names };
    let probabilities = match names {
        [index, truth, predicted, probabilities @ .., LOSS]
            if [*index, *truth, *predicted] == FIRST_COLUMNS && !probabilities.is_empty() =>
        {
            probabilities
        }
        _ => {
            let expected = format!("{},{PROBABILITY_PREFIX}<class>...,{LOSS}", FIRST_COLUMNS.join(","));
            return Err((expected, quoted(names.join(",").as_bytes())));
        }
    };
    let class = |name: &&str| match name.strip_prefix(PROBABILITY_PREFIX) {
        Some(class) => Ok(class.to_owned()),
        None => Err((format!("a column {PROBABILITY_PREFIX}<class>"), quoted(name.as_bytes()))),
    };
    Ok((probabilities.iter().map(class).collect::<Result<_, _>>()?, has_weights, has_lines))
}

fn number<T: FromStr>(cell: &[u8], what: &str, is_allowed: impl Fn(&T) -> bool) -> Result<T, FormatError> {
    let value = std::str::from_utf8(cell).ok().and_then(|text| text.parse().ok());
    value.filter(is_allowed).ok_or_else(|| (what.to_owned(), quoted(cell)))
}

/// The beginning of a cell, which may have any length and contain any bytes.
fn quoted(cell: &[u8]) -> String {
    const SHOWN: usize = 60;
    let text = String::from_utf8_lossy(cell);
    let start: String = text.chars().take(SHOWN).collect();
    if start.len() < text.len() { format!("{start:?}...") } else { format!("{start:?}") }
}

fn malformed(path: &Path, line: u64, (expected, found): FormatError) -> EvaluationError {
    EvaluationError::Malformed { path: path.to_owned(), line, expected, found }
}

fn malformed_csv(path: &Path, error: csv::Error) -> EvaluationError {
    let line = error.position().map_or(1, csv::Position::line);
    match error.into_kind() {
        csv::ErrorKind::Io(cause) => EvaluationError::Io { action: "read", path: path.to_owned(), cause },
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            malformed(path, line, (format!("{expected_len} cells"), format!("{len}")))
        }
        _ => malformed(path, line, ("text in UTF-8".to_owned(), "other bytes".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Predictions, EvaluationError> {
        read_bytes(text.as_bytes())
    }

    fn read_bytes(bytes: &[u8]) -> Result<Predictions, EvaluationError> {
        PredictionsReader::new(Path::new("predictions.csv"), bytes)?.read()
    }

    #[test]
    fn values_are_the_same_after_writing_and_reading() {
        let names = ["plain", "with, comma", "\"quoted\" Ö", "", "weight"].map(str::to_owned).to_vec();
        let rows = vec![0.1, 1e-40, f32::MIN_POSITIVE, 1.0, 0.0, 0.333_333_34, 0.5, 0.999_999_94, 1e-7, 0.2];
        let loss = vec![1e-300, 0.1 + 0.2];
        let predictions = Predictions::new(names, vec![1, 3], vec![2, 0], rows, loss).unwrap();
        assert_eq!(read_bytes(&predictions.to_csv()).unwrap(), predictions);
        let weighted = predictions.with_weights(vec![0.25, 1.0 / 3.0]).unwrap();
        assert_eq!(read_bytes(&weighted.to_csv()).unwrap(), weighted);
    }

    #[test]
    fn the_rows_of_a_diverged_model_are_read() {
        let names = vec!["a".to_owned()];
        let written = Predictions::new(names, vec![0], vec![0], vec![f32::NAN], vec![f64::INFINITY]).unwrap();
        let text = String::from_utf8(written.to_csv()).unwrap();
        assert_eq!(text, "index,true,predicted,p_a,loss\n0,a,a,NaN,inf\n");
        assert_eq!(read(&text).unwrap().non_finite(), 1);
    }

    #[test]
    fn malformed_rows_are_reported_with_their_line() {
        let header = "index,true,predicted,p_a,p_b,loss\n";
        let good = "0,a,b,0.25,0.75,1.5\n";
        let cases = [
            ("", "line 1: expected index,true,predicted,p_<class>...,loss, found \"\""),
            ("a,b\n", "line 1: expected index,true,predicted,p_<class>...,loss, found \"a,b\""),
            ("index,true,predicted,q_a,loss\n", "line 1: expected a column p_<class>, found \"q_a\""),
            ("index,true,predicted,p_a,p_a,loss\n", "line 1: expected one column for each class, found two"),
            (&format!("{header}{good}1,a,b,0.25,0.75\n"), "line 3: expected 6 cells, found 5"),
            (&format!("{header}{good}{good}"), "line 3: expected index 1, because examples are in order"),
            (&format!("{header}x,a,b,0.25,0.75,1.5\n"), "line 2: expected an index, found \"x\""),
            (&format!("{header}0,c,b,0.25,0.75,1.5\n"), "line 2: expected the name of a class, found \"c\""),
            (&format!("{header}0,a,b,-0.25,0.75,1.5\n"), "expected a probability in [0, 1], found \"-0.25\""),
            (&format!("{header}0,a,b,0.25,1.5,1.5\n"), "expected a probability in [0, 1], found \"1.5\""),
            (&format!("{header}0,a,b,0.25,0.75,\n"), "line 2: expected a loss, found \"\""),
        ];
        for (text, expected) in cases {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        let long = format!("{header}0,a,{},0.25,0.75,1.5\n", "b".repeat(1 << 20));
        assert!(read(&long).unwrap_err().to_string().len() < 200);
        let bytes = [b"index,true,predicted,p_\xff,loss\n".as_slice(), b"0,a,b,\xff,0.75,1.5\n"];
        assert!(read_bytes(bytes[0]).unwrap_err().to_string().contains("line 1: expected text in UTF-8"));
        assert!(read_bytes(&[header.as_bytes(), bytes[1]].concat()).is_err());
    }

    #[test]
    fn a_file_without_examples_is_valid() {
        assert!(read("index,true,predicted,p_a,loss\n").unwrap().is_empty());
    }
}
