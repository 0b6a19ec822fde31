//! `[data]`: what to learn from.

use std::{fmt, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::DataSource;
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
    /// Folder (mnist and its like, idx, image-folder) or file (csv; `-` is standard input) that holds the data
    /// already. A relative path counts from the working directory; a run keeps it as an absolute one.
    #[schemars(transform = text(TextRule::NotEmpty).example("\"data/mnist\"").when_read("path").decides(Decides::Content))]
    pub path: Option<PathBuf>,
    /// Test data of a csv or image-folder source, relative as `path` is; without it, `test` is held out of
    /// `path`.
    #[schemars(transform = text(TextRule::NotEmpty).example("\"data/test.csv\"").when_read("test_path")
        .decides(Decides::Content))]
    pub test_path: Option<PathBuf>,
    /// Validation data of a csv source, relative as `path` is; without it, `validation` is held out.
    #[schemars(transform = text(TextRule::NotEmpty).example("\"data/validation.csv\"").when_read("validation_path")
        .decides(Decides::Content).also_called("val_path"))]
    pub validation_path: Option<PathBuf>,
    /// The column of a table that holds the class: its name, or its place (1 is the first, -1 the last).
    #[schemars(transform = text(TextRule::NotEmpty).when_read("label_column")
        .also_called("label target target_column"))]
    pub label_column: LabelColumn,
    /// Whether labels of a table that differ in writing alone are one class, under the most frequent writing: in capitals,
    /// blanks around, a full stop at the end, or the form of a number, as 1, 1.0 and 01.
    #[schemars(transform = plain().when_read("join_labels").also_called("merge_labels normalize_labels"))]
    pub join_labels: bool,
    /// The column of a table whose equal values must not be torn apart: all rows of a group go to one side of a split.
    #[schemars(transform = text(TextRule::NotEmpty).example("\"patient\"").when_read("group_column")
        .also_called("groups"))]
    pub group_column: Option<String>,
    /// What each column of a table is, where it is not what it looks like.
    #[schemars(transform = plain().when_read("columns"))]
    pub columns: Columns,
    /// What stands for a missing value in a table, besides nothing, NA, N/A, NaN, null, None, ? and -.
    #[schemars(transform = text(TextRule::NotEmpty).when_read("missing").also_called("na_values missing_values"))]
    pub missing: Vec<String>,
    /// Whether the first row of a table names its columns; found out where it is left out.
    #[schemars(transform = plain().example("false").when_read("header"))]
    pub header: Option<bool>,
    /// Names for the columns of a table, from left to right, where the file has none.
    #[schemars(transform = text(TextRule::NotEmpty).when_read("names").also_called("column_names"))]
    pub names: Vec<String>,
    /// What stands between the cells of a table: ",", ";", "|", "tab" or "blanks"; found out where it is left out.
    #[schemars(transform = text(TextRule::NotEmpty).example("\";\"").when_read("separator")
        .also_called("sep delimiter"))]
    pub separator: Option<String>,
    /// How the text of a table is encoded, such as "utf-8" or "windows-1252"; found out where it is left out.
    #[schemars(transform = text(TextRule::NotEmpty).example("\"windows-1252\"").when_read("encoding"))]
    pub encoding: Option<String>,
    /// Height and width in pixels that image-folder pictures are resized to.
    #[schemars(transform = number(between(1.0, 1024.0)).unit("pixels").when_read("image_size"))]
    pub image_size: [usize; 2],
    /// Colours of image-folder pictures. Where a picture has three, its features are all of its red, then its green,
    /// then its blue.
    #[schemars(transform = plain().when_read("channels").also_called("color_mode colour color"))]
    pub channels: Channels,
    /// What becomes of image-folder pictures that cannot be read.
    #[schemars(transform = plain().when_read("unreadable"))]
    pub unreadable: Unreadable,
    /// Whether rows and columns of IDX images are exchanged: true, false, or "auto", which exchanges them where the
    /// files bear the name of EMNIST, whose images lie on their side.
    #[schemars(transform = plain().when_read("transpose"))]
    pub transpose: Transpose,
    /// Examples that a generated source has in all, test data included.
    #[schemars(transform = number(between(10.0, GREATEST_COUNT)).unit("examples").when_read("examples"))]
    pub examples: usize,
    /// Standard deviation of the normal noise on each coordinate of a generated source, whose shapes are
    /// about 2 wide.
    #[schemars(transform = number(AT_LEAST_0).when_read("noise"))]
    pub noise: f64,
    /// Features of `noisy-features`: the first two tell the classes apart, the others are noise alone. The
    /// first ones are the same for every number.
    #[schemars(transform = number(between(2.0, 65536.0)).unit("features").when_read("features"))]
    pub features: usize,
    /// Share of the training examples whose class is replaced by another, drawn by the seed; validation and
    /// test examples keep theirs, but for training examples that `folds` validates on.
    #[schemars(transform = number(FRACTION))]
    pub label_noise: f64,
    /// Held out of the training data to watch for overfitting: a fraction below 1, or a count.
    #[schemars(transform = number(FRACTION).whole(AT_LEAST_0).when_zero("data.folds")
        .also_called("validation_split val_split validation_fraction"))]
    pub validation: Holdout,
    /// Above 0, nothing is held out by `validation`: the training examples are dealt into this many parts, the same
    /// share of each class (whole groups, with `group_column`). Each member of the network leaves one part out, and an
    /// example is validated by the members that have not seen it.
    #[schemars(transform = number(between(0.0, 100.0)).unit("parts").when_left_out("data.validation_path")
        .also_called("n_folds cv n_splits num_bag_folds"))]
    pub folds: usize,
    /// Held out as test data where the source has no test split of its own: a fraction, or a count.
    #[schemars(transform = number(FRACTION).whole(AT_LEAST_0).when_read("test")
        .when_left_out("data.test_path").when_zero("data.test_folds").also_called("test_split"))]
    pub test: Holdout,
    /// Above 0, `test` holds out nothing: the examples are dealt into this many parts, the same share of each class (whole
    /// groups, with `group_column`), and one part is the test data. Which one, the seed says: as many seeds in a row, from 0 on,
    /// test on every example once, and the next ones on parts that are dealt anew (repeated cross-validation; see `folds` of a
    /// study).
    #[schemars(transform = number(between(0.0, 100.0)).unit("parts").when_read("test_folds").when_left_out("data.test_path")
        .also_called("outer_folds n_repeats"))]
    pub test_folds: usize,
    /// Keep these classes alone, by number or name; they are renumbered in this order. Empty: all.
    #[schemars(transform = text(TextRule::NotEmpty).range(AT_LEAST_0))]
    pub classes: Vec<ClassLabel>,
    /// Use at most this many training examples (validation included), the same share of each class.
    #[schemars(transform = number(AT_LEAST_1).unit("examples").example("1000").also_called("max_samples"))]
    pub limit: Option<usize>,
    /// Use at most this many test examples, the same share of each class.
    #[schemars(transform = number(AT_LEAST_1).unit("examples").example("1000").when_zero("data.test_folds"))]
    pub test_limit: Option<usize>,
    /// How feature values are scaled before the network sees them.
    pub normalization: Normalization,
}

