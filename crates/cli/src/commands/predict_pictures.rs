//! `kiln predict RUN FOLDER --output out.csv`.

use std::path::{Path, PathBuf};

use kiln::{Framing, Mlp, Trained};
use kiln_files::with_causes;
use schemars::JsonSchema;
use serde::Serialize;

use crate::commands::answers::Answers;
use crate::commands::predict::{Seen, numbered};
use crate::failure::Failure;
use crate::output::{print_json, say};

/// Files that are read at a time.
const BLOCK: usize = 64;

/// What came of many pictures.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PredictedPictures<'a> {
    /// The csv file with the answers.
    output: &'a Path,
    /// Files that were asked about.
    files: usize,
    /// Files that could not be answered; the column `error` says why.
    bad_files: usize,
}

/// Answers every one of `files`: the class, the probability of every class, and what is wrong with one that cannot be
/// answered. The answers stand in `output` when they are complete; `-` is standard output.
pub(crate) fn predict_pictures(
    trained: &Trained<Mlp>,
    files: &[PathBuf],
    framing: Option<Framing>,
    mut seen: Option<Seen>,
    output: &Path,
    json: bool,
) -> Result<(), Failure> {
    let classes = &trained.profile().classes;
    let mut answers = Answers::begin(output, files, &["file".to_owned()], classes, &["error"])?;
    let mut bad = 0;
    for block in files.chunks(BLOCK) {
        for (file, inputs) in block.iter().zip(trained.inputs_of(block, framing)) {
            let name = file.to_string_lossy();
            let inputs = match inputs {
                Ok(inputs) => inputs,
                Err(error) => {
                    answers.write([&*name], None, &[&with_causes(&error)])?;
                    bad += 1;
                    continue;
                }
            };
            let predictions = trained.predict(&inputs.examples);
            for at in 0..predictions.len() {
                let name = numbered(&name, at, predictions.len());
                answers.write([&*name], Some((&predictions, at)), &[""])?;
            }
            if let Some(seen) = &mut seen {
                seen.save(file, trained.profile(), &inputs.examples);
            }
        }
    }
    answers.finish()?;
    let all = files.len();
    if bad > 0 {
        say(&format!("warning: {bad} of {all} files could not be answered; the column error says why"));
    }
    let to_stdout = output == Path::new("-");
    if json && !to_stdout {
        print_json(&PredictedPictures { output, files: all, bad_files: bad });
    } else if !to_stdout {
        say(&format!("the answers for {all} files stand in {}", output.display()));
    }
    Ok(())
}
