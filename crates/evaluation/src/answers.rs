//! What a network says of examples, and no more: the pass of a server.

use std::sync::Arc;

use burn::tensor::Device;
use burn::train::InferenceStep;
use kiln_data::{Batching, Epoch, Normalizer, Split};
use kiln_model::{Model, StepOutput};

use crate::StoredModel;

/// What a model says of some examples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers {
    /// The class of each example, by number.
    pub classes: Vec<u32>,
    /// The probability of every class, example after example; NaN where a model diverged.
    pub probabilities: Vec<f32>,
}

impl<M: Model> StoredModel<M> {
    /// What it says of every example of `split`, to the bit what [`predict`](crate::predict) and [`StoredModel::says`] give,
    /// without losses and without handing the work to another thread: of one example, the answer takes microseconds.
    ///
    /// `normalizer` and `classes` are those of the training data.
    #[must_use]
    pub fn answer(
        &self,
        normalizer: &Arc<Normalizer>,
        classes: &[String],
        split: &Split,
        batch_size: usize,
        device: &Device,
    ) -> Answers {
        let mut answers = Answers::default();
        for batch in Epoch::new(split, normalizer, &Batching::in_order(batch_size), 0, 0, device) {
            let found = InferenceStep::step(&self.model, batch.into()).predicted();
            answers.classes.extend(found.classes);
            // A GPU's exponential function can be a little above 1.
            answers.probabilities.extend(found.probabilities.into_iter().map(|value| value.clamp(0.0, 1.0)));
        }
        self.settle(&mut answers, classes);
        answers
    }

    /// Calibrates the probabilities and lets the threshold decide.
    fn settle(&self, answers: &mut Answers, classes: &[String]) {
        let positive = self.threshold.as_ref().and_then(|threshold| {
            let positive = classes.iter().position(|class| *class == threshold.positive)?;
            Some((threshold, positive))
        });
        let rows = answers.probabilities.chunks_exact_mut(classes.len());
        for (row, class) in rows.zip(&mut answers.classes) {
            if let Some(calibration) = &self.calibration {
                calibration.apply(row);
            }
            if let Some((threshold, positive)) = positive
                && row.iter().all(|value| value.is_finite())
            {
                *class = threshold.decides(positive as u32, row[positive]);
            }
        }
    }
}
