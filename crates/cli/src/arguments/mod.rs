//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use clap_complete::engine::ArgValueCompleter;
use kiln_config::Ui;

mod study;

pub(crate) use study::{Cancel, EngineArgument, Status, Study, StudyAction, StudyUi, Submit, Work};

use crate::commands::completions::{answers, bare_keys, files_and_keys, keys, run_names, runs_and_files};

/// Trains, evaluates and compares classifiers, each from one TOML file.
///
/// `kiln train` without a file trains on the handwritten digits that are built in: no network, no set-up.
#[derive(Debug, Parser)]
#[command(name = "kiln", version, max_term_width = 100, arg_required_else_help = true)]
#[command(help_template = HELP, after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Subcommands in groups, which clap itself has none of; a test holds it to the commands that there are.
const HELP: &str = "\
{about-with-newline}
{usage-heading} {usage}

Begin:
  new          Look at a table or a folder of pictures, and write an experiment file for it
  train        Train what an experiment file describes, then test it
  data         Look at the data that an experiment learns from
  config       Check, show or explain experiment files

Go on:
  resume       Go on with a run that was stopped, or that shall be longer
  watch        Show the dashboard of a run that is training elsewhere, or that ended; or a study
  runs         List, show, compare or delete runs
  report       Write the report of a run once more

Use:
  predict      Ask a network about pictures, rows of a table, or an IDX file
  evaluate     Test a network again, on another split or on other labelled data
  export       Write a network for other programs, and run it beside Kiln first
  import       Make a run with the weights of another program, and test it
  serve        Answer over HTTP what networks are asked

Learn:
  study        Train many variants and rank them, or search for good settings
  trace        Take a small network through one step by hand

This machine:
  schema       Print a JSON Schema of what `--json` prints
  bench        Find out where the time of a training step goes
  doctor       Find out which backends work here, and whether they compute right
  completions  Print a completion script for a shell

Options:
{options}{after-help}";

const AFTER_HELP: &str = "\
Examples:
  kiln train                                     the digits that are built in
  kiln train configs/mnist.toml optimizer.lr=1e-3
  kiln new customers.csv --label churned         then: kiln train customers.toml
  kiln predict latest photo.png
  kiln config explain optimizer                  what can be set, and what it means

Exit codes: 0 done, 1 failed, 2 the command or the experiment file is wrong, 3 a study found something else than it
expected, 130 stopped (`kiln resume` goes on).";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Look at a table or a folder of pictures, say what is in it, and write an experiment file for it.
    New(New),
    /// Train what an experiment file describes, then test it.
    #[command(after_help = "\
Examples:
  kiln train
  kiln train configs/mnist.toml model.hidden=[256] training.epochs=5
  kiln train data.source=csv data.path=customers.csv data.label_column=churned
Every key: kiln config explain. A file for your own data: kiln new.")]
    Train(Train),
    /// Go on with a run that was stopped, exactly as if it never had been, or that shall be longer than it was.
    Resume(Resume),
    /// Test a run's network: again, on another split, or on other labelled data.
    Evaluate(Evaluate),
    /// Ask a run's network what it sees in pictures, rows of a table, or an IDX file.
    #[command(after_help = "Example: kiln predict latest rows.csv --output answers.csv")]
    Predict(Predict),
    /// Write a run's network for other programs: ONNX, PyTorch, Burn, C, or a page for any browser. All but the page are run
    /// on the test split beside Kiln first.
    #[command(after_help = "Example: kiln export latest --format onnx --output digits.onnx")]
    Export(Export),
    /// Make a run of an experiment with the weights of another program's perceptron (a checkpoint of PyTorch, safetensors, or an
    /// ONNX graph), and test it as any run is tested.
    #[command(after_help = "Example: kiln import network.pt configs/mnist.toml model.hidden=[128,64]")]
    Import(Import),
    /// Answer over HTTP what the networks of runs are asked: the Open Inference Protocol, and plain JSON.
    #[cfg(feature = "serve")]
    #[command(after_help = "\
