//! `kiln runs`.

use std::io::{IsTerminal, stdin};
use std::path::Path;

use jiff::tz::TimeZone;
use kiln::Finding;
use kiln_artifacts::{
    MetricRow, Provenance, Run, RunState, RunSummary, Status, Timestamp, replace_file, runs,
};
use kiln_evaluation::findings_of_run;
use kiln_study::comparison_page;
use schemars::JsonSchema;
use serde::Serialize;

use crate::arguments::{RunsAction, SortArgument, StateArgument};
use crate::failure::{ErrorBody, Failure};
use crate::output::{print, print_json, say, table};
use kiln::of_run;

/// All there is to know of a run.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ShownRun<'a> {
    /// The run folder.
    run: &'a Path,
    /// The name of its experiment.
    name: &'a str,
    /// The name of its folder.
    id: &'a str,
    /// How far it is, as in its `status.json`.
    status: Status,
    /// What it came from, as in its `run.json`.
    provenance: Provenance,
    /// Its metric log, as in its `metrics.jsonl`.
    metrics: Vec<MetricRow>,
    /// What its figures say against it.
    findings: Vec<Finding>,
}

/// Runs that were deleted.
#[derive(Serialize, JsonSchema)]
pub(crate) struct DeletedRuns<'a> {
    /// Their folders.
    deleted: &'a [String],
    /// Why the next one could not be deleted; absent where all were.
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
                print(&format!("none of the {all} runs in {} is so", root.artifacts.display()));
            } else if runs.is_empty() {
                print(&format!("no runs in {}; `kiln train` makes one", root.artifacts.display()));
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
        // They come in this order.
        SortArgument::Started | SortArgument::Name => 0.0,
    };
    match sort {
        SortArgument::Name => runs.sort_by(|left, right| left.name.cmp(&right.name)),
        _ => runs.sort_by(|left, right| figure(left).total_cmp(&figure(right))),
    }
}

/// Deletes the runs, once whoever asked for it has said so again.
fn delete(runs: &[Run], is_sure: bool, as_json: bool) -> Result<(), Failure> {
    let names: Vec<String> = runs.iter().map(|run| run.folder().display().to_string()).collect();
    if !is_sure {
        let (list, plural) = (names.join("\n"), if runs.len() == 1 { "" } else { "s" });
        say(&format!("{list}\ndelete {} run{plural} with all that is in there? [y/N]", runs.len()));
        if !stdin().is_terminal() {
            return Err(Failure::usage("nothing is deleted without --yes, or a yes on a terminal"));
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

/// To the minute, in the time of this place.
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
    let epochs = rows.iter().filter(|row| row.scope == kiln_artifacts::Scope::Epoch).map(|row| {
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

fn facts(run: &Run, status: &Status) -> Vec<Vec<String>> {
    let mut facts = vec![
        ("run", run.folder().display().to_string()),
        ("state", status.state.to_string()),
        ("epochs", format!("{} of {}", status.epoch, status.epochs)),
        ("steps", format!("{} of {}", status.step, status.steps)),
        ("started", status.started.to_string()),
        ("elapsed", format!("{:.1} s", status.elapsed_seconds)),
    ];
    if let Some(reason) = status.stop_reason {
        facts.push(("stopped by", reason.to_string()));
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

fn compared(comparison: &kiln_artifacts::Comparison) -> String {
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
