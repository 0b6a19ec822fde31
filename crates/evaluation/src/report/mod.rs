//! `report.html`: the results of a run in one self-contained page.
//!
//! [`ReportContext`] reads what a report needs from the run's folder; [`page`] puts the sections together; [`html_page`] is
//! the frame of all HTML pages of Kiln. To add a section, write a function that returns a [`ReportSection`] in the file of
//! this folder that fits, and call it in [`page`].

mod examples;
mod results;
mod summary;
mod training;

use std::path::{Path, PathBuf};

use kiln_artifacts::{MetricRow, Provenance, Run, RunStatus, replace_file};
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
/// The evaluation `test` writes to [`Run::plots`], [`Run::gallery`] and [`Run::report`]; another one writes to the same
/// names in its own folder.
///
/// # Errors
/// If the run's files cannot be read, or a file cannot be written.
pub fn write_report(
    run: &Run,
    name: &str,
    experiment: &Experiment,
    evaluation: &Evaluation,
    gallery: Option<&Gallery>,
) -> Result<PathBuf, EvaluationError> {
    let paths = ReportPaths::of(run, name);
    let tested = ReportedEvaluation::read(run, name, evaluation, gallery)?;
    let report = ReportContext::new(run, experiment, Some(tested), &paths.plots)?;
    plots::write(&report.plots, &paths.plots)?;
    plots::remove_others(&report.plots, &paths.plots)?;
    if let Some(gallery) = gallery {
        gallery::write_image_grids(gallery, &evaluation.confusion.classes, &paths.gallery)?;
    }
    replace_file(&paths.report, page(&report).as_bytes())?;
    Ok(paths.report)
}

/// Writes the plots and the report of a run without an evaluation, such as a failed or stopped one: its findings, training
/// and settings. Returns the report's path, [`Run::report`].
///
/// # Errors
/// If the run's files cannot be read, or a file cannot be written.
pub fn write_training_report(run: &Run, experiment: &Experiment) -> Result<PathBuf, EvaluationError> {
    let report = ReportContext::new(run, experiment, None, &run.plots())?;
    plots::write(&report.plots, &run.plots())?;
    replace_file(&run.report(), page(&report).as_bytes())?;
    Ok(run.report())
}

/// Reads the evaluation `name` of `run` from its files.
///
/// # Errors
/// If a file is missing or malformed, or the gallery belongs to other predictions.
pub fn read_evaluation(run: &Run, name: &str) -> Result<(Evaluation, Option<Gallery>), EvaluationError> {
    let folder = run.evaluation(name);
    let predictions = Predictions::read(&folder.join(PREDICTIONS_FILE))?;
    let metrics = Metrics::read(&folder.join(METRICS_FILE))?;
    // `metrics` already has the intervals, so no resamples are needed.
    let settings = EvaluationSettings { resamples: 0, ..EvaluationSettings::default() };
    let evaluation = Evaluation { metrics, ..Evaluation::new(&predictions, &settings)? };
    let gallery = Gallery::read(&folder)?;
    if let Some(gallery) = &gallery {
        gallery.check(&folder, &predictions)?;
    }
    Ok((evaluation, gallery))
}

/// The findings of `run`, finished or not; `rows` is its metric log.
///
/// # Errors
/// If the figures of its test exist and cannot be read.
pub fn findings_of_run(
    run: &Run,
    rows: &[MetricRow],
    status: &RunStatus,
    experiment: &Experiment,
) -> Result<Vec<Finding>, EvaluationError> {
    let metrics = run.evaluation("test").join(METRICS_FILE);
    // If a finished run is trained further, its earlier test remains in the folder but does not belong to this log.
    let is_current = status.test.is_some() && metrics.is_file();
    let test = if is_current { Some(Metrics::read(&metrics)?) } else { None };
    let tested = test.as_ref().map(Metrics::tested);
    let failure = status.failure.as_ref();
    Ok(findings(&RunRecord { rows, tested: tested.as_ref(), experiment, failure }))
}

/// The paths of the files that a report consists of.
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

/// A figure with four decimals, or `undefined`.
fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "undefined".to_owned(), |value| format!("{value:.4}"))
}

