//! A data set ready for training: splits, classes and scaling.

use std::path::{Path, PathBuf};

use kiln_config::{Channels, Data, Holdout};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use kiln_files::Hasher;

use crate::{
    DataError, Downloads, Fault, Folders, Normalizer, Profile, Progress, Reading, Split,
    balance::{imbalance, rare_classes},
    columns::prepare,
    holdout::{Choice, Ties, choose, choose_groups, deal},
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
    /// Examples held out of the training data, to watch for overfitting; those of the training data themselves where each
    /// member of a network leaves a part of them out.
    pub validation: Option<Split>,
    /// Examples to test on; empty where everything is trained on.
    pub test: Split,
    /// The scaling, fitted on `train` alone.
    pub normalizer: Normalizer,
    /// One hash over the names and contents of all files.
    pub sha256: String,
    /// The files that the data came from.
    pub files: Vec<FileRecord>,
    /// How files of images are read.
    pub reading: Reading,
    /// What is remarkable about the data, a sentence each.
    pub notices: Vec<String>,
    /// Columns each of whose values belongs to one class alone: they may give the class away.
    pub leaks: Vec<String>,
    /// How ties between classes were broken when examples were held out.
    pub ties: Ties,
}

/// What the features of an example are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "ExampleShape")]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

impl FileRecord {
    /// The name that its user knows it by: of a table, that of the file.
    #[must_use]
    pub fn shown_name(&self) -> String {
        let is_table = Path::new(&self.name).extension().is_some_and(|extension| extension == "csv");
        let own = self.path.file_name().filter(|_| is_table);
        own.map_or_else(|| self.name.clone(), |own| own.to_string_lossy().into_owned())
    }
}

impl DataSet {
    /// The validation examples that nothing is learned from, if any are held out.
    #[must_use]
    pub fn held_out(&self) -> Option<&Split> {
        self.validation.as_ref().filter(|split| !split.has_folds())
    }

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

/// Reads the data of a run that keeps `profile`, with the same splits and the same features as it had.
///
/// # Errors
/// As [`load`].
pub fn load_like(
    profile: &Profile,
    data: &Data,
    seed: u64,
    folders: &Folders,
    progress: &dyn Progress,
) -> Result<DataSet, DataError> {
    // Once a run has begun, the pictures there are no longer decide; runs from before pictures had colour keep to grey.
    let channels = match (data.channels, profile.channels()) {
        (Channels::Auto, Some(1)) => Channels::Grey,
        (Channels::Auto, Some(_)) => Channels::Rgb,
        (channels, _) => channels,
    };
    let data = &Data { channels, ..data.clone() };
    Loading { data, seed, like: Some(profile) }.load(folders, &Downloads::default(), progress)
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
    Loading { data, seed, like: None }.load(folders, downloads, progress)
}

/// What is loaded, and like what.
struct Loading<'a> {
    data: &'a Data,
    seed: u64,
    /// The profile of a run whose splits and features these are to be.
    like: Option<&'a Profile>,
}

impl Loading<'_> {
    fn load(
        &self,
        folders: &Folders,
        downloads: &Downloads,
        progress: &dyn Progress,
    ) -> Result<DataSet, DataError> {
        let Self { data, seed, like } = *self;
        let ties = like.map_or(Ties::Drawn, |profile| profile.ties);
        let mut leaks = Vec::new();
        let Source { name, mut shape, classes, train, test, validation, files, reading, mut notices, tables } =
            reader(data.source).read(data, &Means { folders, downloads, progress })?;
        let selection = Selection::new(&classes, &data.classes)?;
        let groups = tables.as_ref().and_then(|tables| tables.groups.as_deref());
        let train = selection.apply(&train);
        let (train, test) = match &test {
            Some(_) if data.test_folds > 0 => {
                let found = "test data in files of their own";
                let fault = Fault::in_key("data.test_folds", "examples of which any may be tested on", found);
                return Err(DataError::unfit(
                    "no parts",
                    fault.remedy("set it to 0, or take those files away"),
                ));
            }
            Some(test) => (train, selection.apply(test)),
            None if data.test_folds > 0 => one_part(&train, data.test_folds, groups, seed)?,
            None => hold_out("data.test", data.test, train, groups, TEST_SEED, Choice::Test, ties)?,
        };
        let train = limit(train, data.limit, seed, Choice::TrainLimit, ties);
        let test = limit(test, data.test_limit, seed, Choice::TestLimit, ties);
        let (train, validation) = match validation {
            Some(validation) => (train, selection.apply(&validation)),
            None if data.folds > 0 => (train.clone(), train.select(&[])),
            None => {
                hold_out("data.validation", data.validation, train, groups, seed, Choice::Validation, ties)?
            }
        };
        check_not_empty(&train, &test, data.has_test())?;
        check_size(&test, selection.classes.len())?;
        notices.extend(rare_classes(&selection.classes, &train, &validation, &test));
        notices.extend(imbalance(&selection.classes, &train));
        let folds = if data.folds > 0 {
            check_folds("data.folds", &train, data.folds)?;
            Some(deal(&train, data.folds, groups, seed, Choice::Folds))
        } else {
            None
        };
        let train = mislabel(train, data.label_noise, selection.classes.len(), seed, ties);
        let (train, validation, test) = match tables {
            Some(tables) => {
                let prepared = prepare(tables, data, like, [train, validation, test])?;
                notices.extend(prepared.notices);
                leaks = prepared.leaks;
                shape = prepared.shape;
                prepared.splits.into()
            }
            None => (train, validation, test),
        };
        let normalizer = match like {
            Some(profile) => profile.normalizer.clone(),
            None => Normalizer::fit(data.normalization, &train),
        };
        let sha256 = content_hash(&files);
        let (train, validation) = match folds {
            Some(folds) => {
                let train = train.with_folds(folds);
                (train.clone(), Some(train))
            }
            None => (train, (!validation.is_empty()).then_some(validation)),
        };
        let classes = selection.classes;
        Ok(DataSet {
            name,
            shape,
            classes,
            train,
            validation,
            test,
            normalizer,
            sha256,
            files,
            reading,
            notices,
            leaks,
            ties,
        })
    }
}

