//! The model of a run, for evaluation and prediction.
//!
//! A prediction needs no training data: shape, classes and scaling are stored in the run's `data.json` (its *profile*).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kiln_artifacts::Run;
use kiln_backend::{SelectedDevice, select};
use kiln_config::{DecisionName, Experiment};
use kiln_data::{
    DataFolders, DataSet, Framing, Inputs, NoProgress, Normalizer, Profile, Progress, Split, TableRows,
    inputs, inputs_of_picture, inputs_of_values, labelled, load, load_like,
};
use kiln_evaluation::{
    Evaluation, Evaluator, Predictions, StoredModel, UnlabelledPredictions, Weights, load_model, predict,
    write_report,
};
use kiln_model::{Fused, Model};
use rayon::prelude::*;

use crate::baselines::{BaselineContext, Baselines};
use crate::setup::{profile, resolve_class_weights, setup, stored_profile};
use crate::{Error, Setup, of_run};

/// The model of a run, with the weights of one of its checkpoints. Open it once and predict many times.
pub struct Trained<M> {
    run: Run,
    experiment: Experiment,
    profile: Profile,
    backend: SelectedDevice,
    model: StoredModel<M>,
    normalizer: Arc<Normalizer>,
}

impl<M: Model> Trained<M> {
    /// Opens the model of `run`, built by `build`, with the weights that `weights` names, or by default those that
    /// `evaluation.ckpt` names.
    pub fn open(run: Run, weights: Option<Weights>, build: impl Fn(&Setup) -> M) -> Result<Self, Error> {
        Self::open_with(run, weights, build, &NoProgress)
    }

