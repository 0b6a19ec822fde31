//! The commented reference of all keys: `configs/reference.toml`.

use crate::explain::{Explanation, KeyExplanation, explain};
use crate::keys::{Key, Keys, split};
use crate::literal::literal;

const INTRODUCTION: &str = "\
# Every key of an experiment file, with its meaning and its default. As it stands, this file says what an
# empty one says. A line like `# limit = 1000` is an example of a key that is left out by default.
#
# A file may begin with `extends = \"base.toml\"`, relative to itself, and then starts from that file's values.
# `extends = \"tabular\"` is built in: a network for tables, which `kiln config show` prints.
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
    for key in &Keys::experiment().keys {
        let (section, leaf) = split(&key.path);
        if section != open {
            let meaning = Keys::experiment().section(section).map_or("", |section| &section.meaning);
            text.extend(["\n", &comment(meaning, ""), "[", section, "]\n"]);
            open = section;
        }
        if let Ok(Explanation::Key(explanation)) = explain(&key.path) {
            text.extend(["\n", &about(&explanation), &line(key, leaf)]);
        }
    }
    text
}

/// `lr = 0.001`, or `# limit = 1000`.
fn line(key: &Key, leaf: &str) -> String {
    match &key.field.default {
        Some(default) => format!("{leaf} = {}\n", literal(default)),
        None => format!("# {leaf} = {}\n", key.field.facts.example.as_deref().unwrap_or_default()),
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
