//! The run folder: how it is made, the paths in it, and the lock that ensures a single writer.

use std::{
    fs::{self, File, TryLockError},
    io::{Seek as _, Write as _},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use jiff::ZonedDateTime;
use kiln_files::{Disk, SystemDisk, json_text, remove_leftovers, sha256_hex};

use crate::error::open_or_create;
use crate::{ArtifactError, Run, RunStatus, hostname};

const UNFINISHED_PREFIX: &str = ".new-";

/// Making a folder takes milliseconds, so the process that made an unfinished folder of this age is dead.
const UNFINISHED_MAX_AGE: Duration = Duration::from_hours(1);

/// [`RunLock::is_held`] takes the lock for some microseconds, so another try may succeed.
const TRIES: u32 = 6;

const PAUSE_BETWEEN_TRIES: Duration = Duration::from_millis(40);

/// The files that determine a run.
#[derive(Clone, Copy, Debug)]
pub struct RunInputs<'a> {
    /// The resolved experiment file, for `config.toml`. Six digits of its SHA-256 are part of the run's id.
    pub resolved_toml: &'a str,
    /// The user's experiment file, for `config.input.toml`.
    pub input_toml: &'a str,
    /// The `key=value` arguments, for `overrides.txt`.
    pub overrides: &'a [String],
    /// Initial weights from another run, for [`Run::start`].
    pub start: Option<&'a [u8]>,
}

/// The right to write to a run. The operating system releases it when the process ends, even after a crash.
#[derive(Debug)]
pub struct RunLock {
    // Closing the file releases the lock.
    _file: File,
}

impl Run {
    /// Makes a new folder `<root>/<name>/<local time>-<hash6>/` with the config files, an empty `checkpoints/` and a
    /// `running` status at step 0. The folder appears complete or not at all.
    ///
    /// # Errors
    ///
    /// If `name` cannot be a folder name, or the root is full or read-only. Nothing is left behind.
    pub fn create(root: &Path, name: &str, inputs: &RunInputs<'_>) -> Result<Self, ArtifactError> {
        create_on(&SystemDisk, root, name, inputs)
    }
}

fn create_on(disk: &dyn Disk, root: &Path, name: &str, inputs: &RunInputs<'_>) -> Result<Run, ArtifactError> {
    check_name(name)?;
    let parent = root.join(name);
    fs::create_dir_all(&parent).map_err(|cause| ArtifactError::io("make", &parent, cause))?;
    remove_unfinished(&parent);
    let unfinished = unfinished_folder(&parent);
    let made = fill(disk, &unfinished, inputs).and_then(|()| claim(disk, &unfinished, &parent, inputs));
    if made.is_err() {
        let _ = fs::remove_dir_all(&unfinished);
        // This removes the folder only if it is empty.
        let _ = fs::remove_dir(&parent);
    }
    made.map(Run::at)
}

fn check_name(name: &str) -> Result<(), ArtifactError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.starts_with('.') || name == "latest" || !name.chars().all(allowed) {
        return Err(ArtifactError::InvalidName { name: name.to_owned() });
    }
    Ok(())
}

fn unfinished_folder(parent: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // The time distinguishes processes with the same id on two machines.
    let nanoseconds = ZonedDateTime::now().timestamp().as_nanosecond();
    parent.join(format!("{UNFINISHED_PREFIX}{}-{count}-{nanoseconds}", process::id()))
}

