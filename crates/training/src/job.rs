//! Starting a training: from the beginning or from a checkpoint, under Burn's Learner.
//!
//! [`Job::train`] gives Burn's `SupervisedTraining` a strategy of Kiln's own, [`ExactStrategy`]. Burn still provides the
//! learner, the loaders, the metrics and the dashboard; only the loop over epochs is replaced. [`Job::train_by`] runs
//! Burn's own strategies over the same batches for users who need several devices more than an exact resume.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};

use burn::data::dataloader::DataLoader;
use burn::module::{Module, ModuleDisplay};
use burn::optim::ModuleOptimizer;
use burn::train::logger::MetricLogger;
use burn::train::metric::store::{EpochSummary, MetricsUpdate, Split};
use burn::train::metric::{MetricDefinition, NumericEntry};
use burn::train::{
    ExecutionStrategy, InferenceStep, Interrupter, Learner, SupervisedLearningStrategy, SupervisedTraining,
    SupervisedTrainingEventProcessor, TrainLoader, TrainOutput, TrainStep, TrainingComponents,
    TrainingStrategy, ValidLoader,
};
use kiln_artifacts::{ArtifactError, Checkpoint, MetricLog, Run, RunState, RunStatus, StopReason, TimingLog};
use kiln_backend::SelectedDevice;
use kiln_config::Experiment;
use kiln_data::DataSet;
use kiln_kernels::with_threads_awake;
use kiln_model::{
    MODEL_FILE, Mlp, Model, Parameter, StepOutput, named, parameters, parameters_from_safetensors,
    weights_sha256, with_parameters,
};

use crate::checkpoint::{CheckpointWriter, Number, OPTIMIZER_FILE, OptimizerState};
use crate::dashboard::{FigureMetric, MetricKind, Renderer, is_kill, settle_after_kill};
use crate::recorder::Recorder;
use crate::schedule::{Length, Schedule};
use crate::state::{RunContext, TrainingState};
use crate::training_loop::{PreparedLoop, TrainingEnd};
use crate::{BestSoFar, Figures, Observer, StopSignal, TrainingError, open_dashboard};

/// A run to train: everything that [`Job::train`] needs.
pub struct Job<M> {
    /// The model with its starting values, on the backend's device with autodiff.
    pub model: M,
    /// Any of Burn's optimizers.
    pub optimizer: ModuleOptimizer,
    /// The run folder. The caller must hold its lock.
    pub run: Run,
    /// The settings.
    pub experiment: Experiment,
    /// The data, split and scaled.
    pub data: Arc<DataSet>,
    /// The device.
    pub backend: SelectedDevice,
    /// Whether to open Burn's dashboard.
    pub dashboard: bool,
    /// Receives the events of the training.
    pub observer: Box<dyn Observer>,
    /// Stops the training after the current step.
    pub stop: StopSignal,
    /// An epoch, from 1, after which training pauses with a checkpoint.
    pub pause_after: Option<usize>,
}

/// The result of a training that ended or was stopped.
#[derive(Clone, Debug)]
pub struct TrainingSummary {
    /// Why training ended.
    pub reason: StopReason,
    /// Epochs finished.
    pub epochs: usize,
    /// Batches trained on.
    pub steps: u64,
    /// The best epoch by the monitored figure, if one is monitored.
    pub best: Option<BestSoFar>,
    /// SHA-256 of the final weights.
    pub weights_sha256: String,
    /// Seconds over all sessions.
    pub elapsed_seconds: f64,
}

impl<M: Model> Job<M> {
    /// Trains from `checkpoint`, or from the beginning without one.
    ///
    /// # Errors
    /// After an error, the run's status is `failed` and names the cause, with two exceptions: changed settings leave
    /// the run as it was, and the dashboard's kill key marks it `interrupted`.
    pub fn train(self, checkpoint: Option<&Checkpoint>) -> Result<TrainingSummary, TrainingError> {
        let run = self.run.clone();
        // Inside rayon's pool, a parallel operation starts on this thread. From outside, Burn would hand each one to
        // another thread and wait for it, hundreds of times per step.
        let result = with_threads_awake(|| self.train_inner(checkpoint));
        match &result {
            Ok(_) | Err(TrainingError::Changed { .. }) => {}
            Err(TrainingError::Killed) => {
                note_end(&run, |status| status.stopped(RunState::Interrupted, StopReason::CtrlC));
            }
            Err(error) => note_end(&run, |status| {
                let failure = Some(error.kind());
                let error = Some(kiln_files::with_causes(error));
                RunStatus { error, failure, ..status.stopped(RunState::Failed, StopReason::Error) }
            }),
        }
        result
    }

