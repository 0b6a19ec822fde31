//! The loop over epochs and batches.

use std::time::Instant;

use burn::data::dataloader::DataLoader;
use burn::optim::ModuleOptimizer;
use burn::train::{Interrupter, TrainStep};
use kiln_artifacts::StopReason;
use kiln_config::random::{Purpose, Stream};
use kiln_model::{Model, StepOutput};

use crate::health::Health;
use crate::learning::{Learning, global_norm};
use crate::monitoring::EpochTallies;
use crate::optimizer_state::OptimizerState;
use crate::recorder::Recorder;
use crate::saver::{Saver, Snapshot};
use crate::schedule::Schedule;
use crate::setting::Setting;
use crate::state::TrainingState;
use crate::strategy::Processor;
use crate::{TrainingError, diagnosis};

/// A run in progress, but for its model.
pub(crate) struct TrainingLoop<M: Model> {
    pub(crate) setting: Setting,
    pub(crate) state: TrainingState,
    pub(crate) optimizer: ModuleOptimizer,
    pub(crate) schedule: Schedule,
    pub(crate) recorder: Recorder,
    pub(crate) saver: Saver,
    /// Figures that have not been read back from the device yet.
    pub(crate) unread: Vec<<M as TrainStep>::Output>,
}

/// How a run came to its end.
pub(crate) struct End {
    pub(crate) reason: StopReason,
    pub(crate) state: TrainingState,
}

/// What Burn's loaders give.
type Input<M> = <M as TrainStep>::Input;
type Loader<M> = dyn DataLoader<Input<M>>;

impl<M: Model> TrainingLoop<M> {
    /// Trains until the run is over or someone stops it.
    pub(crate) fn run(
        self,
        model: M,
        train: &Loader<M>,
        validation: &Loader<M>,
        processor: &mut Processor,
        interrupter: &Interrupter,
    ) -> (M, Result<End, TrainingError>) {
        let Self { setting, state, optimizer, schedule, recorder, saver, unread } = self;
        let learning = Learning::new(model, optimizer, &setting.experiment);
        let started = Instant::now();
        let watch = Watch { processor, interrupter, started };
        Training {
            setting,
            state,
            learning,
            schedule,
            recorder,
            saver,
            unread,
            health: None,
            train,
            validation,
            watch,
        }
        .run()
    }
}

/// Who watches a training and may stop it.
struct Watch<'a> {
    processor: &'a mut Processor,
    interrupter: &'a Interrupter,
    started: Instant,
}

/// A run in progress.
struct Training<'a, M: Model> {
    setting: Setting,
    state: TrainingState,
    learning: Learning<M>,
    schedule: Schedule,
    recorder: Recorder,
    saver: Saver,
    unread: Vec<<M as TrainStep>::Output>,
    /// The layers' health, measured in the step that ends an interval.
    health: Option<Health>,
    train: &'a Loader<M>,
    validation: &'a Loader<M>,
    watch: Watch<'a>,
}

