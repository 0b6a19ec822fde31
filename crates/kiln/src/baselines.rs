//! The baselines that a network is compared with: the most frequent class, and logistic regression.
//!
//! Both are fitted to the training data after the training, and stored with the run, so that later evaluations use the
//! same. The cost of fitting is limited by a count of operations, not by time: a slow machine writes the same files.

use std::fs;
use std::sync::Arc;

use burn::optim::{GradientsAccumulator, GradientsParams, LBFGSConfig, LineSearchFn};
use burn::tensor::{Device, Tensor};
use kiln_artifacts::{ArtifactError, Run, replace_file};
use kiln_config::{Experiment, Initialization, LossName, Model as ModelConfig};
use kiln_data::{Batching, DataSet, EpochBatches, Profile, Split};
use kiln_evaluation::{BaselineModel, Predictions, predict, read_json};
use kiln_files::json_text;
use kiln_model::{
    Fused, Loss, MODEL_FILE, Mlp, Pass, parameters, parameters_from_safetensors, parameters_to_safetensors,
    with_parameters,
};
use serde::{Deserialize, Serialize};

use crate::Error;

const FILE: &str = "baselines.json";
/// The greatest number of passes over the training data, like `max_iter` of scikit-learn's `LogisticRegression`.
const MOST_PASSES: usize = 100;
/// If the budget allows fewer passes, there is no linear model: it would be too far from its optimum for a fair
/// comparison.
const FEWEST_PASSES: usize = 10;
/// The budget of the fit: a share of the training's work, or [`FREE_WORK`] if that is more. Work is counted in weights
/// times examples.
const SHARE_OF_WORK: f64 = 0.05;
/// Takes a few tenths of a second.
const FREE_WORK: f64 = 2e8;
/// The cost of computing a feature from a cell of a table, and from a pixel, in multiply-adds (measured).
const WORK_OF_CELL: f64 = 12.0;
const WORK_OF_PIXEL: f64 = 1.0;
/// Examples per batch. Fixed, because the rounding of sums depends on it.
const BATCH: usize = 1024;
/// The fit ends when no entry of the gradient is greater (scikit-learn's `tol`).
const TOLERANCE: f64 = 1e-4;

/// The baselines of a run.
pub(crate) struct Baselines {
    stored: StoredBaselines,
    linear: Option<Mlp>,
}

/// The contents of `baselines.json`. The weights of the linear model are in a file of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredBaselines {
    /// Training examples per class.
    counts: Vec<u64>,
    /// How the linear model was fitted; null if that would have cost too much.
    linear: Option<LinearFit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct LinearFit {
    /// Passes over the training data.
    passes: usize,
    /// Whether the fit converged; otherwise it was stopped early.
    settled: bool,
}

/// The run that baselines are built for.
pub(crate) struct BaselineContext<'a> {
    pub(crate) experiment: &'a Experiment,
    pub(crate) profile: &'a Profile,
    /// Without autodiff.
    pub(crate) device: &'a Device,
    pub(crate) fused: Fused,
}

impl Baselines {
    /// Fits the baselines to the training data. `work` is the work of the network's training: its weights times the
    /// examples that it processed.
    pub(crate) fn fit(context: &BaselineContext<'_>, data: &DataSet, work: f64) -> Result<Self, Error> {
        let counts = data.train.counts(data.class_count()).into_iter().map(|count| count as u64).collect();
        let (features, classes) = (data.features() as f64, data.class_count() as f64);
        let of_feature = if context.profile.preparation().is_some() { WORK_OF_CELL } else { WORK_OF_PIXEL };
        let own_work = ((features + 1.0) * classes + features * of_feature) * data.train.len() as f64;
        let passes = ((SHARE_OF_WORK * work).max(FREE_WORK) / own_work).min(MOST_PASSES as f64) as usize;
        if passes < FEWEST_PASSES {
            return Ok(Self { stored: StoredBaselines { counts, linear: None }, linear: None });
        }
        let model = context.linear_model(&context.device.clone().autodiff())?;
        // Inside rayon's pool, a parallel operation starts on this thread. From outside, Burn would hand each one to
        // another thread and wait for it.
        let mut fitted = None;
        rayon::scope(|_| fitted = Some(context.fit(model, data, passes)));
        let (model, fit) = fitted.expect("the scope has ended")?;
        let linear = with_parameters(context.linear_model(context.device)?, &parameters(&model))?;
        Ok(Self { stored: StoredBaselines { counts, linear: Some(fit) }, linear: Some(linear) })
    }

    /// Writes the baselines to the run's folder.
    pub(crate) fn write(&self, run: &Run) -> Result<(), Error> {
        let folder = run.baselines();
        fs::create_dir_all(&folder).map_err(|cause| ArtifactError::io("create", &folder, cause))?;
        if let Some(linear) = &self.linear {
            replace_file(&folder.join(MODEL_FILE), &parameters_to_safetensors(&parameters(linear))?)?;
        }
        Ok(replace_file(&folder.join(FILE), &json_text(&self.stored))?)
    }

