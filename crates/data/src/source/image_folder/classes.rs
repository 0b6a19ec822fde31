//! The class of every picture: the name of its folder, or its row in a table in or beside the folder.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use kiln_config::listed as alternatives;
use kiln_table::{ReadOptions, Record, Records, counted, listed, quoted};

use super::entries::{Entry, FolderEntries, SkippedFiles, below, is_table};
use crate::{DataError, Mismatch};

/// The most tables that are searched.
const MOST_TABLES: usize = 32;
/// Larger tables are not searched.
const MOST_BYTES: u64 = 64 << 20;
/// The usual names of the class column, for tables without the column `data.label_column`.
const CLASS_COLUMNS: [&str; 9] =
    ["label", "labels", "class", "classid", "class_id", "classname", "class_name", "category", "target"];

/// A class and its pictures.
#[derive(Debug)]
pub(super) struct PictureClass {
    pub(super) name: String,
    /// The class's folder, or the table that names its pictures.
    pub(super) path: PathBuf,
    /// Sorted by name, relative to the class's folder.
    pub(super) pictures: Vec<Entry>,
}

/// The pictures in the folder of a split.
#[derive(Debug)]
pub(super) enum SplitPictures {
    /// Classes with their pictures, sorted by name.
    Classed(Vec<PictureClass>),
    /// Pictures whose classes are unknown.
    Unlabelled(Vec<Entry>),
}

impl SplitPictures {
    /// Lists `folder`: a folder of pictures for each class, or pictures and a table of their classes.
    pub(super) fn find(
        folder: &Path,
        label_column: &str,
        skipped: &mut SkippedFiles,
    ) -> Result<Self, DataError> {
        let FolderEntries { folders, pictures, tables } = FolderEntries::read(folder, skipped)?;
        if !pictures.is_empty()
            && let Some(labels) = LabelsFile::find(folder, &pictures, &tables, label_column)?
        {
            skipped.note_all(&folders);
            return Ok(Self::Classed(by_label(pictures, &labels, skipped)?));
        }
        if folders.is_empty() && !pictures.is_empty() {
            return Ok(Self::Unlabelled(pictures));
        }
        if folders.is_empty() {
            let mismatch = Mismatch::new(folder, "a folder per class", "none");
            let remedy = "put the pictures of each class in a folder with the name of the class";
            return Err(DataError::unfit("no class folders", mismatch.remedy(remedy)));
        }
        skipped.note_all(&pictures);
        skipped.note_all(&tables);
        let class = |Entry { name, path }: Entry| {
            Ok(PictureClass { pictures: in_class(&name, &path, skipped)?, name, path })
        };
        Ok(Self::Classed(folders.into_iter().map(class).collect::<Result<_, DataError>>()?))
    }

    /// The classes; an error if the classes of the pictures in `folder` are unknown.
    pub(super) fn classes(self, folder: &Path) -> Result<Vec<PictureClass>, DataError> {
        match self {
            Self::Classed(classes) => Ok(classes),
            Self::Unlabelled(pictures) => Err(unlabelled(folder, &pictures)),
        }
    }
}

/// The pictures by class; those without a class in `labels` are skipped.
fn by_label(
    pictures: Vec<Entry>,
    labels: &LabelsFile,
    skipped: &mut SkippedFiles,
) -> Result<Vec<PictureClass>, DataError> {
    let mut classes: Vec<PictureClass> = Vec::new();
    for picture in pictures {
        let Some(name) = labels.class_of(&picture.name)? else {
            skipped.note(&picture.path);
            continue;
        };
        match classes.iter_mut().find(|class| class.name == name) {
            Some(class) => class.pictures.push(picture),
            None => classes.push(PictureClass {
                name: name.to_owned(),
                path: labels.path().to_owned(),
                pictures: vec![picture],
            }),
        }
    }
    classes.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(classes)
}

