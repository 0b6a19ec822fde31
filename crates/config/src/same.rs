//! When two experiments are the same: the one answer for resuming a run and for finding a study's trial again.

use std::fmt;

use toml::{Table, Value};

use crate::Experiment;
use crate::facts::Decides;
use crate::keys::{Key, Keys, insert, value_at};
use crate::literal::literal;
use crate::render::rendered;

/// A key that makes another experiment of one.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The key, with its section.
    pub key: String,
    /// Its value before, as TOML; none where it was left out.
    pub before: Option<String>,
    /// Its value now.
    pub now: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |value: &Option<String>| value.clone().unwrap_or_else(|| "left out".to_owned());
        write!(f, "{} = {} (was {})", self.key, words(&self.now), words(&self.before))
    }
}

impl Experiment {
    /// The keys that make a training with these settings another one than with those `before`. Where the data lies is
    /// not among them, only what it holds: compare its hash besides.
    #[must_use]
    pub fn differences(&self, before: &Self) -> Vec<Difference> {
        let (before, now) = (before.values(), self.values());
        let deciding =
            Keys::experiment().keys.iter().filter(|key| key.field.facts.decides == Decides::Result);
        deciding
            .map(|key| (key, value(&before, key), value(&now, key)))
            .filter(|(_, before, now)| before != now)
            .map(|(key, before, now)| Difference {
                key: key.path.clone(),
                before: before.map(literal),
                now: now.map(literal),
            })
            .collect()
    }

    /// [`to_toml`](Self::to_toml) with all that decides nothing at its default: the same text for experiments that
    /// give the same result. The data is named by its path.
    #[must_use]
    pub fn identity(&self) -> String {
        let mut values = self.values();
        for key in &Keys::experiment().keys {
            if key.field.facts.decides == Decides::Nothing {
                match &key.field.default {
                    Some(default) => insert(&mut values, &key.path, default.clone()),
                    None => remove(&mut values, &key.path),
                }
            }
        }
        rendered(&values, |key, value| format!("{}\n", self.assignment(key, value)))
    }
}

fn value<'v>(values: &'v Table, key: &'v Key) -> Option<&'v Value> {
    value_at(values, &key.path).or(key.field.default.as_ref())
}

fn remove(values: &mut Table, path: &str) {
    match path.split_once('.') {
        None => drop(values.remove(path)),
        Some((section, rest)) => {
            if let Some(Value::Table(table)) = values.get_mut(section) {
                remove(table, rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decides_nothing_makes_no_difference_and_all_else_does() {
        let before = Experiment::default();
        let mut now = Experiment { name: "other".into(), tags: vec!["a".into()], ..before.clone() };
        now.training.max_time = Some(1.0);
        now.checkpoint.keep_latest_k = 7;
        now.evaluation.batch_size = 7;
        assert_eq!((now.differences(&before), now.identity()), (Vec::new(), before.identity()));
        now.model.hidden = vec![3];
        now.optimizer.weight_decay = Some(0.5);
        let differences: Vec<String> = now.differences(&before).iter().map(ToString::to_string).collect();
        assert_eq!(
            differences,
            ["model.hidden = [3] (was [512, 128])", "optimizer.weight_decay = 0.5 (was left out)"]
        );
        assert_ne!(now.identity(), before.identity());
    }

    #[test]
    fn another_place_of_the_data_is_no_difference_but_another_name_for_it() {
        let before = Experiment::default();
        let mut now = before.clone();
        now.data.path = Some("elsewhere".into());
        assert_eq!(now.differences(&before), Vec::new());
        assert_ne!(now.identity(), before.identity());
    }
}
