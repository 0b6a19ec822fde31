//! `[data]`: where examples come from, how they are split and how they are scaled.

use std::{fmt, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, EnumString, IntoStaticStr};

use crate::facts::{
    AT_LEAST_0, AT_LEAST_1, Decides, FRACTION, GREATEST_COUNT, TextRule, between, number, plain, text,
};

/// `[data]`: the data set, its splits and its normalization.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// Which data set, or which kind of files.
    #[schemars(transform = plain().also_called("dataset"))]
    pub source: DataSource,
    /// Folder (mnist, fashion-mnist, kmnist, idx, image-folder) or file (csv; `-` is standard input) with the data. A
    /// relative path starts at the working directory; a run stores it as an absolute path.
    #[schemars(transform = text(TextRule::NotEmpty).example("\"data/mnist\"").when_read("path").decides(Decides::Content))]
    pub path: Option<PathBuf>,
    /// Test data of a csv or image-folder source; relative paths as for `path`. Without it, `test` is held out of
    /// `path`.
    #[schemars(transform = text(TextRule::NotEmpty).example("\"data/test.csv\"").when_read("test_path")
        .decides(Decides::Content))]
    pub test_path: Option<PathBuf>,
    /// Validation data of a csv source; relative paths as for `path`. Without it, `validation` is held out.
    #[schemars(transform = text(TextRule::NotEmpty).example("\"data/validation.csv\"").when_read("validation_path")
        .decides(Decides::Content).also_called("val_path"))]
    pub validation_path: Option<PathBuf>,
    /// The column of a table with the class: its name, or its position (1 is the first, -1 the last).
    #[schemars(transform = text(TextRule::NotEmpty).when_read("label_column")
        .also_called("label target target_column"))]
    pub label_column: LabelColumn,
    /// Whether labels of a table that differ only in their spelling are one class, named by the most frequent spelling.
    /// Such differences are: capitals, spaces around, a full stop at the end, and the form of a number (1, 1.0, 01).
    #[schemars(transform = plain().when_read("join_labels").also_called("merge_labels normalize_labels"))]
    pub join_labels: bool,
    /// A column of a table whose equal values form a group. All rows of a group go to the same side of a split.
    #[schemars(transform = text(TextRule::NotEmpty).example("\"patient\"").when_read("group_column")
        .also_called("groups"))]
    pub group_column: Option<String>,
    /// The kinds of the columns of a table, where Kiln would detect a wrong one.
    #[schemars(transform = plain().when_read("columns"))]
    pub columns: Columns,
    /// Texts for a missing value in a table, besides empty cells, NA, N/A, NaN, null, None, ? and -.
    #[schemars(transform = text(TextRule::NotEmpty).when_read("missing").also_called("na_values missing_values"))]
    pub missing: Vec<String>,
    /// Whether the first row of a table names its columns. Left out: Kiln detects it.
    #[schemars(transform = plain().example("false").when_read("header"))]
    pub header: Option<bool>,
    /// Names for the columns of a table without a header row, from left to right.
    #[schemars(transform = text(TextRule::NotEmpty).when_read("names").also_called("column_names"))]
    pub names: Vec<String>,
    /// Separator between the cells of a table: ",", ";", "|", "tab" or "blanks". Left out: Kiln detects it.
    #[schemars(transform = text(TextRule::NotEmpty).example("\";\"").when_read("separator")
        .also_called("sep delimiter"))]
    pub separator: Option<String>,
    /// Text encoding of a table, such as "utf-8" or "windows-1252". Left out: Kiln detects it.
    #[schemars(transform = text(TextRule::NotEmpty).example("\"windows-1252\"").when_read("encoding"))]
    pub encoding: Option<String>,
    /// Height and width to which image-folder pictures are resized.
    #[schemars(transform = number(between(1.0, 1024.0)).unit("pixels").when_read("image_size"))]
    pub image_size: [usize; 2],
    /// Colour channels of image-folder pictures. With three channels, the features are all red values, then all green
    /// values, then all blue values.
    #[schemars(transform = plain().when_read("channels").also_called("color_mode colour color"))]
    pub channels: Channels,
    /// What to do with image-folder pictures that cannot be read.
    #[schemars(transform = plain().when_read("unreadable"))]
    pub unreadable: Unreadable,
    /// Whether to transpose IDX images: true, false, or "auto", which transposes files named like EMNIST, whose images
    /// are stored transposed.
    #[schemars(transform = plain().when_read("transpose"))]
    pub transpose: Transpose,
    /// Number of examples of a generated source, including test data.
    #[schemars(transform = number(between(10.0, GREATEST_COUNT)).unit("examples").when_read("examples"))]
    pub examples: usize,
    /// Standard deviation of the normal noise on each coordinate of a generated source. The shapes are about 2 wide.
    #[schemars(transform = number(AT_LEAST_0).when_read("noise"))]
    pub noise: f64,
    /// Number of features of `noisy-features`. The first two separate the classes, the others are only noise. A larger
    /// number adds features and leaves the first ones unchanged.
    #[schemars(transform = number(between(2.0, 65536.0)).unit("features").when_read("features"))]
    pub features: usize,
    /// Share of the training examples whose class is replaced by a random other class. Validation and test examples
    /// keep their classes, except training examples that `folds` uses for validation.
    #[schemars(transform = number(FRACTION))]
    pub label_noise: f64,
    /// Training data held out for validation: a fraction below 1, or a number of examples.
    #[schemars(transform = number(FRACTION).whole(AT_LEAST_0).when_zero("data.folds")
        .also_called("validation_split val_split validation_fraction"))]
    pub validation: Holdout,
    /// Above 0: cross-validation within the training data, in place of `validation`. The training examples are divided
    /// into this many parts with the same share of each class (whole groups, with `group_column`). Each member of the
    /// network leaves one part out, and an example is validated by the members that have not seen it.
    #[schemars(transform = number(between(0.0, 100.0)).unit("parts").when_left_out("data.validation_path")
        .also_called("n_folds cv n_splits num_bag_folds"))]
    pub folds: usize,
    /// Test data held out of a source that does not have a test split: a fraction, or a number of examples.
    #[schemars(transform = number(FRACTION).whole(AT_LEAST_0).when_read("test")
        .when_left_out("data.test_path").when_zero("data.test_folds").also_called("test_split"))]
    pub test: Holdout,
    /// Above 0: cross-validation, in place of `test`. The examples are divided into this many parts with the same
    /// share of each class (whole groups, with `group_column`), and one part is the test data. The seed selects the
    /// part: with n parts, seeds 0 to n-1 test every example once, and the next n seeds use a new division (repeated
    /// cross-validation; see `folds` of a study).
    #[schemars(transform = number(between(0.0, 100.0)).unit("parts").when_read("test_folds").when_left_out("data.test_path")
        .also_called("outer_folds n_repeats"))]
    pub test_folds: usize,
    /// Use only these classes, by number or name; they are renumbered in this order. Empty: all classes.
    #[schemars(transform = text(TextRule::NotEmpty).range(AT_LEAST_0))]
    pub classes: Vec<ClassLabel>,
    /// Use at most this many training examples (including validation), with the same share of each class.
    #[schemars(transform = number(AT_LEAST_1).unit("examples").example("1000").also_called("max_samples"))]
    pub limit: Option<usize>,
    /// Use at most this many test examples, with the same share of each class.
    #[schemars(transform = number(AT_LEAST_1).unit("examples").example("1000").when_zero("data.test_folds"))]
    pub test_limit: Option<usize>,
    /// How feature values are scaled before the network sees them.
    pub normalization: Normalization,
}

