//! What lies in a folder of pictures.

use std::collections::BTreeSet;
use std::fs::{self, DirEntry, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use kiln_table::{counted, listed};

use super::classes::is_table;
use crate::source::picture::{begins_as_picture, has_picture_name};
use crate::{DataError, Fault};

/// What systems and programs leave in folders, in lower case. They hide these by other means than a dot.
const SYSTEM: [&str; 7] =
    ["thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "@eadir", "__macosx", "$recycle.bin"];
/// The end of the names under which earlier versions of Kiln left what a network saw beside the user's pictures.
const SEEN: &str = ".seen.png";

/// So many of what was passed over are named.
const MOST_NAMED: usize = 5;

/// A file or folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) path: PathBuf,
}

/// What lies in a folder, each kind by name.
#[derive(Debug, Default)]
pub(super) struct Entries {
    pub(super) folders: Vec<Entry>,
    /// Files that are pictures by their name or by their first bytes.
    pub(super) pictures: Vec<Entry>,
    /// Tables, which may say what the pictures show.
    pub(super) tables: Vec<Entry>,
}

/// What was passed over below a folder.
#[derive(Debug)]
pub(super) struct PassedOver {
    root: PathBuf,
    /// No pictures.
    others: BTreeSet<String>,
    /// Left by predictions.
    seen: BTreeSet<String>,
}

impl Entries {
    /// Reads `folder`. What is no picture, no table and no folder is noted in `passed_over`.
    pub(super) fn read(folder: &Path, passed_over: &mut PassedOver) -> Result<Self, DataError> {
        let mut entries = Self::default();
        for entry in fs::read_dir(folder).map_err(DataError::read(folder))? {
            let entry = entry.map_err(DataError::read(folder))?;
            let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
            let kinds = match kind(&entry, &name) {
                Kind::Folder => &mut entries.folders,
                Kind::Picture => &mut entries.pictures,
                Kind::Table => &mut entries.tables,
                Kind::Seen => {
                    passed_over.seen.insert(passed_over.name_of(&path));
                    continue;
                }
                Kind::Other => {
                    passed_over.note(&path);
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

enum Kind {
    Folder,
    Picture,
    Table,
    Seen,
    Other,
}

fn kind(entry: &DirEntry, name: &str) -> Kind {
    let lower = name.to_lowercase();
    if name.starts_with('.') || SYSTEM.contains(&&*lower) {
        return Kind::Other;
    }
    // Links are followed. What a broken one should lead to is told when it is opened.
    let file_type = entry.file_type().ok().filter(|kind| !kind.is_symlink());
    let file_type = file_type.or_else(|| entry.path().metadata().ok().map(|metadata| metadata.file_type()));
    let Some(file_type) = file_type else {
        return if has_picture_name(name) { Kind::Picture } else { Kind::Other };
    };
    if file_type.is_dir() {
        return Kind::Folder;
    }
    // Pipes and devices have no end that one could wait for.
    if !file_type.is_file() {
        return Kind::Other;
    }
    if lower.ends_with(SEEN) {
        Kind::Seen
    } else if has_picture_name(name) {
        Kind::Picture
    } else if is_table(Path::new(name)) {
        Kind::Table
    } else if start_of(&entry.path()).is_some_and(|start| begins_as_picture(&start)) {
        Kind::Picture
    } else {
        Kind::Other
    }
}

fn start_of(path: &Path) -> Option<Vec<u8>> {
    let mut start = Vec::with_capacity(16);
    File::open(path).ok()?.take(16).read_to_end(&mut start).ok()?;
    Some(start)
}

impl PassedOver {
    /// Nothing yet; names count from `root`.
    pub(super) fn below(root: &Path) -> Self {
        Self { root: root.to_owned(), others: BTreeSet::new(), seen: BTreeSet::new() }
    }

    pub(super) fn note(&mut self, path: &Path) {
        self.others.insert(self.name_of(path));
    }

    pub(super) fn note_all(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.note(&entry.path);
        }
    }

    /// How many files and folders.
    pub(super) fn count(&self) -> usize {
        self.others.len() + self.seen.len()
    }

    fn name_of(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    /// What to tell of it.
    pub(super) fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        if !self.others.is_empty() {
            let named = listed(self.others.iter().map(String::as_str), MOST_NAMED);
            notices.push(format!("passed over what is no picture of a class: {named}"));
        }
        if !self.seen.is_empty() {
            let named = listed(self.seen.iter().map(String::as_str), MOST_NAMED);
            notices.push(format!("passed over what a network saw, saved by an earlier prediction: {named}"));
        }
        notices
    }
}

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
