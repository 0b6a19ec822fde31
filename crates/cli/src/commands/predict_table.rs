//! `kiln predict RUN rows.csv --output out.csv`.

use std::path::Path;

use kiln::{Mlp, Trained};
use kiln_data::{RowBlock, TableRows};
use schemars::JsonSchema;
use serde::Serialize;

use crate::commands::answers::Answers;
use crate::failure::Failure;
use crate::output::{print_json, say};

/// Rows that are predicted at a time.
const BLOCK: usize = 8192;

/// What came of a table.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PredictedTable<'a> {
    /// The table.
    file: &'a Path,
    /// The csv file with the answers.
    output: &'a Path,
    /// Rows that were asked about.
    rows: u64,
    /// Rows that could not be predicted; the column `error` says why.
    bad_rows: u64,
    /// Rows of which something is not known; the column `notes` says what.
    noted_rows: u64,
    /// What is remarkable about the table, a sentence each.
    notices: Vec<String>,
}

/// How many rows there were.
#[derive(Default)]
struct Counts {
    all: u64,
    bad: u64,
    noted: u64,
}

/// Answers every row of the table at `file`: its own columns, the class, the probability of every class, what is wrong with
/// a row that cannot be answered, and what is not known of another. The answers stand in `output` when they are complete;
/// `-` is standard output.
pub(crate) fn predict_table(
    trained: &Trained<Mlp>,
    file: &Path,
    output: &Path,
    json: bool,
) -> Result<(), Failure> {
    let mut rows = trained.rows(file)?;
    let classes = &trained.profile().classes;
    let mut answers =
        Answers::begin(output, &[file.to_owned()], rows.columns(), classes, &["error", "notes"])?;
    let Counts { all, bad, noted } = write_answers(trained, &mut rows, &mut answers)?;
    answers.finish()?;
    let notices = rows.remarks();
    for notice in &notices {
        say(&format!("note: {notice}"));
    }
    if bad > 0 {
        say(&format!("warning: {bad} of {all} rows could not be answered; the column error says why"));
    }
    if noted > 0 {
        say(&format!(
            "note: {noted} of {all} rows have a value that is missing or not known; the column notes says which"
        ));
    }
    let to_stdout = output == Path::new("-");
    if json && !to_stdout {
        let (bad_rows, noted_rows) = (bad, noted);
        print_json(&PredictedTable { file, output, rows: all, bad_rows, noted_rows, notices });
    } else if !to_stdout {
        say(&format!("{all} rows in {}", output.display()));
    }
    Ok(())
}

fn write_answers(
    trained: &Trained<Mlp>,
    rows: &mut TableRows,
    answers: &mut Answers<'_>,
) -> Result<Counts, Failure> {
    let (width, mut counts) = (rows.columns().len(), Counts::default());
    while let Some(block) = rows.next_block(BLOCK).map_err(Failure::from)? {
        let RowBlock { rows, faults, notes, examples } = block;
        let predictions = (!examples.is_empty()).then(|| trained.predict(&examples));
        let mut at = 0;
        for (row, fault) in rows.iter().zip(&faults) {
            let cells = (0..width).map(|column| row.cell(column));
            match (&predictions, fault) {
                (Some(predictions), None) => {
                    answers.write(cells, Some((predictions, at)), &["", &notes[at]])?;
                    counts.noted += u64::from(!notes[at].is_empty());
                    at += 1;
                }
                (_, fault) => {
                    answers.write(cells, None, &[fault.as_deref().unwrap_or_default(), ""])?;
                    counts.bad += 1;
                }
            }
            counts.all += 1;
        }
    }
    Ok(counts)
}
