//! The commented reference of all keys: `configs/reference.toml`.

use crate::explain::{Explanation, KeyExplanation, explain};
use crate::keys::{Keys, split};

/// Keys that are left out by default, each with a value that one might give.
const EXAMPLES: &[(&str, &str)] = &[
    ("data.path", "\"data/mnist\""),
    ("data.test_path", "\"data/test.csv\""),
    ("data.limit", "1000"),
    ("data.test_limit", "1000"),
    ("optimizer.weight_decay", "0.01"),
    ("training.max_norm", "1.0"),
    ("training.max_value", "0.5"),
    ("training.max_steps", "100"),
    ("training.max_time", "3600.0"),
    ("checkpoint.interval_steps", "500"),
    ("backend.threads", "4"),
];

const INTRODUCTION: &str = "\
# Every key of an experiment file, with its meaning and its default. As it stands, this file says what an
# empty one says. A line like `# limit = 1000` is an example of a key that is left out by default.
#
# A file may begin with `extends = \"base.toml\"`, relative to itself, and then starts from that file's values.
# Later layers win: defaults, bases, the file, the environment (KILN_OPTIMIZER__LR=0.1), `key=value` arguments.
";

/// Greatest width of a comment, in characters.
const WIDTH: usize = 105;

/// An experiment file with every key at its default, each explained. A key without a default stands as a
/// comment, with an example.
#[must_use]
pub fn reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    let mut open = "";
    for key in &Keys::get().keys {
        let (section, leaf) = split(key.path);
        if section != open {
            let meaning = Keys::get().section(section).map_or("", |section| &section.meaning);
            text.extend(["\n", &comment(meaning, ""), "[", section, "]\n"]);
            open = section;
        }
        if let Ok(Explanation::Key(explanation)) = explain(key.path) {
            text.extend(["\n", &about(&explanation), &line(&explanation, leaf)]);
        }
    }
    text
}

/// `lr = 0.001`, or `# limit = 1000`.
fn line(key: &KeyExplanation, leaf: &str) -> String {
    let example = || EXAMPLES.iter().find(|(path, _)| *path == key.key).map_or("", |(_, example)| example);
    match &key.default {
        Some(default) => format!("{leaf} = {default}\n"),
        None => format!("# {leaf} = {}\n", example()),
    }
}

fn about(key: &KeyExplanation) -> String {
    let mut text = comment(&key.meaning, "");
    let unit = key.unit.as_ref().map(|unit| format!("Unit: {unit}."));
    let allowed = key.allowed.as_ref().map(|allowed| format!("Allowed: {allowed}."));
    let effect = key.effect.as_ref().map(|effect| format!("Has an effect when {effect}."));
    let facts: Vec<String> = [allowed, unit, effect].into_iter().flatten().collect();
    if !facts.is_empty() {
        text += &comment(&facts.join(" "), "");
    }
    for choice in &key.choices {
        text += &comment(&format!("{:?}: {}", choice.name, choice.meaning), "  ");
    }
    text
}

/// The words as comment lines.
fn comment(words: &str, indent: &str) -> String {
    let mut lines = vec![format!("# {indent}")];
    for word in words.split_whitespace() {
        let line = lines.last().map_or(0, |line| line.chars().count());
        if line + 1 + word.chars().count() > WIDTH {
            lines.push(format!("#   {indent}"));
        }
        if let Some(line) = lines.last_mut() {
            let space = if line.ends_with(' ') { "" } else { " " };
            line.extend([space, word]);
        }
    }
    lines.into_iter().map(|line| line + "\n").collect()
}