    /// Like [`Trained::open`], and reports the progress of downloads. Only runs of Kiln's first version need them.
    pub fn open_with(
        run: Run,
        weights: Option<Weights>,
        build: impl Fn(&Setup) -> M,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        let mut experiment = of_run(&run)?;
        let backend = select(&experiment.backend)?;
        let profile = match stored_profile(&run)? {
            Some(profile) => profile,
            None => profile(&experiment, &load_own(&experiment, progress)?)?,
        };
        resolve_class_weights(&mut experiment, &profile);
        let fused = Fused::when(backend.fused);
        let model = setup(&experiment, &profile, backend.device.clone(), fused).build(build)?;
        let weights = weights.unwrap_or(Weights::Marked(experiment.evaluation.ckpt));
        let mut model = load_model(model, &run, &weights)?;
        model.decide_by_cost(&experiment.evaluation, &profile.classes);
        let normalizer = Arc::new(profile.normalizer.clone());
        Ok(Self { run, experiment, profile, backend, model, normalizer })
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Whether the experiment requires a decision threshold, but none was chosen for the weights of this step.
    #[must_use]
    pub fn lacks_threshold(&self) -> bool {
        self.experiment.evaluation.decision != DecisionName::MostProbable && self.model.threshold.is_none()
    }

    /// The experiment of the run.
    #[must_use]
    pub fn experiment(&self) -> &Experiment {
        &self.experiment
    }

    /// The model with its weights, calibration and threshold.
    #[must_use]
    pub fn model(&self) -> &StoredModel<M> {
        &self.model
    }

    /// The shape, classes and scaling of the model's examples.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The examples of a split of the run's own data: `train`, `validation` or `test`. An error if the data has changed
    /// since the training.
    pub fn own_split(&self, name: &str, progress: &dyn Progress) -> Result<Split, Error> {
        let data = own_data(&self.experiment, &self.profile, progress)?;
        if self.run.run_json().is_file() {
            let was = self.run.provenance()?.dataset.sha256;
            if was != data.sha256 {
                return Err(Error::OtherData { was, is: data.sha256 });
            }
        }
        match name {
            "train" => Ok(data.train.without_folds()),
            "validation" => data.validation.ok_or(Error::NoValidation),
            _ if data.test.is_empty() => Err(Error::NoTest),
            _ => Ok(data.test),
        }
    }

    /// The labelled examples in the file or folder at `path`.
    pub fn labelled(&self, path: &Path) -> Result<Split, Error> {
        Ok(labelled(path, &self.experiment.data, &self.profile)?)
    }

    /// Tests the model on `split`, and writes figures and report to the run's folder under `name`. Returns the figures
    /// and the path of the report.
    pub fn evaluate(&self, name: &str, split: &Split) -> Result<(Evaluation, PathBuf), Error> {
        let Self { run, experiment, profile, backend, model, .. } = self;
        let evaluator = Evaluator { run, experiment, profile, device: &backend.device };
        let context = BaselineContext {
            experiment,
            profile,
            device: &backend.device,
            fused: Fused::when(backend.fused),
        };
        let baselines = Baselines::read(run, &context)?;
        let compared = baselines.map(|baselines| baselines.predict(&context, split)).transpose()?;
        let (evaluation, gallery) = evaluator.evaluate(name, split, model, &compared.unwrap_or_default())?;
        let report = write_report(run, name, experiment, &evaluation, Some(&gallery))?;
        Ok((evaluation, report))
    }

    /// The predictions for the examples in `split`. Their labels are used only for the losses.
    #[must_use]
    pub fn predict(&self, split: &Split) -> Predictions {
        self.predict_as(&self.model.model, split)
    }

    /// Like [`Trained::predict`] with `model` in place of the trained model, for example one with rounded weights.
    /// Calibration and threshold stay the same.
    #[must_use]
    pub fn predict_as(&self, model: &M, split: &Split) -> Predictions {
        let Self { experiment, profile, backend, model: stored, .. } = self;
        let (batch_size, class_weights) =
            (experiment.evaluation.batch_size, experiment.loss.class_weights.each());
        let predictions = predict(model, profile, split, batch_size, class_weights, &backend.device);
        stored.calibrate_and_decide(predictions)
    }

    /// The predictions for the examples in `split`, without losses, for servers. The probabilities have the same bits
    /// as those of [`Trained::predict`]. Small batches are computed on the calling thread, so many threads can call it
    /// at once.
    #[must_use]
    pub fn predict_unlabelled(&self, split: &Split) -> UnlabelledPredictions {
        let Self { experiment, profile, backend, model, normalizer, .. } = self;
        let batch_size = experiment.evaluation.batch_size;
        model.predict_unlabelled(normalizer, &profile.classes, split, batch_size, &backend.device)
    }

    /// The number of learned values, weights and biases, which measures the cost of a prediction.
    #[must_use]
    pub fn weights(&self) -> usize {
        burn::module::Module::num_params(&self.model.model)
    }

    /// The examples in a file: a picture, an IDX file of images, or the rows of a table.
    pub fn inputs(&self, path: &Path, framing: Option<Framing>) -> Result<Inputs, Error> {
        Ok(inputs(path, &self.profile, framing.unwrap_or(Framing::of(&self.profile)))?)
    }

    /// Like [`Trained::inputs`] for many files, read in parallel, with one result per file.
    #[must_use]
    pub fn inputs_of(&self, paths: &[PathBuf], framing: Option<Framing>) -> Vec<Result<Inputs, Error>> {
        let (profile, framing) = (&self.profile, framing.unwrap_or(Framing::of(&self.profile)));
        paths.par_iter().map(|path| Ok(inputs(path, profile, framing)?)).collect()
    }

    /// The rows of the table at `path` (`-` is standard input), read block by block for prediction.
    pub fn rows(&self, path: &Path) -> Result<TableRows, Error> {
        Ok(TableRows::open(path, &self.profile)?)
    }

    /// The prediction for a picture. `bytes` is a file in any format that training data may have.
    pub fn predict_picture(&self, bytes: &[u8]) -> Result<Predictions, Error> {
        let inputs = inputs_of_picture(bytes, &self.profile, Framing::of(&self.profile))?;
        Ok(self.predict(&inputs.examples))
    }

    /// The predictions for raw features, example after example: pixels from 0 to 255, plane by plane and row by row, or
    /// the columns of a table. An error if the last example is incomplete, or a value is not finite.
    pub fn predict_values(&self, values: &[f32]) -> Result<Predictions, Error> {
        Ok(self.predict(&inputs_of_values(values, &self.profile)?.examples))
    }
}

/// The data of a run of Kiln's first version, which stored no profile.
fn load_own(experiment: &Experiment, progress: &dyn Progress) -> Result<DataSet, Error> {
    Ok(load(&experiment.data, experiment.seed, &DataFolders::from_environment(), progress)?)
}

fn own_data(experiment: &Experiment, profile: &Profile, progress: &dyn Progress) -> Result<DataSet, Error> {
    Ok(load_like(profile, &experiment.data, experiment.seed, &DataFolders::from_environment(), progress)?)
}
