//! `kiln completions`.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::arguments::Arguments;
use crate::output::print;

/// Prints the completion script for `shell`.
pub(crate) fn completions(shell: Shell) {
    let mut script = Vec::new();
    generate(shell, &mut Arguments::command(), "kiln", &mut script);
    print(String::from_utf8_lossy(&script).trim_end());
}
