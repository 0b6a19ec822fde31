//! How a run folder comes to be: made aside, filled, then renamed to a name that nobody else has.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use jiff::ZonedDateTime;
use kiln_files::{Disk, SystemDisk, json_text, sha256_hex};

use crate::{ArtifactError, Run, Status};

const UNFINISHED_PREFIX: &str = ".new-";

/// Making a folder takes milliseconds: an unfinished one of this age has no maker any more.
const UNFINISHED_MAX_AGE: Duration = Duration::from_hours(1);

/// What decides a run, as text.
#[derive(Clone, Copy, Debug)]
pub struct RunInputs<'a> {
    /// The resolved experiment file, for `config.toml`; the run's id carries six digits of its SHA-256.
    pub resolved_toml: &'a str,
    /// The experiment file as it was given, for `config.input.toml`.
    pub input_toml: &'a str,
    /// The `key=value` arguments, for `overrides.txt`.
    pub overrides: &'a [String],
    /// The weights that it begins with, for [`Run::start`], where they are another run's.
    pub start: Option<&'a [u8]>,
}

impl Run {
    /// Makes `<root>/<name>/<local time>-<hash6>/`, which no other run shares, with the config files, an
    /// empty `checkpoints/` and a `running` status at step 0. The folder appears whole or not at all.
    ///
    /// # Errors
    ///
    /// When `name` cannot be a folder name, or the root is full or may not be written to; nothing is left
    /// behind then.
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
        // Goes only when it is empty, so when this call was the first to need it.
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
    // The time keeps processes of the same id on two machines apart.
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
        (run.status_json(), json_text(&Status::running(0, 0))),
    ];
    let start = inputs.start.map(|bytes| (run.start(), bytes.to_vec()));
    for (path, bytes) in files.into_iter().chain(start) {
        disk.write_new(&path, &bytes).map_err(|cause| ArtifactError::io("write", &path, cause))?;
    }
    let checkpoints = run.checkpoints();
    disk.create_folder(&checkpoints).map_err(|cause| ArtifactError::io("create", &checkpoints, cause))?;
    disk.sync_folder(folder).map_err(|cause| ArtifactError::io("sync", folder, cause))
}

/// Renames the filled folder to the first name that is free. A folder with files in it cannot be renamed
/// over, so of two processes that want a name one gets it and the other goes on to the next.
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

/// Removes folders whose maker was killed, as far as that is possible.
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

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, io, thread};

    use kiln_files::{FailingDisk, Failure};

    use super::*;
    use crate::{
        RunState,
        test_run::{CONFIG, TestRun, create},
    };

    #[test]
    fn holds_what_it_was_made_from() {
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
    fn runs_made_at_once_share_no_folder() {
        let root = tempfile::tempdir().unwrap();
        let make = || create(root.path(), "digits", CONFIG).id().to_owned();
        let ids: HashSet<String> = thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| (0..8).map(|_| make()).collect::<Vec<_>>())).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(ids.len(), 64);
        assert_eq!(fs::read_dir(root.path().join("digits")).unwrap().count(), 64, "nothing is left aside");
    }

    #[test]
    fn a_failure_half_way_leaves_nothing() {
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
    fn what_a_killed_maker_left_goes_after_an_hour() {
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
}
