//! `report.html`: all that a run found, in one file that needs nothing else.

mod charts;
mod classes;
mod columns;
mod confusion;
mod data;
mod examples;
mod headline;
mod health;
mod origin;
mod page;
mod settings;
mod story;
mod summary;
#[cfg(test)]
mod tests;
mod training;

use std::path::PathBuf;

use kiln_artifacts::{MetricRow, Run, Status, replace_file};
use kiln_config::Experiment;
use kiln_diagnosis::{Finding, Record, findings};

use crate::{Evaluation, EvaluationError, Gallery, Metrics, Predictions};
use crate::{EvaluationSettings, METRICS_FILE, PREDICTIONS_FILE, pictures, sheets};

use story::{Story, Tested};

/// Writes the plots, the gallery and the report of the evaluation `name` of `run`, and returns the report's path.
/// For `test` they are [`Run::plots`], [`Run::gallery`] and [`Run::report`]; for any other evaluation the same
/// names in its own folder.
///
/// # Errors
/// Where the run's files cannot be read, or a file cannot be written.
pub fn write_report(
    run: &Run,
    name: &str,
    experiment: &Experiment,
    evaluation: &Evaluation,
    gallery: Option<&Gallery>,
) -> Result<PathBuf, EvaluationError> {
    let places = Places::of(run, name);
    let tested = Tested::read(run, name, evaluation, gallery)?;
    let story = Story::new(run, experiment, Some(tested), &places.plots)?;
    pictures::write(&story.pictures, &places.plots)?;
    pictures::remove_others(&story.pictures, &places.plots)?;
    if let Some(gallery) = gallery {
        sheets::write(gallery, &evaluation.confusion.classes, &places.gallery)?;
    }
    replace_file(&places.report, page::page(&story).as_bytes())?;
    Ok(places.report)
}

/// Writes the plots and the report of a run that has no evaluation, as one that failed or was stopped: how its training went,
/// what speaks against it, and its settings. Returns the report's path, which is [`Run::report`].
///
/// # Errors
/// Where the run's files cannot be read, or a file cannot be written.
pub fn write_training_report(run: &Run, experiment: &Experiment) -> Result<PathBuf, EvaluationError> {
    let story = Story::new(run, experiment, None, &run.plots())?;
    pictures::write(&story.pictures, &run.plots())?;
    replace_file(&run.report(), page::page(&story).as_bytes())?;
    Ok(run.report())
}

/// Reads the evaluation `name` of `run` back from its files.
///
/// # Errors
/// Where a file is missing or is not what it must be.
pub fn read_evaluation(run: &Run, name: &str) -> Result<(Evaluation, Option<Gallery>), EvaluationError> {
    let folder = run.evaluation(name);
    let predictions = Predictions::read(&folder.join(PREDICTIONS_FILE))?;
    let metrics = Metrics::read(&folder.join(METRICS_FILE))?;
    // Everything but the intervals, which are read.
    let settings = EvaluationSettings { resamples: 0, ..EvaluationSettings::default() };
    let evaluation = Evaluation { metrics, ..Evaluation::new(&predictions, &settings)? };
    let gallery = Gallery::read(&folder)?;
    if let Some(gallery) = &gallery {
        gallery.check(&folder, &predictions)?;
    }
    Ok((evaluation, gallery))
}

/// What the figures of `run` say against it, as far as it has come: `rows` is its metric log.
///
/// # Errors
/// Where the figures of its test are there and cannot be read.
pub fn findings_of_run(
    run: &Run,
    rows: &[MetricRow],
    status: &Status,
    experiment: &Experiment,
) -> Result<Vec<Finding>, EvaluationError> {
    let metrics = run.evaluation("test").join(METRICS_FILE);
    // What is left of the test of a run that goes on past its end is not of this log.
    let is_of_this = status.test.is_some() && metrics.is_file();
    let test = if is_of_this { Some(Metrics::read(&metrics)?) } else { None };
    let tested = test.as_ref().map(Metrics::tested);
    let failure = status.failure.as_ref();
    Ok(findings(&Record { rows, tested: tested.as_ref(), experiment, failure }))
}

/// Where the files go.
struct Places {
    plots: PathBuf,
    gallery: PathBuf,
    report: PathBuf,
}

impl Places {
    fn of(run: &Run, name: &str) -> Self {
        if name == "test" {
            return Self { plots: run.plots(), gallery: run.gallery(), report: run.report() };
        }
        let folder = run.evaluation(name);
        let below = |name: &str| folder.join(name);
        Self { plots: below("plots"), gallery: below("gallery"), report: below("report.html") }
    }
}

/// A figure in four decimals, or `undefined`.
fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "undefined".to_owned(), |value| format!("{value:.4}"))
}
