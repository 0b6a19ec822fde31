//! Saving checkpoints, and the optimizer's state inside them.
//!
//! A checkpoint is written by a thread of its own, [`CheckpointWriter`], so that a slow disk does not hold up the next
//! step.
//!
//! The optimizer's state needs a translation. Burn's record of an optimizer stores each value under the id of its
//! parameter, which is random in every process. [`OptimizerState`] stores it under the parameter's path in the module,
//! such as `layers.0.weight.first`, so any process can resume it.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::tensor::{Bytes, DType};
use burn_pack::{Reader, Scalar, Tensor, Writer};
use kiln_artifacts::{ArtifactError, CheckpointStore, Run, RunStatus};
use kiln_model::{MODEL_FILE, ModelError, Named, Parameter, parameters_to_safetensors};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::TrainingError;

/// The file of a checkpoint with the optimizer's tensors.
pub(crate) const OPTIMIZER_FILE: &str = "optimizer.safetensors";

/// A run at one step: the contents of a checkpoint.
pub(crate) struct Snapshot {
    pub(crate) step: u64,
    pub(crate) state: Value,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) moments: Vec<Parameter>,
}

/// A thread that saves snapshots and the status of a run.
///
/// If snapshots arrive faster than the disk can write them, a newer one replaces one that still waits. Two are never
/// lost: the best snapshot, which is saved before any later one, and the last. Which of the others exist depends on the
/// speed of the disk; saving all of them would slow training down to it.
pub(crate) struct CheckpointWriter {
    queue: Arc<SaveQueue>,
    thread: Option<JoinHandle<()>>,
}

/// Passes snapshots to the thread.
#[derive(Default)]
struct SaveQueue {
    pending: Mutex<PendingSaves>,
    changed: Condvar,
}

#[derive(Default)]
struct PendingSaves {
    best: Option<Arc<Snapshot>>,
    latest: Option<Arc<Snapshot>>,
    status: Option<RunStatus>,
    closed: bool,
    error: Option<TrainingError>,
}

/// What the thread writes next.
struct SaveRequest {
    best: Option<Arc<Snapshot>>,
    latest: Option<Arc<Snapshot>>,
    status: Option<RunStatus>,
}

impl CheckpointWriter {
    /// Starts the thread for `run`. Of older checkpoints it keeps the latest `keep_latest_k` and the best.
    pub(crate) fn start(run: Run, keep_latest_k: usize) -> Self {
        let queue = Arc::new(SaveQueue::default());
        let thread_queue = Arc::clone(&queue);
        let work = move || {
            let folder = RunFolder { store: run.checkpoint_store(), run, keep_latest_k };
            while let Some(request) = thread_queue.next() {
                if let Err(error) = folder.save(&request) {
                    thread_queue.lock().error = Some(error);
                    break;
                }
            }
        };
        let thread = std::thread::Builder::new().name("checkpoints".to_owned()).spawn(work);
        Self { queue, thread: Some(thread.expect("the system has room for one more thread")) }
    }

    /// Queues a snapshot. An error is from saving an earlier one.
    pub(crate) fn save(&self, snapshot: Snapshot, is_best: bool) -> Result<(), TrainingError> {
        let snapshot = Arc::new(snapshot);
        let mut pending = self.queue.lock();
        if let Some(error) = pending.error.take() {
            return Err(error);
        }
        if is_best {
            pending.best = Some(Arc::clone(&snapshot));
        }
        pending.latest = Some(snapshot);
        self.queue.changed.notify_one();
        Ok(())
    }

    /// Queues the status. It is written after the snapshots that wait.
    pub(crate) fn write_status(&self, status: RunStatus) {
        self.queue.lock().status = Some(status);
        self.queue.changed.notify_one();
    }

    /// Waits until everything is saved.
    pub(crate) fn finish(mut self) -> Result<(), TrainingError> {
        self.close();
        self.queue.lock().error.take().map_or(Ok(()), Err)
    }

    fn close(&mut self) {
        self.queue.lock().closed = true;
        self.queue.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("saving reports errors and does not panic");
        }
    }
}

impl Drop for CheckpointWriter {
    fn drop(&mut self) {
        self.close();
    }
}

