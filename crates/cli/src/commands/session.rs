//! A session of training as the program shows it.

use std::io::{IsTerminal, stderr, stdout};

use kiln::{
    Error, Experiment, Finding, Metrics, Observer, Options, Outcome, Session, Silent, StopReason, StopSignal,
    is_over, perceptron,
};
use kiln_config::Ui;
use kiln_evaluation::{Baseline, PassFigures};
use schemars::JsonSchema;
use serde::Serialize;

use crate::arguments::{TrainingManner, UiArgument};
use crate::failure::{ErrorBody, Failure};
use crate::interrupt::{stop_on_ctrl_c, stopped_by};
use crate::log::log_to;
use crate::output::{print, print_json, quoted, say};
use crate::view::{Json, Plain, summary};

/// A run that was trained, to its end or until it was stopped.
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
    /// What the test found; null where the run was stopped before it.
    test: Option<PassFigures>,
    /// What simple models make of the same examples; empty where none was asked.
    baselines: &'a [Baseline],
    /// What the figures say against the run.
    findings: &'a [Finding],
}

/// A run that failed.
#[derive(Serialize, JsonSchema)]
pub(crate) struct FailedRun {
    /// The run folder.
    run: String,
    /// What went wrong.
    error: ErrorBody,
    /// What the figures say against the run.
    findings: Vec<Finding>,
}

/// A line of JSON about the run that comes from the program, and not from the training.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum SessionEvent<'a> {
    /// Something that one should know of the run.
    Notice {
        /// What it is, in words.
        notice: &'a str,
    },
    /// The network was tested.
    Test {
        /// What the test found.
        test: PassFigures,
    },
    /// The figures say something against the run.
    Finding {
        /// What it is.
        finding: &'a Finding,
    },
}

impl SessionEvent<'_> {
    fn say(&self) {
        say(&serde_json::to_string(self).expect("an event is plain data"));
    }
}

/// Trains `session` under the eyes that `manner` asks for, and prints what came of it.
pub(crate) fn train(session: &Session, manner: &TrainingManner) -> Result<(), Failure> {
    let ui = begin(session, &[], manner)?;
    let stop = StopSignal::default();
    stop_on_ctrl_c(&stop);
    let (dashboard, observer) = view(ui);
    let options =
        Options { dashboard, observer, stop, report: !manner.no_report, optimizer: None, pause_after: None };
    match session.train(perceptron, options) {
        Ok(outcome) => {
            show_outcome(ui, session, &outcome, manner);
            if is_over(outcome.trained.reason) { Ok(()) } else { Err(stopped(&outcome)) }
        }
        Err(error) => {
            if let Error::Training(failed) = &error {
                // A log that cannot be read must not hide why.
                let findings = session.findings(None, Some(&failed.kind())).unwrap_or_default();
                say_findings(ui, &findings);
                if manner.json {
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

/// Tests `session` with the weights that it begins with, and prints what came of it; `notices` are told besides its own.
pub(crate) fn test_as_it_begins(
    session: &Session,
    notices: &[String],
    manner: &TrainingManner,
) -> Result<(), Failure> {
    let ui = begin(session, notices, manner)?;
    let outcome = session.test_as_it_begins(perceptron, !manner.no_report)?;
    show_outcome(ui, session, &outcome, manner);
    Ok(())
}

/// Tells what is to be known of a session at its beginning, and writes it into its log.
fn begin(session: &Session, notices: &[String], manner: &TrainingManner) -> Result<Ui, Failure> {
    let ui = wanted_view(manner.ui, session.experiment());
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

fn show_outcome(ui: Ui, session: &Session, outcome: &Outcome, manner: &TrainingManner) {
    sum_up(ui, session, outcome, manner);
    print_outcome(outcome, outcome.test.as_ref().map(figures), manner.json);
}

/// The result on stdout: the run folder, or all of it as JSON.
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
        "stopped by {by} after step {step}, and all of it is saved: `kiln resume {run}` goes on from here"
    ))
}

/// Says on stderr what one should know of the run.
pub(crate) fn notify(ui: Ui, notice: &str) {
    match ui {
        Ui::Json => SessionEvent::Notice { notice }.say(),
        _ => say(notice),
    }
}

/// The view that the command line asks for, or else the experiment.
pub(crate) fn wanted_view(ui: Option<UiArgument>, experiment: &Experiment) -> Ui {
    ui.map_or(experiment.dashboard.ui, Ui::from)
}

/// Whether to open the dashboard, and who watches without it.
fn view(ui: Ui) -> (bool, Box<dyn Observer>) {
    let on_terminal = stdout().is_terminal() && stderr().is_terminal();
    match ui {
        Ui::Auto if on_terminal => (true, Box::new(Silent)),
        Ui::Tui => (true, Box::new(Silent)),
        Ui::Auto | Ui::Plain => (false, Box::new(Plain)),
        Ui::Json => (false, Box::new(Json)),
        Ui::None => (false, Box::new(Silent)),
    }
}

/// The headline figures; a loss that is not finite is NaN.
fn figures(metrics: &Metrics) -> PassFigures {
    let loss = metrics.figure("loss").unwrap_or(f64::NAN);
    PassFigures { loss, accuracy: metrics.accuracy(), examples: metrics.examples }
}

/// What came of it, on stderr, in the way that the training was shown.
fn sum_up(ui: Ui, session: &Session, outcome: &Outcome, manner: &TrainingManner) {
    match ui {
        Ui::None => {}
        Ui::Json => {
            if let Some(test) = outcome.test.as_ref().map(figures) {
                SessionEvent::Test { test }.say();
            }
        }
        Ui::Auto | Ui::Tui | Ui::Plain => {
            for line in summary::before(session, outcome) {
                say(&line);
            }
        }
    }
    say_findings(ui, &outcome.findings);
    if matches!(ui, Ui::Auto | Ui::Tui | Ui::Plain) && is_over(outcome.trained.reason) {
        for line in summary::after(session, !manner.no_report) {
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

/// Refuses the dashboard where there is no terminal to show it on, before anything is made.
pub(crate) fn check_view(ui: Option<UiArgument>, experiment: &Experiment) -> Result<(), Failure> {
    if wanted_view(ui, experiment) == Ui::Tui && !stdout().is_terminal() {
        return Err(Failure::usage(
            "the dashboard needs a terminal on stdout; choose another view with --ui plain",
        ));
    }
    Ok(())
}
