//! The model of a checkpoint.

use std::fs;
use std::path::{Path, PathBuf};

use kiln_artifacts::{Checkpoint, Run};
use kiln_config::{Ckpt, DecisionName, Evaluation};
use kiln_model::{MODEL_FILE, Model, parameters_from_safetensors, with_parameters};

use crate::threshold::ThresholdCurve;
use crate::{Calibration, EvaluationError, Predictions, Threshold};

/// A model with the weights of a checkpoint.
#[derive(Clone, Debug)]
pub struct StoredModel<M> {
    /// The model, without autodiff.
    pub model: M,
    /// Step of the checkpoint that its weights came from; none for weights from elsewhere.
    pub step: Option<u64>,
    /// What is made of its probabilities.
    pub calibration: Option<Calibration>,
    /// From which probability on a class is named.
    pub threshold: Option<Threshold>,
}

impl<M> StoredModel<M> {
    /// Takes the threshold of costs for weights that none is kept for: it follows from the costs alone.
    pub fn decide_by_cost(&mut self, config: &Evaluation, classes: &[String]) {
        if self.threshold.is_none() && config.decision == DecisionName::Cost {
            let curve = ThresholdCurve::choose(config, classes, None, self.step);
            self.threshold = curve.map(|curve| curve.chosen);
        }
    }

    /// What it says, given what its network does: with calibrated probabilities and the class that the threshold decides.
    #[must_use]
    pub fn says(&self, predictions: Predictions) -> Predictions {
        predictions.calibrated(self.calibration.as_ref()).decided(self.threshold.as_ref())
    }
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

/// Gives `model` the weights of a checkpoint of `run`.
///
/// # Errors
/// Where there is no such checkpoint, it is damaged, or its weights do not fit `model`.
pub fn load_model<M: Model>(
    model: M,
    run: &Run,
    weights: &Weights,
) -> Result<StoredModel<M>, EvaluationError> {
    let (step, bytes) = read_weights(run, weights)?;
    let model = with_parameters(model, &parameters_from_safetensors(&bytes)?)?;
    let threshold = ThresholdCurve::read(run, step)?.map(|curve| curve.chosen);
    Ok(StoredModel { model, step, calibration: Calibration::read(run, step)?, threshold })
}

/// The weights of a checkpoint of `run`, in the format of safetensors, with its step where it is one of its own.
///
/// # Errors
/// Where there is no such checkpoint, or it is damaged.
pub fn read_weights(run: &Run, weights: &Weights) -> Result<(Option<u64>, Vec<u8>), EvaluationError> {
    match weights {
        Weights::Marked(ckpt) => of_checkpoint(marked(run, *ckpt)?),
        Weights::Step(step) => of_checkpoint(run.checkpoint_store().load(*step)?),
        Weights::Path(path) => Ok((None, of_path(path)?)),
    }
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
