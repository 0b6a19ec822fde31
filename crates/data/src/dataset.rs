//! Loading: from the `[data]` section of an experiment to a data set that is ready for training.

use kiln_config::{Channels, ClassLabel, Data};
use kiln_table::{listed, quoted};

use crate::{
    DataError, DataFolders, Downloads, FileRecord, ImageEncoding, Mismatch, Normalizer, Profile, Progress,
    Shape, Split, TieBreak,
    holdout::{ChoicePurpose, check_folds, choose, deal, hold_out, mislabel, one_part},
    profile::content_hash,
    source::{SourceContext, SourceData, reader},
    tables::prepare,
};

/// The test split does not depend on the experiment's seed, so that runs with different seeds are tested on the same
/// examples.
const TEST_SEED: u64 = 0;
/// The most probabilities that `predictions.csv` may hold, at ten characters each: about 1 GB.
const MOST_PROBABILITIES: usize = 100_000_000;

/// The splits of an experiment, their classes and their scaling.
#[derive(Clone, Debug)]
pub struct DataSet {
    /// The source, as `data.source` names it.
    pub name: String,
    /// The features of an example.
    pub shape: Shape,
    /// Names of the classes, by number.
    pub classes: Vec<String>,
    /// Training examples.
    pub train: Split,
    /// Validation examples. With `data.folds` these are the training examples themselves: each member of the ensemble
    /// leaves out one part of them.
    pub validation: Option<Split>,
    /// Test examples; empty if there is no test data.
    pub test: Split,
    /// The scaling, fitted on `train` alone.
    pub normalizer: Normalizer,
    /// One hash over the names and contents of all files.
    pub sha256: String,
    /// The files of the data.
    pub files: Vec<FileRecord>,
    /// How pixel values are stored in the files.
    pub reading: ImageEncoding,
    /// Remarks about the data for the user, a sentence each.
    pub notices: Vec<String>,
    /// Columns in which every value occurs in one class only: they may leak the class.
    pub leaks: Vec<String>,
    /// How ties between classes were broken when examples were held out.
    pub ties: TieBreak,
}

impl DataSet {
    /// The validation examples that are not trained on; `None` with `data.folds`.
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

/// Reads the data of an experiment, cuts it into splits and fits the scaling.
///
/// `seed` decides which examples are held out for validation, which ones a limit keeps and which ones get a wrong label.
/// A published data set that is not on this machine is downloaded.
pub fn load(
    data: &Data,
    seed: u64,
    folders: &DataFolders,
    progress: &dyn Progress,
) -> Result<DataSet, DataError> {
    load_with(data, seed, folders, &Downloads::default(), progress)
}

/// Reads the data of an existing run with this `profile`, with the same splits and the same features.
pub fn load_like(
    profile: &Profile,
    data: &Data,
    seed: u64,
    folders: &DataFolders,
    progress: &dyn Progress,
) -> Result<DataSet, DataError> {
    // `auto` was decided when the run began. Profiles that were written before Kiln could read colour mean grey.
    let channels = match (data.channels, profile.channels()) {
        (Channels::Auto, Some(1)) => Channels::Grey,
        (Channels::Auto, Some(_)) => Channels::Rgb,
        (channels, _) => channels,
    };
    let data = &Data { channels, ..data.clone() };
    LoadRequest { data, seed, like: Some(profile) }.load(folders, &Downloads::default(), progress)
}

/// Like [`load`], with other mirrors or timeouts.
pub fn load_with(
    data: &Data,
    seed: u64,
    folders: &DataFolders,
    downloads: &Downloads,
    progress: &dyn Progress,
) -> Result<DataSet, DataError> {
    LoadRequest { data, seed, like: None }.load(folders, downloads, progress)
}

struct LoadRequest<'a> {
    data: &'a Data,
    seed: u64,
    /// The profile of an existing run, whose splits and features must be the same.
    like: Option<&'a Profile>,
}

