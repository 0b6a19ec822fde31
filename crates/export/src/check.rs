//! Every file is run before it is handed over: on a whole split, beside Kiln itself.

use std::ops::Range;

use kiln::{Mlp, Predictions, Split, Trained};
use kiln_data::Raw;
use kiln_table::Treatment;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

use crate::onnx::proto::Kind;
use crate::onnx::run::{Data, Program, Tensor};
use crate::onnx::{ColumnKind, PIXELS};
use crate::{ExportError, Input, Network, Pixels};

/// Examples that go through a file at a time.
const BLOCK: usize = 256;

/// The greatest difference of a probability that is rounding.
pub const TOLERANCE: f64 = 1e-5;

/// How far the answers of a file are from Kiln's own on a split of the run's data.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Check {
    /// `test`, or `validation` where the data have no test split.
    pub split: &'static str,
    /// Examples that both answered.
    pub examples: usize,
    /// The greatest difference of a probability.
    pub largest_difference: f64,
    /// Examples that the two name different classes for, which are as probable but for rounding.
    pub ties: usize,
    /// The share of the examples that the file names the true class of, in [0, 1].
    pub accuracy: f64,
}

/// What a file answers: the probabilities of each example, one row after the other, and the classes that are named.
pub(crate) struct Answers {
    pub(crate) probabilities: Vec<f64>,
    pub(crate) labels: Vec<usize>,
}

impl Check {
    /// Holds `answers` to what Kiln says of `split`, which is called `name`.
    ///
    /// # Errors
    /// Where a probability differs by more than [`TOLERANCE`], or another class is named.
    pub(crate) fn new(
        name: &'static str,
        answers: &Answers,
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
            // A NaN on one side alone is as far off as can be.
            let difference =
                pairs.fold(0.0, |most: f64, one| if one.is_nan() { f64::INFINITY } else { most.max(one) });
            if difference > check.largest_difference {
                (check.largest_difference, worst) = (difference, example);
            }
            let named = own.predicted()[example] as usize;
            right += usize::from(label == own.truth()[example] as usize);
            if label != named {
                check.ties += 1;
                let gap = f64::from((expected[label] - expected[named]).abs());
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

/// The examples that files are tried on: the run's test split, or its validation split where it has none.
///
/// # Errors
/// Where the run's data cannot be had, or have neither.
pub fn split_to_check(
    trained: &Trained<Mlp>,
    progress: &dyn kiln::Progress,
) -> Result<(&'static str, Split), ExportError> {
    match trained.own_split("test", progress) {
        Err(kiln::Error::NoTest) => Ok(("validation", trained.own_split("validation", progress)?)),
        other => Ok(("test", other?)),
    }
}

/// What the ONNX file in `bytes` answers for all of `split`.
pub(crate) fn answers_of_onnx(
    bytes: &[u8],
    network: &Network,
    split: &Split,
) -> Result<Answers, ExportError> {
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
    Ok(Answers {
        probabilities: probabilities.concat(),
        labels: labels.concat().into_iter().map(|label| label as usize).collect(),
    })
}

/// Some rows of `split` as the graph takes them.
fn inputs<'a>(input: &'a Input, split: &Split, rows: Range<usize>) -> Vec<(&'a str, Tensor)> {
    let (count, columns) = (rows.len(), cells(input, split, rows));
    let names: Vec<&str> = match input {
        Input::Pixels(_) => vec![PIXELS],
        Input::Columns(preparation) => preparation.used().map(|(column, _)| &*column.name).collect(),
    };
    let tensor = |cells| match (cells, input) {
        (Cells::Pixels { values, .. }, Input::Pixels(Pixels { shape, .. })) => {
            let shape = std::iter::once(count).chain(*shape).collect();
            Tensor::numbers(Kind::Uint8, shape, values.into_iter().map(f64::from).collect())
        }
        (Cells::Pixels { width, values }, Input::Columns(_)) => {
            Tensor::numbers(Kind::Uint8, vec![count, width], values.into_iter().map(f64::from).collect())
        }
        (Cells::Numbers(values), _) => Tensor::numbers(Kind::Double, vec![count, 1], values),
        (Cells::Words(words), _) => Tensor { shape: vec![count, 1], data: Data::Words(words) },
    };
    names.into_iter().zip(columns.into_iter().map(tensor)).collect()
}

/// What an input is given for some rows.
pub(crate) enum Cells {
    /// Pictures of `width` pixels each, one after another.
    Pixels { width: usize, values: Vec<u8> },
    /// A number for each row; NaN for none.
    Numbers(Vec<f64>),
    /// A word for each row; the empty one for none.
    Words(Vec<String>),
}

/// Some rows of `split`, input by input.
pub(crate) fn cells(input: &Input, split: &Split, rows: Range<usize>) -> Vec<Cells> {
    let raw: Vec<Raw<'_>> = rows.map(|row| split.raw(row)).collect();
    match input {
        Input::Pixels(Pixels { shape, .. }) => {
            let pixels = raw.iter().flat_map(|raw| match raw {
                Raw::Bytes(values) => values.iter().copied(),
                Raw::Floats(_) | Raw::Cells(_) => unreachable!("pictures are bytes"),
            });
            vec![Cells::Pixels { width: shape.iter().product(), values: pixels.collect() }]
        }
        Input::Columns(preparation) => {
            let mut from = 0;
            let column = |(_, treatment): (_, &Treatment)| {
                let place = from;
                from += treatment.raw_width();
                let kept = raw.iter().map(|raw| match raw {
                    Raw::Cells(values) => &values[place..place + treatment.raw_width()],
                    Raw::Bytes(_) | Raw::Floats(_) => unreachable!("rows of tables are cells"),
                });
                of_column(treatment, kept)
            };
            preparation.used().map(column).collect()
        }
    }
}

/// The cells of a column, each as it is kept.
fn of_column<'a>(treatment: &Treatment, kept: impl Iterator<Item = &'a [f64]>) -> Cells {
    match (ColumnKind::of(treatment), treatment) {
        (ColumnKind::Words, _) => {
            Cells::Words(kept.map(|cell| word(treatment, cell[0]).unwrap_or_default()).collect())
        }
        // The days since 1970 are the last of the parts that a date is kept as.
        (ColumnKind::Days, _) => Cells::Numbers(kept.map(|cell| cell[cell.len() - 1]).collect()),
        (_, Treatment::Number { .. }) => Cells::Numbers(kept.map(|cell| cell[0]).collect()),
        _ => {
            let number = |word: String| word.parse().unwrap_or(f64::MAX);
            Cells::Numbers(kept.map(|cell| word(treatment, cell[0]).map_or(f64::NAN, number)).collect())
        }
    }
}

/// The word that a cell of names is kept as `code` for: none for no value, and for one that is not known some other word.
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