    fn train_inner(self, checkpoint: Option<&Checkpoint>) -> Result<TrainingSummary, TrainingError> {
        let Self { model, optimizer, run, experiment, data, backend, dashboard, observer, stop, pause_after } =
            self;
        batches(&experiment, &data)?;
        let mut context = RunContext::new(run, experiment, &data, &backend, stop);
        context.pause_after = pause_after;
        let mut schedule = schedule(&context);
        let (state, model, optimizer) = if let Some(checkpoint) = checkpoint {
            restore(checkpoint, &context, model, optimizer, &mut schedule)?
        } else {
            let (experiment, data) = (context.experiment.clone(), context.data_sha256.clone());
            let state = TrainingState::new(experiment, data, schedule.state(), backend.fused);
            (state, model, optimizer)
        };
        let recorder = recorder(&context, &state, observer)?;
        if let Some(reason) = state.over {
            // The process was killed after the last checkpoint, but before the test. The recorder has cut the logs back
            // and written the status, so only the test is left to do.
            return Ok(summary(&parameters(&model), &TrainingEnd { reason, state }));
        }
        if context.pauses_after(state.epochs_done()) {
            let reason = StopReason::Paused;
            return Ok(summary(&parameters(&model), &TrainingEnd { reason, state }));
        }
        context.train.resume_at(state.epoch as u64 - 1, state.batch);
        let writer =
            CheckpointWriter::start(context.run.clone(), context.experiment.checkpoint.keep_latest_k);
        let training_loop =
            PreparedLoop { context, writer, state, optimizer, schedule, recorder, unread: Vec::new() };
        let (model, end) = launch(training_loop, model, dashboard)?;
        Ok(summary(&parameters(&model), &end))
    }

    /// Trains with one of Burn's own strategies, such as several devices at once: Burn's loop over the same batches, with
    /// the same optimizer, figures and dashboard, at the constant learning rate `optimizer.lr`. There are no checkpoints,
    /// schedules or logs; the only result is the trained model.
    pub fn train_by(self, strategy: ExecutionStrategy) -> Result<M, TrainingError> {
        let Self { model, optimizer, run, experiment, data, backend, dashboard, stop, .. } = self;
        batches(&experiment, &data)?;
        let context = RunContext::new(run, experiment, &data, &backend, stop);
        let training = supervised::<M>(&context, 0, dashboard)
            .with_training_strategy(TrainingStrategy::Default(strategy));
        let learner = Learner::new(Watched { model }, optimizer, context.experiment.optimizer.lr);
        let result = training.launch(learner);
        match result.error {
            Some(error) => Err(TrainingError::Burn(error.to_string())),
            None => Ok(result.model.model),
        }
    }
}

/// Checks an experiment against its data, before a run folder is made: there must be at least one whole batch.
pub fn check(experiment: &Experiment, data: &DataSet) -> Result<(), TrainingError> {
    batches(experiment, data).map(|_| ())
}

fn batches(experiment: &Experiment, data: &DataSet) -> Result<usize, TrainingError> {
    let examples = data.train.len();
    match RunContext::batching(experiment).batches(examples) {
        0 => Err(TrainingError::NoBatch { examples, batch_size: experiment.training.batch_size }),
        batches => Ok(batches),
    }
}

fn schedule(context: &RunContext) -> Schedule {
    let Experiment { lr_scheduler, optimizer, training, .. } = &context.experiment;
    Schedule::new(lr_scheduler, optimizer.lr, Length::new(training, context.batches))
}

