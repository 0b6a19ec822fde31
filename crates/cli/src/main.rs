//! The `kiln` program: the command line, its commands and their exit codes.
//!
//! [`main`] parses the command line into [`Arguments`] and runs one command. Each file in `commands` holds related
//! commands: their arguments, what they do and the JSON that they print. Commands share `experiment` (from words to an
//! experiment), `output` (stdout, stderr, the log), `view` (progress on stderr) and `failure` (errors, exit codes, signals).

mod commands;
mod experiment;
mod failure;
mod output;
mod view;

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::{CompleteEnv, Shell};

#[cfg(feature = "serve")]
use crate::commands::serve::{self, ServeArguments};
use crate::commands::{
    completions,
    config::{self, ConfigArguments},
    data::{self, DataArguments},
    evaluate::{self, EvaluateArguments, ExportArguments},
    machine::{self, BenchArguments, DoctorArguments},
    new::{self, NewArguments},
    predict::{self, PredictArguments},
    runs::{self, ReportArguments, RunsArguments, WatchArguments},
    schema::{self, SchemaArguments},
    study::{self, StudyArguments, TraceArguments},
    study_workers,
    train::{self, ImportArguments, ResumeArguments, TrainArguments},
};
use crate::failure::{Failure, check_written};

/// Every training step allocates and frees megabytes. The system allocator returns them to the kernel each time, which
/// clears the pages again before it hands them out.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Train, evaluate, serve and compare classifiers. One TOML file describes one experiment.
///
/// `kiln train` without a file trains on built-in handwritten digits: no download, no setup.
#[derive(Debug, Parser)]
#[command(name = "kiln", version, max_term_width = 100, arg_required_else_help = true)]
#[command(help_template = HELP, after_help = AFTER_HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// The commands in groups. clap cannot group subcommands, so a test compares this text with the commands.
const HELP: &str = "\
{about-with-newline}
{usage-heading} {usage}

Start:
  new          Inspect a table or a folder of pictures, and write an experiment file for it
  train        Train the network of an experiment file, then test it
  data         Show the data of an experiment
  config       Check, show or explain experiment files

Continue:
  resume       Resume a run that was stopped, or train a finished run for longer
  watch        Show the dashboard of a run, or the progress of a study
  runs         List, show, compare or delete runs
  report       Write the report of a run again

Use a network:
  predict      Predict the classes of pictures, rows of a table, or an IDX file
  evaluate     Evaluate a network again, on another split or on other labelled data
  export       Export a network to other programs, and check it against Kiln
  import       Import weights from another program as a run, and test them
  serve        Serve networks over HTTP

Explore:
  study        Train and rank many variants, or search for good settings
  trace        Compute one training step of a small network, value by value

This machine:
  schema       Print the JSON Schema of the `--json` output
  bench        Measure where the time of a training step goes
  doctor       Check which backends work here, and whether their results are correct
  completions  Print a completion script for a shell

Options:
{options}{after-help}";

const AFTER_HELP: &str = "\
Examples:
  kiln train                                     train on the built-in digits
  kiln train configs/mnist.toml optimizer.lr=1e-3
  kiln new customers.csv --label churned         then: kiln train customers.toml
  kiln predict latest photo.png
  kiln config explain optimizer                  list the settings and their meaning

Exit codes: 0 success, 1 failure, 2 invalid command or experiment file, 3 a result differs from
what the file expects, 130 stopped (`kiln resume` continues).";

