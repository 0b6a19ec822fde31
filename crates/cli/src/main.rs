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
    let arguments = Arguments::try_parse().unwrap_or_else(|error| match wrong_word::tip(&error) {
        Some(tip) => std::process::exit(Failure::usage(tip).print(as_json).into()),
        None => error.exit(),
    });
    match commands::run(arguments).and_then(|()| output::check_written()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.print(as_json).into(),
    }
}
