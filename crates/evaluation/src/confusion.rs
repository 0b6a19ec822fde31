//! Which classes are taken for which.

use kiln_files::csv_text;
use serde::{Deserialize, Serialize};

use crate::Predictions;

/// How many examples of each class are predicted to be of each class (`sklearn.metrics.confusion_matrix`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// The names of the classes, by number.
    pub classes: Vec<String>,
    /// Counts by true class, then by predicted class: rows are true, columns predicted.
    pub counts: Vec<Vec<u64>>,
}

/// The counts of one class that precision, recall and F1 follow from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClassCounts {
    /// Examples of the class that are predicted to be of it.
    pub(crate) hits: u64,
    /// Examples of the class.
    pub(crate) support: u64,
    /// Examples that are predicted to be of it.
    pub(crate) predicted: u64,
}

impl Confusion {
    /// Counts `predictions`.
    #[must_use]
    pub fn new(predictions: &Predictions) -> Self {
        let classes = predictions.class_count();
        let mut counts = vec![vec![0; classes]; classes];
        for (&truth, &predicted) in predictions.truth().iter().zip(predictions.predicted()) {
            counts[truth as usize][predicted as usize] += 1;
        }
        Self { classes: predictions.classes().to_vec(), counts }
    }

    /// The number of examples.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// The number of examples predicted right.
    #[must_use]
    pub fn correct(&self) -> u64 {
        self.counts.iter().enumerate().map(|(class, row)| row[class]).sum()
    }

    /// The matrix as CSV; the first cell, `true \ predicted`, says which axis is which.
    #[must_use]
    pub fn to_csv(&self) -> Vec<u8> {
        let corner = "true \\ predicted".to_owned();
        let header = std::iter::once(corner).chain(self.classes.iter().cloned()).collect();
        let rows = self.classes.iter().zip(&self.counts).map(|(class, counts)| {
            std::iter::once(class.clone()).chain(counts.iter().map(u64::to_string)).collect()
        });
        csv_text(std::iter::once(header).chain(rows))
    }

    /// The counts of each class.
    pub(crate) fn class_counts(&self) -> Vec<ClassCounts> {
        let mut counts = vec![ClassCounts::default(); self.classes.len()];
        for (truth, row) in self.counts.iter().enumerate() {
            counts[truth].hits = row[truth];
            for (predicted, &examples) in row.iter().enumerate() {
                counts[truth].support += examples;
                counts[predicted].predicted += examples;
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confusion() -> Confusion {
        let classes = vec!["cat".to_owned(), "dog, small".to_owned()];
        let predictions = Predictions::new(classes, vec![0, 0, 1], vec![1, 0, 1], vec![0.5; 6], vec![0.0; 3]);
        Confusion::new(&predictions.unwrap())
    }

    #[test]
    fn rows_are_true_classes_and_columns_predicted_ones() {
        assert_eq!(confusion().counts, [[1, 1], [0, 1]]);
        assert_eq!((confusion().total(), confusion().correct()), (3, 2));
        let expected =
            [(1, 2, 1), (1, 1, 2)].map(|(hits, support, predicted)| ClassCounts { hits, support, predicted });
        assert_eq!(confusion().class_counts(), expected);
    }

    #[test]
    fn the_table_says_which_axis_is_which() {
        let expected = "true \\ predicted,cat,\"dog, small\"\ncat,1,1\n\"dog, small\",0,1\n";
        assert_eq!(String::from_utf8(confusion().to_csv()).unwrap(), expected);
    }
}
