//! An evaluation from beginning to end: fit calibration and threshold, predict a split, and write the files of the
//! evaluation to the run's folder.

use std::fs;
use std::io;
use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;
use kiln_artifacts::{Run, replace_file};
use kiln_config::{CalibrationName, DecisionName, Experiment};
use kiln_data::{Profile, Split};
use kiln_files::json_text;
use kiln_model::Model;
use serde::de::DeserializeOwned;

use crate::threshold::ThresholdCurve;
use crate::{
    Baseline, BaselineModel, Calibration, Evaluation, EvaluationError, EvaluationSettings, GALLERY_FILE,
    Gallery, IMPORTANCE_FILE, Importance, Metrics, Predictions, StoredModel, evaluate_with_dropout, predict,
};

/// The predictions; see [`Predictions::to_csv`].
pub const PREDICTIONS_FILE: &str = "predictions.csv";
/// The figures; see [`Metrics`].
pub const METRICS_FILE: &str = "metrics.json";

/// The importance of columns may take this many predictions, as a share of the examples seen in training. This is about 5 %
/// of the training time, because a training step takes three times as long as a prediction.
const SHARE_OF_WORK: f64 = 0.15;
/// It may always take this much work, in weights times examples: a few tenths of a second.
const FREE_WORK: f64 = 3e9;

/// Evaluates the network of a run.
#[derive(Clone, Copy, Debug)]
pub struct Evaluator<'a> {
    /// The run; the files of the evaluation go to its folder.
    pub run: &'a Run,
    /// Its experiment.
    pub experiment: &'a Experiment,
    /// The profile of its data.
    pub profile: &'a Profile,
    /// The device to predict on.
    pub device: &'a Device,
}

impl Evaluator<'_> {
    /// Fits the calibration and the decision threshold of `model`, if the experiment sets them, and stores them with the run.
    /// `held_out` are examples that the model was not trained on.
    pub fn fit_calibration_and_threshold(
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

    /// Predicts `split` with `model`, compares it with the predictions of `baselines`, and writes the files of the
    /// evaluation `name` ([`write_evaluation`], [`Gallery`], [`Importance`]).
    ///
    /// # Errors
    /// If the split is empty, or a file cannot be written.
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
        // It is unknown whether another kind of network has dropout.
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
                .map(|(model, predictions)| Baseline::new(*model, predictions, &probable))
                .collect(),
            ..EvaluationSettings::default()
        };
        let predictions = probable.decided(model.threshold.as_ref());
        let evaluation = write_evaluation(run, name, &predictions, &settings)?;
        let gallery = Gallery::new(&predictions, split, &profile.shape, experiment.seed);
        gallery.write(&run.evaluation(name))?;
        if experiment.evaluation.importance {
            let predict = |split: &Split| {
                let predictions = predict(&model.model, profile, split, batch_size, &[], device);
                model.calibrate_and_decide(predictions)
            };
            let most = self.affordable_predictions(model);
            if let Some(found) = Importance::measure(predict, split, &profile.shape, experiment.seed, most) {
                found.write(&run.evaluation(name))?;
            }
        }
        Ok((evaluation, gallery))
    }

    /// The number of predictions that the importance of columns may take. It is limited by weights times examples, not by
    /// time, so that a slow machine gives the same result.
    fn affordable_predictions(&self, model: &StoredModel<impl Model>) -> usize {
        let trained = model.step.unwrap_or(0) as f64 * self.experiment.training.batch_size as f64;
        (trained * SHARE_OF_WORK).max(FREE_WORK / Module::num_params(&model.model).max(1) as f64) as usize
    }
}

/// Stores `profile` in the run's folder.
pub fn write_profile(run: &Run, profile: &Profile) -> Result<(), EvaluationError> {
    Ok(replace_file(&run.data_json(), &json_text(profile))?)
}

/// Reads the profile in the run's folder.
pub fn read_profile(run: &Run) -> Result<Profile, EvaluationError> {
    read_json(&run.data_json(), "the profile of the run's data")
}

/// Evaluates `predictions` and writes the files of the evaluation `name` of `run` ([`Run::evaluation`]): `predictions.csv`,
/// `confusion_matrix.csv`, `classification_report.txt`, `classification_report.json`, `roc.csv` and `metrics.json`. Each
/// file is written atomically, and `metrics.json` comes last: if it exists, the others do, too.
///
/// # Errors
/// If there are no examples, or a file cannot be written.
pub fn write_evaluation(
    run: &Run,
    name: &str,
    predictions: &Predictions,
    settings: &EvaluationSettings,
) -> Result<Evaluation, EvaluationError> {
    let evaluation = Evaluation::new(predictions, settings)?;
    let folder = run.evaluation(name);
    fs::create_dir_all(&folder).map_err(|cause| EvaluationError::Io {
        action: "create",
        path: folder.clone(),
        cause,
    })?;
    // These files of an earlier evaluation would not belong to the new predictions.
    for name in [METRICS_FILE, GALLERY_FILE, IMPORTANCE_FILE] {
        remove_if_there(&folder.join(name))?;
    }
    replace_file(&folder.join(PREDICTIONS_FILE), &predictions.to_csv())?;
    evaluation.write(&folder)?;
    Ok(evaluation)
}

