//! One pass over a split.

use std::sync::Arc;

use kiln_backend::Selected;
use kiln_data::{Batching, DataSet, Epoch, Split};
use kiln_model::{Loss, Mlp, Pass, Tally};
use serde::Serialize;

/// Whole-split figures; they do not depend on the batch size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PassFigures {
    /// Mean loss.
    pub loss: f64,
    /// Share of examples whose most probable class is the true one, in [0, 1].
    pub accuracy: f64,
    /// Examples seen.
    pub examples: u64,
}

/// Predicts every example of `split` in inference mode.
#[must_use]
pub fn evaluate(
    mlp: &Mlp,
    loss: &Loss,
    data: &DataSet,
    split: &Split,
    batch_size: usize,
    backend: &Selected,
) -> PassFigures {
    let normalizer = Arc::new(data.normalizer.clone());
    let mut tally = Tally::default();
    for batch in Epoch::new(split, &normalizer, &Batching::in_order(batch_size), 0, 0, &backend.device) {
        let output = mlp.forward(batch.features, Pass::Inference);
        loss.tally(output, batch.targets, &mut tally);
    }
    PassFigures { loss: tally.loss(), accuracy: tally.accuracy(), examples: tally.examples }
}
