//! Leases: which worker does which task, for workers that share only a folder.
//!
//! A worker that takes a task creates the file `leases/<task>.<n>`, which only one process can create, writes its
//! host and process into it, and touches it from time to time. Another worker that sees the file untouched for the
//! lease time, by its own clock, takes the task over: it creates the file with the next number. The old holder, if it
//! still lives, finds that file when it touches its own, and leaves the task alone. If both are on one host, the
//! other worker need not wait: the holder keeps its file locked, and the operating system unlocks it when the holder
//! dies.
//!
//! Numbers only rise until the task is done; then all its files are deleted. Clocks of different hosts are never
//! compared, and no lock has to work across hosts.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use std::{fs, io, process};

use serde::{Deserialize, Serialize};

use crate::{StudyError, file_names};

/// How often a lease is touched within its lease time.
const BEATS: u32 = 6;
/// The contents of a lease file after its holder has released it.
const RELEASED: &str = "released\n";

/// The process that holds a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeaseHolder {
    /// Its host. `boot` distinguishes hosts of the same name.
    pub(crate) host: String,
    boot: String,
    pub(crate) process: u32,
}

impl LeaseHolder {
    /// This process.
    pub(crate) fn here() -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let host = kiln_artifacts::hostname().to_owned();
        Self { host, boot: boot.trim().to_owned(), process: process::id() }
    }

    fn shares_host(&self, other: &Self) -> bool {
        (&self.host, &self.boot) == (&other.host, &other.boot) && !self.boot.is_empty()
    }
}

/// The leases of a study.
#[derive(Clone, Debug)]
pub(crate) struct Leases {
    folder: PathBuf,
    holder: LeaseHolder,
    time: Duration,
}

/// A lease of this process.
#[derive(Debug)]
pub(crate) struct Lease {
    id: String,
    number: u64,
    /// Locked while this process lives.
    file: File,
}

impl Lease {
    /// Gives the task back undone.
    pub(crate) fn release(mut self) {
        // If this fails, the lease expires.
        let _ = self.file.set_len(0).and_then(|()| {
            io::Seek::rewind(&mut self.file)?;
            self.file.write_all(RELEASED.as_bytes())
        });
    }
}

/// A lease of another process, as this process saw it.
#[derive(Clone, Debug)]
pub(crate) struct LeaseObservation {
    number: u64,
    touched: Option<SystemTime>,
    since: Instant,
}

/// The result of an attempt to take a task.
#[derive(Debug)]
pub(crate) enum ClaimResult {
    /// This process has it now.
    Acquired(Lease),
    /// Another process has it.
    Held(LeaseObservation),
}

impl Leases {
    /// The leases of the study in `folder`, for reading. They expire when untouched for `time`.
    pub(crate) fn of_study(folder: &Path, time: Duration) -> Self {
        Self { folder: folder.join("leases"), holder: LeaseHolder::here(), time }
    }

    /// The leases of the study in `folder`, for writing: creates their folder.
    pub(crate) fn in_study(folder: &Path, time: Duration) -> Result<Self, StudyError> {
        let leases = Self::of_study(folder, time);
        let folder = &leases.folder;
        fs::create_dir_all(folder).map_err(|cause| StudyError::io("create", folder, cause))?;
        Ok(leases)
    }

    /// The interval at which a lease must be touched.
    pub(crate) fn touch_interval(&self) -> Duration {
        self.time / BEATS
    }

    fn path(&self, id: &str, number: u64) -> PathBuf {
        self.folder.join(format!("{id}.{number}"))
    }

    /// The highest lease number of a task.
    fn latest(&self, id: &str) -> Option<u64> {
        let mut latest = 0;
        while self.path(id, latest + 1).exists() {
            latest += 1;
        }
        (latest > 0).then_some(latest)
    }

    /// Takes a task if no process holds it. `seen` is the previous observation of its lease, if it was held then.
    pub(crate) fn claim(&self, id: &str, seen: Option<&LeaseObservation>) -> Result<ClaimResult, StudyError> {
        let Some(number) = self.latest(id) else { return self.create(id, 1) };
        let path = self.path(id, number);
        let taken = |touched| {
            let before = seen.filter(|seen| (seen.number, seen.touched) == (number, touched));
            ClaimResult::Held(LeaseObservation {
                number,
                touched,
                since: before.map_or_else(Instant::now, |seen| seen.since),
            })
        };
        // Opening the file makes a network file system refresh its metadata.
        let Ok(file) = File::open(&path) else { return Ok(taken(None)) };
        let touched = file.metadata().and_then(|about| about.modified()).ok();
        let text = io::read_to_string(&file).unwrap_or_default();
        if text == RELEASED {
            return self.create(id, number + 1);
        }
        let holder: Option<LeaseHolder> = serde_json::from_str(&text).ok();
        let is_dead =
            holder.is_some_and(|holder| holder.shares_host(&self.holder)) && file.try_lock().is_ok();
        let ClaimResult::Held(now) = taken(touched) else { unreachable!("`taken` says so") };
        if is_dead || now.since.elapsed() >= self.time {
            return self.create(id, number + 1);
        }
        Ok(ClaimResult::Held(now))
    }