impl Data {
    /// The number of classes, if it is known before the data is read.
    #[must_use]
    pub fn class_count(&self) -> Option<usize> {
        if self.classes.is_empty() { self.source.facts().classes } else { Some(self.classes.len()) }
    }

    /// Whether there is validation data.
    #[must_use]
    pub fn has_validation(&self) -> bool {
        self.folds > 0 || self.validation_path.is_some() || !self.validation.is_nothing()
    }

    /// Whether test data is held out, for a source without its own test data.
    #[must_use]
    pub fn has_test(&self) -> bool {
        self.test_folds > 0 || self.test_path.is_some() || !self.test.is_nothing()
    }

    /// The number of features, if it is known before the data is read.
    #[must_use]
    pub fn feature_count(&self) -> Option<usize> {
        if self.source == DataSource::NoisyFeatures {
            Some(self.features)
        } else {
            self.source.facts().features
        }
    }
}

impl Default for Data {
    fn default() -> Self {
        Self {
            source: DataSource::Digits,
            path: None,
            test_path: None,
            validation_path: None,
            label_column: LabelColumn::Name("label".to_owned()),
            join_labels: false,
            group_column: None,
            columns: Columns::default(),
            missing: Vec::new(),
            header: None,
            names: Vec::new(),
            separator: None,
            encoding: None,
            image_size: [28, 28],
            channels: Channels::Auto,
            unreadable: Unreadable::Error,
            transpose: Transpose::Auto(Automatic::Auto),
            examples: 1000,
            noise: 0.1,
            features: 20,
            label_noise: 0.0,
            validation: Holdout::Fraction(0.1),
            folds: 0,
            test: Holdout::Fraction(0.2),
            test_folds: 0,
            classes: Vec::new(),
            limit: None,
            test_limit: None,
            normalization: Normalization::Unit,
        }
    }
}

