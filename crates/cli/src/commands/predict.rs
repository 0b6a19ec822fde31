//! `kiln predict`: the classes that a trained network predicts for pictures, rows of a table, or an IDX file.
//!
//! Without `--output` each file is predicted on its own and the three most probable classes are shown. With `--output`
//! the predictions become a CSV file of any length (`predict_csv.rs`).

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use kiln::{Framing, Mlp, Predictions, Run, Split, Trained, of_run, perceptron};
use kiln_artifacts::replace_file;
use kiln_data::{Profile, pictures_below};
use kiln_evaluation::picture_seen;
use kiln_files::with_causes;
use kiln_table::counted;
use schemars::JsonSchema;
use serde::Serialize;

use super::evaluate::{warn_of_threshold, weights};
use super::predict_csv::{predict_pictures, predict_table};
use super::{RootArgument, runs_and_files};
use crate::experiment::FileKind;
use crate::failure::Failure;
use crate::output::{numbered, print, print_json, say, table};
use crate::view::DownloadBar;

#[derive(Debug, Args)]
pub(crate) struct PredictArguments {
    /// The run (folder, name, start of an id; default: the latest), then the files. For a network on images: pictures of any
    /// size, folders of pictures, or IDX files. For a network on tables: CSV files.
    #[arg(required = true, value_name = "RUN | FILE | FOLDER", add = ArgValueCompleter::new(runs_and_files))]
    words: Vec<String>,
    /// The weights: `best`, `last`, `step-N`, a checkpoint folder or a safetensors file.
    #[arg(long, value_name = "CKPT")]
    ckpt: Option<String>,
    /// How to fit pictures to the input size of the network. Default: the same as for its training pictures.
    #[arg(long, value_enum)]
    framing: Option<FramingArgument>,
    /// Write the predictions to this CSV file (`-` is standard output). Columns: those of the input table, or the names of the
    /// pictures; the class; the probability of every class; `error` for a row or picture that cannot be predicted; and for
    /// tables `notes`, on missing and unknown values.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Save each picture to this folder as the network saw it.
    #[arg(long, value_name = "DIR")]
    seen: Option<PathBuf>,
    #[command(flatten)]
    root: RootArgument,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// How a picture is fitted to the input size of the network.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum FramingArgument {
    /// Like the digits of MNIST: light on dark, cropped, centred by mass.
    Handwriting,
    /// Only resize.
    Resize,
}

/// Classes that are shown for each example.
const SHOWN_CLASSES: usize = 3;
/// A prediction below this probability gets a warning.
const LOW_CONFIDENCE: f32 = 0.6;

/// The predictions for one file.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PredictedFile {
    /// The file.
    file: PathBuf,
    /// One per example in the file; empty if the file could not be read.
    predictions: Vec<Prediction>,
    /// The saved picture as the network saw it; null unless requested.
    seen: Option<PathBuf>,
    /// Remarks on the file, a sentence each; absent if empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notices: Vec<String>,
    /// Why the file could not be read; null if it was.
    error: Option<String>,
}

/// The predicted classes of one example.
#[derive(Serialize, JsonSchema)]
struct Prediction {
    /// The predicted class first, then the most probable others: up to three in all.
    top: Vec<PredictedClass>,
    /// Whether the prediction is uncertain: its probability is below 0.6, and no threshold decides.
    low_confidence: bool,
}

/// A class and its probability.
#[derive(Serialize, JsonSchema)]
struct PredictedClass {
    /// The name of the class.
    class: String,
    /// Its probability, from 0 to 1; null if it is NaN.
    #[schemars(with = "Option<f32>")]
    probability: f32,
}

