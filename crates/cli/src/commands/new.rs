//! `kiln new`: inspect data, describe it, and write an experiment file for it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use kiln_config::{Data, DataSource, Origin, Request, Resolved, Source, resolve};
use kiln_data::{
    Column, DataError, DataFolders, DataSet, NoProgress, Normalizer, Progress, Shape, Split, load,
    read_options,
};
use kiln_files::replace_file;
use kiln_table::{ReadOptions, Records, escaped, listed};
use schemars::JsonSchema;
use serde::Serialize;

use super::data::column_table;
use super::keys;
use crate::experiment::name_of_data;
use crate::failure::{Failure, unwritable};
use crate::output::{print, print_json, table};
use crate::view::DownloadBar;

#[derive(Debug, Args)]
pub(crate) struct NewArguments {
    /// A table (CSV or similar, plain or gzipped), a folder with one subfolder of pictures per class, or a folder of IDX files.
    path: PathBuf,
    /// Settings of the data, such as `data.header=false` or `data.missing=["-9"]`. They decide how the data is read, and are
    /// written to the file.
    #[arg(value_name = "KEY=VALUE", add = ArgValueCompleter::new(keys))]
    overrides: Vec<String>,
    /// The column of the table that holds the class: its name or its position (1 is the first, -1 the last).
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true)]
    label: Option<String>,
    /// A table with test rows in the same columns. Default: hold out some rows of the first table.
    #[arg(long, value_name = "FILE")]
    test: Option<PathBuf>,
    /// The names of the columns from left to right, separated by commas, for a file without a header.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    names: Vec<String>,
    /// Where to write the experiment file. Default: the name of the data, in the current folder.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Overwrite an existing file.
    #[arg(long)]
    force: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// An experiment file that was written, and a description of its data.
#[derive(Serialize, JsonSchema)]
pub(crate) struct NewExperiment<'a> {
    /// The experiment file.
    file: &'a Path,
    /// The kind of data: the value of `data.source`.
    source: &'static str,
    /// Each class with its number of examples.
    classes: Vec<(&'a str, usize)>,
    /// Input features of the network per example.
    features: usize,
    /// The columns of a table and their kinds; absent if the data is not a table.
    #[serde(skip_serializing_if = "<[Column]>::is_empty")]
    columns: &'a [Column],
    /// Remarks on the data, a sentence each.
    notices: &'a [String],
    /// The next commands to run.
    next: &'a [String],
}

/// Inspects the data, describes it, writes an experiment file for it and prints the next commands.
pub(crate) fn new(arguments: &NewArguments) -> Result<(), Failure> {
    let named_after = arguments.output.as_ref().unwrap_or(&arguments.path);
    let name = name_of_data(&named_after.to_string_lossy()).unwrap_or_else(|| "experiment".to_owned());
    let output = arguments.output.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.toml")));
    if output.exists() && !arguments.force {
        let message = format!(
            "{} already exists; use --force to overwrite it, or --output FILE to choose another file",
            output.display()
        );
        return Err(Failure::usage(message));
    }
    let inspected = inspect(arguments)?;
    let text = file_text(&name, &inspected);
    // Check the text before writing it, so that no user gets a file that does not work.
    let source = Source::Text { name: output.display().to_string(), text: text.clone() };
    resolve(&Request { source, environment: Vec::new(), overrides: Vec::new() })?;
    replace_file(&output, text.as_bytes()).map_err(|error| unwritable(&output, &error.cause))?;
    let source = inspected.data().source;
    let next = next(&name, source, &output);
    if arguments.json {
        print_json(&NewExperiment {
            file: &output,
            source: source.name(),
            classes: counts(&inspected.set),
            features: inspected.set.features(),
            columns: columns_of(&inspected.set),
            notices: &inspected.set.notices,
            next: &next,
        });
        return Ok(());
    }
    print(&summary(&inspected));
    let next = next.map(|line| format!("  {line}")).join("\n");
    print(&format!("\n{} written. Next:\n{next}", output.display()));
    Ok(())
}

