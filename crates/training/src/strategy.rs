//! Our strategy under Burn's Learner: it hands Burn's machinery over to our loop.

use std::sync::Mutex;

use burn::train::{
    Learner, SupervisedLearningStrategy, SupervisedTrainingEventProcessor, TrainLoader, TrainingComponents,
    ValidLoader,
};

use crate::training_loop::{End, TrainingLoop};
use crate::{Classifier, TrainingError};

/// Runs a [`TrainingLoop`] in place of Burn's own epochs.
///
/// Burn's strategies can neither stop and go on within an epoch nor save the state of early stopping, the
/// data order or dropout, and they leave on an interrupt before the checkpoint is written.
pub(crate) struct ExactStrategy {
    training_loop: Mutex<Option<TrainingLoop>>,
    end: Mutex<Option<Result<End, TrainingError>>>,
}

impl ExactStrategy {
    pub(crate) fn new(training_loop: TrainingLoop) -> Self {
        Self { training_loop: Mutex::new(Some(training_loop)), end: Mutex::new(None) }
    }

    /// How the loop ended; nothing if Burn never came to it.
    pub(crate) fn take_end(&self) -> Option<Result<End, TrainingError>> {
        self.end.lock().expect("no thread panics with the lock").take()
    }
}

impl SupervisedLearningStrategy<Classifier> for ExactStrategy {
    fn fit(
        &self,
        components: TrainingComponents<Classifier>,
        learner: Learner<Classifier>,
        _: TrainLoader<Classifier>,
        _: ValidLoader<Classifier>,
        _: usize,
    ) -> (Classifier, SupervisedTrainingEventProcessor<Classifier>) {
        let training_loop = self.training_loop.lock().expect("no thread panics with the lock").take();
        let training_loop = training_loop.expect("Burn calls fit once");
        // The learner's clone of the model would force Burn to copy every parameter at every step.
        drop(learner);
        let mut processor = components.event_processor;
        let (model, end) = training_loop.run(&mut processor, &components.interrupter);
        *self.end.lock().expect("no thread panics with the lock") = Some(end);
        (model, processor)
    }
}
