//! Saves checkpoints beside the training, so that a slow disk does not hold up the next step.

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use kiln_artifacts::{ArtifactError, CheckpointStore, Run, Status};
use kiln_model::{MODEL_FILE, Parameter, parameters_to_safetensors};
use serde_json::Value;

use crate::TrainingError;

/// File of a checkpoint that holds what the optimizer remembers.
pub(crate) const OPTIMIZER_FILE: &str = "optimizer.safetensors";

/// A run at one step: what a checkpoint is made of.
pub(crate) struct Snapshot {
    pub(crate) step: u64,
    pub(crate) state: Value,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) moments: Vec<Parameter>,
}

/// A thread that saves the newest and the best snapshot.
///
/// Where snapshots come faster than the disk takes them, those that a newer one has made pointless are left
/// out; the best is always saved, and before any later one, and so is the last. Which others there are depends on
/// the disk: to save every one, a short epoch would have to wait for it.
pub(crate) struct Saver {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

/// Where snapshots wait for the thread.
#[derive(Default)]
struct Desk {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    best: Option<Arc<Snapshot>>,
    latest: Option<Arc<Snapshot>>,
    status: Option<Status>,
    closed: bool,
    error: Option<TrainingError>,
}

/// What the thread does next.
struct Work {
    best: Option<Arc<Snapshot>>,
    latest: Option<Arc<Snapshot>>,
    status: Option<Status>,
}

impl Saver {
    /// Starts the thread for `run`, which keeps `keep_latest_k` checkpoints besides the best.
    pub(crate) fn start(run: Run, keep_latest_k: usize) -> Self {
        let desk = Arc::new(Desk::default());
        let theirs = Arc::clone(&desk);
        let work = move || {
            let keeper = Keeper { store: run.checkpoint_store(), run, keep_latest_k };
            while let Some(work) = theirs.next() {
                if let Err(error) = keeper.save(&work) {
                    theirs.lock().error = Some(error);
                    break;
                }
            }
        };
        let thread = std::thread::Builder::new().name("checkpoints".to_owned()).spawn(work);
        Self { desk, thread: Some(thread.expect("the system has room for one more thread")) }
    }

    /// Hands over a snapshot; it is the best so far or not. An error is one of an earlier snapshot.
    pub(crate) fn save(&self, snapshot: Snapshot, is_best: bool) -> Result<(), TrainingError> {
        let snapshot = Arc::new(snapshot);
        let mut waiting = self.desk.lock();
        if let Some(error) = waiting.error.take() {
            return Err(error);
        }
        if is_best {
            waiting.best = Some(Arc::clone(&snapshot));
        }
        waiting.latest = Some(snapshot);
        self.desk.changed.notify_one();
        Ok(())
    }

    /// Hands over the status, to be written once what waits before it is saved.
    pub(crate) fn write_status(&self, status: Status) {
        self.desk.lock().status = Some(status);
        self.desk.changed.notify_one();
    }

    /// Waits until everything is saved.
    pub(crate) fn finish(mut self) -> Result<(), TrainingError> {
        self.close();
        self.desk.lock().error.take().map_or(Ok(()), Err)
    }

    fn close(&mut self) {
        self.desk.lock().closed = true;
        self.desk.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("saving reports errors and does not panic");
        }
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        self.close();
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for work; none once the desk is closed and cleared.
    fn next(&self) -> Option<Work> {
        let mut waiting = self.lock();
        loop {
            let Waiting { best, latest, status, closed, .. } = &mut *waiting;
            if latest.is_some() || status.is_some() {
                return Some(Work { best: best.take(), latest: latest.take(), status: status.take() });
            }
            if *closed {
                return None;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The run folder as the thread writes to it.
struct Keeper {
    run: Run,
    store: CheckpointStore,
    keep_latest_k: usize,
}

impl Keeper {
    fn save(&self, work: &Work) -> Result<(), TrainingError> {
        if let Some(latest) = &work.latest {
            // A checkpoint says how long the logs are: they must be on disk before it.
            sync(&self.run.metrics())?;
            sync(&self.run.timings())?;
            match &work.best {
                Some(best) if best.step == latest.step => self.checkpoint(latest, true)?,
                Some(best) => {
                    self.checkpoint(best, true)?;
                    self.checkpoint(latest, false)?;
                }
                None => self.checkpoint(latest, false)?,
            }
            self.store.prune(self.keep_latest_k)?;
        }
        if let Some(status) = &work.status {
            self.run.write_status(status)?;
        }
        Ok(())
    }

    fn checkpoint(&self, snapshot: &Snapshot, is_best: bool) -> Result<(), TrainingError> {
        let weights = parameters_to_safetensors(&snapshot.parameters)?;
        let moments = parameters_to_safetensors(&snapshot.moments)?;
        let files: [(&str, &[u8]); 2] = [(MODEL_FILE, &weights), (OPTIMIZER_FILE, &moments)];
        self.store.save(snapshot.step, &snapshot.state, &files)?;
        self.store.set_last(snapshot.step)?;
        if is_best {
            self.store.set_best(snapshot.step)?;
        }
        Ok(())
    }
}

fn sync(path: &Path) -> Result<(), ArtifactError> {
    let synced = OpenOptions::new().append(true).open(path).and_then(|file| file.sync_all());
    synced.map_err(|cause| ArtifactError::io("sync", path, cause))
}

#[cfg(test)]
mod tests {
    use kiln_artifacts::RunInputs;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_best_and_the_last_are_saved_however_fast_snapshots_come() {
        let root = tempfile::tempdir().unwrap();
        let inputs = RunInputs { resolved_toml: "", input_toml: "", overrides: &[], start: None };
        let run = Run::create(root.path(), "run", &inputs).unwrap();
        for log in [run.metrics(), run.timings()] {
            std::fs::write(log, "").unwrap();
        }
        let saver = Saver::start(run.clone(), 1);
        for step in 1..=100 {
            let snapshot = Snapshot { step, state: json!({}), parameters: Vec::new(), moments: Vec::new() };
            saver.save(snapshot, [10, 40].contains(&step)).unwrap();
        }
        saver.finish().unwrap();
        let store = run.checkpoint_store();
        assert_eq!((store.best().unwrap(), store.last().unwrap()), (Some(40), Some(100)));
        assert_eq!(store.steps().unwrap(), [40, 100]);
        assert_eq!(store.latest_good().unwrap().checkpoint.unwrap().step, 100);
    }
}
