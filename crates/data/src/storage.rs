//! The raw values of examples, kept once and shared by all splits.

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
}

/// One example's values as the source has them, one per feature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Raw<'a> {
    /// Pixels, plane by plane and row by row (see [`Shape::Image`](crate::Shape)), 0 (background) to 255, or to 16 for `digits`.
    Bytes(&'a [u8]),
    /// Columns of a table.
    Floats(&'a [f32]),
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

    /// Features of one example.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The greatest value that a pixel can have; none for numbers, which have no such bound.
    pub(crate) fn greatest(&self) -> Option<u8> {
        match self.values {
            Values::Bytes { greatest, .. } => Some(greatest),
            Values::Floats(_) => None,
        }
    }

    /// The values of example `row`.
    pub(crate) fn row(&self, row: usize) -> Raw<'_> {
        let range = row * self.width..(row + 1) * self.width;
        match &self.values {
            Values::Bytes { values, .. } => Raw::Bytes(&values[range]),
            Values::Floats(values) => Raw::Floats(&values[range]),
        }
    }
}

impl Raw<'_> {
    /// The number of features.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(values) => values.len(),
            Self::Floats(values) => values.len(),
        }
    }

    /// True when there is no feature.
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
        }
    }
}
