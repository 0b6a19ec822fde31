//! Folders within folders of pictures.

use std::path::{Path, PathBuf};

use kiln_table::counted;

use super::entries::{Entries, Entry, PassedOver};
use crate::{DataError, Fault};

/// Folders are looked into, this many one within the other.
const MOST_DEPTH: usize = 8;

/// The pictures in a folder and in the folders within it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pictures {
    /// Their files, sorted.
    pub files: Vec<PathBuf>,
    /// How many other files were passed over.
    pub passed_over: usize,
}

/// Finds the pictures below `folder`, by their names or by their first bytes.
///
/// # Errors
/// Where a folder cannot be read, or there is no picture.
pub fn pictures_below(folder: &Path) -> Result<Pictures, DataError> {
    let mut passed_over = PassedOver::below(folder);
    let Entries { folders, mut pictures, tables } = Entries::read(folder, &mut passed_over)?;
    passed_over.note_all(&tables);
    for inner in &folders {
        below(inner, &mut pictures, 1, &mut passed_over)?;
    }
    let mut files: Vec<PathBuf> = pictures.into_iter().map(|picture| picture.path).collect();
    files.sort();
    let passed_over = passed_over.count();
    if files.is_empty() {
        let found = format!("none among {}", counted(passed_over, "file"));
        return Err(DataError::unfit("no pictures", Fault::new(folder, "at least one picture", found)));
    }
    Ok(Pictures { files, passed_over })
}

/// Adds the pictures below `folder`, whose name counts from the class's folder.
pub(super) fn below(
    folder: &Entry,
    pictures: &mut Vec<Entry>,
    depth: usize,
    passed_over: &mut PassedOver,
) -> Result<(), DataError> {
    // A link may lead back to where it lies.
    if depth > MOST_DEPTH || folder.path.is_symlink() {
        passed_over.note(&folder.path);
        return Ok(());
    }
    let entries = Entries::read(&folder.path, passed_over)?;
    passed_over.note_all(&entries.tables);
    let inner = |entry: Entry| Entry { name: format!("{}/{}", folder.name, entry.name), path: entry.path };
    pictures.extend(entries.pictures.into_iter().map(inner));
    for entry in entries.folders {
        below(&inner(entry), pictures, depth + 1, passed_over)?;
    }
    Ok(())
}
