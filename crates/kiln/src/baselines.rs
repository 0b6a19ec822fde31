//! What a run's network is held against: the training data's most frequent class, and a linear model of it.

use std::fs;
use std::sync::Arc;

use burn::optim::{GradientsAccumulator, GradientsParams, LBFGSConfig, LineSearchFn};
use burn::tensor::{Device, Tensor};
use kiln_artifacts::{ArtifactError, Run, replace_file};
use kiln_config::{Experiment, Initialization, LossName, Model as ModelConfig};
use kiln_data::{Batching, DataSet, Epoch, Profile, Split};
use kiln_evaluation::{BaselineModel, Predictions, predict, read_json};
use kiln_files::json_text;
use kiln_model::{
    Fused, Loss, MODEL_FILE, Mlp, Pass, parameters, parameters_from_safetensors, parameters_to_safetensors,
    with_parameters,
};
use serde::{Deserialize, Serialize};

use crate::Error;

const FILE: &str = "baselines.json";
/// Passes over the training data at the most, as scikit-learn's `LogisticRegression` has iterations.
const MOST_PASSES: usize = 100;
/// With fewer than these, a linear model is too far from its best to be held against anything.
const FEWEST_PASSES: usize = 10;
/// The share of the training's work that fitting may take, and the work, in weights times examples, that it may take
/// anyway: some tenths of a second. Not a share of the time, which is another one every time.
const SHARE_OF_WORK: f64 = 0.05;
const FREE_WORK: f64 = 2e8;
/// What it takes to make a feature of a cell of a table, and of a pixel, in weights (measured).
const WORK_OF_CELL: f64 = 12.0;
const WORK_OF_PIXEL: f64 = 1.0;
/// Examples that are computed at once. Fixed, because sums depend on it.
const BATCH: usize = 1024;
/// The greatest part of the gradient at which the fit is done (scikit-learn's `tol`).
const TOLERANCE: f64 = 1e-4;

/// Simple models of a run's training data.
pub(crate) struct Baselines {
    stored: StoredBaselines,
    linear: Option<Mlp>,
}

/// What the run's folder keeps besides the linear model's weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredBaselines {
    /// Training examples of each class.
    counts: Vec<u64>,
    /// How the linear model was fitted; null where it would have taken too much of the run's time.
    linear: Option<LinearFit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct LinearFit {
    /// Passes over the training data.
    passes: usize,
    /// Whether it came to its best; else it was stopped early.
    settled: bool,
}

/// What simple models are built for.
pub(crate) struct BaselineContext<'a> {
    pub(crate) experiment: &'a Experiment,
    pub(crate) profile: &'a Profile,
    /// Without autodiff.
    pub(crate) device: &'a Device,
    pub(crate) fused: Fused,
}

impl Baselines {
    /// Fits them to the training data. `work` is what the network's training took: its weights times the examples that it
    /// saw.
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
        // Within the pool, a parallel operation begins on this thread; from outside it would hand over and wait.
        let mut fitted = None;
        rayon::scope(|_| fitted = Some(context.fit(model, data, passes)));
        let (model, fit) = fitted.expect("the scope has ended")?;
        let linear = with_parameters(context.linear_model(context.device)?, &parameters(&model))?;
        Ok(Self { stored: StoredBaselines { counts, linear: Some(fit) }, linear: Some(linear) })
    }

    /// Keeps them in the run's folder.
    pub(crate) fn write(&self, run: &Run) -> Result<(), Error> {
        let folder = run.baselines();
        fs::create_dir_all(&folder).map_err(|cause| ArtifactError::io("create", &folder, cause))?;
        if let Some(linear) = &self.linear {
            replace_file(&folder.join(MODEL_FILE), &parameters_to_safetensors(&parameters(linear))?)?;
        }
        Ok(replace_file(&folder.join(FILE), &json_text(&self.stored))?)
    }

    /// Those that `run` keeps; none of a run from before there were any, or without.
    pub(crate) fn read(run: &Run, context: &BaselineContext<'_>) -> Result<Option<Self>, Error> {
        let file = run.baselines().join(FILE);
        if !file.is_file() {
            return Ok(None);
        }
        let stored: StoredBaselines = read_json(&file, "what simple models were fitted to the run's data")?;
        let read = |_| {
            let path = run.baselines().join(MODEL_FILE);
            let bytes = fs::read(&path).map_err(|cause| ArtifactError::io("read", &path, cause))?;
            let weights = parameters_from_safetensors(&bytes)?;
            Ok::<_, Error>(with_parameters(context.linear_model(context.device)?, &weights)?)
        };
        let linear = stored.linear.map(read).transpose()?;
        Ok(Some(Self { stored, linear }))
    }

    /// What they predict for `split`; the linear model not, where it has learned from it and the network has not.
    pub(crate) fn predict(
        &self,
        context: &BaselineContext<'_>,
        split: &Split,
    ) -> Result<Vec<(BaselineModel, Predictions)>, Error> {
        let classes = &context.profile.classes;
        let guess = Predictions::of_frequencies(classes, &self.stored.counts, split.labels())?;
        let linear = self.linear.as_ref().filter(|_| !split.has_folds()).map(|model| {
            let predictions = predict(model, context.profile, split, BATCH, &[], context.device);
            let settled = self.stored.linear.is_some_and(|fit| fit.settled);
            let name =
                if settled { BaselineModel::LinearModel } else { BaselineModel::LinearModelStoppedEarly };
            (name, predictions)
        });
        Ok(std::iter::once((BaselineModel::MostFrequentClass, guess)).chain(linear).collect())
    }
}

impl BaselineContext<'_> {
    /// A linear model whose weights are 0.
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

    /// Minimizes what scikit-learn's `LogisticRegression` does (`C=1`, its solver L-BFGS too): the sum of the examples'
    /// losses and half the sum of the squared weights, here divided by the number of examples.
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
            for batch in Epoch::new(&train, &normalizer, &Batching::in_order(BATCH), 0, 0, &device) {
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
