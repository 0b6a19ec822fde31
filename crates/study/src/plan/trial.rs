//! The trials of a study: those that are listed, or every point of a grid.

use kiln_config::{Experiment, shown};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::sheet::{Found, Part, Sheet};

/// One configuration of a study.
#[derive(Clone, Debug, PartialEq)]
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

/// The longest name of a trial: it is shown in tables and names folders.
const LONGEST_NAME: usize = 60;

/// Every trial that the file lists or spans.
pub(crate) fn drafts<'a>(sheet: &mut Sheet<'_>, file: Part<'_, 'a>) -> Vec<Draft<'a>> {
    match (file.find("trial"), file.find("axes")) {
        (Some(_), Some(axes)) => {
            let message =
                "[[trial]] and [axes] exclude each other: list the trials or span a grid".to_owned();
            sheet.contradiction(&axes.span(), message);
            Vec::new()
        }
        (None, None) => {
            let message = "no trial: a study has [[trial]] tables, or [axes] that span a grid".to_owned();
            sheet.contradiction(&(0..0), message);
            Vec::new()
        }
        (Some(_), None) => listed(sheet, file),
        (None, Some(_)) => sheet.table(file, "axes").map_or_else(Vec::new, |axes| grid(sheet, axes)),
    }
}

fn listed<'a>(sheet: &mut Sheet<'_>, file: Part<'_, 'a>) -> Vec<Draft<'a>> {
    let mut drafts: Vec<Draft<'a>> = Vec::new();
    for (found, table) in sheet.tables(file, "trial") {
        let part = Part { name: "trial", table };
        sheet.known_keys(part, &["name", "overrides"]);
        let Some(name) = name(sheet, part, found) else { continue };
        if drafts.iter().any(|draft| draft.name == name) {
            sheet.contradiction(&found.span(), format!("there are two trials with the name {name:?}"));
        }
        let overrides = sheet.table(part, "overrides").cloned().unwrap_or_default();
        drafts.push(Draft { name, overrides });
    }
    drafts
}

fn name(sheet: &mut Sheet<'_>, part: Part<'_, '_>, trial: &Found<'_>) -> Option<String> {
    let Some(found) = part.find("name") else {
        sheet.contradiction(&trial.span(), "a trial without a `name`".to_owned());
        return None;
    };
    let name = sheet.text(part, "name")?;
    if is_name(&name) {
        return Some(name);
    }
    let allowed = "1 to 60 letters, digits, `.`, `_` and `-`, not beginning with `.`";
    sheet.out_of_range("trial.name", allowed, found)
}

/// Whether a text can be a folder's name on every system.
pub(crate) fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (1..=LONGEST_NAME).contains(&text.len()) && !text.starts_with('.') && text.chars().all(plain)
}

/// An axis of the grid: a dotted key as section and leaf, and its values.
struct Axis<'a> {
    section: Option<toml::Spanned<toml::de::DeString<'a>>>,
    leaf: toml::Spanned<toml::de::DeString<'a>>,
    values: Vec<Found<'a>>,
}

fn grid<'a>(sheet: &mut Sheet<'_>, axes: &DeTable<'a>) -> Vec<Draft<'a>> {
    let mut found: Vec<Axis<'a>> = Vec::new();
    for (name, value) in axes {
        if let DeValue::Table(section) = value.get_ref() {
            let part = Part { name: &format!("axes.{}", name.get_ref()), table: section };
            for (leaf, _) in section {
                found.extend(axis(sheet, part, Some(name.clone()), leaf.clone()));
            }
        } else {
            found.extend(axis(sheet, Part { name: "axes", table: axes }, None, name.clone()));
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

fn axis<'a>(
    sheet: &mut Sheet<'_>,
    part: Part<'_, 'a>,
    section: Option<Spanned<toml::de::DeString<'a>>>,
    leaf: Spanned<toml::de::DeString<'a>>,
) -> Option<Axis<'a>> {
    let values = sheet.list(part, leaf.get_ref())?.into_iter().cloned().collect();
    Some(Axis { section, leaf, values })
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

fn written(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Array(values) => {
            let parts: Vec<String> = values.iter().map(|value| written(value.get_ref())).collect();
            format!("[{}]", parts.join(", "))
        }
        value => shown(value),
    }
}
