//! Files that are replaced whole or not at all.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{Disk, SystemDisk};

/// What could not be done with a file or a folder.
#[derive(Debug)]
pub struct FileError {
    /// What was tried, as a verb phrase.
    pub action: &'static str,
    /// The file or folder it was tried on.
    pub path: PathBuf,
    /// What the system said.
    pub cause: io::Error,
}

impl FileError {
    pub(crate) fn new(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self { action, path: path.to_owned(), cause }
    }
}

/// Marks the files that a write in progress, or one cut short by a crash, has set aside.
const TEMPORARY_MARK: &str = ".tmp-";

/// Replaces `path` by a file with these bytes: a reader sees the old content or the new, never a mixture,
/// and so does whoever looks after a power cut.
///
/// # Errors
///
/// When the folder is missing, full or may not be written to; the old file is then untouched.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    replace_file_on(&SystemDisk, path, bytes)
}

/// As [`replace_file`], on a disk of one's own.
///
/// # Errors
///
/// As [`replace_file`].
pub fn replace_file_on(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let write = |temporary: &Path| {
        disk.write_new(temporary, bytes).inspect_err(|cause| {
            if cause.kind() != io::ErrorKind::AlreadyExists {
                let _ = disk.remove_file(temporary);
            }
        })
    };
    let (temporary, ()) = aside(path, write).map_err(FileError::new("write", path))?;
    put_in_place(disk, &temporary, path)
}

/// Makes a file with these bytes, whole or not at all, unless there is one. Gives whether it was made. Of several processes
/// that try, on several hosts as well, one succeeds.
///
/// # Errors
///
/// When the folder is missing, full or may not be written to.
pub fn create_file(path: &Path, bytes: &[u8]) -> Result<bool, FileError> {
    let write = |temporary: &Path| {
        SystemDisk.write_new(temporary, bytes).inspect_err(|cause| {
            if cause.kind() != io::ErrorKind::AlreadyExists {
                let _ = fs::remove_file(temporary);
            }
        })
    };
    let (temporary, ()) = aside(path, write).map_err(FileError::new("write", path))?;
    let made = match fs::hard_link(&temporary, path) {
        Ok(()) => Ok(true),
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(_) if path.exists() => Ok(false),
        // A file system without links: whoever is last makes it, and all see a whole file.
        Err(_) => fs::rename(&temporary, path).map(|()| true).map_err(FileError::new("make", path)),
    };
    let _ = fs::remove_file(&temporary);
    made
}

/// What `create` makes under a name that is free beside `path`, and that name.
pub(crate) fn aside<T>(path: &Path, create: impl Fn(&Path) -> io::Result<T>) -> io::Result<(PathBuf, T)> {
    loop {
        let temporary = temporary_name(path);
        match create(&temporary) {
            Ok(made) => return Ok((temporary, made)),
            // Left by a crashed process that had the same id as this one.
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
            Err(cause) => return Err(cause),
        }
    }
}

/// Lets the file `temporary`, all of which is on the disk, take the place of `path` beside it.
pub(crate) fn put_in_place(disk: &dyn Disk, temporary: &Path, path: &Path) -> Result<(), FileError> {
    let folder = folder_of(path);
    disk.rename(temporary, path).map_err(|cause| {
        let _ = disk.remove_file(temporary);
        FileError::new("replace", path)(cause)
    })?;
    disk.sync_folder(folder).map_err(FileError::new("sync", folder))
}

fn temporary_name(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{name}{TEMPORARY_MARK}{}-{count}", process::id()))
}

/// Removes what crashed writes left in `folder`, as far as that is possible. Only for the one writer of the
/// folder: the file that another writer has just set aside looks the same.
pub fn remove_leftovers(disk: &dyn Disk, folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && name.starts_with('.') && name.contains(TEMPORARY_MARK) {
            let _ = disk.remove_file(&entry.path());
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::{fs, io};

    use super::*;
    use crate::{FailingDisk, Failure};

    /// Replaces a file on a disk that fails at each call in turn; returns what was left each time.
    fn replace_with(failure: Failure) -> Vec<(String, usize)> {
        let mut left = Vec::new();
        for fails_at in 0..3 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("status.json");
            fs::write(&path, "old").unwrap();
            replace_file_on(&FailingDisk::new(failure, fails_at), &path, b"new").unwrap_err();
            left.push((fs::read_to_string(&path).unwrap(), fs::read_dir(folder.path()).unwrap().count()));
            remove_leftovers(&SystemDisk, folder.path());
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
        left
    }

    #[test]
    fn a_crash_leaves_the_old_content_or_the_new() {
        let expected = [("old", 2), ("old", 2), ("new", 1)].map(|(text, files)| (text.to_owned(), files));
        assert_eq!(replace_with(Failure::Crash), expected);
    }

    #[test]
    fn an_error_leaves_no_file_aside() {
        let expected = [("old", 1), ("old", 1), ("new", 1)].map(|(text, files)| (text.to_owned(), files));
        assert_eq!(replace_with(Failure::Error(io::ErrorKind::StorageFull)), expected);
    }

    #[test]
    fn leftovers_are_told_from_other_hidden_files() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".gitignore", ".a.json.tmp-1-0", "notes.tmp-1"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        remove_leftovers(&SystemDisk, folder.path());
        assert!(folder.path().join(".gitignore").exists() && folder.path().join("notes.tmp-1").exists());
        assert!(!folder.path().join(".a.json.tmp-1-0").exists());
    }
}
