//! `kiln study`.

use std::path::PathBuf;

use kiln::StopSignal;
use kiln_study::{Findings, Plan, PlanRequest, Report, Study, Worker, leaderboard, verdicts};

use crate::arguments;
use crate::experiment::environment;
use crate::failure::Failure;
use crate::file_kind::FileKind;
use crate::interrupt::{stop_on_ctrl_c, stopped_by};
use crate::output::{print, print_json, quoted, say, table};
use crate::view::study_view;

/// Trains every trial of a study that is not done yet, and prints what came of all of them.
pub(crate) fn study(arguments: &arguments::Study) -> Result<(), Failure> {
    let path = PathBuf::from(&arguments.file);
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
    let plan = Plan::read(&PlanRequest {
        path,
        environment: environment(),
        overrides: arguments.overrides.clone(),
    })?;
    let study = Study::new(plan, &arguments.root.artifacts);
    let stop = StopSignal::default();
    stop_on_ctrl_c(&stop);
    let mut view = study_view(arguments.ui);
    let jobs = arguments.jobs.map(usize::from);
    let program = std::env::current_exe().map_err(|error| {
        Failure::failed(format!("cannot find the program itself, to start workers: {error}"))
    })?;
    let worker = Worker { program, arguments: vec!["worker".to_owned()] };
    let report = study.run(jobs, &worker, &|| stop.is_requested(), view.as_mut())?;
    drop(view);
    if arguments.json {
        print_json(&report);
    } else {
        print(&shown(&report));
        print(&study.folder().display().to_string());
    }
    judge(&report.findings, arguments)
}

fn shown(Report { findings, analysis }: &Report) -> String {
    let mut text = text(leaderboard(findings));
    if let Some(verdicts) = verdicts(findings) {
        text += &format!("\n\n{}", self::text(verdicts));
    }
    for section in analysis {
        text += &format!("\n\n{}", section.title);
        for statement in &section.statements {
            text += &format!("\n- {statement}");
        }
    }
    text + "\n"
}

fn text(kiln_study::Table { head, rows }: kiln_study::Table) -> String {
    table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

/// The command that goes on with the study: with other overrides, or in another place, it would be another one.
fn again(arguments: &arguments::Study) -> String {
    let mut words = vec!["kiln".to_owned(), "study".to_owned(), arguments.file.clone()];
    words.extend(arguments.overrides.iter().cloned());
    if arguments.root.artifacts.as_os_str() != "artifacts" {
        words.extend(["--artifacts".to_owned(), arguments.root.artifacts.display().to_string()]);
    }
    words.extend(arguments.jobs.map(|jobs| format!("--jobs={jobs}")));
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// How the study ends: stopped, failed, refuted or well.
fn judge(findings: &Findings, arguments: &arguments::Study) -> Result<(), Failure> {
    if findings.was_stopped {
        let by = stopped_by().map_or_else(String::new, |by| format!(" by {by}"));
        return Err(Failure::interrupted(format!(
            "stopped{by}, and all of it is saved: `{}` goes on from here",
            again(arguments)
        )));
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
