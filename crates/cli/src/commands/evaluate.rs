//! `kiln evaluate` and `kiln export`: test a trained network again, and write it for other programs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use kiln::{Evaluation, Experiment, Metrics, Mlp, Run, RunState, Trained, Weights, of_run, perceptron};
use kiln_config::Ckpt;
use kiln_export::{Bits, Check, Cost, Format};
use kiln_files::{replace_file, sha256_hex};
use schemars::JsonSchema;
use serde::Serialize;

use super::{RootArgument, run_names};
use crate::failure::{Failure, unwritable};
use crate::output::{print, print_json, say};
use crate::view::DownloadBar;

#[derive(Debug, Args)]
pub(crate) struct EvaluateArguments {
    /// The run: its folder, its name (the latest of that name), the start of its id, or `latest`.
    #[arg(default_value = "latest", add = ArgValueCompleter::new(run_names))]
    run: String,
    /// The split of the experiment's own data.
    #[arg(long, value_enum, default_value = "test")]
    split: SplitArgument,
    /// Other labelled data of the same shape: a CSV file, a folder with IDX test files, or a folder with one subfolder of
    /// pictures per class.
    #[arg(long, value_name = "PATH", conflicts_with = "split")]
    data: Option<PathBuf>,
    /// The weights: `best`, `last`, `step-N`, a checkpoint folder or a safetensors file. Default: `evaluation.ckpt` of the run.
    #[arg(long, value_name = "CKPT")]
    ckpt: Option<String>,
    #[command(flatten)]
    root: RootArgument,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

/// A split of the experiment's own data.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum SplitArgument {
    /// The test examples.
    Test,
    /// The validation examples, held out of the training data.
    Validation,
    /// The training examples.
    Train,
}

impl SplitArgument {
    /// The name of the split in file names.
    fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Validation => "validation",
            Self::Train => "train",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// The run: its folder, its name (the latest of that name), the start of its id, or `latest`.
    #[arg(default_value = "latest", add = ArgValueCompleter::new(run_names))]
    run: String,
    /// The format.
    #[arg(long, value_enum, default_value = "onnx")]
    format: FormatArgument,
    /// Bits per weight in a page. 16 bits halve the file; the command prints what that changes on the test data.
    #[arg(long, value_enum, default_value = "16")]
    bits: BitsArgument,
    /// The weights: `best`, `last`, `step-N`, a checkpoint folder or a safetensors file. Default: `evaluation.ckpt` of the run.
    #[arg(long, value_name = "CKPT")]
    ckpt: Option<String>,
    /// Where to write the network. Default: the name of the run, in the current folder.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Overwrite existing files.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    root: RootArgument,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// An export format.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatArgument {
    /// For ONNX runtimes: one graph from raw values to the class.
    Onnx,
    /// For PyTorch: the weights, and Python code that loads them.
    Safetensors,
    /// For a Burn module of the same structure.
    Burnpack,
    /// For C: one header file that allocates no memory.
    C,
    /// For any browser: one page that contains the network.
    Html,
}

/// Bits per weight.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum BitsArgument {
    /// Rounded.
    #[value(name = "16")]
    Half,
    /// Exact, as trained.
    #[value(name = "32")]
    All,
}

/// The result of an evaluation.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Evaluated<'a> {
    /// The folder of the evaluation.
    evaluation: PathBuf,
    /// The report, an HTML file.
    report: &'a Path,
    /// The figures, as in `metrics.json` of the folder.
    metrics: &'a Metrics,
}

/// Evaluates the network of a run and prints the figures.
pub(crate) fn evaluate(arguments: &EvaluateArguments) -> Result<(), Failure> {
    let run = Run::resolve(&arguments.root.artifacts, &arguments.run)?;
    let experiment = of_run(&run)?;
    let weights = weights(arguments.ckpt.as_deref(), &experiment)?;
    let progress = DownloadBar::default();
    let trained = Trained::open_with(run, Some(weights.clone()), perceptron, &progress)?;
    let (split, of) = if let Some(path) = &arguments.data {
        (trained.labelled(path)?, name_of(path))
    } else {
        let name = arguments.split.name();
        (trained.own_split(name, &progress)?, name.to_owned())
    };
    let name = match &arguments.ckpt {
        Some(ckpt) if weights != Weights::Marked(experiment.evaluation.ckpt) => match &weights {
            Weights::Path(path) => format!("{of}-{}", name_of(path)),
            _ => format!("{of}-{ckpt}"),
        },
        _ => of,
    };
    let run = trained.run();
    let state = run.state_now()?;
    if state != RunState::Finished {
        say(&format!("warning: the run is {state}; these figures are preliminary"));
    }
    warn_of_threshold(&trained);
    let (evaluation, report) = trained.evaluate(&name, &split)?;
    show(run, &name, &evaluation, &report, arguments.json);
    Ok(())
}

/// Warns if the experiment has a threshold, but not for these weights.
pub(super) fn warn_of_threshold(trained: &Trained<Mlp>) {
    if trained.lacks_threshold() {
        say(
            "warning: the threshold of the run was chosen for other weights; predicting the more probable class instead",
        );
    }
}

