//! `kiln data`: the data of an experiment, its splits and some examples.

use clap::Args;
use kiln_data::{Column, DataContent, DataDescription, DataFolders, DataSet, Shape, Split, describe, load};
use kiln_table::{escaped, listed};

use crate::experiment::{ExperimentArguments, resolved};
use crate::failure::Failure;
use crate::output::{print, print_json, table};
use crate::view::DownloadBar;

#[derive(Debug, Args)]
pub(crate) struct DataArguments {
    #[command(flatten)]
    experiment: ExperimentArguments,
    /// The number of examples to print.
    #[arg(long, value_name = "N", default_value_t = 4)]
    examples: usize,
    /// Print JSON, without examples.
    #[arg(long)]
    json: bool,
}

/// Describes the data of an experiment and prints some examples.
pub(crate) fn data(arguments: &DataArguments) -> Result<(), Failure> {
    let experiment = resolved(&arguments.experiment)?.experiment;
    let folders = DataFolders::from_environment();
    let description = describe(&experiment.data, experiment.seed, &folders)?;
    if arguments.json {
        print_json(&description);
        return Ok(());
    }
    print(&described(&description));
    let Some(content) = &description.content else {
        print(&format!(
            "not on this machine; download it with `kiln train data.source={}`",
            description.name
        ));
        return Ok(());
    };
    if !content.columns.is_empty() {
        print(&format!("\n{}", column_table(&content.columns)));
    }
    let data = load(&experiment.data, experiment.seed, &folders, &DownloadBar::default())?;
    print(&splits(&data));
    examples(&data, arguments.examples);
    Ok(())
}

fn described(description: &DataDescription) -> String {
    let mut rows = vec![vec!["data".to_owned(), description.name.clone()]];
    let mut fact = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    if let Some(origin) = &description.origin {
        fact("origin", origin.clone());
    }
    let location = description.location.as_ref();
    fact("where", location.map_or("built in".to_owned(), |path| path.display().to_string()));
    if description.download_bytes > 0 {
        fact("download", format!("{:.1} MB", description.download_bytes as f64 / 1e6));
    }
    if let Some(DataContent { shape, classes, files, sha256, notices, .. }) = &description.content {
        fact("shape", shape_text(shape));
        fact("classes", format!("{}: {}", classes.len(), listed(classes.iter().map(String::as_str), 20)));
        fact("sha256", sha256.clone());
        for file in files {
            fact("file", format!("{} ({} bytes, {})", file.shown_name(), file.bytes, &file.sha256[..12]));
        }
        for notice in notices {
            fact("note", notice.clone());
        }
    }
    table(&rows)
}

/// A table of columns: the kind of each, and the reason for it.
pub(crate) fn column_table(columns: &[Column]) -> String {
    let head = ["column", "kind", "features", "missing in training", "why"].map(str::to_owned).to_vec();
    let row = |column: &Column| {
        let features = column
            .treatment
            .as_ref()
            .map_or("left out".to_owned(), |treatment| treatment.features().to_string());
        let missing = if column.missing == 0 { String::new() } else { column.missing.to_string() };
        vec![escaped(&column.name), column.kind.name().to_owned(), features, missing, column.why.clone()]
    };
    table(&std::iter::once(head).chain(columns.iter().map(row)).collect::<Vec<_>>())
}

fn shape_text(shape: &Shape) -> String {
    match shape {
        Shape::Image { height, width, channels: 1 } => format!("{height}x{width} grey pixels"),
        Shape::Image { height, width, .. } => format!("{height}x{width} pixels in red, green and blue"),
        Shape::Columns(names) => {
            format!("{} features: {}", names.len(), listed(names.iter().map(String::as_str), 12))
        }
    }
}

fn splits(data: &DataSet) -> String {
    let head =
        ["split", "examples"].map(str::to_owned).into_iter().chain(data.classes.iter().cloned()).collect();
    let row = |name: &str, split: &Split| -> Vec<String> {
        let counts = split.counts(data.class_count()).into_iter().map(|count| count.to_string());
        [name.to_owned(), split.len().to_string()].into_iter().chain(counts).collect()
    };
    let mut rows: Vec<Vec<String>> = vec![head, row("train", &data.train)];
    rows.extend(data.held_out().map(|split| row("validation", split)));
    rows.push(row("test", &data.test));
    format!("\n{}", table(&rows))
}

/// Prints `count` training examples in short form, then the first one in full.
fn examples(data: &DataSet, count: usize) {
    let class = |position: usize| &data.classes[data.train.label(position) as usize];
    for position in 0..count.min(data.train.len()) {
        let shown = data.train.render(position, &data.shape);
        print(&format!("\nexample {position}, class {}\n{}", class(position), shown.trim_end()));
    }
    if count > 0 {
        let values = data.train.render_values(0, &data.shape);
        print(&format!("\nexample 0, class {}, in full\n{}", class(0), values.trim_end()));
    }
}
