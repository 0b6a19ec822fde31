//! Where the figures of a run go: the metric log, the timings, the observer, Burn's dashboard and status.json.
//!
//! `metrics.jsonl` contains only what follows from the settings and the data, so that two runs with the same seed have
//! the same bytes; times go to `timings.jsonl`. The lower half of this file measures [`Health`], the figures of each
//! layer that reveal exploding or vanishing gradients, and dead or saturated units.

use std::time::{Duration, Instant};

use burn::data::dataloader::Progress;
use burn::train::{EventProcessorTraining, LearnerEvent, TrainingItem};
use kiln_artifacts::{MetricLog, MetricRow, MetricScope, RunStatus, StopReason, TimingLog, TimingRow};
use kiln_config::Activation;
use kiln_model::{Model, Parameter, Probe, Tally};

use crate::gradient_descent::GradientDescent;
use crate::job::Processor;
use crate::state::{EpochTallies, RunContext, TrainingState};
use crate::{Event, Figures, Observer, TrainingError};

/// Time between two updates of the dashboard, which redraws ten times a second.
const SHOW_INTERVAL: Duration = Duration::from_millis(100);
/// Time between two updates of status.json within an epoch.
const STATUS_INTERVAL: Duration = Duration::from_secs(2);

/// Writes the logs, and informs the observer and the dashboard.
pub(crate) struct Recorder {
    metrics: MetricLog,
    timings: TimingLog,
    observer: Box<dyn Observer>,
    status: RunStatus,
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
        status: RunStatus,
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

    pub(crate) fn start(&mut self, state: &TrainingState, context: &RunContext) {
        self.observer.observe(&Event::Started {
            epoch: state.epoch,
            epochs: context.experiment.training.epochs,
            step: state.step,
            examples: context.examples(),
        });
    }

    pub(crate) fn stop(&mut self, state: &TrainingState, stop_reason: StopReason) {
        let (epochs_done, step) = (state.epochs_done(), state.step);
        self.observer.observe(&Event::Stopped { stop_reason, epochs_done, step });
    }

    /// Adds examples that the dashboard has not shown yet.
    pub(crate) fn count(&mut self, tally: &Tally) {
        self.unshown.merge(tally);
    }

    pub(crate) fn start_epoch(
        &mut self,
        state: &TrainingState,
        context: &RunContext,
        processor: &mut Processor,
    ) {
        self.unshown = Tally::default();
        self.shown_at = Instant::now();
        send(processor.process_train(LearnerEvent::StartSplit {
            epoch_number: state.epoch,
            total_items: context.examples(),
        }));
    }

