//! `kiln new`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use kiln_config::{Columns, Data, DataSource, Experiment, Holdout, LabelColumn, Normalization};
use kiln_data::{Column, DataError, DataSet, Folders, NoProgress, Normalizer, Shape, load};
use kiln_table::{ReadOptions, Records, listed};
use serde::Serialize;

use crate::arguments::New;
use crate::commands::data::columns;
use crate::experiment::name_of_data;
use crate::failure::Failure;
use crate::output::{print, print_json, table, unwritable};
use crate::view::DownloadBar;

/// The network and its training, which are a beginning on most data.
const RECIPE: &str = r#"
[model]
hidden = [256, 256]
activation = "silu"
dropout = 0.3

[loss]
# class_weights = "balanced"  # every class counts as much as any other

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

/// What `--json` prints.
#[derive(Serialize)]
struct Seen<'a> {
    file: &'a Path,
    source: &'static str,
    classes: Vec<(&'a str, usize)>,
    features: usize,
    #[serde(skip_serializing_if = "<[Column]>::is_empty")]
    columns: &'a [Column],
    notices: &'a [String],
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
    let (data, set) = look(arguments)?;
    let shown = Shown::new(&name, &data, &set);
    let text = shown.toml();
    // What is written is read back, so that nobody is handed a file that does not work.
    Experiment::from_toml_str(&output.display().to_string(), &text)?;
    kiln_files::replace_file(&output, text.as_bytes()).map_err(|error| unwritable(&output, &error.cause))?;
    let next = shown.next(&output);
    if arguments.json {
        print_json(&Seen {
            file: &output,
            source: data.source.name(),
            classes: shown.counts(),
            features: set.features(),
            columns: shown.columns(),
            notices: &set.notices,
            next: &next,
        });
        return Ok(());
    }
    print(&shown.summary());
    print(&format!("\n{} is written. Next:\n{}", output.display(), indented(&next)));
    Ok(())
}

fn indented(lines: &[String]) -> String {
    lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

/// The data at the path, read as an experiment would.
fn look(arguments: &New) -> Result<(Data, DataSet), Failure> {
    let path = Some(arguments.path.clone());
    let test_path = arguments.test.clone();
    let base = Data { path, test_path, validation: Holdout::Fraction(0.15), ..Data::default() };
    let load = |data: &Data| {
        load(data, Experiment::default().seed, &Folders::from_environment(), &DownloadBar::default())
    };
    if !arguments.path.is_dir() {
        let Some(label) = &arguments.label else { return Err(which_label(arguments)?) };
        let label_column =
            label.parse().map_or_else(|_| LabelColumn::Name(label.clone()), LabelColumn::Place);
        let (names, normalization) = (arguments.names.clone(), Normalization::Standard);
        let data = Data { source: DataSource::Csv, label_column, names, normalization, ..base };
        let set = load(&data)?;
        if set.leaks.is_empty() {
            return Ok((data, set));
        }
        // What gives the class away is left out of what is written, and of what is said.
        let columns = Columns { drop: set.leaks.clone(), ..data.columns.clone() };
        let data = Data { columns, ..data };
        let set = load(&data)?;
        return Ok((data, set));
    }
    let pictures = Data { source: DataSource::ImageFolder, ..base.clone() };
    let found = load(&pictures);
    if found.is_err() {
        let idx = Data { source: DataSource::Idx, test_path: None, ..base };
        if let Ok(set) =
            kiln_data::load(&idx, Experiment::default().seed, &Folders::from_environment(), &NoProgress)
        {
            return Ok((idx, set));
        }
    }
    Ok((pictures, found?))
}

/// A question for the label, with the columns that there are.
fn which_label(arguments: &New) -> Result<Failure, Failure> {
    let options = ReadOptions { names: arguments.names.clone(), ..ReadOptions::default() };
    let records = Records::open(&arguments.path, &options).map_err(DataError::from)?;
    let layout = records.layout();
    let columns = listed(layout.names.iter().map(String::as_str), 40);
    let how = if layout.has_names() {
        "name it with --label COLUMN"
    } else {
        "the file has no header: --label -1 is the last, --label 1 the first"
    };
    Ok(Failure::usage(format!("which column holds the class? {how}. There are {columns}")))
}

/// What was seen, in words.
struct Shown<'a> {
    name: &'a str,
    data: &'a Data,
    set: &'a DataSet,
}

impl<'a> Shown<'a> {
    fn new(name: &'a str, data: &'a Data, set: &'a DataSet) -> Self {
        Self { name, data, set }
    }

    /// The examples of each class in all splits together.
    fn counts(&self) -> Vec<(&'a str, usize)> {
        let mut counts = vec![0; self.set.class_count()];
        for split in
            [Some(&self.set.train), self.set.validation.as_ref(), Some(&self.set.test)].into_iter().flatten()
        {
            for (count, more) in counts.iter_mut().zip(split.counts(self.set.class_count())) {
                *count += more;
            }
        }
        self.set.classes.iter().map(String::as_str).zip(counts).collect()
    }

