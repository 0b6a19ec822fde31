//! `kiln study`.

mod submit;
mod text;
mod work;

use std::path::{Path, PathBuf};

use kiln::StopSignal;
use kiln_study::{Findings, Plan, PlanRequest, SearchReport, Study, StudyReport, Worker};

use crate::arguments::{self, StudyAction};
use crate::experiment::environment;
use crate::failure::Failure;
use crate::file_kind::FileKind;
use crate::interrupt::{stop_on_ctrl_c, stopped_by};
use crate::output::{print, print_json, quoted, say};
use crate::view::study_view;

/// Trains every trial of a study that is not done yet, and prints what came of all of them; or what else is asked of a study.
pub(crate) fn study(arguments: &arguments::Study) -> Result<(), Failure> {
    match &arguments.action {
        None => run(arguments),
        Some(StudyAction::Work(arguments)) => work::work(arguments),
        Some(StudyAction::Submit(arguments)) => submit::submit(arguments),
        Some(StudyAction::Status(arguments)) => submit::status(arguments),
        Some(StudyAction::Cancel(arguments)) => submit::cancel(arguments),
    }
}

pub(crate) use submit::in_words;

/// The study of that folder or name, if there is one.
pub(crate) fn named(name: &str, artifacts: &Path) -> Option<Study> {
    work::open(Path::new(name), artifacts).ok()
}

/// The plan that a study file and the command line make.
fn plan(file: &str, overrides: &[String]) -> Result<Plan, Failure> {
    let path = PathBuf::from(file);
    match FileKind::of(&path) {
        None if FileKind::is_experiment(&path) => {
            let path = path.display();
            return Err(Failure::usage(format!(
                "{path} is an experiment, and no study: `kiln train {path}` trains it"
            )));
        }
        None | Some(FileKind::Study) => {}
        Some(kind) => return Err(Failure::usage(kind.advice(&path))),
    }
    Ok(Plan::read(&PlanRequest { path, environment: environment(), overrides: overrides.to_vec() })?)
}

/// This program as a worker of its own studies.
fn worker() -> Result<Worker, Failure> {
    let program = std::env::current_exe().map_err(|error| {
        Failure::failed(format!("cannot find the program itself, to start workers: {error}"))
    })?;
    Ok(Worker { program, arguments: vec!["worker".to_owned()] })
}

fn run(arguments: &arguments::Study) -> Result<(), Failure> {
    let file = arguments.file.as_deref().unwrap_or_default();
    let study = Study::new(plan(file, &arguments.overrides)?, &arguments.root.artifacts);
    if arguments.dry_run {
        let preview = study.preview();
        if arguments.json {
            print_json(&preview);
        } else {
            print(&text::preview(&preview));
        }
        return Ok(());
    }
    let stop = StopSignal::default();
    stop_on_ctrl_c(&stop);
    let mut view = study_view(arguments.working.ui);
    let jobs = arguments.working.jobs.map(usize::from);
    let report = study.run(jobs, &worker()?, &|| stop.is_requested(), view.as_mut())?;
    drop(view);
    match &report {
        StudyReport::Trials(report) if arguments.json => print_json(report),
        StudyReport::Search(report) if arguments.json => print_json(report),
        StudyReport::Trials(report) => print(&text::of_trials(report)),
        StudyReport::Search(report) => print(&text::of_search(report)),
    }
    if !arguments.json {
        print(&study.folder().display().to_string());
    }
    match report {
        StudyReport::Trials(report) => judge(&report.findings, arguments),
        StudyReport::Search(report) => judge_search(&report, arguments),
    }
}

/// The command that goes on with the study: with other overrides, or in another place, it would be another one.
fn again(arguments: &arguments::Study) -> String {
    let file = arguments.file.clone().unwrap_or_default();
    let mut words = vec!["kiln".to_owned(), "study".to_owned(), file];
    words.extend(arguments.overrides.iter().cloned());
    if arguments.root.artifacts.as_os_str() != "artifacts" {
        words.extend(["--artifacts".to_owned(), arguments.root.artifacts.display().to_string()]);
    }
    words.extend(arguments.working.jobs.map(|jobs| format!("--jobs={jobs}")));
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn stopped(arguments: &arguments::Study) -> Failure {
    let by = stopped_by().map_or_else(String::new, |by| format!(" by {by}"));
    Failure::interrupted(format!(
        "stopped{by}, and all of it is saved: `{}` goes on from here",
        again(arguments)
    ))
}

/// How a search ends: stopped, without anything that could be trained, or well.
fn judge_search(report: &SearchReport, arguments: &arguments::Study) -> Result<(), Failure> {
    if report.was_stopped {
        return Err(stopped(arguments));
    }
    match report.trials.iter().find(|trial| trial.error.is_none()) {
        Some(_) => Ok(()),
        None => Err(Failure::failed("every trial of the search failed")),
    }
}

/// How the study ends: stopped, failed, refuted or well.
fn judge(findings: &Findings, arguments: &arguments::Study) -> Result<(), Failure> {
    if findings.was_stopped {
        return Err(stopped(arguments));
    }
    let failed: Vec<&str> = findings.failed().map(|trial| trial.name.as_str()).collect();
    if !failed.is_empty() {
        say(&format!("failed: {}; the same command tries again", failed.join(", ")));
    }
    let broken: Vec<String> = findings
        .broken()
        .map(|check| {
            let kiln_study::Check { trial, subject, expected, measured, .. } = check;
            format!("{trial}: {subject} {measured}, expected {expected}")
        })
        .collect();
    match (broken.is_empty(), failed.is_empty()) {
        (true, true) => Ok(()),
        (true, false) => Err(Failure::failed(format!("{} failed", failed.join(", ")))),
        (false, _) => Err(Failure::verdict(format!("not reproduced: {}", broken.join("; ")))),
    }
}
