//! Finding a run by what a person types.

use std::{
    cmp::Reverse,
    fs,
    path::{Path, PathBuf},
};

use crate::{ArtifactError, Run};

/// Names less alike than this (Jaro-Winkler, 0 to 1) are not worth suggesting.
const SIMILAR_ENOUGH: f64 = 0.7;
const SUGGESTIONS: usize = 3;

/// The run that `text`, which is not the path of a run, means below `root`.
pub(crate) fn find(root: &Path, text: &str) -> Result<Run, ArtifactError> {
    let all = all_runs(root)?;
    let named = || all.iter().filter(|run| run.name() == text);
    if text == "latest" || named().next().is_some() {
        let wanted = all.iter().filter(|run| text == "latest" || run.name() == text);
        return newest(wanted).ok_or_else(|| not_found(root, text, &all));
    }
    let matching = |fits: fn(&str, &str) -> bool| -> Vec<&Run> {
        all.iter().filter(|run| fits(run.id(), text) || fits(&full_name(run), text)).collect()
    };
    // A run of the same second with a suffix also begins with this run's whole name.
    let exact = matching(|name, text| name == text);
    let fitting = if exact.len() == 1 { exact } else { matching(|name, text| name.starts_with(text)) };
    match fitting.as_slice() {
        [] => Err(not_found(root, text, &all)),
        [run] => Run::open(run.folder()),
        several => Err(ArtifactError::AmbiguousRun {
            text: text.to_owned(),
            candidates: several.iter().map(|run| full_name(run)).collect(),
        }),
    }
}

/// Every folder below `root` that is a run or was meant to be one, by name and id; none without the root.
pub(crate) fn all_runs(root: &Path) -> Result<Vec<Run>, ArtifactError> {
    let mut runs = Vec::new();
    if !root.exists() {
        return Ok(runs);
    }
    for experiment in folders(root)? {
        // A folder that goes away, or may not be read, is no reason to hide the others.
        let found = folders(&experiment).unwrap_or_default();
        runs.extend(found.into_iter().filter(|folder| looks_like_run(folder)).map(Run::at));
    }
    Ok(runs)
}

/// That nothing is at `path`, with what lies beside it.
pub(crate) fn not_found_beside(path: &Path) -> ArtifactError {
    let text = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let root = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names = folders(root).unwrap_or_default().iter().map(|folder| file_name(folder)).collect();
    ArtifactError::RunNotFound { similar: similar(&text, names), root: root.to_owned(), text }
}

fn not_found(root: &Path, text: &str, all: &[Run]) -> ArtifactError {
    let mut names: Vec<String> = all.iter().map(|run| run.name().to_owned()).collect();
    names.dedup();
    names.extend(all.iter().map(full_name));
    ArtifactError::RunNotFound { text: text.to_owned(), root: root.to_owned(), similar: similar(text, names) }
}

fn similar(text: &str, names: Vec<String>) -> Vec<String> {
    let scored = names.into_iter().map(|name| (strsim::jaro_winkler(text, &name), name));
    let mut scored: Vec<(f64, String)> = scored.filter(|(score, _)| *score >= SIMILAR_ENOUGH).collect();
    scored.sort_by(|(left, _), (right, _)| right.total_cmp(left));
    scored.into_iter().take(SUGGESTIONS).map(|(_, name)| name).collect()
}

/// The run that was started last. By its status, not by its folder's name: local time goes back once a year.
fn newest<'a>(runs: impl Iterator<Item = &'a Run>) -> Option<Run> {
    let mut started: Vec<_> =
        runs.filter_map(|run| Some((run.status().ok()?.started, run.id().to_owned(), run))).collect();
    started.sort_by_key(|(started, id, _)| Reverse((*started, id.clone())));
    started.first().map(|(_, _, run)| (*run).clone())
}

fn full_name(run: &Run) -> String {
    format!("{}/{}", run.name(), run.id())
}

/// Has a run's name (`2026-08-01_12-30-00-...`), or a run's files.
fn looks_like_run(folder: &Path) -> bool {
    let name = file_name(folder);
    let pattern = "dddd-dd-dd_dd-dd-dd-";
    let fits =
        |(found, wanted): (char, char)| if wanted == 'd' { found.is_ascii_digit() } else { found == wanted };
    let named = name.len() > pattern.len() && name.chars().zip(pattern.chars()).all(fits);
    named || folder.join("status.json").is_file() || folder.join("config.toml").is_file()
}

/// The folders in a folder by name, without the hidden ones.
fn folders(parent: &Path) -> Result<Vec<PathBuf>, ArtifactError> {
    let entries = fs::read_dir(parent).map_err(|cause| ArtifactError::io("read", parent, cause))?;
    let mut folders: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir() && !file_name(path).starts_with('.'))
        .collect();
    folders.sort();
    Ok(folders)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Status, Timestamp,
        test_run::{CONFIG, TestRun, create},
    };

    fn set_started(run: &Run, second: i64) {
        let started = Timestamp::from_second(second).unwrap();
        run.write_status(&Status { started, ..run.status().unwrap() }).unwrap();
    }

    /// Three runs, `digits` twice and `mnist` once, started in this order whatever their names say.
    fn three_runs() -> (TestRun, Run, Run) {
        let first = TestRun::new();
        let second = create(first.root(), "digits", CONFIG);
        let third = create(first.root(), "mnist", CONFIG);
        set_started(&first, 30);
        set_started(&second, 10);
        set_started(&third, 20);
        (first, second, third)
    }

    #[test]
    fn latest_is_by_start_and_not_by_name() {
        let (first, _, third) = three_runs();
        assert_eq!(&Run::resolve(first.root(), "latest").unwrap(), &*first);
        assert_eq!(&Run::resolve(first.root(), "digits").unwrap(), &*first);
        assert_eq!(Run::resolve(first.root(), "mnist").unwrap(), third);
    }

    #[test]
    fn a_path_a_whole_name_and_a_prefix_are_found() {
        let (first, second, third) = three_runs();
        let resolve = |text: &str| Run::resolve(first.root(), text);
        assert_eq!(&resolve(&second.folder().to_string_lossy()).unwrap(), &second);
        assert_eq!(&resolve(&format!("digits/{}", second.id())).unwrap(), &second);
        assert_eq!(&resolve(&format!("mnist/{}", &third.id()[..10])).unwrap(), &third);
    }

    #[test]
    fn a_whole_name_wins_over_the_longer_ones_that_begin_with_it() {
        let run = TestRun::new();
        let longer = run.folder().with_file_name(format!("{}-2", run.id()));
        fs::create_dir(&longer).unwrap();
        for file in ["config.toml", "status.json"] {
            fs::copy(run.folder().join(file), longer.join(file)).unwrap();
        }
        assert_eq!(&Run::resolve(run.root(), run.id()).unwrap(), &*run);
    }

    #[test]
    fn a_prefix_of_several_lists_them() {
        let (first, second, third) = three_runs();
        let message = Run::resolve(first.root(), &first.id()[..4]).unwrap_err().to_string();
        for run in [&*first, &second, &third] {
            assert!(message.contains(&full_name(run)), "{message}");
        }
    }

    #[test]
    fn a_typing_error_is_answered_with_a_name() {
        let (first, ..) = three_runs();
        let message = Run::resolve(first.root(), "digist").unwrap_err().to_string();
        assert!(
            message.contains("no run \"digist\"") && message.contains("did you mean digits"),
            "{message}"
        );
        assert!(Run::resolve(&first.root().join("nowhere"), "latest").is_err());
    }
}
