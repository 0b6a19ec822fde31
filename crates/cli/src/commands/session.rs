//! One session of training a run: train, test, plot, report.

use std::io::{IsTerminal, stderr, stdout};
use std::sync::Arc;

use kiln_artifacts::{
    Checkpoint, MetricLog, MetricRow, Run, RunLock, RunState, Scope, Status, StopReason, TestFigures,
    write_metrics_csv,
};
use kiln_backend::Selected;
use kiln_config::{Experiment, Ui};
use kiln_data::{DataSet, Profile};
use kiln_evaluation::{
    Examination, Finding, Metrics, PassFigures, Weights, findings, load_model, write_epoch_plots,
    write_report,
};
use kiln_training::{Job, Observer, Silent, StopSignal, Trained, unfinished_warmup};
use serde::Serialize;
use serde_json::json;

use crate::arguments::{TrainingManner, UiArgument};
use crate::failure::Failure;
use crate::interrupt::{stop_at_end_of_stdin, stop_on_ctrl_c};
use crate::log::log_to;
use crate::output::{print, print_json, say};
use crate::view::{Json, Plain};

/// A run that this process has taken, and what it takes to train it.
pub(crate) struct Session {
    pub(crate) run: Run,
    #[expect(dead_code, reason = "held until the session ends, so that no other process trains the run")]
    pub(crate) lock: RunLock,
    pub(crate) experiment: Experiment,
    pub(crate) data: Arc<DataSet>,
    pub(crate) backend: Selected,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Outcome<'a> {
    run: String,
    reason: StopReason,
    epochs: usize,
    steps: u64,
    weights_sha256: &'a str,
    test: Option<PassFigures>,
    findings: &'a [Finding],
}

impl Session {
    /// Trains from `checkpoint`, or from the beginning, and finishes the run if training is over.
    pub(crate) fn train(
        self,
        manner: &TrainingManner,
        checkpoint: Option<&Checkpoint>,
    ) -> Result<(), Failure> {
        log_to(&self.run)?;
        if let Some(warning) = unfinished_warmup(&self.experiment, &self.data) {
            say(&format!("warning: {warning}"));
        }
        let stop = StopSignal::default();
        stop_on_ctrl_c(&stop);
        if manner.stop_with_stdin {
            stop_at_end_of_stdin(&stop);
        }
        let ui = wanted_view(manner.ui, &self.experiment);
        let (dashboard, observer) = view(ui);
        let job = Job {
            run: self.run.clone(),
            experiment: self.experiment.clone(),
            data: Arc::clone(&self.data),
            backend: self.backend.clone(),
            dashboard,
            observer,
            stop,
        };
        let trained = match job.train(checkpoint) {
            Ok(trained) => trained,
            Err(error) => {
                // A log that cannot be read must not hide why.
                let findings = self.findings(None, Some(&error.to_string())).unwrap_or_default();
                summary(ui, None, &findings);
                return Err(error.into());
            }
        };
        if is_over(trained.reason) {
            let metrics = self.finish(&trained, !manner.no_report)?;
            let findings = self.findings(Some(&metrics), None)?;
            summary(ui, Some(figures(&metrics)), &findings);
            self.print_outcome(&trained, Some(figures(&metrics)), &findings, manner.json);
            return Ok(());
        }
        let stopped = self.stopped(&trained);
        write_metrics_csv(&self.run)?;
        if !manner.no_report {
            write_epoch_plots(&self.run)?;
        }
        let findings = self.findings(None, None)?;
        summary(ui, None, &findings);
        self.print_outcome(&trained, None, &findings, manner.json);
        Err(stopped)
    }

    /// The test pass, on the checkpoint that `evaluation.ckpt` names.
    fn finish(&self, trained: &Trained, with_report: bool) -> Result<Metrics, Failure> {
        let Self { run, experiment, data, backend, .. } = self;
        let profile = Profile::of(data);
        let ckpt = Weights::Marked(experiment.evaluation.ckpt);
        let model = load_model(run, &ckpt, experiment, &profile, backend)?;
        let examination = Examination { run, experiment, profile: &profile, backend };
        let (evaluation, gallery) = examination.evaluate("test", &data.test, &model)?;
        let test = figures(&evaluation.metrics);
        let row = MetricRow::new(
            "test",
            Scope::Epoch,
            trained.epochs as u64,
            model.step.unwrap_or(trained.steps),
            [("loss", test.loss), ("accuracy", test.accuracy)],
        );
        let mut log = MetricLog::open_append(run.metrics())?;
        log.append(&row)?;
        log.sync()?;
        let status = Status {
            test: Some(TestFigures { loss: test.loss, accuracy: test.accuracy }),
            weights_sha256: Some(trained.weights_sha256.clone()),
            elapsed_seconds: trained.elapsed_seconds,
            ..run.status()?
        };
        run.write_status(&status)?;
        write_metrics_csv(run)?;
        if with_report {
            write_report(run, "test", experiment, &evaluation, Some(&gallery))?;
        }
        // What is finished is complete: a process that is killed before has left a run to resume.
        run.write_status(&status.stopped(RunState::Finished, trained.reason))?;
        Ok(evaluation.metrics)
    }

    /// What the metric log says against the run.
    fn findings(&self, test: Option<&Metrics>, error: Option<&str>) -> Result<Vec<Finding>, Failure> {
        Ok(findings(&self.run.metric_rows()?, test, &self.experiment, error))
    }

    /// The result on stdout: the run folder, or all of it as JSON.
    fn print_outcome(
        &self,
        trained: &Trained,
        test: Option<PassFigures>,
        findings: &[Finding],
        as_json: bool,
    ) {
        let run = self.run.folder().display().to_string();
        if as_json {
            let Trained { reason, epochs, steps, weights_sha256, .. } = trained;
            let (reason, epochs, steps) = (*reason, *epochs, *steps);
            print_json(&Outcome { run, reason, epochs, steps, weights_sha256, test, findings });
        } else {
            print(&run);
        }
    }

    /// Notes that the run was stopped before its end.
    fn stopped(&self, trained: &Trained) -> Failure {
        let noted = self
            .run
            .status()
            .and_then(|status| self.run.write_status(&status.stopped(RunState::Interrupted, trained.reason)));
        if let Err(error) = noted {
            return error.into();
        }
        let run = self.run.folder().display();
        Failure::interrupted(format!("stopped ({}); `kiln resume {run}` goes on from here", trained.reason))
    }
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
    let loss = metrics.loss.unwrap_or(f64::NAN);
    PassFigures { loss, accuracy: metrics.accuracy, examples: metrics.examples }
}

/// What came of it, on stderr, in the way that the training was shown.
fn summary(ui: Ui, test: Option<PassFigures>, findings: &[Finding]) {
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

/// True when training came to its end, early or not; false when it was stopped and can go on.
fn is_over(reason: StopReason) -> bool {
    matches!(reason, StopReason::Completed | StopReason::EarlyStopping | StopReason::MaxSteps)
}
