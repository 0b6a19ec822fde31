//! What a misspelt key, section or name was meant to be.

use crate::keys::{Key, Keys, split};
use crate::kind::Choice;
use crate::words::listed;

/// Similarity from which a suggestion helps more than it misleads, found by trial on the tests' typos.
const SIMILAR: f64 = 0.8;

/// The valid keys that `path` may have meant, best first, at most three.
pub(crate) fn keys<'k>(table: &'k Keys, path: &str) -> Vec<&'k str> {
    let (section, leaf) = split(path);
    let leaf = plain(leaf.rsplit('.').next().unwrap_or(leaf));
    let section = table
        .section(section)
        .map(|known| known.name.as_str())
        .or_else(|| self::section(table, section))
        .unwrap_or("");
    if let Some(key) = table.of_section(section).find(|key| key.leaf() == leaf) {
        return vec![&key.path];
    }
    let elsewhere: Vec<&str> =
        table.keys.iter().filter(|key| key.leaf() == leaf).map(|key| key.path.as_str()).collect();
    if (1..=3).contains(&elsewhere.len()) {
        return elsewhere;
    }
    let beside = table.of_section(section).collect::<Vec<_>>();
    other_name(table, section, &leaf)
        .or_else(|| most_similar(&leaf, &beside))
        .or_else(|| most_similar(&leaf, &table.keys.iter().collect::<Vec<_>>()))
        .into_iter()
        .collect()
}

/// The valid section that `name` may have meant.
pub(crate) fn section<'k>(table: &'k Keys, name: &str) -> Option<&'k str> {
    let name = plain(name);
    let known = table.sections.iter().find(|section| section.facts.other_names.contains(&name));
    let names = table.sections.iter().map(|section| section.name.as_str());
    known.map(|section| section.name.as_str()).or_else(|| word(&name, names))
}

/// The name out of `choices` that `name` may have meant.
pub(crate) fn choice<'a>(name: &str, choices: &'a [Choice]) -> Option<&'a str> {
    let found = plain(name);
    let is_meant = |choice: &&Choice| plain(&choice.name) == found || choice.other_names.contains(&found);
    let known = choices.iter().find(is_meant).map(|choice| choice.name.as_str());
    known.or_else(|| word(name, choices.iter().map(|choice| choice.name.as_str())))
}

/// The one of `words` that is most like `found`, if any is like it at all.
#[must_use]
pub fn word<'a>(found: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    words
        .map(|word| (similarity(found, word), word))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, word)| word)
}

/// `; did you mean ...?`, or nothing.
pub(crate) fn question(suggestions: &[impl AsRef<str>]) -> String {
    if suggestions.is_empty() {
        return String::new();
    }
    let quoted = suggestions.iter().map(|word| format!("`{}`", word.as_ref()));
    format!("; did you mean {}?", listed(quoted, "or"))
}

/// Lower case with underscores: `batchSize`, `Batch-Size` and `batch_size` are one word.
fn plain(name: &str) -> String {
    let mut plain = String::new();
    let mut after_small = false;
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && after_small {
            plain.push('_');
        }
        after_small = letter.is_ascii_lowercase();
        plain.push(if "- ".contains(letter) { '_' } else { letter.to_ascii_lowercase() });
    }
    plain
}

fn other_name<'k>(table: &'k Keys, section: &str, leaf: &str) -> Option<&'k str> {
    let ours = |path: &str| table.find(path).map(|key| key.path.as_str());
    let is_called = |key: &&Key| key.field.facts.other_names.iter().any(|other| other == leaf);
    match leaf {
        "type" | "kind" | "method" => {
            ours(&format!("{section}.name")).or_else(|| ours(&format!("{section}.source")))
        }
        _ => table.keys.iter().find(is_called).map(|key| key.path.as_str()),
    }
}

fn most_similar<'k>(leaf: &str, keys: &[&'k Key]) -> Option<&'k str> {
    let best = word(leaf, keys.iter().map(|key| key.leaf()))?;
    keys.iter().find(|key| key.leaf() == best).map(|key| key.path.as_str())
}

fn similarity(left: &str, right: &str) -> f64 {
    // Long input is no typo, and both measures take time in the product of the lengths.
    if left.len() > 100 {
        return 0.0;
    }
    strsim::jaro_winkler(left, right).max(strsim::normalized_damerau_levenshtein(left, right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_and_words_of_other_programs_find_their_key() {
        for (found, meant) in [
            ("optimizer.momentun", "optimizer.momentum"),
            ("optimizer.weigth_decay", "optimizer.weight_decay"),
            ("optimizer.type", "optimizer.name"),
            ("data.type", "data.source"),
            ("training.epoch", "training.epochs"),
            ("training.nepochs", "training.epochs"),
            ("training.max-norm", "training.max_norm"),
            ("model.hiden", "model.hidden"),
            ("model.Activation", "model.activation"),
            ("loss.labelSmoothing", "loss.label_smoothing"),
            ("early_stopping.enable", "early_stopping.enabled"),
            ("checkpoint.keep_last_k", "checkpoint.keep_latest_k"),
            ("model.seed", "seed"),
            ("data.num_threads", "backend.threads"),
            ("epochs", "training.epochs"),
            ("optmizer.lr", "optimizer.lr"),
            ("optmizer.momentun", "optimizer.momentum"),
        ] {
            assert_eq!(keys(Keys::experiment(), found), [meant], "{found}");
        }
        assert_eq!(keys(Keys::experiment(), "training.qwerty"), Vec::<&str>::new());
    }

    #[test]
    fn sections_are_found_by_spelling_and_by_other_names() {
        for (found, meant) in [
            ("optimiser", "optimizer"),
            ("optim", "optimizer"),
            ("train", "training"),
            ("lr-scheduler", "lr_scheduler"),
            ("EarlyStopping", "early_stopping"),
            ("dataset", "data"),
            ("eval", "evaluation"),
        ] {
            assert_eq!(section(Keys::experiment(), found), Some(meant), "{found}");
        }
        assert_eq!(section(Keys::experiment(), "zzz"), None);
    }

    #[test]
    fn names_are_found_by_case_by_other_names_and_by_spelling() {
        let crate::kind::Kind::Choice(choices) = &Keys::experiment().find("loss.name").unwrap().field.kind
        else {
            panic!()
        };
        for (found, meant) in [
            ("CrossEntropy", "cross-entropy"),
            ("CE", "cross-entropy"),
            ("NLL", "nll"),
            ("cross-entrpy", "cross-entropy"),
        ] {
            assert_eq!(choice(found, choices), Some(meant), "{found}");
        }
        assert_eq!(choice("hinge", choices), None);
    }
}
