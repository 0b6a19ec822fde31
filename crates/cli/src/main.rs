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

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::Arguments;

/// Every step allocates and frees megabytes; the system allocator returns them to the kernel each time, which
/// then clears the pages anew.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match commands::run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
