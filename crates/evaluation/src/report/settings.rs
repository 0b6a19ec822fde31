//! The settings that have an effect, each with where it came from.

use std::collections::BTreeMap;
use std::fs;

use kiln_artifacts::Run;
use kiln_config::{Experiment, Explanation, Origin, Request, Source, explain, resolve};
use maud::{Markup, html};

use super::Story;
use super::page::Section;
use crate::scrolled;

/// A longer value, such as weights by hand, is in `config.toml`.
const LONGEST: usize = 200;

/// A setting that has an effect.
struct Setting {
    key: String,
    /// Its value as TOML.
    value: String,
    /// Where it came from; none of a built-in default.
    origin: Option<String>,
}

pub(super) fn section(story: &Story<'_>) -> Section {
    let settings = settings(story.run, story.experiment);
    let (given, defaults): (Vec<&Setting>, Vec<&Setting>) =
        settings.iter().partition(|setting| setting.origin.is_some());
    let content = html! {
        @if given.is_empty() { p { "Every setting has its default." } }
        @else { (scrolled("Settings that were given", &table(&given))) }
        details {
            summary { (defaults.len()) " settings at their defaults" }
            (scrolled("Settings at their defaults", &table(&defaults)))
        }
        p.note { "Settings without effect beside these are left out; config.toml has them all." }
    };
    Section { anchor: "experiment", heading: "Settings", content }
}

fn table(settings: &[&Setting]) -> Markup {
    let has_origins = settings.iter().any(|setting| setting.origin.is_some());
    html! {
        table.words {
            thead {
                tr { th scope="col" { "setting" } th scope="col" { "value" } @if has_origins { th scope="col" { "from" } } }
            }
            tbody {
                @for Setting { key, value, origin } in settings {
                    tr {
                        th scope="row" { code { (key) } }
                        td { code { (shortened(value)) } }
                        @if let Some(origin) = origin { td { (origin) } }
                    }
                }
            }
        }
    }
}

fn shortened(value: &str) -> String {
    let short = kiln_files::shortened(value, LONGEST);
    if short == value { short } else { short + " (whole in config.toml)" }
}

fn settings(run: &Run, experiment: &Experiment) -> Vec<Setting> {
    let text = experiment.to_toml();
    let values = assignments(&text);
    let without_effect = experiment.without_effect();
    let origins = origins(run);
    let settings = values.iter().filter_map(|(key, value)| {
        let Ok(Explanation::Key(about)) = explain(key) else { return None };
        if without_effect.contains(&key.as_str()) {
            return None;
        }
        let origin = match origins.get(key) {
            Some(origin) if origin.is_given() => Some(words(origin)),
            _ if about.default.as_deref() == Some(*value) => None,
            // It is not in the files of the run, and not the default either.
            _ => Some("a base, the environment, a study or a resume".to_owned()),
        };
        Some(Setting { key: key.clone(), value: (*value).to_owned(), origin })
    });
    settings.collect()
}

/// The keys of an experiment file as Kiln writes it, one to a line, with their values. A key that is commented out has no
/// effect.
fn assignments(text: &str) -> Vec<(String, &str)> {
    let mut section = "";
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
        } else if let Some((key, value)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            found.push((if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }, value));
        }
    }
    found
}

/// Where the settings came from, as far as the run's copies of its file and its arguments tell: nothing where the file needs
/// a base that lies elsewhere.
fn origins(run: &Run) -> BTreeMap<String, Origin> {
    let overrides = fs::read_to_string(run.overrides_txt()).unwrap_or_default();
    let request = Request {
        source: Source::File(run.input_config_toml()),
        environment: Vec::new(),
        overrides: overrides.lines().map(str::to_owned).collect(),
    };
    resolve(&request).map(|resolved| resolved.origins).unwrap_or_default()
}

/// The place without the run's folder, so that a report does not change with where it is made.
fn words(origin: &Origin) -> String {
    match origin {
        Origin::File { name, .. } if name.starts_with("preset ") => name.clone(),
        Origin::File { line, .. } => format!("file, line {line}"),
        Origin::CommandLine { .. } => "command line".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use kiln_artifacts::RunInputs;

    use super::*;

    #[test]
    fn settings_with_an_effect_have_their_origins() {
        let folder = tempfile::tempdir().unwrap();
        let overrides = ["optimizer.lr=0.5".to_owned()];
        let input = "[optimizer]\nname = \"sgd\"\n";
        let run = Run::create(
            folder.path(),
            "a",
            &RunInputs { resolved_toml: "", input_toml: input, overrides: &overrides, start: None },
        )
        .unwrap();
        let mut experiment = Experiment::from_toml_str("a", input).unwrap();
        experiment.optimizer.lr = 0.5;
        experiment.training.epochs = 3;
        let settings = settings(&run, &experiment);
        let origin = |key: &str| {
            let setting = settings.iter().find(|setting| setting.key == key);
            setting.map(|setting| (setting.value.as_str(), setting.origin.as_deref()))
        };
        assert_eq!(origin("optimizer.name"), Some(("\"sgd\"", Some("file, line 2"))));
        assert_eq!(origin("optimizer.lr"), Some(("0.5", Some("command line"))));
        assert_eq!(origin("optimizer.momentum"), Some(("0.0", None)));
        assert_eq!(origin("optimizer.betas"), None, "for adam");
        assert_eq!(origin("early_stopping.patience"), None, "switched off");
        let epochs = origin("training.epochs").unwrap();
        assert_eq!(epochs, ("3", Some("a base, the environment, a study or a resume")));
    }

    #[test]
    fn a_long_value_is_shortened() {
        assert_eq!(shortened("[1, 2]"), "[1, 2]");
        assert!(shortened(&"9".repeat(300)).ends_with("… (whole in config.toml)"));
    }
}