/// Removes a file of an earlier evaluation, if it exists.
pub(crate) fn remove_if_there(path: &Path) -> Result<(), EvaluationError> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            Err(EvaluationError::Io { action: "remove", path: path.to_owned(), cause })
        }
        _ => Ok(()),
    }
}

impl Evaluation {
    /// Writes all files but the predictions.
    fn write(&self, folder: &Path) -> Result<(), EvaluationError> {
        let names = &self.confusion.classes;
        let files = [
            ("confusion_matrix.csv", self.confusion.to_csv()),
            ("classification_report.txt", self.report.to_text().into_bytes()),
            ("classification_report.json", json_text(&self.report)),
            ("roc.csv", self.roc.to_csv(names)),
            (METRICS_FILE, json_text(&self.metrics)),
        ];
        for (name, bytes) in files {
            replace_file(&folder.join(name), &bytes)?;
        }
        Ok(())
    }
}

impl Metrics {
    /// Reads a `metrics.json`.
    pub fn read(path: &Path) -> Result<Self, EvaluationError> {
        read_json(path, "the figures of an evaluation")
    }
}

/// Reads the JSON file at `path`. `expected` says in words what it should contain, for the error message.
pub fn read_json<T: DeserializeOwned>(path: &Path, expected: &str) -> Result<T, EvaluationError> {
    let text = fs::read(path).map_err(|cause| EvaluationError::Io {
        action: "read",
        path: path.to_owned(),
        cause,
    })?;
    serde_json::from_slice(&text).map_err(|error| EvaluationError::Malformed {
        path: path.to_owned(),
        line: error.line() as u64,
        expected: expected.to_owned(),
        found: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use kiln_artifacts::RunInputs;
    use tempfile::TempDir;

    use super::*;
    use crate::PassFigures;

    fn run(root: &TempDir) -> Run {
        let inputs = RunInputs { resolved_toml: "", input_toml: "", overrides: &[], start: None };
        Run::create(root.path(), "files", &inputs).unwrap()
    }

    fn predictions() -> Predictions {
        let names = vec!["cat".to_owned(), "dog".to_owned()];
        let rows = vec![0.75, 0.25, 0.5, 0.5, 0.125, 0.875];
        Predictions::new(names, vec![0, 1, 1], vec![0, 0, 1], rows, vec![0.25, 0.75, 0.125]).unwrap()
    }

    #[test]
    fn a_run_gets_every_file_and_reading_them_gives_the_same_evaluation() {
        let root = tempfile::tempdir().unwrap();
        let run = run(&root);
        let dropout_active = Some(PassFigures { loss: f64::NAN, accuracy: 0.5, examples: 3 });
        let settings = EvaluationSettings { checkpoint_step: Some(7), dropout_active, ..Default::default() };
        let written = write_evaluation(&run, "test", &predictions(), &settings).unwrap();
        let folder = run.evaluation("test");
        let mut names: Vec<_> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        let expected = [
            "classification_report.json",
            "classification_report.txt",
            "confusion_matrix.csv",
            METRICS_FILE,
            PREDICTIONS_FILE,
            "roc.csv",
        ];
        assert_eq!(names, expected);
        let read = Predictions::read(&folder.join(PREDICTIONS_FILE)).unwrap();
        assert_eq!(Evaluation::new(&read, &settings).unwrap().metrics, written.metrics);
        let metrics = Metrics::read(&folder.join(METRICS_FILE)).unwrap();
        assert_eq!((&metrics, metrics.checkpoint_step), (&written.metrics, Some(7)));
        assert_eq!(metrics.dropout_active.unwrap().loss, None);
    }

    #[test]
    fn the_keys_of_figures_are_at_the_top_level() {
        let evaluation = Evaluation::new(&predictions(), &EvaluationSettings::default()).unwrap();
        let value = serde_json::to_value(&evaluation.metrics).unwrap();
        assert_eq!(value["accuracy"], 2.0 / 3.0);
        assert_eq!((&value["loss"], &value["macro_auc"]), (&0.375.into(), &1.0.into()));
        assert_eq!(value["top_k_accuracy"]["1"], 2.0 / 3.0);
        assert_eq!(value["dropout_active"], serde_json::Value::Null);
    }

    #[test]
    fn a_malformed_metrics_file_is_named() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(METRICS_FILE);
        assert!(Metrics::read(&path).unwrap_err().to_string().starts_with("cannot read "));
        fs::write(&path, "{\n\"examples\": 3}\n").unwrap();
        let message = Metrics::read(&path).unwrap_err().to_string();
        assert!(message.contains("line 2: expected the figures of an evaluation"), "{message}");
    }

    #[test]
    fn a_folder_that_cannot_be_created_is_named() {
        let root = tempfile::tempdir().unwrap();
        let run = run(&root);
        fs::write(run.folder().join("evaluation"), "a file").unwrap();
        let error = write_evaluation(&run, "test", &predictions(), &EvaluationSettings::default());
        assert!(error.unwrap_err().to_string().starts_with("cannot create "));
    }
}