    /// Logs a finished interval, and resets its figures in `state`.
    pub(crate) fn log_interval(
        &mut self,
        state: &mut TrainingState,
        context: &RunContext,
        health: Option<&Health>,
    ) -> Result<(), TrainingError> {
        let Tally { examples, .. } = state.interval_tally;
        let (loss, accuracy) = (state.interval_tally.loss(), state.interval_tally.accuracy());
        let (lr, gradient_norm) = (state.learning_rate, state.gradient_norm);
        let figures = [("loss", loss), ("accuracy", accuracy), ("lr", lr), ("gradient_norm", gradient_norm)];
        let (epoch, seconds) = (state.epoch as u64, state.interval_seconds);
        let mut row = MetricRow::new("train", MetricScope::Interval, epoch, state.step, figures);
        if let Some(health) = health {
            row.figures.extend(health.figures());
            self.update_ratio = health.update_ratio();
            self.inactive_share = health.inactive_share();
        }
        self.metrics.append(&row)?;
        self.timings.append(&TimingRow::now(
            "train",
            MetricScope::Interval,
            epoch,
            state.step,
            seconds,
            examples,
        ))?;
        self.observer.observe(&Event::Interval {
            epoch: state.epoch,
            epochs: context.experiment.training.epochs,
            examples_done: context.examples_in(state.batch),
            examples: context.examples(),
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

    /// Updates the dashboard, at most as often as it redraws.
    pub(crate) fn show_training(
        &mut self,
        state: &TrainingState,
        context: &RunContext,
        processor: &mut Processor,
    ) {
        if self.shown_at.elapsed() >= SHOW_INTERVAL {
            let done = context.examples_in(state.batch);
            self.flush_to_dashboard(state, done, context.examples(), processor);
        }
    }

    pub(crate) fn end_training(&mut self, state: &TrainingState, processor: &mut Processor) {
        let examples = state.epoch_tally.examples as usize;
        self.flush_to_dashboard(state, examples, examples, processor);
        send(processor.process_train(LearnerEvent::EndSplit(state.epoch)));
    }

    /// Logs a finished epoch.
    pub(crate) fn log_epoch(
        &mut self,
        state: &mut TrainingState,
        context: &RunContext,
        tallies: &EpochTallies,
        best: bool,
        validation_seconds: f64,
        processor: &mut Processor,
    ) -> Result<(), TrainingError> {
        let train = tallies.train;
        let (epoch, step) = (state.epoch as u64, state.step);
        let figures = [("loss", train.loss()), ("accuracy", train.accuracy()), ("lr", state.learning_rate)];
        self.metrics.append(&MetricRow::new("train", MetricScope::Epoch, epoch, step, figures))?;
        let seconds = state.epoch_seconds;
        self.timings.append(&TimingRow::now(
            "train",
            MetricScope::Epoch,
            epoch,
            step,
            seconds,
            train.examples,
        ))?;
        if let Some(validation) = tallies.validation {
            let figures = [("loss", validation.loss()), ("accuracy", validation.accuracy())];
            self.metrics.append(&MetricRow::new("validation", MetricScope::Epoch, epoch, step, figures))?;
            let row = TimingRow::now(
                "validation",
                MetricScope::Epoch,
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
            epochs: context.experiment.training.epochs,
            train_loss: train.loss(),
            train_accuracy: train.accuracy(),
            validation_loss: tallies.validation.map(|tally| tally.loss()),
            validation_accuracy: tallies.validation.map(|tally| tally.accuracy()),
            seconds,
            best,
        });
        Ok(())
    }

    /// Stores the lengths of the logs in `state`. A resume cuts the logs back to them.
    pub(crate) fn note_lengths(&self, state: &mut TrainingState) {
        state.metrics_bytes = self.metrics.position();
        state.timings_bytes = self.timings.position();
    }

    /// Whether status.json is older than [`STATUS_INTERVAL`].
    pub(crate) fn status_is_due(&self) -> bool {
        self.status_at.elapsed() >= STATUS_INTERVAL
    }

    /// The status at `state`.
    pub(crate) fn status(&mut self, state: &TrainingState, context: &RunContext) -> RunStatus {
        self.status_at = Instant::now();
        let monitor = context.experiment.checkpoint.monitor;
        self.status.epoch = if state.batch == 0 { state.epochs_done() } else { state.epoch } as u64;
        self.status.step = state.step;
        self.status.elapsed_seconds = state.elapsed_seconds;
        self.status.best = state.best.map(|best| kiln_artifacts::BestEpoch {
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

/// Logs an error of the dashboard. It must not end the run.
fn send(result: Result<(), impl std::fmt::Display>) {
    if let Err(error) = result {
        tracing::warn!("the dashboard cannot show a figure: {error}");
    }
}

/// Shows the figures of the validation split.
fn show_validation(tally: &Tally, epoch_number: usize, processor: &mut Processor) {
    let total_items = tally.examples as usize;
    let figures = Figures { tally: *tally, ..Figures::default() };
    send(processor.process_valid(LearnerEvent::StartSplit { epoch_number, total_items }));
    let item = TrainingItem::new(figures, progress(total_items, total_items), None, None);
    send(processor.process_valid(LearnerEvent::ProcessedItem(item)));
    send(processor.process_valid(LearnerEvent::EndSplit(epoch_number)));
}

/// A sigmoid closer than this to 0 or 1 counts as saturated: its slope is below 0.05.
const SIGMOID_MARGIN: f64 = 0.05;
/// A tanh closer than this to -1 or 1 counts as saturated. Its range is twice as wide.
const TANH_MARGIN: f64 = 0.05;

/// The health of one layer at one step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LayerHealth {
    /// The path of the layer in the module, such as `layers.0`.
    pub(crate) name: String,
    /// 2-norm of the gradient of the weights.
    pub(crate) gradient_norm: f64,
    /// 2-norm of the weights.
    pub(crate) weight_norm: f64,
    /// 2-norm of the update over the 2-norm of the weights.
    pub(crate) update_ratio: f64,
    /// The share of dead or saturated units, in [0, 1], after its name in the log. `None` for activations that cannot
    /// die or saturate.
    pub(crate) inactive_share: Option<(&'static str, f64)>,
}

/// The health of all layers at one step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Health {
    pub(crate) layers: Vec<LayerHealth>,
}

impl Health {
    /// Measures every layer, which is every trained parameter with two or more dimensions. `before` are the parameters
    /// before the optimizer step, `gradient_norms` belong to `descent.trained`, and `probes` are the layers' outputs
    /// after the step, for the batch of that step.
    pub(crate) fn new<M: Model>(
        before: &[Parameter],
        descent: &GradientDescent<M>,
        gradient_norms: &[f64],
        probes: &[Probe],
    ) -> Self {
        let after = descent.parameters();
        let trained = descent.trained.iter().zip(gradient_norms).filter(|(named, _)| named.shape.len() >= 2);
        let layers = trained.filter_map(|(named, &gradient_norm)| {
            let [before, after] = [before, &after].map(|all| all.iter().find(|it| it.name == named.path));
            let (before, after) = (&before?.values, &after?.values);
            let weight_norm = norm(after.iter().copied());
            let step = norm(before.iter().zip(after).map(|(before, after)| after - before));
            let name = layer_of(&named.path).to_owned();
            let probe = probes.iter().find(|probe| probe.layer == name);
            Some(LayerHealth {
                gradient_norm,
                weight_norm,
                update_ratio: if step == 0.0 { 0.0 } else { step / weight_norm },
                inactive_share: probe.and_then(inactive_share),
                name,
            })
        });
        Self { layers: layers.collect() }
    }

    /// The figures for the metric log: `layers.0.gradient_norm` and so on.
    pub(crate) fn figures(&self) -> impl Iterator<Item = (String, f64)> {
        self.layers.iter().flat_map(|layer| {
            let name = |figure: &str| format!("{}.{figure}", layer.name);
            [
                Some((name("gradient_norm"), layer.gradient_norm)),
                Some((name("weight_norm"), layer.weight_norm)),
                Some((name("update_ratio"), layer.update_ratio)),
                layer.inactive_share.map(|(figure, share)| (name(figure), share)),
            ]
            .into_iter()
            .flatten()
        })
    }

    /// The greatest update ratio of all layers.
    pub(crate) fn update_ratio(&self) -> f64 {
        self.layers.iter().map(|layer| layer.update_ratio).fold(0.0, f64::max)
    }

    /// The greatest share of inactive units of all layers; 0 if no layer can have any.
    pub(crate) fn inactive_share(&self) -> f64 {
        self.layers
            .iter()
            .filter_map(|layer| layer.inactive_share)
            .map(|(_, share)| share)
            .fold(0.0, f64::max)
    }
}

/// The path of the layer that a parameter belongs to.
fn layer_of(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(layer, _)| layer)
}

/// The share of a layer's inactive units, after its name in the log.
fn inactive_share(probe: &Probe) -> Option<(&'static str, f64)> {
    let share: fn(&[f32], usize) -> f64 = match probe.activation {
        Activation::Relu => dead_share,
        Activation::Sigmoid => |values, _| saturated_share(values, 0.5, 0.5 - SIGMOID_MARGIN),
        Activation::Tanh => |values, _| saturated_share(values, 0.0, 1.0 - TANH_MARGIN),
        _ => return None,
    };
    let name = if probe.activation == Activation::Relu { "dead_share" } else { "saturated_share" };
    let [_, units] = probe.outputs.dims();
    let values = probe.outputs.to_data().convert::<f32>().try_into_vec::<f32>();
    Some((name, share(&values.expect("just converted"), units)))
}

/// The share of units that are 0 for every example of the batch.
fn dead_share(values: &[f32], units: usize) -> f64 {
    let mut awake = vec![false; units];
    for example in values.chunks_exact(units) {
        for (awake, value) in awake.iter_mut().zip(example) {
            *awake |= *value != 0.0;
        }
    }
    let dead = awake.iter().filter(|awake| !**awake).count();
    dead as f64 / units as f64
}

/// The share of values whose distance from `middle` exceeds `limit`.
fn saturated_share(values: &[f32], middle: f32, limit: f64) -> f64 {
    let saturated = values.iter().filter(|value| f64::from((**value - middle).abs()) > limit).count();
    saturated as f64 / values.len() as f64
}

fn norm(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_is_zero_for_every_example_is_dead() {
        assert_eq!(dead_share(&[0.0, 0.0, 1.0, 0.0, 2.0, 0.0], 3), 1.0 / 3.0);
    }

    #[test]
    fn values_near_the_limits_are_saturated() {
        assert_eq!(saturated_share(&[0.99, -0.99, 0.5, 0.0, -0.2, 0.96], 0.0, 0.95), 0.5);
    }
}
