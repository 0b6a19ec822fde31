//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use kiln_config::Ui;

/// Trains, evaluates and compares classifiers, each from one TOML file.
///
/// `kiln train` without a file trains on the handwritten digits that are built in: no network, no set-up.
#[derive(Debug, Parser)]
#[command(name = "kiln", version, max_term_width = 100, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 usage or config, 3 a verdict failed, 130 interrupted."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Look at a table or a folder of pictures, say what is in it, and write an experiment file for it.
    New(New),
    /// Train what an experiment file describes, then test it.
    Train(Train),
    /// Go on with a run that was stopped, exactly as if it never had been.
    Resume(Resume),
    /// Test a run's network: again, on another split, or on other labelled data.
    Evaluate(Evaluate),
    /// Ask a run's network what it sees in pictures, rows of a table, or an IDX file.
    Predict(Predict),
    /// Write the plots, the gallery and the report of a run once more, from what it has found.
    Report(Report),
    /// Show the dashboard of a run that is training elsewhere, or that ended.
    Watch(Watch),
    /// List, show or compare runs.
    Runs(Runs),
    /// Look at the data that an experiment learns from.
    Data(Data),
    /// Check, show or explain experiment files.
    Config(Config),
    /// Train many variants of an experiment, rank them, and hold them to what is expected.
    Study(Study),
    /// Take a small network through one step by hand: every sum, slope, gradient and new weight.
    Trace(Trace),
    /// Find out where the time of a training step goes.
    Bench(Bench),
    /// Find out which backends work here, and whether they compute right.
    Doctor(Doctor),
    /// Carry out an order of a study, from standard input.
    #[command(hide = true)]
    Worker,
    /// Print a completion script for a shell.
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
    #[arg(value_name = "FILE | KEY=VALUE")]
    pub(crate) words: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct New {
    /// A table (csv and its like, plain or gzipped), a folder with a folder of pictures per class, or one of IDX files.
    pub(crate) path: PathBuf,
    /// Settings of the data that decide how it is looked at, and that are written down: `data.header=false`,
    /// `data.missing=["-9"]` and their like.
    #[arg(value_name = "KEY=VALUE")]
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
    #[command(flatten)]
    pub(crate) root: Root,
    #[command(flatten)]
    pub(crate) manner: TrainingManner,
}

#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// The run: its folder, its name (the latest of that name), the beginning of its id, or `latest`.
    pub(crate) run: String,
    /// Settings that may change on the way: `training.max_time`, `dashboard.ui`, `data.path` and their like.
    #[arg(value_name = "KEY=VALUE")]
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
    #[arg(default_value = "latest")]
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
pub(crate) struct Predict {
    /// The run: its folder, its name (the latest of that name), the beginning of its id, or `latest`.
    pub(crate) run: String,
    /// Pictures of any size, folders of them, or IDX files, for a network on images; csv files for one on tables.
    #[arg(required = true, value_name = "FILE | FOLDER")]
    pub(crate) files: Vec<PathBuf>,
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
    #[arg(default_value = "latest")]
    pub(crate) run: String,
    /// Which evaluation: `test`, or the name of another below the run's `evaluation` folder.
    #[arg(long, value_name = "NAME", default_value = "test")]
    pub(crate) evaluation: String,
    #[command(flatten)]
    pub(crate) root: Root,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// The run: its folder, its name (the latest of that name), the beginning of its id, or `latest`.
    #[arg(default_value = "latest")]
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
    /// One line per run, the latest last.
    List {
        #[command(flatten)]
        root: Root,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// All there is to know of a run.
    Show {
        /// The run: its folder, its name, the beginning of its id, or `latest`.
        #[arg(default_value = "latest")]
        run: String,
        #[command(flatten)]
        root: Root,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// What was set differently, and what came of it.
    Compare {
        /// The runs.
        #[arg(required = true, num_args = 2..)]
        runs: Vec<String>,
        #[command(flatten)]
        root: Root,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
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
    /// Print a JSON Schema, for editors that complete and check TOML.
    Schema,
    /// Say what a key means, what it may be and what it is by default.
    Explain {
        /// A key such as `optimizer.lr`, or a section such as `optimizer`; left out: all sections.
        key: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Study {
    /// A study file, such as `configs/studies/ten-experiments.toml`.
    pub(crate) file: String,
    /// `seeds=[0,1,2]`, `folds=5`, `repeats=2` and `jobs=4` for the study; any other key for every trial, such as `training.epochs=3`.
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
    /// Worker processes at once, each with one computing thread; by default one per core.
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<std::num::NonZeroUsize>,
    #[command(flatten)]
    pub(crate) root: Root,
    /// What to show while training, on stderr; bars are the default on a terminal.
    #[arg(long, value_enum)]
    pub(crate) ui: Option<StudyUi>,
    /// Print the findings as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which view of a running study.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum StudyUi {
    /// A bar per worker.
    Live,
    /// A line when a worker starts and when it ends.
    Plain,
    /// Nothing.
    None,
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
pub(crate) struct Doctor {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