/// Everything that the sections of a report show.
struct ReportContext<'a> {
    run: &'a Run,
    experiment: &'a Experiment,
    /// `None` for a run without an evaluation.
    tested: Option<ReportedEvaluation<'a>>,
    /// `None` for a run of the first version.
    profile: Option<Profile>,
    status: RunStatus,
    /// `None` for a run that was killed before it wrote `run.json`.
    provenance: Option<Provenance>,
    rows: Vec<MetricRow>,
    findings: Vec<Finding>,
    plots: Vec<Plot>,
    /// The number of weights and biases; `None` if no checkpoint is left.
    weights: Option<u64>,
}

/// An evaluation of the run, with the files that belong to it.
struct ReportedEvaluation<'a> {
    /// The evaluation's name, such as `test`.
    name: &'a str,
    evaluation: &'a Evaluation,
    gallery: Option<&'a Gallery>,
    importance: Option<Importance>,
    thresholds: Option<ThresholdCurve>,
}

impl<'a> ReportedEvaluation<'a> {
    fn read(
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

    fn classes(&self) -> &[String] {
        &self.evaluation.confusion.classes
    }

    /// With two classes, the figures of one follow from those of the other.
    fn is_binary(&self) -> bool {
        self.classes().len() == 2
    }
}

impl<'a> ReportContext<'a> {
    /// Reads the files of `run` and draws its plots. `plot_folder` is where the plots will be written; errors name it.
    fn new(
        run: &'a Run,
        experiment: &'a Experiment,
        tested: Option<ReportedEvaluation<'a>>,
        plot_folder: &Path,
    ) -> Result<Self, EvaluationError> {
        let rows = run.metric_rows()?;
        let status = run.status()?;
        let findings = findings_of_run(run, &rows, &status, experiment)?;
        let (epochs, scores) = rayon::join(
            || plots::epoch_plots(&rows, status.best.as_ref(), plot_folder),
            || match &tested {
                Some(tested) => plots::evaluation_plots(tested.evaluation, plot_folder),
                None => Ok(Vec::new()),
            },
        );
        let mut plots = epochs?;
        plots.extend(scores?);
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
            plots,
        })
    }

    /// The SVG of a plot, if it was drawn.
    fn plot_svg(&self, name: &str) -> Option<&str> {
        self.plots.iter().find(|plot| plot.name == name).map(|plot| plot.svg.as_str())
    }
}

const STYLE: &str = include_str!("report.css");

/// A section of the report.
struct ReportSection {
    anchor: &'static str,
    heading: &'static str,
    content: Markup,
}

/// The whole page. Its sections appear in this order.
fn page(report: &ReportContext<'_>) -> String {
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

/// The style of all pages: colours, tables, charts, phones and paper. Colours follow the reader's light or dark mode.
const PAGE_STYLE: &str = include_str!("page.css");

/// A self-contained HTML page; `style` is its CSS in addition to the style of all pages.
#[must_use]
pub fn html_page(title: &str, style: &str, body: &Markup) -> String {
    html_page_with(title, style, &Markup::default(), body)
}

/// The same with `head` at the start of the head element, before anything that could load or run.
#[must_use]
pub fn html_page_with(title: &str, style: &str, head: &Markup, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                (head)
                meta name="viewport" content="width=device-width, initial-scale=1";
                // Without this, browsers request an icon and log an error.
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(PAGE_STYLE)) (PreEscaped(style)) }
            }
            body { (body) }
        }
    };
    page.into_string()
}

/// A part of a page that scrolls horizontally, also by keyboard, if it is wider than the screen. `label` is its name for
/// screen readers, unique on the page.
#[must_use]
pub fn scrolled(label: &str, content: &Markup) -> Markup {
    html! { div.scroll tabindex="0" role="region" aria-label=(label) { (content) } }
}

/// An SVG chart of [`kiln_plot`] at the width of the page, with a `note` on how to read it, which may be empty.
#[must_use]
pub fn chart(svg: &str, note: &str) -> Markup {
    html! { div.chart { (PreEscaped(svg)) @if !note.is_empty() { p.note { (note) } } } }
}

#[cfg(test)]
mod tests {
    use kiln_artifacts::{BestEpoch, MetricLog, MetricScope, RunFailure, RunInputs, RunState, StopReason};
    use kiln_config::Monitor;
    use kiln_data::{ExampleCounts, ImageEncoding, Normalizer, Profile, Shape, TieBreak};
    use tempfile::TempDir;

