//! A disk that gives up at a chosen call, for the tests of crash safety.

use std::{
    fs, io,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::disk::{Disk, SystemDisk};

/// What happens at the chosen call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Failure {
    /// The process dies: that call is half done, and none comes after it.
    Crash,
    /// That call alone fails, half done, with this kind of error.
    Error(io::ErrorKind),
}

/// Passes calls on to the real disk, but for the chosen one.
#[derive(Debug)]
pub struct FailingDisk {
    failure: Failure,
    fails_at: usize,
    calls: AtomicUsize,
}

impl FailingDisk {
    /// Fails at call number `fails_at`, from 0.
    #[must_use]
    pub fn new(failure: Failure, fails_at: usize) -> Self {
        Self { failure, fails_at, calls: AtomicUsize::new(0) }
    }

    /// Whether the chosen call was ever made.
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
