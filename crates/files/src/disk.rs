//! The few file system calls that crash safety rests on, behind a trait so that tests can cut each short.

use std::{
    fmt, fs,
    io::{self, Write as _},
    path::Path,
};

/// What a transaction does to the disk.
#[expect(clippy::missing_errors_doc, reason = "each gives what the operating system says")]
pub trait Disk: fmt::Debug + Send + Sync {
    /// Makes one folder; its parent exists, it does not.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// Makes a new file with these bytes, and returns when they are on the disk.
    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Returns when the folder's entries, not its files' contents, are on the disk.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// Renames a file over another, or a folder to a name that is free.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a folder and all that is in it.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
}

/// The operating system's file system.
#[derive(Debug)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = fs::File::create_new(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    #[cfg(unix)]
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    // Windows has no way to sync a folder; NTFS journals renames by itself.
    #[cfg(not(unix))]
    fn sync_folder(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}
