//! One session of training a run: train, test, plot, report.

use std::io::{IsTerminal, stderr, stdout};
use std::sync::Arc;

use kiln_artifacts::{
    Checkpoint, MetricLog, MetricRow, Run, RunLock, RunState, Scope, Status, StopReason, TestFigures, plots,
    write_metrics_csv,
};
use kiln_backend::Selected;
use kiln_config::{Experiment, Ui};
use kiln_data::DataSet;
use kiln_evaluation::{
    EvaluationSettings, PassFigures, evaluate_with_dropout, load_model, predict, write_evaluation,
};
use kiln_model::Loss;
use kiln_training::{Job, Observer, Silent, StopSignal, Trained};
use serde::Serialize;

use crate::arguments::UiArgument;
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
    pub(crate) ui: Option<UiArgument>,
    pub(crate) json: bool,
    pub(crate) stop_with_stdin: bool,
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
}

impl Session {
    /// Trains from `checkpoint`, or from the beginning, and finishes the run if training is over.
    pub(crate) fn train(self, checkpoint: Option<&Checkpoint>) -> Result<(), Failure> {
        log_to(&self.run)?;
        let stop = StopSignal::default();
        stop_on_ctrl_c(&stop);
        if self.stop_with_stdin {
            stop_at_end_of_stdin(&stop);
        }
        let (dashboard, observer) = self.view();
        let job = Job {
            run: self.run.clone(),
            experiment: self.experiment.clone(),
            data: Arc::clone(&self.data),
            backend: self.backend.clone(),
            dashboard,
            observer,
            stop,
        };
        let trained = job.train(checkpoint)?;
        if is_over(trained.reason) {
            let test = self.finish(&trained)?;
            self.announce(&trained, Some(test));
            return Ok(());
        }
        let stopped = self.stopped(&trained);
        self.derive()?;
        self.announce(&trained, None);
        Err(stopped)
    }

    fn view(&self) -> (bool, Box<dyn Observer>) {
        let ui = self.ui.map_or(self.experiment.dashboard.ui, Ui::from);
        let on_terminal = stdout().is_terminal() && stderr().is_terminal();
        match ui {
            Ui::Auto if on_terminal => (true, Box::new(Silent)),
            Ui::Tui => (true, Box::new(Silent)),
            Ui::Auto | Ui::Plain => (false, Box::new(Plain)),
            Ui::Json => (false, Box::new(Json)),
            Ui::None => (false, Box::new(Silent)),
        }
    }

    /// The test pass, on the checkpoint that `evaluation.ckpt` names.
    fn finish(&self, trained: &Trained) -> Result<PassFigures, Failure> {
        let ckpt = self.experiment.evaluation.ckpt;
        let model = load_model(&self.run, ckpt, &self.experiment, &self.data, &self.backend)?;
        let loss = Loss::new(&self.experiment.loss, self.data.class_count())?;
        let batch_size = self.experiment.evaluation.batch_size;
        let Self { data, backend, .. } = self;
        let dropout_active = evaluate_with_dropout(&model.mlp, &loss, data, &data.test, backend);
        let predictions = predict(&model.mlp, &loss, data, &data.test, batch_size, backend);
        let settings = EvaluationSettings {
            seed: self.experiment.seed,
            checkpoint_step: Some(model.step),
            dropout_active: Some(dropout_active),
            ..EvaluationSettings::default()
        };
        let metrics = write_evaluation(&self.run, "test", &predictions, &settings)?.metrics;
        let figures = PassFigures {
            loss: metrics.loss.unwrap_or(f64::NAN),
            accuracy: metrics.accuracy,
            examples: metrics.examples,
        };
        let row = MetricRow::new(
            "test",
            Scope::Epoch,
            trained.epochs as u64,
            model.step,
            [("loss", figures.loss), ("accuracy", figures.accuracy)],
        );
        let mut metrics = MetricLog::open_append(self.run.metrics())?;
        metrics.append(&row)?;
        metrics.sync()?;
        // What is finished is complete: a process that is killed before has left a run to resume.
        self.derive()?;
        let status = self.run.status()?;
        let test = TestFigures { loss: figures.loss, accuracy: figures.accuracy };
        self.run.write_status(&Status {
            test: Some(test),
            weights_sha256: Some(trained.weights_sha256.clone()),
            elapsed_seconds: trained.elapsed_seconds,
            ..status.stopped(RunState::Finished, trained.reason)
        })?;
        Ok(figures)
    }

    /// Writes what follows from the logs.
    fn derive(&self) -> Result<(), Failure> {
        plots::write_epoch_plots(&self.run)?;
        Ok(write_metrics_csv(&self.run)?)
    }

    fn announce(&self, trained: &Trained, test: Option<PassFigures>) {
        let run = self.run.folder().display().to_string();
        if self.json {
            let Trained { reason, epochs, steps, weights_sha256, .. } = trained;
            print_json(&Outcome {
                run,
                reason: *reason,
                epochs: *epochs,
                steps: *steps,
                weights_sha256,
                test,
            });
            return;
        }
        if let Some(test) = test {
            say(&format!(
                "test loss {:.4}  accuracy {:.4}  ({} examples)",
                test.loss, test.accuracy, test.examples
            ));
        }
        print(&run);
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

/// Refuses the dashboard where there is no terminal to show it on, before anything is made.
pub(crate) fn check_view(ui: Option<UiArgument>, experiment: &Experiment) -> Result<(), Failure> {
    let wanted = ui.map_or(experiment.dashboard.ui, Ui::from);
    if wanted == Ui::Tui && !stdout().is_terminal() {
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
