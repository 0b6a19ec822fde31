//! The prediction pass: the model of a checkpoint, run over a split once.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Device;
use burn::train::InferenceStep;
use kiln_artifacts::{Checkpoint, Run};
use kiln_config::{Ckpt, DecisionName, Evaluation};
use kiln_data::{Batching, EpochBatches, Normalizer, Profile, Split};
use kiln_model::{MODEL_FILE, Model, StepOutput, Tally, parameters_from_safetensors, with_parameters};
use safetensors::SafeTensors;
use schemars::JsonSchema;
use serde::Serialize;

use crate::threshold::ThresholdCurve;
use crate::{Calibration, EvaluationError, Predictions, Threshold};

/// A model with the weights of a checkpoint.
#[derive(Clone, Debug)]
pub struct StoredModel<M> {
    /// The model, without autodiff.
    pub model: M,
    /// Step of the checkpoint; `None` for weights that are not from a checkpoint of the run.
    pub step: Option<u64>,
    /// The calibration of its probabilities, if it has one.
    pub calibration: Option<Calibration>,
    /// The decision threshold, if it has one.
    pub threshold: Option<Threshold>,
}

impl<M> StoredModel<M> {
    /// Sets the threshold of a decision by cost if none is stored for these weights: it follows from the costs alone.
    pub fn decide_by_cost(&mut self, config: &Evaluation, classes: &[String]) {
        if self.threshold.is_none() && config.decision == DecisionName::Cost {
            let curve = ThresholdCurve::choose(config, classes, None, self.step);
            self.threshold = curve.map(|curve| curve.chosen);
        }
    }

    /// Applies the calibration and the threshold to the predictions of its network.
    #[must_use]
    pub fn calibrate_and_decide(&self, predictions: Predictions) -> Predictions {
        predictions.calibrated(self.calibration.as_ref()).decided(self.threshold.as_ref())
    }
}

/// Which weights to evaluate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Weights {
    /// The best or the last checkpoint. If none is marked as the best, this is the last one.
    Marked(Ckpt),
    /// The checkpoint of this step.
    Step(u64),
    /// Any checkpoint folder or file of weights.
    Path(PathBuf),
}

/// Loads the weights of a checkpoint of `run` into `model`, with the calibration and the threshold that belong to them.
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

/// The weights in the safetensors format, with the step if they are from a checkpoint of `run`.
pub fn read_weights(run: &Run, weights: &Weights) -> Result<(Option<u64>, Vec<u8>), EvaluationError> {
    match weights {
        Weights::Marked(ckpt) => weights_of_checkpoint(marked_checkpoint(run, *ckpt)?),
        Weights::Step(step) => weights_of_checkpoint(run.checkpoint_store().load(*step)?),
        Weights::Path(path) => Ok((None, weights_at(path)?)),
    }
}

fn weights_of_checkpoint(mut checkpoint: Checkpoint) -> Result<(Option<u64>, Vec<u8>), EvaluationError> {
    let step = checkpoint.step;
    let bytes = checkpoint.files.remove(MODEL_FILE);
    Ok((Some(step), bytes.ok_or(EvaluationError::NoWeights { step, file: MODEL_FILE })?))
}

fn weights_at(path: &Path) -> Result<Vec<u8>, EvaluationError> {
    let file = if path.is_dir() { path.join(MODEL_FILE) } else { path.to_owned() };
    fs::read(&file).map_err(|cause| EvaluationError::Io { action: "read", path: file.clone(), cause })
}

fn marked_checkpoint(run: &Run, ckpt: Ckpt) -> Result<Checkpoint, EvaluationError> {
    let store = run.checkpoint_store();
    let marked = match ckpt {
        Ckpt::Best => store.best()?.or(store.last()?),
        Ckpt::Last => store.last()?,
    };
    let step =
        marked.ok_or_else(|| EvaluationError::NoCheckpoint { run: run.folder().display().to_string() })?;
    Ok(store.load(step)?)
}