/// Loads weights, optimizer and schedule from `checkpoint`, and discards what was stored after it.
fn restore<M: Model>(
    checkpoint: &Checkpoint,
    context: &RunContext,
    model: M,
    optimizer: ModuleOptimizer,
    schedule: &mut Schedule,
) -> Result<(TrainingState, M, ModuleOptimizer), TrainingError> {
    let mut state = TrainingState::of(checkpoint)?;
    state.check_unchanged(&context.experiment, &context.data_sha256)?;
    state.over = state.still_over(&context.experiment);
    state.experiment = context.experiment.clone();
    let read = |file: &str| -> Result<Vec<Parameter>, TrainingError> {
        let bytes = checkpoint.files.get(file).ok_or_else(|| TrainingError::State {
            step: checkpoint.step,
            cause: format!("{file} is missing"),
        })?;
        Ok(parameters_from_safetensors(bytes)?)
    };
    let model = with_parameters(model, &read(MODEL_FILE)?)?;
    let named = named(&model);
    let mut numbers = state.optimizer_numbers.clone();
    if numbers.is_empty() && state.optimizer_steps > 0 {
        // Checkpoints of Kiln's first version stored only the number of steps, which is the same for every parameter.
        let steps = Number::UInt(state.optimizer_steps as u64);
        numbers.extend(named.iter().map(|parameter| (format!("{}.step", parameter.path), steps)));
    }
    let memory = OptimizerState { tensors: read(OPTIMIZER_FILE)?, numbers };
    let optimizer = memory.restore(optimizer, &named)?;
    schedule.restore(state.plateau);
    context.store.discard_after(checkpoint.step)?;
    context.store.set_last(checkpoint.step)?;
    if let Some(best) = state.best.filter(|best| best.step == checkpoint.step) {
        context.store.set_best(best.step)?;
    }
    Ok((state, model, optimizer))
}

/// A recorder whose logs are cut back to the lengths at `state`.
fn recorder(
    context: &RunContext,
    state: &TrainingState,
    observer: Box<dyn Observer>,
) -> Result<Recorder, TrainingError> {
    let mut metrics = MetricLog::open_append(context.run.metrics())?;
    metrics.truncate_to(state.metrics_bytes)?;
    let mut timings = TimingLog::open_append(context.run.timings())?;
    // No result depends on timings.jsonl, so a damaged one does not stop a resume.
    match timings.truncate_to(state.timings_bytes) {
        Err(ArtifactError::LogTooShort { .. }) => {}
        Err(ArtifactError::Malformed { .. }) => timings.truncate_to(0)?,
        other => other?,
    }
    let (epochs, steps) = (context.experiment.training.epochs as u64, context.total_steps() as u64);
    let status = match context.run.status() {
        Ok(status) if state.step > 0 => status.resumed(),
        _ => RunStatus::running(epochs, steps),
    };
    let mut recorder = Recorder::new(metrics, timings, observer, RunStatus { epochs, steps, ..status });
    let status = recorder.status(state, context);
    context.run.write_status(&status)?;
    Ok(recorder)
}

/// Burn's `SupervisedTraining` with Kiln's loaders, metrics and dashboard.
fn supervised<M: Model>(
    context: &RunContext,
    first_epoch: usize,
    dashboard: bool,
) -> SupervisedTraining<Watched<M>> {
    let train: Arc<dyn DataLoader<<M as TrainStep>::Input>> = context.train.clone();
    let validation = context.validation.clone().unwrap_or_else(|| Arc::clone(&context.train));
    let mut training = SupervisedTraining::new(context.run.folder(), train, validation)
        .with_application_logger(None)
        .with_metric_logger(NoLogFiles)
        .num_epochs(context.experiment.training.epochs)
        .checkpoint(first_epoch)
        .label(&format!("{} {}", context.run.name(), context.run.id()));
    // After a resume, the dashboard's "best" includes the epochs before it.
    let before = context.run.metric_rows().unwrap_or_default();
    for kind in MetricKind::ALL {
        training = training.metric_train_numeric(FigureMetric::new(kind));
        if kind.in_validation() {
            training = training.metric_valid_numeric(FigureMetric::of_validation(kind, &before));
        }
    }
    let interrupter: Interrupter = training.interrupter();
    let dashboard = dashboard.then(|| open_dashboard(interrupter, first_epoch));
    training.renderer(Box::new(Renderer(dashboard)))
}

