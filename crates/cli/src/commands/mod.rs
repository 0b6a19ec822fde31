//! The commands, and the arguments and completions that several of them share.

pub(crate) mod config;
pub(crate) mod data;
pub(crate) mod evaluate;
pub(crate) mod machine;
pub(crate) mod new;
pub(crate) mod predict;
mod predict_csv;
pub(crate) mod runs;
pub(crate) mod schema;
#[cfg(feature = "serve")]
pub(crate) mod serve;
pub(crate) mod study;
pub(crate) mod study_workers;
pub(crate) mod train;

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;
use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter};

use crate::output::print;

/// The folder that holds the runs.
#[derive(Debug, Args)]
pub(crate) struct RootArgument {
    /// The folder that holds the runs.
    #[arg(long, value_name = "DIR", env = "KILN_ARTIFACTS", default_value = "artifacts")]
    pub(crate) artifacts: PathBuf,
}

/// Prints the line that a shell reads at startup. From then on, the shell calls the program for each completion.
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

/// The names of runs, `latest`, and the run folders.
pub(crate) fn run_names(current: &OsStr) -> Vec<CompletionCandidate> {
    let root = env::var_os("KILN_ARTIFACTS").map_or_else(|| PathBuf::from("artifacts"), PathBuf::from);
    let found = kiln_artifacts::runs::list(&root).unwrap_or_default();
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

/// The keys of experiments, without their `=`.
pub(crate) fn bare_keys(current: &OsStr) -> Vec<CompletionCandidate> {
    beginning_with(kiln_config::keys().into_iter().map(str::to_owned).collect(), current)
}

/// The words that may follow `kiln schema`.
pub(crate) fn schema_words(current: &OsStr) -> Vec<CompletionCandidate> {
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