/// Loss and accuracy over a whole split, whatever the batch size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct PassFigures {
    /// Mean loss; NaN if it is not finite, which is null in JSON.
    #[schemars(with = "Option<f64>")]
    pub loss: f64,
    /// The accuracy of the most probable class, in [0, 1].
    #[schemars(with = "Option<f64>")]
    pub accuracy: f64,
    /// The number of examples.
    pub examples: u64,
}

/// Batch size with dropout active. It is fixed because the dropout masks depend on it.
const DROPOUT_BATCH: usize = 256;

/// Loss and accuracy of `model` on `split` with dropout active. A network should not be tested this way, but some published
/// results were. Batches have 256 examples in the split's order, and batch n (from 0) uses the dropout mask of training
/// step n, so the figures are reproducible.
#[must_use]
pub fn evaluate_with_dropout(
    model: &impl Model,
    profile: &Profile,
    split: &Split,
    device: &Device,
) -> PassFigures {
    // Inside the pool, a parallel operation starts on this thread. From outside, it would switch threads and wait.
    let (mut tally, model) = (Tally::default(), model.clone());
    rayon::scope(|_| {
        let model = model;
        for batch in batches(profile, split, DROPOUT_BATCH, device).for_training(0) {
            tally.merge(&InferenceStep::step(&model, batch.into()).tally());
        }
    });
    PassFigures { loss: tally.loss(), accuracy: tally.accuracy(), examples: tally.examples }
}

/// Predicts every example of `split` in inference mode. A whole evaluation follows from this one pass.
///
/// The predicted class is that of the largest output, the first of several equal ones; NaN is never the largest.
/// `class_weights` are those of the loss, one for each class, or empty.
///
/// # Panics
/// If `model` does not have one output for each class of `profile`.
#[must_use]
pub fn predict(
    model: &impl Model,
    profile: &Profile,
    split: &Split,
    batch_size: usize,
    class_weights: &[f64],
    device: &Device,
) -> Predictions {
    let classes = profile.classes.len();
    let mut predicted = Vec::with_capacity(split.len());
    let mut probabilities = Vec::with_capacity(split.len() * classes);
    let mut losses = Vec::with_capacity(split.len());
    let model = model.clone();
    rayon::scope(|_| {
        let model = model;
        for batch in batches(profile, split, batch_size, device) {
            let found = InferenceStep::step(&model, batch.into()).predicted();
            losses.extend(found.losses.into_iter().map(f64::from));
            // On a GPU, rounding can make a probability slightly larger than 1.
            probabilities.extend(found.probabilities.into_iter().map(|value| value.clamp(0.0, 1.0)));
            predicted.extend(found.classes);
        }
    });
    let truth = split.labels().to_vec();
    let weights = example_weights(class_weights, &truth);
    let predictions = Predictions::new(profile.classes.clone(), truth, predicted, probabilities, losses);
    let weighted = predictions.and_then(|predictions| match weights {
        Some(weights) => predictions.with_weights(weights),
        None => Ok(predictions),
    });
    let lines: Option<Vec<u32>> = (0..split.len()).map(|position| split.line(position)).collect();
    let weighted = weighted.and_then(|predictions| match lines {
        Some(lines) if !lines.is_empty() => predictions.with_lines(lines),
        _ => Ok(predictions),
    });
    weighted.expect("a network gives each example as many outputs as there are classes")
}

fn batches(profile: &Profile, split: &Split, batch_size: usize, device: &Device) -> EpochBatches {
    let normalizer = Arc::new(profile.normalizer.clone());
    EpochBatches::new(split, &normalizer, &Batching::in_order(batch_size), 0, 0, device)
}

/// The weight of each example in the mean loss, rounded to single precision as in training; `None` if all weights are 1.
fn example_weights(class_weights: &[f64], truth: &[u32]) -> Option<Vec<f64>> {
    let weight = |class: u32| f64::from(class_weights[class as usize] as f32);
    let differ = class_weights.iter().any(|weight| *weight != 1.0);
    differ.then(|| truth.iter().map(|&class| weight(class)).collect())
}

