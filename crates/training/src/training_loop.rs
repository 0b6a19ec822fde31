//! The loop over epochs and batches.

use std::time::Instant;

use burn::train::{Interrupter, SupervisedTrainingEventProcessor};
use kiln_artifacts::StopReason;
use kiln_data::Batch;
use kiln_model::Tally;

use crate::engine::{Engine, Step, StepOutput, global_norm};
use crate::health::Health;
use crate::monitoring::EpochTallies;
use crate::recorder::Recorder;
use crate::saver::{Saver, Snapshot};
use crate::schedule::Schedule;
use crate::setting::Setting;
use crate::state::TrainingState;
use crate::{Classifier, TrainingError, diagnosis};

/// Steps whose figures may wait on a GPU before they are read back together.
const GPU_READ_INTERVAL: usize = 64;

/// A run in progress.
pub(crate) struct TrainingLoop {
    pub(crate) setting: Setting,
    pub(crate) state: TrainingState,
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) schedule: Schedule,
    pub(crate) recorder: Recorder,
    pub(crate) saver: Saver,
    /// Figures that have not been read back from the device yet.
    pub(crate) unread: Vec<StepOutput>,
    /// The layers' health, measured in the step that ends an interval.
    pub(crate) health: Option<Health>,
    /// Batches since the last optimizer step, whose gradients wait for the next.
    pub(crate) accumulated: usize,
}

/// How a run came to its end.
pub(crate) struct End {
    pub(crate) reason: StopReason,
    pub(crate) state: TrainingState,
}

type Processor = SupervisedTrainingEventProcessor<Classifier>;