fn fill(disk: &dyn Disk, folder: &Path, inputs: &RunInputs<'_>) -> Result<(), ArtifactError> {
    disk.create_folder(folder).map_err(|cause| ArtifactError::io("create", folder, cause))?;
    let run = Run::at(folder.to_owned());
    let overrides: String = inputs.overrides.iter().flat_map(|line| [line, "\n"]).collect();
    let files = [
        (run.config_toml(), inputs.resolved_toml.as_bytes().to_vec()),
        (run.input_config_toml(), inputs.input_toml.as_bytes().to_vec()),
        (run.overrides_txt(), overrides.into_bytes()),
        (run.status_json(), json_text(&RunStatus::running(0, 0))),
    ];
    let start = inputs.start.map(|bytes| (run.start(), bytes.to_vec()));
    for (path, bytes) in files.into_iter().chain(start) {
        disk.write_new(&path, &bytes).map_err(|cause| ArtifactError::io("write", &path, cause))?;
    }
    let checkpoints = run.checkpoints();
    disk.create_folder(&checkpoints).map_err(|cause| ArtifactError::io("create", &checkpoints, cause))?;
    disk.sync_folder(folder).map_err(|cause| ArtifactError::io("sync", folder, cause))
}

/// Renames the complete folder to the first free name. A rename cannot replace a folder with files in it, so if two
/// processes try the same name, one gets it and the other tries the next.
fn claim(
    disk: &dyn Disk,
    unfinished: &Path,
    parent: &Path,
    inputs: &RunInputs<'_>,
) -> Result<PathBuf, ArtifactError> {
    let hash = sha256_hex(inputs.resolved_toml.as_bytes());
    let id = format!("{}-{}", ZonedDateTime::now().strftime("%Y-%m-%d_%H-%M-%S"), &hash[..6]);
    let names = std::iter::once(id.clone()).chain((2_u64..).map(|attempt| format!("{id}-{attempt}")));
    for folder in names.map(|name| parent.join(name)) {
        match disk.rename(unfinished, &folder) {
            Ok(()) => {
                disk.sync_folder(parent).map_err(|cause| ArtifactError::io("sync", parent, cause))?;
                return Ok(folder);
            }
            Err(_) if folder.exists() => {}
            Err(cause) => return Err(ArtifactError::io("create", &folder, cause)),
        }
    }
    unreachable!("one of 2^64 names is free")
}

/// Removes folders that a killed process left unfinished, best-effort.
fn remove_unfinished(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let age = entry.metadata().and_then(|data| data.modified()).map(|time| time.elapsed());
        let abandoned = matches!(age, Ok(Ok(age)) if age > UNFINISHED_MAX_AGE);
        if abandoned && entry.file_name().to_string_lossy().starts_with(UNFINISHED_PREFIX) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Paths in a run folder.
impl Run {
    /// The resolved experiment file.
    #[must_use]
    pub fn config_toml(&self) -> PathBuf {
        self.folder().join("config.toml")
    }

    /// The user's experiment file.
    #[must_use]
    pub fn input_config_toml(&self) -> PathBuf {
        self.folder().join("config.input.toml")
    }

    /// The `key=value` overrides of the command line, one per line.
    #[must_use]
    pub fn overrides_txt(&self) -> PathBuf {
        self.folder().join("overrides.txt")
    }

    /// The provenance; see [`crate::Provenance`].
    #[must_use]
    pub fn run_json(&self) -> PathBuf {
        self.folder().join("run.json")
    }

    /// The uncommitted changes of the git checkout that the run was started in; absent without changes.
    #[must_use]
    pub fn git_diff(&self) -> PathBuf {
        self.folder().join("git.diff")
    }

    /// The form of the examples: shape, classes, columns and scaling.
    #[must_use]
    pub fn data_json(&self) -> PathBuf {
        self.folder().join("data.json")
    }

    /// Initial weights from another run; absent if the run starts with random weights.
    #[must_use]
    pub fn start(&self) -> PathBuf {
        self.folder().join("start.safetensors")
    }

    /// The calibration of the tested checkpoint's probabilities; absent without calibration.
    #[must_use]
    pub fn calibration_json(&self) -> PathBuf {
        self.folder().join("calibration.json")
    }

    /// The decision threshold of the tested checkpoint; absent if it predicts the most probable class.
    #[must_use]
    pub fn threshold_json(&self) -> PathBuf {
        self.folder().join("threshold.json")
    }

    /// The folder of baselines: class frequencies of the training data, and a linear model.
    #[must_use]
    pub fn baselines(&self) -> PathBuf {
        self.folder().join("baselines")
    }

    /// The progress of the run; see [`crate::RunStatus`].
    #[must_use]
    pub fn status_json(&self) -> PathBuf {
        self.folder().join("status.json")
    }

    /// The append-only log of figures, without times; see [`crate::MetricLog`].
    #[must_use]
    pub fn metrics(&self) -> PathBuf {
        self.folder().join("metrics.jsonl")
    }

    /// The append-only log of times; see [`crate::TimingLog`].
    #[must_use]
    pub fn timings(&self) -> PathBuf {
        self.folder().join("timings.jsonl")
    }

    /// The figures as a table, derived from [`Run::metrics`].
    #[must_use]
    pub fn metrics_csv(&self) -> PathBuf {
        self.folder().join("metrics.csv")
    }

    /// The log of the `tracing` crate.
    #[must_use]
    pub fn train_log(&self) -> PathBuf {
        self.folder().join("train.log")
    }

    /// The folder of checkpoints; see [`crate::CheckpointStore`].
    #[must_use]
    pub fn checkpoints(&self) -> PathBuf {
        self.folder().join("checkpoints")
    }

    /// The folder with the results of the evaluation `name` (`test`, `validation`, `train`).
    #[must_use]
    pub fn evaluation(&self, name: &str) -> PathBuf {
        self.folder().join("evaluation").join(name)
    }

    /// The folder of plots.
    #[must_use]
    pub fn plots(&self) -> PathBuf {
        self.folder().join("plots")
    }

    /// The folder of example pictures.
    #[must_use]
    pub fn gallery(&self) -> PathBuf {
        self.folder().join("gallery")
    }

    /// The self-contained report.
    #[must_use]
    pub fn report(&self) -> PathBuf {
        self.folder().join("report.html")
    }

    /// The file that the process which trains the run has locked.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.folder().join("lock")
    }
}

