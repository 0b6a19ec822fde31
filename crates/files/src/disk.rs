//! The system calls that crash safety depends on, as a trait, so that tests can fail each one.

use std::{
    fmt, fs,
    io::{self, Write as _},
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

/// The disk operations of a transaction. Each returns the operating system's error.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Makes a new folder in an existing one.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// Makes a new file with these bytes and returns when they are on the disk.
    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Returns when the folder's list of names is on the disk. Does not sync the files themselves.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// Renames a file, replacing another, or renames a folder to a free name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a folder with its contents.
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

    // Windows cannot sync a folder; NTFS journals renames itself.
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

/// The failure at the chosen call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Failure {
    /// The process dies: the call is half done, and all later calls fail.
    Crash,
    /// Only this call fails, half done, with this kind of error.
    Error(io::ErrorKind),
}

/// A disk for tests of crash safety: it fails at a chosen call and passes the others to the system.
#[derive(Debug)]
pub struct FailingDisk {
    failure: Failure,
    fails_at: usize,
    calls: AtomicUsize,
}

impl FailingDisk {
    /// A disk that fails at call number `fails_at`, from 0.
    #[must_use]
    pub fn new(failure: Failure, fails_at: usize) -> Self {
        Self { failure, fails_at, calls: AtomicUsize::new(0) }
    }

    /// Whether the chosen call was made.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.calls.load(Ordering::Relaxed) > self.fails_at
    }

    fn call(&self, half: impl FnOnce(), whole: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        match self.failure {
            _ if call < self.fails_at => return whole(),
            Failure::Error(_) if call > self.fails_at => return whole(),
            _ if call == self.fails_at => half(),
            _ => {}
        }
        Err(match self.failure {
            Failure::Crash => io::Error::other("the process is dead"),
            Failure::Error(kind) => kind.into(),
        })
    }
}

impl Disk for FailingDisk {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.call(|| (), || SystemDisk.create_folder(path))
    }

    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let half = || drop(fs::write(path, &bytes[..bytes.len() / 2]));
        self.call(half, || SystemDisk.write_new(path, bytes))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.call(|| (), || SystemDisk.sync_folder(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(|| (), || SystemDisk.rename(from, to))
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let first_file = || fs::read_dir(path).ok()?.next()?.ok().map(|entry| entry.path());
        let half = || first_file().into_iter().for_each(|file| drop(fs::remove_file(file)));
        self.call(half, || SystemDisk.remove_folder(path))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.call(|| (), || SystemDisk.remove_file(path))
    }
}
