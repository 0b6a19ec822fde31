//! Sources of examples, one [`SourceReader`] each.
//!
//! A new source is a reader, its row in [`reader`], and its variant of [`DataSource`], which has the facts that are known
//! before any data is read.

mod built_in;
mod csv;
pub(crate) mod idx;
mod idx_files;
mod idx_folder;
mod image_folder;
pub(crate) mod picture;
mod published;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use kiln_config::{Data, DataSource};

pub use csv::read_options;
pub(crate) use csv::{SourceTables, prepared, unlabelled_rows};
pub(crate) use idx_files::IdxFile;
pub(crate) use idx_folder::IdxImages;
pub use image_folder::{PictureFiles, pictures_below};
pub(crate) use published::note_path;
pub use published::{DataFolders, PublishedFile, PublishedSet};
use published::{FASHION_MNIST, KMNIST, MNIST};

use crate::{
    DataError, Downloads, FileRecord, Framing, ImageEncoding, Mismatch, Profile, Progress, Shape, Split,
};

/// The most classes: predictions, confusion matrix and report grow with their number. With more, the label column or file
/// is probably the wrong one.
const MOST_CLASSES: usize = 1000;

/// Reads a source.
pub(crate) trait SourceReader {
    /// The authors and licence of the data; `None` for the user's own data.
    fn origin(&self) -> Option<&'static str> {
        None
    }

    /// The location of the data.
    fn location(&self, data: &Data, _folders: &DataFolders) -> SourceLocation {
        SourceLocation { path: data.path.clone(), missing_bytes: 0 }
    }

    /// Reads all examples.
    fn read(&self, data: &Data, context: &SourceContext<'_>) -> Result<SourceData, DataError>;

    /// Reads other labelled examples at `path`; see [`labelled`](crate::labelled).
    fn labelled(&self, path: &Path, data: &Data, profile: &Profile) -> Result<Split, DataError>;

    /// How a user's picture is fitted to the size of the training pictures.
    fn framing(&self) -> Framing {
        Framing::Resize
    }
}

/// The reader of each source.
pub(crate) fn reader(source: DataSource) -> &'static dyn SourceReader {
    match source {
        DataSource::Digits => &built_in::Digits,
        DataSource::Mnist => &MNIST,
        DataSource::FashionMnist => &FASHION_MNIST,
        DataSource::Kmnist => &KMNIST,
        DataSource::Idx => &idx_folder::IdxFolder,
        DataSource::Csv => &csv::Csv,
        DataSource::ImageFolder => &image_folder::ImageFolder,
        DataSource::Moons | DataSource::Spirals | DataSource::NoisyFeatures => &built_in::Generated,
    }
}

/// The folders and the network, for readers that need them.
#[derive(Clone, Copy)]
pub(crate) struct SourceContext<'a> {
    pub(crate) folders: &'a DataFolders,
    pub(crate) downloads: &'a Downloads,
    pub(crate) progress: &'a dyn Progress,
}

/// The location of a source's data.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SourceLocation {
    /// The folder or file of the data, or the folder for the download; `None` if embedded.
    pub(crate) path: Option<PathBuf>,
    /// The size of the download in bytes; zero if the data is on this machine.
    pub(crate) missing_bytes: u64,
}

/// All examples of a source, before classes are selected and examples are held out.
#[derive(Debug)]
pub(crate) struct SourceData {
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) classes: Vec<String>,
    pub(crate) train: Split,
    /// Validation data, if the source has its own.
    pub(crate) validation: Option<Split>,
    /// Test data, if the source has its own.
    pub(crate) test: Option<Split>,
    pub(crate) files: Vec<FileRecord>,
    /// How pixel values are stored in the files.
    pub(crate) reading: ImageEncoding,
    /// Remarks for the user, a sentence each.
    pub(crate) notices: Vec<String>,
    /// The tables to which the rows of the splits refer, if the source has tables; their columns are not fitted yet.
    pub(crate) tables: Option<SourceTables>,
}

/// Reads other labelled examples at `path`, to test a trained network on them.
///
/// For a network on tables, `path` is a csv file with the columns of the training data. For a network on images it is a
/// folder with a folder of pictures per class; or a folder with `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte` (or
/// other usual names), or one of these files.
///
/// `data` is the experiment's section: it names the label column, and the source, which gives the numbers in IDX files
/// their class names. Columns, image size and classes must be those of `profile`.
pub fn labelled(path: &Path, data: &Data, profile: &Profile) -> Result<Split, DataError> {
    reader(data.source).labelled(path, data, profile)
}

/// `data.path`, which this source requires.
fn path_of(data: &Data) -> Result<&Path, DataError> {
    data.path.as_deref().ok_or_else(|| {
        let needed = data.source.facts().path.unwrap_or("a path");
        let mismatch = Mismatch::in_key("data.path", needed, "nothing");
        let remedy = format!("source {:?} reads the user's own data: set data.path", data.source.name());
        DataError::unfit("no path to the data", mismatch.remedy(remedy))
    })
}

/// Labelled pictures at `path`: IDX test files or a folder per class. The labels of IDX files are indices into
/// `names`, or the names of the classes themselves.
fn labelled_pictures(
    path: &Path,
    names: Option<&[&str]>,
    data: &Data,
    profile: &Profile,
) -> Result<Split, DataError> {
    match idx_folder::labelled(path, names, data, profile) {
        Some(split) => split,
        None => image_folder::labelled(path, data, profile),
    }
}

/// The first `count` bytes of a file, fewer if it is shorter.
pub(crate) fn start_of(path: &Path, count: usize) -> io::Result<Vec<u8>> {
    let mut start = Vec::with_capacity(count);
    File::open(path)?.take(count as u64).read_to_end(&mut start)?;
    Ok(start)
}

pub(crate) fn not_pictures(path: &Path) -> DataError {
    DataError::unfit("missing data", Mismatch::new(path, "the columns of a table", "pictures"))
}

/// An error if `folder` is not a folder.
fn check_folder(folder: &Path, expected: &str) -> Result<(), DataError> {
    if folder.is_dir() {
        return Ok(());
    }
    let found = if folder.exists() { "a file" } else { "nothing" };
    let mismatch =
        Mismatch::new(folder, expected, found).remedy("check data.path, data.test_path or the given path");
    Err(DataError::unfit("missing data", mismatch))
}