Examples:
  kiln serve latest
  kiln serve titanic digits=artifacts/digits/2026-11-29_12-00-00-1a2b3c --host 0.0.0.0 --token-file token
Then: curl localhost:8080/predict --data-binary @photo.png -H 'Content-Type: image/png'
Signals: SIGHUP opens the runs anew; SIGTERM and Ctrl-C answer what is there, then end.")]
    Serve(Box<Serve>),
    /// Write the plots, the gallery and the report of a run once more, from what it has found.
    Report(Report),
    /// Show the dashboard of a run that is training elsewhere, or that ended; or how far a study is.
    Watch(Watch),
    /// List, show, compare or delete runs.
    Runs(Runs),
    /// Look at the data that an experiment learns from.
    Data(Data),
    /// Check, show or explain experiment files.
    Config(Config),
    /// Train many variants of an experiment and rank them, or search for good settings; alone, or with workers on many hosts.
    #[command(after_help = "\
Examples:
  kiln study configs/studies/ten-experiments.toml 'seeds=[0,1,2]'
  kiln study configs/studies/digits-search.toml --dry-run
  kiln study work artifacts/studies/digits-search          joins from another host
  kiln study submit FILE --engine slurm --workers 20 --time 4:00:00
The same command goes on with a study that was stopped or killed. A file named like a verb: kiln study ./work")]
    Study(Box<Study>),
    /// Take a small network through one step by hand: every sum, slope, gradient and new weight.
    Trace(Trace),
    /// Print a JSON Schema of what `--json` prints, for programs that read it.
    #[command(after_help = "\
Examples:
  kiln schema                 every answer
  kiln schema train           the answer of `kiln train --json` alone
  kiln schema runs list
The JSON Schema of experiment files: kiln config schema.")]
    Schema(Schema),
    /// Find out where the time of a training step goes.
    Bench(Bench),
    /// Find out which backends work here, and whether they compute right.
    Doctor(Doctor),
    /// Carry out an order of a study, from standard input.
    #[command(hide = true)]
    Worker,
    /// Print what a shell reads at its start to complete commands, runs, files and keys: `source <(kiln completions bash)`.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// An experiment file with overrides.
#[derive(Debug, Args)]
pub(crate) struct ExperimentArguments {
    /// The experiment file (left out: the built-in digits), then any `key=value` overrides, such as
    /// `optimizer.lr=1e-3` or `model.hidden=[256]`.
    #[arg(value_name = "FILE | KEY=VALUE", add = ArgValueCompleter::new(files_and_keys))]
    pub(crate) words: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct New {
    /// A table (csv and its like, plain or gzipped), a folder with a folder of pictures per class, or one of IDX files.
    pub(crate) path: PathBuf,
    /// Settings of the data that decide how it is looked at, and that are written down: `data.header=false`,
    /// `data.missing=["-9"]` and their like.
    #[arg(value_name = "KEY=VALUE", add = ArgValueCompleter::new(keys))]
    pub(crate) overrides: Vec<String>,
    /// The column of the table that holds the class: its name, or its place (1 is the first, -1 the last).
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true)]
    pub(crate) label: Option<String>,
    /// A table with test rows of the same columns; without it, some rows are held out.
    #[arg(long, value_name = "FILE")]
    pub(crate) test: Option<PathBuf>,
    /// Names of the columns, from left to right and separated by commas, where the file has none.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) names: Vec<String>,
    /// Where to write the experiment file; by default, beside you under the name of the data.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Write over a file that is there.
    #[arg(long)]
    pub(crate) force: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where runs are kept.
#[derive(Debug, Args)]
pub(crate) struct Root {
    /// The folder that runs are kept in.
    #[arg(long, value_name = "DIR", env = "KILN_ARTIFACTS", default_value = "artifacts")]
    pub(crate) artifacts: PathBuf,
}

/// Which view of a running training.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum UiArgument {
    /// Burn's dashboard, full screen.
    Tui,
    /// Lines of text.
    Plain,
    /// JSON lines.
    Json,
    /// Nothing.
    None,
}

