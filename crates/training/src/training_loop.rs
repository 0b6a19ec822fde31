//! The loop over epochs and batches, in place of Burn's.
//!
//! After every optimizer step the loop can stop with a checkpoint, from which a resume continues to the bit. Two details
//! make that possible. Before each step the device is seeded from (seed, step), so Burn's own dropout draws the same
//! numbers after a resume. And no checkpoint is written while gradients wait for more batches to accumulate.
//!
//! On a GPU, reading the loss after each step would make the host wait for the device. Figures therefore stay on the
//! device for up to `RunContext::read_interval` steps and are read together; the logged numbers are the same.

use std::time::Instant;

use burn::data::dataloader::DataLoader;
use burn::optim::ModuleOptimizer;
use burn::train::{Interrupter, TrainStep};
use kiln_artifacts::StopReason;
use kiln_config::random::{Purpose, Stream};
use kiln_model::{Model, Named, Parameter, StepOutput, parameters};

use crate::TrainingError;
use crate::checkpoint::{CheckpointWriter, OptimizerState, Snapshot};
use crate::gradient_descent::{GradientDescent, global_norm};
use crate::job::Processor;
use crate::recorder::{Health, Recorder};
use crate::schedule::Schedule;
use crate::state::{EpochTallies, RunContext, TrainingState};

/// Everything that the loop needs besides the model, which Burn's Learner holds until the loop starts.
pub(crate) struct PreparedLoop<M: Model> {
    pub(crate) context: RunContext,
    pub(crate) state: TrainingState,
    pub(crate) optimizer: ModuleOptimizer,
    pub(crate) schedule: Schedule,
    pub(crate) recorder: Recorder,
    pub(crate) writer: CheckpointWriter,
    /// Step outputs whose figures are still on the device.
    pub(crate) unread: Vec<<M as TrainStep>::Output>,
}

/// Why the loop ended, and the state it ended in.
pub(crate) struct TrainingEnd {
    pub(crate) reason: StopReason,
    pub(crate) state: TrainingState,
}

/// A batch as Burn's loaders give it to the model.
type Input<M> = <M as TrainStep>::Input;
type Loader<M> = dyn DataLoader<Input<M>>;

impl<M: Model> PreparedLoop<M> {
    /// Trains `model` until the run is over or is stopped.
    pub(crate) fn run(
        self,
        model: M,
        train: &Loader<M>,
        validation: &Loader<M>,
        processor: &mut Processor,
        interrupter: &Interrupter,
    ) -> (M, Result<TrainingEnd, TrainingError>) {
        let Self { context, state, optimizer, schedule, recorder, writer, unread } = self;
        let descent = GradientDescent::new(model, optimizer, &context.experiment);
        let started = Instant::now();
        let burn = BurnSession { processor, interrupter, started };
        TrainingLoop {
            context,
            state,
            descent,
            schedule,
            recorder,
            writer,
            unread,
            health: None,
            train,
            validation,
            burn,
        }
        .run()
    }
}

/// Burn's side of the training: its dashboard, and the key that stops it.
struct BurnSession<'a> {
    processor: &'a mut Processor,
    interrupter: &'a Interrupter,
    started: Instant,
}

/// The running loop.
struct TrainingLoop<'a, M: Model> {
    context: RunContext,
    state: TrainingState,
    descent: GradientDescent<M>,
    schedule: Schedule,
    recorder: Recorder,
    writer: CheckpointWriter,
    unread: Vec<<M as TrainStep>::Output>,
    /// Health of the layers, measured in the last optimizer step of a logging interval.
    health: Option<Health>,
    train: &'a Loader<M>,
    validation: &'a Loader<M>,
    burn: BurnSession<'a>,
}

