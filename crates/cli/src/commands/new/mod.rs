//! `kiln new`.

mod file;
mod look;
mod summary;

use std::path::{Path, PathBuf};

use kiln_config::{DataSource, Request, Source, resolve};
use kiln_data::{Column, DataSet, Normalizer};
use schemars::JsonSchema;
use serde::Serialize;

use crate::arguments::New;
use crate::experiment::name_of_data;
use crate::failure::Failure;
use crate::output::{print, print_json, unwritable};

use self::look::look;
use self::summary::{counts, summary};

/// An experiment file that was written, and the data that it is for.
#[derive(Serialize, JsonSchema)]
pub(crate) struct NewExperiment<'a> {
    /// The experiment file.
    file: &'a Path,
    /// The kind of data, as `data.source` names it.
    source: &'static str,
    /// Each class with its number of examples.
    classes: Vec<(&'a str, usize)>,
    /// Numbers that the network gets of each example.
    features: usize,
    /// What each column of a table was taken for; absent where the data is not a table.
    #[serde(skip_serializing_if = "<[Column]>::is_empty")]
    columns: &'a [Column],
    /// What is remarkable about the data, a sentence each.
    notices: &'a [String],
    /// Commands to go on with.
    next: &'a [String],
}

/// Looks at the data, says what is there, writes an experiment file for it and names what comes next.
pub(crate) fn new(arguments: &New) -> Result<(), Failure> {
    let named_after = arguments.output.as_ref().unwrap_or(&arguments.path);
    let name = name_of_data(&named_after.to_string_lossy()).unwrap_or_else(|| "experiment".to_owned());
    let output = arguments.output.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.toml")));
    if output.exists() && !arguments.force {
        let message =
            format!("{} is there already; --force writes over it, --output FILE elsewhere", output.display());
        return Err(Failure::usage(message));
    }
    let seen = look(arguments)?;
    let text = file::text(&name, &seen);
    // What is written is read back, so that nobody is handed a file that does not work.
    let source = Source::Text { name: output.display().to_string(), text: text.clone() };
    resolve(&Request { source, environment: Vec::new(), overrides: Vec::new() })?;
    kiln_files::replace_file(&output, text.as_bytes()).map_err(|error| unwritable(&output, &error.cause))?;
    let source = seen.data().source;
    let next = next(&name, source, &output);
    if arguments.json {
        print_json(&NewExperiment {
            file: &output,
            source: source.name(),
            classes: counts(&seen.set),
            features: seen.set.features(),
            columns: columns(&seen.set),
            notices: &seen.set.notices,
            next: &next,
        });
        return Ok(());
    }
    print(&summary(&seen));
    let next = next.map(|line| format!("  {line}")).join("\n");
    print(&format!("\n{} is written. Next:\n{next}", output.display()));
    Ok(())
}

/// The columns of the table that `set` was read from, if it was.
fn columns(set: &DataSet) -> &[Column] {
    match &set.normalizer {
        Normalizer::Table(preparation) => &preparation.columns,
        _ => &[],
    }
}

fn next(name: &str, source: DataSource, output: &Path) -> [String; 3] {
    let file = match source {
        DataSource::Csv => "NEW.csv --output answers.csv",
        _ => "PICTURE.png",
    };
    [
        format!("kiln train {}", output.display()),
        format!("kiln report {name}   # what came of it, as a page"),
        format!("kiln predict {name} {file}"),
    ]
}
