//! Every exported file is run on a whole split, and its answers are compared with Kiln's own, before it is written.

use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};

use kiln::{Mlp, Predictions, Split, Trained};
use kiln_data::RawValues;
use kiln_table::Treatment;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

use crate::c::{Code, fields, line};
use crate::onnx::proto::DataType;
use crate::onnx::run::{Data, Program, Tensor};
use crate::onnx::{GraphInputKind, PIXELS};
use crate::weight_files::numbers;
use crate::{ExportError, Input, Network, Pixels};

/// Examples per run of an ONNX file.
const BLOCK: usize = 256;

/// The greatest difference of a probability that counts as rounding.
pub const TOLERANCE: f64 = 1e-5;

/// The difference between the answers of a file and Kiln's own, on a split of the run's data.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Check {
    /// `test`, or `validation` if the data has no test split.
    pub split: &'static str,
    /// The number of examples.
    pub examples: usize,
    /// The greatest difference of a probability.
    pub largest_difference: f64,
    /// Examples with different predicted classes, whose probabilities differ by rounding only.
    pub ties: usize,
    /// The accuracy of the file, in [0, 1].
    pub accuracy: f64,
}

/// The answers of a file: probabilities of shape [examples, classes], row-major, and the predicted classes.
pub(crate) struct FilePredictions {
    pub(crate) probabilities: Vec<f64>,
    pub(crate) labels: Vec<usize>,
}

impl Check {
    /// Compares `answers` for the split `name` with Kiln's `own` predictions.
    ///
    /// # Errors
    /// [`ExportError::Differs`] if a probability differs by more than [`TOLERANCE`], or another class is predicted without a
    /// tie.
    pub(crate) fn new(
        name: &'static str,
        answers: &FilePredictions,
        own: &Predictions,
        network: &Network,
    ) -> Result<Self, ExportError> {
        let classes = network.classes.len();
        let mut check =
            Self { split: name, examples: own.len(), largest_difference: 0.0, ties: 0, accuracy: 0.0 };
        let (mut worst, mut right) = (0, 0);
        for (example, (row, &label)) in
            answers.probabilities.chunks_exact(classes).zip(&answers.labels).enumerate()
        {
            let expected = own.probabilities(example);
            let pairs =
                row.iter().zip(expected).map(|(found, expected)| (found - f64::from(*expected)).abs());
            // A NaN on either side counts as an infinite difference.
            let difference =
                pairs.fold(0.0, |most: f64, one| if one.is_nan() { f64::INFINITY } else { most.max(one) });
            if difference > check.largest_difference {
                (check.largest_difference, worst) = (difference, example);
            }
            let own_label = own.predicted()[example] as usize;
            right += usize::from(label == own.truth()[example] as usize);
            if label != own_label {
                check.ties += 1;
                let gap = f64::from((expected[label] - expected[own_label]).abs());
                let is_tie = match network.threshold {
                    None => gap <= 2.0 * TOLERANCE,
                    Some(limit) => (f64::from(expected[limit.positive]) - limit.least).abs() <= TOLERANCE,
                };
                if !is_tie {
                    (check.largest_difference, worst) = (gap.max(2.0 * TOLERANCE), example);
                }
            }
        }
        check.accuracy = right as f64 / own.len().max(1) as f64;
        if check.largest_difference <= TOLERANCE {
            return Ok(check);
        }
        Err(ExportError::Differs {
            example: worst,
            split: name,
            difference: check.largest_difference,
            tolerance: TOLERANCE,
        })
    }
}

/// The split for the check, with its name: the run's test split, or its validation split if there is no test split.
pub fn split_to_check(
    trained: &Trained<Mlp>,
    progress: &dyn kiln::Progress,
) -> Result<(&'static str, Split), ExportError> {
    match trained.own_split("test", progress) {
        Err(kiln::Error::NoTest) => Ok(("validation", trained.own_split("validation", progress)?)),
        other => Ok(("test", other?)),
    }
}

/// The answers of the ONNX file `bytes` for all of `split`.
pub(crate) fn answers_of_onnx(
    bytes: &[u8],
    network: &Network,
    split: &Split,
) -> Result<FilePredictions, ExportError> {
    let program = Program::read(bytes).map_err(ExportError::Unreadable)?;
    let starts: Vec<usize> = (0..split.len()).step_by(BLOCK).collect();
    let parts = starts.into_par_iter().map(|start| {
        let rows = start..(start + BLOCK).min(split.len());
        let outputs = program.run(inputs(&network.input, split, rows)).map_err(ExportError::Unreadable)?;
        let values = |at: usize| outputs[at].values().map(<[f64]>::to_vec).map_err(ExportError::Unreadable);
        Ok((values(0)?, values(1)?))
    });
    let parts = parts.collect::<Result<Vec<_>, ExportError>>()?;
    let (probabilities, labels): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    Ok(FilePredictions {
        probabilities: probabilities.concat(),
        labels: labels.concat().into_iter().map(|label| label as usize).collect(),
    })
}

