//! `kiln predict RUN FILE --output FILE`: predictions as a CSV file of any length, read and written block by block.

use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use kiln::{Framing, Mlp, Predictions, Split, Trained};
use kiln_data::{RowBlock, TableRows};
use kiln_files::{Replacement, with_causes};
use schemars::JsonSchema;
use serde::Serialize;

use crate::failure::{Failure, leave_on_ctrl_c, unwritable};
use crate::output::{numbered, print_json, say};

/// Rows that are read and predicted together.
const ROWS_PER_BLOCK: usize = 8192;

/// The predictions for a table.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PredictedTable<'a> {
    /// The table.
    file: &'a Path,
    /// The CSV file with the predictions.
    output: &'a Path,
    /// Rows in the table.
    rows: u64,
    /// Rows that could not be predicted; the column `error` has the reasons.
    bad_rows: u64,
    /// Rows with missing or unknown values; the column `notes` lists them.
    noted_rows: u64,
    /// Remarks on the table, a sentence each.
    notices: Vec<String>,
}

/// Row counts.
#[derive(Default)]
struct Counts {
    all: u64,
    bad: u64,
    noted: u64,
}

/// Predicts every row of the table at `file`, and writes its own columns, the class, the probability of every class, and
/// the columns `error` and `notes`. The file `output` appears when it is complete; `-` is standard output.
pub(crate) fn predict_table(
    trained: &Trained<Mlp>,
    file: &Path,
    output: &Path,
    json: bool,
) -> Result<(), Failure> {
    let mut rows = trained.rows(file)?;
    let classes = &trained.profile().classes;
    let mut csv_file =
        PredictionsCsv::begin(output, &[file.to_owned()], rows.columns(), classes, &["error", "notes"])?;
    let Counts { all, bad, noted } = write_rows(trained, &mut rows, &mut csv_file)?;
    csv_file.finish()?;
    let notices = rows.remarks();
    for notice in &notices {
        say(&format!("note: {notice}"));
    }
    if bad > 0 {
        say(&format!("warning: {bad} of {all} rows could not be predicted; see the column `error`"));
    }
    if noted > 0 {
        say(&format!("note: {noted} of {all} rows have missing or unknown values; see the column `notes`"));
    }
    let to_stdout = output == Path::new("-");
    if json && !to_stdout {
        let (bad_rows, noted_rows) = (bad, noted);
        print_json(&PredictedTable { file, output, rows: all, bad_rows, noted_rows, notices });
    } else if !to_stdout {
        say(&format!("{all} rows written to {}", output.display()));
    }
    Ok(())
}

fn write_rows(
    trained: &Trained<Mlp>,
    rows: &mut TableRows,
    csv_file: &mut PredictionsCsv<'_>,
) -> Result<Counts, Failure> {
    let (width, mut counts) = (rows.columns().len(), Counts::default());
    while let Some(block) = rows.next_block(ROWS_PER_BLOCK).map_err(Failure::from)? {
        let RowBlock { rows, faults, notes, examples } = block;
        let predictions = (!examples.is_empty()).then(|| trained.predict(&examples));
        let mut at = 0;
        for (row, fault) in rows.iter().zip(&faults) {
            let cells = (0..width).map(|column| row.cell(column));
            match (&predictions, fault) {
                (Some(predictions), None) => {
                    csv_file.write(cells, Some((predictions, at)), &["", &notes[at]])?;
                    counts.noted += u64::from(!notes[at].is_empty());
                    at += 1;
                }
                (_, fault) => {
                    csv_file.write(cells, None, &[fault.as_deref().unwrap_or_default(), ""])?;
                    counts.bad += 1;
                }
            }
            counts.all += 1;
        }
    }
    Ok(counts)
}

/// Files that are read together.
const FILES_PER_BLOCK: usize = 64;

/// The predictions for many pictures.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PredictedPictures<'a> {
    /// The CSV file with the predictions.
    output: &'a Path,
    /// Files in all.
    files: usize,
    /// Files that could not be predicted; the column `error` has the reasons.
    bad_files: usize,
}

/// Predicts every picture of `files`, and writes the class, the probability of every class, and the column `error`. The
/// file `output` appears when it is complete; `-` is standard output. `on_read` gets each file that was read, with its
/// examples.
pub(crate) fn predict_pictures(
    trained: &Trained<Mlp>,
    files: &[PathBuf],
    framing: Option<Framing>,
    mut on_read: impl FnMut(&Path, &Split),
    output: &Path,
    json: bool,
) -> Result<(), Failure> {
    let classes = &trained.profile().classes;
    let mut csv_file = PredictionsCsv::begin(output, files, &["file".to_owned()], classes, &["error"])?;
    let mut bad = 0;
    for block in files.chunks(FILES_PER_BLOCK) {
        for (file, inputs) in block.iter().zip(trained.inputs_of(block, framing)) {
            let name = file.to_string_lossy();
            let inputs = match inputs {
                Ok(inputs) => inputs,
                Err(error) => {
                    csv_file.write([&*name], None, &[&with_causes(&error)])?;
                    bad += 1;
                    continue;
                }
            };
            let predictions = trained.predict(&inputs.examples);
            for at in 0..predictions.len() {
                let name = numbered(&name, at, predictions.len());
                csv_file.write([&*name], Some((&predictions, at)), &[""])?;
            }
            on_read(file, &inputs.examples);
        }
    }
    csv_file.finish()?;
    let all = files.len();
    if bad > 0 {
        say(&format!("warning: {bad} of {all} files could not be predicted; see the column `error`"));
    }
    let to_stdout = output == Path::new("-");
    if json && !to_stdout {
        print_json(&PredictedPictures { output, files: all, bad_files: bad });
    } else if !to_stdout {
        say(&format!("predictions for {all} files written to {}", output.display()));
    }
    Ok(())
}