/// The pictures in the folder of a class and in its subfolders.
fn in_class(class: &str, folder: &Path, skipped: &mut SkippedFiles) -> Result<Vec<Entry>, DataError> {
    let entries = FolderEntries::read(folder, skipped)?;
    skipped.note_all(&entries.tables);
    let mut pictures = entries.pictures;
    if pictures.is_empty() {
        let mismatch = |found: &str| Mismatch::new(folder, "at least one picture", found);
        let mismatch = if entries.folders.is_empty() {
            let remedy = format!("add pictures of {}, or remove the folder", quoted(class));
            mismatch("none").remedy(remedy)
        } else {
            let found = format!("only folders, such as {}", quoted(&entries.folders[0].name));
            mismatch(&found).remedy(
                "move the pictures up into the folder of their class, or set data.path to the folder that contains the \
                 class folders",
            )
        };
        return Err(DataError::unfit("class without pictures", mismatch));
    }
    for inner in entries.folders {
        below(&inner, &mut pictures, 1, skipped)?;
    }
    Ok(pictures)
}

fn unlabelled(folder: &Path, pictures: &[Entry]) -> DataError {
    let found = format!("{}, such as {}", counted(pictures.len(), "picture"), quoted(&pictures[0].name));
    let mismatch = Mismatch::new(
        folder,
        "a folder of pictures for each class, or a csv file with a column of file names and one of classes",
        found,
    );
    let beginnings = beginnings(pictures);
    let hint = if beginnings.is_empty() {
        String::new()
    } else {
        format!(" (the names begin with {}: are these the classes?)", alternatives(beginnings, "and"))
    };
    let remedy = format!(
        "put the pictures of each class in a folder with the name of the class{hint}, or put a labels.csv beside them; to \
         classify unknown pictures, use `kiln predict` with a trained network"
    );
    DataError::unfit("pictures without classes", mismatch.remedy(remedy))
}

/// The first words of the names, if they may be classes: few, and one in every name, as in `cat.0.png`.
fn beginnings(pictures: &[Entry]) -> Vec<String> {
    let word = |picture: &Entry| picture.name.chars().take_while(|letter| letter.is_alphabetic()).collect();
    let mut words: Vec<String> = pictures.iter().map(word).collect();
    words.sort_unstable();
    words.dedup();
    let is_telling = (2..=10).contains(&words.len()) && words.len() * 2 <= pictures.len();
    if is_telling && words.iter().all(|word| !word.is_empty()) { words } else { Vec::new() }
}

/// The classes of pictures, by the pictures' names.
#[derive(Debug)]
pub(super) struct LabelsFile {
    table: PictureTable,
    class_column: usize,
    /// The rows of each picture, by its name as in the table, with or without extension.
    rows: HashMap<String, Vec<usize>>,
}

impl LabelsFile {
    /// Finds the table that names `pictures`: among `tables` in `folder`, or else beside the folder. `None` if no table
    /// names at least half of them.
    pub(super) fn find(
        folder: &Path,
        pictures: &[Entry],
        tables: &[Entry],
        label_column: &str,
    ) -> Result<Option<Self>, DataError> {
        let inside: Vec<PathBuf> = tables.iter().map(|table| table.path.clone()).collect();
        for paths in [inside, beside(folder)] {
            let found =
                paths.iter().take(MOST_TABLES).filter_map(|path| PictureTable::of_pictures(path, pictures));
            if let Some(table) = chosen(folder, found.collect())? {
                return Self::of_table(table, label_column).map(Some);
            }
        }
        Ok(None)
    }

    fn of_table(table: PictureTable, label_column: &str) -> Result<Self, DataError> {
        let class_column = table.class_column(label_column)?;
        let mut rows: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, row) in table.rows.iter().enumerate().skip(usize::from(table.has_header)) {
            if let Some(cell) = row.get(table.file_column) {
                rows.entry(file_name(cell).to_owned()).or_default().push(at);
            }
        }
        Ok(Self { table, class_column, rows })
    }

    /// The class of a picture; `None` if it is not in the table.
    pub(super) fn class_of(&self, picture: &str) -> Result<Option<&str>, DataError> {
        let rows = [picture, stem(picture)].into_iter().find_map(|name| self.rows.get(name));
        let mut classes = rows.into_iter().flatten().map(|&row| self.class_in(row));
        let Some(class) = classes.next() else { return Ok(None) };
        if let Some(other) = classes.find(|other| *other != class) {
            let found = format!("{} and {}", quoted(class), quoted(other));
            let mismatch = Mismatch::new(&self.table.path, "one class for each picture", found)
                .place(format!("picture {}", quoted(picture)));
            return Err(DataError::unfit("picture with two classes", mismatch));
        }
        Ok(Some(class).filter(|class| !class.is_empty()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.table.path
    }

    fn class_in(&self, row: usize) -> &str {
        self.table.rows[row].get(self.class_column).map_or("", String::as_str)
    }
}

/// The tables beside `folder`.
fn beside(folder: &Path) -> Vec<PathBuf> {
    let parent = match folder.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new(".").to_owned(),
        Some(parent) => parent.to_owned(),
        None => return Vec::new(),
    };
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| is_table(path) && path.is_file()).collect();
    paths.sort();
    paths
}

