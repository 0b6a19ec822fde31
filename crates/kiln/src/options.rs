//! How a session is watched and stopped.

use std::io::IsTerminal;

use burn::optim::ModuleOptimizer;
use kiln_training::{Observer, Silent, StopSignal};

/// How to train, whatever is trained.
pub struct Options {
    /// What moves the weights; by default what `[optimizer]` says. Any of Burn's optimizers will do, under the
    /// experiment's learning rate and schedule.
    pub optimizer: Option<ModuleOptimizer>,
    /// Whether to open Burn's dashboard; by default on a terminal.
    pub dashboard: bool,
    /// Who else watches; by default nobody.
    pub observer: Box<dyn Observer>,
    /// The wish to stop; by default that of nobody.
    pub stop: StopSignal,
    /// Whether to draw plots and write the report; by default, yes.
    pub report: bool,
    /// An epoch, from 1, after which training pauses with a checkpoint. Training that ends by then is not tested: a resume
    /// without a pause goes on, or tests what is over. By default, none.
    pub pause_after: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        let dashboard = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
        Self {
            optimizer: None,
            dashboard,
            observer: Box::new(Silent),
            stop: StopSignal::default(),
            report: true,
            pause_after: None,
        }
    }
}