    use super::*;
    use crate::{Baseline, BaselineModel, write_evaluation, write_profile};

    /// A run of three epochs on two classes, the second the best epoch, in a temporary folder.
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
                log.append(&MetricRow::new(split, MetricScope::Epoch, epoch, epoch * 10, figures)).unwrap();
            }
        }
        log.sync().unwrap();
        let status = RunStatus {
            epoch: 3,
            step: 30,
            best: Some(BestEpoch { monitor: Monitor::ValidationLoss, value: 0.3, epoch: 2, step: 20 }),
            ..RunStatus::running(3, 30)
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
            reading: ImageEncoding::default(),
            class_weights: Vec::new(),
            ties: TieBreak::Drawn,
            notices: Vec::new(),
            examples: Some(ExampleCounts { train: 1294, validation: 10, test: 4 }),
        };
        write_profile(run, &profile).unwrap();
    }

    /// An evaluation with three of four predictions correct.
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

    /// The text of the page's first paragraph.
    fn lead(page: &str) -> String {
        let rest = page.split_once("<p class=\"lead\">").unwrap().1;
        rest.split_once("</p>").unwrap().0.replace('\u{a0}', " ")
    }

    fn read_page(path: PathBuf) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn the_first_paragraph_says_what_was_trained_on_what_and_how_good_it_is() {
        let (_folder, run, experiment) = run(RunState::Finished);
        with_profile(&run);
        let tested = evaluation(&run, "test", 20);
        let report = read_page(write_report(&run, "test", &experiment, &tested, None).unwrap());
        let expected = "A multilayer perceptron 8-16-2, trained on 1,294 examples of idx for 3 epochs, classifies 75.0 % of 4 \
                        test examples correctly. Always predicting the most frequent class is correct for 50.0 %. The tested \
                        checkpoint is that of epoch 2, the best by validation loss.";
        assert_eq!(lead(&report), expected);
        assert_eq!(report.matches("<h1>").count(), 1);
        assert!(report.contains(">\nbest: epoch 2\n<"), "the best epoch is marked");
        assert!(!report.contains("macro avg") && !report.contains("micro average"), "there are two classes");
    }

    #[test]
    fn the_page_is_the_same_before_and_after_the_run_is_marked_as_finished() {
        let (_folder, run, experiment) = run(RunState::Running);
        with_profile(&run);
        let tested = evaluation(&run, "test", 20);
        let report = || read_page(write_report(&run, "test", &experiment, &tested, None).unwrap());
        let before = report();
        run.write_status(&run.status().unwrap().stopped(RunState::Finished, StopReason::Completed)).unwrap();
        assert_eq!(report(), before);
    }

    #[test]
    fn facts_that_a_run_of_an_earlier_version_lacks_are_left_out() {
        let (_folder, run, experiment) = run(RunState::Finished);
        let tested = evaluation(&run, "validation", 30);
        let report = read_page(write_report(&run, "validation", &experiment, &tested, None).unwrap());
        let expected = "A multilayer perceptron, trained for 3 epochs, classifies 75.0 % of 4 validation examples correctly.";
        assert!(lead(&report).starts_with(expected), "{}", lead(&report));
        assert!(
            lead(&report).ends_with("The tested checkpoint is the last one, of epoch 3."),
            "{}",
            lead(&report)
        );
    }

    #[test]
    fn a_failed_run_has_a_page_of_its_training() {
        let (_folder, run, experiment) = run(RunState::Failed);
        let status = RunStatus {
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
            assert!(!report.contains(&format!("<section id=\"{part}\"")), "{part} needs a test");
        }
        assert!(run.plots().join("loss.svg").is_file());
        assert_eq!(
            report,
            read_page(write_training_report(&run, &experiment).unwrap()),
            "the same every time"
        );
    }

    #[test]
    fn an_interrupted_run_says_how_far_it_got() {
        let (_folder, run, experiment) = run(RunState::Interrupted);
        let report = read_page(write_training_report(&run, &experiment).unwrap());
        assert!(
            lead(&report).ends_with("The run was stopped at step 30 of 30 and can be resumed."),
            "{}",
            lead(&report)
        );
    }
}
