//! Who works on what, for workers that share nothing but a folder.
//!
//! A worker that takes a task makes the file `leases/<task>.<n>`, which only one process can make, and touches it from time
//! to time. It says who holds it. Another worker that has seen it untouched for the lease's time, by its own clock, takes the task
//! over: it makes the file with the next number. The old holder, should it still live, finds that file when it
//! touches its own, and leaves the task alone. Where holder and looker are on one host, the looker need not wait: the holder
//! keeps its file locked, and the system unlocks it when the holder dies.
//!
//! Numbers only rise until the task is done; then all files of the task go. No clock is compared with another, and no lock
//! has to work across hosts.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use crate::StudyError;
use crate::stored::names;

/// How many times a lease is touched in its time.
const BEATS: u32 = 6;
/// What a lease file says once its holder has let go.
const RELEASED: &str = "released\n";

/// Who holds a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holder {
    /// Its host, told from others of the same name by the time it was started.
    pub(crate) host: String,
    boot: String,
    pub(crate) process: u32,
}

impl Holder {
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

/// The folder of leases.
#[derive(Clone, Debug)]
pub(crate) struct Leases {
    folder: PathBuf,
    holder: Holder,
    time: Duration,
}

/// A lease of this process.
#[derive(Debug)]
pub(crate) struct Lease {
    id: String,
    number: u64,
    /// Locked as long as this process lives.
    file: File,
}

impl Lease {
    /// Gives a task back that is not done.
    pub(crate) fn release(mut self) {
        // Where that fails, it runs out.
        let _ = self.file.set_len(0).and_then(|()| {
            io::Seek::rewind(&mut self.file)?;
            self.file.write_all(RELEASED.as_bytes())
        });
    }
}

/// A lease of another process, as it was seen.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    number: u64,
    touched: Option<SystemTime>,
    since: Instant,
}

/// What an attempt to take a task came to.
#[derive(Debug)]
pub(crate) enum Claim {
    /// It is this process's now.
    Mine(Lease),
    /// Another process has it.
    Taken(Seen),
}

impl Leases {
    /// The leases of the study in `folder`, which last for `time` without being touched.
    pub(crate) fn of_study(folder: &Path, time: Duration) -> Self {
        Self { folder: folder.join("leases"), holder: Holder::here(), time }
    }

    /// The same, with a place for more.
    pub(crate) fn in_study(folder: &Path, time: Duration) -> Result<Self, StudyError> {
        let leases = Self::of_study(folder, time);
        let folder = &leases.folder;
        fs::create_dir_all(folder).map_err(|cause| StudyError::io("create", folder, cause))?;
        Ok(leases)
    }

    /// How often a lease is to be touched.
    pub(crate) fn beat(&self) -> Duration {
        self.time / BEATS
    }

    fn path(&self, id: &str, number: u64) -> PathBuf {
        self.folder.join(format!("{id}.{number}"))
    }

    /// The highest number of a task's leases.
    fn latest(&self, id: &str) -> Option<u64> {
        let mut latest = 0;
        while self.path(id, latest + 1).exists() {
            latest += 1;
        }
        (latest > 0).then_some(latest)
    }

    /// Takes a task that nobody has. `seen` is what was seen of it before, if it was taken then.
    pub(crate) fn claim(&self, id: &str, seen: Option<&Seen>) -> Result<Claim, StudyError> {
        let Some(number) = self.latest(id) else { return self.make(id, 1) };
        let path = self.path(id, number);
        let taken = |touched| {
            let before = seen.filter(|seen| (seen.number, seen.touched) == (number, touched));
            Claim::Taken(Seen { number, touched, since: before.map_or_else(Instant::now, |seen| seen.since) })
        };
        // To open it is what makes a network file system look anew.
        let Ok(file) = File::open(&path) else { return Ok(taken(None)) };
        let touched = file.metadata().and_then(|about| about.modified()).ok();
        let text = io::read_to_string(&file).unwrap_or_default();
        if text == RELEASED {
            return self.make(id, number + 1);
        }
        let holder: Option<Holder> = serde_json::from_str(&text).ok();
        let is_dead =
            holder.is_some_and(|holder| holder.shares_host(&self.holder)) && file.try_lock().is_ok();
        let Claim::Taken(now) = taken(touched) else { unreachable!("`taken` says so") };
        if is_dead || now.since.elapsed() >= self.time {
            return self.make(id, number + 1);
        }
        Ok(Claim::Taken(now))
    }