/// The column with the class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum LabelColumn {
    /// Its position: 1 is the first, -1 the last.
    Position(i64),
    /// Its name in the header.
    Name(String),
}

impl fmt::Display for LabelColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position(position) => position.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl From<&str> for LabelColumn {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

/// `[data.columns]`: the kinds of the columns of a table, where Kiln would detect a wrong one. `*` means every column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct Columns {
    /// Columns to ignore: ids, and columns that reveal the class.
    #[schemars(transform = text(TextRule::NotEmpty).when_read("columns").also_called("ignore exclude"))]
    pub drop: Vec<String>,
    /// Columns of categories, even if they are written as numbers.
    #[schemars(transform = text(TextRule::NotEmpty).when_read("columns").also_called("categories categorical"))]
    pub category: Vec<String>,
    /// Columns of numbers: amounts and measurements.
    #[schemars(transform = text(TextRule::NotEmpty).when_read("columns").also_called("numbers numeric"))]
    pub number: Vec<String>,
    /// Columns of dates and times.
    #[schemars(transform = text(TextRule::NotEmpty).when_read("columns").also_called("dates"))]
    pub date: Vec<String>,
}

/// The colour channels of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Channels {
    /// Red, green and blue if any training picture has colour, otherwise grey.
    Auto,
    /// Grey: pictures are converted.
    Grey,
    /// Red, green and blue.
    Rgb,
}

/// What to do with pictures that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unreadable {
    /// Stop before training, with a list of them.
    Error,
    /// Leave them out, and report how many.
    Skip,
}

/// Whether images are transposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Transpose {
    /// Yes or no.
    Switch(bool),
    /// Decided by the data.
    Auto(Automatic),
}

/// A choice that the data decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Automatic {
    /// By the names of the files.
    Auto,
}

/// How much is held out: a fraction of the examples, or their number. Zero holds out nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Holdout {
    /// A number of examples.
    Count(usize),
    /// A fraction of the examples, at least 0 and below 1.
    Fraction(f64),
}

impl Holdout {
    /// The number of examples held out of `total`.
    #[must_use]
    pub fn count_of(self, total: usize) -> usize {
        match self {
            Self::Count(count) => count.min(total),
            Self::Fraction(fraction) => (total as f64 * fraction).round() as usize,
        }
    }

    /// True if nothing is held out, for every total.
    #[must_use]
    pub fn is_nothing(self) -> bool {
        matches!(self, Self::Count(0)) || self == Self::Fraction(0.0)
    }
}

