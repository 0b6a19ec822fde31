//! What a running study tells whoever watches it.

use kiln_config::Monitor;

use super::TaskResult;

/// Something that happened, in the order it happened. Cells are numbered from 0.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// Work begins, or goes on to its next stage.
    Planned {
        /// What is done now, where there are several stages.
        stage: Option<String>,
        /// Trials times seeds, with those of earlier stages.
        cells: usize,
        /// How many of them are finished.
        finished: usize,
        /// Worker processes at once.
        jobs: usize,
    },
    /// A worker was started.
    Started {
        /// The cell.
        cell: usize,
        /// Its trial and seed, in words.
        name: String,
        /// Whether it goes on with a run that was stopped or failed.
        resumed: bool,
    },
    /// A worker came further.
    Advanced {
        /// The cell.
        cell: usize,
        /// How much of its training is done, in [0, 1].
        share: f64,
        /// Epoch, from 1.
        epoch: u64,
        /// Epochs in all.
        epochs: u64,
        /// Latest training loss.
        loss: Option<f64>,
        /// Latest training accuracy, in [0, 1].
        accuracy: Option<f64>,
    },
    /// A worker ended.
    Ended {
        /// The cell.
        cell: usize,
        /// Its trial and seed, in words.
        name: String,
        /// How.
        end: CellEnd,
    },
}

/// How the work on a cell ended.
#[derive(Clone, Debug, PartialEq)]
pub enum CellEnd {
    /// Trained as far as it was to be, and not tested.
    Paused {
        /// Epochs trained.
        epochs: u64,
        /// The best validation loss by then, where there is a validation split; else the best training loss.
        loss: Option<f64>,
    },
    /// Trained and tested.
    Finished {
        /// Share of the test examples that are classified right, in [0, 1].
        test_accuracy: f64,
        /// Seconds of training.
        seconds: f64,
    },
    /// It failed, and the other cells go on.
    Failed {
        /// Why.
        error: String,
    },
    /// Another process did it.
    Elsewhere,
    /// It was asked to stop, and can go on.
    Stopped,
}

impl CellEnd {
    pub(crate) fn of(result: &TaskResult) -> Self {
        let test_accuracy = result.test.get("accuracy").copied().flatten();
        match (&result.error, test_accuracy) {
            (Some(error), _) => Self::Failed { error: error.clone() },
            (None, Some(test_accuracy)) => Self::Finished { test_accuracy, seconds: result.seconds },
            (None, None) => {
                let losses =
                    [Monitor::ValidationLoss, Monitor::TrainLoss].map(|monitor| result.figure(monitor));
                Self::Paused { epochs: result.epochs, loss: losses[0].or(losses[1]) }
            }
        }
    }
}

/// Someone who watches a study.
pub trait View {
    /// Takes in what happened.
    fn show(&mut self, progress: &Progress);
}
