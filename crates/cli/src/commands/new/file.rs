//! The text of the experiment file.

use std::fmt::Write as _;

use kiln_config::DataSource;

use super::columns;
use super::look::{PRESET, Seen, toml_list, toml_text};
use super::summary::examples;
use crate::commands::data;

/// The network and its training for pictures, which are a beginning on most.
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

/// Where the network for tables comes from.
const PRESET_REMARK: &str = "# A network for tables, which is built in: `kiln config show FILE` prints its keys, and each can be set below.\n";

/// The experiment file for what was seen, under `name`.
pub(super) fn text(name: &str, seen: &Seen) -> String {
    let examples = examples(&seen.set);
    let is_table = seen.data().source == DataSource::Csv;
    let mut text = format!(
        "# {examples} examples of {} classes. `kiln config explain KEY` explains every key, configs/reference.toml lists them.\n\
         name = {}\n",
        seen.set.class_count(),
        toml_text(name),
    );
    if is_table {
        text += PRESET_REMARK;
        text += PRESET;
    }
    text += "\n[data]\n";
    let mut of_columns = Vec::new();
    for (key, value) in seen.resolved.given() {
        match key.strip_prefix("data.columns.") {
            Some(leaf) => of_columns.push((leaf.to_owned(), value)),
            // Nothing is held out where there is a file for it.
            None if key == "data.validation" && seen.data().validation_path.is_some() => {}
            None => text += &line(key.trim_start_matches("data."), &value),
        }
    }
    text += &columns_section(seen, &of_columns);
    if !is_table {
        text += &recipe(examples);
    }
    text
}

/// The network and its training for so many pictures.
fn recipe(examples: usize) -> String {
    let (epochs, batch) = match examples {
        0..2_000 => (100, 32),
        2_000..20_000 => (60, 128),
        20_000..200_000 => (30, 256),
        _ => (10, 512),
    };
    RECIPE.replace("{epochs}", &epochs.to_string()).replace("{batch}", &batch.to_string())
}

/// A key with its value and, where it helps, what it is for.
fn line(key: &str, value: &str) -> String {
    let remark = match key {
        "validation" => "watched while training, and decides when to stop",
        "test" => "looked at once, at the end",
        _ => return format!("{key} = {value}\n"),
    };
    format!("{:<17}  # {remark}\n", format!("{key} = {value}"))
}

/// What the columns were taken for, and where to say otherwise; `given` is what the user has said.
fn columns_section(seen: &Seen, given: &[(String, String)]) -> String {
    let found = columns(&seen.set);
    if found.is_empty() {
        return String::new();
    }
    let mut text =
        "\n[data.columns]\n# What each column was taken for. Name it in one of these lists to change that:\n"
            .to_owned();
    for line in data::columns(found).lines() {
        let _ = writeln!(text, "#   {line}");
    }
    let maybe_names: Vec<String> =
        found.iter().filter(|column| column.maybe_names).map(|column| column.name.clone()).collect();
    for key in ["drop", "category", "number", "date"] {
        let remark = match key {
            "drop" if seen.leaks.is_empty() => "  # left out",
            "drop" => "  # tells the class of every row: keep it only if it is known before the class is",
            "category" if maybe_names.is_empty() => "  # names of things",
            "category" => "  # few whole numbers: names of things, or amounts?",
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