/// Some rows of `split` as inputs of the graph.
fn inputs<'a>(input: &'a Input, split: &Split, rows: Range<usize>) -> Vec<(&'a str, Tensor)> {
    let (count, columns) = (rows.len(), cells(input, split, rows));
    let names: Vec<&str> = match input {
        Input::Pixels(_) => vec![PIXELS],
        Input::Columns(preparation) => preparation.used().map(|(column, _)| &*column.name).collect(),
    };
    let tensor = |cells| match (cells, input) {
        (Cells::Pixels { values, .. }, Input::Pixels(Pixels { shape, .. })) => {
            let shape = std::iter::once(count).chain(*shape).collect();
            Tensor::numbers(DataType::Uint8, shape, values.into_iter().map(f64::from).collect())
        }
        (Cells::Pixels { width, values }, Input::Columns(_)) => {
            Tensor::numbers(DataType::Uint8, vec![count, width], values.into_iter().map(f64::from).collect())
        }
        (Cells::Numbers(values), _) => Tensor::numbers(DataType::Double, vec![count, 1], values),
        (Cells::Words(words), _) => Tensor { shape: vec![count, 1], data: Data::Words(words) },
    };
    names.into_iter().zip(columns.into_iter().map(tensor)).collect()
}

/// The values of one input for some rows.
enum Cells {
    /// Pictures of `width` pixels each, one after another.
    Pixels { width: usize, values: Vec<u8> },
    /// A number for each row; NaN for a missing value.
    Numbers(Vec<f64>),
    /// A word for each row; the empty word for a missing value.
    Words(Vec<String>),
}

/// The values of each input for some rows of `split`.
fn cells(input: &Input, split: &Split, rows: Range<usize>) -> Vec<Cells> {
    let raw: Vec<RawValues<'_>> = rows.map(|row| split.raw(row)).collect();
    match input {
        Input::Pixels(Pixels { shape, .. }) => {
            let pixels = raw.iter().flat_map(|raw| match raw {
                RawValues::Bytes(values) => values.iter().copied(),
                RawValues::Floats(_) | RawValues::Cells(_) => unreachable!("pictures are bytes"),
            });
            vec![Cells::Pixels { width: shape.iter().product(), values: pixels.collect() }]
        }
        Input::Columns(preparation) => {
            let mut from = 0;
            let column = |(_, treatment): (_, &Treatment)| {
                let place = from;
                from += treatment.raw_width();
                let kept = raw.iter().map(|raw| match raw {
                    RawValues::Cells(values) => &values[place..place + treatment.raw_width()],
                    RawValues::Bytes(_) | RawValues::Floats(_) => unreachable!("rows of tables are cells"),
                });
                of_column(treatment, kept)
            };
            preparation.used().map(column).collect()
        }
    }
}

/// The values of a column, from the stored cells of a split.
fn of_column<'a>(treatment: &Treatment, kept: impl Iterator<Item = &'a [f64]>) -> Cells {
    match (GraphInputKind::of(treatment), treatment) {
        (GraphInputKind::Words, _) => {
            Cells::Words(kept.map(|cell| word(treatment, cell[0]).unwrap_or_default()).collect())
        }
        // A date is stored as its parts; the last part is the days since 1970.
        (GraphInputKind::Days, _) => Cells::Numbers(kept.map(|cell| cell[cell.len() - 1]).collect()),
        (_, Treatment::Number { .. }) => Cells::Numbers(kept.map(|cell| cell[0]).collect()),
        _ => {
            let number = |word: String| word.parse().unwrap_or(f64::MAX);
            Cells::Numbers(kept.map(|cell| word(treatment, cell[0]).map_or(f64::NAN, number)).collect())
        }
    }
}

/// The word that is stored as `code`: `None` for a missing value, and an arbitrary unknown word for an unknown one.
fn word(treatment: &Treatment, code: f64) -> Option<String> {
    if code.is_nan() {
        return None;
    }
    Some(match treatment {
        Treatment::Boolean { no, yes, .. } if code >= 0.0 => if code == 1.0 { yes } else { no }.clone(),
        Treatment::Category { values, .. } if code >= 0.0 => values[code as usize].clone(),
        _ => "\u{1}".to_owned(),
    })
}

