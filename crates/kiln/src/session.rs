//! A run that this process trains: create or resume it, train, test, write the report.
//!
//! A run folder must be usable whenever the process is killed. So the folder is made only after everything has been
//! checked that can be checked without it, and the status becomes `finished` only after the last file is written.

use std::path::Path;
use std::sync::Arc;

use burn::module::Module;
use burn::train::ExecutionStrategy;
use kiln_artifacts::{
    Build, Checkpoint, DataFile, DatasetProvenance, MetricLog, MetricRow, MetricScope, Provenance,
    ProvenanceInputs, Run, RunFailure, RunInputs, RunLock, RunState, RunStatus, StopReason, TestFigures,
    write_metrics_csv,
};
use kiln_backend::{SelectedDevice, select};
use kiln_config::{Experiment, Resolved};
use kiln_data::{DataFolders, DataSet, NoProgress, Profile, Progress, load, load_like};
use kiln_diagnosis::{Finding, RunRecord, findings};
use kiln_evaluation::{
    Evaluator, Metrics, Weights, load_model, read_profile, write_profile, write_report, write_training_report,
};
use kiln_files::sha256_hex;
use kiln_model::{
    Fused, MODEL_FILE, Model, Parameter, parameters, parameters_to_safetensors, weights_sha256,
};
use kiln_training::{
    Job, TrainingError, check, check_resumable, continues_under, is_fused, is_longer, trained_with,
    unfinished_warmup,
};

use crate::baselines::{BaselineContext, Baselines};
use crate::setup::{
    InitialWeights, Setup, check_memory, optimizer, profile, resolve_class_weights, setup, stored_profile,
    with_initial_weights,
};
use crate::{Error, Options, with_absolute_paths, with_overrides};

/// A run that this process trains. It holds the lock of the run folder, so no other process can train the same run.
///
/// A run that is stopped and resumed gives the same weights, to the bit, as one that was not stopped (on a CPU):
///
/// ```
/// use kiln::{Options, Resumed, Session, experiment, perceptron};
///
/// # fn main() -> Result<(), kiln::Error> {
/// # let folder = tempfile::tempdir().expect("a folder for the example");
/// # let artifacts = folder.path();
/// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).expect("the workspace");
/// let digits = experiment("configs/digits.toml", &["training.epochs=2", "model.hidden=[16]"])?;
/// let quiet = || Options { dashboard: false, report: false, ..Options::default() };
///
/// let session = Session::create(&digits, artifacts)?;
/// let paused = session.train(perceptron, Options { pause_after: Some(1), ..quiet() })?;
/// drop(session);
///
/// let Resumed::Ready(session) = Session::resume(paused.run, &[])? else { panic!("one epoch is left") };
/// let resumed = session.train(perceptron, quiet())?;
/// let whole = Session::create(&digits, artifacts)?.train(perceptron, quiet())?;
/// assert_eq!(resumed.trained.weights_sha256, whole.trained.weights_sha256);
/// # Ok(())
/// # }
/// ```
pub struct Session {
    run: Run,
    #[expect(dead_code, reason = "held until the session ends, so that no other process trains the run")]
    lock: RunLock,
    experiment: Experiment,
    data: Arc<DataSet>,
    backend: SelectedDevice,
    checkpoint: Option<Checkpoint>,
    notices: Vec<String>,
}

/// The result of [`Session::resume`].
pub enum Resumed {
    /// The run can continue.
    Ready(Box<Session>),
    /// The run is finished: there is nothing left to train.
    Finished(Run),
}

/// The result of a session.
pub struct Outcome {
    /// The run.
    pub run: Run,
    /// The number of learned values: weights and biases.
    pub weights: usize,
    /// The result of the training.
    pub trained: kiln_training::TrainingSummary,
    /// The test figures; `None` if training was stopped or paused, or if there is no test data.
    pub test: Option<Metrics>,
    /// Problems that the metric log reveals.
    pub findings: Vec<Finding>,
}

impl Session {
    /// Creates a run for `experiment`, in a new folder below `artifacts`. All checks come first, so a wrong experiment
    /// leaves no folder behind.
    pub fn create(experiment: &Resolved, artifacts: impl AsRef<Path>) -> Result<Self, Error> {
        Self::create_with(experiment, artifacts, &NoProgress)
    }

    /// Like [`Session::create`], and reports the progress of downloads.
    pub fn create_with(
        resolved: &Resolved,
        artifacts: impl AsRef<Path>,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        Self::create_from(None, resolved, artifacts, progress)
    }