    fn create(&self, id: &str, number: u64) -> Result<ClaimResult, StudyError> {
        let path = self.path(id, number);
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => {
                let text = serde_json::to_string(&self.holder).expect("a holder is plain data");
                // On a file system without locks, others wait for the lease time, which is always correct.
                let _ = file.try_lock();
                file.write_all(text.as_bytes()).map_err(|cause| StudyError::io("write", &path, cause))?;
                Ok(ClaimResult::Acquired(Lease { id: id.to_owned(), number, file }))
            }
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
                Ok(ClaimResult::Held(LeaseObservation { number, touched: None, since: Instant::now() }))
            }
            Err(cause) => Err(StudyError::io("make", &path, cause)),
        }
    }

    /// Touches a lease. False if another process has taken the task over.
    pub(crate) fn touch(&self, lease: &Lease) -> bool {
        if !self.holds(lease) {
            return false;
        }
        // If this fails, the lease expires, and the next touch notices that the task was taken over.
        let _ = lease.file.set_modified(SystemTime::now());
        true
    }

    /// Whether this process still holds the task.
    pub(crate) fn holds(&self, lease: &Lease) -> bool {
        self.path(&lease.id, lease.number).exists() && !self.path(&lease.id, lease.number + 1).exists()
    }

    /// Deletes the leases of a task whose result is stored.
    pub(crate) fn finish(&self, lease: &Lease) {
        for number in 1..=lease.number {
            let _ = fs::remove_file(self.path(&lease.id, number));
        }
    }

    /// Ids of all tasks that have a lease file.
    pub(crate) fn ids(&self) -> Result<HashSet<String>, StudyError> {
        let names = file_names(&self.folder)?;
        Ok(names.filter_map(|name| Some(name.rsplit_once('.')?.0.to_owned())).collect())
    }

    /// Current holders, by task id.
    pub(crate) fn held(&self) -> Vec<(String, LeaseHolder)> {
        let names = file_names(&self.folder).into_iter().flatten();
        let held = |name: String| {
            let (id, number) = name.rsplit_once('.')?;
            let number: u64 = number.parse().ok()?;
            let text = fs::read_to_string(self.folder.join(&name)).ok()?;
            let is_last = !self.path(id, number + 1).exists();
            Some((id.to_owned(), serde_json::from_str(&text).ok().filter(|_| is_last)?))
        };
        let mut held: Vec<(String, LeaseHolder)> = names.filter_map(held).collect();
        held.sort_by(|left, right| left.0.cmp(&right.0));
        held
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn leases(folder: &Path, host: &str, time: Duration) -> Leases {
        let mut leases = Leases::in_study(folder, time).unwrap();
        leases.holder.host = host.to_owned();
        leases
    }

    fn mine(claim: ClaimResult) -> Lease {
        match claim {
            ClaimResult::Acquired(lease) => lease,
            ClaimResult::Held(seen) => panic!("taken: {seen:?}"),
        }
    }

    fn taken(claim: ClaimResult) -> LeaseObservation {
        match claim {
            ClaimResult::Held(seen) => seen,
            ClaimResult::Acquired(lease) => panic!("it should be taken: {lease:?}"),
        }
    }

    #[test]
    fn only_one_of_many_workers_gets_a_task() {
        let folder = tempfile::tempdir().unwrap();
        let long = Duration::from_mins(1);
        let got: usize = thread::scope(|scope| {
            let claim = |host: usize| {
                let leases = leases(folder.path(), &format!("host{host}"), long);
                let claims = (0..50).map(move |task| leases.claim(&format!("task{task}"), None).unwrap());
                claims.filter(|claim| matches!(claim, ClaimResult::Acquired(_))).count()
            };
            let workers: Vec<_> = (0..8).map(|host| scope.spawn(move || claim(host))).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        assert_eq!(got, 50);
    }

    #[test]
    fn the_lease_of_a_dead_process_on_this_host_is_free_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let leases = leases(folder.path(), "here", Duration::from_hours(1));
        let lease = mine(leases.claim("task", None).unwrap());
        taken(leases.claim("task", None).unwrap());
        // As the operating system closes the files of a process that dies.
        drop(lease);
        mine(leases.claim("task", None).unwrap());
    }

    #[test]
    fn an_untouched_lease_of_another_host_expires_and_its_holder_notices() {
        let folder = tempfile::tempdir().unwrap();
        let time = Duration::from_millis(200);
        let [old, new] = ["old", "new"].map(|host| leases(folder.path(), host, time));
        let lease = mine(old.claim("task", None).unwrap());
        let mut seen = taken(new.claim("task", None).unwrap());
        for _ in 0..4 {
            thread::sleep(time / 3);
            assert!(old.touch(&lease), "it is touched in time");
            seen = taken(new.claim("task", Some(&seen)).unwrap());
        }
        thread::sleep(time);
        let taken_over = mine(new.claim("task", Some(&seen)).unwrap());
        assert!(!old.touch(&lease) && new.touch(&taken_over));
        new.finish(&taken_over);
        assert!(!new.holds(&taken_over) && new.held().is_empty());
    }

    #[test]
    fn a_task_that_was_given_back_can_be_taken_by_anyone() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|host| leases(folder.path(), host, Duration::from_mins(1)));
        mine(one.claim("task", None).unwrap()).release();
        let lease = mine(other.claim("task", None).unwrap());
        assert_eq!(other.held().len(), 1);
        taken(one.claim("task", None).unwrap());
        other.finish(&lease);
    }
}
