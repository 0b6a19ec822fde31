//! `kiln train`, `kiln resume` and `kiln import`: commands that make or continue a run.
//!
//! Each opens a [`Session`]. What follows is the same for all: show the training in the view that the user chose, summarize
//! it on stderr, and print the run folder or JSON on stdout.

use std::io::{IsTerminal, stderr, stdout};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum, ValueHint};
use clap_complete::engine::ArgValueCompleter;
use kiln::{
    Error, Experiment, Finding, Metrics, Observer, Options, Outcome, Resolved, Resumed, Run, Session, Silent,
    StopReason, StopSignal, check_perceptron, is_over, of_run, perceptron,
};
use kiln_artifacts::{ArtifactError, RunState, TestFigures, runs};
use kiln_config::Ui;
use kiln_evaluation::{Baseline, PassFigures};
use kiln_training::spans_whole_training;
use schemars::JsonSchema;
use serde::Serialize;

use super::{RootArgument, keys, run_names};
use crate::experiment::{ExperimentArguments, resolved};
use crate::failure::{ErrorBody, Failure, stop_on_ctrl_c, stopped_by};
use crate::output::{log_to, print, print_json, quoted, say};
use crate::view::{DownloadBar, JsonLines, TextLines, next_steps, summary};

#[derive(Debug, Args)]
pub(crate) struct TrainArguments {
    #[command(flatten)]
    experiment: ExperimentArguments,
    /// Start from the weights of this run (those that its test uses) instead of random weights.
    #[arg(long, value_name = "RUN", add = ArgValueCompleter::new(run_names))]
    from: Option<String>,
    #[command(flatten)]
    root: RootArgument,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ResumeArguments {
    /// The run: its folder, its name (the latest of that name), the start of its id, or `latest`.
    #[arg(add = ArgValueCompleter::new(run_names))]
    run: String,
    /// Settings that may change, such as `training.max_time`, `dashboard.ui` or `data.path`. `training.epochs=80` makes the
    /// run longer, unless its learning rate schedule depends on the length of the training.
    #[arg(value_name = "KEY=VALUE", add = ArgValueCompleter::new(keys))]
    overrides: Vec<String>,
    #[command(flatten)]
    root: RootArgument,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// The file with the weights. Code in the file is never executed.
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,
    #[command(flatten)]
    experiment: ExperimentArguments,
    #[command(flatten)]
    root: RootArgument,
    #[command(flatten)]
    output: OutputArguments,
}

/// What a training shows and writes.
#[derive(Debug, Args)]
pub(crate) struct OutputArguments {
    /// What to show on stderr while training. The default on a terminal is the dashboard.
    #[arg(long, value_enum)]
    ui: Option<UiArgument>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    /// Skip plots, gallery and report. `kiln report` writes them later.
    #[arg(long)]
    no_report: bool,
}

/// The view of a running training.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum UiArgument {
    /// Burn's full-screen dashboard.
    Tui,
    /// Lines of text.
    Plain,
    /// JSON, one event per line.
    Json,
    /// No progress, only notices and errors.
    None,
}

impl From<UiArgument> for Ui {
    fn from(argument: UiArgument) -> Self {
        match argument {
            UiArgument::Tui => Self::Tui,
            UiArgument::Plain => Self::Plain,
            UiArgument::Json => Self::Json,
            UiArgument::None => Self::None,
        }
    }
}

/// A run that was trained until it finished or was stopped.
#[derive(Serialize, JsonSchema)]
pub(crate) struct TrainedRun<'a> {
    /// The run folder.
    run: String,
    /// Why training stopped.
    stop_reason: StopReason,
    /// Epochs finished.
    epochs_done: usize,
    /// Steps done.
    step: u64,
    /// SHA-256 of the weights, to compare runs by.
    weights_sha256: &'a str,
    /// The test figures; null if the run was stopped before its test.
    test: Option<PassFigures>,
    /// The figures of the baselines on the same examples; empty without baselines.
    baselines: &'a [Baseline],
    /// The problems that the figures show.
    findings: &'a [Finding],
}

