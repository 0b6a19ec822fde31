//! `report.html`: all that a run found, in one file that needs nothing else.
//! ---
//! All that a report tells of, read from the run's folder.
//! ---
//! The sections, one after the other.
//! ---
//! A page that needs nothing but itself.
//! ---

mod examples;
mod results;
mod summary;
mod training;

use std::path::{Path, PathBuf};

use kiln_artifacts::{MetricRow, Provenance, Run, Status, replace_file};
use kiln_config::Experiment;
use kiln_data::Profile;
use kiln_diagnosis::{Finding, RunRecord, findings};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::plots::{self, Plot};
use crate::threshold::ThresholdCurve;
use crate::{
    Evaluation, EvaluationError, EvaluationSettings, Gallery, Importance, METRICS_FILE, Metrics,
    PREDICTIONS_FILE, Predictions, gallery, read_profile, weight_count,
};

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
    let places = ReportPaths::of(run, name);
    let tested = ReportedEvaluation::read(run, name, evaluation, gallery)?;
    let report = ReportContext::new(run, experiment, Some(tested), &places.plots)?;
    plots::write(&report.pictures, &places.plots)?;
    plots::remove_others(&report.pictures, &places.plots)?;
    if let Some(gallery) = gallery {
        gallery::write_sheets(gallery, &evaluation.confusion.classes, &places.gallery)?;
    }
    replace_file(&places.report, page(&report).as_bytes())?;
    Ok(places.report)
}

/// Writes the plots and the report of a run that has no evaluation, as one that failed or was stopped: how its training went,
/// what speaks against it, and its settings. Returns the report's path, which is [`Run::report`].
///
/// # Errors
/// Where the run's files cannot be read, or a file cannot be written.
pub fn write_training_report(run: &Run, experiment: &Experiment) -> Result<PathBuf, EvaluationError> {
    let report = ReportContext::new(run, experiment, None, &run.plots())?;
    plots::write(&report.pictures, &run.plots())?;
    replace_file(&run.report(), page(&report).as_bytes())?;
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
    Ok(findings(&RunRecord { rows, tested: tested.as_ref(), experiment, failure }))
}

/// Where the files go.
struct ReportPaths {
    plots: PathBuf,
    gallery: PathBuf,
    report: PathBuf,
}

impl ReportPaths {
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

/// A run.
pub(super) struct ReportContext<'a> {
    pub(super) run: &'a Run,
    pub(super) experiment: &'a Experiment,
    /// None of a run that came to no evaluation.
    pub(super) tested: Option<ReportedEvaluation<'a>>,
    /// None of a run of the first version.
    pub(super) profile: Option<Profile>,
    pub(super) status: Status,
    /// None of a run that was killed before it had written down where it comes from.
    pub(super) provenance: Option<Provenance>,
    pub(super) rows: Vec<MetricRow>,
    pub(super) findings: Vec<Finding>,
    pub(super) pictures: Vec<Plot>,
    /// Weights and biases of the network; none where no checkpoint is left.
    pub(super) weights: Option<u64>,
}

/// What an evaluation of the run found.
pub(super) struct ReportedEvaluation<'a> {
    /// The evaluation's name, such as `test`.
    pub(super) name: &'a str,
    pub(super) evaluation: &'a Evaluation,
    pub(super) gallery: Option<&'a Gallery>,
    pub(super) importance: Option<Importance>,
    pub(super) thresholds: Option<ThresholdCurve>,
}

impl<'a> ReportedEvaluation<'a> {
    pub(super) fn read(
        run: &Run,
        name: &'a str,
        evaluation: &'a Evaluation,
        gallery: Option<&'a Gallery>,
    ) -> Result<Self, EvaluationError> {
        Ok(Self {
            name,
            evaluation,
            gallery,
            importance: Importance::read(&run.evaluation(name))?,
            thresholds: ThresholdCurve::read(run, evaluation.metrics.checkpoint_step)?,
        })
    }

