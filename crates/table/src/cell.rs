//! One cell of a table in memory.

/// A number, the number of a text of its column, or nothing, in eight bytes: what is no number is kept in the bits that
/// IEEE 754 leaves free in its NaNs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cell(u64);

/// What a [`Cell`] holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A finite number.
    Number(f64),
    /// The text of this number in its column.
    Text(u32),
    /// No value.
    Missing,
}

const QUIET_NAN: u64 = 0x7ff8_0000_0000_0000;

impl Cell {
    /// No value.
    pub const MISSING: Self = Self(QUIET_NAN);

    /// A text that has yet to get its number.
    pub(crate) const UNNUMBERED: Self = Self(u64::MAX);

    /// The finite `number`.
    #[must_use]
    pub fn number(number: f64) -> Self {
        debug_assert!(number.is_finite(), "cells hold finite numbers");
        Self(number.to_bits())
    }

    /// The text `number` of its column.
    #[must_use]
    pub fn text(number: u32) -> Self {
        Self(QUIET_NAN | (u64::from(number) + 1))
    }

    /// Any number at all, in the place of a cell.
    pub(crate) fn raw(number: f64) -> Self {
        Self(number.to_bits())
    }

    /// The number that stands in the place of a cell.
    pub(crate) fn to_raw(self) -> f64 {
        f64::from_bits(self.0)
    }

    /// What it holds.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_gives_back_what_it_was_given() {
        for number in [0.0, -0.0, 1.5, -1e300, f64::MAX, f64::MIN_POSITIVE, 1.7e9] {
            assert_eq!(Cell::number(number).value(), Value::Number(number));
        }
        for text in [0, 1, u32::MAX] {
            assert_eq!(Cell::text(text).value(), Value::Text(text));
        }
        assert_eq!(Cell::MISSING.value(), Value::Missing);
    }
}
