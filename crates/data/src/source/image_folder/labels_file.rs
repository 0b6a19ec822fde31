//! A table that says of what class each picture of a folder is.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use kiln_table::{listed, quoted};

use super::entries::Entry;
use super::picture_table::{Table, file_name, is_table, stem};
use crate::{DataError, Fault};

/// More tables than these are not looked into.
const MOST_TABLES: usize = 32;
/// The classes of pictures, by the pictures' names.
#[derive(Debug)]
pub(super) struct LabelsFile {
    table: Table,
    class_column: usize,
    /// Rows of each picture, by its name without what follows the last dot too.
    rows: HashMap<String, Vec<usize>>,
}

impl LabelsFile {
    /// The table among `tables` in `folder`, or else beside the folder, that names its `pictures`; none where no table
    /// names as many as half of them.
    pub(super) fn find(
        folder: &Path,
        pictures: &[Entry],
        tables: &[Entry],
        label_column: &str,
    ) -> Result<Option<Self>, DataError> {
        let inside: Vec<PathBuf> = tables.iter().map(|table| table.path.clone()).collect();
        for paths in [inside, beside(folder)] {
            let found = paths.iter().take(MOST_TABLES).filter_map(|path| Table::of_pictures(path, pictures));
            if let Some(table) = chosen(folder, found.collect())? {
                return Self::of_table(table, label_column).map(Some);
            }
        }
        Ok(None)
    }

    fn of_table(table: Table, label_column: &str) -> Result<Self, DataError> {
        let class_column = table.class_column(label_column)?;
        let mut rows: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, row) in table.rows.iter().enumerate().skip(usize::from(table.has_header)) {
            if let Some(cell) = row.get(table.file_column) {
                rows.entry(file_name(cell).to_owned()).or_default().push(at);
            }
        }
        Ok(Self { table, class_column, rows })
    }

    /// The class of the picture of this name; none where the table does not say it.
    pub(super) fn class_of(&self, picture: &str) -> Result<Option<&str>, DataError> {
        let rows = [picture, stem(picture)].into_iter().find_map(|name| self.rows.get(name));
        let mut classes = rows.into_iter().flatten().map(|&row| self.class_in(row));
        let Some(class) = classes.next() else { return Ok(None) };
        if let Some(other) = classes.find(|other| *other != class) {
            let found = format!("{} and {}", quoted(class), quoted(other));
            let fault = Fault::new(&self.table.path, "one class for each picture", found)
                .place(format!("picture {}", quoted(picture)));
            return Err(DataError::unfit("picture with two classes", fault));
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

/// The one that bears the name of `folder`, or else the only one.
fn chosen(folder: &Path, mut tables: Vec<Table>) -> Result<Option<Table>, DataError> {
    let is_namesake = |table: &Table| match (table.path.file_stem(), folder.file_name()) {
        (Some(stem), Some(name)) => stem.eq_ignore_ascii_case(name),
        _ => false,
    };
    if let Some(at) = tables.iter().position(is_namesake) {
        return Ok(Some(tables.swap_remove(at)));
    }
    if tables.len() > 1 {
        let paths: Vec<String> = tables.iter().map(|table| table.path.display().to_string()).collect();
        let found = listed(paths.iter().map(String::as_str), 5);
        let fault = Fault::new(folder, "one csv file that names these pictures", found)
            .remedy("take the others away, or give one the name of the folder");
        return Err(DataError::unfit("several files of labels", fault));
    }
    Ok(tables.pop())
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
    fn what_a_table_does_not_say_is_not_made_up() {
        assert_eq!(classes(&[("x.csv", "file,label\nz.png,cat\n")], "label"), Ok(None));
        assert_eq!(
            classes(&[("sample_submission.csv", "a,b\na.png,0\nb.png,0\nc.png,0\n")], "label"),
            Ok(None)
        );
        let some = classes(&[("x.csv", "file,label\na.png,cat\nb.png,\n")], "label");
        assert_eq!(some, Ok(Some(["cat", "-", "-"].map(str::to_owned).to_vec())));
    }

    #[test]
    fn tables_that_leave_a_choice_are_refused() {
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
