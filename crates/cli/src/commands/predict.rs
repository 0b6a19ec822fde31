//! `kiln predict`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use kiln::{Framing, Mlp, Predictions, Run, Split, Trained, of_run, perceptron};
use kiln_artifacts::replace_file;
use kiln_data::{Profile, pictures_below};
use kiln_evaluation::picture_seen;
use kiln_files::with_causes;
use kiln_table::counted;
use schemars::JsonSchema;
use serde::Serialize;

use crate::arguments::{FramingArgument, Predict};
use crate::commands::evaluate::{warn_of_threshold, weights};
use crate::commands::predict_pictures::predict_pictures;
use crate::commands::predict_table::predict_table;
use crate::failure::Failure;
use crate::file_kind::FileKind;
use crate::output::{print, print_json, say, table};
use crate::view::DownloadBar;

/// How many classes an answer names.
const TOP: usize = 3;
/// A most probable class below this is as good as a guess to most readers.
const LOW_CONFIDENCE: f32 = 0.6;

/// What came of one file.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PredictedFile")]
pub(crate) struct Answer {
    /// The file.
    file: PathBuf,
    /// One per example in the file; empty where it could not be read.
    predictions: Vec<Prediction>,
    /// The picture that the network saw, where it was asked for.
    seen: Option<PathBuf>,
    /// What is remarkable about the file, a sentence each; absent where nothing is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notices: Vec<String>,
    /// Why it could not be read; null where it was.
    error: Option<String>,
}

/// The classes of one example.
#[derive(Serialize, JsonSchema)]
struct Prediction {
    /// First the class that is named, then the most probable others: up to three in all.
    top: Vec<Guess>,
    /// Whether the answer is as good as a guess: its probability is below 0.6, and no threshold decides.
    low_confidence: bool,
}

/// A class and its probability.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PredictedClass")]
struct Guess {
    /// The name of the class.
    class: String,
    /// Its probability, in [0, 1]; null where it is not a number.
    #[schemars(with = "Option<f32>")]
    probability: f32,
}

/// Answers for each file that can be read; without `--output`, fails in the end if one could not.
pub(crate) fn predict(arguments: &Predict) -> Result<(), Failure> {
    let (run, files) = run_and_files(arguments)?;
    let weights = weights(arguments.ckpt.as_deref(), &of_run(&run)?)?;
    let trained = Trained::open_with(run, Some(weights), perceptron, &DownloadBar::default())?;
    warn_of_threshold(&trained);
    let is_of_pictures = trained.profile().image_size().is_some();
    if let Some(output) = arguments.output.as_ref().filter(|_| !is_of_pictures) {
        let [file] = &files[..] else {
            return Err(Failure::usage("--output takes the answers for one table: give one file"));
        };
        return predict_table(&trained, file, output, arguments.json);
    }
    let framing = arguments.framing.map(|framing| match framing {
        FramingArgument::Handwriting => Framing::Handwriting,
        FramingArgument::Resize => Framing::Resize,
    });
    let files = if is_of_pictures { with_folders(&files)? } else { files };
    let mut seen = arguments.seen.as_deref().map(Seen::in_folder).transpose()?;
    if let Some(output) = &arguments.output {
        return predict_pictures(&trained, &files, framing, seen, output, arguments.json);
    }
    let answers: Vec<Answer> =
        files.iter().map(|file| answer(&trained, file, framing, seen.as_mut())).collect();
    if arguments.json {
        print_json(&answers);
    } else {
        show(&answers);
    }
    let unread = answers.iter().filter(|answer| answer.error.is_some()).count();
    if unread > 0 {
        return Err(Failure::failed(format!("{unread} of {} files could not be answered", answers.len())));
    }
    Ok(())
}

/// `paths`, with the pictures below a folder in place of the folder.
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
            say(&format!("note: {}: {others} passed over", path.display()));
        }
        files.extend(below.files);
    }
    Ok(files)
}

/// The run and what it is asked about: without a run, the first word is a file as well.
fn run_and_files(arguments: &Predict) -> Result<(Run, Vec<PathBuf>), Failure> {
    let (first, rest) = arguments.words.split_first().ok_or_else(|| Failure::usage("no file is given"))?;
    let root = &arguments.root.artifacts;
    let files = |words: &[String]| words.iter().map(PathBuf::from).collect::<Vec<_>>();
    match Run::resolve(root, first) {
        Ok(_) if rest.is_empty() => {
            Err(Failure::usage(format!("{first} is a run: name the files to ask it about after it")))
        }
        Ok(run) => Ok((run, files(rest))),
        Err(_) if Path::new(first).exists() || (rest.is_empty() && first.contains('.')) => {
            let run = Run::resolve(root, "latest")?;
            say(&format!("asking {}, the latest run", run.folder().display()));
            Ok((run, files(&arguments.words)))
        }
        Err(error) => Err(error.into()),
    }
}