    pub(super) fn classes(&self) -> &[String] {
        &self.evaluation.confusion.classes
    }

    /// With two classes, figures of the one follow from those of the other.
    pub(super) fn is_binary(&self) -> bool {
        self.classes().len() == 2
    }
}

impl<'a> ReportContext<'a> {
    /// Reads what belongs to `run`; problems with pictures name their `place`.
    pub(super) fn new(
        run: &'a Run,
        experiment: &'a Experiment,
        tested: Option<ReportedEvaluation<'a>>,
        place: &Path,
    ) -> Result<Self, EvaluationError> {
        let rows = run.metric_rows()?;
        let status = run.status()?;
        let findings = findings_of_run(run, &rows, &status, experiment)?;
        let (epochs, scores) = rayon::join(
            || plots::epoch_pictures(&rows, status.best.as_ref(), place),
            || match &tested {
                Some(tested) => plots::evaluation_pictures(tested.evaluation, place),
                None => Ok(Vec::new()),
            },
        );
        let mut pictures = epochs?;
        pictures.extend(scores?);
        let step = tested.as_ref().and_then(|tested| tested.evaluation.metrics.checkpoint_step);
        Ok(Self {
            run,
            experiment,
            profile: if run.data_json().is_file() { Some(read_profile(run)?) } else { None },
            provenance: if run.run_json().is_file() { Some(run.provenance()?) } else { None },
            weights: weight_count(run, step),
            tested,
            status,
            rows,
            findings,
            pictures,
        })
    }

    /// The SVG of a picture, if it was drawn.
    pub(super) fn picture(&self, name: &str) -> Option<&str> {
        self.pictures.iter().find(|picture| picture.name == name).map(|picture| picture.svg.as_str())
    }
}

const STYLE: &str = include_str!("report.css");

/// A part of the report: its anchor, its heading, and what stands there.
pub(super) struct ReportSection {
    pub(super) anchor: &'static str,
    pub(super) heading: &'static str,
    pub(super) content: Markup,
}

/// The whole page.
pub(super) fn page(report: &ReportContext<'_>) -> String {
    let mut sections = vec![summary::findings_section(report)];
    sections.extend(training::training_section(report));
    if let Some(tested) = &report.tested {
        sections.push(results::confusion_section(report, tested));
        sections.push(results::classes_section(tested));
        sections.extend(results::charts_section(report, tested));
        sections.extend(examples::columns_section(tested));
        sections.extend(examples::examples_section(tested));
    }
    sections.extend(training::data_section(report));
    sections.push(training::settings_section(report));
    sections.extend(training::origin_section(report));
    let title = format!("{} · {}", report.run.name(), report.run.id());
    let body = html! {
        header {
            h1 { (report.run.name()) }
            p.lead { (summary::summary(report)) }
        }
        nav aria-label="Sections" {
            @for section in &sections { a href={ "#" (section.anchor) } { (section.heading) } }
        }
        main {
            @if let Some(tested) = &report.tested { (summary::headline(report, tested)) }
            @for section in &sections {
                section id=(section.anchor) {
                    h2 { (section.heading) }
                    (section.content)
                }
            }
        }
    };
    html_page(&title, STYLE, &body)
}

/// Colours, tables, charts, phones and paper: what every page has. Colours follow the reader's own choice of light or dark.
const PAGE_STYLE: &str = include_str!("page.css");

/// A self-contained HTML page: `style` is its CSS besides the style of all pages, `body` what stands on it.
#[must_use]
pub fn html_page(title: &str, style: &str, body: &Markup) -> String {
    html_page_with(title, style, &Markup::default(), body)
}

/// The same with `head` in its head, before anything that could load or run.
#[must_use]
pub fn html_page_with(title: &str, style: &str, head: &Markup, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                (head)
                meta name="viewport" content="width=device-width, initial-scale=1";
                // Browsers ask for an icon otherwise, and note that there is none.
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(PAGE_STYLE)) (PreEscaped(style)) }
            }
            body { (body) }
        }
    };
    page.into_string()
}

