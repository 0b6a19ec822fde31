//! `kiln study` and its verbs.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use clap_complete::ArgValueCompleter;

use super::Root;
use crate::commands::completions::keys;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Study {
    /// A study file, such as `configs/studies/ten-experiments.toml`.
    #[arg(value_hint = ValueHint::FilePath, required = true)]
    pub(crate) file: Option<String>,
    /// `seeds=[0,1,2]`, `folds=5`, `repeats=2` and `jobs=4` for the study, `search.trials=100` and its like for its search; any
    /// other key for every trial, such as `training.epochs=3`.
    #[arg(value_name = "KEY=VALUE", add = ArgValueCompleter::new(keys))]
    pub(crate) overrides: Vec<String>,
    #[command(flatten)]
    pub(crate) working: Working,
    #[command(flatten)]
    pub(crate) root: Root,
    /// Print what would be trained, and what that costs; train nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print the findings as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) action: Option<StudyAction>,
}

/// How a process works on a study.
#[derive(Debug, Args)]
pub(crate) struct Working {
    /// Trials at once, each with one computing thread; by default one per core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,
    /// What to show while training, on stderr; bars are the default on a terminal.
    #[arg(long, value_enum)]
    pub(crate) ui: Option<StudyUi>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StudyAction {
    /// Work beside others at a study that was begun, here or on another host that shares its folder.
    Work(Work),
    /// Give a study to a scheduler: one array of workers, which go on by themselves after time limits and preemption.
    Submit(Submit),
    /// Say how far a study is, and who works on it.
    Status(Status),
    /// Stop all workers of a study, wherever they are, with a checkpoint.
    Cancel(Cancel),
}

#[derive(Debug, Args)]
pub(crate) struct Work {
    /// The study: its folder, or its name.
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) study: PathBuf,
    #[command(flatten)]
    pub(crate) working: Working,
    #[command(flatten)]
    pub(crate) root: Root,
}

#[derive(Debug, Args)]
pub(crate) struct Submit {
    /// A study file.
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: String,
    /// As for `kiln study`.
    #[arg(value_name = "KEY=VALUE", add = ArgValueCompleter::new(keys))]
    pub(crate) overrides: Vec<String>,
    /// The scheduler.
    #[arg(long, value_enum)]
    pub(crate) engine: EngineArgument,
    /// Worker processes in all.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) workers: NonZeroUsize,
    /// Trials at once within each worker, and processors that it asks for.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) jobs: NonZeroUsize,
    /// Time limit of each worker, as the scheduler writes it, such as `4:00:00`; it goes on in a new one after it.
    #[arg(long, value_name = "T")]
    pub(crate) time: Option<String>,
    /// Partition (Slurm).
    #[arg(long, value_name = "P")]
    pub(crate) partition: Option<String>,
    /// Memory of each worker, as the scheduler writes it, such as `4G`.
    #[arg(long, value_name = "M")]
    pub(crate) memory: Option<String>,
    /// Seconds before the time limit at which a worker saves its trials and ends (Slurm).
    #[arg(long, value_name = "SECONDS", default_value_t = 90)]
    pub(crate) notice: u32,
    /// Container image with the `kiln` program (Kubernetes).
    #[arg(long, value_name = "IMAGE", default_value = "kiln")]
    pub(crate) image: String,
    /// Volume claim that holds the artifacts (Kubernetes).
    #[arg(long, value_name = "CLAIM", default_value = "artifacts")]
    pub(crate) claim: String,
    /// More options of the scheduler, as they are, such as `--option=--account=physics`.
    #[arg(long, value_name = "OPTION")]
    pub(crate) option: Vec<String>,
    #[command(flatten)]
    pub(crate) root: Root,
    /// Print what would be submitted; submit nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// A scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EngineArgument {
    /// An array of `sbatch`.
    Slurm,
    /// The manifest of an Indexed Job, to give to `kubectl apply`.
    Kubernetes,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// The study: its folder, or its name.
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) study: PathBuf,
    #[command(flatten)]
    pub(crate) root: Root,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// The study: its folder, or its name.
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) study: PathBuf,
    #[command(flatten)]
    pub(crate) root: Root,
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
