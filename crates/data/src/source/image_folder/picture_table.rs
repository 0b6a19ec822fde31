//! A table that names pictures.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use kiln_table::{ReadOptions, Record, Records, listed, quoted};

use super::entries::Entry;
use crate::{DataError, Fault};

/// Larger tables are not looked into.
const MOST_BYTES: u64 = 64 << 20;
/// What the column of classes is called where the experiment's `data.label_column` is not there.
const CLASS_COLUMNS: [&str; 9] =
    ["label", "labels", "class", "classid", "class_id", "classname", "class_name", "category", "target"];

/// A table that names pictures.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) path: PathBuf,
    pub(super) rows: Vec<Vec<String>>,
    /// The column of the names.
    pub(super) file_column: usize,
    pub(super) has_header: bool,
}

/// True if the name of a file is that of a table.
pub(super) fn is_table(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    matches!(extension.as_deref(), Some("csv" | "tsv"))
}

impl Table {
    /// The table at `path`, if one of its columns names at least half of `pictures`. What cannot be read is none, and
    /// so is what someone prepared to hand in answers: its classes are made up.
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
        // Of equal columns the first.
        let (file_column, count) =
            counts.enumerate().max_by_key(|&(column, count)| (count, columns - column))?;
        let has_header = !is_named(&rows[0], file_column);
        (count * 2 >= pictures.len()).then(|| Self { path: path.to_owned(), rows, file_column, has_header })
    }

    /// The column of classes: the one called `label_column`, or as such columns usually are, or the only other one.
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
        let fault = Fault::new(&self.path, format!("a column {} of classes", quoted(label_column)), columns)
            .place("line 1")
            .remedy("set data.label_column to the name of the column that has the classes");
        Err(DataError::unfit("no column of classes", fault))
    }
}

/// The rows of the table at `path`.
fn rows(path: &Path) -> Option<Vec<Vec<String>>> {
    let options = ReadOptions { header: Some(false), ..ReadOptions::default() };
    let mut records = Records::open(path, &options).ok()?;
    let (mut rows, mut record) = (Vec::new(), Record::default());
    while records.next(&mut record).ok()? {
        rows.push(record.cells().map(str::to_owned).collect());
    }
    Some(rows)
}

/// What follows the last slash.
pub(super) fn file_name(cell: &str) -> &str {
    cell.rsplit(['/', '\\']).next().unwrap_or(cell)
}

/// `name` without what follows its last dot.
pub(super) fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}