    /// The baselines in the folder of `run`. `None` if they were turned off, and for runs of earlier versions.
    pub(crate) fn read(run: &Run, context: &BaselineContext<'_>) -> Result<Option<Self>, Error> {
        let file = run.baselines().join(FILE);
        if !file.is_file() {
            return Ok(None);
        }
        let stored: StoredBaselines = read_json(&file, "the baselines fitted to the run's data")?;
        let read = |_| {
            let path = run.baselines().join(MODEL_FILE);
            let bytes = fs::read(&path).map_err(|cause| ArtifactError::io("read", &path, cause))?;
            let weights = parameters_from_safetensors(&bytes)?;
            Ok::<_, Error>(with_parameters(context.linear_model(context.device)?, &weights)?)
        };
        let linear = stored.linear.map(read).transpose()?;
        Ok(Some(Self { stored, linear }))
    }

    /// The baselines' predictions for `split`. If `split` has folds, the linear model is left out: it was trained on
    /// these examples, unlike the members of the network that predict them.
    pub(crate) fn predict(
        &self,
        context: &BaselineContext<'_>,
        split: &Split,
    ) -> Result<Vec<(BaselineModel, Predictions)>, Error> {
        let classes = &context.profile.classes;
        let majority = Predictions::of_frequencies(classes, &self.stored.counts, split.labels())?;
        let linear = self.linear.as_ref().filter(|_| !split.has_folds()).map(|model| {
            let predictions = predict(model, context.profile, split, BATCH, &[], context.device);
            let settled = self.stored.linear.is_some_and(|fit| fit.settled);
            let name =
                if settled { BaselineModel::LinearModel } else { BaselineModel::LinearModelStoppedEarly };
            (name, predictions)
        });
        Ok(std::iter::once((BaselineModel::MostFrequentClass, majority)).chain(linear).collect())
    }
}

impl BaselineContext<'_> {
    /// A linear model with all weights 0.
    fn linear_model(&self, device: &Device) -> Result<Mlp, Error> {
        let shape = [self.profile.shape.features(), self.profile.classes.len()];
        Ok(Mlp::new(&self.linear_experiment(), shape, self.fused, device)?)
    }

    fn linear_experiment(&self) -> Experiment {
        let model = ModelConfig {
            hidden: Vec::new(),
            initialization: Initialization::Constant,
            initialization_constant: 0.0,
            ..ModelConfig::default()
        };
        let loss = kiln_config::Loss {
            name: LossName::CrossEntropy,
            label_smoothing: 0.0,
            ..self.experiment.loss.clone()
        };
        Experiment { model, loss, ..self.experiment.clone() }
    }

    /// Minimizes the objective of scikit-learn's `LogisticRegression` with `C=1`, also by L-BFGS: the sum of the losses
    /// plus half the sum of the squared weights, here divided by the total weight of the examples.
    fn fit(&self, model: Mlp, data: &DataSet, most_passes: usize) -> Result<(Mlp, LinearFit), Error> {
        let experiment = self.linear_experiment();
        let loss = Loss::new(&experiment.loss, experiment.model.output, data.class_count())?;
        let (train, normalizer) = (data.train.clone().without_folds(), Arc::new(data.normalizer.clone()));
        let device = self.device.clone().autodiff();
        let weights = experiment.loss.class_weights.each();
        let total: f64 = if weights.is_empty() {
            train.len() as f64
        } else {
            train.labels().iter().map(|&class| weights[class as usize]).sum()
        };
        let mut passes = 0;
        let objective = |model: Mlp| {
            passes += 1;
            let (mut value, mut gradients) = (0.0, GradientsAccumulator::new());
            let mut add = |part: Tensor<1>| {
                value += part.clone().into_scalar::<f64>();
                gradients.accumulate(&model, GradientsParams::from_grads(part.backward(), &model));
            };
            for batch in EpochBatches::new(&train, &normalizer, &Batching::in_order(BATCH), 0, 0, &device) {
                let logits = model.forward(batch.features, Pass::Inference);
                add(loss.per_example(logits, batch.targets, self.fused).sum() / total);
            }
            let squares = model.layers().iter().map(|layer| layer.weight.val().powi_scalar(2).sum());
            squares.for_each(|squares| add(squares / (2.0 * total)));
            (value, gradients.grads())
        };
        let mut optimizer = LBFGSConfig::new()
            .with_max_iter(most_passes)
            .with_max_eval(Some(most_passes))
            .with_history_size(10)
            .with_tolerance_grad(TOLERANCE)
            .with_line_search_fn(LineSearchFn::StrongWolfe)
            .init();
        let (model, _) = optimizer.step(1.0, model, objective);
        Ok((model, LinearFit { passes, settled: passes < most_passes }))
    }
}