impl<M: Model> TrainingLoop<'_, M> {
    fn run(mut self) -> (M, Result<TrainingEnd, TrainingError>) {
        let (started, elapsed_before) = (self.burn.started, self.state.elapsed_seconds);
        self.recorder.start(&self.state, &self.context);
        let reason = loop {
            self.state.elapsed_seconds = elapsed_before + started.elapsed().as_secs_f64();
            match self.epoch() {
                Ok(None) => {}
                Ok(Some(reason)) => break Ok(reason),
                Err(error) => break Err(error),
            }
        };
        self.state.elapsed_seconds = elapsed_before + started.elapsed().as_secs_f64();
        let saved = self.writer.finish();
        let end = match reason {
            Ok(reason) => saved.map(|()| {
                self.recorder.stop(&self.state, reason);
                TrainingEnd { reason, state: self.state }
            }),
            Err(error) => Err(with_last_checkpoint(error, &self.context)),
        };
        (self.descent.into_model(), end)
    }

    /// Trains from the current batch to the end of its epoch. Returns a reason if training then ends.
    fn epoch(&mut self) -> Result<Option<StopReason>, TrainingError> {
        self.recorder.start_epoch(&self.state, &self.context, self.burn.processor);
        let mut clock = Instant::now();
        for input in self.train.iter() {
            if let Some(reason) = self.stop_request() {
                self.save(false)?;
                return Ok(Some(reason));
            }
            self.step(input.map_err(|error| TrainingError::Burn(error.to_string()))?)?;
            let now = Instant::now();
            let seconds = (now - clock).as_secs_f64();
            clock = now;
            self.state.elapsed_seconds += seconds;
            self.state.epoch_seconds += seconds;
            self.state.interval_seconds += seconds;
            self.after_step()?;
            if self.max_steps_reached() {
                break;
            }
        }
        self.end_epoch()
    }

    /// Trains on one batch: forward, backward, and an optimizer step when enough batches are accumulated.
    fn step(&mut self, input: Input<M>) -> Result<(), TrainingError> {
        let is_measured = (self.state.batch + 1).is_multiple_of(self.context.log_interval());
        let measured = is_measured.then(|| input.clone());
        self.seed_device();
        let output = self.descent.forward_backward(input);
        self.unread.push(output);
        self.state.step += 1;
        self.state.batch += 1;
        if self.unread.len() >= self.context.read_interval {
            self.read_figures()?;
        }
        let whole = self.descent.batches_waiting() == self.context.experiment.training.gradient_accumulation;
        if whole || self.state.batch == self.context.batches || self.max_steps_reached() {
            self.optimizer_step(measured)?;
        }
        Ok(())
    }

    /// Makes Burn's random draws in this step (its `Dropout`, noise) a function of seed and step.
    fn seed_device(&self) {
        let mut stream = Stream::new(self.context.experiment.seed, Purpose::Dropout, &[self.state.step]);
        self.context.device.seed(stream.next_u64());
    }

    /// Updates the weights. `measured` is the batch of an interval's last step; then the layers' health is measured, too.
    fn optimizer_step(&mut self, measured: Option<Input<M>>) -> Result<(), TrainingError> {
        let lr = self.schedule.rate(self.state.optimizer_steps, self.state.epoch - 1);
        let before = measured.map(|input| (self.descent.parameters(), input));
        let norms = self.descent.step(lr, self.is_last_step_of_interval());
        self.state.learning_rate = lr;
        self.state.optimizer_steps += 1;
        let Some(norms) = norms else { return Ok(()) };
        self.state.gradient_norm = global_norm(&norms);
        if !self.state.gradient_norm.is_finite() {
            return Err(non_finite_gradient(&self.state, &self.descent.trained, &norms));
        }
        let Some((before, input)) = before else { return Ok(()) };
        let probes = self.descent.model().valid().probes(input);
        self.health = Some(Health::new(&before, &self.descent, &norms, &probes));
        Ok(())
    }

    /// Reads the figures of all steps since the last call from the device, and adds them up.
    fn read_figures(&mut self) -> Result<(), TrainingError> {
        let first = self.state.step - self.unread.len() as u64;
        for (index, output) in self.unread.drain(..).enumerate() {
            let tally = output.tally();
            let loss = tally.loss();
            if !loss.is_finite() {
                let step = first + index as u64 + 1;
                let model = self.descent.model();
                return Err(non_finite_loss(&self.context, &self.state, model, loss, step));
            }
            self.state.epoch_tally.merge(&tally);
            self.state.interval_tally.merge(&tally);
            self.recorder.count(&tally);
        }
        Ok(())
    }

    /// Logs at the end of an interval, updates the dashboard, and saves if a checkpoint is due.
    fn after_step(&mut self) -> Result<(), TrainingError> {
        if self.is_interval_end() {
            self.read_figures()?;
            let health = self.health.take();
            self.recorder.log_interval(&mut self.state, &self.context, health.as_ref())?;
            if self.recorder.status_is_due() {
                self.writer.write_status(self.recorder.status(&self.state, &self.context));
            }
        }
        self.recorder.show_training(&self.state, &self.context, self.burn.processor);
        let interval = self.context.experiment.checkpoint.interval_steps;
        let due = interval.is_some_and(|interval| self.state.step.is_multiple_of(interval as u64));
        if due && self.descent.batches_waiting() == 0 && self.state.batch < self.context.batches {
            self.save(false)?;
        }
        Ok(())
    }

    /// Validates, logs, judges whether the epoch is the best, decides whether training ends, and saves.
    fn end_epoch(&mut self) -> Result<Option<StopReason>, TrainingError> {
        self.read_figures()?;
        self.recorder.end_training(&self.state, self.burn.processor);
        let started = Instant::now();
        let validation = self.context.validation.is_some();
        let validation = validation.then(|| self.descent.infer(self.validation.iter())).transpose();
        let validation = validation.map_err(|error| TrainingError::Burn(error.to_string()))?;
        let tallies = EpochTallies { train: self.state.epoch_tally, validation };
        let improved = self.context.judge_best(&tallies, &mut self.state);
        let seconds = started.elapsed().as_secs_f64();
        self.recorder.log_epoch(
            &mut self.state,
            &self.context,
            &tallies,
            improved,
            seconds,
            self.burn.processor,
        )?;
        let reason = self.reason_to_end(&tallies);
        self.state.over = reason;
        let finished = self.state.epoch;
        self.state.start_epoch(finished + 1);
        let due = finished.is_multiple_of(self.context.experiment.checkpoint.interval);
        let pause = self.context.pauses_after(finished).then_some(StopReason::Paused);
        if due || improved || reason.is_some() || pause.is_some() {
            self.save(improved)?;
        }
        Ok(reason.or(pause))
    }

    fn reason_to_end(&mut self, tallies: &EpochTallies) -> Option<StopReason> {
        let experiment = &self.context.experiment;
        if let Some(figure) = tallies.figure(experiment.lr_scheduler.monitor) {
            self.schedule.end_epoch(figure, self.state.optimizer_steps);
            self.state.plateau = self.schedule.state();
        }
        let early = &experiment.early_stopping;
        let exhausted = early.enabled
            && tallies
                .figure(early.monitor)
                .is_some_and(|figure| self.state.patience.exhausted_by(figure, early));
        if self.state.epoch >= experiment.training.epochs {
            Some(StopReason::Completed)
        } else if self.max_steps_reached() {
            Some(StopReason::MaxSteps)
        } else {
            exhausted.then_some(StopReason::EarlyStopping)
        }
    }

    fn save(&mut self, is_best: bool) -> Result<(), TrainingError> {
        self.read_figures()?;
        let parameters = self.descent.parameters();
        if let Some(place) = first_non_finite(&parameters) {
            return Err(non_finite_weights(&self.state, place));
        }
        self.recorder.note_lengths(&mut self.state);
        let memory = OptimizerState::of(&self.descent.optimizer, &self.descent.trained);
        self.state.optimizer_numbers = memory.numbers;
        let state = serde_json::to_value(&self.state).expect("the state is plain data");
        let snapshot = Snapshot { step: self.state.step, state, parameters, moments: memory.tensors };
        self.writer.save(snapshot, is_best)?;
        self.writer.write_status(self.recorder.status(&self.state, &self.context));
        Ok(())
    }

    /// The reason if a stop was requested or the time is up. Never between accumulated batches, whose gradients a
    /// checkpoint does not contain.
    fn stop_request(&self) -> Option<StopReason> {
        if self.descent.batches_waiting() > 0 {
            return None;
        }
        if self.context.stop.is_requested() || self.burn.interrupter.should_stop() {
            return Some(StopReason::CtrlC);
        }
        let limit = self.context.experiment.training.max_time?;
        (self.burn.started.elapsed().as_secs_f64() >= limit).then_some(StopReason::MaxTime)
    }

    fn max_steps_reached(&self) -> bool {
        self.context.experiment.training.max_steps.is_some_and(|steps| self.state.step >= steps as u64)
    }

    /// Whether the logging interval ends before the next optimizer step.
    fn is_last_step_of_interval(&self) -> bool {
        let end = self.state.batch.next_multiple_of(self.context.log_interval());
        end < self.state.batch + self.context.experiment.training.gradient_accumulation
    }

    fn is_interval_end(&self) -> bool {
        self.state.batch.is_multiple_of(self.context.log_interval())
    }
}

