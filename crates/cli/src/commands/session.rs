//! A session of training as the program shows it.

use std::io::{IsTerminal, stderr, stdout};

use kiln::{
    Error, Experiment, Finding, Metrics, Observer, Options, Outcome, Session, Silent, StopSignal, is_over,
    perceptron,
};
use kiln_config::Ui;
use kiln_evaluation::{Baseline, PassFigures};
use serde::Serialize;
use serde_json::json;

use crate::arguments::{TrainingManner, UiArgument};
use crate::failure::Failure;
use crate::interrupt::stop_on_ctrl_c;
use crate::log::log_to;
use crate::output::{print, print_json, say};
use crate::view::{Json, Plain};

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
    for notice in session.notices() {
        say(notice);
    }
    log_to(session.run())?;
    for notice in session.notices() {
        tracing::info!("{notice}");
    }
    let stop = StopSignal::default();
    stop_on_ctrl_c(&stop);
    let ui = wanted_view(manner.ui, session.experiment());
    let (dashboard, observer) = view(ui);
    let options = Options { dashboard, observer, stop, report: !manner.no_report, optimizer: None };
    match session.train(perceptron, options) {
        Ok(outcome) => {
            let test = outcome.test.as_ref().map(figures);
            let beside = outcome.test.as_ref().map(Metrics::beside).unwrap_or_default();
            summary(ui, test, beside, &outcome.findings);
            print_outcome(&outcome, test, manner.json);
            if is_over(outcome.trained.reason) { Ok(()) } else { Err(stopped(&outcome)) }
        }
        Err(error) => {
            if let Error::Training(failed) = &error {
                // A log that cannot be read must not hide why.
                let findings = session.findings(None, Some(&failed.kind())).unwrap_or_default();
                summary(ui, None, Vec::new(), &findings);
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
    let run = outcome.run.folder().display();
    let reason = outcome.trained.reason;
    Failure::interrupted(format!("stopped ({reason}); `kiln resume {run}` goes on from here"))
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
fn summary(ui: Ui, test: Option<PassFigures>, beside: Vec<String>, findings: &[Finding]) {
    match ui {
        Ui::None => {}
        Ui::Json => {
            if let Some(test) = test {
                say(&json!({ "event": "test", "figures": test }).to_string());
            }
            for finding in findings {
                say(&json!({ "event": "finding", "finding": finding }).to_string());
            }
        }
        Ui::Auto | Ui::Tui | Ui::Plain => {
            if let Some(PassFigures { loss, accuracy, examples }) = test {
                say(&format!("test loss {loss:.4}  accuracy {accuracy:.4}  ({examples} examples)"));
            }
            for line in beside {
                say(&line);
            }
            for finding in findings {
                say(&finding.to_string());
            }
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
