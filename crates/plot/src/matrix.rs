//! A square of numbers by class and class: a confusion matrix.

mod layout;

use self::layout::Layout;
use crate::{PlotError, render};

/// Numbers by true and predicted class, as colours, and up to 20 classes as figures, too.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// What stands above the matrix.
    pub title: String,
    /// What the rows are: `true class`.
    pub row_label: String,
    /// What the columns are: `predicted class`.
    pub column_label: String,
    /// The names of the classes, at most 100; long ones are shortened.
    pub names: Vec<String>,
    /// Numbers from 0 on, by row and then by column, both in the order of the names. One that is not finite, as
    /// a rate of a class without examples, leaves its cell without colour.
    pub cells: Vec<Vec<f64>>,
    /// What the numbers are.
    pub format: CellFormat,
}

/// What the numbers of a matrix are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellFormat {
    /// Whole numbers up to 1e15; the darkest colour is that of the greatest.
    Count,
    /// Shares in [0, 1], shown with two decimals but for `0`; the darkest colour is that of 1.
    Rate,
}

/// More classes than this have rows too low for a name.
const MOST_CLASSES: usize = 100;

impl Matrix {
    /// The picture as SVG.
    ///
    /// # Errors
    ///
    /// When there is no finite number, there are more than 100 classes, the rows and columns are not as many as
    /// the names, or a number is negative or too great.
    pub fn to_svg(&self) -> Result<String, PlotError> {
        self.check()?;
        render::svg(&Layout::of(self))
    }

    /// The picture as the bytes of a PNG file.
    ///
    /// # Errors
    ///
    /// As [`Matrix::to_svg`].
    pub fn to_png(&self) -> Result<Vec<u8>, PlotError> {
        self.check()?;
        render::png(&Layout::of(self))
    }

    fn check(&self) -> Result<(), PlotError> {
        let (title, names) = (self.title.clone(), self.names.len());
        let short_row = self.cells.iter().position(|row| row.len() != names);
        if let Some(found) = self.wrong_value() {
            Err(found)
        } else if let Some(row) = short_row {
            let found = format!("{} cells in row {}", self.cells[row].len(), row + 1);
            Err(PlotError::MatrixShape { title, names, found })
        } else if self.cells.len() != names {
            Err(PlotError::MatrixShape { title, names, found: format!("{} rows", self.cells.len()) })
        } else if names > MOST_CLASSES {
            Err(PlotError::TooManyClasses { title, found: names, most: MOST_CLASSES })
        } else if self.finite_cells().next().is_none() {
            Err(PlotError::Nothing { title })
        } else {
            Ok(())
        }
    }

    fn wrong_value(&self) -> Option<PlotError> {
        let (most, range) = match self.format {
            // Greater counts are not exact as floats.
            CellFormat::Count => (1e15, "[0, 1e15]"),
            // Rates are sums of floats.
            CellFormat::Rate => (1.0 + 1e-6, "[0, 1]"),
        };
        let value = self.finite_cells().find(|value| *value < 0.0 || *value > most)?;
        Some(PlotError::OutOfRange { title: self.title.clone(), what: "the cell", value, range })
    }

    fn finite_cells(&self) -> impl Iterator<Item = f64> {
        self.cells.iter().flatten().copied().filter(|value| value.is_finite())
    }
}

impl CellFormat {
    fn text(self, value: f64) -> String {
        match self {
            _ if !value.is_finite() => "–".to_owned(),
            Self::Rate if value != 0.0 => format!("{value:.2}"),
            _ => format!("{value:.0}"),
        }
    }
}

#[cfg(test)]
mod tests;