/// The columns of the table that `set` was read from; empty if the data is not a table.
fn columns_of(set: &DataSet) -> &[Column] {
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
        format!("kiln report {name}   # the results as a page"),
        format!("kiln predict {name} {file}"),
    ]
}

/// The first line of an experiment file for a table: it extends the built-in preset.
const PRESET: &str = "extends = \"tabular\"\n";

/// The data as an experiment reads it, and what the file says about it.
struct InspectedData {
    /// The experiment that the data was read with.
    resolved: Resolved,
    set: DataSet,
    /// Columns that reveal the class and are therefore dropped.
    leaks: Vec<String>,
}

impl InspectedData {
    fn of(resolved: Resolved, leaks: Vec<String>, progress: &dyn Progress) -> Result<Self, DataError> {
        let experiment = &resolved.experiment;
        let set = load(&experiment.data, experiment.seed, &DataFolders::from_environment(), progress)?;
        Ok(Self { resolved, set, leaks })
    }

    fn data(&self) -> &Data {
        &self.resolved.experiment.data
    }
}

/// Reads the data at the path as an experiment with the user's overrides would.
fn inspect(arguments: &NewArguments) -> Result<InspectedData, Failure> {
    let bar = DownloadBar::default();
    if !arguments.path.is_dir() {
        return inspect_table(arguments, &bar);
    }
    let pictures = InspectedData::of(resolved(arguments, DataSource::ImageFolder, &[])?, Vec::new(), &bar);
    if pictures.is_err()
        && let Ok(idx) = resolved(arguments, DataSource::Idx, &[])
        && let Ok(inspected) = InspectedData::of(idx, Vec::new(), &NoProgress)
    {
        return Ok(inspected);
    }
    Ok(pictures?)
}

fn inspect_table(arguments: &NewArguments, progress: &dyn Progress) -> Result<InspectedData, Failure> {
    let first = resolved(arguments, DataSource::Csv, &[])?;
    let is_given = |resolved: &Resolved, key: &str| resolved.origins[key].is_given();
    if first.experiment.data.source == DataSource::Csv && !is_given(&first, "data.label_column") {
        return Err(which_label(&first.experiment.data)?);
    }
    let inspected = InspectedData::of(first, Vec::new(), progress)?;
    // The user decides: `data.columns.drop`, or a kind given for the column, overrides the check for leaks.
    let columns = &inspected.data().columns;
    let is_named = |name: &String| {
        [&columns.number, &columns.category, &columns.date].iter().any(|names| names.contains(name))
    };
    let leaks: Vec<String> = inspected.set.leaks.iter().filter(|name| !is_named(name)).cloned().collect();
    if leaks.is_empty() || is_given(&inspected.resolved, "data.columns.drop") {
        return Ok(inspected);
    }
    // Read the data again without the leaking columns, so that the file and the summary agree.
    let drop = format!("data.columns.drop={}", toml_list(&leaks));
    Ok(InspectedData::of(resolved(arguments, DataSource::Csv, &[drop])?, leaks, progress)?)
}