impl LoadRequest<'_> {
    fn load(
        &self,
        folders: &DataFolders,
        downloads: &Downloads,
        progress: &dyn Progress,
    ) -> Result<DataSet, DataError> {
        let Self { data, seed, like } = *self;
        let ties = like.map_or(TieBreak::Drawn, |profile| profile.ties);
        let mut leaks = Vec::new();
        let SourceData {
            name,
            mut shape,
            classes,
            train,
            test,
            validation,
            files,
            reading,
            mut notices,
            tables,
        } = reader(data.source).read(data, &SourceContext { folders, downloads, progress })?;
        let selection = ClassSelection::new(&classes, &data.classes)?;
        let groups = tables.as_ref().and_then(|tables| tables.groups.as_deref());
        let train = selection.apply(&train);
        let own = [validation, test].map(|split| split.map(|split| selection.apply(&split)));
        let [train, validation, test] = self.cut(train, own, groups, ties)?;
        check_not_empty(&train, &test, data.has_test())?;
        check_size(&test, selection.classes.len())?;
        notices.extend(rare_classes(&selection.classes, &train, &validation, &test));
        notices.extend(imbalance(&selection.classes, &train));
        let folds = if data.folds > 0 {
            check_folds("data.folds", &train, data.folds)?;
            Some(deal(&train, data.folds, groups, seed, ChoicePurpose::Folds))
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

    /// Cuts `train` into training, validation and test examples, except for validation and test data of the source's own.
    fn cut(
        &self,
        train: Split,
        [own_validation, own_test]: [Option<Split>; 2],
        groups: Option<&[u32]>,
        ties: TieBreak,
    ) -> Result<[Split; 3], DataError> {
        let Self { data, seed, .. } = *self;
        let (train, test) = match own_test {
            Some(_) if data.test_folds > 0 => {
                let found = "test data in files of its own";
                let mismatch =
                    Mismatch::in_key("data.test_folds", "a source without test data of its own", found);
                return Err(DataError::unfit(
                    "no parts",
                    mismatch.remedy("set it to 0, or remove those files"),
                ));
            }
            Some(test) => (train, test),
            None if data.test_folds > 0 => one_part(&train, data.test_folds, groups, seed)?,
            None => hold_out("data.test", data.test, train, groups, TEST_SEED, ChoicePurpose::Test, ties)?,
        };
        let train = limit(train, data.limit, seed, ChoicePurpose::TrainLimit, ties);
        let test = limit(test, data.test_limit, seed, ChoicePurpose::TestLimit, ties);
        let (train, validation) = match own_validation {
            Some(validation) => (train, validation),
            None if data.folds > 0 => (train.clone(), train.select(&[])),
            None => {
                let purpose = ChoicePurpose::Validation;
                hold_out("data.validation", data.validation, train, groups, seed, purpose, ties)?
            }
        };
        Ok([train, validation, test])
    }
}

fn limit(split: Split, limit: Option<usize>, seed: u64, purpose: ChoicePurpose, ties: TieBreak) -> Split {
    match limit {
        Some(limit) if limit < split.len() => {
            split.select(&choose(&split, limit, seed, purpose, ties).chosen)
        }
        _ => split,
    }
}

fn check_not_empty(train: &Split, test: &Split, has_test: bool) -> Result<(), DataError> {
    if train.is_empty() {
        let mismatch = Mismatch::in_key("data", "training examples", "none");
        return Err(DataError::unfit(
            "nothing to train on",
            mismatch.remedy("check data.classes, data.limit and data.validation"),
        ));
    }
    if test.is_empty() && has_test {
        let mismatch = Mismatch::in_key("data", "test examples", "none");
        return Err(DataError::unfit(
            "nothing to test on",
            mismatch.remedy("check data.classes and data.test_limit"),
        ));
    }
    Ok(())
}

/// Limits the size of `predictions.csv`, which holds one probability per example and class.
fn check_size(test: &Split, classes: usize) -> Result<(), DataError> {
    if test.len().saturating_mul(classes) <= MOST_PROBABILITIES {
        return Ok(());
    }
    let expected = format!("at most {MOST_PROBABILITIES} probabilities (test examples times classes)");
    let found = format!("{} test examples of {classes} classes", test.len());
    let remedy = format!("test on fewer examples, with data.test_limit={}", MOST_PROBABILITIES / classes);
    Err(DataError::unfit(
        "too much to test on",
        Mismatch::in_key("data.test", expected, found).remedy(remedy),
    ))
}

/// The classes that an experiment keeps, renumbered in the order in which it names them.
#[derive(Debug)]
struct ClassSelection {
    /// Names of the classes that are kept, by new number.
    classes: Vec<String>,
    /// New number of every class of the source; `None` if the class is left out.
    new_number: Vec<Option<u32>>,
}

impl ClassSelection {
    /// The classes that `wanted` names; all of `classes` if `wanted` is empty.
    fn new(classes: &[String], wanted: &[ClassLabel]) -> Result<Self, DataError> {
        if wanted.is_empty() {
            let new_number = (0..classes.len() as u32).map(Some).collect();
            return Ok(Self { classes: classes.to_vec(), new_number });
        }
        let mut selection = Self { classes: Vec::new(), new_number: vec![None; classes.len()] };
        for label in wanted {
            let class = find(classes, label)?;
            if selection.new_number[class].is_some() {
                return Err(repeated(&classes[class]));
            }
            selection.new_number[class] = Some(selection.classes.len() as u32);
            selection.classes.push(classes[class].clone());
        }
        if selection.classes.len() == 1 {
            let mismatch = Mismatch::in_key("data.classes", "at least two classes", "one");
            return Err(DataError::unfit(
                "only one class",
                mismatch.remedy("name at least two: a classifier has to distinguish classes"),
            ));
        }
        Ok(selection)
    }

    /// The examples of `split` whose class is kept.
    fn apply(&self, split: &Split) -> Split {
        split.relabel(|label| self.new_number[label as usize])
    }
}

/// The number of the class that `label` means. A number is first compared with the names of the classes, because the
/// classes of a csv file may be called 3 and 7; then it is the class's number.
fn find(classes: &[String], label: &ClassLabel) -> Result<usize, DataError> {
    let (name, number) = match label {
        ClassLabel::Name(name) => (name.clone(), None),
        ClassLabel::Number(number) => (number.to_string(), Some(*number)),
    };
    classes
        .iter()
        .position(|class| *class == name)
        .or(number.filter(|&number| number < classes.len()))
        .ok_or_else(|| unknown(classes, &name))
}

fn unknown(classes: &[String], name: &str) -> DataError {
    let names: Vec<String> =
        (0..).zip(classes).map(|(number, class)| format!("{number} ({class})")).collect();
    let expected = format!("a class of this data: {}", names.join(", "));
    DataError::unfit("unknown class", Mismatch::in_key("data.classes", expected, format!("\"{name}\"")))
}

fn repeated(name: &str) -> DataError {
    let mismatch = Mismatch::in_key("data.classes", "every class once", format!("\"{name}\" twice"));
    DataError::unfit("repeated class", mismatch.remedy("name it once"))
}

/// A notice if the largest class has more than ten times the examples of the smallest.
fn imbalance(classes: &[String], train: &Split) -> Option<String> {
    const TIMES: usize = 10;
    let counts = train.counts(classes.len());
    let (least, fewest) = counts.iter().enumerate().min_by_key(|&(_, count)| count)?;
    let (most, greatest) = counts.iter().enumerate().max_by_key(|&(_, count)| count)?;
    (fewest * TIMES < *greatest).then(|| {
        format!(
            "class {} has {greatest} training examples and {} has {fewest}: accuracy says little about the smaller \
             class; loss.class_weights=\"balanced\" gives all classes the same weight",
            quoted(&classes[most]),
            quoted(&classes[least])
        )
    })
}

/// Notices about classes without an example in a split that is not empty.
fn rare_classes(classes: &[String], train: &Split, validation: &Split, test: &Split) -> Vec<String> {
    let lacking = |split: &Split| {
        let counts = split.counts(classes.len());
        let names = classes.iter().zip(counts).filter(|&(_, count)| count == 0 && !split.is_empty());
        names.map(|(name, _)| name.as_str()).collect::<Vec<_>>()
    };
    let sentence = |split: &Split, what: &str, so: &str| {
        let names = lacking(split);
        let many = format!(
            "{} of the {} classes have no {what} example, {so}: {}",
            names.len(),
            classes.len(),
            listed(names.iter().copied(), 8)
        );
        (!names.is_empty()).then_some(many)
    };
    let never_learnt = sentence(train, "training", "so the network cannot learn them");
    let never_seen = sentence(validation, "validation", "so the validation figures do not cover them");
    let never_tested = sentence(test, "test", "so the test figures do not cover them");
    [never_learnt, never_seen, never_tested].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::Storage;

    fn classes(names: &[&str]) -> Vec<String> {
        names.iter().copied().map(String::from).collect()
    }

    #[test]
    fn classes_are_renumbered_in_the_order_that_the_user_names_them() {
        let wanted = [ClassLabel::Number(2), ClassLabel::Name("ant".into())];
        let selection = ClassSelection::new(&classes(&["ant", "bee", "cat"]), &wanted).unwrap();
        assert_eq!(selection.classes, ["cat", "ant"]);
        let split = Split::new(Storage::bytes(1, vec![10, 11, 12, 13], 255), vec![0, 1, 2, 0]);
        let kept = selection.apply(&split);
        assert_eq!(kept.labels(), [1, 0, 1]);
        assert_eq!(kept.raw(1), crate::RawValues::Bytes(&[12]));
    }

    #[test]
    fn a_number_means_the_class_of_that_name_first() {
        let selection =
            ClassSelection::new(&classes(&["3", "7", "9"]), &[ClassLabel::Number(7), ClassLabel::Number(0)]);
        assert_eq!(selection.unwrap().classes, ["7", "3"]);
    }

    #[test]
    fn the_error_of_an_unknown_class_lists_the_classes() {
        let error =
            ClassSelection::new(&classes(&["ant", "bee"]), &[ClassLabel::Name("cat".into())]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown class: data.classes: expected a class of this data: 0 (ant), 1 (bee), found \"cat\""
        );
    }
}
