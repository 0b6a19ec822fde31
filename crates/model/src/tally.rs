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
    /// Adds a batch of `examples` whose mean loss is `mean_loss`, each example counting once.
    pub fn add_mean(&mut self, mean_loss: f64, correct: u64, examples: u64) {
        self.add_sum(mean_loss * examples as f64, examples as f64, correct, examples);
    }

    /// Adds a batch by its sum of losses and its sum of weights.
    pub fn add_sum(&mut self, loss_sum: f64, weight: f64, correct: u64, examples: u64) {
        self.loss_sum += loss_sum;
        self.weight += weight;
        self.correct += correct;
        self.examples += examples;
    }

    /// Adds the examples of another tally.
    pub fn merge(&mut self, other: &Self) {
        self.add_sum(other.loss_sum, other.weight, other.correct, other.examples);
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
        tally.add_mean(1.0, 3, 3);
        tally.add_mean(5.0, 0, 1);
        assert_eq!((tally.loss(), tally.accuracy()), (2.0, 0.75));
    }
}