/// The experiment for data of the kind `source`: reasonable defaults, the options and overrides of the command line, and
/// `more` overrides.
fn resolved(arguments: &NewArguments, source: DataSource, more: &[String]) -> Result<Resolved, Failure> {
    let path = |path: &Path| toml_text(&path.to_string_lossy());
    let preset = if source == DataSource::Csv { PRESET } else { "" };
    let mut text =
        format!("{preset}[data]\nsource = {:?}\npath = {}\n", source.name(), path(&arguments.path));
    if source != DataSource::Csv {
        text += "validation = 0.15\n";
    }
    if source == DataSource::ImageFolder {
        let _ = writeln!(text, "image_size = {:?}", Data::default().image_size);
    }
    if source != DataSource::Idx {
        match &arguments.test {
            Some(file) => text += &format!("test_path = {}\n", path(file)),
            None => text += "test = 0.2\n",
        }
    }
    if let Some(label) = arguments.label.as_ref().filter(|_| source == DataSource::Csv) {
        let label = label.parse().map_or_else(|_| toml_text(label), |place: i64| place.to_string());
        let _ = writeln!(text, "label_column = {label}");
    }
    if !arguments.names.is_empty() && source == DataSource::Csv {
        let _ = writeln!(text, "names = {}", toml_list(&arguments.names));
    }
    let resolved = resolve(&Request {
        source: Source::Text { name: "the file of `kiln new`".to_owned(), text },
        environment: Vec::new(),
        overrides: arguments.overrides.iter().chain(more).cloned().collect(),
    })?;
    let is_other = |(key, origin): &(&String, &Origin)| {
        matches!(origin, Origin::CommandLine { .. }) && !key.starts_with("data.")
    };
    match resolved.origins.iter().find(is_other) {
        Some((key, _)) => Err(Failure::usage(format!(
            "{key} does not concern the data: `kiln new` takes only data.* keys; change {key} in the file that it writes, or pass \
             it to `kiln train`"
        ))),
        None => Ok(resolved),
    }
}

/// The question for the label column, with a list of the columns.
fn which_label(data: &Data) -> Result<Failure, DataError> {
    let options = ReadOptions { label: None, ..read_options(data)? };
    let path = data.path.as_deref().unwrap_or(Path::new(""));
    let records = Records::open(path, &options)?;
    let layout = records.layout();
    let columns = listed(layout.names.iter().map(String::as_str), 40);
    let how = if layout.has_names() {
        "choose it with --label COLUMN"
    } else {
        "the file has no header: use --label 1 for the first column, --label -1 for the last"
    };
    Ok(Failure::usage(format!("which column holds the class? {how}. The columns are {columns}")))
}

/// `text` as TOML.
fn toml_text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// `texts` as a list in TOML.
fn toml_list(texts: &[String]) -> String {
    toml::Value::from(texts.to_vec()).to_string()
}

/// A network and its training for pictures: a reasonable start for most data.
const RECIPE: &str = r#"
[model]
hidden = [256, 256]
activation = "silu"
dropout = 0.3

[loss]
# class_weights = "balanced"  # gives every class the same weight

[optimizer]
name = "adamw"
lr = 1e-3

[lr_scheduler]
name = "cosine"

[training]
epochs = {epochs}
batch_size = {batch}

[early_stopping]
enabled = true
patience = 20
"#;

/// Explains where the network for tables comes from.
const PRESET_REMARK: &str = "# Extends the built-in network for tables. `kiln config show FILE` prints all keys; set any of them below to change it.\n";

/// The text of the experiment file.
fn file_text(name: &str, inspected: &InspectedData) -> String {
    let examples = examples(&inspected.set);
    let is_table = inspected.data().source == DataSource::Csv;
    let mut text = format!(
        "# {examples} examples of {} classes. `kiln config explain KEY` explains a key; configs/reference.toml lists all keys.\n\
         name = {}\n",
        inspected.set.class_count(),
        toml_text(name),
    );
    if is_table {
        text += PRESET_REMARK;
        text += PRESET;
    }
    text += "\n[data]\n";
    let mut column_kinds = Vec::new();
    for (key, value) in inspected.resolved.given() {
        match key.strip_prefix("data.columns.") {
            Some(leaf) => column_kinds.push((leaf.to_owned(), value)),
            // Validation data from a file: no rows are held out.
            None if key == "data.validation" && inspected.data().validation_path.is_some() => {}
            None => text += &key_line(key.trim_start_matches("data."), &value),
        }
    }
    text += &columns_section(inspected, &column_kinds);
    if !is_table {
        text += &recipe(examples);
    }
    text
}

/// The network and its training for `examples` pictures.
fn recipe(examples: usize) -> String {
    let (epochs, batch) = match examples {
        0..2_000 => (100, 32),
        2_000..20_000 => (60, 128),
        20_000..200_000 => (30, 256),
        _ => (10, 512),
    };
    RECIPE.replace("{epochs}", &epochs.to_string()).replace("{batch}", &batch.to_string())
}

