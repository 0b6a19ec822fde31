//! What there is of a data set, without preparing it for training and without downloading anything.

use std::path::PathBuf;

use kiln_config::Data;
use kiln_table::Column;
use schemars::JsonSchema;
use serde::Serialize;

use crate::dataset::{content_hash, load_with};
use crate::source::{Means, Place, reader};
use crate::{DataError, Downloads, FileRecord, Folders, NoProgress, Normalizer, Shape};

/// A data set as it is on this machine, or as it would be.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "DataDescription")]
pub struct Description {
    /// The source, as `data.source` names it.
    #[serde(rename = "source")]
    pub name: String,
    /// Who made it, and its licence; null for the user's own data.
    pub origin: Option<String>,
    /// The folder or file where it is, or the folder that it would be downloaded to; null if embedded.
    pub location: Option<PathBuf>,
    /// What is in it; null if it is not on this machine.
    pub content: Option<Content>,
    /// Bytes that would have to be downloaded; zero if it is here.
    pub download_bytes: u64,
}

/// What is in a data set, before any of it is selected or held out.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "DataContent")]
pub struct Content {
    /// What the features of an example are.
    pub shape: Shape,
    /// Names of the classes, by number.
    pub classes: Vec<String>,
    /// Training examples of each class.
    pub train: Vec<usize>,
    /// Test examples of each class; null where test data has yet to be held out of the training data.
    pub test: Option<Vec<usize>>,
    /// Validation examples of each class; null where they have yet to be held out of the training data.
    pub validation: Option<Vec<usize>>,
    /// The files.
    pub files: Vec<FileRecord>,
    /// One hash over the names and contents of all files.
    pub sha256: String,
    /// What is remarkable about the data, a sentence each.
    pub notices: Vec<String>,
    /// What each column of a table was taken for, by the rows that an experiment trains on; absent where the
    /// data is not a table.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<Column>,
}

/// Describes the data that `data` names, as an experiment with this `seed` has them.
///
/// # Errors
/// If it is there and damaged; a published data set that is not there is described without content.
pub fn describe(data: &Data, seed: u64, folders: &Folders) -> Result<Description, DataError> {
    let reader = reader(data.source);
    let Place { path, missing_bytes } = reader.place(data, folders);
    Ok(Description {
        name: data.source.name().to_owned(),
        origin: reader.origin().map(str::to_owned),
        location: path,
        content: if missing_bytes == 0 { Some(content(data, seed, folders)?) } else { None },
        download_bytes: missing_bytes,
    })
}

fn content(data: &Data, seed: u64, folders: &Folders) -> Result<Content, DataError> {
    // No mirrors: what has vanished meanwhile is an error, not a download.
    let offline = Downloads { mirrors: Some(Vec::new()), ..Downloads::default() };
    let means = Means { folders, downloads: &offline, progress: &NoProgress };
    let source = reader(data.source).read(data, &means)?;
    let class_count = source.classes.len();
    let (mut shape, mut notices, mut columns) = (source.shape, source.notices, Vec::new());
    if source.tables.is_some() {
        let set = load_with(data, seed, folders, &offline, &NoProgress)?;
        if let Normalizer::Table(preparation) = &set.normalizer {
            columns.clone_from(&preparation.columns);
        }
        (shape, notices) = (set.shape, set.notices);
    }
    Ok(Content {
        train: source.train.counts(class_count),
        test: source.test.map(|test| test.counts(class_count)),
        validation: source.validation.map(|validation| validation.counts(class_count)),
        shape,
        classes: source.classes,
        sha256: content_hash(&source.files),
        files: source.files,
        notices,
        columns,
    })
}
