//! Training a run from its beginning or from its last checkpoint.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use burn::data::dataloader::DataLoader;
use burn::optim::ModuleOptimizer;
use burn::train::logger::MetricLogger;
use burn::train::metric::store::{EpochSummary, MetricsUpdate, Split};
use burn::train::metric::{MetricDefinition, NumericEntry};
use burn::train::{ExecutionStrategy, Interrupter, Learner, SupervisedTraining, TrainStep, TrainingStrategy};
use kiln_artifacts::{ArtifactError, Checkpoint, MetricLog, Run, RunState, Status, StopReason, TimingLog};
use kiln_backend::Selected;
use kiln_config::Experiment;
use kiln_data::DataSet;
use kiln_kernels::with_threads_awake;
use kiln_model::{
    MODEL_FILE, Model, Parameter, named, parameters, parameters_from_safetensors, weights_sha256,
    with_parameters,
};

use crate::TrainingError;
use crate::dashboard::{Renderer, open_dashboard, settle_after_kill};
use crate::event::Observer;
use crate::metric::{FigureMetric, Kind};
use crate::monitoring::Best;
use crate::optimizer_state::{Number, OptimizerState};
use crate::recorder::Recorder;
use crate::saver::{OPTIMIZER_FILE, Saver};
use crate::schedule::{Length, Schedule};
use crate::setting::Setting;
use crate::state::TrainingState;
use crate::stop::StopSignal;
use crate::strategy::{ExactStrategy, Watched};
use crate::training_loop::{End, TrainingLoop};

/// A run to train: everything that [`Job::train`] needs.
pub struct Job<M> {
    /// The model with its starting values, on the backend's device with autodiff.
    pub model: M,
    /// What moves its weights: any of Burn's optimizers.
    pub optimizer: ModuleOptimizer,
    /// The run folder; its lock is the caller's to hold.
    pub run: Run,
    /// What to train.
    pub experiment: Experiment,
    /// What to train on.
    pub data: Arc<DataSet>,
    /// Where to compute.
    pub backend: Selected,
    /// Whether to open Burn's dashboard.
    pub dashboard: bool,
    /// Who else watches.
    pub observer: Box<dyn Observer>,
    /// The wish to stop.
    pub stop: StopSignal,
    /// An epoch, from 1, after which training pauses with a checkpoint.
    pub pause_after: Option<usize>,
}

/// A run whose training has ended or was stopped.
#[derive(Clone, Debug)]
pub struct Trained {
    /// Why.
    pub reason: StopReason,
    /// Epochs finished.
    pub epochs: usize,
    /// Batches trained on.
    pub steps: u64,
    /// The best epoch, where one is monitored.
    pub best: Option<Best>,
    /// SHA-256 of the weights now.
    pub weights_sha256: String,
    /// Seconds over all sessions.
    pub elapsed_seconds: f64,
}

impl<M: Model> Job<M> {
    /// Trains from `checkpoint`, or from the beginning without one.
    ///
    /// # Errors
    /// Where the model does not fit the data, the folder cannot be written, the checkpoint belongs to other
    /// settings, or figures stop being finite. The run's status then says `failed`.
    pub fn train(self, checkpoint: Option<&Checkpoint>) -> Result<Trained, TrainingError> {
        let run = self.run.clone();
        // Within the pool, a parallel operation begins on this thread; from outside it would hand over to another
        // and wait, hundreds of times a step.
        let result = with_threads_awake(|| self.train_inner(checkpoint));
        match &result {
            Ok(_) | Err(TrainingError::Changed { .. }) => {}
            Err(TrainingError::Killed) => {
                note_end(&run, |status| status.stopped(RunState::Interrupted, StopReason::CtrlC));
            }
            Err(error) => note_end(&run, |status| {
                let failure = Some(error.kind());
                let error = Some(kiln_files::with_causes(error));
                Status { error, failure, ..status.stopped(RunState::Failed, StopReason::Error) }
            }),
        }
        result
    }

