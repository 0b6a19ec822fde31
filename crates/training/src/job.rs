//! Training a run from its beginning or from its last checkpoint.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use burn::optim::ModuleOptimizer;
use burn::train::logger::MetricLogger;
use burn::train::metric::store::{EpochSummary, MetricsUpdate, Split};
use burn::train::metric::{MetricDefinition, NumericEntry};
use burn::train::{Learner, SupervisedTraining, TrainingStrategy};
use kiln_artifacts::{Checkpoint, MetricLog, Run, RunState, Status, StopReason, TimingLog};
use kiln_backend::Selected;
use kiln_config::Experiment;
use kiln_data::{DataSet, SplitLoader};
use kiln_model::{Loss, MODEL_FILE, Mlp, Parameter, parameters_from_safetensors, weights_sha256};

use crate::dashboard::{Renderer, open_dashboard, settle_after_kill};
use crate::engine::{Engine, UpdateRule, engine};
use crate::event::Observer;
use crate::metric::{FigureMetric, Kind};
use crate::monitoring::Best;
use crate::recorder::Recorder;
use crate::saver::{OPTIMIZER_FILE, Saver};
use crate::schedule::{Length, Schedule};
use crate::setting::Setting;
use crate::state::TrainingState;
use crate::stop::StopSignal;
use crate::strategy::ExactStrategy;
use crate::training_loop::{End, TrainingLoop};
use crate::{Classifier, TrainingError};

/// A run to train: everything that [`Job::train`] needs.
pub struct Job {
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

impl Job {
    /// Trains from `checkpoint`, or from the beginning without one.
    ///
    /// # Errors
    /// Where the model does not fit the data, the folder cannot be written, the checkpoint belongs to other
    /// settings, or figures stop being finite. The run's status then says `failed`.
    pub fn train(self, checkpoint: Option<&Checkpoint>) -> Result<Trained, TrainingError> {
        let run = self.run.clone();
        // Within the pool, a parallel operation begins on this thread; from outside it would hand over to another
        // and wait, hundreds of times a step.
        let result = rayon::scope(|_| self.train_inner(checkpoint));
        match &result {
            Ok(_) | Err(TrainingError::Changed { .. }) => {}
            Err(TrainingError::Killed) => {
                note_end(&run, |status| status.stopped(RunState::Interrupted, StopReason::CtrlC));
            }
            Err(error) => note_end(&run, |status| {
                let error = Some(error.to_string());
                Status { error, ..status.stopped(RunState::Failed, StopReason::Error) }
            }),
        }
        result
    }