impl From<UiArgument> for Ui {
    fn from(argument: UiArgument) -> Self {
        match argument {
            UiArgument::Tui => Self::Tui,
            UiArgument::Plain => Self::Plain,
            UiArgument::Json => Self::Json,
            UiArgument::None => Self::None,
        }
    }
}

/// How to train, whatever is trained.
#[derive(Debug, Args)]
pub(crate) struct TrainingManner {
    /// What to show while training, on stderr; the dashboard is the default on a terminal.
    #[arg(long, value_enum)]
    pub(crate) ui: Option<UiArgument>,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Leave out plots, gallery and report; `kiln report` makes them later.
    #[arg(long)]
    pub(crate) no_report: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Train {
    #[command(flatten)]
    pub(crate) experiment: ExperimentArguments,
    /// Start from the weights of this run (those that its test takes) instead of drawing them.
    #[arg(long, value_name = "RUN", add = ArgValueCompleter::new(run_names))]
    pub(crate) from: Option<String>,
    #[command(flatten)]
    pub(crate) root: Root,
    #[command(flatten)]
    pub(crate) manner: TrainingManner,
}

#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// The run: its folder, its name (the latest of that name), the beginning of its id, or `latest`.
    #[arg(add = ArgValueCompleter::new(run_names))]
    pub(crate) run: String,
    /// Settings that may change on the way: `training.max_time`, `dashboard.ui`, `data.path` and their like; and what makes
    /// the run longer, `training.epochs=80`, where its schedule does not span the whole training.
    #[arg(value_name = "KEY=VALUE", add = ArgValueCompleter::new(keys))]
    pub(crate) overrides: Vec<String>,
    #[command(flatten)]
    pub(crate) root: Root,
    #[command(flatten)]
    pub(crate) manner: TrainingManner,
}

/// A split of the experiment's own data.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SplitArgument {
    /// The test examples.
    Test,
    /// The examples held out of the training data.
    Validation,
    /// The training examples.
    Train,
}

impl SplitArgument {
    /// The name that files have it by.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Validation => "validation",
            Self::Train => "train",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Evaluate {
    /// The run: its folder, its name (the latest of that name), the beginning of its id, or `latest`.
    #[arg(default_value = "latest", add = ArgValueCompleter::new(run_names))]
    pub(crate) run: String,
    /// Which of the experiment's own examples.
    #[arg(long, value_enum, default_value = "test")]
    pub(crate) split: SplitArgument,
    /// Other labelled data of the same shape: a csv file, a folder with IDX test files, or a folder with a folder
    /// of pictures per class.
    #[arg(long, value_name = "PATH", conflicts_with = "split")]
    pub(crate) data: Option<PathBuf>,
    /// Which weights: `best`, `last`, `step-N`, a checkpoint folder or a safetensors file; by default those that
    /// `evaluation.ckpt` names.
    #[arg(long, value_name = "CKPT")]
    pub(crate) ckpt: Option<String>,
    #[command(flatten)]
    pub(crate) root: Root,
    /// Print the figures as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The file with the weights. No code in it is run.
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) experiment: ExperimentArguments,
    #[command(flatten)]
    pub(crate) root: Root,
    #[command(flatten)]
    pub(crate) manner: TrainingManner,
}