/// A run that failed.
#[derive(Serialize, JsonSchema)]
pub(crate) struct FailedRun {
    /// The run folder.
    run: String,
    /// What went wrong.
    error: ErrorBody,
    /// The problems that the figures show.
    findings: Vec<Finding>,
}

/// A JSON line about the run, in addition to the events of the training.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum SessionEvent<'a> {
    /// Something that the user should know about the run.
    Notice {
        /// The text of the notice.
        notice: &'a str,
    },
    /// The network was tested.
    Test {
        /// The test figures.
        test: PassFigures,
    },
    /// The figures show a problem of the run.
    Finding {
        /// The problem, with remedies.
        finding: &'a Finding,
    },
}

impl SessionEvent<'_> {
    fn say(&self) {
        say(&serde_json::to_string(self).expect("an event is plain data"));
    }
}

/// A run with nothing left to train.
#[derive(Serialize, JsonSchema)]
pub(crate) struct FinishedRun {
    /// The run folder.
    run: String,
    /// Why its training stopped.
    stop_reason: Option<StopReason>,
    /// The test figures; null if there was no test.
    test: Option<TestFigures>,
}

/// Trains an experiment in a new run folder, tests the network and prints the folder.
pub(crate) fn train(arguments: &TrainArguments) -> Result<(), Failure> {
    let experiment = resolved(&arguments.experiment)?;
    let artifacts = &arguments.root.artifacts;
    check_view(arguments.output.ui, &experiment.experiment)?;
    check_perceptron(&experiment.experiment)?;
    let start = arguments.from.as_ref().map(|text| Run::resolve(artifacts, text)).transpose()?;
    let interrupted = if start.is_none() { interrupted(arguments, &experiment) } else { None };
    let session = Session::create_from(start.as_ref(), &experiment, artifacts, &DownloadBar::default())?;
    if let Some(run) = interrupted {
        let run = quoted(&run.folder().display().to_string());
        let notice = format!(
            "note: a run with the same settings was interrupted; to continue that run, use `kiln resume {run}`"
        );
        notify(wanted_view(arguments.output.ui, session.experiment()), &notice);
    }
    train_session(&session, &arguments.output)
}

/// The latest interrupted run of the same experiment. Unreadable runs are skipped: this only serves a hint.
fn interrupted(arguments: &TrainArguments, resolved: &Resolved) -> Option<Run> {
    let identity = resolved.experiment.identity();
    let runs = runs::list(&arguments.root.artifacts).ok()?.into_iter();
    let mut runs = runs
        .filter(|run| run.name == resolved.experiment.name && run.state == Some(RunState::Interrupted))
        .filter_map(|run| Run::open(run.path).ok())
        .filter(|run| !run.start().is_file());
    runs.find(|run| of_run(run).is_ok_and(|experiment| experiment.identity() == identity))
}

/// Resumes a run from its last good checkpoint.
pub(crate) fn resume(arguments: &ResumeArguments) -> Result<(), Failure> {
    let run = with_status(Run::resolve(&arguments.root.artifacts, &arguments.run))?;
    let experiment = of_run(&run)?;
    check_view(arguments.output.ui, &experiment)?;
    check_perceptron(&experiment)?;
    match Session::resume_with(run, &arguments.overrides, &DownloadBar::default())? {
        Resumed::Ready(session) => train_session(&session, &arguments.output),
        Resumed::Finished(run) => {
            say(&finished_text(&run, &arguments.root.artifacts)?);
            let (path, status) = (run.folder().display().to_string(), run.status()?);
            if arguments.output.json {
                print_json(&FinishedRun { run: path, stop_reason: status.stop_reason, test: status.test });
            } else {
                print(&path);
            }
            Ok(())
        }
    }
}

/// Repairs a run whose `status.json` was lost or damaged, so that it can be resumed.
fn with_status(found: Result<Run, ArtifactError>) -> Result<Run, Failure> {
    let folder = match found {
        Err(ArtifactError::NotARun { path, missing: "status.json" }) => path,
        Ok(run) if matches!(run.status(), Err(ArtifactError::Malformed { .. })) => run.folder().to_owned(),
        other => return Ok(other?),
    };
    say(&format!("warning: {} has no readable status.json; writing a new one", folder.display()));
    Ok(Run::mend_status(&folder)?)
}

