//! A run: opening it, its status and settings, and finding it by what a user types.

use std::{
    cmp::Reverse,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    ArtifactError, CheckpointStore, MetricRow, Provenance, RowLog, RunLock, RunState, RunStatus, replace_file,
};

/// Names with a lower similarity (Jaro-Winkler, 0 to 1) are not suggested.
const SIMILAR_ENOUGH: f64 = 0.7;

const SUGGESTIONS: usize = 3;

/// A run folder, `<root>/<name>/<id>/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    folder: PathBuf,
    name: String,
    id: String,
}

impl Run {
    /// The run in this folder.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::RunNotFound`], with similar names, if there is no such folder; [`ArtifactError::NotARun`] if
    /// it does not have a `config.toml` and a `status.json`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ArtifactError> {
        let path = path.as_ref();
        if !path.is_dir() {
            return Err(not_found_beside(path));
        }
        let run = Self::at(path.to_owned());
        for (file, missing) in [(run.config_toml(), "config.toml"), (run.status_json(), "status.json")] {
            if !file.is_file() {
                return Err(ArtifactError::NotARun { path: path.to_owned(), missing });
            }
        }
        Ok(run)
    }

    /// Finds a run by the path of its folder, by `latest`, by the name of an experiment (its latest run), or by the
    /// beginning of the folder's name (`2026-08-01_12` or `name/2026-08-01_12`), if it fits only one run.
    ///
    /// # Errors
    ///
    /// If no run fits (with similar names), or several runs fit (with their names).
    pub fn resolve(root: &Path, text: &str) -> Result<Self, ArtifactError> {
        let at_path = match Self::open(text) {
            Ok(run) => return Ok(run),
            Err(error) => error,
        };
        find(root, text).map_err(|error| match error {
            // `artifacts/digits/2026` is meant as a path, so only names in the same folder help.
            ArtifactError::RunNotFound { .. } if has_existing_parent(text) => at_path,
            error => error,
        })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The experiment's name, which is the name of the parent folder.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The run folder's own name, such as `2026-08-01_12-30-00-1a2b3c`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Locks the run for this process until the lock is dropped or the process ends, and removes temporary files of a
    /// crashed process.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::Locked`] if another process, or another lock of this process, has the run.
    pub fn lock(&self) -> Result<RunLock, ArtifactError> {
        RunLock::acquire(self)
    }

    /// The status in `status.json`. [`Run::status_now`] also notices that the process is dead.
    pub fn status(&self) -> Result<RunStatus, ArtifactError> {
        RunStatus::read(&self.status_json())
    }

    /// The status, with `interrupted` in place of `running` if no process holds the run's lock.
    pub fn status_now(&self) -> Result<RunStatus, ArtifactError> {
        let status = self.status()?;
        if status.state != RunState::Running || RunLock::is_held(self) {
            return Ok(status);
        }
        // The process may have finished after the status was read.
        let status = self.status()?;
        let dead = status.state == RunState::Running;
        Ok(if dead { RunStatus { state: RunState::Interrupted, ..status } } else { status })
    }

    /// The state of [`Run::status_now`].
    pub fn state_now(&self) -> Result<RunState, ArtifactError> {
        Ok(self.status_now()?.state)
    }

    /// Replaces `status.json` atomically, with `updated` set to now. If writing fails, the old status stays.
    pub fn write_status(&self, status: &RunStatus) -> Result<(), ArtifactError> {
        status.write(&self.status_json())
    }

    /// Renames a damaged file of the run: adds `.damaged` to its name.
    pub fn set_aside(&self, file: &Path) -> Result<(), ArtifactError> {
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(".damaged");
        fs::rename(file, file.with_file_name(name)).map_err(|cause| ArtifactError::io("rename", file, cause))
    }

    /// Opens the run in `folder` after writing a new `status.json` in place of a missing or unreadable one. The new
    /// status is `interrupted`; a resume finds the progress in the checkpoints.
    pub fn mend_status(folder: &Path) -> Result<Self, ArtifactError> {
        let run = Self::at(folder.to_owned());
        if !run.config_toml().is_file() {
            return Err(ArtifactError::NotARun { path: folder.to_owned(), missing: "config.toml" });
        }
        let _lock = run.lock()?;
        if run.status_json().is_file() {
            run.set_aside(&run.status_json())?;
        }
        run.write_status(&RunStatus { state: RunState::Interrupted, ..RunStatus::running(0, 0) })?;
        Ok(run)
    }

    /// Changes the run's configuration to `resolved_toml`, which results from `overrides` in addition to its earlier
    /// ones.
    pub fn set_config(&self, resolved_toml: &str, overrides: &[String]) -> Result<(), ArtifactError> {
        let path = self.overrides_txt();
        let before = fs::read_to_string(&path).map_err(|cause| ArtifactError::io("read", &path, cause))?;
        let key = |line: &str| line.split_once('=').map(|(key, _)| key.trim().to_owned());
        let is_kept = |line: &&str| !overrides.iter().any(|now| key(now) == key(line));
        let lines = before.lines().filter(is_kept).chain(overrides.iter().map(String::as_str));
        let lines: String = lines.flat_map(|line| [line, "\n"]).collect();
        replace_file(&path, lines.as_bytes())?;
        replace_file(&self.config_toml(), resolved_toml.as_bytes())
    }

    /// The provenance in `run.json`.
    pub fn provenance(&self) -> Result<Provenance, ArtifactError> {
        Provenance::read(self)
    }

    /// The checkpoints of the run.
    #[must_use]
    pub fn checkpoint_store(&self) -> CheckpointStore {
        CheckpointStore::new(self.checkpoints())
    }

    /// Every complete row of `metrics.jsonl`, in order; see [`RowLog::read`].
    pub fn metric_rows(&self) -> Result<Vec<MetricRow>, ArtifactError> {
        RowLog::read(&self.metrics())
    }

    /// The run at a folder that is a run, or is becoming one.
    pub(crate) fn at(folder: PathBuf) -> Self {
        let absolute = fs::canonicalize(&folder).unwrap_or_else(|_| folder.clone());
        let text = |name: Option<&std::ffi::OsStr>| name.unwrap_or_default().to_string_lossy().into_owned();
        let name = text(absolute.parent().and_then(Path::file_name));
        Self { id: text(absolute.file_name()), name, folder }
    }
}