/// Predictions for examples whose true classes are unknown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UnlabelledPredictions {
    /// The predicted class of each example, by number.
    pub classes: Vec<u32>,
    /// The probability of every class, example by example; NaN if the model diverged.
    pub probabilities: Vec<f32>,
}

impl<M: Model> StoredModel<M> {
    /// Predicts every example of `split`, for a server: without losses and on this thread, so that a single example takes
    /// microseconds. The result is equal to that of [`predict`](crate::predict) and [`StoredModel::calibrate_and_decide`],
    /// bit for bit.
    ///
    /// `normalizer` and `classes` are those of the training data.
    #[must_use]
    pub fn predict_unlabelled(
        &self,
        normalizer: &Arc<Normalizer>,
        classes: &[String],
        split: &Split,
        batch_size: usize,
        device: &Device,
    ) -> UnlabelledPredictions {
        let mut predictions = UnlabelledPredictions::default();
        for batch in EpochBatches::new(split, normalizer, &Batching::in_order(batch_size), 0, 0, device) {
            let found = InferenceStep::step(&self.model, batch.into()).predicted();
            predictions.classes.extend(found.classes);
            // On a GPU, rounding can make a probability slightly larger than 1.
            predictions
                .probabilities
                .extend(found.probabilities.into_iter().map(|value| value.clamp(0.0, 1.0)));
        }
        self.calibrate_and_decide_unlabelled(&mut predictions, classes);
        predictions
    }

    /// Applies the calibration and the threshold.
    fn calibrate_and_decide_unlabelled(&self, predictions: &mut UnlabelledPredictions, classes: &[String]) {
        let positive = self.threshold.as_ref().and_then(|threshold| {
            let positive = classes.iter().position(|class| *class == threshold.positive)?;
            Some((threshold, positive))
        });
        let rows = predictions.probabilities.chunks_exact_mut(classes.len());
        for (row, class) in rows.zip(&mut predictions.classes) {
            if let Some(calibration) = &self.calibration {
                calibration.apply(row);
            }
            if let Some((threshold, positive)) = positive
                && row.iter().all(|value| value.is_finite())
            {
                *class = threshold.decides(positive as u32, row[positive]);
            }
        }
    }
}

/// The number of weights and biases in the checkpoint of this step, or in the last one. `None` if it cannot be read.
#[must_use]
pub fn weight_count(run: &Run, step: Option<u64>) -> Option<u64> {
    let step = step.or_else(|| run.checkpoint_store().last().ok().flatten())?;
    count_in_file(&run.checkpoints().join(format!("step-{step}")).join(kiln_model::MODEL_FILE))
}