impl RunLock {
    pub(crate) fn acquire(run: &Run) -> Result<Self, ArtifactError> {
        let path = run.lock_file();
        let mut file = open_or_create(&path)?;
        wait_for(&file, run)?;
        // Another process shows this in its message. The lock also works if it cannot be written.
        let holder = format!("process {} on {}\n", process::id(), hostname());
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(holder.as_bytes()));
        remove_leftovers(&SystemDisk, run.folder());
        Ok(Self { _file: file })
    }

    /// Whether a process holds the lock; true if the system cannot check it.
    pub(crate) fn is_held(run: &Run) -> bool {
        let Ok(file) = File::open(run.lock_file()) else { return false };
        file.try_lock_shared().is_err()
    }
}

fn wait_for(file: &File, run: &Run) -> Result<(), ArtifactError> {
    for _ in 0..TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE_BETWEEN_TRIES),
            Err(TryLockError::Error(cause)) => {
                return Err(ArtifactError::io("lock", &run.lock_file(), cause));
            }
        }
    }
    let holder = fs::read_to_string(run.lock_file()).unwrap_or_default();
    let holder = if holder.trim().is_empty() { "of unknown id" } else { holder.trim() }.to_owned();
    Err(ArtifactError::Locked { path: run.folder().to_owned(), holder })
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, io};

    use kiln_files::{FailingDisk, Failure};

    use super::*;
    use crate::{
        RunState,
        test_run::{CONFIG, TestRun, create},
    };

    #[test]
    fn a_new_run_has_the_files_that_determine_it() {
        let root = tempfile::tempdir().unwrap();
        let overrides = ["optimizer.lr=1e-3".to_owned(), "model.hidden=[256]".to_owned()];
        let inputs = RunInputs {
            resolved_toml: CONFIG,
            input_toml: "seed = 42\n",
            overrides: &overrides,
            start: None,
        };
        let run = Run::create(root.path(), "digits", &inputs).unwrap();
        let read = |path| fs::read_to_string(path).unwrap();
        assert_eq!(read(run.config_toml()), CONFIG);
        assert_eq!(read(run.input_config_toml()), "seed = 42\n");
        assert_eq!(read(run.overrides_txt()), "optimizer.lr=1e-3\nmodel.hidden=[256]\n");
        assert_eq!(run.status().unwrap().state, RunState::Running);
        assert_eq!((run.name(), run.id().len()), ("digits", "2026-08-01_12-30-00-1a2b3c".len()));
        assert!(run.id().ends_with(&sha256_hex(CONFIG.as_bytes())[..6]));
    }

    #[test]
    fn runs_made_at_once_have_different_folders() {
        let root = tempfile::tempdir().unwrap();
        let make = || create(root.path(), "digits", CONFIG).id().to_owned();
        let ids: HashSet<String> = thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| (0..8).map(|_| make()).collect::<Vec<_>>())).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(ids.len(), 64);
        assert_eq!(
            fs::read_dir(root.path().join("digits")).unwrap().count(),
            64,
            "no unfinished folder is left"
        );
    }

    #[test]
    fn a_full_disk_at_any_step_leaves_no_folder() {
        let inputs = RunInputs { resolved_toml: CONFIG, input_toml: "", overrides: &[], start: None };
        for fails_at in 0..8 {
            let root = tempfile::tempdir().unwrap();
            let disk = FailingDisk::new(Failure::Error(io::ErrorKind::StorageFull), fails_at);
            let error = create_on(&disk, root.path(), "digits", &inputs).unwrap_err();
            assert!(matches!(error, ArtifactError::DiskFull { .. }), "{error}");
            assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0, "call {fails_at}");
        }
    }

    #[test]
    fn an_unfinished_folder_is_removed_after_an_hour() {
        let run = TestRun::new();
        let parent = run.root().join("digits");
        let (old, young) = (parent.join(".new-1-0-0"), parent.join(".new-2-0-0"));
        for folder in [&old, &young] {
            fs::create_dir(folder).unwrap();
        }
        let long_ago = std::time::SystemTime::now() - 2 * UNFINISHED_MAX_AGE;
        fs::File::open(&old).unwrap().set_modified(long_ago).unwrap();
        create(run.root(), "digits", CONFIG);
        assert!(!old.exists() && young.exists());
    }

    #[test]
    fn names_that_leave_the_root_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let inputs = RunInputs { resolved_toml: CONFIG, input_toml: "", overrides: &[], start: None };
        for name in ["", ".", "..", "a/b", "latest", ".hidden", "a b"] {
            let error = Run::create(root.path(), name, &inputs).unwrap_err();
            assert!(matches!(error, ArtifactError::InvalidName { .. }), "{name}: {error}");
        }
    }

    #[test]
    fn a_second_writer_is_refused() {
        let run = TestRun::new();
        let lock = run.lock().unwrap();
        let error = run.lock().unwrap_err();
        assert!(matches!(error, ArtifactError::Locked { .. }));
        let message = error.to_string();
        assert!(message.contains(&format!("another process (process {} on ", process::id())), "{message}");
        drop(lock);
        run.lock().unwrap();
    }

    #[test]
    fn one_of_many_threads_gets_the_lock() {
        let run = TestRun::new();
        let locks: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| run.lock())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(locks.iter().filter(|lock| lock.is_ok()).count(), 1);
    }

    #[test]
    fn locking_waits_for_a_process_that_checks_the_lock() {
        let run = TestRun::new();
        drop(run.lock().unwrap());
        let look = File::open(run.lock_file()).unwrap();
        look.lock_shared().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(PAUSE_BETWEEN_TRIES / 2);
                drop(look);
            });
            run.lock().unwrap();
        });
    }

    #[test]
    fn locking_removes_temporary_files_of_a_crash() {
        let run = TestRun::new();
        let leftover = run.folder().join(".status.json.tmp-1-0");
        fs::write(&leftover, "").unwrap();
        run.lock().unwrap();
        assert!(!leftover.exists());
    }
}
