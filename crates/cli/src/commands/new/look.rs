//! Looking at data as an experiment would.

use std::fmt::Write as _;
use std::path::Path;

use kiln_config::{Data, DataSource, Origin, Request, Resolved, Source, resolve};
use kiln_data::{DataError, DataSet, Folders, NoProgress, Progress, load, read_options};
use kiln_table::{ReadOptions, Records, listed};

use crate::arguments::New;
use crate::failure::Failure;
use crate::view::DownloadBar;

/// The base of what is written for a table.
pub(super) const PRESET: &str = "extends = \"tabular\"\n";

/// What there is to be written down.
pub(super) struct Seen {
    /// The experiment that the data was looked at with.
    pub(super) resolved: Resolved,
    pub(super) set: DataSet,
    /// Columns that give the class away, and that are left out for that.
    pub(super) leaks: Vec<String>,
}

impl Seen {
    fn of(resolved: Resolved, leaks: Vec<String>, progress: &dyn Progress) -> Result<Self, DataError> {
        let experiment = &resolved.experiment;
        let set = load(&experiment.data, experiment.seed, &Folders::from_environment(), progress)?;
        Ok(Self { resolved, set, leaks })
    }

    pub(super) fn data(&self) -> &Data {
        &self.resolved.experiment.data
    }
}

/// The data at the path, read as an experiment with the user's overrides would.
pub(super) fn look(arguments: &New) -> Result<Seen, Failure> {
    let bar = DownloadBar::default();
    if !arguments.path.is_dir() {
        return table(arguments, &bar);
    }
    let pictures = Seen::of(resolved(arguments, DataSource::ImageFolder, &[])?, Vec::new(), &bar);
    if pictures.is_err()
        && let Ok(idx) = resolved(arguments, DataSource::Idx, &[])
        && let Ok(seen) = Seen::of(idx, Vec::new(), &NoProgress)
    {
        return Ok(seen);
    }
    Ok(pictures?)
}

fn table(arguments: &New, progress: &dyn Progress) -> Result<Seen, Failure> {
    let first = resolved(arguments, DataSource::Csv, &[])?;
    let is_given = |resolved: &Resolved, key: &str| resolved.origins[key].is_given();
    if first.experiment.data.source == DataSource::Csv && !is_given(&first, "data.label_column") {
        return Err(which_label(&first.experiment.data)?);
    }
    let seen = Seen::of(first, Vec::new(), progress)?;
    // Whoever says what is left out has decided; so has who says what such a column is.
    let columns = &seen.data().columns;
    let is_named = |name: &String| {
        [&columns.number, &columns.category, &columns.date].iter().any(|names| names.contains(name))
    };
    let leaks: Vec<String> = seen.set.leaks.iter().filter(|name| !is_named(name)).cloned().collect();
    if leaks.is_empty() || is_given(&seen.resolved, "data.columns.drop") {
        return Ok(seen);
    }
    // What gives the class away is left out of what is written, and of what is said.
    let drop = format!("data.columns.drop={}", toml_list(&leaks));
    Ok(Seen::of(resolved(arguments, DataSource::Csv, &[drop])?, leaks, progress)?)
}

/// The experiment for data of the kind `source`: a beginning on most data, the options of the command line and its
/// overrides, and `more` overrides.
fn resolved(arguments: &New, source: DataSource, more: &[String]) -> Result<Resolved, Failure> {
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
        source: Source::Text { name: "what `kiln new` writes".to_owned(), text },
        environment: Vec::new(),
        overrides: arguments.overrides.iter().chain(more).cloned().collect(),
    })?;
    let is_other = |(key, origin): &(&String, &Origin)| {
        matches!(origin, Origin::CommandLine { .. }) && !key.starts_with("data.")
    };
    match resolved.origins.iter().find(is_other) {
        Some((key, _)) => Err(Failure::usage(format!(
            "{key} says nothing of the data: `kiln new` takes data.* alone; change {key} in the file that it writes, or give \
             it to `kiln train`"
        ))),
        None => Ok(resolved),
    }
}

/// A question for the label, with the columns that there are.
fn which_label(data: &Data) -> Result<Failure, DataError> {
    let options = ReadOptions { label: None, ..read_options(data)? };
    let path = data.path.as_deref().unwrap_or(Path::new(""));
    let records = Records::open(path, &options)?;
    let layout = records.layout();
    let columns = listed(layout.names.iter().map(String::as_str), 40);
    let how = if layout.has_names() {
        "name it with --label COLUMN"
    } else {
        "the file has no header: --label -1 is the last, --label 1 the first"
    };
    Ok(Failure::usage(format!("which column holds the class? {how}. There are {columns}")))
}

/// `text` as TOML.
pub(super) fn toml_text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// `texts` as a list in TOML.
pub(super) fn toml_list(texts: &[String]) -> String {
    toml::Value::from(texts.to_vec()).to_string()
}
