//! An evaluation from beginning to end: one pass over a split, and every file that follows from it.

use burn::module::Module;
use burn::tensor::Device;
use kiln_artifacts::{Run, replace_file};
use kiln_config::{CalibrationName, DecisionName, Experiment};
use kiln_data::{Profile, Split};
use kiln_files::json_text;
use kiln_model::Model;

use crate::json_file::read_json;
use crate::threshold::ThresholdCurve;
use crate::{
    Baseline, BaselineModel, Calibration, Evaluation, EvaluationError, EvaluationSettings, Gallery,
    Importance, Predictions, StoredModel, evaluate_with_dropout, predict, write_evaluation,
};

/// The share of the examples seen in training that may be predicted to find out what columns are worth: about a twentieth of
/// the training's time, for a step takes three times as long as a prediction. And the work, in weights times examples, that it
/// may take anyway: some tenths of a second.
const SHARE_OF_WORK: f64 = 0.15;
const FREE_WORK: f64 = 3e9;

/// Whose network is evaluated, and on what device.
#[derive(Clone, Copy, Debug)]
pub struct Examination<'a> {
    /// The run, into whose folder the files go.
    pub run: &'a Run,
    /// Its experiment.
    pub experiment: &'a Experiment,
    /// What its examples are like.
    pub profile: &'a Profile,
    /// The device.
    pub device: &'a Device,
}

impl Examination<'_> {
    /// Fits what is made of the probabilities of `model`, as far as the experiment asks for it: a calibration, and the
    /// probability from which on a class is named; and keeps it with the run. `held_out` are examples that the model has not
    /// learned from.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn fit_answers(
        &self,
        held_out: Option<&Split>,
        model: &mut StoredModel<impl Model>,
    ) -> Result<(), EvaluationError> {
        let Self { run, experiment, profile, device } = *self;
        let kiln_config::Evaluation { batch_size, calibration, decision, .. } = experiment.evaluation;
        let is_calibrated = calibration != CalibrationName::None;
        if !is_calibrated && decision == DecisionName::MostProbable {
            return Ok(());
        }
        let predictions =
            held_out.map(|split| predict(&model.model, profile, split, batch_size, &[], device));
        if let Some(predictions) = predictions.as_ref().filter(|_| is_calibrated) {
            model.calibration = Calibration::fit(predictions, model.step);
            if let Some(calibration) = &model.calibration {
                calibration.write(run)?;
            }
        }
        let predictions = predictions.map(|predictions| predictions.calibrated(model.calibration.as_ref()));
        let curve = ThresholdCurve::choose(
            &experiment.evaluation,
            &profile.classes,
            predictions.as_ref(),
            model.step,
        );
        if let Some(curve) = curve {
            curve.write(run)?;
            model.threshold = Some(curve.chosen);
        }
        Ok(())
    }

    /// Predicts `split` with `model`, evaluates that beside what the simple models of `baselines` predict for it, and
    /// writes the files of the evaluation `name` ([`write_evaluation`], [`Gallery`], [`Importance`]).
    ///
    /// # Errors
    /// Where the split is empty, or a file cannot be written.
    pub fn evaluate(
        &self,
        name: &str,
        split: &Split,
        model: &StoredModel<impl Model>,
        baselines: &[(BaselineModel, Predictions)],
    ) -> Result<(Evaluation, Gallery), EvaluationError> {
        let Self { run, experiment, profile, device } = *self;
        let (batch_size, class_weights) =
            (experiment.evaluation.batch_size, experiment.loss.class_weights.each());
        let with_dropout = || evaluate_with_dropout(&model.model, profile, split, device);
        // Of another network nobody knows whether it has dropout.
        let dropout_active = experiment.model.is_mlp().then(with_dropout);
        let predictions = predict(&model.model, profile, split, batch_size, class_weights, device);
        let probable = predictions.calibrated(model.calibration.as_ref());
        let settings = EvaluationSettings {
            seed: experiment.seed,
            checkpoint_step: model.step,
            dropout_active,
            calibration: model.calibration,
            threshold: model.threshold.clone(),
            accuracy_of_probable: model.threshold.as_ref().map(|_| probable.accuracy()),
            baselines: baselines
                .iter()
                .map(|(model, beside)| Baseline::new(*model, beside, &probable))
                .collect(),
            ..EvaluationSettings::default()
        };
        let predictions = probable.decided(model.threshold.as_ref());
        let evaluation = write_evaluation(run, name, &predictions, &settings)?;
        let gallery = Gallery::new(&predictions, split, &profile.shape, experiment.seed);
        gallery.write(&run.evaluation(name))?;
        if experiment.evaluation.importance {
            let predict =
                |split: &Split| model.says(predict(&model.model, profile, split, batch_size, &[], device));
            let most = self.affordable(model);
            if let Some(found) = Importance::measure(predict, split, &profile.shape, experiment.seed, most) {
                found.write(&run.evaluation(name))?;
            }
        }
        Ok((evaluation, gallery))
    }

    /// Examples that may be predicted to find out what columns are worth. Counted in weights times examples, and not in
    /// seconds, so that a slow machine finds the same.
    fn affordable(&self, model: &StoredModel<impl Model>) -> usize {
        let trained = model.step.unwrap_or(0) as f64 * self.experiment.training.batch_size as f64;
        (trained * SHARE_OF_WORK).max(FREE_WORK / Module::num_params(&model.model).max(1) as f64) as usize
    }
}

/// Keeps `profile` in the run's folder.
///
/// # Errors
/// Where the file cannot be written.
pub fn write_profile(run: &Run, profile: &Profile) -> Result<(), EvaluationError> {
    Ok(replace_file(&run.data_json(), &json_text(profile))?)
}

/// The profile in the run's folder.
///
/// # Errors
/// Where it cannot be read or is not one.
pub fn read_profile(run: &Run) -> Result<Profile, EvaluationError> {
    read_json(&run.data_json(), "what the run's examples are like")
}
