//! `kiln runs`.

use kiln_artifacts::{Run, RunSummary, Status, runs};
use kiln_evaluation::findings_of_run;
use serde_json::json;

use crate::arguments::RunsAction;
use crate::failure::Failure;
use crate::output::{print, print_json, table};
use kiln::of_run;

/// Lists, shows or compares runs.
pub(crate) fn runs(action: &RunsAction) -> Result<(), Failure> {
    match action {
        RunsAction::List { root, json } => {
            let runs = runs::list(&root.artifacts)?;
            if *json {
                print_json(&runs);
            } else if runs.is_empty() {
                print(&format!("no runs in {}; `kiln train` makes one", root.artifacts.display()));
            } else {
                print(&list(&runs));
            }
        }
        RunsAction::Show { run, root, json } => show(&Run::resolve(&root.artifacts, run)?, *json)?,
        RunsAction::Compare { runs: names, root, json } => {
            let found = names.iter().map(|name| Run::resolve(&root.artifacts, name));
            let comparison = runs::compare(&found.collect::<Result<Vec<_>, _>>()?)?;
            if *json {
                print_json(&comparison);
            } else {
                print(&compared(&comparison));
            }
        }
    }
    Ok(())
}

fn list(runs: &[RunSummary]) -> String {
    let head = ["run", "state", "epochs", "test accuracy", "test loss", "tags"].map(str::to_owned).to_vec();
    let rows = runs.iter().map(|run| {
        let name = format!("{}/{}", run.name, run.id);
        let Some(state) = run.state else {
            return vec![name, format!("damaged: {}", run.damaged.as_deref().unwrap_or("unreadable"))];
        };
        vec![
            name,
            state.to_string(),
            format!("{}/{}", run.epoch, run.epochs),
            run.test.map_or_else(String::new, |test| format!("{:.4}", test.accuracy)),
            run.test.map_or_else(String::new, |test| format!("{:.4}", test.loss)),
            run.tags.join(" "),
        ]
    });
    table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

fn show(run: &Run, as_json: bool) -> Result<(), Failure> {
    let status = run.status_now()?;
    let provenance = run.provenance()?;
    let rows = run.metric_rows()?;
    let findings = findings_of_run(run, &rows, &status, &of_run(run)?)?;
    if as_json {
        print_json(&json!({
            "run": run.folder(), "name": run.name(), "id": run.id(), "status": status,
            "provenance": provenance, "metrics": rows, "findings": findings,
        }));
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