fn answer(trained: &Trained<Mlp>, file: &Path, framing: Option<Framing>, seen: Option<&mut Seen>) -> Answer {
    let mut answer = Answer {
        file: file.to_owned(),
        predictions: Vec::new(),
        seen: None,
        notices: Vec::new(),
        error: None,
    };
    match trained.inputs(file, framing) {
        Ok(inputs) => {
            let found = trained.predict(&inputs.examples);
            answer.predictions = (0..found.len()).map(|at| Prediction::new(&found, at)).collect();
            answer.notices = inputs.notices;
            answer.seen = seen.and_then(|seen| seen.save(file, trained.profile(), &inputs.examples));
        }
        Err(_) if trained.profile().image_size().is_some() && FileKind::of(file) == Some(FileKind::Table) => {
            answer.error =
                Some(format!("{} is a table, and the network of this run looks at pictures", file.display()));
        }
        Err(error) => answer.error = Some(with_causes(&error)),
    }
    answer
}

/// What the example `at` of the `count` in the file `name` is called.
pub(crate) fn numbered(name: &str, at: usize, count: usize) -> String {
    if count == 1 { name.to_owned() } else { format!("{name}[{at}]") }
}

impl Prediction {
    fn new(predictions: &Predictions, at: usize) -> Self {
        let probabilities = predictions.probabilities(at);
        let mut order: Vec<usize> = (0..probabilities.len()).collect();
        order.sort_by(|&left, &right| probabilities[right].total_cmp(&probabilities[left]));
        // A threshold may name another class than the most probable one.
        let named = predictions.predicted()[at] as usize;
        let is_by_threshold = order.first() != Some(&named);
        order.sort_by_key(|class| *class != named);
        let guess = |&class: &usize| Guess {
            class: predictions.classes()[class].clone(),
            probability: probabilities[class],
        };
        let top: Vec<Guess> = order.iter().take(TOP).map(guess).collect();
        // A network that diverged gives NaN, which is no confidence at all.
        let is_sure = top.first().is_some_and(|guess| {
            guess.probability >= LOW_CONFIDENCE || (is_by_threshold && guess.probability.is_finite())
        });
        Self { top, low_confidence: !is_sure }
    }
}

/// A folder for the pictures that the network saw. Nothing is written beside the user's own: what lies there may be
/// learned from.
pub(crate) struct Seen {
    folder: PathBuf,
    taken: HashSet<PathBuf>,
}

impl Seen {
    /// Makes the folder where it is not there.
    fn in_folder(folder: &Path) -> Result<Self, Failure> {
        std::fs::create_dir_all(folder).map_err(|error| {
            Failure::failed(format!("cannot make the folder {}: {error}", folder.display()))
        })?;
        Ok(Self { folder: folder.to_owned(), taken: HashSet::new() })
    }

    /// Saves what a network of `profile` sees of `file` as `<name of the file>.seen.png`, if `examples`, those in it, are
    /// one picture; says so where that cannot be done.
    pub(crate) fn save(&mut self, file: &Path, profile: &Profile, examples: &Split) -> Option<PathBuf> {
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

fn show(answers: &[Answer]) {
    let mut rows = Vec::new();
    for answer in answers {
        for (number, prediction) in answer.predictions.iter().enumerate() {
            let name = numbered(&answer.file.display().to_string(), number, answer.predictions.len());
            let guesses = prediction.top.iter();
            let guesses = guesses.map(|guess| format!("{} {:.1} %", guess.class, guess.probability * 100.0));
            rows.push(std::iter::once(name).chain(guesses).collect());
        }
    }
    if !rows.is_empty() {
        print(&table(&rows));
    }
    for answer in answers {
        remarks(answer);
    }
}

fn remarks(answer: &Answer) {
    let file = answer.file.display();
    if let Some(error) = &answer.error {
        say(&format!("error: {error}"));
    }
    for notice in &answer.notices {
        say(&format!("note: {file}: {notice}"));
    }
    if let Some(seen) = &answer.seen {
        say(&format!("{file}: the network saw {}", seen.display()));
    }
    let unsure = answer.predictions.iter().filter(|prediction| prediction.low_confidence).count();
    if unsure > 0 {
        let share = LOW_CONFIDENCE * 100.0;
        let which = if answer.predictions.len() == 1 {
            "the answer".to_owned()
        } else {
            format!("{unsure} of {} answers", answer.predictions.len())
        };
        say(&format!("warning: {file}: the confidence of {which} is below {share:.0} %"));
    }
}
