//! `kiln predict RUN rows.csv --output out.csv`.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use kiln::{Mlp, Predictions, Trained};
use kiln_data::{RowBlock, TableRows};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{print_json, say, unwritable};

/// Rows that are predicted at a time.
const BLOCK: usize = 8192;

/// What came of a table.
#[derive(Serialize)]
struct Summary<'a> {
    file: &'a Path,
    output: &'a Path,
    rows: u64,
    /// Rows that could not be predicted; the column `error` says why.
    bad_rows: u64,
    remarks: Vec<String>,
}

/// Answers every row of the table at `file`: its own columns, the class, the probability of every class, and what is wrong
/// with a row that cannot be answered. The answers stand in `output` when they are complete; `-` is standard output.
pub(crate) fn predict_table(
    trained: &Trained<Mlp>,
    file: &Path,
    output: &Path,
    json: bool,
) -> Result<(), Failure> {
    let is_same = || Some(fs::canonicalize(file).ok()? == fs::canonicalize(output).ok()?);
    if is_same() == Some(true) {
        return Err(Failure::usage(format!(
            "{} is the table itself: --output takes another file",
            output.display()
        )));
    }
    let mut rows = trained.rows(file)?;
    let to_stdout = output == Path::new("-");
    let part = part_of(output);
    let cannot_write = |cause| unwritable(output, &cause);
    let sink: Box<dyn Write> = if to_stdout {
        Box::new(io::stdout().lock())
    } else {
        Box::new(File::create(&part).map_err(cannot_write)?)
    };
    let written = write_answers(trained, &mut rows, sink).and_then(|counts| {
        if !to_stdout {
            fs::rename(&part, output).map_err(cannot_write)?;
        }
        Ok(counts)
    });
    let [count, bad] = written.inspect_err(|_| {
        if !to_stdout {
            let _ = fs::remove_file(&part);
        }
    })?;
    let remarks = rows.remarks();
    for remark in &remarks {
        say(&format!("note: {remark}"));
    }
    if bad > 0 {
        say(&format!("warning: {bad} of {count} rows could not be answered; the column error says why"));
    }
    if json && !to_stdout {
        print_json(&Summary { file, output, rows: count, bad_rows: bad, remarks });
    } else if !to_stdout {
        say(&format!("{count} rows in {}", output.display()));
    }
    Ok(())
}

fn part_of(output: &Path) -> std::path::PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// Writes an answer for every row; gives how many rows there were, and how many could not be answered.
fn write_answers(
    trained: &Trained<Mlp>,
    rows: &mut TableRows,
    sink: Box<dyn Write>,
) -> Result<[u64; 2], Failure> {
    let cannot_write = |error: csv::Error| Failure::failed(format!("cannot write the answers: {error}"));
    let mut writer = csv::Writer::from_writer(BufWriter::with_capacity(1 << 16, sink));
    writer.write_record(header(rows.columns(), &trained.profile().classes)).map_err(cannot_write)?;
    let (width, mut count, mut bad) = (rows.columns().len(), 0, 0);
    while let Some(RowBlock { rows, faults, examples }) = rows.next_block(BLOCK).map_err(Failure::from)? {
        let predictions = (!examples.is_empty()).then(|| trained.predict(&examples));
        let mut at = 0;
        for (row, fault) in rows.iter().zip(&faults) {
            for column in 0..width {
                writer.write_field(row.cell(column)).map_err(cannot_write)?;
            }
            match (&predictions, fault) {
                (Some(predictions), None) => {
                    answer(&mut writer, predictions, at).map_err(cannot_write)?;
                    at += 1;
                }
                (_, fault) => {
                    bad += 1;
                    no_answer(&mut writer, trained, fault.as_deref()).map_err(cannot_write)?;
                }
            }
            count += 1;
        }
    }
    writer.flush().map_err(|error| cannot_write(error.into()))?;
    Ok([count, bad])
}

/// The names of the user's columns and of those that are added; `class` is told apart from a column that is called so.
fn header(columns: &[String], classes: &[String]) -> Vec<String> {
    let mut names = columns.to_vec();
    let added = std::iter::once("class".to_owned())
        .chain(classes.iter().map(|class| format!("probability_{class}")))
        .chain(std::iter::once("error".to_owned()));
    for name in added {
        let taken = names.contains(&name);
        names.push(if taken { format!("predicted_{name}") } else { name });
    }
    names
}

fn answer(
    writer: &mut csv::Writer<BufWriter<Box<dyn Write>>>,
    predictions: &Predictions,
    at: usize,
) -> Result<(), csv::Error> {
    writer.write_field(&predictions.classes()[predictions.predicted()[at] as usize])?;
    for probability in predictions.probabilities(at) {
        writer.write_field(probability.to_string())?;
    }
    writer.write_field("")?;
    writer.write_record(None::<&[u8]>)
}

fn no_answer(
    writer: &mut csv::Writer<BufWriter<Box<dyn Write>>>,
    trained: &Trained<Mlp>,
    fault: Option<&str>,
) -> Result<(), csv::Error> {
    for _ in 0..=trained.profile().classes.len() {
        writer.write_field("")?;
    }
    writer.write_field(fault.unwrap_or_default())?;
    writer.write_record(None::<&[u8]>)
}
