//! What a misspelt key, section or name was meant to be.

use crate::alternatives::alternatives;
use crate::keys::{Key, Keys, split};
use crate::kind::Choice;
use crate::other_names::{OTHER_CHOICES, OTHER_NAMES, OTHER_SECTIONS};

/// Similarity from which a suggestion helps more than it misleads, found by trial on the tests' typos.
const SIMILAR: f64 = 0.8;

/// The valid keys that `path` may have meant, best first, at most three.
pub(crate) fn keys(path: &str) -> Vec<&'static str> {
    let table: &'static Keys = Keys::get();
    let (section, leaf) = split(path);
    let leaf = plain(leaf.rsplit('.').next().unwrap_or(leaf));
    let section =
        table.section(section).map(|known| known.name).or_else(|| self::section(section)).unwrap_or("");
    if let Some(key) = table.of_section(section).find(|key| key.leaf() == leaf) {
        return vec![key.path];
    }
    let elsewhere: Vec<&str> =
        table.keys.iter().filter(|key| key.leaf() == leaf).map(|key| key.path).collect();
    if (1..=3).contains(&elsewhere.len()) {
        return elsewhere;
    }
    let beside = table.of_section(section).collect::<Vec<_>>();
    other_name(section, &leaf)
        .or_else(|| most_similar(&leaf, &beside))
        .or_else(|| most_similar(&leaf, &table.keys.iter().collect::<Vec<_>>()))
        .into_iter()
        .collect()
}

/// The valid section that `name` may have meant.
pub(crate) fn section(name: &str) -> Option<&'static str> {
    let name = plain(name);
    let known = OTHER_SECTIONS.iter().find(|(other, _)| *other == name).map(|(_, ours)| *ours);
    known.or_else(|| word(&name, Keys::get().sections.iter().map(|section| section.name)))
}

/// The name out of `choices` that `name` may have meant.
pub(crate) fn choice<'a>(name: &str, choices: &'a [Choice]) -> Option<&'a str> {
    let found = plain(name);
    let names = || choices.iter().map(|choice| choice.name.as_str());
    let same = |wanted: &str| names().find(|name| plain(name) == wanted);
    let known =
        OTHER_CHOICES.iter().find(|(other, _)| *other == found).and_then(|(_, ours)| same(&plain(ours)));
    same(&found).or(known).or_else(|| word(name, names()))
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
    format!("; did you mean {}?", alternatives(quoted))
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

fn other_name(section: &str, leaf: &str) -> Option<&'static str> {
    let ours = |path: &str| Keys::get().find(path).map(|key| key.path);
    match leaf {
        "type" | "kind" | "method" => {
            ours(&format!("{section}.name")).or_else(|| ours(&format!("{section}.source")))
        }
        _ => OTHER_NAMES.iter().find(|(other, _)| *other == leaf).map(|(_, path)| *path),
    }
}

fn most_similar(leaf: &str, keys: &[&'static Key]) -> Option<&'static str> {
    let best = word(leaf, keys.iter().map(|key| key.leaf()))?;
    keys.iter().find(|key| key.leaf() == best).map(|key| key.path)
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
            assert_eq!(keys(found), [meant], "{found}");
        }
        assert_eq!(keys("training.qwerty"), Vec::<&str>::new());
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
            assert_eq!(section(found), Some(meant), "{found}");
        }
        assert_eq!(section("zzz"), None);
    }

    #[test]
    fn names_are_found_by_case_by_other_names_and_by_spelling() {
        let crate::kind::Kind::Choice(choices) = &Keys::get().find("loss.name").unwrap().kind else {
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
