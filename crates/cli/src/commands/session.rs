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
use kiln_evaluation::{PassFigures, evaluate, load_model};
use kiln_model::Loss;
use kiln_training::{Job, Observer, Silent, StopSignal, Trained};
use serde::Serialize;

use crate::arguments::UiArgument;
use crate::failure::Failure;
use crate::interrupt::stop_on_ctrl_c;
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
        let test = if is_over(trained.reason) { Some(self.finish(&trained)?) } else { None };
        plots::write_epoch_plots(&self.run)?;
        write_metrics_csv(&self.run)?;
        self.announce(&trained, test);
        if test.is_some() { Ok(()) } else { Err(self.stopped(&trained)) }
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
        let figures = evaluate(&model.mlp, &loss, &self.data, &self.data.test, batch_size, &self.backend);
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

/// True when training came to its end, early or not; false when it was stopped and can go on.
fn is_over(reason: StopReason) -> bool {
    matches!(reason, StopReason::Completed | StopReason::EarlyStopping | StopReason::MaxSteps)
}
