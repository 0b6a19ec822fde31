//! The entries of a folder of pictures, and a record of the files that are skipped.

use std::collections::BTreeSet;
use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};

use kiln_table::{counted, listed};

use crate::source::picture::{begins_as_picture, has_picture_name};
use crate::source::start_of;
use crate::{DataError, Mismatch};

/// Files and folders of operating systems and programs that do not begin with a dot, in lower case.
const SYSTEM: [&str; 7] =
    ["thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "@eadir", "__macosx", "$recycle.bin"];
/// The extension of prepared inputs, which earlier versions of Kiln wrote beside the user's pictures.
const PREPARED_INPUT: &str = ".seen.png";
/// The most skipped files that a notice names.
const MOST_NAMED: usize = 5;
/// The most levels of folders within a class.
const MOST_DEPTH: usize = 8;

/// A file or folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) path: PathBuf,
}

/// The entries of a folder, each kind sorted by name.
#[derive(Debug, Default)]
pub(super) struct FolderEntries {
    pub(super) folders: Vec<Entry>,
    /// Pictures, by their extension or by their first bytes.
    pub(super) pictures: Vec<Entry>,
    /// Tables, which may have the classes of the pictures.
    pub(super) tables: Vec<Entry>,
}

/// Files and folders that were skipped below a folder.
#[derive(Debug)]
pub(super) struct SkippedFiles {
    root: PathBuf,
    /// Those that are not pictures of a class.
    others: BTreeSet<String>,
    /// Prepared inputs of earlier predictions.
    prepared_inputs: BTreeSet<String>,
}

impl FolderEntries {
    /// Lists `folder`. Everything but folders, pictures and tables is noted in `skipped`.
    pub(super) fn read(folder: &Path, skipped: &mut SkippedFiles) -> Result<Self, DataError> {
        let mut entries = Self::default();
        for entry in fs::read_dir(folder).map_err(DataError::read(folder))? {
            let entry = entry.map_err(DataError::read(folder))?;
            let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
            let kinds = match kind(&entry, &name) {
                EntryKind::Folder => &mut entries.folders,
                EntryKind::Picture => &mut entries.pictures,
                EntryKind::Table => &mut entries.tables,
                EntryKind::PreparedInput => {
                    skipped.prepared_inputs.insert(skipped.name_of(&path));
                    continue;
                }
                EntryKind::Other => {
                    skipped.note(&path);
                    continue;
                }
            };
            kinds.push(Entry { name, path });
        }
        for kind in [&mut entries.folders, &mut entries.pictures, &mut entries.tables] {
            kind.sort();
        }
        Ok(entries)
    }
}

enum EntryKind {
    Folder,
    Picture,
    Table,
    PreparedInput,
    Other,
}

fn kind(entry: &DirEntry, name: &str) -> EntryKind {
    let lower = name.to_lowercase();
    if name.starts_with('.') || SYSTEM.contains(&&*lower) {
        return EntryKind::Other;
    }
    // Links are followed. A broken link to a picture becomes an error when it is opened.
    let file_type = entry.file_type().ok().filter(|kind| !kind.is_symlink());
    let file_type = file_type.or_else(|| entry.path().metadata().ok().map(|metadata| metadata.file_type()));
    let Some(file_type) = file_type else {
        return if has_picture_name(name) { EntryKind::Picture } else { EntryKind::Other };
    };
    if file_type.is_dir() {
        return EntryKind::Folder;
    }
    // Reading a pipe or a device might never end.
    if !file_type.is_file() {
        return EntryKind::Other;
    }
    if lower.ends_with(PREPARED_INPUT) {
        EntryKind::PreparedInput
    } else if has_picture_name(name) {
        EntryKind::Picture
    } else if is_table(Path::new(name)) {
        EntryKind::Table
    } else if start_of(&entry.path(), 16).is_ok_and(|start| begins_as_picture(&start)) {
        EntryKind::Picture
    } else {
        EntryKind::Other
    }
}

/// Whether the file is a table, by its extension.
pub(super) fn is_table(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    matches!(extension.as_deref(), Some("csv" | "tsv"))
}

impl SkippedFiles {
    /// An empty record; its names are relative to `root`.
    pub(super) fn below(root: &Path) -> Self {
        Self { root: root.to_owned(), others: BTreeSet::new(), prepared_inputs: BTreeSet::new() }
    }

    pub(super) fn note(&mut self, path: &Path) {
        self.others.insert(self.name_of(path));
    }

    pub(super) fn note_all(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.note(&entry.path);
        }
    }

    /// The number of skipped files and folders.
    pub(super) fn count(&self) -> usize {
        self.others.len() + self.prepared_inputs.len()
    }

    fn name_of(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    pub(super) fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        if !self.others.is_empty() {
            let named = listed(self.others.iter().map(String::as_str), MOST_NAMED);
            notices.push(format!("skipped, because they are not pictures of a class: {named}"));
        }
        if !self.prepared_inputs.is_empty() {
            let named = listed(self.prepared_inputs.iter().map(String::as_str), MOST_NAMED);
            notices
                .push(format!("skipped, because they are prepared inputs of an earlier prediction: {named}"));
        }
        notices
    }
}

/// The pictures in a folder and in its subfolders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureFiles {
    /// Their paths, sorted.
    pub files: Vec<PathBuf>,
    /// The number of other files, which are skipped.
    pub passed_over: usize,
}

/// Finds the pictures below `folder`, by their extensions or by their first bytes. Finding no picture is an error.
pub fn pictures_below(folder: &Path) -> Result<PictureFiles, DataError> {
    let mut skipped = SkippedFiles::below(folder);
    let FolderEntries { folders, mut pictures, tables } = FolderEntries::read(folder, &mut skipped)?;
    skipped.note_all(&tables);
    for inner in &folders {
        below(inner, &mut pictures, 1, &mut skipped)?;
    }
    let mut files: Vec<PathBuf> = pictures.into_iter().map(|picture| picture.path).collect();
    files.sort();
    if files.is_empty() {
        let found = format!("none among {}", counted(skipped.count(), "file"));
        return Err(DataError::unfit("no pictures", Mismatch::new(folder, "at least one picture", found)));
    }
    Ok(PictureFiles { files, passed_over: skipped.count() })
}

/// Adds the pictures below `folder`. Names are relative to the class's folder.
pub(super) fn below(
    folder: &Entry,
    pictures: &mut Vec<Entry>,
    depth: usize,
    skipped: &mut SkippedFiles,
) -> Result<(), DataError> {
    // A link may lead to a parent folder.
    if depth > MOST_DEPTH || folder.path.is_symlink() {
        skipped.note(&folder.path);
        return Ok(());
    }
    let entries = FolderEntries::read(&folder.path, skipped)?;
    skipped.note_all(&entries.tables);
    let inner = |entry: Entry| Entry { name: format!("{}/{}", folder.name, entry.name), path: entry.path };
    pictures.extend(entries.pictures.into_iter().map(inner));
    for entry in entries.folders {
        below(&inner(entry), pictures, depth + 1, skipped)?;
    }
    Ok(())
}
