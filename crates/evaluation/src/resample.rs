//! Figures over examples that were drawn with replacement.

use crate::Predictions;
use crate::class_scores::ClassScores;
use crate::confusion::ClassCounts;
use crate::ranking::ResampledOrder;
use crate::undefined::{Defined, Reason, macro_mean};

/// As many examples as there are, drawn from all of them.
pub(crate) struct Resample<'a> {
    predictions: &'a Predictions,
    /// The classes' rankings; none where probabilities are not finite.
    orders: &'a [ResampledOrder],
    /// How often each example was drawn.
    copies: &'a [u8],
    counts: Vec<ClassCounts>,
}

impl<'a> Resample<'a> {
    pub(crate) fn new(predictions: &'a Predictions, orders: &'a [ResampledOrder], copies: &'a [u8]) -> Self {
        let mut counts = vec![ClassCounts::default(); predictions.class_count()];
        let classes = predictions.truth().iter().zip(predictions.predicted());
        for ((&truth, &predicted), &copies) in classes.zip(copies) {
            let copies = u64::from(copies);
            counts[truth as usize].support += copies;
            counts[predicted as usize].predicted += copies;
            counts[truth as usize].hits += if truth == predicted { copies } else { 0 };
        }
        Self { predictions, orders, copies, counts }
    }

    pub(crate) fn loss(&self) -> f64 {
        let weigh = |values: &[f64]| -> f64 {
            values.iter().zip(self.copies).map(|(value, &copies)| value * f64::from(copies)).sum()
        };
        let examples = || self.copies.iter().copied().map(f64::from).sum();
        weigh(self.predictions.loss()) / self.predictions.weights().map_or_else(examples, weigh)
    }

    pub(crate) fn accuracy(&self) -> f64 {
        let hits: u64 = self.counts.iter().map(|counts| counts.hits).sum();
        let examples: u64 = self.counts.iter().map(|counts| counts.support).sum();
        hits as f64 / examples as f64
    }

    pub(crate) fn macro_f1(&self) -> f64 {
        let f1: Vec<Defined> = self.counts.iter().map(|counts| ClassScores::new(counts).f1).collect();
        macro_mean(&f1).unwrap_or(f64::NAN)
    }

    pub(crate) fn macro_auc(&self) -> f64 {
        let areas = self.orders.iter().map(|order| order.area(self.copies).ok_or(Reason::NoClassDefined));
        macro_mean(&areas.collect::<Vec<_>>()).unwrap_or(f64::NAN)
    }
}
