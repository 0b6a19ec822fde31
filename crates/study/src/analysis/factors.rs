//! Which setting leads, by the settings that trials differ in.

use std::collections::{BTreeMap, BTreeSet};

use kiln_config::Experiment;
use toml::{Table, Value};

use super::listed;
use crate::findings::{Findings, TrialFindings};

/// Pairs shown per setting: more are a table, not a sentence.
const MOST_PAIRS: usize = 6;

/// The settings of one trial by dotted key, as text.
type Settings = BTreeMap<String, String>;

pub(super) fn statements(findings: &Findings) -> Vec<String> {
    let with_settings = findings.trials.iter().map(|trial| (trial, settings(&trial.experiment)));
    let (trials, untested): (Vec<_>, Vec<_>) = with_settings.partition(|(trial, _)| trial.rank.is_some());
    let mut statements = Vec::new();
    for key in differing(&trials) {
        statements.extend(averages(&key, &trials, &untested));
        statements.extend(pairs(&key, &trials));
    }
    statements
}

fn settings(experiment: &Experiment) -> Settings {
    let table = Table::try_from(experiment).expect("a resolved experiment is plain TOML");
    let mut settings = Settings::new();
    for (section, value) in &table {
        match value {
            Value::Table(leaves) => settings.extend(
                leaves
                    .iter()
                    .map(|(leaf, value)| (format!("{section}.{leaf}"), value.to_string().replace('"', ""))),
            ),
            value if section != "name" && section != "seed" => {
                drop(settings.insert(section.clone(), value.to_string()));
            }
            _ => {}
        }
    }
    settings
}

fn value<'a>(settings: &'a Settings, key: &str) -> &'a str {
    settings.get(key).map_or("not set", String::as_str)
}

fn differing(trials: &[(&TrialFindings, Settings)]) -> BTreeSet<String> {
    let keys: BTreeSet<&String> = trials.iter().flat_map(|(_, settings)| settings.keys()).collect();
    let differs = |key: &&String| {
        let values: BTreeSet<&str> = trials.iter().map(|(_, settings)| value(settings, key)).collect();
        values.len() > 1
    };
    keys.into_iter().filter(differs).cloned().collect()
}

/// The settings that are ranked by the mean over all their trials; of others a mean over whatever goes with them
/// says little.
const AVERAGED: [&str; 3] = ["loss.name", "model.activation", "optimizer.name"];

/// The mean over the trials of each value, where some values have several trials; it says which are missing from it.
fn averages(
    key: &str,
    trials: &[(&TrialFindings, Settings)],
    untested: &[(&TrialFindings, Settings)],
) -> Option<String> {
    let mut groups: BTreeMap<&str, Vec<&TrialFindings>> = BTreeMap::new();
    for (trial, settings) in trials {
        groups.entry(value(settings, key)).or_default().push(trial);
    }
    if !AVERAGED.contains(&key) || groups.values().all(|group| group.len() == 1) {
        return None;
    }
    let accuracy = |trial: &TrialFindings| trial.mean("test_accuracy").unwrap_or(f64::NAN);
    let mut means: Vec<(f64, String)> = groups
        .into_iter()
        .map(|(value, group)| {
            let mean = group.iter().map(|trial| accuracy(trial)).sum::<f64>() / group.len() as f64;
            let best = group.iter().max_by(|left, right| accuracy(left).total_cmp(&accuracy(right)));
            let best =
                best.map_or_else(String::new, |trial| format!("{} with {:.4}", trial.name, accuracy(trial)));
            let missing = untested.iter().filter(|(_, settings)| self::value(settings, key) == value);
            let missing: Vec<String> = missing.map(|(trial, _)| trial.name.clone()).collect();
            let without = if missing.is_empty() {
                String::new()
            } else {
                format!("; without {}, which came to no test", listed(&missing))
            };
            (mean, format!("{value} {mean:.4} (mean of {}; best {best}{without})", group.len()))
        })
        .collect();
    means.sort_by(|left, right| right.0.total_cmp(&left.0));
    let words: Vec<String> = means.into_iter().map(|(_, words)| words).collect();
    Some(format!("By {key}, mean test accuracy: {}.", words.join("; ")))
}

/// Trials that differ in this setting alone: the only ones whose gap the setting explains.
fn pairs(key: &str, trials: &[(&TrialFindings, Settings)]) -> Option<String> {
    let mut words = Vec::new();
    for (place, (better, left)) in trials.iter().enumerate() {
        for (worse, right) in &trials[place + 1..] {
            let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            let differing: Vec<&&String> =
                keys.iter().filter(|key| value(left, key) != value(right, key)).collect();
            let (Some(high), Some(low)) = (better.mean("test_accuracy"), worse.mean("test_accuracy")) else {
                continue;
            };
            if differing.len() == 1 && *differing[0] == key {
                let [best, other] = [left, right].map(|settings| value(settings, key));
                let names = format!("({}, {})", better.name, worse.name);
                words.push(format!("{best} over {other} by {:.4} {names}", high - low));
            }
        }
    }
    if words.is_empty() {
        return None;
    }
    let more = words.len().saturating_sub(MOST_PAIRS);
    words.truncate(MOST_PAIRS);
    let more = if more > 0 { format!("; and {more} more pairs") } else { String::new() };
    Some(format!("All else equal, {key}: {}{more}.", listed(&words)))
}