fn has_existing_parent(text: &str) -> bool {
    Path::new(text).parent().is_some_and(|parent| !parent.as_os_str().is_empty() && parent.is_dir())
}

/// The run below `root` that `text` names. `text` is not the path of a run.
fn find(root: &Path, text: &str) -> Result<Run, ArtifactError> {
    let all = all_runs(root)?;
    let named = || all.iter().filter(|run| run.name() == text);
    if text == "latest" || named().next().is_some() {
        let wanted = all.iter().filter(|run| text == "latest" || run.name() == text);
        return newest(wanted).ok_or_else(|| not_found(root, text, &all));
    }
    let matching = |fits: fn(&str, &str) -> bool| -> Vec<&Run> {
        all.iter().filter(|run| fits(run.id(), text) || fits(&full_name(run), text)).collect()
    };
    // A run of the same second has this run's whole name and a suffix.
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

/// Every folder below `root` that is a run or was meant to be one, sorted by name and id. Empty if there is no root.
pub(crate) fn all_runs(root: &Path) -> Result<Vec<Run>, ArtifactError> {
    let mut runs = Vec::new();
    if !root.exists() {
        return Ok(runs);
    }
    for experiment in folders(root)? {
        // A folder that disappears or cannot be read does not hide the others.
        let found = folders(&experiment).unwrap_or_default();
        runs.extend(found.into_iter().filter(|folder| looks_like_run(folder)).map(Run::at));
    }
    Ok(runs)
}

/// The error that there is no folder at `path`, with similar names in the same folder.
fn not_found_beside(path: &Path) -> ArtifactError {
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

/// The run that was started last, by its status. The folder's name has local time, which goes back once a year.
fn newest<'a>(runs: impl Iterator<Item = &'a Run>) -> Option<Run> {
    let mut started: Vec<_> =
        runs.filter_map(|run| Some((run.status().ok()?.started, run.id().to_owned(), run))).collect();
    started.sort_by_key(|(started, id, _)| Reverse((*started, id.clone())));
    started.first().map(|(_, _, run)| (*run).clone())
}

fn full_name(run: &Run) -> String {
    format!("{}/{}", run.name(), run.id())
}

/// Whether a folder has the name of a run (`2026-08-01_12-30-00-...`) or its files.
fn looks_like_run(folder: &Path) -> bool {
    let name = file_name(folder);
    let pattern = "dddd-dd-dd_dd-dd-dd-";
    let fits =
        |(found, wanted): (char, char)| if wanted == 'd' { found.is_ascii_digit() } else { found == wanted };
    let named = name.len() > pattern.len() && name.chars().zip(pattern.chars()).all(fits);
    named || folder.join("status.json").is_file() || folder.join("config.toml").is_file()
}

/// The folders in `parent`, sorted by name, without hidden ones.
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
        StopReason, Timestamp,
        test_run::{CONFIG, TestRun, create},
    };

    #[test]
    fn a_run_whose_process_is_gone_was_interrupted() {
        let run = TestRun::new();
        let lock = run.lock().unwrap();
        assert_eq!(run.state_now().unwrap(), RunState::Running);
        drop(lock);
        assert_eq!(run.state_now().unwrap(), RunState::Interrupted);
        assert_eq!(run.status().unwrap().state, RunState::Running, "reading the state changes nothing");
        let finished = RunStatus::running(3, 300).stopped(RunState::Finished, StopReason::Completed);
        run.write_status(&finished).unwrap();
        assert_eq!(run.state_now().unwrap(), RunState::Finished);
    }

    #[test]
    fn the_error_of_a_missing_run_suggests_a_similar_one() {
        let run = TestRun::new();
        let mistyped = run.folder().with_file_name(run.id().replace('_', "-"));
        let resolved = Run::resolve(run.root(), &mistyped.to_string_lossy());
        for error in [Run::open(mistyped).unwrap_err(), resolved.unwrap_err()] {
            let message = error.to_string();
            assert!(message.contains(&format!("did you mean {}?", run.id())), "{message}");
        }
    }

    #[test]
    fn a_folder_without_a_run_is_refused() {
        let run = TestRun::new();
        let message = Run::open(run.root()).unwrap_err().to_string();
        assert!(message.contains("is not a run folder: it has no config.toml"), "{message}");
        fs::remove_file(run.status_json()).unwrap();
        let message = Run::open(run.folder()).unwrap_err().to_string();
        assert!(message.contains("it has no status.json"), "{message}");
    }

    fn set_started(run: &Run, second: i64) {
        let started = Timestamp::from_second(second).unwrap();
        run.write_status(&RunStatus { started, ..run.status().unwrap() }).unwrap();
    }

    /// Three runs, `digits` twice and `mnist` once. Their start times do not follow the order of their names.
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
    fn latest_is_the_run_that_started_last_and_not_the_last_name() {
        let (first, _, third) = three_runs();
        assert_eq!(&Run::resolve(first.root(), "latest").unwrap(), &*first);
        assert_eq!(&Run::resolve(first.root(), "digits").unwrap(), &*first);
        assert_eq!(Run::resolve(first.root(), "mnist").unwrap(), third);
    }

    #[test]
    fn a_run_is_found_by_its_path_its_name_or_the_start_of_its_name() {
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
    fn a_prefix_of_several_runs_lists_them() {
        let (first, second, third) = three_runs();
        let message = Run::resolve(first.root(), &first.id()[..4]).unwrap_err().to_string();
        for run in [&*first, &second, &third] {
            assert!(message.contains(&full_name(run)), "{message}");
        }
    }

    #[test]
    fn a_typing_error_is_answered_with_a_similar_name() {
        let (first, ..) = three_runs();
        let message = Run::resolve(first.root(), "digist").unwrap_err().to_string();
        assert!(
            message.contains("no run \"digist\"") && message.contains("did you mean digits"),
            "{message}"
        );
        assert!(Run::resolve(&first.root().join("nowhere"), "latest").is_err());
    }
}