/// A part of a page that may be wider than the screen and then scrolls by itself, also by keyboard; `label` is its name for
/// those who do not see it, another one for each on a page.
#[must_use]
pub fn scrolled(label: &str, content: &Markup) -> Markup {
    html! { div.scroll tabindex="0" role="region" aria-label=(label) { (content) } }
}

/// A chart, as [`kiln_plot`] gives it, as wide as the page has room for; `note` says what to look for, empty for nothing.
#[must_use]
pub fn chart(svg: &str, note: &str) -> Markup {
    html! { div.chart { (PreEscaped(svg)) @if !note.is_empty() { p.note { (note) } } } }
}

#[cfg(test)]
mod tests {
    use kiln_artifacts::{Best, MetricLog, RunFailure, RunInputs, RunState, Scope, StopReason};
    use kiln_config::Monitor;
    use kiln_data::{ExampleCounts, Normalizer, Profile, Reading, Shape, Ties};
    use tempfile::TempDir;

    use super::*;
    use crate::{Baseline, BaselineModel, write_evaluation, write_profile};

    /// A run of three epochs on two classes, the second the best, and the folder that it is in.
    fn run(state: RunState) -> (TempDir, Run, Experiment) {
        let folder = tempfile::tempdir().unwrap();
        let run = Run::create(
            folder.path(),
            "demo",
            &RunInputs { resolved_toml: "", input_toml: "", overrides: &[], start: None },
        )
        .unwrap();
        let mut log = MetricLog::open_append(run.metrics()).unwrap();
        for (epoch, loss) in [(1, 0.9), (2, 0.3), (3, 0.4)] {
            for split in ["train", "validation"] {
                let figures = [("loss", loss), ("accuracy", 1.0 - loss)];
                log.append(&MetricRow::new(split, Scope::Epoch, epoch, epoch * 10, figures)).unwrap();
            }
        }
        log.sync().unwrap();
        let status = Status {
            epoch: 3,
            step: 30,
            best: Some(Best { monitor: Monitor::ValidationLoss, value: 0.3, epoch: 2, step: 20 }),
            ..Status::running(3, 30)
        };
        run.write_status(&status.stopped(state, StopReason::Completed)).unwrap();
        let mut experiment = Experiment::default();
        experiment.model.hidden = vec![16];
        (folder, run, experiment)
    }

    fn with_profile(run: &Run) {
        let profile = Profile {
            source: "idx".to_owned(),
            shape: Shape::Image { height: 2, width: 4, channels: 1 },
            classes: vec!["no".to_owned(), "yes".to_owned()],
            greatest_pixel: Some(255),
            normalizer: Normalizer::Divide { divisor: 255.0 },
            reading: Reading::default(),
            class_weights: Vec::new(),
            ties: Ties::Drawn,
            notices: Vec::new(),
            examples: Some(ExampleCounts { train: 1294, validation: 10, test: 4 }),
        };
        write_profile(run, &profile).unwrap();
    }

    /// Three of four right.
    fn evaluation(run: &Run, name: &str, step: u64) -> Evaluation {
        let names = || vec!["no".to_owned(), "yes".to_owned()];
        let probabilities = vec![0.9, 0.1, 0.8, 0.2, 0.3, 0.7, 0.6, 0.4];
        let predictions =
            Predictions::new(names(), vec![0, 0, 1, 1], vec![0, 0, 1, 0], probabilities, vec![0.5; 4])
                .unwrap();
        let guess =
            Predictions::new(names(), vec![0, 0, 1, 1], vec![0; 4], [0.6, 0.4].repeat(4), vec![0.6; 4])
                .unwrap();
        let settings = EvaluationSettings {
            resamples: 0,
            checkpoint_step: Some(step),
            baselines: vec![Baseline::new(BaselineModel::MostFrequentClass, &guess, &predictions)],
            ..EvaluationSettings::default()
        };
        write_evaluation(run, name, &predictions, &settings).unwrap()
    }