    fn train_inner(self, checkpoint: Option<&Checkpoint>) -> Result<Trained, TrainingError> {
        let Self { model, optimizer, run, experiment, data, backend, dashboard, observer, stop, pause_after } =
            self;
        batches(&experiment, &data)?;
        let mut setting = Setting::new(run, experiment, &data, &backend, stop);
        setting.pause_after = pause_after;
        let mut schedule = schedule(&setting);
        let (state, model, optimizer) = if let Some(checkpoint) = checkpoint {
            restore(checkpoint, &setting, model, optimizer, &mut schedule)?
        } else {
            let (experiment, data) = (setting.experiment.clone(), setting.data_sha256.clone());
            let state = TrainingState::new(experiment, data, schedule.state(), backend.fused);
            (state, model, optimizer)
        };
        let recorder = recorder(&setting, &state, observer)?;
        if let Some(reason) = state.over {
            // Killed between the last checkpoint and the end. The recorder has cut the log back and noted how
            // far the run had come: what is left to do is done once.
            return Ok(trained(&parameters(&model), &End { reason, state }));
        }
        if setting.is_to_pause_after(state.epochs_done()) {
            let reason = StopReason::Paused;
            return Ok(trained(&parameters(&model), &End { reason, state }));
        }
        setting.train.resume_at(state.epoch as u64 - 1, state.batch);
        let saver = Saver::start(setting.run.clone(), setting.experiment.checkpoint.keep_latest_k);
        let training_loop =
            TrainingLoop { setting, saver, state, optimizer, schedule, recorder, unread: Vec::new() };
        let (model, end) = launch(training_loop, model, dashboard)?;
        Ok(trained(&parameters(&model), &end))
    }

    /// Trains by one of Burn's own strategies, such as several devices at once: Burn's loop over the same batches, with
    /// the same optimizer, figures and dashboard, at the constant learning rate `optimizer.lr`. It knows neither
    /// checkpoints that can be resumed to the bit nor Kiln's schedules and logs; the trained model is all that it leaves.
    ///
    /// # Errors
    /// Where there is no batch to train on, or Burn's training fails.
    pub fn train_by(self, strategy: ExecutionStrategy) -> Result<M, TrainingError> {
        let Self { model, optimizer, run, experiment, data, backend, dashboard, stop, .. } = self;
        batches(&experiment, &data)?;
        let setting = Setting::new(run, experiment, &data, &backend, stop);
        let training = supervised::<M>(&setting, 0, dashboard)
            .with_training_strategy(TrainingStrategy::Default(strategy));
        let learner = Learner::new(Watched { model }, optimizer, setting.experiment.optimizer.lr);
        let result = training.launch(learner);
        match result.error {
            Some(error) => Err(TrainingError::Burn(error.to_string())),
            None => Ok(result.model.model),
        }
    }
}

/// Finds what can be wrong with an experiment on its data before a run folder is made.
///
/// # Errors
/// Where there is no whole batch.
pub fn check(experiment: &Experiment, data: &DataSet) -> Result<(), TrainingError> {
    batches(experiment, data).map(|_| ())
}

fn batches(experiment: &Experiment, data: &DataSet) -> Result<usize, TrainingError> {
    let examples = data.train.len();
    match Setting::batching(experiment).batches(examples) {
        0 => Err(TrainingError::NoBatch { examples, batch_size: experiment.training.batch_size }),
        batches => Ok(batches),
    }
}

fn schedule(setting: &Setting) -> Schedule {
    let Experiment { lr_scheduler, optimizer, training, .. } = &setting.experiment;
    Schedule::new(lr_scheduler, optimizer.lr, Length::new(training, setting.batches))
}

fn restore<M: Model>(
    checkpoint: &Checkpoint,
    setting: &Setting,
    model: M,
    optimizer: ModuleOptimizer,
    schedule: &mut Schedule,
) -> Result<(TrainingState, M, ModuleOptimizer), TrainingError> {
    let mut state = TrainingState::of(checkpoint)?;
    state.check_unchanged(&setting.experiment, &setting.data_sha256)?;
    state.over = state.still_over(&setting.experiment);
    state.experiment = setting.experiment.clone();
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
        // A checkpoint of the first version: its only number is that of the steps, the same for every parameter.
        let steps = Number::UInt(state.optimizer_steps as u64);
        numbers.extend(named.iter().map(|parameter| (format!("{}.step", parameter.path), steps)));
    }
    let memory = OptimizerState { tensors: read(OPTIMIZER_FILE)?, numbers };
    let optimizer = memory.restore(optimizer, &named)?;
    schedule.restore(state.plateau);
    setting.store.discard_after(checkpoint.step)?;
    setting.store.set_last(checkpoint.step)?;
    if let Some(best) = state.best.filter(|best| best.step == checkpoint.step) {
        setting.store.set_best(best.step)?;
    }
    Ok((state, model, optimizer))
}

