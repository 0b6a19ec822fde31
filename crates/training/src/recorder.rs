//! Keeps and shows what a run finds: the logs, the observer, Burn's dashboard, the status.

use std::time::{Duration, Instant};

use burn::data::dataloader::Progress;
use burn::train::{EventProcessorTraining, LearnerEvent, TrainingItem};
use kiln_artifacts::{MetricLog, MetricRow, Scope, Status, StopReason, TimingLog, TimingRow};
use kiln_model::Tally;

use crate::event::{Event, Observer};
use crate::health::Health;
use crate::monitoring::EpochTallies;
use crate::setting::Setting;
use crate::state::TrainingState;
use crate::strategy::Processor;
use crate::{Figures, TrainingError};

/// Time between two updates of the dashboard, which redraws ten times a second.
const SHOW_INTERVAL: Duration = Duration::from_millis(100);
/// Time between two updates of status.json within an epoch.
const STATUS_INTERVAL: Duration = Duration::from_secs(2);

/// Everything that a run tells the outside.
pub(crate) struct Recorder {
    pub(crate) metrics: MetricLog,
    pub(crate) timings: TimingLog,
    pub(crate) observer: Box<dyn Observer>,
    status: Status,
    update_ratio: f64,
    inactive_share: f64,
    unshown: Tally,
    shown_at: Instant,
    status_at: Instant,
}

impl Recorder {
    pub(crate) fn new(
        metrics: MetricLog,
        timings: TimingLog,
        observer: Box<dyn Observer>,
        status: Status,
    ) -> Self {
        let now = Instant::now();
        Self {
            metrics,
            timings,
            observer,
            status,
            update_ratio: 0.0,
            inactive_share: 0.0,
            unshown: Tally::default(),
            shown_at: now,
            status_at: now,
        }
    }

    pub(crate) fn start(&mut self, state: &TrainingState, setting: &Setting) {
        self.observer.observe(&Event::Started {
            epoch: state.epoch,
            epochs: setting.experiment.training.epochs,
            step: state.step,
            examples: setting.examples(),
        });
    }

    pub(crate) fn stop(&mut self, state: &TrainingState, stop_reason: StopReason) {
        let (epochs_done, step) = (state.epochs_done(), state.step);
        self.observer.observe(&Event::Stopped { stop_reason, epochs_done, step });
    }

    /// Counts examples that the dashboard has not shown yet.
    pub(crate) fn count(&mut self, tally: &Tally) {
        self.unshown.merge(tally);
    }

    pub(crate) fn start_epoch(
        &mut self,
        state: &TrainingState,
        setting: &Setting,
        processor: &mut Processor,
    ) {
        self.unshown = Tally::default();
        self.shown_at = Instant::now();
        send(processor.process_train(LearnerEvent::StartSplit {
            epoch_number: state.epoch,
            total_items: setting.examples(),
        }));
    }

    /// Logs the interval since the last call and starts the next.
    pub(crate) fn interval(
        &mut self,
        state: &mut TrainingState,
        setting: &Setting,
        health: Option<&Health>,
    ) -> Result<(), TrainingError> {
        let Tally { examples, .. } = state.interval_tally;
        let (loss, accuracy) = (state.interval_tally.loss(), state.interval_tally.accuracy());
        let (lr, gradient_norm) = (state.learning_rate, state.gradient_norm);
        let figures = [("loss", loss), ("accuracy", accuracy), ("lr", lr), ("gradient_norm", gradient_norm)];
        let (epoch, seconds) = (state.epoch as u64, state.interval_seconds);
        let mut row = MetricRow::new("train", Scope::Interval, epoch, state.step, figures);
        if let Some(health) = health {
            row.figures.extend(health.figures());
            self.update_ratio = health.update_ratio();
            self.inactive_share = health.inactive_share();
        }
        self.metrics.append(&row)?;
        self.timings.append(&TimingRow::now(
            "train",
            Scope::Interval,
            epoch,
            state.step,
            seconds,
            examples,
        ))?;
        self.observer.observe(&Event::Interval {
            epoch: state.epoch,
            epochs: setting.experiment.training.epochs,
            examples_done: (state.batch * setting.experiment.training.batch_size).min(setting.examples()),
            examples: setting.examples(),
            loss,
            accuracy,
            lr,
            gradient_norm,
            examples_per_second: examples as f64 / seconds,
        });
        state.interval_tally = Tally::default();
        state.interval_seconds = 0.0;
        Ok(())
    }

    /// Lets the dashboard know how training goes, as often as it can show it.
    pub(crate) fn show_training(
        &mut self,
        state: &TrainingState,
        setting: &Setting,
        processor: &mut Processor,
    ) {
        if self.shown_at.elapsed() >= SHOW_INTERVAL {
            let done = (state.batch * setting.experiment.training.batch_size).min(setting.examples());
            self.flush_to_dashboard(state, done, setting.examples(), processor);
        }
    }