    /// The words of the page's first paragraph.
    fn lead(page: &str) -> String {
        let rest = page.split_once("<p class=\"lead\">").unwrap().1;
        rest.split_once("</p>").unwrap().0.replace('\u{a0}', " ")
    }

    fn read_page(path: PathBuf) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn the_first_sentence_says_what_was_trained_on_what_and_how_good_it_is() {
        let (_folder, run, experiment) = run(RunState::Finished);
        with_profile(&run);
        let tested = evaluation(&run, "test", 20);
        let report = read_page(write_report(&run, "test", &experiment, &tested, None).unwrap());
        let expected = "A multilayer perceptron 8-16-2, trained on 1,294 examples of idx for 3 epochs, gets 75.0 % of 4 test \
                        examples right. Naming the most frequent class every time gets 50.0 % right. Tested: the checkpoint of \
                        epoch 2, the best by validation loss.";
        assert_eq!(lead(&report), expected);
        assert_eq!(report.matches("<h1>").count(), 1);
        assert!(report.contains(">\nbest: epoch 2\n<"), "the best epoch is marked");
        assert!(!report.contains("macro avg") && !report.contains("micro average"), "there are two classes");
    }

    #[test]
    fn the_page_is_the_same_while_the_run_ends_and_after() {
        let (_folder, run, experiment) = run(RunState::Running);
        with_profile(&run);
        let tested = evaluation(&run, "test", 20);
        let report = || read_page(write_report(&run, "test", &experiment, &tested, None).unwrap());
        let before = report();
        run.write_status(&run.status().unwrap().stopped(RunState::Finished, StopReason::Completed)).unwrap();
        assert_eq!(report(), before);
    }

    #[test]
    fn what_a_run_of_an_earlier_version_does_not_tell_is_left_out() {
        let (_folder, run, experiment) = run(RunState::Finished);
        let tested = evaluation(&run, "validation", 30);
        let report = read_page(write_report(&run, "validation", &experiment, &tested, None).unwrap());
        let expected =
            "A multilayer perceptron, trained for 3 epochs, gets 75.0 % of 4 validation examples right.";
        assert!(lead(&report).starts_with(expected), "{}", lead(&report));
        assert!(lead(&report).ends_with("Tested: the last checkpoint, of epoch 3."), "{}", lead(&report));
    }

    #[test]
    fn a_failed_run_has_a_page_of_its_training() {
        let (_folder, run, experiment) = run(RunState::Failed);
        let status = Status {
            error: Some("loss became NaN at step 31 (epoch 4)".to_owned()),
            failure: Some(RunFailure::NonFinite {
                figure: "loss".to_owned(),
                value: "NaN".to_owned(),
                step: 31,
                epoch: 4,
                place: "the loss".to_owned(),
            }),
            ..run.status().unwrap()
        };
        run.write_status(&status).unwrap();
        let report = read_page(write_training_report(&run, &experiment).unwrap());
        assert!(
            lead(&report).ends_with("The run failed: loss became NaN at step 31 (epoch 4)."),
            "{}",
            lead(&report)
        );
        for part in ["findings", "training", "experiment"] {
            assert!(report.contains(&format!("<section id=\"{part}\"")), "{part}");
        }
        for part in ["confusion", "classes", "curves", "examples"] {
            assert!(!report.contains(&format!("<section id=\"{part}\"")), "{part} takes a test");
        }
        assert!(run.plots().join("loss.svg").is_file());
        assert_eq!(
            report,
            read_page(write_training_report(&run, &experiment).unwrap()),
            "the same every time"
        );
    }

    #[test]
    fn an_interrupted_run_says_how_far_it_is() {
        let (_folder, run, experiment) = run(RunState::Interrupted);
        let report = read_page(write_training_report(&run, &experiment).unwrap());
        assert!(
            lead(&report).ends_with("The run was stopped at step 30 of 30 and can be resumed."),
            "{}",
            lead(&report)
        );
    }
}