/// The message for a finished run: what to do instead of resuming it.
fn finished_text(run: &Run, artifacts: &Path) -> Result<String, Failure> {
    let (folder, status, experiment) =
        (quoted(&run.folder().display().to_string()), run.status()?, of_run(run)?);
    let longer = match status.stop_reason {
        Some(StopReason::EarlyStopping) => {
            let patience = 2 * experiment.early_stopping.patience.max(1);
            format!(
                "`kiln resume {folder} early_stopping.patience={patience}` continues it with more patience"
            )
        }
        Some(StopReason::Completed) if !spans_whole_training(&experiment) => {
            format!(
                "`kiln resume {folder} training.epochs={}` trains it for longer",
                2 * status.epochs.max(1)
            )
        }
        _ => format!("`kiln train FILE --from {folder}` starts a new run from its weights"),
    };
    let mut words = format!("the run is finished, nothing is left to do; {longer}");
    let others =
        runs::list(artifacts)?.into_iter().filter(|other| other.state == Some(RunState::Interrupted));
    for other in others.filter(|other| other.name == run.name()) {
        let other = quoted(&other.path.display().to_string());
        words += &format!("\nanother run of this name was interrupted: `kiln resume {other}`");
    }
    Ok(words)
}

/// Makes a run from an experiment file and the weights of another program, and tests it like any other run.
pub(crate) fn import(arguments: &ImportArguments) -> Result<(), Failure> {
    let experiment = resolved(&arguments.experiment)?;
    check_perceptron(&experiment.experiment)?;
    let mut lines = Vec::new();
    let from = std::path::absolute(&arguments.file).unwrap_or_else(|_| arguments.file.clone());
    let session = Session::create_with_weights(
        |setup| {
            let shape = [setup.features, setup.classes];
            let found = kiln_export::import(&arguments.file, &setup.experiment, shape)?;
            lines = found.notices;
            Ok(found.parameters)
        },
        &from.display().to_string(),
        &experiment,
        &arguments.root.artifacts,
        &DownloadBar::default(),
    )?;
    test_as_it_begins(&session, &lines, &arguments.output)
}

/// Trains `session` in the requested view and prints the result.
fn train_session(session: &Session, output: &OutputArguments) -> Result<(), Failure> {
    let ui = begin(session, &[], output)?;
    let stop = StopSignal::default();
    stop_on_ctrl_c(&stop);
    let (dashboard, observer) = view(ui);
    let options =
        Options { dashboard, observer, stop, report: !output.no_report, optimizer: None, pause_after: None };
    match session.train(perceptron, options) {
        Ok(outcome) => {
            show_outcome(ui, session, &outcome, output);
            if is_over(outcome.trained.reason) { Ok(()) } else { Err(stopped(&outcome)) }
        }
        Err(error) => {
            if let Error::Training(failed) = &error {
                // An unreadable metric log must not hide the error.
                let findings = session.findings(None, Some(&failed.kind())).unwrap_or_default();
                say_findings(ui, &findings);
                if output.json {
                    let run = session.run().folder().display().to_string();
                    let failure = Failure::from(error);
                    print_json(&FailedRun { run, error: failure.body(), findings });
                    return Err(failure);
                }
            }
            Err(error.into())
        }
    }
}

/// Tests `session` with its initial weights and prints the result. `notices` are shown after those of the session.
fn test_as_it_begins(session: &Session, notices: &[String], output: &OutputArguments) -> Result<(), Failure> {
    let ui = begin(session, notices, output)?;
    let outcome = session.test_as_it_begins(perceptron, !output.no_report)?;
    show_outcome(ui, session, &outcome, output);
    Ok(())
}

/// Shows the notices of a session and opens its log.
fn begin(session: &Session, notices: &[String], output: &OutputArguments) -> Result<Ui, Failure> {
    let ui = wanted_view(output.ui, session.experiment());
    let all = || session.notices().iter().chain(notices);
    for notice in all() {
        notify(ui, notice);
    }
    log_to(session.run())?;
    for notice in all() {
        tracing::info!("{notice}");
    }
    Ok(ui)
}