/// The answers of the C `header` for all of `split`, compiled by the C compiler of this machine (`CC`, or `cc`). Without a
/// compiler, a remark for the user instead.
pub(crate) fn answers_of_header(
    header: &[u8],
    network: &Network,
    split: &Split,
) -> Result<Result<FilePredictions, String>, ExportError> {
    let folder = tempfile::tempdir().map_err(|cause| io("make a folder in", &std::env::temp_dir(), cause))?;
    let (source, program) = (folder.path().join("network.c"), folder.path().join("network"));
    std::fs::write(folder.path().join("network.h"), header)
        .and_then(|()| std::fs::write(&source, driver(&network.input)))
        .map_err(|cause| io("write", &source, cause))?;
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let built = Command::new(&compiler)
        .args(["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-o"])
        .args([&program, &source])
        .arg("-lm")
        .output();
    match built {
        Err(cause) => {
            return Ok(Err(format!(
                "the header was not run, because no C compiler was found ({compiler}: {cause}); CC=PROGRAM selects \
                 another compiler"
            )));
        }
        Ok(output) if !output.status.success() => {
            return Err(ExportError::Unreadable(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        Ok(_) => {}
    }
    let unrunnable = |cause| io("run", &program, cause);
    let mut child =
        Command::new(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(unrunnable)?;
    let rows = rows(&network.input, split);
    let mut stdin = child.stdin.take().expect("it is piped");
    let writer = std::thread::spawn(move || stdin.write_all(&rows));
    let output = child.wait_with_output().map_err(unrunnable)?;
    writer.join().expect("writing does not panic").map_err(unrunnable)?;
    let width = 4 * (network.classes.len() + 1);
    if !output.status.success() || output.stdout.len() != width * split.len() {
        return Err(ExportError::Unreadable(format!("the compiled header ended with {}", output.status)));
    }
    let mut answers = FilePredictions { probabilities: Vec::new(), labels: Vec::new() };
    for row in output.stdout.chunks_exact(width) {
        let (label, probabilities) = row.split_at(4);
        answers.labels.extend(numbers(label, u32::from_ne_bytes).into_iter().map(|label| label as usize));
        answers.probabilities.extend(numbers(probabilities, f32::from_ne_bytes).into_iter().map(f64::from));
    }
    Ok(Ok(answers))
}

fn io(action: &'static str, path: &Path, cause: std::io::Error) -> ExportError {
    ExportError::Io { action, path: path.to_owned(), cause }
}

/// The C source of a program that answers the rows on its standard input.
fn driver(input: &Input) -> Code {
    let mut code = Code::from("#include <stdio.h>\n#include \"network.h\"\n\nint main(void) {\n");
    line!(code, "  float probabilities[KILN_CLASSES];\n  int named;");
    match input {
        Input::Pixels(_) => {
            line!(code, "  static unsigned char pixels[KILN_FEATURES];");
            line!(code, "  while (fread(pixels, 1, KILN_FEATURES, stdin) == KILN_FEATURES) {{");
            line!(code, "    named = kiln_predict(pixels, probabilities);");
        }
        Input::Columns(preparation) => {
            let fields = fields(preparation);
            line!(code, "  kiln_row row;\n  static char words[{}][65536];\n  unsigned length;", fields.len());
            line!(code, "  (void)length;\n  (void)words;\n  for (;;) {{");
            for ((at, field), (_, treatment)) in fields.iter().enumerate().zip(preparation.used()) {
                if GraphInputKind::of(treatment) == GraphInputKind::Words {
                    line!(code, "    if (fread(&length, 4, 1, stdin) != 1) return 0;");
                    line!(
                        code,
                        "    if (length > 65535 || fread(words[{at}], 1, length, stdin) != length) return 1;"
                    );
                    line!(code, "    words[{at}][length] = 0;\n    row.{field} = words[{at}];");
                } else {
                    line!(code, "    if (fread(&row.{field}, 8, 1, stdin) != 1) return 0;");
                }
            }
            line!(code, "    named = kiln_predict(&row, probabilities);");
        }
    }
    line!(code, "    fwrite(&named, 4, 1, stdout);\n    fwrite(probabilities, 4, KILN_CLASSES, stdout);");
    line!(code, "  }}\n  return 0;\n}}");
    code
}

/// The rows of `split` in the input format of the program.
fn rows(input: &Input, split: &Split) -> Vec<u8> {
    let columns = cells(input, split, 0..split.len());
    let mut bytes = Vec::new();
    for row in 0..split.len() {
        for column in &columns {
            match column {
                Cells::Pixels { width, values } => bytes.extend_from_slice(&values[row * width..][..*width]),
                Cells::Numbers(values) => bytes.extend(values[row].to_ne_bytes()),
                Cells::Words(words) => {
                    let word = words[row].as_bytes();
                    bytes.extend((word.len() as u32).to_ne_bytes());
                    bytes.extend_from_slice(word);
                }
            }
        }
    }
    bytes
}