/// The table with the name of `folder`, or else the only one.
fn chosen(folder: &Path, mut tables: Vec<PictureTable>) -> Result<Option<PictureTable>, DataError> {
    let is_namesake = |table: &PictureTable| match (table.path.file_stem(), folder.file_name()) {
        (Some(stem), Some(name)) => stem.eq_ignore_ascii_case(name),
        _ => false,
    };
    if let Some(at) = tables.iter().position(is_namesake) {
        return Ok(Some(tables.swap_remove(at)));
    }
    if tables.len() > 1 {
        let paths: Vec<String> = tables.iter().map(|table| table.path.display().to_string()).collect();
        let found = listed(paths.iter().map(String::as_str), 5);
        let mismatch = Mismatch::new(folder, "one csv file that names these pictures", found)
            .remedy("remove the others, or give one the name of the folder");
        return Err(DataError::unfit("several files of labels", mismatch));
    }
    Ok(tables.pop())
}

/// A table that names pictures.
#[derive(Debug)]
pub(super) struct PictureTable {
    pub(super) path: PathBuf,
    pub(super) rows: Vec<Vec<String>>,
    /// The column of the pictures' names.
    pub(super) file_column: usize,
    pub(super) has_header: bool,
}

impl PictureTable {
    /// The table at `path`, if it can be read and one of its columns names at least half of `pictures`. A
    /// competition's sample submission is ignored: its classes are placeholders.
    pub(super) fn of_pictures(path: &Path, pictures: &[Entry]) -> Option<Self> {
        let name = path.file_stem()?.to_string_lossy().to_lowercase();
        if name.contains("submission") || path.metadata().ok()?.len() > MOST_BYTES {
            return None;
        }
        let rows = rows(path)?;
        let names: HashSet<&str> =
            pictures.iter().flat_map(|picture| [&*picture.name, stem(&picture.name)]).collect();
        let is_named = |row: &Vec<String>, column: usize| {
            row.get(column).is_some_and(|cell| names.contains(file_name(cell)))
        };
        let columns = rows.first()?.len();
        let counts = (0..columns).map(|column| rows.iter().filter(|row| is_named(row, column)).count());
        // The first of equal columns.
        let (file_column, count) =
            counts.enumerate().max_by_key(|&(column, count)| (count, columns - column))?;
        let has_header = !is_named(&rows[0], file_column);
        (count * 2 >= pictures.len()).then(|| Self { path: path.to_owned(), rows, file_column, has_header })
    }

    /// The column of classes: the one called `label_column`, or one with a usual name, or the only other column.
    pub(super) fn class_column(&self, label_column: &str) -> Result<usize, DataError> {
        let header = &self.rows[0];
        let others = || (0..header.len()).filter(|&column| column != self.file_column);
        if self.has_header {
            let named = |name: &str| others().find(|&column| header[column].eq_ignore_ascii_case(name));
            if let Some(column) = named(label_column).or_else(|| CLASS_COLUMNS.into_iter().find_map(named)) {
                return Ok(column);
            }
        }
        if let (Some(column), 2) = (others().next(), header.len()) {
            return Ok(column);
        }
        let columns = listed(header.iter().map(String::as_str), 10);
        let mismatch =
            Mismatch::new(&self.path, format!("a column {} with the classes", quoted(label_column)), columns)
                .place("line 1")
                .remedy("set data.label_column to the name of the column with the classes");
        Err(DataError::unfit("no column of classes", mismatch))
    }
}

