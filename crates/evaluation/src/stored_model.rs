//! The network of a checkpoint.

use std::fs;
use std::path::{Path, PathBuf};

use kiln_artifacts::{Checkpoint, Run};
use kiln_backend::Selected;
use kiln_config::{Ckpt, Experiment};
use kiln_data::Profile;
use kiln_model::{MODEL_FILE, Mlp, parameters_from_safetensors};

use crate::EvaluationError;

/// A network read from a checkpoint.
#[derive(Clone, Debug)]
pub struct StoredModel {
    /// The network, without autodiff.
    pub mlp: Mlp,
    /// Step of the checkpoint that it came from; none for weights from elsewhere.
    pub step: Option<u64>,
}

/// Which weights to evaluate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Weights {
    /// The checkpoint that is marked so; `best` is the last one where none is marked.
    Marked(Ckpt),
    /// The checkpoint of this step.
    Step(u64),
    /// A checkpoint folder, or a file of weights, anywhere.
    Path(PathBuf),
}

/// Reads the network of a checkpoint of `run`.
///
/// # Errors
/// Where there is no such checkpoint, it is damaged, or its weights do not fit `experiment` and `profile`.
pub fn load_model(
    run: &Run,
    weights: &Weights,
    experiment: &Experiment,
    profile: &Profile,
    backend: &Selected,
) -> Result<StoredModel, EvaluationError> {
    let (step, bytes) = match weights {
        Weights::Marked(ckpt) => of_checkpoint(marked(run, *ckpt)?)?,
        Weights::Step(step) => of_checkpoint(run.checkpoint_store().load(*step)?)?,
        Weights::Path(path) => (None, of_path(path)?),
    };
    let shape = [profile.shape.features(), profile.classes.len()];
    let Experiment { model, loss, seed, .. } = experiment;
    let mlp = Mlp::new(model, loss.name, shape, *seed, &backend.device)?
        .load_parameters(&parameters_from_safetensors(&bytes)?, &backend.device)?;
    Ok(StoredModel { mlp, step })
}

fn of_checkpoint(mut checkpoint: Checkpoint) -> Result<(Option<u64>, Vec<u8>), EvaluationError> {
    let step = checkpoint.step;
    let bytes = checkpoint.files.remove(MODEL_FILE);
    Ok((Some(step), bytes.ok_or(EvaluationError::NoWeights { step, file: MODEL_FILE })?))
}

fn of_path(path: &Path) -> Result<Vec<u8>, EvaluationError> {
    let file = if path.is_dir() { path.join(MODEL_FILE) } else { path.to_owned() };
    fs::read(&file).map_err(|cause| EvaluationError::Io { action: "read", path: file.clone(), cause })
}

fn marked(run: &Run, ckpt: Ckpt) -> Result<Checkpoint, EvaluationError> {
    let store = run.checkpoint_store();
    let marked = match ckpt {
        Ckpt::Best => store.best()?.or(store.last()?),
        Ckpt::Last => store.last()?,
    };
    let step =
        marked.ok_or_else(|| EvaluationError::NoCheckpoint { run: run.folder().display().to_string() })?;
    Ok(store.load(step)?)
}