impl SaveQueue {
    fn lock(&self) -> MutexGuard<'_, PendingSaves> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a request; `None` when the queue is closed and empty.
    fn next(&self) -> Option<SaveRequest> {
        let mut pending = self.lock();
        loop {
            let PendingSaves { best, latest, status, closed, .. } = &mut *pending;
            if latest.is_some() || status.is_some() {
                return Some(SaveRequest { best: best.take(), latest: latest.take(), status: status.take() });
            }
            if *closed {
                return None;
            }
            pending = self.changed.wait(pending).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The run folder, as the thread writes to it.
struct RunFolder {
    run: Run,
    store: CheckpointStore,
    keep_latest_k: usize,
}

impl RunFolder {
    fn save(&self, request: &SaveRequest) -> Result<(), TrainingError> {
        if let Some(latest) = &request.latest {
            // A resume cuts the logs back to the lengths in the checkpoint, so they must be on disk before it.
            sync(&self.run.metrics())?;
            sync(&self.run.timings())?;
            match &request.best {
                Some(best) if best.step == latest.step => self.checkpoint(latest, true)?,
                Some(best) => {
                    self.checkpoint(best, true)?;
                    self.checkpoint(latest, false)?;
                }
                None => self.checkpoint(latest, false)?,
            }
            self.store.prune(self.keep_latest_k)?;
        }
        if let Some(status) = &request.status {
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

/// A scalar of an optimizer's state, such as the number of its steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Number {
    Bool(bool),
    UInt(u64),
    Int(i64),
    Float(f64),
}

/// An optimizer's state: its tensors and scalars by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct OptimizerState {
    pub(crate) tensors: Vec<Parameter>,
    pub(crate) numbers: BTreeMap<String, Number>,
}

impl OptimizerState {
    /// The state that `optimizer` has for the parameters in `named`.
    pub(crate) fn of(optimizer: &ModuleOptimizer, named: &[Named]) -> Self {
        let bytes = optimizer.to_record().into_bytes().expect("a record in memory is written whole");
        let reader = Reader::from_bytes(bytes).expect("just written");
        let numbers = reader
            .scalars()
            .iter()
            .filter_map(|(name, value)| Some((with_path(name, named)?, Number::from(*value))));
        let numbers = numbers.collect();
        let tensors = reader.into_tensors().expect("just written").into_iter().filter_map(|tensor| {
            let (name, _, shape, _, bytes) = tensor.into_parts().expect("just written");
            let (values, _) = bytes.as_chunks::<4>();
            let values = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            Some(Parameter { name: with_path(&name, named)?, shape: shape.to_vec(), values })
        });
        let mut tensors: Vec<Parameter> = tensors.collect();
        tensors.sort_by(|left, right| left.name.cmp(&right.name));
        Self { tensors, numbers }
    }

    /// `optimizer` with this state for the parameters in `named`. An error if the state names a parameter that the model
    /// does not have.
    pub(crate) fn restore(
        self,
        optimizer: ModuleOptimizer,
        named: &[Named],
    ) -> Result<ModuleOptimizer, ModelError> {
        let mut paths = BTreeMap::new();
        let tensors = self.tensors.into_iter().map(|Parameter { name, shape, values }| {
            let (parameter, name) = with_id(&name, named)?;
            paths.insert(parameter.id.val().to_string(), parameter.path.clone());
            // Kiln's first version stored moments without their shape.
            let shape = if shape.len() == 1 { parameter.shape.clone() } else { shape };
            let bytes = Bytes::from_bytes_vec(values.iter().flat_map(|value| value.to_le_bytes()).collect());
            Ok(Tensor::new(name, DType::F32, shape, Some(parameter.id.val()), bytes))
        });
        let tensors = tensors.collect::<Result<Vec<_>, ModelError>>()?;
        let mut writer = Writer::new(tensors);
        for (name, number) in self.numbers {
            let (parameter, name) = with_id(&name, named)?;
            paths.insert(parameter.id.val().to_string(), parameter.path.clone());
            writer = writer.with_scalar(&name, Scalar::from(number));
        }
        for (id, path) in &paths {
            writer = writer.with_metadata(id, path);
        }
        let record = writer.into_bytes().ok().and_then(|bytes| OptimizerRecord::from_bytes(bytes).ok());
        Ok(optimizer.load_record(record.expect("a record in memory is read as it was written")))
    }
}

/// Translates `{id}.{field}` to `{path}.{field}`.
fn with_path(name: &str, named: &[Named]) -> Option<String> {
    let (id, field) = name.split_once('.')?;
    let parameter = named.iter().find(|parameter| parameter.id.val().to_string() == id)?;
    Some(format!("{}.{field}", parameter.path))
}

/// The parameter that `{path}.{field}` belongs to, and the name as `{id}.{field}`.
fn with_id<'a>(name: &str, named: &'a [Named]) -> Result<(&'a Named, String), ModelError> {
    let field = |parameter: &Named| Some(name.strip_prefix(&parameter.path)?.strip_prefix('.')?.to_owned());
    let found = named.iter().find_map(|parameter| Some((parameter, field(parameter)?)));
    let (parameter, field) = found.ok_or_else(|| ModelError::Parameter {
        name: name.to_owned(),
        expected: "optimizer state for a parameter of the model".to_owned(),
        found: "no parameter with this name".to_owned(),
    })?;
    Ok((parameter, format!("{}.{field}", parameter.id.val())))
}

impl From<Scalar> for Number {
    fn from(value: Scalar) -> Self {
        match value {
            Scalar::Int(value) => u64::try_from(value).map_or(Self::Int(value), Self::UInt),
            Scalar::UInt(value) => Self::UInt(value),
            Scalar::Float(value) => Self::Float(value),
            Scalar::Bool(value) => Self::Bool(value),
        }
    }
}

impl From<Number> for Scalar {
    fn from(value: Number) -> Self {
        match value {
            Number::Int(value) => Self::Int(value),
            Number::UInt(value) => Self::UInt(value),
            Number::Float(value) => Self::Float(value),
            Number::Bool(value) => Self::Bool(value),
        }
    }
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
        let writer = CheckpointWriter::start(run.clone(), 1);
        for step in 1..=100 {
            let snapshot = Snapshot { step, state: json!({}), parameters: Vec::new(), moments: Vec::new() };
            writer.save(snapshot, [10, 40].contains(&step)).unwrap();
        }
        writer.finish().unwrap();
        let store = run.checkpoint_store();
        assert_eq!((store.best().unwrap(), store.last().unwrap()), (Some(40), Some(100)));
        assert_eq!(store.steps().unwrap(), [40, 100]);
        assert_eq!(store.latest_good().unwrap().checkpoint.unwrap().step, 100);
    }
}
