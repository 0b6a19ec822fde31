//! Files that are replaced completely or not at all: at once, or growing piece by piece.
//!
//! The new content is written to a temporary file in the same folder, synced, and renamed.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{Disk, SystemDisk};

/// Part of the name of a temporary file.
const TEMPORARY_MARK: &str = ".tmp-";

/// A failed action on a file or a folder.
#[derive(Debug)]
pub struct FileError {
    /// The action, as a verb phrase.
    pub action: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// The system's error.
    pub cause: io::Error,
}

/// A temporary file that grows and replaces another file when it is complete, for content too long for
/// [`replace_file`]. If it is dropped before, it is removed.
#[derive(Debug)]
pub struct Replacement {
    path: PathBuf,
    temporary: PathBuf,
    file: fs::File,
}

/// Replaces `path` by a file with these bytes. A reader sees the old content or the new content, never a mixture,
/// even after a power cut. If writing fails, the old file is unchanged.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    replace_file_on(&SystemDisk, path, bytes)
}

/// Like [`replace_file`], on another disk.
pub fn replace_file_on(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let temporary = write_temporary(disk, path, bytes)?;
    put_in_place(disk, &temporary, path)
}

/// Makes a file with these bytes, completely or not at all, unless it exists. Returns whether it was made. If several
/// processes try, even on several hosts, one succeeds.
pub fn create_file(path: &Path, bytes: &[u8]) -> Result<bool, FileError> {
    let temporary = write_temporary(&SystemDisk, path, bytes)?;
    let made = match fs::hard_link(&temporary, path) {
        Ok(()) => Ok(true),
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(_) if path.exists() => Ok(false),
        // A file system without hard links: the last process wins, and every reader sees a complete file.
        Err(_) => fs::rename(&temporary, path).map(|()| true).map_err(FileError::new("make", path)),
    };
    let _ = fs::remove_file(&temporary);
    made
}

/// Removes the temporary files of crashed writes in `folder`, best-effort. Only for the single writer of a folder,
/// because the temporary file of another writer looks the same.
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

impl FileError {
    fn new(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self { action, path: path.to_owned(), cause }
    }
}

impl Replacement {
    /// Begins an empty temporary file in the folder of `path`.
    pub fn begin(path: &Path) -> Result<Self, FileError> {
        let (temporary, file) =
            aside(path, |path| fs::File::create_new(path)).map_err(FileError::new("write", path))?;
        Ok(Self { path: path.to_owned(), temporary, file })
    }

    /// The path of the temporary file.
    #[must_use]
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Syncs the temporary file and renames it. If writing fails, the old file is unchanged.
    pub fn finish(self) -> Result<(), FileError> {
        self.file.sync_all().map_err(FileError::new("write", &self.path))?;
        put_in_place(&SystemDisk, &self.temporary, &self.path)
    }
}

impl Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        // After `finish`, the file does not have this name.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Writes and syncs a temporary file in the folder of `path`. After an error, it does not exist.
fn write_temporary(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<PathBuf, FileError> {
    let write = |temporary: &Path| {
        disk.write_new(temporary, bytes).inspect_err(|cause| {
            if cause.kind() != io::ErrorKind::AlreadyExists {
                let _ = disk.remove_file(temporary);
            }
        })
    };
    let (temporary, ()) = aside(path, write).map_err(FileError::new("write", path))?;
    Ok(temporary)
}

/// Calls `create` with a free name in the folder of `path`, and returns the name too.
fn aside<T>(path: &Path, create: impl Fn(&Path) -> io::Result<T>) -> io::Result<(PathBuf, T)> {
    loop {
        let temporary = temporary_name(path);
        match create(&temporary) {
            Ok(made) => return Ok((temporary, made)),
            // A crashed process with the same id left this file.
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
            Err(cause) => return Err(cause),
        }
    }
}

/// Renames `temporary`, which is synced, to `path` in the same folder.
fn put_in_place(disk: &dyn Disk, temporary: &Path, path: &Path) -> Result<(), FileError> {
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

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FailingDisk, Failure};

    /// Replaces a file on a disk that fails at each call in turn. Returns the content and the number of files each
    /// time.
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
    fn a_crash_leaves_the_old_content_or_the_new_content() {
        let expected = [("old", 2), ("old", 2), ("new", 1)].map(|(text, files)| (text.to_owned(), files));
        assert_eq!(replace_with(Failure::Crash), expected);
    }

    #[test]
    fn an_error_leaves_no_temporary_file() {
        let expected = [("old", 1), ("old", 1), ("new", 1)].map(|(text, files)| (text.to_owned(), files));
        assert_eq!(replace_with(Failure::Error(io::ErrorKind::StorageFull)), expected);
    }

    #[test]
    fn only_temporary_files_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".gitignore", ".a.json.tmp-1-0", "notes.tmp-1"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        remove_leftovers(&SystemDisk, folder.path());
        assert!(folder.path().join(".gitignore").exists() && folder.path().join("notes.tmp-1").exists());
        assert!(!folder.path().join(".a.json.tmp-1-0").exists());
    }

    #[test]
    fn a_growing_file_is_visible_only_when_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.csv");
        fs::write(&path, "old").unwrap();
        let seen = || (fs::read_to_string(&path).unwrap(), fs::read_dir(folder.path()).unwrap().count());
        let mut growing = Replacement::begin(&path).unwrap();
        growing.write_all(b"new").unwrap();
        assert_eq!(seen(), ("old".to_owned(), 2));
        drop(growing);
        assert_eq!(seen(), ("old".to_owned(), 1));
        let mut growing = Replacement::begin(&path).unwrap();
        growing.write_all(b"new").unwrap();
        growing.finish().unwrap();
        assert_eq!(seen(), ("new".to_owned(), 1));
    }
}