/// Runs the loop under Burn's Learner.
fn launch<M: Model>(
    training_loop: PreparedLoop<M>,
    model: M,
    dashboard: bool,
) -> Result<(M, TrainingEnd), TrainingError> {
    let context = &training_loop.context;
    let training = supervised::<M>(context, training_loop.state.epochs_done(), dashboard);
    // A checkpoint must contain the optimizer's state, and Burn's Learner does not give its optimizer back: the loop has
    // its own.
    let (optimizer, lr) = (training_loop.optimizer.clone(), context.experiment.optimizer.lr);
    let learner = Learner::new(Watched { model }, optimizer, lr);
    let strategy = Arc::new(ExactStrategy::new(training_loop));
    let training = training.with_training_strategy(TrainingStrategy::Custom(strategy.clone()));
    let result = match catch_unwind(AssertUnwindSafe(|| training.launch(learner))) {
        Ok(result) => result,
        Err(panic) if is_kill(panic.as_ref()) => {
            settle_after_kill();
            return Err(TrainingError::Killed);
        }
        Err(panic) => resume_unwind(panic),
    };
    let end = strategy.take_end().ok_or_else(|| {
        TrainingError::Burn(
            result.error.as_ref().map_or_else(|| "no reason given".into(), ToString::to_string),
        )
    })??;
    Ok((result.model.model, end))
}

fn summary(parameters: &[Parameter], end: &TrainingEnd) -> TrainingSummary {
    TrainingSummary {
        reason: end.reason,
        epochs: end.state.epochs_done(),
        steps: end.state.step,
        best: end.state.best,
        weights_sha256: weights_sha256(parameters),
        elapsed_seconds: end.state.elapsed_seconds,
    }
}

/// Writes to status.json how the run ended, best-effort: the training's own error must not be hidden.
fn note_end(run: &Run, ended: impl FnOnce(RunStatus) -> RunStatus) {
    let Ok(status) = run.status() else { return };
    if let Err(error) = run.write_status(&ended(status)) {
        tracing::error!("cannot write to status.json how the run ended: {error}");
    }
}

/// Turns Burn's own log files off: metrics.jsonl has the same figures, and survives a crash.
struct NoLogFiles;

impl MetricLogger for NoLogFiles {
    fn log(&mut self, _: MetricsUpdate, _: usize, _: &Split) {}

    fn read_numeric(&mut self, _: &str, _: usize, _: &Split) -> Result<Vec<NumericEntry>, String> {
        Ok(Vec::new())
    }

    fn log_metric_definition(&mut self, _: MetricDefinition) {}

    fn log_epoch_summary(&mut self, _: EpochSummary) {}
}

/// Receives Burn's training events for the dashboard. It is the same type for every model.
pub(crate) type Processor = SupervisedTrainingEventProcessor<Watched<Mlp>>;

/// Wraps a model so that its steps return the figures that Burn's dashboard shows.
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

/// Runs a [`PreparedLoop`] in place of Burn's epochs, with the learner's model and Burn's loaders.
///
/// Burn's strategies cannot stop and resume within an epoch, and do not save early stopping, data order or dropout. On
/// an interrupt they return before a checkpoint is written.
struct ExactStrategy<M: Model> {
    training_loop: Mutex<Option<PreparedLoop<M>>>,
    end: Mutex<Option<Result<TrainingEnd, TrainingError>>>,
}

impl<M: Model> ExactStrategy<M> {
    fn new(training_loop: PreparedLoop<M>) -> Self {
        Self { training_loop: Mutex::new(Some(training_loop)), end: Mutex::new(None) }
    }

    /// How the loop ended; `None` if Burn failed before it started.
    fn take_end(&self) -> Option<Result<TrainingEnd, TrainingError>> {
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
        // `Learner::optimizer_step` would copy every parameter, because it steps on a clone of the model. The loop moves
        // the model into the step instead.
        drop(learner);
        let mut processor = components.event_processor;
        let (model, end) =
            training_loop.run(model, &*train, &*validation, &mut processor, &components.interrupter);
        *self.end.lock().expect("no thread panics with the lock") = Some(end);
        (Watched { model }, processor)
    }
}