    fn train_inner(self, checkpoint: Option<&Checkpoint>) -> Result<Trained, TrainingError> {
        let Self { run, experiment, data, backend, dashboard, observer, stop } = self;
        let setting = setting(run, experiment, data, &backend, stop)?;
        let model = build_model(&setting)?;
        let mut schedule = schedule(&setting);
        let new_engine = |model, fused| engine(model, &setting.experiment, fused, setting.on_host);
        let (state, engine) = if let Some(checkpoint) = checkpoint {
            restore(checkpoint, &setting, &model, new_engine, &mut schedule)?
        } else {
            let (experiment, data) = (setting.experiment.clone(), setting.data.sha256.clone());
            let state = TrainingState::new(experiment, data, schedule.state(), backend.fused);
            (state, new_engine(model, backend.fused))
        };
        let recorder = recorder(&setting, &state, observer)?;
        if let Some(reason) = state.over {
            // Killed between the last checkpoint and the end. The recorder has cut the log back and noted how
            // far the run had come: what is left to do is done once.
            return Ok(trained(&engine.parameters(), &End { reason, state }));
        }
        let saver = Saver::start(setting.run.clone(), setting.experiment.checkpoint.keep_latest_k);
        let training_loop = TrainingLoop {
            setting,
            saver,
            state,
            engine,
            schedule,
            recorder,
            unread: Vec::new(),
            health: None,
            accumulated: 0,
        };
        let (model, end) = launch(training_loop, dashboard)?;
        Ok(trained(&model.mlp.parameters(), &end))
    }
}

/// Finds what can be wrong with an experiment on its data before a run folder is made.
///
/// # Errors
/// Where the model, the loss or the batch size do not fit the data.
pub fn check(experiment: &Experiment, data: &DataSet) -> Result<(), TrainingError> {
    let classes = data.class_count();
    Loss::new(&experiment.loss, classes)?;
    kiln_model::check_weights(&experiment.model, [data.features(), classes])?;
    batches(experiment, data).map(|_| ())
}

fn batches(experiment: &Experiment, data: &DataSet) -> Result<usize, TrainingError> {
    let examples = data.train.len();
    match Setting::batching(experiment).batches(examples) {
        0 => Err(TrainingError::NoBatch { examples, batch_size: experiment.training.batch_size }),
        batches => Ok(batches),
    }
}

fn setting(
    run: Run,
    experiment: Experiment,
    data: Arc<DataSet>,
    backend: &Selected,
    stop: StopSignal,
) -> Result<Setting, TrainingError> {
    let batches = batches(&experiment, &data)?;
    let normalizer = Arc::new(data.normalizer.clone());
    let store = run.checkpoint_store();
    let (device, on_host) = (backend.device.clone(), backend.on_host);
    Ok(Setting { experiment, data, normalizer, run, store, stop, device, on_host, batches })
}

fn build_model(setting: &Setting) -> Result<Classifier, TrainingError> {
    let Experiment { model, loss, seed, .. } = &setting.experiment;
    let classes = setting.data.class_count();
    let shape = [setting.data.features(), classes];
    let mlp = Mlp::new(model, loss.name, shape, *seed, &setting.training_device())?;
    Ok(Classifier::new(mlp, Loss::new(loss, classes)?))
}

fn schedule(setting: &Setting) -> Schedule {
    let Experiment { lr_scheduler, optimizer, training, .. } = &setting.experiment;
    Schedule::new(lr_scheduler, optimizer.lr, Length::new(training, setting.batches))
}

fn restore(
    checkpoint: &Checkpoint,
    setting: &Setting,
    model: &Classifier,
    new_engine: impl FnOnce(Classifier, bool) -> Box<dyn Engine>,
    schedule: &mut Schedule,
) -> Result<(TrainingState, Box<dyn Engine>), TrainingError> {
    let mut state = TrainingState::of(checkpoint)?;
    state.check_unchanged(&setting.experiment, &setting.data.sha256)?;
    state.experiment = setting.experiment.clone();
    let read = |file: &str| -> Result<Vec<Parameter>, TrainingError> {
        let bytes = checkpoint.files.get(file).ok_or_else(|| TrainingError::State {
            step: checkpoint.step,
            cause: format!("{file} is missing"),
        })?;
        Ok(parameters_from_safetensors(bytes)?)
    };
    let mlp = model.mlp.clone().load_parameters(&read(MODEL_FILE)?, &setting.training_device())?;
    let mut engine = new_engine(Classifier::new(mlp, model.loss().clone()), state.fused);
    engine.restore_moments(&read(OPTIMIZER_FILE)?, state.optimizer_steps)?;
    schedule.restore(state.plateau);
    setting.store.discard_after(checkpoint.step)?;
    setting.store.set_last(checkpoint.step)?;
    if let Some(best) = state.best.filter(|best| best.step == checkpoint.step) {
        setting.store.set_best(best.step)?;
    }
    Ok((state, engine))
}

fn recorder(
    setting: &Setting,
    state: &TrainingState,
    observer: Box<dyn Observer>,
) -> Result<Recorder, TrainingError> {
    let mut metrics = MetricLog::open_append(setting.run.metrics())?;
    metrics.truncate_to(state.metrics_bytes)?;
    let mut timings = TimingLog::open_append(setting.run.timings())?;
    timings.truncate_to(state.timings_bytes)?;
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

/// Hands the loop to Burn's learner.
fn launch(training_loop: TrainingLoop, dashboard: bool) -> Result<(Classifier, End), TrainingError> {
    let setting = &training_loop.setting;
    let [train, validation] = loaders(setting);
    let (lr, epochs) = (setting.experiment.optimizer.lr, setting.experiment.training.epochs);
    let first_epoch = training_loop.state.epochs_done();
    // What Burn's learner is built with; the steps are the engine's.
    let (model, rule) =
        (training_loop.engine.model(), UpdateRule::new(&setting.experiment.optimizer, setting.on_host));
    let label = format!("{} {}", setting.run.name(), setting.run.id());
    let folder = setting.run.folder().to_owned();
    let strategy = Arc::new(ExactStrategy::new(training_loop));
    let mut training = SupervisedTraining::new(folder, train, validation)
        .with_training_strategy(TrainingStrategy::Custom(strategy.clone()))
        .with_application_logger(None)
        .with_metric_logger(NoFiles)
        .num_epochs(epochs)
        .checkpoint(first_epoch)
        .label(&label);
    for kind in Kind::ALL {
        training = training.metric_train_numeric(FigureMetric::new(kind));
        if kind.in_validation() {
            training = training.metric_valid_numeric(FigureMetric::new(kind));
        }
    }
    let dashboard = dashboard.then(|| open_dashboard(training.interrupter(), first_epoch));
    let training = training.renderer(Box::new(Renderer(dashboard)));
    let learner = Learner::new(model, ModuleOptimizer::from(rule), lr);
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
    Ok((result.model, end))
}

/// The message of the panic by which Burn's dashboard carries out its kill key.
const KILL_MESSAGE: &str = "Killing training from user input.";

pub(crate) fn is_kill(panic: &(dyn std::any::Any + Send)) -> bool {
    panic.downcast_ref::<&str>() == Some(&KILL_MESSAGE)
        || panic.downcast_ref::<String>().is_some_and(|message| message == KILL_MESSAGE)
}

/// Burn asks for loaders; the loop takes its batches from the setting, as it must be able to start anywhere.
fn loaders(setting: &Setting) -> [Arc<SplitLoader>; 2] {
    let batching = Setting::batching(&setting.experiment);
    let loader = |split: &kiln_data::Split| {
        let device = setting.device.clone();
        Arc::new(SplitLoader::new(split.clone(), Arc::clone(&setting.normalizer), batching, device))
    };
    let train = &setting.data.train;
    [loader(train), loader(setting.data.validation.as_ref().unwrap_or(train))]
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