impl TrainingLoop {
    /// Trains until the run is over or someone stops it.
    pub(crate) fn run(
        mut self,
        processor: &mut Processor,
        interrupter: &Interrupter,
    ) -> (Classifier, Result<End, TrainingError>) {
        let started = Instant::now();
        let elapsed_before = self.state.elapsed_seconds;
        self.recorder.start(&self.state, &self.setting);
        let reason = loop {
            self.state.elapsed_seconds = elapsed_before + started.elapsed().as_secs_f64();
            match self.epoch(processor, interrupter, started) {
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
        (self.engine.model(), end)
    }

    /// Trains from the current place to the end of its epoch; a reason if the run is then over.
    fn epoch(
        &mut self,
        processor: &mut Processor,
        interrupter: &Interrupter,
        started: Instant,
    ) -> Result<Option<StopReason>, TrainingError> {
        self.recorder.start_epoch(&self.state, &self.setting, processor);
        let batches = self.setting.train_epoch(self.state.epoch, self.state.batch);
        let mut clock = Instant::now();
        for batch in batches {
            if let Some(reason) = self.wish_to_stop(interrupter, started) {
                self.save(false)?;
                return Ok(Some(reason));
            }
            self.step(batch)?;
            let now = Instant::now();
            let seconds = (now - clock).as_secs_f64();
            clock = now;
            self.state.elapsed_seconds += seconds;
            self.state.epoch_seconds += seconds;
            self.state.interval_seconds += seconds;
            self.after_step(processor)?;
            if self.max_steps_reached() {
                break;
            }
        }
        self.end_epoch(processor)
    }

    /// One batch: forward, backward, and an optimizer step once enough batches are accumulated.
    fn step(&mut self, batch: Batch) -> Result<(), TrainingError> {
        let is_measured = (self.state.batch + 1).is_multiple_of(self.setting.log_interval());
        let measured = is_measured.then(|| batch.clone());
        let output = self.engine.forward(batch);
        self.unread.push(output);
        self.state.step += 1;
        self.state.batch += 1;
        if self.setting.on_host || self.unread.len() == GPU_READ_INTERVAL {
            self.read_figures()?;
        }
        self.accumulated += 1;
        let whole = self.accumulated == self.setting.experiment.training.gradient_accumulation;
        if whole || self.state.batch == self.setting.batches || self.max_steps_reached() {
            self.accumulated = 0;
            self.optimizer_step(measured)
        } else {
            self.engine.backward();
            Ok(())
        }
    }

    /// Moves the weights; where `measured` is the batch of an interval's last step, looks how the layers fare.
    fn optimizer_step(&mut self, measured: Option<Batch>) -> Result<(), TrainingError> {
        let lr = self.schedule.rate(self.state.optimizer_steps, self.state.epoch - 1);
        let before = measured.map(|batch| (self.engine.parameters(), batch));
        let norms = self.setting.on_host || before.is_some();
        let norms = self.engine.backward_and_step(Step { lr, norms });
        if let Some(norms) = &norms {
            self.state.gradient_norm = global_norm(norms);
            if !self.state.gradient_norm.is_finite() {
                let names = self.engine.parameters();
                return Err(diagnosis::of_gradient(&self.setting, &self.state, &names, norms));
            }
        }
        self.health = before.zip(norms).map(|((before, batch), norms)| {
            let activation = self.setting.experiment.model.activation;
            let hidden = if Health::knows_inactive_units(activation) {
                self.engine.hidden_activations(batch)
            } else {
                Vec::new()
            };
            Health::new(&before, &self.engine.parameters(), &norms, activation, &hidden)
        });
        self.state.learning_rate = lr;
        self.state.optimizer_steps += 1;
        Ok(())
    }

    /// Brings the figures of all steps since the last reading to the host.
    fn read_figures(&mut self) -> Result<(), TrainingError> {
        let first = self.state.step - self.unread.len() as u64;
        for (index, output) in self.unread.drain(..).enumerate() {
            let mut tally = Tally::default();
            let loss = output.read_into(&mut tally);
            if !loss.is_finite() {
                let step = first + index as u64 + 1;
                return Err(diagnosis::of_loss(&self.setting, &self.state, &self.engine.model(), loss, step));
            }
            self.state.epoch_tally.merge(&tally);
            self.state.interval_tally.merge(&tally);
            self.recorder.count(&tally);
        }
        Ok(())
    }

    fn after_step(&mut self, processor: &mut Processor) -> Result<(), TrainingError> {
        if self.is_interval_end() {
            self.read_figures()?;
            let health = self.health.take();
            self.recorder.interval(&mut self.state, &self.setting, health.as_ref())?;
            if self.recorder.status_is_due() {
                self.saver.write_status(self.recorder.status(&self.state, &self.setting));
            }
        }
        self.recorder.show_training(&self.state, &self.setting, processor);
        let interval = self.setting.experiment.checkpoint.interval_steps;
        let due = interval.is_some_and(|interval| self.state.step.is_multiple_of(interval as u64));
        if due && self.accumulated == 0 && self.state.batch < self.setting.batches {
            self.save(false)?;
        }
        Ok(())
    }

    /// Validates, logs, decides what is best and whether to go on, and saves.
    fn end_epoch(&mut self, processor: &mut Processor) -> Result<Option<StopReason>, TrainingError> {
        self.read_figures()?;
        self.recorder.end_training(&self.state, processor);
        let started = Instant::now();
        let validation = self.setting.validation_epoch().map(|batches| self.engine.infer(batches));
        let tallies = EpochTallies { train: self.state.epoch_tally, validation };
        let improved = self.setting.judge_best(&tallies, &mut self.state);
        let seconds = started.elapsed().as_secs_f64();
        self.recorder.epoch(&mut self.state, &self.setting, &tallies, improved, seconds, processor)?;
        let reason = self.reason_to_end(&tallies);
        self.state.over = reason;
        let finished = self.state.epoch;
        self.state.start_epoch(finished + 1);
        let due = finished.is_multiple_of(self.setting.experiment.checkpoint.interval);
        if due || improved || reason.is_some() {
            self.save(improved)?;
        }
        Ok(reason)
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
        self.recorder.note_lengths(&mut self.state);
        let (parameters, moments) = (self.engine.parameters(), self.engine.moments());
        let state = serde_json::to_value(&self.state).expect("the state is plain data");
        self.saver.save(Snapshot { step: self.state.step, state, parameters, moments }, is_best)?;
        self.saver.write_status(self.recorder.status(&self.state, &self.setting));
        Ok(())
    }

    fn wish_to_stop(&self, interrupter: &Interrupter, started: Instant) -> Option<StopReason> {
        if self.accumulated > 0 {
            return None;
        }
        if self.setting.stop.is_requested() || interrupter.should_stop() {
            return Some(StopReason::CtrlC);
        }
        let limit = self.setting.experiment.training.max_time?;
        (started.elapsed().as_secs_f64() >= limit).then_some(StopReason::MaxTime)
    }

    fn max_steps_reached(&self) -> bool {
        self.setting.experiment.training.max_steps.is_some_and(|steps| self.state.step >= steps as u64)
    }

    fn is_interval_end(&self) -> bool {
        self.state.batch.is_multiple_of(self.setting.log_interval())
    }
}
