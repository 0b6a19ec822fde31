//! The figures of a stretch of training or of a pass over a split.

use kiln_model::Tally;

/// Figures over some examples, on the host.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Loss and accuracy, weighted by example.
    pub tally: Tally,
    /// Learning rate of the last optimizer step; 0 in a pass without training.
    pub learning_rate: f64,
    /// Global 2-norm of the gradient at the last optimizer step, before clipping; 0 without training.
    pub gradient_norm: f64,
    /// The greatest update ratio of a layer when it was last measured; 0 without training.
    pub update_ratio: f64,
    /// The greatest share of dead or saturated units of a layer when it was last measured, in [0, 1].
    pub inactive_share: f64,
    /// Seconds that the examples took.
    pub seconds: f64,
}

impl Figures {
    /// Examples per second.
    #[must_use]
    pub fn examples_per_second(&self) -> f64 {
        self.tally.examples as f64 / self.seconds
    }
}

impl burn::train::ItemLazy for Figures {
    fn sync(self) -> Result<Self, burn::tensor::ExecutionError> {
        Ok(self)
    }
}