/// The error for a non-finite loss in training step `step`, from 1.
fn non_finite_loss<M: Model>(
    context: &RunContext,
    state: &TrainingState,
    model: &M,
    value: f64,
    step: u64,
) -> TrainingError {
    let place =
        first_non_finite_layer(context, state, model).unwrap_or_else(|| "every layer is finite".to_owned());
    non_finite(state, "loss", value, step, place)
}

/// The error for a non-finite gradient. `norms` has one entry for each of `parameters`.
fn non_finite_gradient(state: &TrainingState, parameters: &[Named], norms: &[f64]) -> TrainingError {
    // Gradients are computed from the last layer to the first, so the last non-finite one was the first to appear.
    let first = norms.iter().zip(parameters).rfind(|(norm, _)| !norm.is_finite());
    let (value, name) =
        first.map_or((f64::NAN, "the sum of all"), |(norm, parameter)| (*norm, &parameter.path));
    let place = format!("the gradient of {name} is the first that is not finite, counted from the output");
    non_finite(state, "gradient", value, state.step, place)
}

/// The error for non-finite weights after a step.
fn non_finite_weights(state: &TrainingState, place: String) -> TrainingError {
    non_finite(state, "weights", f64::NAN, state.step, place)
}

/// A sentence that names the first parameter with a non-finite value.
fn first_non_finite(parameters: &[Parameter]) -> Option<String> {
    let is_finite = |parameter: &&Parameter| parameter.values.iter().all(|value| value.is_finite());
    let first = parameters.iter().find(|parameter| !is_finite(parameter))?;
    Some(format!("{} is the first that is not finite", first.name))
}

