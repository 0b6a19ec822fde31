//! `predictions.csv`, written.

use std::io::Write as _;

use kiln_files::{csv_cell, csv_text};
use rayon::prelude::*;

use crate::Predictions;

/// What the column of a class's probability is called before its name.
pub(crate) const PROBABILITY_PREFIX: &str = "p_";
/// The columns before the probabilities.
pub(crate) const FIRST_COLUMNS: [&str; 3] = ["index", "true", "predicted"];
/// The column after the probabilities.
pub(crate) const LOSS: &str = "loss";
/// The column after it, where examples have weights.
pub(crate) const WEIGHT: &str = "weight";
/// The last column, where examples are rows of a file: the line on which each begins.
pub(crate) const LINE: &str = "line";

/// Rows that one thread writes at a time.
const ROWS: usize = 4096;
/// Pieces that are held at once beside the whole text.
const PIECES: usize = 16;

impl Predictions {
    /// The predictions as CSV: a line for each example with its `index` in the split (from 0), the names of
    /// its `true` and `predicted` class, a probability `p_<class>` for each class, its `loss`, its
    /// `weight` if examples have one, and the `line` of the user's file if they are its rows.
    ///
    /// Numbers have the fewest digits that read back to the same bits: of single precision for a
    /// probability, of double precision for a loss. A number that is none is `NaN`.
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
        const INFALLIBLE: &str = "a vector takes all that is written to it";
        write!(text, "{example},").expect(INFALLIBLE);
        text.extend_from_slice(&names[self.truth()[example] as usize]);
        text.push(b',');
        text.extend_from_slice(&names[self.predicted()[example] as usize]);
        // The debug form is the shortest that reads back, with an exponent where that is shorter by far.
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
