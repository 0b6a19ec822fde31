//! `kiln trace`.

use kiln_study::{Quantity, Trace, TraceFile, trace as traced};

use crate::arguments;
use crate::failure::Failure;
use crate::file_kind::FileKind;
use crate::output::{print, print_json, table};

/// Prints every quantity of a worked example beside the figure that its file expects.
pub(crate) fn trace(arguments: &arguments::Trace) -> Result<(), Failure> {
    let file = &arguments.file;
    if FileKind::of(file) == Some(FileKind::Study) || FileKind::is_experiment(file) {
        return Err(Failure::usage(format!(
            "{} is no worked example, which gives the weights of a small network one by one (configs/worked has some)",
            file.display()
        )));
    }
    let trace = traced(&TraceFile::read(&arguments.file)?);
    if arguments.json {
        print_json(&trace);
    } else {
        print(&report(&trace));
    }
    if trace.is_as_expected() {
        return Ok(());
    }
    let unknown = trace.unknown.iter().map(|name| format!("{name} is no quantity of this network"));
    let missed = trace.quantities.iter().filter(|quantity| !trace.is_met(quantity)).map(|quantity| {
        let expected = quantity.expected.unwrap_or(f64::NAN);
        format!("{} is {:.6}, expected {expected} within {}", quantity.name, quantity.value, trace.tolerance)
    });
    let problems: Vec<String> = missed.chain(unknown).collect();
    Err(Failure::verdict(format!("{}: {}", arguments.file.display(), problems.join("; "))))
}

fn report(trace: &Trace) -> String {
    let head = ["quantity", "value", "expected", "difference"].map(str::to_owned).to_vec();
    let rows = trace.quantities.iter().map(row);
    let table = table(&std::iter::once(head).chain(rows).collect::<Vec<_>>());
    format!("{}\n\n{table}", trace.name)
}

fn row(quantity: &Quantity) -> Vec<String> {
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
