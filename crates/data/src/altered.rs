//! Examples as they would be with other values: what an evaluation asks of a network about the columns of a table.

use std::ops::Range;

use kiln_table::Treatment;

use crate::{Shape, Split};

/// A column of a table that a network is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedColumn {
    /// Its name.
    pub name: String,
    /// Where its values stand among those that an example is kept as ([`Split::raw`]).
    pub values: Range<usize>,
    /// What it holds.
    pub holds: Holds,
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Amounts.
    Numbers,
    /// Numbers that stand for words, from 0; below that, for a word that is not known.
    Words,
    /// Parts of dates.
    Dates,
}

impl Split {
    /// The columns that a network is given, where the examples, of this `shape`, are rows of a table; else none. They are those
    /// of [`Split::words`], in that order.
    #[must_use]
    pub fn used_columns(&self, shape: &Shape) -> Vec<UsedColumn> {
        let mut start = 0;
        let mut column = |name: &str, width: usize, holds: Holds| {
            start += width;
            UsedColumn { name: name.to_owned(), values: start - width..start, holds }
        };
        match (self.preparation(), shape) {
            (Some(preparation), _) => preparation
                .used()
                .map(|(of, treatment)| {
                    let holds = match treatment {
                        Treatment::Number { .. } => Holds::Numbers,
                        Treatment::Boolean { .. } | Treatment::Category { .. } => Holds::Words,
                        Treatment::Date { .. } => Holds::Dates,
                    };
                    column(&of.name, treatment.raw_width(), holds)
                })
                .collect(),
            (None, Shape::Columns(names)) => {
                names.iter().map(|name| column(name, 1, Holds::Numbers)).collect()
            }
            (None, Shape::Image { .. }) => Vec::new(),
        }
    }

    /// The examples at `positions`, each with the `values` of another example: of the one at the same place of `donors`.
    ///
    /// # Panics
    /// If there are not as many donors as positions, or one of them or of the values is not there.
    #[must_use]
    pub fn with_values_of(&self, positions: &[u32], donors: &[u32], values: &Range<usize>) -> Self {
        assert_eq!(positions.len(), donors.len(), "a donor for every example");
        let row = |position: &u32| self.rows()[*position as usize];
        let rows = positions.iter().map(row).zip(donors.iter().map(row));
        let storage = self.storage().with_values_of(rows, values);
        let labels = positions.iter().map(|&position| self.label(position as usize)).collect();
        let altered = Self::new(storage, labels);
        match self.folds_of(positions) {
            Some(folds) => altered.with_folds(folds),
            None => altered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Storage;

    #[test]
    fn an_example_is_given_the_values_of_another() {
        let split = Split::new(Storage::floats(3, (0..12_u8).map(f32::from).collect()), vec![0, 1, 0, 1]);
        let shape = Shape::Columns(["a", "b", "c"].map(str::to_owned).to_vec());
        let columns = split.used_columns(&shape);
        assert_eq!((columns[1].name.as_str(), &columns[1].values), ("b", &(1..2)));
        let altered = split.with_values_of(&[3, 1], &[0, 2], &columns[1].values);
        assert_eq!(altered.raw(0).to_floats(), [9.0, 1.0, 11.0]);
        assert_eq!(altered.raw(1).to_floats(), [3.0, 7.0, 5.0]);
        assert_eq!(altered.labels(), [1, 1]);
        let image = Shape::Image { height: 1, width: 3, channels: 1 };
        assert_eq!(split.used_columns(&image), []);
    }
}