/// What is left of `split`, and the one of `count` parts that is held out of it: `seed` counts them round, and all of them are
/// dealt anew when it has.
fn one_part(
    split: &Split,
    count: usize,
    groups: Option<&[u32]>,
    seed: u64,
) -> Result<(Split, Split), DataError> {
    if count == 1 {
        let fault = Fault::in_key("data.test_folds", "0, or at least 2 parts", "1");
        return Err(DataError::unfit("nothing to train on", fault.remedy("raise it")));
    }
    check_folds("data.test_folds", split, count)?;
    let parts = deal(split, count, groups, seed / count as u64, Choice::TestFolds);
    let part = (seed % count as u64) as u32;
    let positions = 0..split.len() as u32;
    let (held_out, others): (Vec<u32>, Vec<u32>) =
        positions.partition(|&position| parts[position as usize] == part);
    if held_out.is_empty() || others.is_empty() {
        let expected = format!("at least {count} groups");
        let fault =
            Fault::in_key("data.test_folds", expected, format!("too few: part {part} is empty, or all"));
        return Err(DataError::unfit("parts without an example", fault.remedy("lower it")));
    }
    Ok((split.select(&others), split.select(&held_out)))
}

/// What is left of `split`, and what is held out of it.
fn hold_out(
    key: &str,
    holdout: Holdout,
    split: Split,
    groups: Option<&[u32]>,
    seed: u64,
    choice: Choice,
    ties: Ties,
) -> Result<(Split, Split), DataError> {
    let count = held_out_count(key, holdout, split.len())?;
    if count == 0 {
        let nothing = split.select(&[]);
        return Ok((split, nothing));
    }
    let chosen = match groups {
        Some(groups) => choose_groups(&split, groups, count, seed, choice),
        None => choose(&split, count, seed, choice, ties),
    };
    if chosen.chosen.is_empty() {
        let fault =
            Fault::in_key("data.group_column", "groups that can be held out whole", "one that is nearly all");
        return Err(DataError::unfit("nothing held out", fault.remedy(format!("set {key} to 0"))));
    }
    Ok((split.select(&chosen.others), split.select(&chosen.chosen)))
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

/// An error where there are not enough examples for every part to have one.
fn check_folds(key: &str, split: &Split, folds: usize) -> Result<(), DataError> {
    if split.len() >= folds {
        return Ok(());
    }
    let expected = format!("at most a part for each of the {} examples", split.len());
    let fault = Fault::in_key(key, expected, folds.to_string());
    Err(DataError::unfit("parts without an example", fault.remedy("lower it")))
}

fn limit(split: Split, limit: Option<usize>, seed: u64, choice: Choice, ties: Ties) -> Split {
    match limit {
        Some(limit) if limit < split.len() => split.select(&choose(&split, limit, seed, choice, ties).chosen),
        _ => split,
    }
}

fn check_not_empty(train: &Split, test: &Split, has_test: bool) -> Result<(), DataError> {
    if train.is_empty() {
        let fault = Fault::in_key("data", "training examples", "none");
        return Err(DataError::unfit(
            "nothing to train on",
            fault.remedy("check data.classes, data.limit and data.validation"),
        ));
    }
    if test.is_empty() && has_test {
        let fault = Fault::in_key("data", "test examples", "none");
        return Err(DataError::unfit(
            "nothing to test on",
            fault.remedy("check data.classes and data.test_limit"),
        ));
    }
    Ok(())
}

/// The most probabilities that a test writes down: a number of ten characters each.
const MOST_PROBABILITIES: usize = 100_000_000;

/// An error where the files of a test would grow beyond what anyone looks at: they hold a number for every class of every
/// example.
fn check_size(test: &Split, classes: usize) -> Result<(), DataError> {
    if test.len().saturating_mul(classes) <= MOST_PROBABILITIES {
        return Ok(());
    }
    let expected = format!("at most {MOST_PROBABILITIES} probabilities to write down");
    let found = format!("{} test examples of {classes} classes", test.len());
    let remedy = format!("test on fewer examples, with data.test_limit={}", MOST_PROBABILITIES / classes);
    Err(DataError::unfit("too much to test on", Fault::in_key("data.test", expected, found).remedy(remedy)))
}

/// One hash over names and contents; where the files lie and whether they are compressed does not matter.
pub(crate) fn content_hash(files: &[FileRecord]) -> String {
    let mut hasher = Hasher::default();
    for file in files {
        hasher.update(format!("{} {}\n", file.sha256, file.name).as_bytes());
    }
    hasher.finish()
}