/// Predicts every file that can be read. Without `--output`, fails at the end if a file could not be read.
pub(crate) fn predict(arguments: &PredictArguments) -> Result<(), Failure> {
    let (run, files) = run_and_files(arguments)?;
    let weights = weights(arguments.ckpt.as_deref(), &of_run(&run)?)?;
    let trained = Trained::open_with(run, Some(weights), perceptron, &DownloadBar::default())?;
    warn_of_threshold(&trained);
    let is_of_pictures = trained.profile().image_size().is_some();
    if let Some(output) = arguments.output.as_ref().filter(|_| !is_of_pictures) {
        let [file] = &files[..] else {
            return Err(Failure::usage("--output holds the predictions for one table; give one file"));
        };
        return predict_table(&trained, file, output, arguments.json);
    }
    let framing = arguments.framing.map(|framing| match framing {
        FramingArgument::Handwriting => Framing::Handwriting,
        FramingArgument::Resize => Framing::Resize,
    });
    let files = if is_of_pictures { with_folders(&files)? } else { files };
    let mut seen = arguments.seen.as_deref().map(SeenPictures::in_folder).transpose()?;
    if let Some(output) = &arguments.output {
        let on_read = |file: &Path, examples: &Split| {
            if let Some(seen) = &mut seen {
                seen.save(file, trained.profile(), examples);
            }
        };
        return predict_pictures(&trained, &files, framing, on_read, output, arguments.json);
    }
    let predicted: Vec<PredictedFile> =
        files.iter().map(|file| predict_file(&trained, file, framing, seen.as_mut())).collect();
    if arguments.json {
        print_json(&predicted);
    } else {
        show(&predicted);
    }
    let unread = predicted.iter().filter(|result| result.error.is_some()).count();
    if unread > 0 {
        return Err(Failure::failed(format!("{unread} of {} files could not be predicted", predicted.len())));
    }
    Ok(())
}

/// `paths`, with each folder replaced by the pictures in it.
fn with_folders(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let below = pictures_below(path)?;
        if below.passed_over > 0 {
            let others = counted(below.passed_over, "other file");
            say(&format!("note: {}: {others} skipped", path.display()));
        }
        files.extend(below.files);
    }
    Ok(files)
}

/// The run and the files. If the first word is not a run, it is a file for the latest run.
fn run_and_files(arguments: &PredictArguments) -> Result<(Run, Vec<PathBuf>), Failure> {
    let (first, rest) = arguments.words.split_first().ok_or_else(|| Failure::usage("no file is given"))?;
    let root = &arguments.root.artifacts;
    let files = |words: &[String]| words.iter().map(PathBuf::from).collect::<Vec<_>>();
    match Run::resolve(root, first) {
        Ok(_) if rest.is_empty() => {
            Err(Failure::usage(format!("{first} is a run; add the files to predict after it")))
        }
        Ok(run) => Ok((run, files(rest))),
        Err(_) if Path::new(first).exists() || (rest.is_empty() && first.contains('.')) => {
            let run = Run::resolve(root, "latest")?;
            say(&format!("using {}, the latest run", run.folder().display()));
            Ok((run, files(&arguments.words)))
        }
        Err(error) => Err(error.into()),
    }
}

fn predict_file(
    trained: &Trained<Mlp>,
    file: &Path,
    framing: Option<Framing>,
    seen: Option<&mut SeenPictures>,
) -> PredictedFile {
    let mut result = PredictedFile {
        file: file.to_owned(),
        predictions: Vec::new(),
        seen: None,
        notices: Vec::new(),
        error: None,
    };
    match trained.inputs(file, framing) {
        Ok(inputs) => {
            let found = trained.predict(&inputs.examples);
            result.predictions = (0..found.len()).map(|at| Prediction::new(&found, at)).collect();
            result.notices = inputs.notices;
            result.seen = seen.and_then(|seen| seen.save(file, trained.profile(), &inputs.examples));
        }
        Err(_) if trained.profile().image_size().is_some() && FileKind::of(file) == Some(FileKind::Table) => {
            result.error =
                Some(format!("{} is a table, but the network of this run takes pictures", file.display()));
        }
        Err(error) => result.error = Some(with_causes(&error)),
    }
    result
}

