//! Loss and accuracy over many batches, weighted by example.

use serde::{Deserialize, Serialize};

/// Sums over examples, from which whole-split figures follow; never a mean of batch means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Sum of the loss over examples.
    pub loss_sum: f64,
    /// Sum of the examples' weights in the mean; their number where no class weights are given.
    pub weight: f64,
    /// Examples whose most probable class is the true one.
    pub correct: u64,
    /// Examples seen.
    pub examples: u64,
}

impl Tally {
    /// Adds the examples of another tally.
    pub fn merge(&mut self, other: &Self) {
        self.loss_sum += other.loss_sum;
        self.weight += other.weight;
        self.correct += other.correct;
        self.examples += other.examples;
    }

    /// The mean loss; NaN before the first example.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.loss_sum / self.weight
    }

    /// The share of correct examples, in [0, 1]; NaN before the first example.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.examples as f64
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn a_short_batch_counts_by_its_examples() {
        let mut tally = Tally::default();
        tally.merge(&Tally { loss_sum: 3.0, weight: 3.0, correct: 3, examples: 3 });
        tally.merge(&Tally { loss_sum: 5.0, weight: 1.0, correct: 0, examples: 1 });
        assert_eq!((tally.loss(), tally.accuracy()), (2.0, 0.75));
    }
}