impl Data {
    /// How many classes there will be, where that is known before anything is read.
    #[must_use]
    pub fn class_count(&self) -> Option<usize> {
        if self.classes.is_empty() { self.source.facts().classes } else { Some(self.classes.len()) }
    }

    /// Whether there is anything to validate on.
    #[must_use]
    pub fn has_validation(&self) -> bool {
        self.folds > 0 || self.validation_path.is_some() || !self.validation.is_nothing()
    }

    /// Whether any examples are held out as test data, where the source has none of its own.
    #[must_use]
    pub fn has_test(&self) -> bool {
        self.test_folds > 0 || self.test_path.is_some() || !self.test.is_nothing()
    }

    /// How many features an example has, where that is known before anything is read.
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

/// The column that holds the class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum LabelColumn {
    /// Its place: 1 is the first, -1 the last.
    Place(i64),
    /// Its name in the header.
    Name(String),
}

impl fmt::Display for LabelColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(place) => place.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl From<&str> for LabelColumn {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

/// `[data.columns]`: what the columns of a table are, where they are not what they look like. `*` stands for every column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct Columns {
    /// Left out: ids, and what gives the class away.
    #[schemars(transform = text(TextRule::NotEmpty).when_read("columns").also_called("ignore exclude"))]
    pub drop: Vec<String>,
    /// Names of things, even where they are written as numbers.
    #[schemars(transform = text(TextRule::NotEmpty).when_read("columns").also_called("categories categorical"))]
    pub category: Vec<String>,
    /// Numbers: amounts and measures.
    #[schemars(transform = text(TextRule::NotEmpty).when_read("columns").also_called("numbers numeric"))]
    pub number: Vec<String>,
    /// Dates and times.
    #[schemars(transform = text(TextRule::NotEmpty).when_read("columns").also_called("dates"))]
    pub date: Vec<String>,
}

/// The colours of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Channels {
    /// Red, green and blue if any training picture has colour, else grey.
    Auto,
    /// Grey: colour is left out.
    Grey,
    /// Red, green and blue.
    Rgb,
}

/// What becomes of pictures that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unreadable {
    /// Nothing is trained; all of them are named.
    Error,
    /// They are left out and counted.
    Skip,
}

/// Whether rows and columns of images are exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Transpose {
    /// As the switch says.
    Switch(bool),
    /// As the data says.
    Auto(Automatic),
}

/// What the data decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Automatic {
    /// By the names of the files.
    Auto,
}

/// How much is held out: below 1 a fraction of the examples, from 1 on a count. Zero holds out nothing.
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
    /// The number of examples that this holds out of `total`.
    #[must_use]
    pub fn count_of(self, total: usize) -> usize {
        match self {
            Self::Count(count) => count.min(total),
            Self::Fraction(fraction) => (total as f64 * fraction).round() as usize,
        }
    }

    /// True when nothing is held out, whatever the total.
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
    /// The class name, as the data has it.
    Name(String),
}

/// How feature values are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Normalization {
    /// To [0, 1]: pixels divided by their greatest possible value; csv columns by the range that the
    /// training data has.
    Unit,
    /// To mean 0 and standard deviation 1, fitted on the training split alone.
    Standard,
    /// Columns of a table: to median 0 and a distance of 1 between the quartiles, fitted on the training split
    /// alone, and then pressed smoothly into (-3, 3), so that no value is far from the others; where the
    /// quartiles are one value, as "quantile".
    Robust,
    /// Columns of a table: to their place among the values of the training split, from -1 to 1, along straight lines
    /// between some 50 of them; whatever lies beyond stays at -1 or 1.
    Quantile,
}
