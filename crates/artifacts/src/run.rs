//! One run: a folder that already is one, found by path, name or prefix.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    ArtifactError, CheckpointStore, MetricRow, Provenance, RowLog, RunLock, RunState, Status, latest_run,
    replace_file,
};

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
    /// [`ArtifactError::RunNotFound`], with the names of similar siblings, when there is no such folder;
    /// [`ArtifactError::NotARun`] when it has no `config.toml` or no `status.json`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ArtifactError> {
        let path = path.as_ref();
        if !path.is_dir() {
            return Err(latest_run::not_found_beside(path));
        }
        let run = Self::at(path.to_owned());
        for (file, missing) in [(run.config_toml(), "config.toml"), (run.status_json(), "status.json")] {
            if !file.is_file() {
                return Err(ArtifactError::NotARun { path: path.to_owned(), missing });
            }
        }
        Ok(run)
    }

    /// The run that `text` means: the path of a run folder, `latest`, the name of an experiment (its latest
    /// run), or the beginning of a run's folder name (`2026-08-01_12` or `name/2026-08-01_12`) that fits one
    /// run alone.
    ///
    /// # Errors
    ///
    /// When no run fits (with similar names), or several do (with all of them).
    pub fn resolve(root: &Path, text: &str) -> Result<Self, ArtifactError> {
        let at_path = match Self::open(text) {
            Ok(run) => return Ok(run),
            Err(error) => error,
        };
        latest_run::find(root, text).map_err(|error| match error {
            // `artifacts/digits/2026` was meant as a path: what lies beside it helps, other names do not.
            ArtifactError::RunNotFound { .. } if has_existing_parent(text) => at_path,
            error => error,
        })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The experiment's name: the folder that the run folder lies in.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The run folder's own name, such as `2026-08-01_12-30-00-1a2b3c`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Takes the run for this process alone, until the lock is dropped or the process ends. Removes what a
    /// crashed process has left half-written.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::Locked`] when another process, or another lock of this one, has the run.
    pub fn lock(&self) -> Result<RunLock, ArtifactError> {
        RunLock::acquire(self)
    }

    /// The status as `status.json` has it. See [`Run::status_now`] for one that notices a dead process.
    ///
    /// # Errors
    ///
    /// When the file is missing or malformed.
    pub fn status(&self) -> Result<Status, ArtifactError> {
        Status::read(&self.status_json())
    }

    /// The status, with `running` turned into `interrupted` when no process holds the run's lock.
    ///
    /// # Errors
    ///
    /// When `status.json` is missing or malformed.
    pub fn status_now(&self) -> Result<Status, ArtifactError> {
        let status = self.status()?;
        if status.state != RunState::Running || RunLock::is_held(self) {
            return Ok(status);
        }
        // The process may have finished between the two looks.
        let status = self.status()?;
        let dead = status.state == RunState::Running;
        Ok(if dead { Status { state: RunState::Interrupted, ..status } } else { status })
    }

    /// The state by [`Run::status_now`].
    ///
    /// # Errors
    ///
    /// When `status.json` is missing or malformed.
    pub fn state_now(&self) -> Result<RunState, ArtifactError> {
        Ok(self.status_now()?.state)
    }

    /// Replaces `status.json` atomically, with `updated` set to now.
    ///
    /// # Errors
    ///
    /// When the folder is gone, full or may not be written to; the old status then stays.
    pub fn write_status(&self, status: &Status) -> Result<(), ArtifactError> {
        status.write(&self.status_json())
    }

    /// Puts a damaged file of the run out of the way, under its name with `.damaged` behind.
    ///
    /// # Errors
    ///
    /// When it cannot be renamed.
    pub fn set_aside(&self, file: &Path) -> Result<(), ArtifactError> {
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(".damaged");
        fs::rename(file, file.with_file_name(name)).map_err(|cause| ArtifactError::io("rename", file, cause))
    }

    /// The run in `folder`, whose `status.json` is missing or cannot be read: it gets one that says that it was
    /// interrupted. What it has come to, its checkpoints say.
    ///
    /// # Errors
    ///
    /// When the folder has no `config.toml`, or the file cannot be written.
    pub fn mend_status(folder: &Path) -> Result<Self, ArtifactError> {
        let run = Self::at(folder.to_owned());
        if !run.config_toml().is_file() {
            return Err(ArtifactError::NotARun { path: folder.to_owned(), missing: "config.toml" });
        }
        let _lock = run.lock()?;
        if run.status_json().is_file() {
            run.set_aside(&run.status_json())?;
        }
        run.write_status(&Status { state: RunState::Interrupted, ..Status::running(0, 0) })?;
        Ok(run)
    }

    /// Gives the run other settings: `resolved_toml`, which came of `overrides` besides those that it was made with.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or written.
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
    ///
    /// # Errors
    ///
    /// When the file is missing or malformed.
    pub fn provenance(&self) -> Result<Provenance, ArtifactError> {
        Provenance::read(self)
    }

    /// The store over `checkpoints/`.
    #[must_use]
    pub fn checkpoint_store(&self) -> CheckpointStore {
        CheckpointStore::new(self.checkpoints())
    }

    /// Every complete row of `metrics.jsonl`, in order.
    ///
    /// # Errors
    ///
    /// See [`RowLog::read`].
    pub fn metric_rows(&self) -> Result<Vec<MetricRow>, ArtifactError> {
        RowLog::read(&self.metrics())
    }

    /// The run at a folder that is known to be one, or about to become one.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{StopReason, test_run::TestRun};

    #[test]
    fn a_run_whose_process_is_gone_was_interrupted() {
        let run = TestRun::new();
        let lock = run.lock().unwrap();
        assert_eq!(run.state_now().unwrap(), RunState::Running);
        drop(lock);
        assert_eq!(run.state_now().unwrap(), RunState::Interrupted);
        assert_eq!(run.status().unwrap().state, RunState::Running, "looking changes nothing");
        let finished = Status::running(3, 300).stopped(RunState::Finished, StopReason::Completed);
        run.write_status(&finished).unwrap();
        assert_eq!(run.state_now().unwrap(), RunState::Finished);
    }

    #[test]
    fn a_missing_folder_is_answered_with_similar_ones() {
        let run = TestRun::new();
        let mistyped = run.folder().with_file_name(run.id().replace('_', "-"));
        let resolved = Run::resolve(run.root(), &mistyped.to_string_lossy());
        for error in [Run::open(mistyped).unwrap_err(), resolved.unwrap_err()] {
            let message = error.to_string();
            assert!(message.contains(&format!("did you mean {}?", run.id())), "{message}");
        }
    }

    #[test]
    fn a_folder_without_a_run_is_told_apart() {
        let run = TestRun::new();
        let message = Run::open(run.root()).unwrap_err().to_string();
        assert!(message.contains("is not a run folder: it has no config.toml"), "{message}");
        fs::remove_file(run.status_json()).unwrap();
        let message = Run::open(run.folder()).unwrap_err().to_string();
        assert!(message.contains("it has no status.json"), "{message}");
    }
}