impl Prediction {
    fn new(predictions: &Predictions, at: usize) -> Self {
        let probabilities = predictions.probabilities(at);
        let mut order: Vec<usize> = (0..probabilities.len()).collect();
        order.sort_by(|&left, &right| probabilities[right].total_cmp(&probabilities[left]));
        // A threshold may select another class than the most probable one.
        let named = predictions.predicted()[at] as usize;
        let is_by_threshold = order.first() != Some(&named);
        order.sort_by_key(|class| *class != named);
        let guess = |&class: &usize| PredictedClass {
            class: predictions.classes()[class].clone(),
            probability: probabilities[class],
        };
        let top: Vec<PredictedClass> = order.iter().take(SHOWN_CLASSES).map(guess).collect();
        // A diverged network gives NaN: never confident.
        let is_sure = top.first().is_some_and(|guess| {
            guess.probability >= LOW_CONFIDENCE || (is_by_threshold && guess.probability.is_finite())
        });
        Self { top, low_confidence: !is_sure }
    }
}

/// A folder for the pictures as the network saw them. Nothing is written next to the user's own pictures: those folders
/// may be training data.
struct SeenPictures {
    folder: PathBuf,
    taken: HashSet<PathBuf>,
}

impl SeenPictures {
    /// Creates the folder unless it exists.
    fn in_folder(folder: &Path) -> Result<Self, Failure> {
        std::fs::create_dir_all(folder).map_err(|error| {
            Failure::failed(format!("cannot create the folder {}: {error}", folder.display()))
        })?;
        Ok(Self { folder: folder.to_owned(), taken: HashSet::new() })
    }

    /// Saves the one picture in `examples`, read from `file`, as `<name of the file>.seen.png`. Does nothing if there are
    /// several examples; prints a warning if the picture cannot be saved.
    fn save(&mut self, file: &Path, profile: &Profile, examples: &Split) -> Option<PathBuf> {
        let size = profile.image_size().filter(|_| examples.len() == 1)?;
        let name = file.file_name()?.to_string_lossy();
        let names = std::iter::once(format!("{name}.seen.png"))
            .chain((2..).map(|number| format!("{name}-{number}.seen.png")));
        let path = names.map(|name| self.folder.join(name)).find(|path| !self.taken.contains(path))?;
        self.taken.insert(path.clone());
        match replace_file(&path, &picture_seen(examples, 0, size)) {
            Ok(()) => Some(path),
            Err(error) => {
                say(&format!("warning: {}", with_causes(&error)));
                None
            }
        }
    }
}

fn show(predicted: &[PredictedFile]) {
    let mut rows = Vec::new();
    for result in predicted {
        for (number, prediction) in result.predictions.iter().enumerate() {
            let name = numbered(&result.file.display().to_string(), number, result.predictions.len());
            let guesses = prediction.top.iter();
            let guesses = guesses.map(|guess| format!("{} {:.1} %", guess.class, guess.probability * 100.0));
            rows.push(std::iter::once(name).chain(guesses).collect());
        }
    }
    if !rows.is_empty() {
        print(&table(&rows));
    }
    for result in predicted {
        print_remarks(result);
    }
}

fn print_remarks(result: &PredictedFile) {
    let file = result.file.display();
    if let Some(error) = &result.error {
        say(&format!("error: {error}"));
    }
    for notice in &result.notices {
        say(&format!("note: {file}: {notice}"));
    }
    if let Some(seen) = &result.seen {
        say(&format!("{file}: seen by the network as {}", seen.display()));
    }
    let unsure = result.predictions.iter().filter(|prediction| prediction.low_confidence).count();
    if unsure > 0 {
        let share = LOW_CONFIDENCE * 100.0;
        let which = if result.predictions.len() == 1 {
            "the prediction".to_owned()
        } else {
            format!("{unsure} of {} predictions", result.predictions.len())
        };
        say(&format!("warning: {file}: the confidence of {which} is below {share:.0} %"));
    }
}