/// The weights that `--ckpt` selects; without `--ckpt`, those of `evaluation.ckpt`.
pub(super) fn weights(ckpt: Option<&str>, experiment: &Experiment) -> Result<Weights, Failure> {
    let Some(ckpt) = ckpt else { return Ok(Weights::Marked(experiment.evaluation.ckpt)) };
    match ckpt {
        "best" => return Ok(Weights::Marked(Ckpt::Best)),
        "last" => return Ok(Weights::Marked(Ckpt::Last)),
        _ => {}
    }
    if let Some(step) = ckpt.strip_prefix("step-").and_then(|step| step.parse().ok()) {
        return Ok(Weights::Step(step));
    }
    let path = PathBuf::from(ckpt);
    if path.exists() {
        return Ok(Weights::Path(path));
    }
    Err(Failure::usage(format!(
        "--ckpt {ckpt}: expected `best`, `last`, `step-N`, or an existing checkpoint folder or file"
    )))
}

/// The name of an evaluation of the data at `path`: its file stem, and six hex digits that distinguish paths of one name.
fn name_of(path: &Path) -> String {
    let stem = path.file_stem().map_or_else(|| "data".into(), |stem| stem.to_string_lossy());
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let digest = sha256_hex(whole.to_string_lossy().as_bytes());
    format!("{stem}-{}", &digest[..6])
}

fn show(run: &Run, name: &str, evaluation: &Evaluation, report: &Path, as_json: bool) {
    if as_json {
        print_json(&Evaluated { evaluation: run.evaluation(name), report, metrics: &evaluation.metrics });
        return;
    }
    let metrics = &evaluation.metrics;
    let loss = metrics.figure("loss").map_or_else(|| "undefined".to_owned(), |loss| format!("{loss:.4}"));
    say(&format!("{name}: loss {loss}  accuracy {:.4}  ({} examples)", metrics.accuracy(), metrics.examples));
    for line in metrics.extra_lines() {
        say(&line);
    }
    say(&format!("report: {}", report.display()));
    print(evaluation.report.to_text().trim_end());
}

/// A network that was exported.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ExportedNetwork {
    /// The files that were written; the first one holds the network.
    files: Vec<ExportedFile>,
    /// The comparison with Kiln's own predictions; null if the format could not be run here.
    check: Option<Check>,
}

/// An exported file.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ExportedFile {
    /// The path.
    path: PathBuf,
    /// Its size.
    bytes: u64,
    /// Its SHA-256.
    sha256: String,
}

/// Exports the network of a run. Every format but the page is first run on the test split and compared with Kiln.
pub(crate) fn export(arguments: &ExportArguments) -> Result<(), Failure> {
    let run = Run::resolve(&arguments.root.artifacts, &arguments.run)?;
    let weights = weights(arguments.ckpt.as_deref(), &of_run(&run)?)?;
    let output = arguments.output.clone().unwrap_or_else(|| PathBuf::from(run.name()));
    let format = format(arguments);
    let first = with_ending(&output, format.endings()[0]);
    for path in format.endings().iter().map(|ending| with_ending(&first, ending)) {
        if path.exists() && !arguments.force {
            return Err(Failure::usage(format!(
                "{} already exists; use --force to overwrite it, or --output FILE to choose another file",
                path.display()
            )));
        }
    }
    let progress = DownloadBar::default();
    let trained = Trained::open_with(run, Some(weights), perceptron, &progress)?;
    warn_of_threshold(&trained);
    let made = kiln_export::export(&trained, format, &progress)?;
    let mut files = Vec::new();
    for (ending, bytes) in &made.files {
        let path = with_ending(&first, ending);
        replace_file(&path, bytes).map_err(|error| unwritable(&path, &error.cause))?;
        files.push(ExportedFile { path, bytes: bytes.len() as u64, sha256: sha256_hex(bytes) });
    }
    if let Some(remark) = &made.remark {
        say(&format!("warning: {remark}"));
    }
    if let Some(cost) = &made.cost {
        say(&cost_text(cost));
    }
    if arguments.json {
        print_json(&ExportedNetwork { files, check: made.check });
        return Ok(());
    }
    if let Some(check) = &made.check {
        say(&check_text(check));
    }
    for file in &files {
        print(&file.path.display().to_string());
    }
    Ok(())
}

fn check_text(check: &Check) -> String {
    let Check { split, examples, largest_difference, ties, accuracy } = check;
    let classes = match ties {
        0 => "the same classes".to_owned(),
        1 => "the same classes except for one tie".to_owned(),
        _ => format!("the same classes except for {ties} ties"),
    };
    format!(
        "run on the {split} split ({examples} examples): {classes} as Kiln, largest difference of a probability \
         {largest_difference:.1e}, accuracy {accuracy:.4}"
    )
}

fn cost_text(cost: &Cost) -> String {
    let Cost { examples, changed, difference, accuracy, accuracy_of_half } = cost;
    format!(
        "16 bits change {changed} of {examples} predictions, and probabilities by at most {difference:.1e}; accuracy \
         {accuracy_of_half:.4}, with 32 bits {accuracy:.4}"
    )
}

/// `path` with `ending` in place of the extension of an export format, or after any other extension.
fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let is_one = |own: &OsStr| {
        own == ending || Format::ALL.iter().flat_map(|format| format.endings()).any(|one| own == *one)
    };
    if path.extension().is_some_and(is_one) {
        path.with_extension(ending)
    } else {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{ending}"));
        name.into()
    }
}

fn format(arguments: &ExportArguments) -> Format {
    match arguments.format {
        FormatArgument::Onnx => Format::Onnx,
        FormatArgument::Safetensors => Format::Safetensors,
        FormatArgument::Burnpack => Format::Burnpack,
        FormatArgument::C => Format::C,
        FormatArgument::Html => Format::Html(match arguments.bits {
            BitsArgument::Half => Bits::Half,
            BitsArgument::All => Bits::All,
        }),
    }
}