/// A line `key = value`, for some keys with a comment.
fn key_line(key: &str, value: &str) -> String {
    let remark = match key {
        "validation" => "watched during training; decides when to stop",
        "test" => "used once, at the end",
        _ => return format!("{key} = {value}\n"),
    };
    format!("{:<17}  # {remark}\n", format!("{key} = {value}"))
}

/// The section `[data.columns]`: the kinds of the columns, and where to change them. `given` are the user's own lists.
fn columns_section(inspected: &InspectedData, given: &[(String, String)]) -> String {
    let found = columns_of(&inspected.set);
    if found.is_empty() {
        return String::new();
    }
    let mut text =
        "\n[data.columns]\n# The kind of each column. To change it, add the column to one of these lists:\n"
            .to_owned();
    for line in column_table(found).lines() {
        let _ = writeln!(text, "#   {line}");
    }
    let maybe_names: Vec<String> =
        found.iter().filter(|column| column.maybe_names).map(|column| column.name.clone()).collect();
    for key in ["drop", "category", "number", "date"] {
        let remark = match key {
            "drop" if inspected.leaks.is_empty() => "  # do not use",
            "drop" => "  # reveals the class of every row: use it only if it is known before the class",
            "category" if maybe_names.is_empty() => "  # names, not amounts",
            "category" => "  # few distinct whole numbers: names or amounts?",
            _ => "",
        };
        let _ = match given.iter().find(|(name, _)| name == key) {
            Some((_, value)) => writeln!(text, "{key} = {value}{remark}"),
            None if key == "category" => {
                writeln!(text, "# category = {}{remark}", toml_list(&maybe_names))
            }
            None if key == "drop" => writeln!(text, "drop = []{remark}"),
            None => writeln!(text, "# {key} = []{remark}"),
        };
    }
    text
}

/// Classes that are listed individually.
const MAX_CLASSES: usize = 30;

/// The examples of each class in all splits together.
fn counts(set: &DataSet) -> Vec<(&str, usize)> {
    let mut counts = vec![0; set.class_count()];
    for split in [Some(&set.train), set.held_out(), Some(&set.test)].into_iter().flatten() {
        for (count, more) in counts.iter_mut().zip(split.counts(set.class_count())) {
            *count += more;
        }
    }
    set.classes.iter().map(String::as_str).zip(counts).collect()
}

/// The examples in all splits together.
fn examples(set: &DataSet) -> usize {
    set.train.len() + set.held_out().map_or(0, Split::len) + set.test.len()
}

fn summary(InspectedData { set, leaks, .. }: &InspectedData) -> String {
    let what = match &set.shape {
        Shape::Image { height, width, channels } => {
            let colour = if *channels == 1 { "grey" } else { "red, green and blue" };
            format!("{height}x{width} pixels, {colour}")
        }
        Shape::Columns(names) => format!("{} features", names.len()),
    };
    let mut text = format!("{} examples of {what}\n\n", examples(set));
    let head = ["class", "examples"].map(str::to_owned).to_vec();
    let counts = counts(set);
    let rows = counts.iter().take(MAX_CLASSES).map(|(class, count)| vec![escaped(class), count.to_string()]);
    text += &table(&std::iter::once(head).chain(rows).collect::<Vec<_>>());
    if counts.len() > MAX_CLASSES {
        let _ = write!(text, "\nand {} more", counts.len() - MAX_CLASSES);
    }
    let found = columns_of(set);
    if !found.is_empty() {
        let _ = write!(text, "\n\n{}", column_table(found));
    }
    if !leaks.is_empty() {
        let names = listed(leaks.iter().map(String::as_str), 8);
        let _ = write!(
            text,
            "\n\nnote: dropped {names}, which reveals the class of every row: use it only if it is known before the class"
        );
    }
    for notice in &set.notices {
        let _ = write!(text, "\n\nnote: {notice}");
    }
    text
}
