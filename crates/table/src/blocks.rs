//! Rows of equal length in memory, and the cells that they consist of before they are numbers.

use std::convert::Infallible;

use rayon::prelude::*;

/// A cell in eight bytes: a number, a text as its index in the column, or missing. The latter two use the payload bits of an
/// IEEE 754 NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cell(u64);

/// The value of a [`Cell`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A finite number.
    Number(f64),
    /// The index of a text in its column.
    Text(u32),
    /// No value.
    Missing,
}

const QUIET_NAN: u64 = 0x7ff8_0000_0000_0000;

impl Cell {
    /// No value.
    pub const MISSING: Self = Self(QUIET_NAN);

    /// A text that does not have an index yet.
    pub(crate) const UNNUMBERED: Self = Self(u64::MAX);

    /// The finite `number`.
    #[must_use]
    pub fn number(number: f64) -> Self {
        debug_assert!(number.is_finite(), "cells hold finite numbers");
        Self(number.to_bits())
    }

    /// The text with index `number` in its column.
    #[must_use]
    pub fn text(number: u32) -> Self {
        Self(QUIET_NAN | (u64::from(number) + 1))
    }

    /// Stores any number, even a NaN, in the memory of a cell.
    pub(crate) fn raw(number: f64) -> Self {
        Self(number.to_bits())
    }

    /// The number that [`Cell::raw`] stored.
    pub(crate) fn to_raw(self) -> f64 {
        f64::from_bits(self.0)
    }

    /// The value.
    #[must_use]
    pub fn value(self) -> Value {
        if self.0 & QUIET_NAN != QUIET_NAN {
            Value::Number(f64::from_bits(self.0))
        } else if self == Self::MISSING {
            Value::Missing
        } else {
            Value::Text(((self.0 & !QUIET_NAN) - 1) as u32)
        }
    }
}

/// The number of values in a block.
const VALUES: usize = 1 << 16;

/// Rows of equal length in blocks of memory. Growing never copies the table, and converting it frees its memory block by
/// block.
#[derive(Clone, Debug, PartialEq)]
pub struct Blocks<T> {
    width: usize,
    rows_in_block: usize,
    rows: usize,
    values: Vec<Vec<T>>,
}

impl<T: Copy + Send> Blocks<T> {
    /// An empty table for rows of `width` values.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self { width, rows_in_block: (VALUES / width.max(1)).max(1), rows: 0, values: Vec::new() }
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of values per row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Adds a row: `write` appends its values. If `write` fails, no row is added.
    ///
    /// # Panics
    /// If `write` does not append exactly one value per column.
    pub fn push_row<E>(&mut self, write: impl FnOnce(&mut Vec<T>) -> Result<(), E>) -> Result<(), E> {
        if self.rows.is_multiple_of(self.rows_in_block) {
            // A small table does not reserve a whole block.
            let room = if self.rows == 0 { 0 } else { self.rows_in_block * self.width };
            self.values.push(Vec::with_capacity(room));
        }
        let block = self.values.last_mut().expect("just made");
        let before = block.len();
        let result = write(block);
        if result.is_err() {
            block.truncate(before);
            if before == 0 {
                self.values.pop();
            }
            return result;
        }
        assert_eq!(block.len() - before, self.width, "rows are of equal length");
        self.rows += 1;
        result
    }

    /// Adds a row.
    ///
    /// # Panics
    /// If the row does not have exactly one value per column.
    pub fn push(&mut self, row: impl Iterator<Item = T>) {
        let pushed = self.push_row(|out| {
            out.extend(row);
            Ok::<(), Infallible>(())
        });
        match pushed {
            Ok(()) => {}
        }
    }

    /// The rows in order.
    pub fn iter(&self) -> impl Iterator<Item = &[T]> {
        (0..self.rows).map(|at| self.row(at))
    }

    /// The values of row `at`.
    #[must_use]
    pub fn row(&self, at: usize) -> &[T] {
        let start = at % self.rows_in_block * self.width;
        &self.values[at / self.rows_in_block][start..start + self.width]
    }
}

impl Blocks<Cell> {
    /// Converts every row of cells to `width` numbers. `write` gets the index and the cells of a row and appends its numbers.
    /// Rows that do not grow reuse the memory of their cells, so that a large table is not in memory twice.
    ///
    /// # Panics
    /// If `write` does not append exactly `width` numbers.
    pub(crate) fn numbers<E: Send>(
        self,
        width: usize,
        write: impl Fn(usize, &[Cell], &mut Vec<f64>) -> Result<(), E> + Sync,
    ) -> Result<Blocks<f64>, E> {
        let Self { width: old_width, rows_in_block, rows, values } = self;
        let map = |(number, mut block): (usize, Vec<Cell>)| {
            let count = block.len() / old_width.max(1);
            let (mut row, mut out) = (Vec::with_capacity(old_width), Vec::with_capacity(width));
            let mut grown = Vec::new();
            for at in 0..count {
                row.clear();
                row.extend_from_slice(&block[at * old_width..(at + 1) * old_width]);
                out.clear();
                write(number * rows_in_block + at, &row, &mut out)?;
                assert_eq!(out.len(), width, "rows are of equal length");
                if width <= old_width {
                    for (place, &value) in block[at * width..].iter_mut().zip(&out) {
                        *place = Cell::raw(value);
                    }
                } else {
                    grown.extend_from_slice(&out);
                }
            }
            if width > old_width {
                return Ok(grown);
            }
            block.truncate(count * width);
            Ok(block.into_iter().map(Cell::to_raw).collect())
        };
        let values = values.into_par_iter().enumerate().map(map).collect::<Result<_, E>>()?;
        Ok(Blocks { width, rows_in_block, rows, values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_returns_the_value_that_it_stores() {
        for number in [0.0, -0.0, 1.5, -1e300, f64::MAX, f64::MIN_POSITIVE, 1.7e9] {
            assert_eq!(Cell::number(number).value(), Value::Number(number));
        }
        for text in [0, 1, u32::MAX] {
            assert_eq!(Cell::text(text).value(), Value::Text(text));
        }
        assert_eq!(Cell::MISSING.value(), Value::Missing);
    }

    #[test]
    fn rows_are_read_back_unchanged() {
        let mut blocks = Blocks::new(1 << 18);
        for row in 0..5_u32 {
            blocks
                .push_row(|out| {
                    out.extend(std::iter::repeat_n(row, 1 << 18));
                    Ok::<(), Infallible>(())
                })
                .unwrap();
        }
        assert_eq!(
            blocks.push_row(|out| {
                out.push(9);
                Err("no")
            }),
            Err("no")
        );
        assert_eq!((blocks.rows(), blocks.values.len()), (5, 5));
        assert!((0..5).all(|row| blocks.row(row as usize).iter().all(|&value| value == row)));
    }

    #[test]
    fn rows_of_cells_are_converted_to_fewer_or_more_numbers() {
        for width in [1, 3] {
            let mut blocks = Blocks::new(2);
            (0..100_000)
                .for_each(|row| blocks.push([Cell::MISSING, Cell::number(f64::from(row))].into_iter()));
            let numbers = blocks
                .numbers(width, |at, row, out| {
                    let Value::Number(number) = row[1].value() else { return Err(at) };
                    out.resize(width, number);
                    Ok(())
                })
                .unwrap();
            assert_eq!((numbers.rows(), numbers.width()), (100_000, width));
            assert!((0..100_000).all(|row| numbers.row(row) == vec![row as f64; width]));
        }
    }
}
