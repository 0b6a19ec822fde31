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
mod training;

use std::path::{Path, PathBuf};

use kiln_artifacts::{MetricRow, Provenance, Run, Status, replace_file};
use kiln_config::Experiment;
use kiln_data::Profile;
use kiln_diagnosis::{Finding, Record, findings};

use crate::pictures::{self, Picture};
use crate::threshold::ThresholdCurve;
use crate::{Evaluation, EvaluationError, Gallery, Importance, Metrics, Predictions};
use crate::{EvaluationSettings, METRICS_FILE, PREDICTIONS_FILE, read_profile, sheets};

/// All that the report tells of.
struct Story<'a> {
    run: &'a Run,
    name: &'a str,
    evaluation: &'a Evaluation,
    gallery: Option<&'a Gallery>,
    importance: Option<Importance>,
    thresholds: Option<ThresholdCurve>,
    experiment: &'a Experiment,
    /// None of a run of the first version.
    profile: Option<Profile>,
    config: String,
    status: Status,
    /// None of a run that was killed before it had written down where it comes from.
    provenance: Option<Provenance>,
    rows: Vec<MetricRow>,
    findings: Vec<Finding>,
    pictures: Vec<Picture>,
}

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
    let story = Story::new(run, name, experiment, evaluation, gallery, &places.plots)?;
    pictures::write(&story.pictures, &places.plots)?;
    pictures::remove_others(&story.pictures, &places.plots)?;
    if let Some(gallery) = gallery {
        sheets::write(gallery, &evaluation.confusion.classes, &places.gallery)?;
    }
    replace_file(&places.report, page::page(&story).as_bytes())?;
    Ok(places.report)
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
    let test = if metrics.is_file() { Some(Metrics::read(&metrics)?) } else { None };
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

impl<'a> Story<'a> {
    fn new(
        run: &'a Run,
        name: &'a str,
        experiment: &'a Experiment,
        evaluation: &'a Evaluation,
        gallery: Option<&'a Gallery>,
        place: &Path,
    ) -> Result<Self, EvaluationError> {
        let rows = run.metric_rows()?;
        let status = run.status()?;
        let findings = findings_of_run(run, &rows, &status, experiment)?;
        let (epochs, scores) = rayon::join(
            || pictures::epoch_pictures(&rows, place),
            || pictures::evaluation_pictures(evaluation, place),
        );
        let mut pictures = epochs?;
        pictures.extend(scores?);
        let provenance = if run.run_json().is_file() { Some(run.provenance()?) } else { None };
        let config = experiment.to_toml();
        let profile = if run.data_json().is_file() { Some(read_profile(run)?) } else { None };
        Ok(Self {
            run,
            name,
            evaluation,
            gallery,
            importance: Importance::read(&run.evaluation(name))?,
            thresholds: ThresholdCurve::read(run, evaluation.metrics.checkpoint_step)?,
            experiment,
            profile,
            config,
            status,
            provenance,
            rows,
            findings,
            pictures,
        })
    }

    /// The SVG of a picture, if it was drawn.
    fn picture(&self, name: &str) -> Option<&str> {
        self.pictures.iter().find(|picture| picture.name == name).map(|picture| picture.svg.as_str())
    }

    fn classes(&self) -> &[String] {
        &self.evaluation.confusion.classes
    }
}

/// A figure in four decimals, or `undefined`.
fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "undefined".to_owned(), |value| format!("{value:.4}"))
}