    /// Like [`Session::create_with`], but the model starts with the weights of the run `start`, those that its test
    /// uses. An error if `start` is a perceptron with other layers.
    pub fn create_from(
        start: Option<&Run>,
        resolved: &Resolved,
        artifacts: impl AsRef<Path>,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        let start = |setup: &Setup| start.map(|run| InitialWeights::read(run, setup)).transpose();
        Self::create_by(start, resolved, artifacts.as_ref(), progress)
    }

    /// Like [`Session::create_with`], but the model starts with weights from another program. `weights` returns them
    /// for a setup, named by the paths of the model's parameters; `from` describes their origin.
    /// [`Session::test_as_it_begins`] tests them without training.
    ///
    /// # Errors
    /// [`Error::Weights`] if `weights` fails.
    pub fn create_with_weights(
        weights: impl FnOnce(&Setup) -> Result<Vec<Parameter>, Box<dyn std::error::Error + Send + Sync>>,
        from: &str,
        resolved: &Resolved,
        artifacts: impl AsRef<Path>,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        let start = |setup: &Setup| {
            let parameters = weights(setup).map_err(Error::Weights)?;
            Ok(Some(InitialWeights::of(&parameters, from, setup)?))
        };
        Self::create_by(start, resolved, artifacts.as_ref(), progress)
    }

    fn create_by(
        start: impl FnOnce(&Setup) -> Result<Option<InitialWeights>, Error>,
        resolved: &Resolved,
        artifacts: &Path,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        let experiment = &resolved.experiment;
        let backend = select(&experiment.backend)?;
        let data = load(&experiment.data, experiment.seed, &DataFolders::from_environment(), progress)?;
        check(experiment, &data)?;
        let numbers = Profile::of(&data).numbers().len();
        check_memory(experiment, data.features(), numbers, data.class_count())?;
        // Only after loading, so that errors about the data quote the paths as the user wrote them.
        let mut experiment = with_absolute_paths(experiment);
        let profile = profile(&experiment, &data)?;
        profile.check_decision(&experiment.evaluation)?;
        let as_written = experiment.to_toml();
        resolve_class_weights(&mut experiment, &profile);
        let setup = setup(&experiment, &profile, backend.device.clone(), Fused::when(backend.fused));
        setup.check()?;
        let start = start(&setup)?;
        let inputs = RunInputs {
            resolved_toml: &as_written,
            input_toml: &resolved.input,
            overrides: &resolved.overrides,
            start: start.as_ref().map(InitialWeights::bytes),
        };
        let run = Run::create(artifacts, &experiment.name, &inputs)?;
        let lock = run.lock()?;
        provenance(&backend, &data, experiment.seed).write(&run)?;
        write_profile(&run, &profile)?;
        let mut notices = vec![format!("{} on {}: {}", backend.name, backend.adapter, backend.reason)];
        notices.extend(profile.notices.iter().map(|notice| format!("data: {notice}")));
        notices.extend(unfinished_warmup(&experiment, &data).map(|warning| format!("warning: {warning}")));
        notices.extend(start.map(|start| start.words(&profile)));
        Ok(Self { run, lock, experiment, data: Arc::new(data), backend, checkpoint: None, notices })
    }

    /// Resumes `run` from its last good checkpoint. `overrides` of the form `key=value` may change settings that do not
    /// affect the steps so far.
    ///
    /// # Errors
    /// Among others: another process trains the run, or a changed setting decides what is trained.
    pub fn resume(run: Run, overrides: &[String]) -> Result<Resumed, Error> {
        Self::resume_with(run, overrides, &NoProgress)
    }

