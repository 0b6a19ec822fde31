//! The `kiln` program: arguments, messages, exit codes.

mod arguments;
mod commands;
mod experiment;
mod failure;
mod file_kind;
mod interrupt;
mod log;
mod output;
mod view;
mod wrong_word;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use clap_complete::CompleteEnv;

use crate::arguments::Arguments;
use crate::failure::Failure;

/// Every step allocates and frees megabytes; the system allocator returns them to the kernel each time, which
/// then clears the pages anew.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    CompleteEnv::with_factory(Arguments::command).complete();
    let as_json = std::env::args_os().any(|word| word == "--json");
    let arguments = Arguments::try_parse().unwrap_or_else(|error| refuse(&error, as_json));
    match commands::run(arguments).and_then(|()| output::check_written()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.print(as_json).into(),
    }
}

/// Says what is wrong with the command line, or prints the help that it asks for, and ends.
fn refuse(error: &clap::Error, as_json: bool) -> ! {
    if let Some(tip) = wrong_word::tip(error) {
        std::process::exit(Failure::usage(tip).print(as_json).into());
    }
    if as_json && error.use_stderr() {
        let text = error.to_string();
        let message = text.split("\n\nUsage:").next().unwrap_or(&text);
        Failure::usage(message.trim_start_matches("error: ").trim()).answer();
    }
    error.exit()
}
