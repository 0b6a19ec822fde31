//! One writer at a time.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Seek as _, Write as _},
    process, thread,
    time::Duration,
};

use kiln_files::{SystemDisk, remove_leftovers};

use crate::{ArtifactError, Run, machine};

/// [`RunLock::is_held`] takes the lock for microseconds to look at it; a second try comes after that.
const TRIES: u32 = 6;
const PAUSE_BETWEEN_TRIES: Duration = Duration::from_millis(40);

/// The right to write to a run. The operating system takes it back when the process ends, however it ends.
#[derive(Debug)]
pub struct RunLock {
    // Closing the file releases the lock.
    _file: File,
}

impl RunLock {
    pub(crate) fn acquire(run: &Run) -> Result<Self, ArtifactError> {
        let path = run.lock_file();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|cause| ArtifactError::io("open", &path, cause))?;
        wait_for(&file, run)?;
        // For the message that another process shows; that it cannot be written is no reason to stop.
        let holder = format!("process {} on {}\n", process::id(), machine::hostname());
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(holder.as_bytes()));
        remove_leftovers(&SystemDisk, run.folder());
        Ok(Self { _file: file })
    }

    /// Whether some process holds the lock; true when the system cannot tell.
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
    use super::*;
    use crate::test_run::TestRun;

    #[test]
    fn two_writers_are_one_too_many() {
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
    fn of_many_at_once_one_gets_it() {
        let run = TestRun::new();
        let locks: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| run.lock())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(locks.iter().filter(|lock| lock.is_ok()).count(), 1);
    }

    #[test]
    fn an_onlooker_is_waited_for() {
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
    fn taking_it_tidies_up_after_a_crash() {
        let run = TestRun::new();
        let leftover = run.folder().join(".status.json.tmp-1-0");
        fs::write(&leftover, "").unwrap();
        run.lock().unwrap();
        assert!(!leftover.exists());
    }
}
