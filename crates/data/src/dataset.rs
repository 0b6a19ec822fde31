//! A data set ready for training: splits, classes and scaling.

use std::path::PathBuf;

use kiln_config::{Data, Holdout};
use serde::{Deserialize, Serialize};

use kiln_files::Hasher;

use crate::{
    DataError, Downloads, Fault, Folders, Normalizer, Progress, Reading, Split,
    holdout::{Choice, choose},
    label_noise::mislabel,
    selection::Selection,
    source::{Means, Source, reader},
};

/// Test data that is held out of a source's own examples does not depend on the experiment's seed, so that
/// runs with different seeds are tested on the same examples.
const TEST_SEED: u64 = 0;

/// Everything that an experiment learns from and is tested on.
#[derive(Clone, Debug)]
pub struct DataSet {
    /// Name of the source, as the experiment file has it.
    pub name: String,
    /// What the features of an example are.
    pub shape: Shape,
    /// Names of the classes, by number.
    pub classes: Vec<String>,
    /// Examples to learn from.
    pub train: Split,
    /// Examples held out of the training data, to watch for overfitting.
    pub validation: Option<Split>,
    /// Examples to test on.
    pub test: Split,
    /// The scaling, fitted on `train` alone.
    pub normalizer: Normalizer,
    /// One hash over the names and contents of all files.
    pub sha256: String,
    /// The files that the data came from.
    pub files: Vec<FileRecord>,
    /// How files of images are read.
    pub reading: Reading,
    /// What loading observed that whoever trains on the data should know, a line each.
    pub notices: Vec<String>,
}

/// What the features of an example are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// An image, row by row. One in colour is three planes: all of its red, then its green, then its blue (channel,
    /// height, width, as in `PyTorch`).
    Image {
        /// Pixels from top to bottom.
        height: usize,
        /// Pixels from left to right.
        width: usize,
        /// Planes: 1 for grey, 3 for red, green and blue.
        #[serde(default = "grey")]
        channels: usize,
    },
    /// Columns of a table, by name.
    Columns(Vec<String>),
}

impl Shape {
    /// The number of features.
    #[must_use]
    pub fn features(&self) -> usize {
        match self {
            Self::Image { height, width, channels } => channels * height * width,
            Self::Columns(names) => names.len(),
        }
    }
}

/// The planes of images in files that were written before images had colour.
fn grey() -> usize {
    1
}

/// A file that data came from; for `image-folder`, the pictures of one class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Name within the data set, without `.gz`.
    pub name: String,
    /// Where it lies; the name again for embedded data.
    pub path: PathBuf,
    /// Size on disk.
    pub bytes: u64,
    /// SHA-256 of the uncompressed content, in hexadecimal.
    pub sha256: String,
}

impl DataSet {
    /// The number of features of an example: the input width of a network.
    #[must_use]
    pub fn features(&self) -> usize {
        self.shape.features()
    }

    /// The number of classes: the output width of a network.
    #[must_use]
    pub fn class_count(&self) -> usize {
        self.classes.len()
    }
}

/// Reads the data that `data` asks for, cuts it into splits and fits the scaling.
///
/// `seed` decides which examples are held out for validation, which are left out by a limit and which get a
/// wrong label. A published
/// data set that is not here is downloaded, and `progress` is told how far that is.
///
/// # Errors
/// If the data is missing, damaged or not what `data` says, or too little of it is left to train or test on.
pub fn load(
    data: &Data,
    seed: u64,
    folders: &Folders,
    progress: &dyn Progress,
) -> Result<DataSet, DataError> {
    load_with(data, seed, folders, &Downloads::default(), progress)
}