fn non_finite(
    state: &TrainingState,
    what: &'static str,
    value: f64,
    step: u64,
    place: String,
) -> TrainingError {
    TrainingError::NonFinite { what, value, step, epoch: state.epoch, place, kept: String::new() }
}

/// Adds a sentence about the last checkpoint to the error. Call it only after the checkpoint writer has finished.
fn with_last_checkpoint(mut error: TrainingError, context: &RunContext) -> TrainingError {
    if let TrainingError::NonFinite { kept, .. } = &mut error {
        *kept = match context.store.last() {
            Ok(Some(last)) => format!("The checkpoint of step {last} is kept."),
            _ => "No checkpoint had been saved yet.".to_owned(),
        };
    }
    error
}

/// A sentence that names the first non-finite parameter or, if all are finite, the first layer with a non-finite output
/// for the step's batch.
fn first_non_finite_layer<M: Model>(
    context: &RunContext,
    state: &TrainingState,
    model: &M,
) -> Option<String> {
    let model = model.valid();
    if let Some(place) = first_non_finite(&parameters(&model)) {
        return Some(place);
    }
    let batch = context.train.epoch(state.epoch as u64 - 1, state.batch - 1).next()?;
    let input = <M as TrainStep>::Input::from(batch);
    let probes = model.probes(input).into_iter();
    let first =
        probes.into_iter().find(|probe| !probe.outputs.clone().is_finite().all().into_scalar::<bool>())?;
    Some(format!("{} is the first layer whose outputs are not finite", first.layer))
}
