//! The network of a checkpoint.

use kiln_artifacts::{Checkpoint, Run};
use kiln_backend::Selected;
use kiln_config::{Ckpt, Experiment};
use kiln_data::DataSet;
use kiln_model::{MODEL_FILE, Mlp, parameters_from_safetensors};

use crate::EvaluationError;

/// A network read from a checkpoint.
#[derive(Clone, Debug)]
pub struct StoredModel {
    /// The network, without autodiff.
    pub mlp: Mlp,
    /// Step of the checkpoint that it came from.
    pub step: u64,
}

/// Reads the network of the best or last checkpoint of `run`; `best` is the last one where none is marked.
///
/// # Errors
/// Where there is no checkpoint, it is damaged, or its weights do not fit `experiment` and `data`.
pub fn load_model(
    run: &Run,
    ckpt: Ckpt,
    experiment: &Experiment,
    data: &DataSet,
    backend: &Selected,
) -> Result<StoredModel, EvaluationError> {
    let checkpoint = chosen(run, ckpt)?;
    let step = checkpoint.step;
    let bytes =
        checkpoint.files.get(MODEL_FILE).ok_or(EvaluationError::NoWeights { step, file: MODEL_FILE })?;
    let shape = [data.features(), data.class_count()];
    let Experiment { model, loss, seed, .. } = experiment;
    let mlp = Mlp::new(model, loss.name, shape, *seed, &backend.device)?
        .load_parameters(&parameters_from_safetensors(bytes)?, &backend.device)?;
    Ok(StoredModel { mlp, step })
}

fn chosen(run: &Run, ckpt: Ckpt) -> Result<Checkpoint, EvaluationError> {
    let store = run.checkpoint_store();
    let marked = match ckpt {
        Ckpt::Best => store.best()?.or(store.last()?),
        Ckpt::Last => store.last()?,
    };
    let step =
        marked.ok_or_else(|| EvaluationError::NoCheckpoint { run: run.folder().display().to_string() })?;
    Ok(store.load(step)?)
}
