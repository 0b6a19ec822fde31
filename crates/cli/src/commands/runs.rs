//! `kiln runs`, `kiln report` and `kiln watch`: runs that exist, finished or not.

use std::io::{IsTerminal, stdin, stdout};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use jiff::tz::TimeZone;
use kiln::{Finding, of_run};
use kiln_artifacts::{
    MetricRow, MetricScope, Provenance, Run, RunComparison, RunState, RunStatus, RunSummary, Timestamp,
    replace_file, runs,
};
use kiln_evaluation::{findings_of_run, read_evaluation, write_report, write_training_report};
use kiln_study::{Study, comparison_page};
use kiln_training::StopSignal;
use schemars::JsonSchema;
use serde::Serialize;

use super::study_workers::{open_study, status_text};
use super::{RootArgument, run_names};
use crate::failure::{ErrorBody, Failure, stop_on_ctrl_c};
use crate::output::{print, print_json, say, table};
use crate::view::StudyWatch;

#[derive(Debug, Args)]
pub(crate) struct RunsArguments {
    #[command(subcommand)]
    pub(crate) action: RunsAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunsAction {
    /// List runs, one per line, the latest first.
    List {
        /// Show only runs whose name or tags contain this text, or whose id starts with it.
        filter: Option<String>,
        /// Show only runs in this state.
        #[arg(long, value_enum)]
        state: Option<StateArgument>,
        /// The order of the runs.
        #[arg(long, value_enum, default_value = "started")]
        sort: SortArgument,
        /// Show at most this many runs.
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        #[command(flatten)]
        root: RootArgument,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show the state, figures and findings of a run.
    Show {
        /// The run: its folder, its name, the start of its id, or `latest`.
        #[arg(default_value = "latest", add = ArgValueCompleter::new(run_names))]
        run: String,
        #[command(flatten)]
        root: RootArgument,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Delete runs: their folders and everything in them.
    Delete {
        /// The runs: folders, or starts of ids. A name means the latest run of that name.
        #[arg(required = true, add = ArgValueCompleter::new(run_names))]
        runs: Vec<String>,
        /// Delete without asking.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        root: RootArgument,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Compare the settings and figures of runs.
    Compare {
        /// The runs.
        #[arg(required = true, num_args = 2.., add = ArgValueCompleter::new(run_names))]
        runs: Vec<String>,
        /// Write a page with the curves of all these runs to this file, and print its path.
        #[arg(long, value_name = "FILE", conflicts_with = "json")]
        html: Option<PathBuf>,
        #[command(flatten)]
        root: RootArgument,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// The state of a run.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum StateArgument {
    /// In training.
    Running,
    /// Finished.
    Finished,
    /// Stopped, or its process died.
    Interrupted,
    /// Failed with an error.
    Failed,
}

/// The order of a list of runs.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SortArgument {
    /// Start time, latest first.
    Started,
    /// Name.
    Name,
    /// Test accuracy, highest first.
    Accuracy,
    /// Test loss, lowest first.
    Loss,
    /// Training time, longest first.
    Seconds,
}

/// The details of a run.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ShownRun<'a> {
    /// The run folder.
    run: &'a Path,
    /// The name of its experiment.
    name: &'a str,
    /// The name of its folder.
    id: &'a str,
    /// Its state and progress, as in `status.json`.
    status: RunStatus,
    /// Its provenance, as in `run.json`.
    provenance: Provenance,
    /// Its metric log, as in `metrics.jsonl`.
    metrics: Vec<MetricRow>,
    /// The problems that its figures show.
    findings: Vec<Finding>,
}

/// Runs that were deleted.
#[derive(Serialize, JsonSchema)]
pub(crate) struct DeletedRuns<'a> {
    /// Their folders.
    deleted: &'a [String],
    /// Why the next run could not be deleted; absent if all were deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody>,
}

/// Lists, shows, compares or deletes runs.
pub(crate) fn runs(action: &RunsAction) -> Result<(), Failure> {
    match action {
        RunsAction::List { filter, state, sort, limit, root, json } => {
            let mut runs = runs::list(&root.artifacts)?;
            let all = runs.len();
            runs.retain(|run| is_wanted(run, filter.as_deref(), *state));
            sort_by(&mut runs, *sort);
            runs.truncate(limit.unwrap_or(usize::MAX));
            if *json {
                print_json(&runs);
            } else if runs.is_empty() && all > 0 {
                print(&format!("no match among the {all} runs in {}", root.artifacts.display()));
            } else if runs.is_empty() {
                print(&format!("no runs in {}; start one with `kiln train`", root.artifacts.display()));
            } else {
                print(&list(&runs));
            }
        }
        RunsAction::Show { run, root, json } => show(&Run::resolve(&root.artifacts, run)?, *json)?,
        RunsAction::Delete { runs: names, yes, root, json } => {
            let found = names.iter().map(|name| Run::resolve(&root.artifacts, name));
            let mut found = found.collect::<Result<Vec<_>, _>>()?;
            found.sort_by_key(|run| run.folder().canonicalize().ok());
            found.dedup_by_key(|run| run.folder().canonicalize().ok());
            delete(&found, *yes, *json)?;
        }
        RunsAction::Compare { runs: names, html, root, json } => {
            let found = names.iter().map(|name| Run::resolve(&root.artifacts, name));
            let found = found.collect::<Result<Vec<_>, _>>()?;
            if let Some(path) = html {
                let page = comparison_page(&found)?;
                replace_file(path, page.as_bytes())?;
                print(&path.display().to_string());
                return Ok(());
            }
            let comparison = runs::compare(&found)?;
            if *json {
                print_json(&comparison);
            } else {
                print(&compared(&comparison));
            }
        }
    }
    Ok(())
}

fn is_wanted(run: &RunSummary, filter: Option<&str>, state: Option<StateArgument>) -> bool {
    let state = state.map(|state| match state {
        StateArgument::Running => RunState::Running,
        StateArgument::Finished => RunState::Finished,
        StateArgument::Interrupted => RunState::Interrupted,
        StateArgument::Failed => RunState::Failed,
    });
    let has = |filter: &str| {
        let mut texts = std::iter::once(&run.name).chain(&run.tags);
        run.id.starts_with(filter) || texts.any(|text| text.contains(filter))
    };
    filter.is_none_or(has) && state.is_none_or(|state| run.state == Some(state))
}

/// Runs without the figure come last.
fn sort_by(runs: &mut [RunSummary], sort: SortArgument) {
    let ascending = |value: Option<f64>| value.unwrap_or(f64::INFINITY);
    let figure = |run: &RunSummary| match sort {
        SortArgument::Accuracy => ascending(run.test.map(|test| -test.accuracy)),
        SortArgument::Loss => ascending(run.test.map(|test| test.loss)),
        SortArgument::Seconds => -run.elapsed_seconds,
        // These runs already come in order of their start.
        SortArgument::Started | SortArgument::Name => 0.0,
    };
    match sort {
        SortArgument::Name => runs.sort_by(|left, right| left.name.cmp(&right.name)),
        _ => runs.sort_by(|left, right| figure(left).total_cmp(&figure(right))),
    }
}

/// Deletes the runs. Unless `is_sure`, asks for confirmation on the terminal first.
fn delete(runs: &[Run], is_sure: bool, as_json: bool) -> Result<(), Failure> {
    let names: Vec<String> = runs.iter().map(|run| run.folder().display().to_string()).collect();
    if !is_sure {
        let (list, plural) = (names.join("\n"), if runs.len() == 1 { "" } else { "s" });
        say(&format!(
            "{list}\ndelete {} run{plural} and everything in the folder{plural}? [y/N]",
            runs.len()
        ));
        if !stdin().is_terminal() {
            return Err(Failure::usage("nothing is deleted without --yes, or confirmation on a terminal"));
        }
        let mut answer = String::new();
        let _ = stdin().read_line(&mut answer);
        if !["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
            return Err(Failure::failed("nothing was deleted"));
        }
    }
    for (number, (run, name)) in runs.iter().zip(&names).enumerate() {
        if let Err(error) = runs::delete(run) {
            let failure = Failure::from(error);
            if as_json {
                print_json(&DeletedRuns { deleted: &names[..number], error: Some(failure.body()) });
            }
            return Err(failure);
        }
        if !as_json {
            print(name);
        }
    }
    if as_json {
        print_json(&DeletedRuns { deleted: &names, error: None });
    }
    Ok(())
}

fn list(runs: &[RunSummary]) -> String {
    let head = ["run", "started", "seconds", "state", "epochs", "test accuracy", "test loss", "tags"];
    let head = head.map(str::to_owned).to_vec();
    let rows = runs.iter().map(|run| {
        let name = format!("{}/{}", run.name, run.id);
        let Some(state) = run.state else {
            return vec![name, format!("damaged: {}", run.damaged.as_deref().unwrap_or("unreadable"))];
        };
        vec![
            name,
            run.started.map_or_else(String::new, local),
            format!("{:.1}", run.elapsed_seconds),
            state.to_string(),
            format!("{}/{}", run.epoch, run.epochs),
            run.test.map_or_else(String::new, |test| format!("{:.4}", test.accuracy)),
            run.test.map_or_else(String::new, |test| format!("{:.4}", test.loss)),
            run.tags.join(" "),
        ]
    });
    table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

/// The local time, to the minute.
fn local(time: Timestamp) -> String {
    time.to_zoned_datetime(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string()
}

fn show(run: &Run, as_json: bool) -> Result<(), Failure> {
    let status = run.status_now()?;
    let provenance = run.provenance()?;
    let rows = run.metric_rows()?;
    let findings = findings_of_run(run, &rows, &status, &of_run(run)?)?;
    if as_json {
        let (run, name, id) = (run.folder(), run.name(), run.id());
        print_json(&ShownRun { run, name, id, status, provenance, metrics: rows, findings });
        return Ok(());
    }
    let mut lines = facts(run, &status);
    lines.push(vec!["backend".into(), format!("{} ({} threads)", provenance.backend, provenance.threads)]);
    lines.push(vec!["data".into(), format!("{} {}", provenance.dataset.name, provenance.dataset.sha256)]);
    print(&table(&lines));
    let head = ["epoch", "split", "loss", "accuracy"].map(str::to_owned).to_vec();
    let figure = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.4}"));
    let epochs = rows.iter().filter(|row| row.scope == MetricScope::Epoch).map(|row| {
        vec![
            row.epoch.to_string(),
            row.split.clone(),
            figure(row.figure("loss")),
            figure(row.figure("accuracy")),
        ]
    });
    print(&format!("\n{}", table(&std::iter::once(head).chain(epochs).collect::<Vec<_>>())));
    for finding in findings {
        print(&format!("\n{finding}"));
    }
    Ok(())
}

fn facts(run: &Run, status: &RunStatus) -> Vec<Vec<String>> {
    let mut facts = vec![
        ("run", run.folder().display().to_string()),
        ("state", status.state.to_string()),
        ("epochs", format!("{} of {}", status.epoch, status.epochs)),
        ("steps", format!("{} of {}", status.step, status.steps)),
        ("started", status.started.to_string()),
        ("elapsed", format!("{:.1} s", status.elapsed_seconds)),
    ];
    if let Some(reason) = status.stop_reason {
        facts.push(("stop reason", reason.to_string()));
    }
    if let Some(best) = status.best {
        facts.push(("best", format!("{:.4} in epoch {}", best.value, best.epoch)));
    }
    if let Some(test) = status.test {
        facts.push(("test", format!("loss {:.4}, accuracy {:.4}", test.loss, test.accuracy)));
    }
    if let Some(hash) = &status.weights_sha256 {
        facts.push(("weights", hash.clone()));
    }
    if let Some(error) = &status.error {
        facts.push(("error", error.clone()));
    }
    facts.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect()
}

fn compared(comparison: &RunComparison) -> String {
    let mut rows = vec![
        std::iter::once(String::new())
            .chain(comparison.runs.iter().map(|run| format!("{}/{}", run.name, run.id)))
            .collect::<Vec<_>>(),
    ];
    for difference in &comparison.config {
        let values =
            difference.values.iter().map(|value| value.as_ref().map_or("-".into(), ToString::to_string));
        rows.push(std::iter::once(difference.key.clone()).chain(values).collect());
    }
    for figure in &comparison.figures {
        let values =
            figure.values.iter().map(|value| value.map_or("-".into(), |value| format!("{value:.6}")));
        rows.push(std::iter::once(figure.name.clone()).chain(values).collect());
    }
    table(&rows)
}

#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    /// The run: its folder, its name (the latest of that name), the start of its id, or `latest`.
    #[arg(default_value = "latest", add = ArgValueCompleter::new(run_names))]
    run: String,
    /// The evaluation: `test`, or the name of another folder in the run's `evaluation` folder.
    #[arg(long, value_name = "NAME", default_value = "test")]
    evaluation: String,
    #[command(flatten)]
    root: RootArgument,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A report that was written.
#[derive(Serialize, JsonSchema)]
pub(crate) struct WrittenReport<'a> {
    /// The report, an HTML file.
    report: &'a Path,
}

/// Writes plots, gallery and report of an existing evaluation, and prints the path of the report.
pub(crate) fn report(arguments: &ReportArguments) -> Result<(), Failure> {
    let path = rewrite(arguments)?;
    if arguments.json {
        print_json(&WrittenReport { report: &path });
    } else {
        print(&path.display().to_string());
    }
    Ok(())
}

fn rewrite(arguments: &ReportArguments) -> Result<PathBuf, Failure> {
    let run = Run::resolve(&arguments.root.artifacts, &arguments.run)?;
    let experiment = of_run(&run)?;
    let without_test = !run.evaluation("test").is_dir() && run.evaluation("validation").is_dir();
    let name = match arguments.evaluation.as_str() {
        // Without test data, the report of a run is on its validation data.
        "test" if without_test => "validation",
        name => name,
    };
    if name == "test" && !run.evaluation(name).is_dir() && !run.metric_rows()?.is_empty() {
        // Stopped or failed before its test: report the training itself.
        return Ok(write_training_report(&run, &experiment)?);
    }
    if !run.evaluation(name).is_dir() {
        let run = run.folder().display();
        return Err(Failure::usage(format!(
            "{run} has no evaluation {name:?}; create one with `kiln evaluate {run}`, or \
             finish an unfinished run with `kiln resume {run}`"
        )));
    }
    let (evaluation, gallery) = read_evaluation(&run, name)?;
    Ok(write_report(&run, name, &experiment, &evaluation, gallery.as_ref())?)
}

#[derive(Debug, Args)]
pub(crate) struct WatchArguments {
    /// The run (its folder, its name, the start of its id, or `latest`), or a study (its folder or name).
    #[arg(default_value = "latest", add = ArgValueCompleter::new(run_names))]
    run: String,
    #[command(flatten)]
    root: RootArgument,
}

/// Shows the dashboard of a run that another process trains or that has ended, or the progress of a study.
pub(crate) fn watch(arguments: &WatchArguments) -> Result<(), Failure> {
    let run = match Run::resolve(&arguments.root.artifacts, &arguments.run) {
        Ok(run) => run,
        Err(error) => {
            let study =
                open_study(Path::new(&arguments.run), &arguments.root.artifacts).map_err(|_| error)?;
            let stop = StopSignal::default();
            stop_on_ctrl_c(&stop);
            return watch_study(&study, &stop);
        }
    };
    if !stdout().is_terminal() {
        return Err(Failure::usage(format!(
            "the dashboard needs a terminal; print the same figures with `kiln runs show {}`",
            arguments.run
        )));
    }
    let stop = StopSignal::default();
    stop_on_ctrl_c(&stop);
    Ok(kiln_training::watch(&run, &stop)?)
}

const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Shows the progress of a study until it is finished or cancelled.
fn watch_study(study: &Study, stop: &StopSignal) -> Result<(), Failure> {
    let mut view = StudyWatch::new();
    loop {
        let status = study.status()?;
        view.show(&status);
        if status.is_finished || status.is_cancelled || stop.is_requested() {
            drop(view);
            print(&status_text(&status));
            return Ok(());
        }
        thread::sleep(POLL_INTERVAL);
    }
}
