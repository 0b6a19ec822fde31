//! Every file in `tests/broken` has a mistake on each line that ends in `# expect: KEY`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use kiln_config::{ConfigError, Origin};

#[test]
fn every_broken_file_is_refused_naming_file_line_and_key() {
    let files = files();
    assert!(files.len() >= 50, "only {} broken files", files.len());
    let mut messages = String::new();
    for file in files {
        let Err(error) = crate::file(&file, &[]) else { panic!("{} was let through", file.display()) };
        let expected = expected(&file);
        assert!(!expected.is_empty(), "{} expects nothing", file.display());
        assert_eq!(places(&error), expected.iter().map(|(line, _)| *line).collect::<Vec<_>>(), "{error}");
        for (line, key) in &expected {
            let place = format!("{}:{line}: ", file.display());
            let named = error.problems.iter().map(ToString::to_string).any(|message| {
                message.strip_prefix(&place).is_some_and(|message| message.contains(key.as_str()))
            });
            assert!(named, "{place}{key} is not in\n{error}");
        }
        writeln!(messages, "{error}").unwrap();
    }
    insta::assert_snapshot!(messages);
}

fn files() -> Vec<PathBuf> {
    let entries = Path::new("tests/broken").read_dir().unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The lines that ought to be named, each with the key.
fn expected(file: &Path) -> Vec<(usize, String)> {
    let text = std::fs::read_to_string(file).unwrap();
    let lines = text.lines().enumerate();
    lines
        .filter_map(|(index, line)| line.split_once("# expect: ").map(|(_, key)| (index + 1, key.to_owned())))
        .collect()
}

/// The lines that were named, from top to bottom.
fn places(error: &ConfigError) -> Vec<usize> {
    let line = |origin: &Option<Origin>| match origin {
        Some(Origin::File { line, .. }) => *line,
        other => panic!("not a line: {other:?}"),
    };
    let mut lines: Vec<usize> = error.problems.iter().map(|problem| line(&problem.origin)).collect();
    lines.sort_unstable();
    lines
}