    fn examples(&self) -> usize {
        self.counts().iter().map(|(_, count)| count).sum()
    }

    fn columns(&self) -> &'a [Column] {
        match &self.set.normalizer {
            Normalizer::Table(preparation) => &preparation.columns,
            _ => &[],
        }
    }

    fn summary(&self) -> String {
        let what = match &self.set.shape {
            Shape::Image { height, width, channels } => {
                let colour = if *channels == 1 { "grey" } else { "red, green and blue" };
                format!("{height}x{width} pixels, {colour}")
            }
            Shape::Columns(names) => format!("{} features", names.len()),
        };
        let mut text = format!("{} examples of {what}\n\n", self.examples());
        let head = ["class", "examples"].map(str::to_owned).to_vec();
        let counts = self.counts();
        let rows =
            counts.iter().take(30).map(|(class, count)| vec![kiln_table::escaped(class), count.to_string()]);
        text += &table(&std::iter::once(head).chain(rows).collect::<Vec<_>>());
        if counts.len() > 30 {
            let _ = write!(text, "\nand {} more", counts.len() - 30);
        }
        if !self.columns().is_empty() {
            let _ = write!(text, "\n\n{}", columns(self.columns()));
        }
        let leaks = &self.data.columns.drop;
        if !leaks.is_empty() {
            let names = listed(leaks.iter().map(String::as_str), 8);
            let _ = write!(
                text,
                "\n\nnote: {names} tells the class of every row, and is left out: keep it only if it is known before the class is"
            );
        }
        for notice in &self.set.notices {
            let _ = write!(text, "\n\nnote: {notice}");
        }
        text
    }

    fn next(&self, output: &Path) -> [String; 3] {
        let file = match self.data.source {
            DataSource::Csv => "NEW.csv --output answers.csv",
            _ => "PICTURE.png",
        };
        [
            format!("kiln train {}", output.display()),
            format!("kiln report {}   # what came of it, as a page", self.name),
            format!("kiln predict {} {file}", self.name),
        ]
    }

    /// The experiment file.
    fn toml(&self) -> String {
        let Self { name, data, set } = self;
        let examples = self.examples();
        let (epochs, batch) = match examples {
            0..2_000 => (100, 32),
            2_000..20_000 => (60, 128),
            20_000..200_000 => (30, 256),
            _ => (10, 512),
        };
        let quoted = |path: &Path| toml_text(&path.to_string_lossy());
        let path = data.path.as_deref().map(quoted).unwrap_or_default();
        let mut text = format!(
            "# {examples} examples of {} classes. `kiln config explain KEY` explains every key, configs/reference.toml lists them.\n\
             name = {}\n\n[data]\nsource = {:?}\npath = {path}\n",
            set.class_count(),
            toml_text(name),
            data.source.name()
        );
        if let Some(path) = &data.test_path {
            let _ = writeln!(text, "test_path = {}", quoted(path));
        }
        if data.source == DataSource::Csv {
            let label = match &data.label_column {
                LabelColumn::Name(label) => toml_text(label),
                LabelColumn::Place(place) => place.to_string(),
            };
            let _ = writeln!(text, "label_column = {label}");
            if !data.names.is_empty() {
                let names: Vec<String> = data.names.iter().map(|name| toml_text(name)).collect();
                let _ = writeln!(text, "names = [{}]", names.join(", "));
            }
            text += "normalization = \"standard\"\n";
        }
        text += "validation = 0.15  # watched while training, and decides when to stop\n";
        if data.test_path.is_none() && data.source != DataSource::Idx {
            text += "test = 0.2         # looked at once, at the end\n";
        }
        if data.source == DataSource::ImageFolder {
            let _ = writeln!(text, "image_size = {:?}", data.image_size);
        }
        text += &self.columns_toml();
        text += &RECIPE.replace("{epochs}", &epochs.to_string()).replace("{batch}", &batch.to_string());
        text
    }

    /// What the columns were taken for, and where to say otherwise.
    fn columns_toml(&self) -> String {
        if self.columns().is_empty() {
            return String::new();
        }
        let mut text = "\n[data.columns]\n# What each column was taken for. Name it in one of these lists to change that:\n".to_owned();
        for line in columns(self.columns()).lines() {
            let _ = writeln!(text, "#   {line}");
        }
        let list = |names: &[String]| names.iter().map(|name| toml_text(name)).collect::<Vec<_>>().join(", ");
        let leaks = &self.data.columns.drop;
        let _ = write!(text, "drop = [{}]", list(leaks));
        text += if leaks.is_empty() {
            "  # left out\n"
        } else {
            "  # tells the class of every row: keep it only if it is known before the class is\n"
        };
        let names: Vec<String> = self
            .columns()
            .iter()
            .filter(|column| column.maybe_names)
            .map(|column| column.name.clone())
            .collect();
        let question = if names.is_empty() {
            "names of things"
        } else {
            "few whole numbers: names of things, or amounts?"
        };
        let _ = writeln!(text, "# category = [{}]  # {question}", list(&names));
        text += "# number = []\n# date = []\n";
        text
    }
}

/// `text` as TOML.
fn toml_text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