/// A class, by number or by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum ClassLabel {
    /// The class number, from 0.
    Number(usize),
    /// The class name in the data.
    Name(String),
}

/// How feature values are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Normalization {
    /// To [0, 1]: pixels by their greatest possible value, csv columns by their range in the training split.
    Unit,
    /// To mean 0 and standard deviation 1, fitted on the training split.
    Standard,
    /// Columns of a table: to median 0 and an interquartile range of 1, fitted on the training split, then squashed
    /// smoothly into (-3, 3) to limit outliers. A column whose quartiles are equal is scaled as with "quantile".
    Robust,
    /// Columns of a table: to the quantile in the training split, from -1 to 1, by linear interpolation between about
    /// 50 quantiles. Values outside the training range become -1 or 1.
    Quantile,
}

/// Where examples come from.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, EnumIter, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum DataSource {
    /// The UCI optical digits (1,797 images of 8x8), embedded in the program.
    Digits,
    /// MNIST, downloaded once or read from a folder.
    Mnist,
    /// Fashion-MNIST, downloaded once or read from a folder.
    FashionMnist,
    /// Kuzushiji-MNIST, downloaded once or read from a folder.
    Kmnist,
    /// IDX files in a folder, under the names of MNIST, EMNIST, QMNIST or Kaggle.
    Idx,
    /// A table with a class column: any form of CSV, TSV or ARFF, plain or compressed.
    Csv,
    /// Pictures: a folder for each class, or one folder with a csv file that lists the classes.
    ImageFolder,
    /// Generated: two interleaving half circles in the plane.
    Moons,
    /// Generated: two spirals in the plane that wind around each other one and a half times.
    Spirals,
    /// Generated: two overlapping classes that two features separate, and features that are only noise.
    NoisyFeatures,
}

/// Facts about a source that are known before it is read. Reading is the task of the crate `data`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceFacts {
    /// The keys of `[data]` that this source reads, besides those that every source reads.
    pub keys: &'static [&'static str],
    /// What `data.path` must name, for a source that requires it.
    pub path: Option<&'static str>,
    /// Number of classes, if fixed.
    pub classes: Option<usize>,
    /// Number of features of an example, if fixed.
    pub features: Option<usize>,
}

const PUBLISHED: SourceFacts =
    SourceFacts { keys: &["path"], path: None, classes: Some(10), features: Some(28 * 28) };
const PLANE: SourceFacts = SourceFacts {
    keys: &["examples", "noise", "test", "test_folds"],
    path: None,
    classes: Some(2),
    features: Some(2),
};

impl DataSource {
    /// The name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Facts that are known before the source is read.
    #[must_use]
    pub fn facts(self) -> SourceFacts {
        let nothing = SourceFacts::default();
        match self {
            Self::Digits => {
                SourceFacts { keys: &["test_folds"], classes: Some(10), features: Some(8 * 8), ..nothing }
            }
            Self::Mnist | Self::FashionMnist | Self::Kmnist => PUBLISHED,
            Self::Idx => {
                let keys = &["path", "transpose", "test", "test_folds"];
                SourceFacts { keys, path: Some("the folder of the IDX files"), ..nothing }
            }
            Self::Csv => SourceFacts {
                keys: &[
                    "path",
                    "test_path",
                    "validation_path",
                    "label_column",
                    "join_labels",
                    "group_column",
                    "columns",
                    "missing",
                    "header",
                    "names",
                    "separator",
                    "encoding",
                    "test",
                    "test_folds",
                ],
                path: Some("the path of a table"),
                ..nothing
            },
            Self::ImageFolder => SourceFacts {
                keys: &[
                    "path",
                    "test_path",
                    "label_column",
                    "image_size",
                    "channels",
                    "unreadable",
                    "test",
                    "test_folds",
                ],
                path: Some("the folder with a folder of pictures per class"),
                ..nothing
            },
            Self::Moons | Self::Spirals => PLANE,
            Self::NoisyFeatures => SourceFacts {
                keys: &["examples", "noise", "features", "test", "test_folds"],
                features: None,
                ..PLANE
            },
        }
    }
}
