//! What a run was and what came of it, in a few lines for whoever has just watched it.

use std::io::{IsTerminal, stderr};
use std::path::Path;

use kiln::{Metrics, Outcome, Session};
use kiln_data::{ExampleCounts, Profile, Shape};
use kiln_evaluation::Interval;

use crate::output::quoted;

/// Data, network and training, and what the test says.
pub(crate) fn before(session: &Session, outcome: &Outcome) -> Vec<String> {
    let profile = Profile::of(session.data());
    let mut lines = vec![data(&profile), network(session, outcome, &profile)];
    if let Some(test) = &outcome.test {
        lines.push(tested(test, outcome));
        lines.extend(test.beside());
    }
    lines
}

/// Where the report is, and what can be done next.
pub(crate) fn after(session: &Session, has_report: bool) -> Vec<String> {
    let run = session.run();
    let folder = quoted(&run.folder().display().to_string());
    let files = if matches!(session.data().shape, Shape::Image { .. }) {
        "PICTURE"
    } else {
        "ROWS.csv --output ANSWERS.csv"
    };
    let report = has_report.then(|| format!("report: {}", linked(&run.report())));
    let next = format!("next: kiln predict {folder} {files}\n      kiln runs compare {folder} OTHER_RUN");
    report.into_iter().chain([next]).collect()
}

fn data(profile: &Profile) -> String {
    let ExampleCounts { train, validation, test } = profile.examples.unwrap_or_default();
    let held = |count: usize, what: &str| if count > 0 { format!(", {count} {what}") } else { String::new() };
    format!(
        "data: {}, {} classes; {train} examples trained on{}{}",
        profile.source,
        profile.classes.len(),
        held(validation, "validated on"),
        held(test, "tested on")
    )
}

fn network(session: &Session, outcome: &Outcome, profile: &Profile) -> String {
    let (model, trained) = (&session.experiment().model, &outcome.trained);
    let shape = if model.is_mlp() {
        let members = if model.members > 1 { format!("{} times ", model.members) } else { String::new() };
        format!(" {members}{}", model.sizes(profile.shape.features(), profile.classes.len()))
    } else {
        String::new()
    };
    let plural = if trained.epochs == 1 { "" } else { "s" };
    let best = session.run().status().ok().and_then(|status| status.best);
    let best = best.map_or_else(String::new, |best| {
        format!("; best in epoch {} ({} {:.4})", best.epoch, best.monitor.words(), best.value)
    });
    format!(
        "network: {}{shape}, {} weights; {} epoch{plural} in {:.1} s{best}",
        model.name, outcome.weights, trained.epochs, trained.elapsed_seconds
    )
}

fn tested(test: &Metrics, outcome: &Outcome) -> String {
    let loss = test.figure("loss").unwrap_or(f64::NAN);
    let interval = test.intervals.as_ref().and_then(|intervals| intervals.of("accuracy"));
    let interval = interval.map_or_else(String::new, |Interval { lower, upper }| {
        format!(" (95 % interval {lower:.4} to {upper:.4})")
    });
    let network = test.checkpoint_step.filter(|step| *step != outcome.trained.steps);
    let network = network.map_or_else(String::new, |step| format!(", by the network of step {step}"));
    format!(
        "test loss {loss:.4}  accuracy {:.4}{interval}  ({} examples{network})",
        test.accuracy(),
        test.examples
    )
}

/// A path that terminals open at a click.
fn linked(path: &Path) -> String {
    let shown = path.display().to_string();
    match std::path::absolute(path) {
        Ok(whole) if stderr().is_terminal() => {
            format!("\u{1b}]8;;file://{}\u{1b}\\{shown}\u{1b}]8;;\u{1b}\\", whole.display())
        }
        _ => shown,
    }
}