fn recorder(
    setting: &Setting,
    state: &TrainingState,
    observer: Box<dyn Observer>,
) -> Result<Recorder, TrainingError> {
    let mut metrics = MetricLog::open_append(setting.run.metrics())?;
    metrics.truncate_to(state.metrics_bytes)?;
    let mut timings = TimingLog::open_append(setting.run.timings())?;
    // Nothing depends on the clock: what is there of its log is kept as far as it can be.
    match timings.truncate_to(state.timings_bytes) {
        Err(ArtifactError::LogTooShort { .. }) => {}
        Err(ArtifactError::Malformed { .. }) => timings.truncate_to(0)?,
        other => other?,
    }
    let (epochs, steps) = (setting.experiment.training.epochs as u64, setting.total_steps() as u64);
    let status = match setting.run.status() {
        Ok(status) if state.step > 0 => status.resumed(),
        _ => Status::running(epochs, steps),
    };
    let mut recorder = Recorder::new(metrics, timings, observer, Status { epochs, steps, ..status });
    let status = recorder.status(state, setting);
    setting.run.write_status(&status)?;
    Ok(recorder)
}

/// Burn's training with Kiln's loaders, figures and dashboard.
fn supervised<M: Model>(
    setting: &Setting,
    first_epoch: usize,
    dashboard: bool,
) -> SupervisedTraining<Watched<M>> {
    let train: Arc<dyn DataLoader<<M as TrainStep>::Input>> = setting.train.clone();
    let validation = setting.validation.clone().unwrap_or_else(|| Arc::clone(&setting.train));
    let mut training = SupervisedTraining::new(setting.run.folder(), train, validation)
        .with_application_logger(None)
        .with_metric_logger(NoFiles)
        .num_epochs(setting.experiment.training.epochs)
        .checkpoint(first_epoch)
        .label(&format!("{} {}", setting.run.name(), setting.run.id()));
    // Of a run that is resumed, the epochs before count as well.
    let before = setting.run.metric_rows().unwrap_or_default();
    for kind in Kind::ALL {
        training = training.metric_train_numeric(FigureMetric::new(kind));
        if kind.in_validation() {
            training = training.metric_valid_numeric(FigureMetric::of_validation(kind, &before));
        }
    }
    let interrupter: Interrupter = training.interrupter();
    let dashboard = dashboard.then(|| open_dashboard(interrupter, first_epoch));
    training.renderer(Box::new(Renderer(dashboard)))
}

/// Hands the loop to Burn's learner.
fn launch<M: Model>(
    training_loop: TrainingLoop<M>,
    model: M,
    dashboard: bool,
) -> Result<(M, End), TrainingError> {
    let setting = &training_loop.setting;
    let training = supervised::<M>(setting, training_loop.state.epochs_done(), dashboard);
    // Burn's learner does not give its optimizer back, whose state a checkpoint must keep: the loop has its own.
    let (optimizer, lr) = (training_loop.optimizer.clone(), setting.experiment.optimizer.lr);
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

/// The message of the panic by which Burn's dashboard carries out its kill key.
const KILL_MESSAGE: &str = "Killing training from user input.";

pub(crate) fn is_kill(panic: &(dyn std::any::Any + Send)) -> bool {
    panic.downcast_ref::<&str>() == Some(&KILL_MESSAGE)
        || panic.downcast_ref::<String>().is_some_and(|message| message == KILL_MESSAGE)
}

fn trained(parameters: &[Parameter], end: &End) -> Trained {
    Trained {
        reason: end.reason,
        epochs: end.state.epochs_done(),
        steps: end.state.step,
        best: end.state.best,
        weights_sha256: weights_sha256(parameters),
        elapsed_seconds: end.state.elapsed_seconds,
    }
}

/// Notes in status.json how the run ended, if that can still be written.
fn note_end(run: &Run, ended: impl FnOnce(Status) -> Status) {
    let Ok(status) = run.status() else { return };
    if let Err(error) = run.write_status(&ended(status)) {
        tracing::error!("the end of the run could not be noted in status.json: {error}");
    }
}

/// Burn's own log files would say the same as metrics.jsonl, which is exact and outlives a crash.
struct NoFiles;

impl MetricLogger for NoFiles {
    fn log(&mut self, _: MetricsUpdate, _: usize, _: &Split) {}

    fn read_numeric(&mut self, _: &str, _: usize, _: &Split) -> Result<Vec<NumericEntry>, String> {
        Ok(Vec::new())
    }

    fn log_metric_definition(&mut self, _: MetricDefinition) {}

    fn log_epoch_summary(&mut self, _: EpochSummary) {}
}