    /// Like [`Session::resume`], and reports the progress of downloads.
    pub fn resume_with(run: Run, overrides: &[String], progress: &dyn Progress) -> Result<Resumed, Error> {
        let [mut made_with, mut experiment] = with_overrides(&run, overrides)?;
        let as_written = made_with.clone();
        let lock = run.lock()?;
        if run.status()?.stop_reason == Some(StopReason::NotTrained) {
            return Ok(Resumed::Finished(run));
        }
        let store = run.checkpoint_store();
        let latest = store.latest_good()?;
        let stored = stored_profile(&run)?;
        if let Some(profile) = &stored {
            resolve_class_weights(&mut made_with, profile);
            resolve_class_weights(&mut experiment, profile);
        }
        let trained_with = latest.checkpoint.as_ref().map(trained_with).transpose()?.unwrap_or(made_with);
        check_resumable(&trained_with, &experiment)?;
        let continues = latest
            .checkpoint
            .as_ref()
            .map(|checkpoint| continues_under(checkpoint, &experiment))
            .transpose()?;
        if run.status()?.state == RunState::Finished && !continues.unwrap_or(false) {
            return Ok(Resumed::Finished(run));
        }
        if is_longer(&trained_with, &experiment) {
            lengthen(&run, as_written, &experiment, overrides)?;
        }
        store.recover()?;
        let mut notices: Vec<String> =
            latest.damaged.iter().map(|damaged| format!("warning: {damaged}")).collect();
        notices.push(match (&latest.checkpoint, latest.damaged.len()) {
            (Some(checkpoint), _) => format!("resuming from the checkpoint of step {}", checkpoint.step),
            (None, 0) => "the run has no checkpoint yet: training starts from the beginning".to_owned(),
            (None, damaged) => format!(
                "all checkpoints of the run ({damaged}) are damaged: training starts from the beginning; if there is a \
                 copy of the run's folder, its files may be restored from there"
            ),
        });
        let mut backend = select(&experiment.backend)?;
        if let Some(checkpoint) = &latest.checkpoint {
            // Kernels and Burn's operations differ in the last bits, so a resume must use the same.
            backend.fused = is_fused(checkpoint)?;
        }
        let folders = DataFolders::from_environment();
        let data = match &stored {
            Some(profile) => load_like(profile, &experiment.data, experiment.seed, &folders, progress)?,
            None => load(&experiment.data, experiment.seed, &folders, progress)?,
        };
        match Provenance::read(&run) {
            Ok(mut provenance) => {
                provenance.add_session(build_versions());
                provenance.write(&run)?;
            }
            // The process that made the run was killed before it wrote the provenance.
            Err(_) if !run.run_json().is_file() => {
                provenance(&backend, &data, experiment.seed).write(&run)?;
            }
            Err(error) => {
                run.set_aside(&run.run_json())?;
                notices.push(format!(
                    "warning: {error}; it is kept as run.json.damaged, and a new one is written"
                ));
                provenance(&backend, &data, experiment.seed).write(&run)?;
            }
        }
        if stored.is_none() {
            let profile = profile(&experiment, &data)?;
            resolve_class_weights(&mut experiment, &profile);
            write_profile(&run, &profile)?;
        }
        notices.extend(data.notices.iter().map(|notice| format!("data: {notice}")));
        notices.extend(unfinished_warmup(&experiment, &data).map(|warning| format!("warning: {warning}")));
        let (data, checkpoint) = (Arc::new(data), latest.checkpoint);
        Ok(Resumed::Ready(Box::new(Self { run, lock, experiment, data, backend, checkpoint, notices })))
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The experiment that is trained.
    #[must_use]
    pub fn experiment(&self) -> &Experiment {
        &self.experiment
    }

    /// The data.
    #[must_use]
    pub fn data(&self) -> &DataSet {
        &self.data
    }

    /// Notes and warnings about the start of the session for the user, one line each.
    #[must_use]
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// The setup that a model for training is built for.
    #[must_use]
    pub fn setup(&self) -> Setup {
        self.setup_on(self.backend.device.clone().autodiff())
    }

    fn context<'a>(&'a self, profile: &'a Profile) -> BaselineContext<'a> {
        let (experiment, fused) = (&self.experiment, Fused::when(self.backend.fused));
        BaselineContext { experiment, profile, device: &self.backend.device, fused }
    }

    fn setup_on(&self, device: burn::tensor::Device) -> Setup {
        setup(&self.experiment, &Profile::of(&self.data), device, Fused::when(self.backend.fused))
    }

    /// Trains the model that `build` returns, to the end of the experiment or until it is stopped. Then tests the
    /// checkpoint that `evaluation.ckpt` names, and writes the report. `build` is called once for training and once for
    /// the test.
    ///
    /// # Errors
    /// If training fails, for example because the loss became NaN, the run's status says so.
    pub fn train<M: Model>(&self, build: impl Fn(&Setup) -> M, options: Options) -> Result<Outcome, Error> {
        let (report, is_to_pause) = (options.report, options.pause_after.is_some());
        let job = self.job(&build, options)?;
        let weights = Module::num_params(&job.model);
        let trained = job.train(self.checkpoint.as_ref()).inspect_err(|error| {
            // An error of the report must not hide why the training failed.
            if report
                && !matches!(error, TrainingError::Changed { .. })
                && let Err(error) = write_training_report(&self.run, &self.experiment)
            {
                tracing::warn!("cannot write the report {}: {error}", self.run.report().display());
            }
        })?;
        let test = if is_over(trained.reason) && !is_to_pause {
            self.finish(&build, &trained, report)?
        } else {
            let reason = if is_over(trained.reason) { StopReason::Paused } else { trained.reason };
            self.stop(reason, report)?;
            None
        };
        let findings = self.findings(test.as_ref(), None)?;
        Ok(Outcome { run: self.run.clone(), weights, trained, test, findings })
    }

    /// Tests the run's starting weights without training, and writes the report.
    pub fn test_as_it_begins<M: Model>(
        &self,
        build: impl Fn(&Setup) -> M,
        report: bool,
    ) -> Result<Outcome, Error> {
        let model =
            with_initial_weights(&self.run, self.setup_on(self.backend.device.clone()).build(&build)?)?;
        let parameters = parameters(&model);
        let store = self.run.checkpoint_store();
        let weights = parameters_to_safetensors(&parameters)?;
        store.save(0, &serde_json::json!({}), &[(MODEL_FILE, &weights)])?;
        store.set_best(0)?;
        let trained = kiln_training::TrainingSummary {
            reason: StopReason::NotTrained,
            epochs: 0,
            steps: 0,
            best: None,
            weights_sha256: weights_sha256(&parameters),
            elapsed_seconds: 0.0,
        };
        let test = self.finish(&build, &trained, report)?;
        let findings = self.findings(test.as_ref(), None)?;
        let weights = Module::num_params(&model);
        Ok(Outcome { run: self.run.clone(), weights, trained, test, findings })
    }

    /// Trains with one of Burn's own strategies, such as several devices at once, and returns the model. See
    /// [`Job::train_by`] for the parts of Kiln that this leaves out.
    pub fn train_by<M: Model>(
        &self,
        strategy: ExecutionStrategy,
        build: impl Fn(&Setup) -> M,
        options: Options,
    ) -> Result<M, Error> {
        Ok(self.job(&build, options)?.train_by(strategy)?)
    }

    fn job<M: Model>(&self, build: &impl Fn(&Setup) -> M, options: Options) -> Result<Job<M>, Error> {
        let setup = self.setup();
        let model = with_initial_weights(&self.run, setup.build(build)?)?;
        Ok(Job {
            optimizer: options.optimizer.unwrap_or_else(|| optimizer(&model, &setup)),
            model,
            run: self.run.clone(),
            experiment: self.experiment.clone(),
            data: Arc::clone(&self.data),
            backend: self.backend.clone(),
            dashboard: options.dashboard,
            observer: options.observer,
            stop: options.stop,
            pause_after: options.pause_after,
        })
    }

    /// Problems that the metric log reveals. `failure` is the reason if the run failed.
    pub fn findings(
        &self,
        test: Option<&Metrics>,
        failure: Option<&RunFailure>,
    ) -> Result<Vec<Finding>, Error> {
        let (rows, tested) = (self.run.metric_rows()?, test.map(Metrics::tested));
        let experiment = &self.experiment;
        Ok(findings(&RunRecord { rows: &rows, tested: tested.as_ref(), experiment, failure }))
    }

    /// The test pass, on the checkpoint that `evaluation.ckpt` names. Without test data, the report is about the
    /// validation data, if there is any, and the result is `None`.
    fn finish<M: Model>(
        &self,
        build: &impl Fn(&Setup) -> M,
        trained: &kiln_training::TrainingSummary,
        with_report: bool,
    ) -> Result<Option<Metrics>, Error> {
        let Self { run, experiment, data, backend, .. } = self;
        let profile = read_profile(run)?;
        let model = self.setup_on(backend.device.clone()).build(build)?;
        let mut model = load_model(model, run, &Weights::Marked(experiment.evaluation.ckpt))?;
        let evaluator = Evaluator { run, experiment, profile: &profile, device: &backend.device };
        evaluator.fit_calibration_and_threshold(data.validation.as_ref(), &mut model)?;
        let context = self.context(&profile);
        let baselines = if experiment.evaluation.baselines {
            let examples = trained.steps as f64 * experiment.training.batch_size as f64;
            let fitted = Baselines::fit(&context, data, Module::num_params(&model.model) as f64 * examples)?;
            fitted.write(run)?;
            Some(fitted)
        } else {
            None
        };
        let (name, split) = match &data.validation {
            _ if !data.test.is_empty() => ("test", &data.test),
            Some(validation) => ("validation", validation),
            None => {
                let status = RunStatus {
                    weights_sha256: Some(trained.weights_sha256.clone()),
                    elapsed_seconds: trained.elapsed_seconds,
                    ..run.status()?
                };
                write_metrics_csv(run)?;
                run.write_status(&status.stopped(RunState::Finished, trained.reason))?;
                if with_report {
                    write_training_report(run, experiment)?;
                }
                return Ok(None);
            }
        };
        let compared = baselines.map(|baselines| baselines.predict(&context, split)).transpose()?;
        let (evaluation, gallery) = evaluator.evaluate(name, split, &model, &compared.unwrap_or_default())?;
        let (loss, accuracy) =
            (evaluation.metrics.figure("loss").unwrap_or(f64::NAN), evaluation.metrics.accuracy());
        let is_test = name == "test";
        let row = MetricRow::new(
            "test",
            MetricScope::Epoch,
            trained.epochs as u64,
            model.step.unwrap_or(trained.steps),
            [("loss", loss), ("accuracy", accuracy)],
        );
        if is_test {
            let mut log = MetricLog::open_append(run.metrics())?;
            log.append(&row)?;
            log.sync()?;
        }
        let status = RunStatus {
            test: is_test.then_some(TestFigures { loss, accuracy }),
            weights_sha256: Some(trained.weights_sha256.clone()),
            elapsed_seconds: trained.elapsed_seconds,
            ..run.status()?
        };
        run.write_status(&status)?;
        write_metrics_csv(run)?;
        if with_report {
            write_report(run, name, experiment, &evaluation, Some(&gallery))?;
        }
        // Last, so that a finished run is complete. A process that is killed before leaves a run to resume.
        run.write_status(&status.stopped(RunState::Finished, trained.reason))?;
        Ok(is_test.then_some(evaluation.metrics))
    }

    /// Writes the status and the report of a run that was stopped before its end.
    fn stop(&self, reason: StopReason, with_plots: bool) -> Result<(), Error> {
        let status = self.run.status()?;
        self.run.write_status(&status.stopped(RunState::Interrupted, reason))?;
        write_metrics_csv(&self.run)?;
        if with_plots {
            write_training_report(&self.run, &self.experiment)?;
        }
        Ok(())
    }
}

/// Stores the length of `experiment` in the settings of `run`. Other overrides apply only to this process and are not
/// stored.
fn lengthen(
    run: &Run,
    as_written: Experiment,
    experiment: &Experiment,
    overrides: &[String],
) -> Result<(), Error> {
    let mut longer = as_written;
    longer.training.epochs = experiment.training.epochs;
    longer.early_stopping.patience = experiment.early_stopping.patience;
    let is_length = |text: &&String| {
        text.split_once('=')
            .is_some_and(|(key, _)| ["training.epochs", "early_stopping.patience"].contains(&key.trim()))
    };
    let overrides: Vec<String> = overrides.iter().filter(is_length).cloned().collect();
    Ok(run.set_config(&longer.to_toml(), &overrides)?)
}

/// Whether training ended, early or not. False if it was stopped and can continue.
#[must_use]
pub fn is_over(reason: StopReason) -> bool {
    matches!(
        reason,
        StopReason::Completed | StopReason::EarlyStopping | StopReason::MaxSteps | StopReason::NotTrained
    )
}

fn provenance(backend: &SelectedDevice, data: &DataSet, seed: u64) -> Provenance {
    let files = data
        .files
        .iter()
        .map(|file| DataFile { name: file.shown_name(), bytes: file.bytes, sha256: file.sha256.clone() })
        .collect();
    Provenance::collect(ProvenanceInputs {
        build: build_versions(),
        backend: backend.name.to_string(),
        adapter: Some(backend.adapter.clone()),
        threads: backend.threads,
        dataset: DatasetProvenance { name: data.name.clone(), sha256: data.sha256.clone(), files },
        seed,
    })
}

const CARGO_LOCK: &[u8] = include_bytes!("../../../Cargo.lock");

/// The versions of Kiln, Burn and the compiler, and the hash of the locked dependencies, for the run's provenance.
fn build_versions() -> Build {
    Build {
        kiln: env!("CARGO_PKG_VERSION").to_owned(),
        burn: env!("BUILD_BURN_VERSION").to_owned(),
        rustc: env!("BUILD_RUSTC_VERSION").to_owned(),
        cargo_lock_sha256: sha256_hex(CARGO_LOCK),
    }
}
