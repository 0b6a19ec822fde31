//! A session of training as the program shows it.

use std::io::{IsTerminal, stderr, stdout};

use kiln::{
    Error, Experiment, Finding, Metrics, Observer, Options, Outcome, Session, Silent, StopReason, StopSignal,
    is_over, perceptron,
};
use kiln_config::Ui;
use kiln_evaluation::{Baseline, PassFigures};
use serde::Serialize;
use serde_json::json;

use crate::arguments::{TrainingManner, UiArgument};
use crate::failure::Failure;
use crate::interrupt::{stop_on_ctrl_c, stopped_by};
use crate::log::log_to;
use crate::output::{print, print_json, quoted, say};
use crate::view::{Json, Plain, summary};

/// What `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    run: String,
    reason: kiln::StopReason,
    epochs: usize,
    steps: u64,
    weights_sha256: &'a str,
    test: Option<PassFigures>,
    baselines: &'a [Baseline],
    findings: &'a [Finding],
}

/// Trains `session` under the eyes that `manner` asks for, and prints what came of it.
pub(crate) fn train(session: &Session, manner: &TrainingManner) -> Result<(), Failure> {
    let ui = wanted_view(manner.ui, session.experiment());
    for notice in session.notices() {
        match ui {
            Ui::Json => say(&json!({ "event": "notice", "notice": notice }).to_string()),
            _ => say(notice),
        }
    }
    log_to(session.run())?;
    for notice in session.notices() {
        tracing::info!("{notice}");
    }
    let stop = StopSignal::default();
    stop_on_ctrl_c(&stop);
    let (dashboard, observer) = view(ui);
    let options = Options { dashboard, observer, stop, report: !manner.no_report, optimizer: None };
    match session.train(perceptron, options) {
        Ok(outcome) => {
            sum_up(ui, session, &outcome, manner);
            print_outcome(&outcome, outcome.test.as_ref().map(figures), manner.json);
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
                    print_json(&json!({ "run": run, "error": failure.as_json(), "findings": findings }));
                    return Err(failure);
                }
            }
            Err(error.into())
        }
    }
}

/// The result on stdout: the run folder, or all of it as JSON.
fn print_outcome(outcome: &Outcome, test: Option<PassFigures>, as_json: bool) {
    let run = outcome.run.folder().display().to_string();
    if !as_json {
        print(&run);
        return;
    }
    let kiln_training::Trained { reason, epochs, steps, weights_sha256, .. } = &outcome.trained;
    let (reason, epochs, steps) = (*reason, *epochs, *steps);
    print_json(&Printed {
        run,
        reason,
        epochs,
        steps,
        weights_sha256,
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

/// The view that the command line asks for, or else the experiment.
fn wanted_view(ui: Option<UiArgument>, experiment: &Experiment) -> Ui {
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
                say(&json!({ "event": "test", "figures": test }).to_string());
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
            Ui::Json => say(&json!({ "event": "finding", "finding": finding }).to_string()),
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
