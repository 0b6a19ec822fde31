//! The raw values of examples, kept once and shared by all splits.

use std::ops::Range;
use std::sync::Arc;

use kiln_table::{Blocks, Preparation};

/// The values of many examples, row after row, in the type that the source has them in: a pixel stays one
/// byte in memory.
#[derive(Debug)]
pub(crate) struct Storage {
    width: usize,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Bytes { values: Vec<u8>, greatest: u8 },
    Floats(Vec<f32>),
    Cells { values: Blocks<f64>, preparation: Arc<Preparation>, lines: Vec<u32> },
}

/// One example's values as the source has them, one per feature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Raw<'a> {
    /// Pixels, plane by plane and row by row (see [`Shape::Image`](crate::Shape)), 0 (background) to 255, or to 16 for `digits`.
    Bytes(&'a [u8]),
    /// Numbers.
    Floats(&'a [f32]),
    /// What the columns of a table are kept as; see [`Preparation`].
    Cells(&'a [f64]),
}

impl Storage {
    /// Pixels of images of `width` pixels each, none above `greatest`.
    pub(crate) fn bytes(width: usize, values: Vec<u8>, greatest: u8) -> Self {
        debug_assert_eq!(values.len() % width, 0, "rows are whole");
        Self { width, values: Values::Bytes { values, greatest } }
    }

    /// Rows of `width` numbers each.
    pub(crate) fn floats(width: usize, values: Vec<f32>) -> Self {
        debug_assert_eq!(values.len() % width, 0, "rows are whole");
        Self { width, values: Values::Floats(values) }
    }

    /// Rows of a table as `preparation` keeps them, and the line of the file on which each begins.
    pub(crate) fn cells(values: Blocks<f64>, preparation: Arc<Preparation>, lines: Vec<u32>) -> Self {
        let width = preparation.raw_width();
        debug_assert_eq!((values.rows(), values.width()), (lines.len(), width), "rows are whole");
        Self { width, values: Values::Cells { values, preparation, lines } }
    }

    /// No rows yet: those of a table can be kept once it is known which of them are trained on.
    pub(crate) fn pending() -> Self {
        Self::floats(1, Vec::new())
    }

    /// Values that one example is kept as.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The greatest value that a pixel can have; none for numbers, which have no such bound.
    pub(crate) fn greatest(&self) -> Option<u8> {
        match self.values {
            Values::Bytes { greatest, .. } => Some(greatest),
            Values::Floats(_) | Values::Cells { .. } => None,
        }
    }

    /// How the rows of a table are kept; none for others.
    pub(crate) fn preparation(&self) -> Option<&Arc<Preparation>> {
        match &self.values {
            Values::Cells { preparation, .. } => Some(preparation),
            _ => None,
        }
    }

    /// The line of the user's file on which example `row` begins; none where there are no lines.
    pub(crate) fn line(&self, row: usize) -> Option<u32> {
        match &self.values {
            Values::Cells { lines, .. } => Some(lines[row]),
            _ => None,
        }
    }

    /// For each pair of rows an example with the `values` of the second, and all others of the first.
    pub(crate) fn with_values_of(
        &self,
        pairs: impl Iterator<Item = (u32, u32)>,
        values: &Range<usize>,
    ) -> Self {
        let donor_of = |(row, donor): (u32, u32)| {
            let from = move |at: usize| if values.contains(&at) { donor } else { row };
            (0..self.width).map(move |at| (from(at) as usize, at))
        };
        let flat = |(row, at): (usize, usize)| row * self.width + at;
        match &self.values {
            Values::Bytes { values, greatest } => {
                let values = pairs.flat_map(donor_of).map(|place| values[flat(place)]).collect();
                Self::bytes(self.width, values, *greatest)
            }
            Values::Floats(values) => {
                let values = pairs.flat_map(donor_of).map(|place| values[flat(place)]).collect();
                Self::floats(self.width, values)
            }
            Values::Cells { values, preparation, lines } => {
                let (mut cells, mut own_lines) = (Blocks::new(self.width), Vec::new());
                for pair in pairs {
                    cells.push(donor_of(pair).map(|(row, at)| values.row(row)[at]));
                    own_lines.push(lines[pair.0 as usize]);
                }
                Self::cells(cells, Arc::clone(preparation), own_lines)
            }
        }
    }

    /// The values of example `row`.
    pub(crate) fn row(&self, row: usize) -> Raw<'_> {
        let range = || row * self.width..(row + 1) * self.width;
        match &self.values {
            Values::Bytes { values, .. } => Raw::Bytes(&values[range()]),
            Values::Floats(values) => Raw::Floats(&values[range()]),
            Values::Cells { values, .. } => Raw::Cells(values.row(row)),
        }
    }
}

impl Raw<'_> {
    /// The number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(values) => values.len(),
            Self::Floats(values) => values.len(),
            Self::Cells(values) => values.len(),
        }
    }

    /// True when there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values as floats, not scaled.
    #[must_use]
    pub fn to_floats(&self) -> Vec<f32> {
        match self {
            Self::Bytes(values) => values.iter().copied().map(f32::from).collect(),
            Self::Floats(values) => values.to_vec(),
            Self::Cells(values) => values.iter().map(|&value| value as f32).collect(),
        }
    }
}
