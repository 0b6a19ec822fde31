//! Keys that mean something only beside a certain value of another.

use std::collections::BTreeMap;

use toml::Value;

use crate::facts::{Condition, Is};
use crate::keys::{Key, Keys, value_at};
use crate::literal::literal;
use crate::setting::{Findings, Setting};
use crate::{Experiment, Fault, Problem};

/// Notes every given value that can have no effect. What a lower layer gave, and what a higher one took
/// the effect from, is no mistake (a base says `momentum`, the file turns to adam): such values are taken
/// out of the settings and returned.
pub(crate) fn settle(findings: &mut Findings) -> BTreeMap<String, Setting> {
    let mut unused = BTreeMap::new();
    // A key that decides over others stands before it is itself decided over.
    for (key, condition) in Keys::experiment().keys.iter().flat_map(conditions) {
        let is_doubtful = [&key.path, &condition.key].iter().any(|key| findings.doubtful.contains(*key));
        if is_doubtful || is_fine(key, condition, findings) {
            continue;
        }
        if findings.rank(&condition.key) > findings.rank(&key.path) {
            unused.extend(findings.settings.remove_entry(&key.path));
        } else {
            report(key, condition, findings);
        }
    }
    unused
}

impl Experiment {
    /// The keys whose values have no effect beside those of others.
    #[must_use]
    pub fn without_effect(&self) -> Vec<&'static str> {
        let values = self.values();
        let unmet = Keys::experiment().keys.iter().flat_map(conditions).filter(|(_, condition)| {
            let governor =
                Keys::experiment().find(&condition.key).and_then(|key| value_at(&values, &key.path));
            !is_met(&condition.is, governor)
        });
        let mut keys: Vec<&str> = unmet.map(|(key, _)| key.path.as_str()).collect();
        keys.dedup();
        keys
    }
}

fn conditions(key: &'static Key) -> impl Iterator<Item = (&'static Key, &'static Condition)> {
    key.field.facts.when.iter().map(move |condition| (key, condition))
}

/// True when the key has an effect, or does not need one: it stands at its default, or was switched off.
fn is_fine(key: &Key, condition: &Condition, findings: &Findings) -> bool {
    let given = findings.settings.get(&key.path).map(|setting| &setting.value);
    given.is_none() || given == key.field.default.as_ref() || holds(condition, findings)
}

fn holds(condition: &Condition, findings: &Findings) -> bool {
    let is_touched = condition.is == Is::On && !findings.is_untouched(&condition.key);
    is_touched || is_met(&condition.is, value(findings, &condition.key))
}

fn is_met(is: &Is, governor: Option<&Value>) -> bool {
    match is {
        Is::OneOf(names) => {
            governor.and_then(Value::as_str).is_some_and(|name| names.iter().any(|n| n == name))
        }
        Is::Positive => governor.and_then(Value::as_float).is_some_and(|number| number > 0.0),
        Is::Zero => governor == Some(&Value::Integer(0)),
        Is::LeftOut => governor.is_none(),
        Is::On => governor == Some(&Value::Boolean(true)),
    }
}

fn report(key: &Key, Condition { key: governor, is }: &Condition, findings: &mut Findings) {
    let Some(setting) = findings.settings.get(&key.path) else { return };
    let value = value(findings, governor).map(literal).unwrap_or_default();
    let place = findings.origin(governor).seen_from(&setting.origin);
    let remedy = match is {
        Is::OneOf(_) => format!("it is for {}", is.words()),
        Is::LeftOut => "leave one of them out".to_owned(),
        Is::Positive | Is::Zero | Is::On => format!("it needs {}", is.words()),
    };
    let reason = format!("with `{governor}` = {value} ({place}); {remedy}");
    let found = crate::document::excerpt(&literal(&setting.value));
    let fault = Fault::NoEffect { key: key.path.clone(), found, reason };
    let problem = Problem::new(setting.origin.clone(), fault);
    findings.doubtful.insert(key.path.clone());
    findings.problems.push(problem);
}

fn value<'a>(findings: &'a Findings, key: &str) -> Option<&'a Value> {
    let given = findings.settings.get(key).map(|setting| &setting.value);
    given.or_else(|| Keys::experiment().find(key).and_then(|key| key.field.default.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OptimizerName;

    #[test]
    fn what_another_value_switches_off_has_no_effect() {
        let mut experiment = Experiment::default();
        let without = experiment.without_effect();
        assert!(
            without.contains(&"optimizer.momentum") && without.contains(&"lr_scheduler.gamma"),
            "{without:?}"
        );
        assert!(!without.contains(&"optimizer.betas") && !without.contains(&"optimizer.lr"), "{without:?}");
        experiment.optimizer.name = OptimizerName::Sgd;
        let without = experiment.without_effect();
        assert!(
            without.contains(&"optimizer.betas") && without.contains(&"optimizer.dampening"),
            "{without:?}"
        );
        assert!(!without.contains(&"optimizer.momentum"), "{without:?}");
    }
}