/// A format that other programs read.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum FormatArgument {
    /// For ONNX runtimes: all from raw values to the class in one graph.
    Onnx,
    /// For PyTorch: weights, and a page of code that loads them.
    Safetensors,
    /// For a Burn module of the same structure.
    Burnpack,
    /// For C: one header without allocation.
    C,
    /// For any browser: a page with the network in it.
    Html,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The run: its folder, its name (the latest of that name), the beginning of its id, or `latest`.
    #[arg(default_value = "latest", add = ArgValueCompleter::new(run_names))]
    pub(crate) run: String,
    /// The format.
    #[arg(long, value_enum, default_value = "onnx")]
    pub(crate) format: FormatArgument,
    /// Bits of each weight in a page. 16 halve the file; the program says what that changes on the test data.
    #[arg(long, value_enum, default_value = "16")]
    pub(crate) bits: BitsArgument,
    /// Which weights: `best`, `last`, `step-N`, a checkpoint folder or a safetensors file; by default those that
    /// `evaluation.ckpt` names.
    #[arg(long, value_name = "CKPT")]
    pub(crate) ckpt: Option<String>,
    /// Where to write it; by default, beside you under the name of the run.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Write over what is there.
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) root: Root,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Predict {
    /// The run (its folder, its name, the beginning of its id; left out: the latest), and then pictures of any size, folders
    /// of them, or IDX files, for a network on images; csv files for one on tables.
    #[arg(required = true, value_name = "RUN | FILE | FOLDER", add = ArgValueCompleter::new(runs_and_files))]
    pub(crate) words: Vec<String>,
    /// Which weights: `best`, `last`, `step-N`, a checkpoint folder or a safetensors file.
    #[arg(long, value_name = "CKPT")]
    pub(crate) ckpt: Option<String>,
    /// How pictures are fitted to the network's size; by default as its training pictures were.
    #[arg(long, value_enum)]
    pub(crate) framing: Option<FramingArgument>,
    /// Write the answers to this csv file (`-` is standard output): the rows of one table with their own columns, or the
    /// names of the pictures; the class, the probability of every class, and what is wrong with a row or a picture that
    /// cannot be answered; of the rows, also what is not known of them.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Save in this folder what the network saw of each picture.
    #[arg(long, value_name = "DIR")]
    pub(crate) seen: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) root: Root,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Bits of a weight.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum BitsArgument {
    /// Rounded.
    #[value(name = "16")]
    Half,
    /// As trained.
    #[value(name = "32")]
    All,
}

/// The address that `text` is or names.
#[cfg(feature = "serve")]
fn address(text: &str) -> Result<std::net::IpAddr, String> {
    let found = std::net::ToSocketAddrs::to_socket_addrs(&(text, 0)).map_err(|error| error.to_string())?;
    let addresses: Vec<_> = found.map(|address| address.ip()).collect();
    // Where a name stands for both, the older kind, which more clients try.
    addresses
        .iter()
        .find(|address| address.is_ipv4())
        .or(addresses.first())
        .copied()
        .ok_or("no address".into())
}

#[cfg(feature = "serve")]
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The runs (folder, name, beginning of an id, or `latest`), each under the name of its experiment or under NAME. Several
    /// runs of one name are versions of one model; the latest answers unless another is asked for.
    #[arg(required = true, value_name = "[NAME=]RUN", add = ArgValueCompleter::new(run_names))]
    pub(crate) runs: Vec<String>,
    /// The address to listen on, or a name for it; 0.0.0.0 is every one of this machine.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", value_parser = address)]
    pub(crate) host: std::net::IpAddr,
    /// The port; 0 takes a free one.
    #[arg(long, default_value_t = 8080)]
    pub(crate) port: u16,
    /// A file with the bearer token that requests must bring; without it, the variable `KILN_TOKEN` may hold one.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The bearer token itself.
    #[arg(long, env = "KILN_TOKEN", hide = true, hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// Open the runs anew at POST /v2/repository/models/NAME/load, not at SIGHUP alone.
    #[arg(long)]
    pub(crate) allow_reload: bool,
    /// Seconds that requests have to end after SIGTERM or Ctrl-C.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) drain: u64,
    /// The largest body, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_body: u32,
    /// The most rows in a request.
    #[arg(long, value_name = "N", default_value_t = 1 << 16, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_rows: u32,
    /// The most requests that are answered at a time; one more gets status 429.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_concurrency: u32,
    /// Seconds that a request may take, from its head to its answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) timeout: u32,
    /// Write a line to stderr for every request.
    #[arg(long)]
    pub(crate) log: bool,
    #[command(flatten)]
    pub(crate) root: Root,
    /// Print the address and the models as JSON once they are served.
    #[arg(long)]
    pub(crate) json: bool,
}