fn count_in_file(path: &Path) -> Option<u64> {
    let (_, tensors) = SafeTensors::read_metadata(&fs::read(path).ok()?).ok()?;
    let sizes = tensors.tensors().into_values().map(|tensor| tensor.shape.iter().product::<usize>() as u64);
    Some(sizes.sum())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use kiln_config::{ClassWeights, Data, DataSource, Experiment, LossName, Output};
    use kiln_data::{DataFolders, DataSet, NoProgress};
    use kiln_model::{Fused, Mlp, Parameter, parameters_to_safetensors};

    use super::*;
    use crate::{Evaluation, EvaluationSettings, Metrics};

    struct Setup {
        mlp: Mlp,
        experiment: Experiment,
        data: DataSet,
    }

    impl Setup {
        /// An untrained network for the embedded digits.
        fn new(fused: Fused, change: impl Fn(&mut Experiment)) -> Self {
            let data = Data { source: DataSource::Digits, ..Data::default() };
            let mut experiment = Experiment { data, seed: 1, ..Experiment::default() };
            experiment.model.hidden = vec![16];
            change(&mut experiment);
            let folders = DataFolders { data_dir: None, cache: PathBuf::new() };
            let data = kiln_data::load(&experiment.data, 1, &folders, &NoProgress).unwrap();
            let shape = [data.features(), data.class_count()];
            let mlp = Mlp::new(&experiment, shape, fused, &Device::flex()).unwrap();
            Self { mlp, experiment, data }
        }

        fn predict(&self, batch_size: usize) -> Predictions {
            let profile = Profile::of(&self.data);
            let weights = self.experiment.loss.class_weights.each();
            predict(&self.mlp, &profile, &self.data.test, batch_size, weights, &Device::flex())
        }

        /// The figures as training logs them.
        fn tally(&self) -> Tally {
            let mut tally = Tally::default();
            for batch in batches(&Profile::of(&self.data), &self.data.test, DROPOUT_BATCH, &Device::flex()) {
                tally.merge(&InferenceStep::step(&self.mlp, batch).tally());
            }
            tally
        }

        /// The figures of the test pass.
        fn figures(&self) -> Metrics {
            let settings = EvaluationSettings { resamples: 0, ..EvaluationSettings::default() };
            Evaluation::new(&self.predict(DROPOUT_BATCH), &settings).unwrap().metrics
        }

        fn with_dropout(&self) -> PassFigures {
            let profile = Profile::of(&self.data);
            evaluate_with_dropout(&self.mlp, &profile, &self.data.test, &Device::flex())
        }
    }

    #[test]
    fn predictions_agree_with_the_training_log() {
        let configs: [fn(&mut Experiment); 5] = [
            |_| {},
            |experiment| experiment.loss.name = LossName::Nll,
            |experiment| {
                experiment.loss.class_weights =
                    ClassWeights::Each((1..=10).map(|class| f64::from(class) / 4.0).collect());
            },
            |experiment| experiment.loss.label_smoothing = 0.1,
            |experiment| {
                experiment.loss.name = LossName::Mse;
                experiment.model.output = Output::Sigmoid;
            },
        ];
        for (config, fused) in configs.into_iter().flat_map(|it| [(it, Fused::Off), (it, Fused::On)]) {
            let setup = Setup::new(fused, config);
            let (predictions, metrics) = (setup.predict(DROPOUT_BATCH), setup.figures());
            let logged = setup.tally();
            assert!((metrics.figure("loss").unwrap() / logged.loss() - 1.0).abs() < 1e-12, "{metrics:?}");
            assert_eq!((metrics.accuracy(), metrics.examples), (logged.accuracy(), logged.examples));
            let sums = (0..predictions.len()).map(|at| predictions.probabilities(at).iter().sum::<f32>());
            assert!(sums.into_iter().all(|sum| (sum - 1.0).abs() < 1e-5));
        }
    }

    #[test]
    fn batches_of_any_size_predict_the_same() {
        let setup = Setup::new(Fused::On, |_| {});
        let whole = setup.predict(1000);
        for batch_size in [1, 7, 64] {
            let parts = setup.predict(batch_size);
            assert_eq!((parts.truth(), parts.predicted()), (whole.truth(), whole.predicted()));
            for at in 0..whole.len() {
                let pairs = parts.probabilities(at).iter().zip(whole.probabilities(at));
                assert!(pairs.into_iter().all(|(part, whole)| (part - whole).abs() < 1e-6));
                assert!((parts.loss()[at] - whole.loss()[at]).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn active_dropout_changes_the_figures_reproducibly() {
        let without = Setup::new(Fused::On, |_| {});
        assert_eq!(Some(without.with_dropout().loss), without.figures().figure("loss"));
        let with = Setup::new(Fused::On, |experiment| experiment.model.dropout = 0.5);
        assert_eq!(with.with_dropout(), with.with_dropout());
        assert_ne!(Some(with.with_dropout().loss), with.figures().figure("loss"));
    }

    #[test]
    fn weights_and_biases_are_counted() {
        let parameter = |name: &str, shape: Vec<usize>| {
            let values = vec![0.0; shape.iter().product()];
            Parameter { name: name.to_owned(), shape, values }
        };
        let parameters = [parameter("layers.0.weight", vec![3, 4]), parameter("layers.0.bias", vec![4])];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        std::fs::write(&path, parameters_to_safetensors(&parameters).unwrap()).unwrap();
        assert_eq!(count_in_file(&path), Some(16));
        std::fs::write(&path, b"\xff\xff").unwrap();
        assert_eq!(count_in_file(&path), None);
    }
}