    fn make(&self, id: &str, number: u64) -> Result<Claim, StudyError> {
        let path = self.path(id, number);
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => {
                let text = serde_json::to_string(&self.holder).expect("a holder is plain data");
                // A file system without locks leaves waiting, which is always right.
                let _ = file.try_lock();
                file.write_all(text.as_bytes()).map_err(|cause| StudyError::io("write", &path, cause))?;
                Ok(Claim::Mine(Lease { id: id.to_owned(), number, file }))
            }
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
                Ok(Claim::Taken(Seen { number, touched: None, since: Instant::now() }))
            }
            Err(cause) => Err(StudyError::io("make", &path, cause)),
        }
    }

    /// Touches a lease. False where another process has taken the task over.
    pub(crate) fn touch(&self, lease: &Lease) -> bool {
        if !self.holds(lease) {
            return false;
        }
        // Where that fails, the lease runs out, and the next touch finds it taken over.
        let _ = lease.file.set_modified(SystemTime::now());
        true
    }

    /// Whether a task is still this process's.
    pub(crate) fn holds(&self, lease: &Lease) -> bool {
        self.path(&lease.id, lease.number).exists() && !self.path(&lease.id, lease.number + 1).exists()
    }

    /// Clears away the leases of a task whose result is there.
    pub(crate) fn finish(&self, lease: &Lease) {
        for number in 1..=lease.number {
            let _ = fs::remove_file(self.path(&lease.id, number));
        }
    }

    /// Ids of all tasks that have a lease, whoever holds it.
    pub(crate) fn ids(&self) -> Result<HashSet<String>, StudyError> {
        let names = names(&self.folder)?;
        Ok(names.filter_map(|name| Some(name.rsplit_once('.')?.0.to_owned())).collect())
    }

    /// Who holds what now: ids of tasks and holders, by id.
    pub(crate) fn held(&self) -> Vec<(String, Holder)> {
        let names = names(&self.folder).into_iter().flatten();
        let held = |name: String| {
            let (id, number) = name.rsplit_once('.')?;
            let number: u64 = number.parse().ok()?;
            let text = fs::read_to_string(self.folder.join(&name)).ok()?;
            let is_last = !self.path(id, number + 1).exists();
            Some((id.to_owned(), serde_json::from_str(&text).ok().filter(|_| is_last)?))
        };
        let mut held: Vec<(String, Holder)> = names.filter_map(held).collect();
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

    fn mine(claim: Claim) -> Lease {
        match claim {
            Claim::Mine(lease) => lease,
            Claim::Taken(seen) => panic!("taken: {seen:?}"),
        }
    }

    fn taken(claim: Claim) -> Seen {
        match claim {
            Claim::Taken(seen) => seen,
            Claim::Mine(lease) => panic!("it should be taken: {lease:?}"),
        }
    }

    #[test]
    fn of_many_that_try_one_gets_the_task() {
        let folder = tempfile::tempdir().unwrap();
        let long = Duration::from_mins(1);
        let got: usize = thread::scope(|scope| {
            let claim = |host: usize| {
                let leases = leases(folder.path(), &format!("host{host}"), long);
                let claims = (0..50).map(move |task| leases.claim(&format!("task{task}"), None).unwrap());
                claims.filter(|claim| matches!(claim, Claim::Mine(_))).count()
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
        // What the system does with the files of a process that dies.
        drop(lease);
        mine(leases.claim("task", None).unwrap());
    }

    #[test]
    fn the_lease_of_another_host_is_free_when_it_was_not_touched_for_its_time_and_its_holder_learns_of_it() {
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
