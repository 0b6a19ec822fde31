//! Where examples come from: one module per kind of source.
//!
//! A new source is a module with its [`Reader`], its row in [`reader`], and its variant of [`DataSource`], which says what
//! is known of it before any of it is read.

mod catalog;
pub(crate) mod csv;
mod digits;
mod generated;
pub(crate) mod idx;
mod idx_element;
mod idx_files;
mod idx_folder;
pub(crate) mod idx_images;
mod idx_name;
mod idx_numbers;
mod image_folder;
mod labels;
pub(crate) mod picture;
mod published;

use std::path::{Path, PathBuf};

use kiln_config::{Data, DataSource};

use catalog::{FASHION_MNIST, KMNIST, MNIST};
pub use catalog::{Published, PublishedFile};
pub use csv::read_options;
pub(crate) use csv::{Tables, prepared, unlabelled_rows};
pub use image_folder::{Pictures, pictures_below};
pub(crate) use published::note_path;

use crate::{
    DataError, Downloads, Fault, FileRecord, Folders, Framing, Profile, Progress, Reading, Shape, Split,
};

/// How a kind of source is read.
pub(crate) trait Reader {
    /// Who made the data, and its licence; none for the user's own data.
    fn origin(&self) -> Option<&'static str> {
        None
    }

    /// Where it is.
    fn place(&self, data: &Data, _folders: &Folders) -> Place {
        Place { path: data.path.clone(), missing_bytes: 0 }
    }

    /// Reads all of it.
    fn read(&self, data: &Data, means: &Means<'_>) -> Result<Source, DataError>;

    /// Reads labelled examples at `path` to test a network on; see [`labelled`](crate::labelled).
    fn labelled(&self, path: &Path, data: &Data, profile: &Profile) -> Result<Split, DataError>;

    /// How a user's picture is fitted to the size of the training pictures.
    fn framing(&self) -> Framing {
        Framing::Resize
    }
}

/// The reader of each source.
pub(crate) fn reader(source: DataSource) -> &'static dyn Reader {
    match source {
        DataSource::Digits => &digits::Digits,
        DataSource::Mnist => &MNIST,
        DataSource::FashionMnist => &FASHION_MNIST,
        DataSource::Kmnist => &KMNIST,
        DataSource::Idx => &idx_folder::IdxFolder,
        DataSource::Csv => &csv::Csv,
        DataSource::ImageFolder => &image_folder::ImageFolder,
        DataSource::Moons | DataSource::Spirals | DataSource::NoisyFeatures => &generated::Generated,
    }
}

/// What a source may need to get at its data.
#[derive(Clone, Copy)]
pub(crate) struct Means<'a> {
    pub(crate) folders: &'a Folders,
    pub(crate) downloads: &'a Downloads,
    pub(crate) progress: &'a dyn Progress,
}

/// Where a source's data is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The folder or file where it is, or the folder that it would be downloaded to; none if embedded.
    pub(crate) path: Option<PathBuf>,
    /// Bytes that would have to be downloaded; zero if it is here.
    pub(crate) missing_bytes: u64,
}

/// All that a source has, before any of it is selected or held out.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) classes: Vec<String>,
    pub(crate) train: Split,
    /// Validation data, where the source has its own.
    pub(crate) validation: Option<Split>,
    /// Test data, where the source has its own.
    pub(crate) test: Option<Split>,
    pub(crate) files: Vec<FileRecord>,
    /// How files of images are read.
    pub(crate) reading: Reading,
    /// What whoever uses the data should know, a sentence each.
    pub(crate) notices: Vec<String>,
    /// The tables whose rows the splits have, where their columns are yet to become features.
    pub(crate) tables: Option<Tables>,
}

/// `data.path`, which this source cannot do without.
fn path_of(data: &Data) -> Result<&Path, DataError> {
    data.path.as_deref().ok_or_else(|| {
        let needed = data.source.facts().path.unwrap_or("a path");
        let fault = Fault::in_key("data.path", needed, "nothing");
        let remedy = format!("source {:?} reads the user's own data: set data.path", data.source.name());
        DataError::unfit("no path to the data", fault.remedy(remedy))
    })
}

/// Labelled pictures at `path`: IDX test files, whose numbers mean `names` or themselves, or a folder per class.
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

pub(crate) fn not_pictures(path: &Path) -> DataError {
    DataError::unfit("missing data", Fault::new(path, "the columns of a table", "pictures"))
}

/// An error if `folder` is not a folder.
fn check_folder(folder: &Path, expected: &str) -> Result<(), DataError> {
    if folder.is_dir() {
        return Ok(());
    }
    let found = if folder.exists() { "a file" } else { "nothing" };
    let fault = Fault::new(folder, expected, found)
        .remedy("check data.path, data.test_path or the path that was given");
    Err(DataError::unfit("missing data", fault))
}