    pub(crate) fn end_training(&mut self, state: &TrainingState, processor: &mut Processor) {
        let examples = state.epoch_tally.examples as usize;
        self.flush_to_dashboard(state, examples, examples, processor);
        send(processor.process_train(LearnerEvent::EndSplit(state.epoch)));
    }

    /// Logs a finished epoch.
    pub(crate) fn epoch(
        &mut self,
        state: &mut TrainingState,
        setting: &Setting,
        tallies: &EpochTallies,
        best: bool,
        validation_seconds: f64,
        processor: &mut Processor,
    ) -> Result<(), TrainingError> {
        let train = tallies.train;
        let (epoch, step) = (state.epoch as u64, state.step);
        let figures = [("loss", train.loss()), ("accuracy", train.accuracy()), ("lr", state.learning_rate)];
        self.metrics.append(&MetricRow::new("train", Scope::Epoch, epoch, step, figures))?;
        let seconds = state.epoch_seconds;
        self.timings.append(&TimingRow::now("train", Scope::Epoch, epoch, step, seconds, train.examples))?;
        if let Some(validation) = tallies.validation {
            let figures = [("loss", validation.loss()), ("accuracy", validation.accuracy())];
            self.metrics.append(&MetricRow::new("validation", Scope::Epoch, epoch, step, figures))?;
            let row = TimingRow::now(
                "validation",
                Scope::Epoch,
                epoch,
                step,
                validation_seconds,
                validation.examples,
            );
            self.timings.append(&row)?;
            show_validation(&validation, state.epoch, processor);
        }
        send(processor.process_train(LearnerEvent::EndEpoch(state.epoch)));
        self.observer.observe(&Event::Epoch {
            epoch: state.epoch,
            epochs: setting.experiment.training.epochs,
            train_loss: train.loss(),
            train_accuracy: train.accuracy(),
            validation_loss: tallies.validation.map(|tally| tally.loss()),
            validation_accuracy: tallies.validation.map(|tally| tally.accuracy()),
            seconds,
            best,
        });
        Ok(())
    }

    /// Notes the lengths of the logs, to which a resumed run cuts them back.
    pub(crate) fn note_lengths(&self, state: &mut TrainingState) {
        state.metrics_bytes = self.metrics.position();
        state.timings_bytes = self.timings.position();
    }

    /// True when status.json has not been written for a while.
    pub(crate) fn status_is_due(&self) -> bool {
        self.status_at.elapsed() >= STATUS_INTERVAL
    }

    /// The status at `state`.
    pub(crate) fn status(&mut self, state: &TrainingState, setting: &Setting) -> Status {
        self.status_at = Instant::now();
        let monitor = setting.experiment.checkpoint.monitor;
        self.status.epoch = if state.batch == 0 { state.epochs_done() } else { state.epoch } as u64;
        self.status.step = state.step;
        self.status.elapsed_seconds = state.elapsed_seconds;
        self.status.best = state.best.map(|best| kiln_artifacts::Best {
            monitor,
            value: best.value,
            epoch: best.epoch as u64,
            step: best.step,
        });
        self.status.clone()
    }

    fn flush_to_dashboard(
        &mut self,
        state: &TrainingState,
        done: usize,
        total: usize,
        processor: &mut Processor,
    ) {
        if self.unshown.examples == 0 {
            return;
        }
        let figures = Figures {
            tally: std::mem::take(&mut self.unshown),
            learning_rate: state.learning_rate,
            gradient_norm: state.gradient_norm,
            update_ratio: self.update_ratio,
            inactive_share: self.inactive_share,
            seconds: self.shown_at.elapsed().as_secs_f64(),
        };
        self.shown_at = Instant::now();
        let item = TrainingItem::new(figures, progress(done, total), Some(state.batch), None);
        send(processor.process_train(LearnerEvent::ProcessedItem(item)));
    }
}

fn progress(done: usize, total: usize) -> Progress {
    Progress::new(done, total, Some("examples".to_owned()))
}

/// A figure that the dashboard could not show is no reason to end a run.
fn send(result: Result<(), impl std::fmt::Display>) {
    if let Err(error) = result {
        tracing::warn!("the dashboard could not show a figure: {error}");
    }
}

/// Shows the validation split's figures.
fn show_validation(tally: &Tally, epoch_number: usize, processor: &mut Processor) {
    let total_items = tally.examples as usize;
    let figures = Figures { tally: *tally, ..Figures::default() };
    send(processor.process_valid(LearnerEvent::StartSplit { epoch_number, total_items }));
    let item = TrainingItem::new(figures, progress(total_items, total_items), None, None);
    send(processor.process_valid(LearnerEvent::ProcessedItem(item)));
    send(processor.process_valid(LearnerEvent::EndSplit(epoch_number)));
}