/// The rows of the table at `path`; `None` if it cannot be read.
fn rows(path: &Path) -> Option<Vec<Vec<String>>> {
    let options = ReadOptions { header: Some(false), ..ReadOptions::default() };
    let mut records = Records::open(path, &options).ok()?;
    let (mut rows, mut record) = (Vec::new(), Record::default());
    while records.next(&mut record).ok()? {
        rows.push(record.cells().map(str::to_owned).collect());
    }
    Some(rows)
}

/// The part of a path after its last slash or backslash.
pub(super) fn file_name(cell: &str) -> &str {
    cell.rsplit(['/', '\\']).next().unwrap_or(cell)
}

/// `name` without its extension.
pub(super) fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The classes of a.png, b.png and c.png in the folder `train` by these tables.
    fn classes(tables: &[(&str, &str)], label_column: &str) -> Result<Option<Vec<String>>, String> {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("train");
        fs::create_dir(&folder).unwrap();
        for (name, text) in tables {
            fs::write(folder.join(name), text).unwrap();
        }
        let entry = |name: &str| Entry { name: name.to_owned(), path: folder.join(name) };
        let pictures: Vec<Entry> = ["a.png", "b.png", "c.png"].map(entry).to_vec();
        let inside: Vec<Entry> = tables
            .iter()
            .map(|(name, _)| entry(name))
            .filter(|table| !table.name.starts_with(".."))
            .collect();
        let text = |error: DataError| error.to_string();
        let found = LabelsFile::find(&folder, &pictures, &inside, label_column).map_err(text)?;
        let Some(found) = found else { return Ok(None) };
        let class =
            |picture: &Entry| Ok(found.class_of(&picture.name).map_err(text)?.unwrap_or("-").to_owned());
        pictures.iter().map(class).collect::<Result<_, String>>().map(Some)
    }

    #[test]
    fn a_table_in_or_beside_the_folder_names_the_classes() {
        let all = Ok(Some(vec!["cat".to_owned(), "dog".to_owned(), "cat".to_owned()]));
        for (name, text) in [
            ("labels.csv", "file,label\na.png,cat\nb.png,dog\nc.png,cat\n"),
            ("x.csv", "\u{feff}id;breed\r\na;cat\r\nb;dog\r\nc;cat\r\n"),
            ("labels.tsv", "w\tClass\tpath\n1\tcat\timages/a.png\n2\tdog\timages\\b.png\n3\tcat\tc.png\n"),
            ("labels.csv", "a.png,cat\nb.png,dog\nc.png,cat\n"),
            ("../train.csv", "name,label\na.png,cat\nb.png,dog\nc.png,cat\nz.png,eel\n"),
        ] {
            assert_eq!(classes(&[(name, text)], "label"), all, "{text}");
        }
        let several = "file,age,kind\na.png,1,cat\nb.png,2,dog\nc.png,3,cat\n";
        assert_eq!(classes(&[("x.csv", several)], "kind"), all);
    }

    #[test]
    fn pictures_that_are_not_in_a_table_have_no_class() {
        assert_eq!(classes(&[("x.csv", "file,label\nz.png,cat\n")], "label"), Ok(None));
        assert_eq!(
            classes(&[("sample_submission.csv", "a,b\na.png,0\nb.png,0\nc.png,0\n")], "label"),
            Ok(None)
        );
        let some = classes(&[("x.csv", "file,label\na.png,cat\nb.png,\n")], "label");
        assert_eq!(some, Ok(Some(["cat", "-", "-"].map(str::to_owned).to_vec())));
    }

    #[test]
    fn ambiguous_tables_are_refused() {
        let one = "file,label\na.png,cat\nb.png,dog\nc.png,cat\n";
        let error = classes(&[("x.csv", one), ("y.csv", one)], "label").unwrap_err();
        assert!(error.contains("x.csv") && error.contains("y.csv"), "{error}");
        let error = classes(&[("x.csv", "file,u,v\na.png,1,2\nb.png,1,2\n")], "label").unwrap_err();
        assert!(error.contains("\"file\", \"u\", \"v\"") && error.contains("data.label_column"), "{error}");
        let error =
            classes(&[("x.csv", "file,label\na.png,cat\na.png,dog\nb.png,dog\n")], "label").unwrap_err();
        assert!(error.contains("\"a.png\"") && error.contains("\"cat\" and \"dog\""), "{error}");
    }
}