#[derive(Debug, Subcommand)]
enum Command {
    /// Inspect a table or a folder of pictures, describe it, and write an experiment file for it.
    New(NewArguments),
    /// Train the network of an experiment file, then test it.
    #[command(after_help = "\
Examples:
  kiln train
  kiln train configs/mnist.toml model.hidden=[256] training.epochs=5
  kiln train data.source=csv data.path=customers.csv data.label_column=churned
List all keys: kiln config explain. Write a file for your own data: kiln new.")]
    Train(TrainArguments),
    /// Resume a run that was stopped, exactly as if it had never stopped, or train a finished run for longer.
    Resume(ResumeArguments),
    /// Evaluate the network of a run again, on another split, or on other labelled data.
    Evaluate(EvaluateArguments),
    /// Predict the classes of pictures, rows of a table, or an IDX file with the network of a run.
    #[command(after_help = "Example: kiln predict latest rows.csv --output predictions.csv")]
    Predict(PredictArguments),
    /// Export the network of a run: ONNX, PyTorch, Burn, C, or a page for any browser. Every format but the page is run on the
    /// test split first and compared with Kiln.
    #[command(after_help = "Example: kiln export latest --format onnx --output digits.onnx")]
    Export(ExportArguments),
    /// Import the weights of a perceptron from another program (PyTorch checkpoint, safetensors or ONNX) as a run of an
    /// experiment, and test it.
    #[command(after_help = "Example: kiln import network.pt configs/mnist.toml model.hidden=[128,64]")]
    Import(ImportArguments),
    /// Serve the networks of runs over HTTP, with the Open Inference Protocol and with plain JSON.
    #[cfg(feature = "serve")]
    #[command(after_help = "\
Examples:
  kiln serve latest
  kiln serve titanic digits=artifacts/digits/2026-11-29_12-00-00-1a2b3c --host 0.0.0.0 --token-file token
Then: curl localhost:8080/predict --data-binary @photo.png -H 'Content-Type: image/png'
Signals: SIGHUP reloads the runs; SIGTERM and Ctrl-C answer the pending requests, then exit.")]
    Serve(Box<ServeArguments>),
    /// Write the plots, the gallery and the report of a run again, from its stored results.
    Report(ReportArguments),
    /// Show the dashboard of a run that another process trains or that has ended, or the progress of a study.
    Watch(WatchArguments),
    /// List, show, compare or delete runs.
    Runs(RunsArguments),
    /// Show the data of an experiment: source, classes, columns, splits and some examples.
    Data(DataArguments),
    /// Check, show or explain experiment files.
    Config(ConfigArguments),
    /// Train many variants of an experiment and rank them, or search for good settings, on one host or on many.
    #[command(after_help = "\
Examples:
  kiln study configs/studies/ten-experiments.toml 'seeds=[0,1,2]'
  kiln study configs/studies/digits-search.toml --dry-run
  kiln study work artifacts/studies/digits-search          join from another host
  kiln study submit FILE --engine slurm --workers 20 --time 4:00:00
Repeat the command to resume a study that was stopped or killed.
If the study file has the name of a subcommand, write its path: kiln study ./work")]
    Study(Box<StudyArguments>),
    /// Compute one training step of a small network, value by value: every sum, derivative, gradient and new weight.
    Trace(TraceArguments),
    /// Print the JSON Schema of the `--json` output, for programs that read it.
    #[command(after_help = "\
Examples:
  kiln schema                 the output of every command
  kiln schema train           the output of `kiln train --json` only
  kiln schema runs list
The JSON Schema of experiment files: kiln config schema.")]
    Schema(SchemaArguments),
    /// Measure where the time of a training step goes.
    Bench(BenchArguments),
    /// Check which backends work here, and whether their results are correct.
    Doctor(DoctorArguments),
    /// Train for a study, following the orders on standard input.
    #[command(hide = true)]
    Worker,
    /// Print a script that completes commands, runs, files and keys. To load it at shell startup: `source <(kiln completions bash)`.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

fn main() -> ExitCode {
    CompleteEnv::with_factory(Arguments::command).complete();
    let as_json = std::env::args_os().any(|word| word == "--json");
    let arguments = Arguments::try_parse().unwrap_or_else(|error| refuse(&error, as_json));
    match run(arguments.command).and_then(|()| check_written()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.print(as_json).into(),
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::New(arguments) => new::new(&arguments),
        Command::Train(arguments) => train::train(&arguments),
        Command::Resume(arguments) => train::resume(&arguments),
        Command::Evaluate(arguments) => evaluate::evaluate(&arguments),
        Command::Predict(arguments) => predict::predict(&arguments),
        Command::Export(arguments) => evaluate::export(&arguments),
        Command::Import(arguments) => train::import(&arguments),
        #[cfg(feature = "serve")]
        Command::Serve(arguments) => serve::serve(*arguments),
        Command::Report(arguments) => runs::report(&arguments),
        Command::Watch(arguments) => runs::watch(&arguments),
        Command::Runs(arguments) => runs::runs(&arguments.action),
        Command::Data(arguments) => data::data(&arguments),
        Command::Config(arguments) => config::config(&arguments.action),
        Command::Study(arguments) => study::study(&arguments),
        Command::Trace(arguments) => study::trace(&arguments),
        Command::Schema(arguments) => schema::schema(&arguments.verb),
        Command::Bench(arguments) => machine::bench(&arguments),
        Command::Doctor(arguments) => machine::doctor(&arguments),
        Command::Worker => study_workers::run_worker_process(),
        Command::Completions { shell } => {
            completions(shell);
            Ok(())
        }
    }
}

/// Reports a command line that cannot be parsed, or prints the requested help, and exits.
fn refuse(error: &clap::Error, as_json: bool) -> ! {
    if let Some(tip) = tip(error) {
        std::process::exit(Failure::usage(tip).print(as_json).into());
    }
    if as_json && error.use_stderr() {
        let text = error.to_string();
        let message = text.split("\n\nUsage:").next().unwrap_or(&text);
        Failure::usage(message.trim_start_matches("error: ").trim()).print_as_json();
    }
    error.exit()
}

/// Words that users bring from other programs, and Kiln's command for each.
const COMMANDS: [(&[&str], &str); 8] = [
    (&["list", "ls", "runs-list"], "kiln runs list"),
    (&["show", "info"], "kiln runs show"),
    (&["compare", "diff"], "kiln runs compare"),
    (&["delete", "rm", "remove"], "kiln runs delete"),
    (&["test", "eval", "validate", "score"], "kiln evaluate"),
    (&["version"], "kiln --version"),
    (&["init", "create"], "kiln new"),
    (&["fit", "run", "start"], "kiln train"),
];

/// A more helpful message than clap's for a command or option that does not exist.
fn tip(error: &clap::Error) -> Option<String> {
    let word = |kind| match error.get(kind)? {
        ContextValue::String(word) => Some(word.as_str()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = word(ContextKind::InvalidSubcommand)?;
            let (_, meant) = COMMANDS.iter().find(|(words, _)| words.contains(&word))?;
            Some(format!("there is no command `{word}`; use `{meant}`"))
        }
        ErrorKind::UnknownArgument => {
            let word = word(ContextKind::InvalidArg)?;
            let name = word.trim_start_matches('-').split('=').next()?;
            Some(match name {
                "config" | "c" | "file" | "f" => {
                    format!(
                        "there is no option `{word}`; give the experiment file without an option: `kiln train FILE`"
                    )
                }
                _ => {
                    let key = key_like(name)?;
                    format!(
                        "there is no option `{word}`; write settings without dashes, as `{key}=VALUE` \
                         (`kiln config explain {key}`)"
                    )
                }
            })
        }
        _ => None,
    }
}

/// The key that `name` stands for: the whole key, or its last part if no other key ends with it.
fn key_like(name: &str) -> Option<String> {
    let name = name.replace('-', "_");
    let keys = kiln_config::keys();
    if let Some(key) = keys.iter().find(|key| **key == name) {
        return Some((*key).to_owned());
    }
    let common = match name.as_str() {
        "learning_rate" => "lr",
        "batch" | "bs" => "batch_size",
        name => name,
    };
    let mut ending = keys.iter().filter(|key| key.rsplit('.').next() == Some(common));
    let key = ending.next()?;
    ending.next().is_none().then(|| (*key).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_command() {
        let commands = Arguments::command();
        for command in commands.get_subcommands().filter(|command| !command.is_hide_set()) {
            let line = format!("\n  {:<13}", command.get_name());
            assert!(HELP.contains(&line), "{line}");
        }
        let named = HELP.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")).count();
        assert_eq!(named, commands.get_subcommands().filter(|command| !command.is_hide_set()).count());
    }

    fn tip_for(words: &[&str]) -> Option<String> {
        tip(&Arguments::try_parse_from([&["kiln"], words].concat()).unwrap_err())
    }

    #[test]
    fn words_of_other_programs_lead_to_kilns() {
        let tip = tip_for(&["train", "a.toml", "--epochs", "2"]).unwrap();
        assert!(tip.contains("without dashes, as `training.epochs=VALUE`"), "{tip}");
        assert!(tip_for(&["train", "--training.epochs=2"]).unwrap().contains("`training.epochs=VALUE`"));
        assert!(tip_for(&["train", "--learning-rate", "1"]).unwrap().contains("`optimizer.lr=VALUE`"));
        assert!(tip_for(&["train", "--config", "a.toml"]).unwrap().contains("`kiln train FILE`"));
        assert!(tip_for(&["ls"]).unwrap().contains("`kiln runs list`"));
        assert_eq!(tip_for(&["train", "--nonsense"]), None);
        assert_eq!(tip_for(&["nonsense"]), None);
    }
}
