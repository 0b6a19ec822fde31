//! What each key is worth.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::Search;
use super::super::history::History;

/// Groups that the values of a key are put into.
const GROUPS: usize = 4;

/// How much of what trials came to a key explains by itself.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Importance {
    /// The key.
    pub key: String,
    /// The share of the variance, from 0 to 1.
    pub share: f64,
}

/// The importance of every key, the most important first; empty with too few trials to say.
///
/// Trials are compared where all of them were: at the first rung. Their losses are ranked, as a few that exploded would decide
/// all otherwise; the values of a key are put into four groups of equal size (few values each are a group, lists go by their
/// sums); a key that is set beside another's value alone is looked at where it is set; and the share is epsilon squared (Kelley 1935), the variance of ranks between the groups less what chance makes of it.
pub(super) fn importance(search: &Search, history: &History) -> Vec<Importance> {
    let first = search.rungs()[0];
    let known: Vec<(usize, f64)> = (1..history.trials.len())
        .filter_map(|trial| Some((trial, history.trials[trial].loss_at(first)?)))
        .collect();
    let value = |trial: usize, key: &str| {
        let settings = &history.trials[trial].settings;
        settings.iter().find(|(found, _)| found == key).map(|(_, value)| value.as_str())
    };
    let share = |key: &str| {
        let set: Vec<(&str, f64)> =
            known.iter().filter_map(|(trial, loss)| Some((value(*trial, key)?, *loss))).collect();
        let (values, losses): (Vec<&str>, Vec<f64>) = set.into_iter().unzip();
        (values.len() >= 3 * GROUPS).then(|| epsilon_squared(&groups(&values), &ranks(&losses)))
    };
    let mut importance: Vec<Importance> = search
        .space
        .iter()
        .filter_map(|dimension| {
            Some(Importance { key: dimension.key.clone(), share: share(&dimension.key)? })
        })
        .collect();
    importance.sort_by(|left, right| right.share.total_cmp(&left.share).then(left.key.cmp(&right.key)));
    importance
}

/// Ranks from 0; equal values share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    values
        .iter()
        .map(|value| {
            let below = sorted.partition_point(|other| other < value);
            let equal = sorted.partition_point(|other| other <= value) - below;
            below as f64 + (equal as f64 - 1.0) / 2.0
        })
        .collect()
}

/// The group of each value: quarters of numbers, the value itself of what is few, the length of lists.
fn groups(values: &[&str]) -> Vec<usize> {
    let numbers: Vec<Option<f64>> = values.iter().map(|value| value.parse().ok()).collect();
    let mut distinct: Vec<&str> = values.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() <= 2 * GROUPS {
        let place = |value: &&str| distinct.iter().position(|other| other == value).unwrap_or(0);
        return values.iter().map(place).collect();
    }
    // Of a list, the sum says most: how many weights there are.
    let size = |index: usize| {
        numbers[index].unwrap_or_else(|| {
            let parts = values[index].split(|letter: char| "[], ".contains(letter));
            parts.filter_map(|part| part.parse::<f64>().ok()).sum()
        })
    };
    let sizes: Vec<f64> = (0..values.len()).map(size).collect();
    let ranks = ranks(&sizes);
    ranks.iter().map(|rank| (rank / values.len() as f64 * GROUPS as f64) as usize).collect()
}

fn epsilon_squared(groups: &[usize], ranks: &[f64]) -> f64 {
    let count = ranks.len() as f64;
    let mean = ranks.iter().sum::<f64>() / count;
    let total: f64 = ranks.iter().map(|rank| (rank - mean).powi(2)).sum();
    let mut sums: std::collections::BTreeMap<usize, (f64, f64)> = std::collections::BTreeMap::new();
    for (group, rank) in groups.iter().zip(ranks) {
        let (sum, size) = sums.entry(*group).or_default();
        *sum += rank;
        *size += 1.0;
    }
    let between: f64 = sums.values().map(|(sum, size)| size * (sum / size - mean).powi(2)).sum();
    let free = count - sums.len() as f64;
    if total <= 0.0 || free <= 0.0 {
        return 0.0;
    }
    let within = (total - between) / free;
    ((between - (sums.len() as f64 - 1.0) * within) / total).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_decides_all_explains_nearly_all_and_one_that_decides_nothing_next_to_nothing() {
        let ranks: Vec<f64> = (0..40).map(f64::from).collect();
        let deciding: Vec<String> = (0..40).map(|index| format!("{index}.5")).collect();
        let idle: Vec<String> = (0..40).map(|index| format!("{}.25", index * 17 % 40)).collect();
        let share = |values: &[String]| {
            epsilon_squared(&groups(&values.iter().map(String::as_str).collect::<Vec<_>>()), &ranks)
        };
        assert!(share(&deciding) > 0.9, "{}", share(&deciding));
        assert!(share(&idle) < 0.1, "{}", share(&idle));
    }

    #[test]
    fn few_values_are_groups_of_their_own_and_equal_ranks_are_shared() {
        assert_eq!(groups(&["\"b\"", "\"a\"", "\"b\""]), [1, 0, 1]);
        assert_eq!(ranks(&[2.0, 1.0, 2.0]), [1.5, 0.0, 1.5]);
    }
}
