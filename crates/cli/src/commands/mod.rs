//! The commands, one file each.

mod answers;
mod bench;
pub(crate) mod completions;
mod config;
mod data;
mod doctor;
mod evaluate;
mod export;
mod import;
mod new;
mod predict;
mod predict_pictures;
mod predict_table;
mod report;
mod resume;
mod runs;
pub(crate) mod schema;
#[cfg(feature = "serve")]
mod serve;
mod session;
mod study;
mod trace;
mod train;
mod watch;
mod worker;

use crate::arguments::{Arguments, Command};
use crate::failure::Failure;

/// Does what the command line asks.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::New(arguments) => new::new(&arguments),
        Command::Train(arguments) => train::train(&arguments),
        Command::Resume(arguments) => resume::resume(&arguments),
        Command::Evaluate(arguments) => evaluate::evaluate(&arguments),
        Command::Predict(arguments) => predict::predict(&arguments),
        Command::Export(arguments) => export::export(&arguments),
        Command::Import(arguments) => import::import(&arguments),
        #[cfg(feature = "serve")]
        Command::Serve(arguments) => serve::serve(*arguments),
        Command::Report(arguments) => report::report(&arguments),
        Command::Watch(arguments) => watch::watch(&arguments),
        Command::Runs(arguments) => runs::runs(&arguments.action),
        Command::Data(arguments) => data::data(&arguments),
        Command::Config(arguments) => config::config(&arguments.action),
        Command::Study(arguments) => study::study(&arguments),
        Command::Trace(arguments) => trace::trace(&arguments),
        Command::Schema(arguments) => schema::schema(&arguments.verb),
        Command::Bench(arguments) => bench::bench(&arguments),
        Command::Doctor(arguments) => doctor::doctor(&arguments),
        Command::Worker => worker::worker(),
        Command::Completions { shell } => {
            completions::completions(shell);
            Ok(())
        }
    }
}