/// How a picture is fitted to the network's size.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum FramingArgument {
    /// As MNIST's digits: light on dark, cut out, centred by mass.
    Handwriting,
    /// Resized.
    Resize,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    /// The run: its folder, its name (the latest of that name), the beginning of its id, or `latest`.
    #[arg(default_value = "latest", add = ArgValueCompleter::new(run_names))]
    pub(crate) run: String,
    /// Which evaluation: `test`, or the name of another below the run's `evaluation` folder.
    #[arg(long, value_name = "NAME", default_value = "test")]
    pub(crate) evaluation: String,
    #[command(flatten)]
    pub(crate) root: Root,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// The run: its folder, its name (the latest of that name), the beginning of its id, or `latest`. Or a study, by its folder or name.
    #[arg(default_value = "latest", add = ArgValueCompleter::new(run_names))]
    pub(crate) run: String,
    #[command(flatten)]
    pub(crate) root: Root,
}

#[derive(Debug, Args)]
pub(crate) struct Runs {
    #[command(subcommand)]
    pub(crate) action: RunsAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunsAction {
    /// One line per run, the latest first.
    List {
        /// Show only runs whose name or tags have this in them, or whose id begins with it.
        filter: Option<String>,
        /// Show only runs in this state.
        #[arg(long, value_enum)]
        state: Option<StateArgument>,
        /// What to sort by.
        #[arg(long, value_enum, default_value = "started")]
        sort: SortArgument,
        /// How many to show at most.
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        #[command(flatten)]
        root: Root,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// All there is to know of a run.
    Show {
        /// The run: its folder, its name, the beginning of its id, or `latest`.
        #[arg(default_value = "latest", add = ArgValueCompleter::new(run_names))]
        run: String,
        #[command(flatten)]
        root: Root,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Delete runs: their folders with all that is in them.
    Delete {
        /// The runs: folders, or beginnings of ids. A name alone means its latest run.
        #[arg(required = true, add = ArgValueCompleter::new(run_names))]
        runs: Vec<String>,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        root: Root,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// What was set differently, and what came of it.
    Compare {
        /// The runs.
        #[arg(required = true, num_args = 2.., add = ArgValueCompleter::new(run_names))]
        runs: Vec<String>,
        /// Write a page with the curves of all of them to this file, and print its path.
        #[arg(long, value_name = "FILE", conflicts_with = "json")]
        html: Option<PathBuf>,
        #[command(flatten)]
        root: Root,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// How a run is.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum StateArgument {
    /// It is being trained.
    Running,
    /// It came to its end.
    Finished,
    /// It was stopped, or its process died.
    Interrupted,
    /// It failed.
    Failed,
}

/// What a list of runs is sorted by.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SortArgument {
    /// When it was started, the latest first.
    Started,
    /// Its name.
    Name,
    /// The accuracy of its test, the best first.
    Accuracy,
    /// The loss of its test, the least first.
    Loss,
    /// The time of its training, the longest first.
    Seconds,
}

#[derive(Debug, Args)]
pub(crate) struct Data {
    #[command(flatten)]
    pub(crate) experiment: ExperimentArguments,
    /// How many examples to print.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) examples: usize,
    /// Print JSON, without examples.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    pub(crate) action: ConfigAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigAction {
    /// Find everything that is wrong with an experiment file.
    Check {
        #[command(flatten)]
        experiment: ExperimentArguments,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the resolved experiment, each value with where it comes from.
    Show {
        #[command(flatten)]
        experiment: ExperimentArguments,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print a JSON Schema of experiment files, for editors that complete and check TOML. `kiln schema` has that of
    /// answers.
    Schema,
    /// Say what a key means, what it may be and what it is by default.
    Explain {
        /// A key such as `optimizer.lr`, or a section such as `optimizer`; left out: all sections.
        #[arg(add = ArgValueCompleter::new(bare_keys))]
        key: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Trace {
    /// A worked example, such as `configs/worked/backpropagation.toml`.
    pub(crate) file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Bench {
    #[command(flatten)]
    pub(crate) experiment: ExperimentArguments,
    /// How many steps to train; the first tenth is not counted.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(10..))]
    pub(crate) steps: u32,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// A command, such as `train` or `runs list`; `events` for the lines of `--ui json`; `error`. Left out: all of them.
    #[arg(add = ArgValueCompleter::new(answers))]
    pub(crate) verb: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

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
}
