//! The files of an evaluation in its run's folder.

use std::path::Path;
use std::{fs, io};

use kiln_artifacts::{Run, replace_file};
use kiln_files::json_text;

use crate::json_file::read_json;
use crate::{
    Evaluation, EvaluationError, EvaluationSettings, GALLERY_FILE, IMPORTANCE_FILE, Metrics, Predictions,
};

/// The predictions; see [`Predictions::to_csv`].
pub const PREDICTIONS_FILE: &str = "predictions.csv";
/// The figures; see [`Metrics`].
pub const METRICS_FILE: &str = "metrics.json";

/// Evaluates `predictions` and writes what follows into the evaluation `name` of `run` ([`Run::evaluation`]), each
/// file whole or not at all: `predictions.csv`, `confusion_matrix.csv`, `classification_report.txt`,
/// `classification_report.json`, `roc.csv`, and last `metrics.json`, so that where it is the others are, too.
///
/// # Errors
/// Where there are no examples, or a file cannot be written.
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
    // What is there of earlier predictions must not stand beside new ones.
    for name in [METRICS_FILE, GALLERY_FILE, IMPORTANCE_FILE] {
        remove_if_there(&folder.join(name))?;
    }
    replace_file(&folder.join(PREDICTIONS_FILE), &predictions.to_csv())?;
    evaluation.write(&folder)?;
    Ok(evaluation)
}

/// Removes a file of an earlier evaluation.
pub(crate) fn remove_if_there(path: &Path) -> Result<(), EvaluationError> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            Err(EvaluationError::Io { action: "remove", path: path.to_owned(), cause })
        }
        _ => Ok(()),
    }
}

impl Evaluation {
    /// Writes everything but the predictions.
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
    ///
    /// # Errors
    /// Where the file cannot be read or is not one.
    pub fn read(path: &Path) -> Result<Self, EvaluationError> {
        read_json(path, "the figures of an evaluation")
    }
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
    fn a_run_gets_every_file_and_they_give_it_all_back() {
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
    fn keys_lie_flat() {
        let evaluation = Evaluation::new(&predictions(), &EvaluationSettings::default()).unwrap();
        let value = serde_json::to_value(&evaluation.metrics).unwrap();
        assert_eq!(value["accuracy"], 2.0 / 3.0);
        assert_eq!((&value["loss"], &value["macro_auc"]), (&0.375.into(), &1.0.into()));
        assert_eq!(value["top_k_accuracy"]["1"], 2.0 / 3.0);
        assert_eq!(value["dropout_active"], serde_json::Value::Null);
    }

    #[test]
    fn what_is_no_metrics_file_is_named() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(METRICS_FILE);
        assert!(Metrics::read(&path).unwrap_err().to_string().starts_with("cannot read "));
        fs::write(&path, "{\n\"examples\": 3}\n").unwrap();
        let message = Metrics::read(&path).unwrap_err().to_string();
        assert!(message.contains("line 2: expected the figures of an evaluation"), "{message}");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let root = tempfile::tempdir().unwrap();
        let run = run(&root);
        fs::write(run.folder().join("evaluation"), "a file").unwrap();
        let error = write_evaluation(&run, "test", &predictions(), &EvaluationSettings::default());
        assert!(error.unwrap_err().to_string().starts_with("cannot create "));
    }
}
