//! What can be wrong with data, one variant per fault.

use std::{fmt, io, path::PathBuf};

use crate::Unavailable;

/// Why data could not be loaded.
///
/// Nearly every variant carries a [`Fault`]: where, what was expected, what was found, what to do.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The operating system refused to read a file or folder.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system refused to write a file or folder.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A published data set is not here, and no mirror gave it.
    #[error(transparent)]
    Unavailable(Box<Unavailable>),

    /// The source needs `data.path`, and none is set.
    #[error("no path to the data: {0}")]
    NoPath(Box<Fault>),
    /// A folder or file that must be there is not.
    #[error("missing data: {0}")]
    Missing(Box<Fault>),
    /// The bytes are not those that were published, or not those that were downloaded.
    #[error("wrong checksum: {0}")]
    Checksum(Box<Fault>),
    /// A gzip file that cannot be decompressed to its end.
    #[error("damaged gzip file: {0}")]
    Gzip(Box<Fault>),
    /// More data than this program takes in.
    #[error("too much data: {0}")]
    TooLarge(Box<Fault>),

    /// An IDX file that ends within its header.
    #[error("truncated IDX header: {0}")]
    IdxHeader(Box<Fault>),
    /// A file that does not begin as IDX files do.
    #[error("not an IDX file: {0}")]
    IdxMagic(Box<Fault>),
    /// An IDX file of something other than unsigned bytes.
    #[error("unsupported IDX element type: {0}")]
    IdxType(Box<Fault>),
    /// An IDX file with more or fewer dimensions than its name says.
    #[error("wrong number of IDX dimensions: {0}")]
    IdxRank(Box<Fault>),
    /// An IDX file with a dimension of zero.
    #[error("empty IDX file: {0}")]
    IdxEmpty(Box<Fault>),
    /// An IDX header whose dimensions multiply to more than any file holds.
    #[error("impossible IDX size: {0}")]
    IdxOverflow(Box<Fault>),
    /// An IDX file with fewer bytes than its header says.
    #[error("truncated IDX file: {0}")]
    IdxTruncated(Box<Fault>),
    /// An IDX file with more bytes than its header says.
    #[error("over-long IDX file: {0}")]
    IdxOverlong(Box<Fault>),
    /// Images and labels that are not equally many.
    #[error("images and labels do not match: {0}")]
    IdxCounts(Box<Fault>),
    /// Test images of another size than the training images.
    #[error("image sizes differ: {0}")]
    IdxSizes(Box<Fault>),
    /// A label beyond the last class.
    #[error("label out of range: {0}")]
    LabelRange(Box<Fault>),

    /// A csv file without a single line.
    #[error("empty csv file: {0}")]
    CsvEmpty(Box<Fault>),
    /// A csv file with a header and nothing below it.
    #[error("csv file without rows: {0}")]
    CsvNoRows(Box<Fault>),
    /// A csv header that has one name twice.
    #[error("repeated csv column: {0}")]
    CsvRepeatedColumn(Box<Fault>),
    /// A csv column without a name.
    #[error("csv column without a name: {0}")]
    CsvUnnamedColumn(Box<Fault>),
    /// A csv file without the column that holds the class.
    #[error("no label column: {0}")]
    CsvLabelColumn(Box<Fault>),
    /// A csv file with the label column alone.
    #[error("no feature columns: {0}")]
    CsvNoFeatures(Box<Fault>),
    /// A csv row with more or fewer cells than the header.
    #[error("ragged csv row: {0}")]
    CsvRagged(Box<Fault>),
    /// A csv cell that is not a finite number.
    #[error("not a number: {0}")]
    CsvNumber(Box<Fault>),
    /// A csv row without a class.
    #[error("row without a label: {0}")]
    CsvNoLabel(Box<Fault>),
    /// A csv file that is not UTF-8 text.
    #[error("not a text file: {0}")]
    CsvText(Box<Fault>),
    /// A csv test file with other columns than the training file.
    #[error("csv columns differ: {0}")]
    CsvColumns(Box<Fault>),

    /// A picture folder without a folder per class.
    #[error("no class folders: {0}")]
    NoClasses(Box<Fault>),
    /// A class folder without pictures.
    #[error("class without pictures: {0}")]
    EmptyClass(Box<Fault>),
    /// Something in a class folder that is no PNG or JPEG file.
    #[error("not a picture: {0}")]
    PictureType(Box<Fault>),
    /// A picture that cannot be decoded, or is larger than the decoder may handle.
    #[error("unreadable picture: {0}")]
    Picture(Box<Fault>),

    /// Training data of a single class: nothing to tell apart.
    #[error("only one class: {0}")]
    OneClass(Box<Fault>),
    /// Test data of a class that the training data does not have.
    #[error("class without training data: {0}")]
    NewClass(Box<Fault>),
    /// `data.classes` names a class that the data does not have.
    #[error("unknown class: {0}")]
    UnknownClass(Box<Fault>),
    /// `data.classes` names a class twice.
    #[error("repeated class: {0}")]
    RepeatedClass(Box<Fault>),
    /// A fraction so small that it holds out no example.
    #[error("nothing held out: {0}")]
    EmptyHoldout(Box<Fault>),
    /// Nothing is left to train on.
    #[error("nothing to train on: {0}")]
    NothingToTrain(Box<Fault>),
    /// There is no test data.
    #[error("nothing to test on: {0}")]
    NothingToTest(Box<Fault>),
}

impl DataError {
    /// Wraps a failure to read `path`.
    pub(crate) fn read(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Read { path, source }
    }

    /// Wraps a failure to write `path`.
    pub(crate) fn write(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Write { path, source }
    }
}

/// Where data is at fault, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file or folder; empty when the fault lies in the configuration.
    pub path: PathBuf,
    /// The place in the file (a line and column, a byte) or the configuration key; may be empty.
    pub place: String,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// What to do about it; may be empty.
    pub remedy: String,
}

#[expect(clippy::unnecessary_box_returns, reason = "errors hold faults boxed, so that results stay small")]
impl Fault {
    /// A fault in the file or folder `path`.
    pub(crate) fn new(
        path: impl Into<PathBuf>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Box<Self> {
        Box::new(Self {
            path: path.into(),
            place: String::new(),
            expected: expected.into(),
            found: found.into(),
            remedy: String::new(),
        })
    }

    /// A fault in the value of the configuration key `key`.
    pub(crate) fn in_key(key: &str, expected: impl Into<String>, found: impl Into<String>) -> Box<Self> {
        Self::new("", expected, found).place(key)
    }

    pub(crate) fn place(mut self: Box<Self>, place: impl Into<String>) -> Box<Self> {
        self.place = place.into();
        self
    }

    pub(crate) fn remedy(mut self: Box<Self>, remedy: impl Into<String>) -> Box<Self> {
        self.remedy = remedy.into();
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_path = !self.path.as_os_str().is_empty();
        if has_path {
            write!(f, "{}", self.path.display())?;
        }
        if !self.place.is_empty() {
            write!(f, "{}{}", if has_path { ", " } else { "" }, self.place)?;
        }
        write!(f, ": expected {}, found {}", self.expected, self.found)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}
