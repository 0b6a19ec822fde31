//! `kiln report`.

use std::path::{Path, PathBuf};

use kiln_artifacts::Run;
use kiln_evaluation::{read_evaluation, write_report, write_training_report};

use schemars::JsonSchema;
use serde::Serialize;

use crate::arguments::Report;
use crate::failure::Failure;
use crate::output::{print, print_json};
use kiln::of_run;

/// A report that was written.
#[derive(Serialize, JsonSchema)]
pub(crate) struct WrittenReport<'a> {
    /// The report, an HTML file.
    report: &'a Path,
}

/// Writes plots, gallery and report of an evaluation that is there, and prints the report's path.
pub(crate) fn report(arguments: &Report) -> Result<(), Failure> {
    let path = write(arguments)?;
    if arguments.json {
        print_json(&WrittenReport { report: &path });
    } else {
        print(&path.display().to_string());
    }
    Ok(())
}

fn write(arguments: &Report) -> Result<PathBuf, Failure> {
    let run = Run::resolve(&arguments.root.artifacts, &arguments.run)?;
    let experiment = of_run(&run)?;
    let without_test = !run.evaluation("test").is_dir() && run.evaluation("validation").is_dir();
    let name = match arguments.evaluation.as_str() {
        // A run that holds nothing out to test on has its report on the validation data.
        "test" if without_test => "validation",
        name => name,
    };
    if name == "test" && !run.evaluation(name).is_dir() && !run.metric_rows()?.is_empty() {
        // Stopped or failed before its test: how it went is of all the more interest.
        return Ok(write_training_report(&run, &experiment)?);
    }
    if !run.evaluation(name).is_dir() {
        let run = run.folder().display();
        return Err(Failure::usage(format!(
            "{run} has no evaluation {name:?}; `kiln evaluate {run}` makes one, `kiln resume {run}` goes on with a \
             run that is not finished"
        )));
    }
    let (evaluation, gallery) = read_evaluation(&run, name)?;
    Ok(write_report(&run, name, &experiment, &evaluation, gallery.as_ref())?)
}
