//! `kiln study` and `kiln trace`: many trainings from one study file, and one small network step by step.
//!
//! The verbs for workers (`kiln study work`, `submit`, `status`, `cancel`) are in `study_workers.rs`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use clap_complete::engine::ArgValueCompleter;
use kiln::StopSignal;
use kiln_study::{
    ExpectationCheck, Preview, Quantity, SearchReport, Study, StudyReport, StudyResults, TextTable, Trace,
    TraceFile, TrialsReport, leaderboard, verdicts,
};

use super::study_workers::{
    self, CancelArguments, StatusArguments, SubmitArguments, WorkArguments, WorkerArguments, plan, worker,
};
use super::{RootArgument, keys};
use crate::experiment::FileKind;
use crate::failure::{Failure, stop_on_ctrl_c, stopped_by};
use crate::output::{self, print, print_json, quoted, say};
use crate::view::study_view;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct StudyArguments {
    /// A study file, such as `configs/studies/ten-experiments.toml`.
    #[arg(value_hint = ValueHint::FilePath, required = true)]
    file: Option<String>,
    /// `seeds=[0,1,2]`, `folds=5`, `repeats=2` and `jobs=4` apply to the study, `search.trials=100` and similar keys to its search.
    /// All other keys, such as `training.epochs=3`, apply to every trial.
    #[arg(value_name = "KEY=VALUE", add = ArgValueCompleter::new(keys))]
    overrides: Vec<String>,
    #[command(flatten)]
    worker: WorkerArguments,
    #[command(flatten)]
    root: RootArgument,
    /// Print what the study would train and what that costs, without training.
    #[arg(long)]
    dry_run: bool,
    /// Print the results as JSON.
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    action: Option<StudyAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StudyAction {
    /// Join the work on a study that was started before, on this host or on another one that shares its folder.
    Work(WorkArguments),
    /// Submit a study to a scheduler, as one array of workers that resume by themselves after time limits and preemption.
    Submit(SubmitArguments),
    /// Show the progress of a study, and its running workers.
    Status(StatusArguments),
    /// Stop all workers of a study on all hosts. Each saves a checkpoint first.
    Cancel(CancelArguments),
}

/// Runs a verb of `kiln study`. Without a verb, trains every unfinished trial of a study and prints the results of all.
pub(crate) fn study(arguments: &StudyArguments) -> Result<(), Failure> {
    match &arguments.action {
        None => run(arguments),
        Some(StudyAction::Work(arguments)) => study_workers::work(arguments),
        Some(StudyAction::Submit(arguments)) => study_workers::submit(arguments),
        Some(StudyAction::Status(arguments)) => study_workers::status(arguments),
        Some(StudyAction::Cancel(arguments)) => study_workers::cancel(arguments),
    }
}

fn run(arguments: &StudyArguments) -> Result<(), Failure> {
    let file = arguments.file.as_deref().unwrap_or_default();
    let study = Study::new(plan(file, &arguments.overrides)?, &arguments.root.artifacts);
    if arguments.dry_run {
        let preview = study.preview();
        if arguments.json {
            print_json(&preview);
        } else {
            print(&preview_text(&preview));
        }
        return Ok(());
    }
    let stop = StopSignal::default();
    stop_on_ctrl_c(&stop);
    let mut view = study_view(arguments.worker.ui);
    let jobs = arguments.worker.jobs.map(usize::from);
    let report = study.run(jobs, &worker()?, &|| stop.is_requested(), view.as_mut())?;
    drop(view);
    match &report {
        StudyReport::Trials(report) if arguments.json => print_json(report),
        StudyReport::Search(report) if arguments.json => print_json(report),
        StudyReport::Trials(report) => print(&trials_text(report)),
        StudyReport::Search(report) => print(&search_text(report)),
    }
    if !arguments.json {
        print(&study.folder().display().to_string());
    }
    match report {
        StudyReport::Trials(report) => judge(&report.results, arguments),
        StudyReport::Search(report) => judge_search(&report, arguments),
    }
}

/// The command that resumes the study. It repeats the overrides and the folder, without which it would be another study.
fn resume_command(arguments: &StudyArguments) -> String {
    let file = arguments.file.clone().unwrap_or_default();
    let mut words = vec!["kiln".to_owned(), "study".to_owned(), file];
    words.extend(arguments.overrides.iter().cloned());
    if arguments.root.artifacts.as_os_str() != "artifacts" {
        words.extend(["--artifacts".to_owned(), arguments.root.artifacts.display().to_string()]);
    }
    words.extend(arguments.worker.jobs.map(|jobs| format!("--jobs={jobs}")));
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn stopped(arguments: &StudyArguments) -> Failure {
    let by = stopped_by().map_or_else(String::new, |by| format!(" by {by}"));
    Failure::interrupted(format!(
        "stopped{by}; all progress is saved: resume with `{}`",
        resume_command(arguments)
    ))
}

/// Fails if the search was stopped or all of its trials failed.
fn judge_search(report: &SearchReport, arguments: &StudyArguments) -> Result<(), Failure> {
    if report.was_stopped {
        return Err(stopped(arguments));
    }
    match report.trials.iter().find(|trial| trial.error.is_none()) {
        Some(_) => Ok(()),
        None => Err(Failure::failed("every trial of the search failed")),
    }
}

/// Fails if the study was stopped, a trial failed, or an expectation was not met.
fn judge(results: &StudyResults, arguments: &StudyArguments) -> Result<(), Failure> {
    if results.was_stopped {
        return Err(stopped(arguments));
    }
    let failed: Vec<&str> = results.failed().map(|trial| trial.name.as_str()).collect();
    if !failed.is_empty() {
        say(&format!("failed: {}; repeat the command to retry", failed.join(", ")));
    }
    let broken: Vec<String> = results
        .broken()
        .map(|check| {
            let ExpectationCheck { trial, subject, expected, measured, .. } = check;
            format!("{trial}: {subject} {measured}, expected {expected}")
        })
        .collect();
    match (broken.is_empty(), failed.is_empty()) {
        (true, true) => Ok(()),
        (true, false) => Err(Failure::failed(format!("{} failed", failed.join(", ")))),
        (false, _) => Err(Failure::verdict(format!("not reproduced: {}", broken.join("; ")))),
    }
}

/// Printed rows of the leaderboard of a search; the files have all rows.
const MAX_ROWS: usize = 20;

fn trials_text(TrialsReport { results, analysis }: &TrialsReport) -> String {
    let mut text = study_table(leaderboard(results));
    if let Some(verdicts) = verdicts(results) {
        text += &format!("\n\n{}", study_table(verdicts));
    }
    for section in analysis {
        text += &format!("\n\n{}", section.title);
        for statement in &section.statements {
            text += &format!("\n- {statement}");
        }
    }
    text + "\n"
}

fn search_text(report: &SearchReport) -> String {
    let TextTable { head, mut rows } = report.leaderboard();
    let left = rows.len().saturating_sub(MAX_ROWS);
    rows.truncate(MAX_ROWS);
    let mut text = study_table(TextTable { head, rows });
    if left > 0 {
        text += &format!("\nand {left} more in leaderboard.csv");
    }
    text += "\n";
    for statement in &report.statements {
        text += &format!("\n- {statement}");
    }
    text + "\n"
}

/// The trainings that a study would do.
fn preview_text(preview: &Preview) -> String {
    let Preview { study, head, rows, more, statements } = preview;
    let mut text =
        format!("{study}\n\n{}", study_table(TextTable { head: head.clone(), rows: rows.clone() }));
    if *more > 0 {
        text += &format!("\nand {more} more");
    }
    text += "\n";
    for statement in statements {
        text += &format!("\n- {statement}");
    }
    text
}

fn study_table(TextTable { head, rows }: TextTable) -> String {
    output::table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

#[derive(Debug, Args)]
pub(crate) struct TraceArguments {
    /// A worked example, such as `configs/worked/backpropagation.toml`.
    file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Prints every quantity of a worked example next to the figure that its file expects.
pub(crate) fn trace(arguments: &TraceArguments) -> Result<(), Failure> {
    let file = &arguments.file;
    if FileKind::of(file) == Some(FileKind::Study) || FileKind::is_experiment(file) {
        return Err(Failure::usage(format!(
            "{} is not a worked example; a worked example lists the weights of a small network (see configs/worked)",
            file.display()
        )));
    }
    let trace = kiln_study::trace(&TraceFile::read(&arguments.file)?);
    if arguments.json {
        print_json(&trace);
    } else {
        print(&trace_text(&trace));
    }
    if trace.is_as_expected() {
        return Ok(());
    }
    let unknown = trace.unknown.iter().map(|name| format!("this network has no quantity {name}"));
    let missed = trace.quantities.iter().filter(|quantity| !trace.is_met(quantity)).map(|quantity| {
        let expected = quantity.expected.unwrap_or(f64::NAN);
        format!("{} is {:.6}, expected {expected} within {}", quantity.name, quantity.value, trace.tolerance)
    });
    let problems: Vec<String> = missed.chain(unknown).collect();
    Err(Failure::verdict(format!("{}: {}", arguments.file.display(), problems.join("; "))))
}

fn trace_text(trace: &Trace) -> String {
    let head = ["quantity", "value", "expected", "difference"].map(str::to_owned).to_vec();
    let rows = trace.quantities.iter().map(quantity_row);
    let table = output::table(&std::iter::once(head).chain(rows).collect::<Vec<_>>());
    format!("{}\n\n{table}", trace.name)
}

fn quantity_row(quantity: &Quantity) -> Vec<String> {
    let figure = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.6}"));
    let slip = quantity
        .slip
        .as_ref()
        .map_or_else(String::new, |reason| format!("  expected figure is wrong: {reason}"));
    let difference = quantity.difference().map_or_else(String::new, |value| format!("{value:+.6}"));
    vec![
        quantity.name.clone(),
        format!("{:.6}", quantity.value),
        figure(quantity.expected),
        format!("{difference}{slip}"),
    ]
}
