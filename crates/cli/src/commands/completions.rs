//! `kiln completions`, and what a shell asks while a line is typed.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;

use clap_complete::Shell;
use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter};
use kiln_artifacts::runs;

use crate::commands::schema;
use crate::output::print;

/// Prints what the shell has to read at its start: from then on it asks the program itself.
pub(crate) fn completions(shell: Shell) {
    let script = match shell {
        Shell::Fish => "COMPLETE=fish kiln | source",
        Shell::PowerShell => {
            "$env:COMPLETE = \"powershell\"; kiln | Out-String | Invoke-Expression; Remove-Item Env:\\COMPLETE"
        }
        Shell::Elvish => "eval (E:COMPLETE=elvish kiln | slurp)",
        Shell::Zsh => "source <(COMPLETE=zsh kiln)",
        _ => "source <(COMPLETE=bash kiln)",
    };
    print(script);
}

/// The names of experiments that have runs, and the runs.
pub(crate) fn run_names(current: &OsStr) -> Vec<CompletionCandidate> {
    let root = env::var_os("KILN_ARTIFACTS").map_or_else(|| PathBuf::from("artifacts"), PathBuf::from);
    let found = runs::list(&root).unwrap_or_default();
    let mut names: Vec<String> = found.iter().map(|run| run.name.clone()).collect();
    names.sort();
    names.dedup();
    names.push("latest".to_owned());
    names.extend(found.iter().map(|run| run.path.display().to_string()));
    beginning_with(names, current)
}

/// The keys of experiments, each with its `=`.
pub(crate) fn keys(current: &OsStr) -> Vec<CompletionCandidate> {
    let keys = kiln_config::keys().into_iter().map(|key| format!("{key}="));
    beginning_with(keys.collect(), current)
}

/// Keys without their `=`.
pub(crate) fn bare_keys(current: &OsStr) -> Vec<CompletionCandidate> {
    beginning_with(kiln_config::keys().into_iter().map(str::to_owned).collect(), current)
}

/// The words of `kiln schema`.
pub(crate) fn answers(current: &OsStr) -> Vec<CompletionCandidate> {
    beginning_with(schema::words(), current)
}

/// Files, and the keys of experiments.
pub(crate) fn files_and_keys(current: &OsStr) -> Vec<CompletionCandidate> {
    PathCompleter::any().complete(current).into_iter().chain(keys(current)).collect()
}

/// Runs, and files.
pub(crate) fn runs_and_files(current: &OsStr) -> Vec<CompletionCandidate> {
    run_names(current).into_iter().chain(PathCompleter::any().complete(current)).collect()
}

fn beginning_with(words: Vec<String>, current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    words.into_iter().filter(|word| word.starts_with(current)).map(CompletionCandidate::new).collect()
}
