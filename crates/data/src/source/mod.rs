//! Where examples come from: one module per kind of source.

mod catalog;
pub(crate) mod csv;
mod digits;
mod generated;
pub(crate) mod idx;
pub(crate) mod idx_folder;
pub(crate) mod image_folder;
pub(crate) mod picture;
mod published;
pub(crate) mod table;

use std::path::{Path, PathBuf};

use kiln_config::{Data, DataSource};

pub(crate) use catalog::{FASHION_MNIST, KMNIST, MNIST};
pub use catalog::{Published, PublishedFile};
pub(crate) use digits::ORIGIN as DIGITS_ORIGIN;
pub(crate) use generated::ORIGIN as GENERATED_ORIGIN;
pub(crate) use published::{Place, locate, note_path};

use crate::{DataError, Downloads, Fault, FileRecord, Folders, Progress, Shape, Split};

/// All that a source has, before any of it is selected or held out.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) classes: Vec<String>,
    pub(crate) train: Split,
    /// Test data, where the source has its own.
    pub(crate) test: Option<Split>,
    pub(crate) files: Vec<FileRecord>,
}

/// Reads all of the source that `data` names.
pub(crate) fn read(
    data: &Data,
    folders: &Folders,
    downloads: &Downloads,
    progress: &dyn Progress,
) -> Result<Source, DataError> {
    if let Some(set) = published(data.source) {
        return published::read(set, data.path.as_deref(), folders, downloads, progress);
    }
    match data.source {
        DataSource::Idx => idx_folder::read(path_of(data, "idx", "a folder with the four IDX files")?),
        DataSource::Csv => csv::read(data, path_of(data, "csv", "a csv file")?),
        DataSource::ImageFolder => {
            image_folder::read(data, path_of(data, "image-folder", "a folder with a folder per class")?)
        }
        source => Ok(generated_name(source).map_or_else(digits::read, |name| generated::read(data, name))),
    }
}

/// The name of a source that is generated.
pub(crate) fn generated_name(source: DataSource) -> Option<&'static str> {
    match source {
        DataSource::Moons => Some("moons"),
        DataSource::Spirals => Some("spirals"),
        DataSource::NoisyFeatures => Some("noisy-features"),
        _ => None,
    }
}

/// The published data set that `source` names, if it names one.
pub(crate) fn published(source: DataSource) -> Option<&'static Published> {
    match source {
        DataSource::Mnist => Some(&MNIST),
        DataSource::FashionMnist => Some(&FASHION_MNIST),
        DataSource::Kmnist => Some(&KMNIST),
        _ => None,
    }
}

/// `data.path`, which this source cannot do without.
fn path_of<'a>(data: &'a Data, source: &str, what: &str) -> Result<&'a Path, DataError> {
    data.path.as_deref().ok_or_else(|| {
        let fault = Fault::in_key("data.path", what, "nothing");
        DataError::unfit(
            "no path to the data",
            fault.remedy(format!("source \"{source}\" reads the user's own data: set data.path")),
        )
    })
}

/// An error if `folder` is not a folder.
fn check_folder(folder: &Path, expected: &str) -> Result<(), DataError> {
    if folder.is_dir() {
        return Ok(());
    }
    let found = if folder.exists() { "a file" } else { "nothing" };
    let fault = Fault::new(folder, expected, found).remedy("check data.path, data.test_path or --data");
    Err(DataError::unfit("missing data", fault))
}

/// The entries of `folder`, sorted by name, without the hidden ones.
fn visible_entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, DataError> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(DataError::read(folder))? {
        let entry = entry.map_err(DataError::read(folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Windows hides these two by attribute, not by name.
        if !name.starts_with('.') && name != "Thumbs.db" && name != "desktop.ini" {
            entries.push((name, entry.path()));
        }
    }
    entries.sort();
    Ok(entries)
}
