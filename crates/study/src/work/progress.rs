//! What a running study tells whoever watches it.

use kiln_artifacts::Run;

/// Something that happened, in the order it happened. Cells are numbered from 0.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// Work begins.
    Planned {
        /// Trials times seeds.
        cells: usize,
        /// How many of them were finished before.
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
    /// It was asked to stop, and can go on.
    Stopped,
}

impl CellEnd {
    pub(crate) fn finished(run: &Run) -> Self {
        let status = run.status().ok();
        let test = status.as_ref().and_then(|status| status.test);
        Self::Finished {
            test_accuracy: test.map_or(f64::NAN, |test| test.accuracy),
            seconds: status.map_or(0.0, |status| status.elapsed_seconds),
        }
    }
}

/// Someone who watches a study.
pub trait View {
    /// Takes in what happened.
    fn show(&mut self, progress: &Progress);
}
