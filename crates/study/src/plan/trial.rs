//! The trials of a study: those that are listed, or every point of a grid.

use kiln_config::{Experiment, Located, Problem, shown};
use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::file::StudyFile;

/// A spanned value, as the TOML parser gives it.
type Found<'a> = Spanned<DeValue<'a>>;

/// One configuration of a study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Its name, which is also that of its runs.
    pub name: String,
    /// What it sets, over the base: dotted keys and values as TOML.
    pub settings: Vec<(String, String)>,
    /// The whole experiment, one for each of the study's seeds.
    pub experiments: Vec<Experiment>,
}

/// A trial as the file has it: a name, and a table of settings.
pub(crate) struct Draft<'a> {
    pub(crate) name: String,
    pub(crate) overrides: DeTable<'a>,
}

/// Every trial that the file lists or spans; `table` is the file's own.
pub(super) fn drafts<'a>(
    file: &Located<StudyFile>,
    table: &DeTable<'a>,
    problems: &mut Vec<Problem>,
) -> Vec<Draft<'a>> {
    let StudyFile { trial: trials, axes, .. } = &file.value;
    match (trials.is_empty(), axes.is_empty()) {
        (false, false) => {
            let message = "[[trial]] and [axes] exclude each other: list the trials or span a grid";
            problems.push(file.problem("axes", message.to_owned()));
            Vec::new()
        }
        (true, true) => {
            let message = "no trial: a study has [[trial]] tables, or [axes] that span a grid";
            problems.push(file.problem("", message.to_owned()));
            Vec::new()
        }
        (false, true) => listed(file, table, problems),
        (true, false) => part(table, "axes").map_or_else(Vec::new, |axes| grid(file, axes, problems)),
    }
}

/// The table under a name.
pub(super) fn part<'t, 'a>(table: &'t DeTable<'a>, name: &str) -> Option<&'t DeTable<'a>> {
    find(table, name)?.as_table()
}

fn find<'t, 'a>(table: &'t DeTable<'a>, name: &str) -> Option<&'t DeValue<'a>> {
    table.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value.get_ref())
}

fn listed<'a>(file: &Located<StudyFile>, table: &DeTable<'a>, problems: &mut Vec<Problem>) -> Vec<Draft<'a>> {
    let tables = find(table, "trial").and_then(DeValue::as_array).into_iter().flatten();
    let mut drafts: Vec<Draft<'a>> = Vec::new();
    for (index, (trial, found)) in file.value.trial.iter().zip(tables).enumerate() {
        if drafts.iter().any(|draft| draft.name == trial.name) {
            let message = format!("there are two trials with the name {:?}", trial.name);
            problems.push(file.problem(&format!("trial[{index}].name"), message));
        }
        let overrides = found.get_ref().as_table().and_then(|trial| part(trial, "overrides")).cloned();
        drafts.push(Draft { name: trial.name.clone(), overrides: overrides.unwrap_or_default() });
    }
    drafts
}

/// An axis of the grid: a dotted key as section and leaf, and its values.
struct Axis<'a> {
    section: Option<Spanned<DeString<'a>>>,
    leaf: Spanned<DeString<'a>>,
    values: Vec<Found<'a>>,
}

fn grid<'a>(file: &Located<StudyFile>, axes: &DeTable<'a>, problems: &mut Vec<Problem>) -> Vec<Draft<'a>> {
    let mut found: Vec<Axis<'a>> = Vec::new();
    for (name, value) in axes {
        let at = format!("axes.{}", name.get_ref());
        let mut add = |section, leaf: &Spanned<DeString<'a>>, value: &Found<'a>| match value
            .get_ref()
            .as_array()
        {
            Some(values) if !values.is_empty() => {
                found.push(Axis { section, leaf: leaf.clone(), values: values.iter().cloned().collect() });
            }
            _ => {
                let message = format!("`{at}` must be lists with at least one value each");
                problems.push(file.problem(&at, message));
            }
        };
        match value.get_ref() {
            DeValue::Table(section) => {
                section.iter().for_each(|(leaf, value)| add(Some(name.clone()), leaf, value));
            }
            _ => add(None, name, value),
        }
    }
    let mut points = vec![Draft { name: String::new(), overrides: DeTable::new() }];
    for axis in &found {
        points = points
            .iter()
            .flat_map(|point| axis.values.iter().map(|value| axis.extend(point, value)))
            .collect();
    }
    points
}

impl<'a> Axis<'a> {
    /// `point` with one more setting.
    fn extend(&self, point: &Draft<'a>, value: &Found<'a>) -> Draft<'a> {
        let mut overrides = point.overrides.clone();
        match &self.section {
            None => drop(overrides.insert(self.leaf.clone(), value.clone())),
            Some(section) => {
                let empty = Spanned::new(section.span(), DeValue::Table(DeTable::new()));
                let inner = overrides.entry(section.clone()).or_insert(empty);
                if let DeValue::Table(table) = inner.get_mut() {
                    table.insert(self.leaf.clone(), value.clone());
                }
            }
        }
        let joint = if point.name.is_empty() { "" } else { "_" };
        let name = format!("{}{joint}{}-{}", point.name, self.leaf.get_ref(), plain(value.get_ref()));
        Draft { name, overrides }
    }
}

/// A value as part of a name: `64`, `0.001`, `512-128`.
fn plain(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Array(values) => {
            values.iter().map(|value| plain(value.get_ref())).collect::<Vec<_>>().join("-")
        }
        DeValue::String(text) => text.to_string(),
        value => shown(value),
    }
    .chars()
    .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
    .collect()
}

/// Dotted keys with their values as TOML.
pub(crate) fn settings(overrides: &DeTable<'_>) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    for (name, value) in overrides {
        match value.get_ref() {
            DeValue::Table(section) => settings.extend(section.iter().map(|(leaf, value)| {
                (format!("{}.{}", name.get_ref(), leaf.get_ref()), written(value.get_ref()))
            })),
            value => settings.push((name.get_ref().to_string(), written(value))),
        }
    }
    settings
}

pub(super) fn written(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Array(values) => {
            let parts: Vec<String> = values.iter().map(|value| written(value.get_ref())).collect();
            format!("[{}]", parts.join(", "))
        }
        // Messages shorten a text; a setting must not.
        DeValue::String(text) => toml::Value::String(text.to_string()).to_string(),
        value => shown(value),
    }
}
