//! What a file is that was given in place of an experiment's.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes that are looked at.
const START: u64 = 4096;

/// What a file may be that is no experiment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// Rows and columns.
    Table,
    /// A picture.
    Picture,
    /// A folder, perhaps of pictures or IDX files.
    Folder,
    /// A JSON text.
    Json,
    /// A study's TOML file.
    Study,
}

impl FileKind {
    /// What the file at `path` is, by its name and its beginning; none where it may be an experiment file, or is not there.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        if path.is_dir() {
            return Some(Self::Folder);
        }
        let mut start = Vec::new();
        // A pipe would lose what is read of it here.
        File::open(path).ok().filter(|_| path.is_file())?.take(START).read_to_end(&mut start).ok()?;
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        match extension.as_deref() {
            Some("csv" | "tsv" | "data" | "arff" | "gz" | "parquet" | "xlsx" | "xls") => {
                return Some(Self::Table);
            }
            Some("png" | "jpg" | "jpeg" | "webp" | "bmp" | "gif" | "tif" | "tiff") => {
                return Some(Self::Picture);
            }
            Some("json" | "jsonl") => return Some(Self::Json),
            _ => {}
        }
        let text = String::from_utf8_lossy(&start);
        let lines = || text.lines().map(str::trim);
        if lines().any(|line| line == "[[trial]]" || line == "[axes]" || line.starts_with("[experiment")) {
            return Some(Self::Study);
        }
        let is_toml = lines().any(|line| line.starts_with('[') || line.contains('='));
        if text.trim_start().starts_with('{') {
            return Some(Self::Json);
        }
        let is_row = |line: &str| line.matches([',', ';', '\t']).count() >= 2;
        (!is_toml && lines().take(5).filter(|line| is_row(line)).count() >= 2).then_some(Self::Table)
    }

    /// Whether the file at `path` is an experiment's, by its sections.
    pub(crate) fn is_experiment(path: &Path) -> bool {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let sections = ["[data]", "[model]", "[loss]", "[optimizer]", "[training]"];
        let has = |wanted: &[&str]| text.lines().any(|line| wanted.contains(&line.trim()));
        has(&sections) && !has(&["[experiment]", "[[trial]]", "[[layer]]"])
    }

    /// What to do with the file at `path` instead of training it.
    pub(crate) fn advice(self, path: &Path) -> String {
        let path = path.display();
        match self {
            Self::Table => format!(
                "{path} is a table, and no experiment file: `kiln new {path} --label COLUMN` looks at it and writes one"
            ),
            Self::Folder => format!(
                "{path} is a folder, and no experiment file: `kiln new {path}` looks at the pictures in it and writes one"
            ),
            Self::Picture => {
                format!(
                    "{path} is a picture, and no experiment file: `kiln new FOLDER` writes one for a folder of pictures"
                )
            }
            Self::Json => {
                format!("{path} is JSON; experiment files are TOML (`kiln config show` prints one)")
            }
            Self::Study => format!("{path} is a study: `kiln study {path}` runs it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_name_and_by_what_they_begin_with() {
        let folder = tempfile::tempdir().unwrap();
        let kind = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            FileKind::of(&path)
        };
        assert_eq!(kind("a.csv", "a,b\n"), Some(FileKind::Table));
        assert_eq!(kind("table.txt", "a;b;c\n1;2;3\n4;5;6\n"), Some(FileKind::Table));
        assert_eq!(kind("a.toml", "name = \"a\"\n[data]\nsource = \"digits\"\n"), None);
        assert_eq!(kind("s.toml", "name = \"s\"\n[experiment]\n"), Some(FileKind::Study));
        assert_eq!(kind("x", "{\"a\": 1}"), Some(FileKind::Json));
        assert_eq!(FileKind::of(folder.path()), Some(FileKind::Folder));
        assert_eq!(FileKind::of(&folder.path().join("none")), None);
    }
}