/// As [`load`], with other mirrors or time-outs.
///
/// # Errors
/// As [`load`].
pub fn load_with(
    data: &Data,
    seed: u64,
    folders: &Folders,
    downloads: &Downloads,
    progress: &dyn Progress,
) -> Result<DataSet, DataError> {
    let source = reader(data.source).read(data, &Means { folders, downloads, progress })?;
    let selection = Selection::new(&source.classes, &data.classes)?;
    let train = selection.apply(&source.train);
    let (train, test) = match &source.test {
        Some(test) => (train, selection.apply(test)),
        None => hold_out_test(data.test, &train)?,
    };
    let train = limit(train, data.limit, seed, Choice::TrainLimit);
    let test = limit(test, data.test_limit, seed, Choice::TestLimit);
    let (train, validation) = match &source.validation {
        Some(validation) => (train, Some(selection.apply(validation))),
        None => hold_out_validation(data.validation, train, seed)?,
    };
    check_not_empty(&train, &test, &selection.classes)?;
    let train = mislabel(train, data.label_noise, selection.classes.len(), seed);
    let normalizer = Normalizer::fit(data.normalization, &train);
    let sha256 = content_hash(&source.files);
    let Source { name, shape, files, reading, notices, .. } = source;
    Ok(DataSet {
        name,
        shape,
        classes: selection.classes,
        train,
        validation,
        test,
        normalizer,
        sha256,
        files,
        reading,
        notices,
    })
}

fn hold_out_test(holdout: Holdout, split: &Split) -> Result<(Split, Split), DataError> {
    let count = held_out_count("data.test", holdout, split.len())?;
    if count == 0 {
        let fault = Fault::in_key("data.test", "test data", "none");
        return Err(DataError::unfit(
            "nothing to test on",
            fault.remedy("set data.test_path, or hold out a share such as data.test=0.2"),
        ));
    }
    let chosen = choose(split, count, TEST_SEED, Choice::Test);
    Ok((split.select(&chosen.others), split.select(&chosen.chosen)))
}

fn hold_out_validation(
    holdout: Holdout,
    split: Split,
    seed: u64,
) -> Result<(Split, Option<Split>), DataError> {
    let count = held_out_count("data.validation", holdout, split.len())?;
    if count == 0 {
        return Ok((split, None));
    }
    let chosen = choose(&split, count, seed, Choice::Validation);
    Ok((split.select(&chosen.others), Some(split.select(&chosen.chosen))))
}

/// The number of examples that `holdout` takes from `total`, which leaves at least one.
fn held_out_count(key: &str, holdout: Holdout, total: usize) -> Result<usize, DataError> {
    let count = holdout.count_of(total);
    if holdout.is_nothing() || total == 0 {
        return Ok(0);
    }
    if count == 0 {
        let fault = Fault::in_key(key, "a share of at least one example", format!("none of {total}"));
        return Err(DataError::unfit("nothing held out", fault.remedy("raise it, or set it to 0")));
    }
    if count >= total {
        let expected = format!("fewer than the {total} examples there are");
        let fault = Fault::in_key(key, expected, format!("{count}"));
        return Err(DataError::unfit("nothing to train on", fault.remedy("lower it, or give more data")));
    }
    Ok(count)
}

fn limit(split: Split, limit: Option<usize>, seed: u64, choice: Choice) -> Split {
    match limit {
        Some(limit) if limit < split.len() => split.select(&choose(&split, limit, seed, choice).chosen),
        _ => split,
    }
}

fn check_not_empty(train: &Split, test: &Split, classes: &[String]) -> Result<(), DataError> {
    if train.is_empty() {
        let fault = Fault::in_key("data", "training examples", "none");
        return Err(DataError::unfit(
            "nothing to train on",
            fault.remedy("check data.classes, data.limit and data.validation"),
        ));
    }
    if test.is_empty() {
        let fault = Fault::in_key("data", "test examples", "none");
        return Err(DataError::unfit(
            "nothing to test on",
            fault.remedy("check data.classes and data.test_limit"),
        ));
    }
    for (class, count) in classes.iter().zip(train.counts(classes.len())) {
        if count == 0 {
            tracing::warn!(class, "no training example of this class is left");
        }
    }
    Ok(())
}

/// One hash over names and contents; where the files lie and whether they are compressed does not matter.
pub(crate) fn content_hash(files: &[FileRecord]) -> String {
    let mut hasher = Hasher::default();
    for file in files {
        hasher.update(format!("{} {}\n", file.sha256, file.name).as_bytes());
    }
    hasher.finish()
}