fn show_outcome(ui: Ui, session: &Session, outcome: &Outcome, output: &OutputArguments) {
    summarize(ui, session, outcome, output);
    print_outcome(outcome, outcome.test.as_ref().map(figures), output.json);
}

/// Prints the result on stdout: the run folder, or JSON.
fn print_outcome(outcome: &Outcome, test: Option<PassFigures>, as_json: bool) {
    let run = outcome.run.folder().display().to_string();
    if !as_json {
        print(&run);
        return;
    }
    let trained = &outcome.trained;
    print_json(&TrainedRun {
        run,
        stop_reason: trained.reason,
        epochs_done: trained.epochs,
        step: trained.steps,
        weights_sha256: &trained.weights_sha256,
        test,
        baselines: outcome.test.as_ref().map_or(&[], |test| &test.baselines),
        findings: &outcome.findings,
    });
}

fn stopped(outcome: &Outcome) -> Failure {
    let run = quoted(&outcome.run.folder().display().to_string());
    let by = match outcome.trained.reason {
        StopReason::CtrlC => stopped_by().unwrap_or("the dashboard's stop key").to_owned(),
        reason => reason.to_string(),
    };
    let step = outcome.trained.steps;
    Failure::interrupted(format!(
        "stopped by {by} after step {step}; all progress is saved: resume with `kiln resume {run}`"
    ))
}

/// Shows a notice on stderr, as text or as an event.
fn notify(ui: Ui, notice: &str) {
    match ui {
        Ui::Json => SessionEvent::Notice { notice }.say(),
        _ => say(notice),
    }
}

/// The view on the command line; without one, that of the experiment.
fn wanted_view(ui: Option<UiArgument>, experiment: &Experiment) -> Ui {
    ui.map_or(experiment.dashboard.ui, Ui::from)
}

/// Whether to open the dashboard, and the observer to use without it.
fn view(ui: Ui) -> (bool, Box<dyn Observer>) {
    let on_terminal = stdout().is_terminal() && stderr().is_terminal();
    match ui {
        Ui::Auto if on_terminal => (true, Box::new(Silent)),
        Ui::Tui => (true, Box::new(Silent)),
        Ui::Auto | Ui::Plain => (false, Box::new(TextLines)),
        Ui::Json => (false, Box::new(JsonLines)),
        Ui::None => (false, Box::new(Silent)),
    }
}

/// The headline figures. A non-finite loss is NaN.
fn figures(metrics: &Metrics) -> PassFigures {
    let loss = metrics.figure("loss").unwrap_or(f64::NAN);
    PassFigures { loss, accuracy: metrics.accuracy(), examples: metrics.examples }
}

/// Summarizes the result on stderr, in the same view as the training.
fn summarize(ui: Ui, session: &Session, outcome: &Outcome, output: &OutputArguments) {
    match ui {
        Ui::None => {}
        Ui::Json => {
            if let Some(test) = outcome.test.as_ref().map(figures) {
                SessionEvent::Test { test }.say();
            }
        }
        Ui::Auto | Ui::Tui | Ui::Plain => {
            for line in summary(session, outcome) {
                say(&line);
            }
        }
    }
    say_findings(ui, &outcome.findings);
    if matches!(ui, Ui::Auto | Ui::Tui | Ui::Plain) && is_over(outcome.trained.reason) {
        for line in next_steps(session, !output.no_report) {
            say(&line);
        }
    }
}

fn say_findings(ui: Ui, findings: &[Finding]) {
    for finding in findings {
        match ui {
            Ui::None => {}
            Ui::Json => SessionEvent::Finding { finding }.say(),
            Ui::Auto | Ui::Tui | Ui::Plain => say(&finding.to_string()),
        }
    }
}

/// Refuses the dashboard if stdout is not a terminal, before anything is written.
fn check_view(ui: Option<UiArgument>, experiment: &Experiment) -> Result<(), Failure> {
    if wanted_view(ui, experiment) == Ui::Tui && !stdout().is_terminal() {
        return Err(Failure::usage("the dashboard needs a terminal on stdout; use --ui plain instead"));
    }
    Ok(())
}
