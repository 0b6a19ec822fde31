//! Our strategy under Burn's Learner: the exact loop in place of Burn's own epochs.

use std::sync::Mutex;

use burn::module::{Module, ModuleDisplay};
use burn::train::{
    InferenceStep, Learner, SupervisedLearningStrategy, SupervisedTrainingEventProcessor, TrainLoader,
    TrainOutput, TrainStep, TrainingComponents, ValidLoader,
};
use kiln_model::{Mlp, Model, StepOutput};

use crate::training_loop::{End, TrainingLoop};
use crate::{Figures, TrainingError};

/// What feeds Burn's dashboard; the same for every model.
pub(crate) type Processor = SupervisedTrainingEventProcessor<Watched<Mlp>>;

/// A model whose steps give out the figures that Burn's dashboard shows.
#[derive(Module, Debug)]
pub(crate) struct Watched<M: Module + ModuleDisplay> {
    pub(crate) model: M,
}

impl<M: Model> TrainStep for Watched<M> {
    type Input = <M as TrainStep>::Input;
    type Output = Figures;

    fn step(&self, input: Self::Input) -> TrainOutput<Figures> {
        let TrainOutput { grads, item } = TrainStep::step(&self.model, input);
        TrainOutput { grads, item: Figures { tally: item.tally(), ..Figures::default() } }
    }
}

impl<M: Model> InferenceStep for Watched<M> {
    type Input = <M as TrainStep>::Input;
    type Output = Figures;

    fn step(&self, input: Self::Input) -> Figures {
        Figures { tally: InferenceStep::step(&self.model, input).tally(), ..Figures::default() }
    }
}

/// Runs a [`TrainingLoop`] in place of Burn's own epochs, with the learner's model and Burn's loaders.
///
/// Burn's strategies can neither stop and go on within an epoch nor save the state of early stopping, the data order or
/// dropout, and they leave on an interrupt before the checkpoint is written.
pub(crate) struct ExactStrategy<M: Model> {
    training_loop: Mutex<Option<TrainingLoop<M>>>,
    end: Mutex<Option<Result<End, TrainingError>>>,
}

impl<M: Model> ExactStrategy<M> {
    pub(crate) fn new(training_loop: TrainingLoop<M>) -> Self {
        Self { training_loop: Mutex::new(Some(training_loop)), end: Mutex::new(None) }
    }

    /// How the loop ended; nothing if Burn never came to it.
    pub(crate) fn take_end(&self) -> Option<Result<End, TrainingError>> {
        self.end.lock().expect("no thread panics with the lock").take()
    }
}

impl<M: Model> SupervisedLearningStrategy<Watched<M>> for ExactStrategy<M> {
    fn fit(
        &self,
        components: TrainingComponents<Watched<M>>,
        learner: Learner<Watched<M>>,
        train: TrainLoader<Watched<M>>,
        validation: ValidLoader<Watched<M>>,
        _: usize,
    ) -> (Watched<M>, SupervisedTrainingEventProcessor<Watched<M>>) {
        let training_loop = self.training_loop.lock().expect("no thread panics with the lock").take();
        let training_loop = training_loop.expect("Burn calls fit once");
        let Watched { model } = learner.model();
        // The learner steps on a clone of its model, for which every parameter would be copied; the loop moves it.
        drop(learner);
        let mut processor = components.event_processor;
        let (model, end) =
            training_loop.run(model, &*train, &*validation, &mut processor, &components.interrupter);
        *self.end.lock().expect("no thread panics with the lock") = Some(end);
        (Watched { model }, processor)
    }
}