impl<M: Model> Training<'_, M> {
    fn run(mut self) -> (M, Result<End, TrainingError>) {
        let (started, elapsed_before) = (self.watch.started, self.state.elapsed_seconds);
        self.recorder.start(&self.state, &self.setting);
        let reason = loop {
            self.state.elapsed_seconds = elapsed_before + started.elapsed().as_secs_f64();
            match self.epoch() {
                Ok(None) => {}
                Ok(Some(reason)) => break Ok(reason),
                Err(error) => break Err(error),
            }
        };
        self.state.elapsed_seconds = elapsed_before + started.elapsed().as_secs_f64();
        let saved = self.saver.finish();
        let end = match reason {
            Ok(reason) => saved.map(|()| {
                self.recorder.stop(&self.state, reason);
                End { reason, state: self.state }
            }),
            Err(error) => Err(diagnosis::with_last_checkpoint(error, &self.setting)),
        };
        (self.learning.into_model(), end)
    }

    /// Trains from the current place to the end of its epoch; a reason if the run is then over.
    fn epoch(&mut self) -> Result<Option<StopReason>, TrainingError> {
        self.recorder.start_epoch(&self.state, &self.setting, self.watch.processor);
        let mut clock = Instant::now();
        for input in self.train.iter() {
            if let Some(reason) = self.wish_to_stop() {
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

    /// One batch: forward, backward, and an optimizer step once enough batches are accumulated.
    fn step(&mut self, input: Input<M>) -> Result<(), TrainingError> {
        let is_measured = (self.state.batch + 1).is_multiple_of(self.setting.log_interval());
        let measured = is_measured.then(|| input.clone());
        self.seed_device();
        let output = self.learning.forward_backward(input);
        self.unread.push(output);
        self.state.step += 1;
        self.state.batch += 1;
        if self.unread.len() >= self.setting.read_interval {
            self.read_figures()?;
        }
        let whole = self.learning.batches_waiting() == self.setting.experiment.training.gradient_accumulation;
        if whole || self.state.batch == self.setting.batches || self.max_steps_reached() {
            self.optimizer_step(measured)?;
        }
        Ok(())
    }

    /// Makes whatever Burn draws in this step a function of the seed and the step.
    fn seed_device(&self) {
        let mut stream = Stream::new(self.setting.experiment.seed, Purpose::Dropout, &[self.state.step]);
        self.setting.device.seed(stream.next_u64());
    }

    /// Moves the weights; where `measured` is the batch of an interval's last step, looks how the layers fare.
    fn optimizer_step(&mut self, measured: Option<Input<M>>) -> Result<(), TrainingError> {
        let lr = self.schedule.rate(self.state.optimizer_steps, self.state.epoch - 1);
        let before = measured.map(|input| (self.learning.parameters(), input));
        let norms = self.learning.step(lr, self.is_last_step_of_interval());
        self.state.learning_rate = lr;
        self.state.optimizer_steps += 1;
        let Some(norms) = norms else { return Ok(()) };
        self.state.gradient_norm = global_norm(&norms);
        if !self.state.gradient_norm.is_finite() {
            return Err(diagnosis::of_gradient(&self.state, &self.learning.trained, &norms));
        }
        let Some((before, input)) = before else { return Ok(()) };
        let probes = self.learning.model().valid().probes(input);
        self.health = Some(Health::new(&before, &self.learning, &norms, &probes));
        Ok(())
    }

    /// Brings the figures of all steps since the last reading to the host.
    fn read_figures(&mut self) -> Result<(), TrainingError> {
        let first = self.state.step - self.unread.len() as u64;
        for (index, output) in self.unread.drain(..).enumerate() {
            let tally = output.tally();
            let loss = tally.loss();
            if !loss.is_finite() {
                let step = first + index as u64 + 1;
                let model = self.learning.model();
                return Err(diagnosis::of_loss(&self.setting, &self.state, model, loss, step));
            }
            self.state.epoch_tally.merge(&tally);
            self.state.interval_tally.merge(&tally);
            self.recorder.count(&tally);
        }
        Ok(())
    }

    fn after_step(&mut self) -> Result<(), TrainingError> {
        if self.is_interval_end() {
            self.read_figures()?;
            let health = self.health.take();
            self.recorder.interval(&mut self.state, &self.setting, health.as_ref())?;
            if self.recorder.status_is_due() {
                self.saver.write_status(self.recorder.status(&self.state, &self.setting));
            }
        }
        self.recorder.show_training(&self.state, &self.setting, self.watch.processor);
        let interval = self.setting.experiment.checkpoint.interval_steps;
        let due = interval.is_some_and(|interval| self.state.step.is_multiple_of(interval as u64));
        if due && self.learning.batches_waiting() == 0 && self.state.batch < self.setting.batches {
            self.save(false)?;
        }
        Ok(())
    }

    /// Validates, logs, decides what is best and whether to go on, and saves.
    fn end_epoch(&mut self) -> Result<Option<StopReason>, TrainingError> {
        self.read_figures()?;
        self.recorder.end_training(&self.state, self.watch.processor);
        let started = Instant::now();
        let validation = self.setting.validation.is_some();
        let validation =
            validation.then(|| self.learning.infer(self.validation.iter().map_while(Result::ok)));
        let tallies = EpochTallies { train: self.state.epoch_tally, validation };
        let improved = self.setting.judge_best(&tallies, &mut self.state);
        let seconds = started.elapsed().as_secs_f64();
        self.recorder.epoch(
            &mut self.state,
            &self.setting,
            &tallies,
            improved,
            seconds,
            self.watch.processor,
        )?;
        let reason = self.reason_to_end(&tallies);
        self.state.over = reason;
        let finished = self.state.epoch;
        self.state.start_epoch(finished + 1);
        let due = finished.is_multiple_of(self.setting.experiment.checkpoint.interval);
        let pause = self.setting.is_to_pause_after(finished).then_some(StopReason::Paused);
        if due || improved || reason.is_some() || pause.is_some() {
            self.save(improved)?;
        }
        Ok(reason.or(pause))
    }

    fn reason_to_end(&mut self, tallies: &EpochTallies) -> Option<StopReason> {
        let experiment = &self.setting.experiment;
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
        let parameters = self.learning.parameters();
        if let Some(place) = diagnosis::first_non_finite(&parameters) {
            return Err(diagnosis::of_weights(&self.state, place));
        }
        self.recorder.note_lengths(&mut self.state);
        let memory = OptimizerState::of(&self.learning.optimizer, &self.learning.trained);
        self.state.optimizer_numbers = memory.numbers;
        let state = serde_json::to_value(&self.state).expect("the state is plain data");
        let snapshot = Snapshot { step: self.state.step, state, parameters, moments: memory.tensors };
        self.saver.save(snapshot, is_best)?;
        self.saver.write_status(self.recorder.status(&self.state, &self.setting));
        Ok(())
    }

    fn wish_to_stop(&self) -> Option<StopReason> {
        if self.learning.batches_waiting() > 0 {
            return None;
        }
        if self.setting.stop.is_requested() || self.watch.interrupter.should_stop() {
            return Some(StopReason::CtrlC);
        }
        let limit = self.setting.experiment.training.max_time?;
        (self.watch.started.elapsed().as_secs_f64() >= limit).then_some(StopReason::MaxTime)
    }

    fn max_steps_reached(&self) -> bool {
        self.setting.experiment.training.max_steps.is_some_and(|steps| self.state.step >= steps as u64)
    }

    /// Whether the logging interval ends before the next step of the optimizer.
    fn is_last_step_of_interval(&self) -> bool {
        let end = self.state.batch.next_multiple_of(self.setting.log_interval());
        end < self.state.batch + self.setting.experiment.training.gradient_accumulation
    }

    fn is_interval_end(&self) -> bool {
        self.state.batch.is_multiple_of(self.setting.log_interval())
    }
}