/// A CSV file with a line per example: the columns of the input, the class, the probability of every class, and remarks.
/// The file appears at its path when it is complete.
pub(crate) struct PredictionsCsv<'a> {
    writer: csv::Writer<BufWriter<Sink>>,
    output: &'a Path,
    classes: &'a [String],
}

/// The destination of the lines.
enum Sink {
    /// A regular file, written aside and renamed at the end.
    File(Replacement),
    /// Standard output, a pipe or a device: these cannot be replaced.
    Stream(Box<dyn Write>),
}

impl<'a> PredictionsCsv<'a> {
    /// Begins the file `output` (`-` is standard output) for the examples in `files`, with the `input` columns first and the
    /// columns `remarks` last.
    pub(crate) fn begin(
        output: &'a Path,
        files: &[PathBuf],
        input: &[String],
        classes: &'a [String],
        remarks: &[&str],
    ) -> Result<Self, Failure> {
        let place = output.canonicalize().ok();
        if place.is_some() && files.iter().any(|file| file.canonicalize().ok() == place) {
            let message = format!("{} is an input file; choose another file for --output", output.display());
            return Err(Failure::usage(message));
        }
        let sink = Sink::open(output)?;
        if let Sink::File(file) = &sink {
            let temporary = file.temporary().to_owned();
            leave_on_ctrl_c(move || drop(fs::remove_file(&temporary)));
        }
        let writer = csv::Writer::from_writer(BufWriter::with_capacity(1 << 16, sink));
        let mut csv_file = Self { writer, output, classes };
        let header = header(input, classes, remarks);
        csv_file.line(|writer| header.iter().try_for_each(|name| writer.write_field(name)))?;
        Ok(csv_file)
    }

    /// Writes a line: the cells of the input, the prediction if there is one, and the remarks.
    pub(crate) fn write<'b>(
        &mut self,
        input: impl IntoIterator<Item = &'b str>,
        prediction: Option<(&Predictions, usize)>,
        remarks: &[&str],
    ) -> Result<(), Failure> {
        let classes = self.classes.len();
        self.line(|writer| {
            input.into_iter().try_for_each(|cell| writer.write_field(cell))?;
            if let Some((predictions, at)) = prediction {
                writer.write_field(&predictions.classes()[predictions.predicted()[at] as usize])?;
                for probability in predictions.probabilities(at) {
                    writer.write_field(probability.to_string())?;
                }
            } else {
                (0..=classes).try_for_each(|_| writer.write_field(""))?;
            }
            remarks.iter().try_for_each(|remark| writer.write_field(remark))
        })
    }

    /// Completes the file and moves it to its path.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let cannot_write = |cause: &io::Error| unwritable(self.output, cause);
        let buffered = self.writer.into_inner().map_err(|error| cannot_write(error.error()))?;
        match buffered.into_inner().map_err(|error| cannot_write(error.error()))? {
            Sink::File(file) => file.finish().map_err(|error| cannot_write(&error.cause)),
            Sink::Stream(_) => Ok(()),
        }
    }

    fn line(
        &mut self,
        write: impl FnOnce(&mut csv::Writer<BufWriter<Sink>>) -> Result<(), csv::Error>,
    ) -> Result<(), Failure> {
        let written = write(&mut self.writer).and_then(|()| self.writer.write_record(None::<&[u8]>));
        written.map_err(|error| unwritable(self.output, &error.into()))
    }
}

impl Sink {
    fn open(output: &Path) -> Result<Self, Failure> {
        if output == Path::new("-") {
            return Ok(Self::Stream(Box::new(io::stdout().lock())));
        }
        if output.exists() && !output.is_file() {
            let file =
                OpenOptions::new().write(true).open(output).map_err(|cause| unwritable(output, &cause))?;
            return Ok(Self::Stream(Box::new(file)));
        }
        Ok(Self::File(Replacement::begin(output).map_err(|error| unwritable(output, &error.cause))?))
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Stream(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Stream(stream) => stream.flush(),
        }
    }
}

/// The names of the columns. An added column gets the prefix `predicted_` if the input has a column of its name.
fn header(input: &[String], classes: &[String], remarks: &[&str]) -> Vec<String> {
    let mut names = input.to_vec();
    let added = std::iter::once("class".to_owned())
        .chain(classes.iter().map(|class| format!("probability_{class}")))
        .chain(remarks.iter().map(|remark| (*remark).to_owned()));
    for name in added {
        let taken = names.contains(&name);
        names.push(if taken { format!("predicted_{name}") } else { name });
    }
    names
}
