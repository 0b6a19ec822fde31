//! The history of a search: the files of its waves, every trial so far, how the best compare, and how much each key
//! matters.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use kiln_artifacts::ArtifactError;
use kiln_files::json_text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::search::Search;
use crate::search::space::Observation;
use crate::work::TaskResult;
use crate::{StudyError, read_again, read_json};

/// The purpose of a wave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WaveStage {
    /// Finds good settings.
    Search,
    /// Checks them with fresh seeds; the round counts from 0.
    Confirmation(usize),
    /// Tests the winner.
    Test,
}

/// The trials that begin, and the tasks to train.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Wave {
    pub(crate) stage: WaveStage,
    pub(crate) begun: Vec<NewTrial>,
    pub(crate) tasks: Vec<WaveTask>,
}

/// A trial that begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct NewTrial {
    /// Its number; 0 is the base.
    pub(crate) trial: usize,
    pub(crate) settings: Vec<(String, String)>,
    /// Null for a coordinate that is not used.
    pub(crate) coordinates: Vec<Option<f64>>,
    /// Why its settings cannot be trained, if so.
    pub(crate) error: Option<String>,
}

/// A trial to train with one seed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct WaveTask {
    pub(crate) trial: usize,
    pub(crate) seed: u64,
    /// The epoch after which it pauses; `None` if it is to be tested.
    pub(crate) until: Option<usize>,
}

impl WaveStage {
    /// The stage in words; `wave` is the wave's number, from 1.
    pub(crate) fn words(self, wave: usize) -> String {
        match self {
            Self::Search => format!("wave {wave}"),
            Self::Confirmation(0) => "confirmation".to_owned(),
            Self::Confirmation(round) => format!("confirmation, round {}", round + 1),
            Self::Test => "test".to_owned(),
        }
    }
}

impl Wave {
    /// The file of wave `number`, from 1.
    pub(crate) fn path(folder: &Path, number: usize) -> PathBuf {
        folder.join(format!("wave-{number:05}.json"))
    }

    /// Wave `number` of the search in `folder`, if it is decided.
    pub(crate) fn read(folder: &Path, number: usize) -> Result<Option<Self>, StudyError> {
        read_json(&Self::path(folder, number))
    }

    /// Whether this wave can come after `trials` trials of `search`; its file may be damaged.
    pub(crate) fn fits(&self, search: &Search, trials: usize) -> bool {
        let is_place = |number: &Option<f64>| number.is_none_or(|number| number >= 0.0);
        let is_point = |(number, begun): (usize, &NewTrial)| {
            let count = begun.coordinates.len();
            begun.trial == number
                && (count == 0 || count == search.coordinates())
                && begun.coordinates.iter().all(is_place)
        };
        let known = trials + self.begun.len();
        (trials..).zip(&self.begun).all(is_point) && self.tasks.iter().all(|task| task.trial < known)
    }

    /// Stores this as wave `number`, unless another process was faster. Returns the stored wave.
    pub(crate) fn store(self, folder: &Path, number: usize) -> Result<Self, StudyError> {
        let path = Self::path(folder, number);
        fs::create_dir_all(folder).map_err(|cause| StudyError::io("create", folder, cause))?;
        if kiln_files::create_file(&path, &json_text(&self)).map_err(ArtifactError::from)? {
            return Ok(self);
        }
        read_again(&path)
    }
}

/// All trials so far, with their losses and their cost.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// By number; 0 is the base.
    pub(crate) trials: Vec<TrialState>,
    /// Finished rounds of the confirmation.
    pub(crate) rounds: usize,
    /// Whether the winner was tested.
    pub(crate) is_tested: bool,
}

/// The losses and the cost of one trial.
#[derive(Clone, Debug)]
pub(crate) struct TrialState {
    pub(crate) settings: Vec<(String, String)>,
    coordinates: Vec<f64>,
    /// Why it cannot be trained, or why it failed.
    pub(crate) error: Option<String>,
    /// Losses by rung and seed. A training that ended early has its last loss at every later rung.
    losses: BTreeMap<usize, BTreeMap<u64, f64>>,
    /// The number of seeds with which the search trains it.
    seeds: usize,
    /// Losses by fresh seed.
    pub(crate) confirmed: BTreeMap<u64, f64>,
    /// Test figures by fresh seed.
    pub(crate) tested: BTreeMap<u64, BTreeMap<String, Option<f64>>>,
    /// Epochs and seconds of training in the search, by seed.
    trained: BTreeMap<u64, (u64, f64)>,
}

/// The difference of two trials' losses, over the seeds that both have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PairedDifference {
    pub(crate) mean: f64,
    pub(crate) standard_error: f64,
    pub(crate) seeds: usize,
}

/// How much of the trials' ranks a key explains by itself.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Importance")]
pub struct KeyImportance {
    /// The key.
    pub key: String,
    /// The share of the variance, from 0 to 1.
    pub share: f64,
}

impl TrialState {
    fn new(begun: &NewTrial, search: &Search) -> Self {
        let mut losses = BTreeMap::new();
        if begun.error.is_some() {
            let failed = search.seeds.iter().map(|&seed| (seed, f64::INFINITY)).collect();
            losses.insert(search.rungs()[0], failed);
        }
        Self {
            losses,
            seeds: search.seeds.len(),
            settings: begun.settings.clone(),
            coordinates: begun.coordinates.iter().map(|number| number.unwrap_or(f64::NAN)).collect(),
            error: begun.error.clone(),
            confirmed: BTreeMap::new(),
            tested: BTreeMap::new(),
            trained: BTreeMap::new(),
        }
    }

    /// The mean loss at a rung, once every seed has reached it; infinite if the trial failed.
    pub(crate) fn loss_at(&self, rung: usize) -> Option<f64> {
        let losses = self.losses.get(&rung).filter(|losses| losses.len() == self.seeds)?;
        Some(mean(&losses.values().copied().collect::<Vec<_>>()))
    }

    /// The last rung that every seed has reached, and the loss there.
    pub(crate) fn last(&self) -> Option<(usize, f64)> {
        self.losses.keys().rev().find_map(|&rung| Some((rung, self.loss_at(rung)?)))
    }

    /// Epochs of the seed that trained longest in the search.
    pub(crate) fn epochs_of_a_seed(&self) -> Option<u64> {
        self.trained.values().map(|(epochs, _)| *epochs).max()
    }

    /// Epochs of training in the search, over all seeds.
    pub(crate) fn epochs(&self) -> u64 {
        self.trained.values().map(|(epochs, _)| epochs).sum()
    }

    /// Seconds of that training.
    pub(crate) fn seconds(&self) -> f64 {
        // An empty sum is -0.0.
        self.trained.values().map(|(_, seconds)| seconds).sum::<f64>() + 0.0
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

impl History {
    /// Adds the trials of a wave that begins.
    pub(crate) fn begin(&mut self, search: &Search, wave: &Wave) {
        self.trials.extend(wave.begun.iter().map(|begun| TrialState::new(begun, search)));
    }

    /// Adds the results of a wave, in the order of its tasks.
    pub(crate) fn end(&mut self, search: &Search, wave: &Wave, results: &[TaskResult]) {
        for (task, result) in wave.tasks.iter().zip(results) {
            self.note(search, wave.stage, *task, result);
        }
        match wave.stage {
            WaveStage::Search => {}
            WaveStage::Confirmation(round) => self.rounds = round + 1,
            WaveStage::Test => self.is_tested = true,
        }
    }

    fn note(&mut self, search: &Search, stage: WaveStage, task: WaveTask, result: &TaskResult) {
        let loss = match result.figure(search.monitor) {
            Some(figure) if result.error.is_none() => search.loss(figure),
            _ => f64::INFINITY,
        };
        let trial = &mut self.trials[task.trial];
        match stage {
            WaveStage::Search => {
                let until = task.until.unwrap_or(search.base.training.epochs);
                let reached = if result.is_over { usize::MAX } else { until };
                for rung in search.rungs().into_iter().filter(|&rung| rung >= until && rung <= reached) {
                    trial.losses.entry(rung).or_default().insert(task.seed, loss);
                }
                if let Some(error) = &result.error {
                    trial.error.get_or_insert_with(|| error.clone());
                }
                // A run reports the epochs of its whole training. A failed one is charged in full: otherwise a budget
                // might never end.
                let failed = result.error.as_ref().map_or(0, |_| until as u64);
                trial.trained.insert(task.seed, (result.epochs.max(failed), result.seconds));
            }
            WaveStage::Confirmation(_) => drop(trial.confirmed.insert(task.seed, loss)),
            WaveStage::Test => drop(trial.tested.insert(task.seed, result.test.clone())),
        }
    }

    /// Epochs of training in the search, without base, confirmation and test.
    pub(crate) fn epochs(&self) -> u64 {
        self.trials.iter().skip(1).map(TrialState::epochs).sum()
    }

    /// Seconds of that training.
    pub(crate) fn seconds(&self) -> f64 {
        self.trials.iter().skip(1).map(TrialState::seconds).sum::<f64>() + 0.0
    }

    /// All trials except the base, for the estimators. Trials at a higher rung come first, because only the best are
    /// promoted; within a rung, the better come first.
    pub(crate) fn observations(&self) -> Vec<Observation> {
        let trials = &self.trials[1..];
        let known = (1..self.trials.len()).filter(|&trial| is_known(&self.trials[trial]));
        let mut places = vec![None; trials.len()];
        for (place, trial) in self.in_order(known).into_iter().enumerate() {
            places[trial - 1] = Some(place);
        }
        let observation = |(trial, place): (&TrialState, Option<usize>)| Observation {
            coordinates: trial.coordinates.clone(),
            settings: trial.settings.clone(),
            place,
        };
        trials.iter().zip(places).map(observation).collect()
    }

    /// These trials: higher rungs first, and within a rung the better; failed trials come last.
    pub(crate) fn in_order(&self, trials: impl Iterator<Item = usize>) -> Vec<usize> {
        let standing = |trial: usize| match (&self.trials[trial].error, self.trials[trial].last()) {
            (None, Some((rung, loss))) => (rung, loss),
            _ => (0, f64::INFINITY),
        };
        let mut order: Vec<(usize, f64, usize)> = trials
            .map(|trial| {
                let (rung, loss) = standing(trial);
                (rung, loss, trial)
            })
            .collect();
        order.sort_by(|left, right| {
            right.0.cmp(&left.0).then(left.1.total_cmp(&right.1)).then(left.2.cmp(&right.2))
        });
        order.into_iter().map(|(_, _, trial)| trial).collect()
    }

    /// Trials that the search has trained in full, without the base, the best first.
    pub(crate) fn complete(&self, search: &Search) -> Vec<usize> {
        let whole = search.base.training.epochs;
        let loss = |trial: usize| self.trials[trial].loss_at(whole).filter(|loss| loss.is_finite());
        best_first((1..self.trials.len()).filter_map(|trial| Some((loss(trial)?, trial))))
    }

    /// The trial with the lowest mean loss over fresh seeds; it may be the base, 0.
    pub(crate) fn winner(&self) -> Option<usize> {
        self.ranked().first().copied()
    }

    /// Trials that were trained with fresh seeds, the best first. Each seed splits the data anew, and some splits are
    /// harder, so only means over the same seeds compare: all trials are ranked by the seeds that all have, and the
    /// two of a close call by all seeds that both have.
    pub(crate) fn ranked(&self) -> Vec<usize> {
        let losses = |trial: usize, seeds: &[u64]| -> Option<f64> {
            let confirmed = &self.trials[trial].confirmed;
            let losses: Option<Vec<f64>> = seeds.iter().map(|seed| confirmed.get(seed).copied()).collect();
            losses
                .filter(|losses| !losses.is_empty())
                .map(|losses| mean(&losses))
                .filter(|loss| loss.is_finite())
        };
        let shared = self.shared_seeds();
        let all = 0..self.trials.len();
        let mut ranked = best_first(all.filter_map(|trial| Some((losses(trial, &shared)?, trial))));
        if let &[first, second, ..] = &ranked[..]
            && self.paired_difference(first, second).is_some_and(|difference| difference.mean < 0.0)
        {
            ranked.swap(0, 1);
        }
        ranked
    }

    /// The fresh seeds with which every confirmed trial was trained.
    pub(crate) fn shared_seeds(&self) -> Vec<u64> {
        let confirmed = || self.trials.iter().map(|trial| &trial.confirmed).filter(|seeds| !seeds.is_empty());
        let Some(first) = confirmed().next() else { return Vec::new() };
        first.keys().copied().filter(|seed| confirmed().all(|seeds| seeds.contains_key(seed))).collect()
    }

    /// The two best trials, if their difference is less than twice its standard error.
    pub(crate) fn close_call(&self) -> Option<[usize; 2]> {
        let &[first, second, ..] = &self.ranked()[..] else { return None };
        let difference = self.paired_difference(first, second)?;
        (difference.mean < 2.0 * difference.standard_error).then_some([first, second])
    }

    /// How far the loss of `worse` is above that of `better`; `None` if they share no seed.
    pub(crate) fn paired_difference(&self, better: usize, worse: usize) -> Option<PairedDifference> {
        let [better, worse] = [better, worse].map(|trial| &self.trials[trial].confirmed);
        let differences: Vec<f64> =
            worse.iter().filter_map(|(seed, loss)| Some(loss - better.get(seed)?)).collect();
        let seeds = differences.len();
        if seeds == 0 {
            return None;
        }
        let mean = mean(&differences);
        let squares: f64 = differences.iter().map(|difference| (difference - mean).powi(2)).sum();
        // With one seed the variance is unknown.
        let variance = if seeds > 1 { squares / (seeds - 1) as f64 } else { f64::INFINITY };
        Some(PairedDifference { mean, standard_error: (variance / seeds as f64).sqrt(), seeds })
    }
}

/// Trials by loss, the best first; equal losses in the order of trials.
pub(crate) fn best_first(losses: impl Iterator<Item = (f64, usize)>) -> Vec<usize> {
    let mut losses: Vec<(f64, usize)> = losses.collect();
    losses.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
    losses.into_iter().map(|(_, trial)| trial).collect()
}

fn is_known(trial: &TrialState) -> bool {
    trial.error.is_some() || !trial.losses.is_empty()
}

/// The number of groups of a key's values.
const GROUPS: usize = 4;

/// The importance of every key, the most important first; empty with too few trials.
///
/// Trials are compared at the first rung, which all of them reach. Their losses are ranked, because a few exploding
/// ones would dominate otherwise. The values of a key are split into four groups of equal size; if there are few
/// values, each is a group; lists count by their sum. A conditional key is judged over the trials that set it. The
/// share is epsilon squared (Kelley 1935): the variance of ranks between groups, corrected for chance.
pub(super) fn importance(search: &Search, history: &History) -> Vec<KeyImportance> {
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
    let mut importance: Vec<KeyImportance> = search
        .space
        .iter()
        .filter_map(|dimension| {
            Some(KeyImportance { key: dimension.key.clone(), share: share(&dimension.key)? })
        })
        .collect();
    importance.sort_by(|left, right| right.share.total_cmp(&left.share).then(left.key.cmp(&right.key)));
    importance
}

/// Ranks from 0; equal values share the mean of their ranks.
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

/// The group of each value: few distinct values are a group each, others are split into quarters.
fn groups(values: &[&str]) -> Vec<usize> {
    let numbers: Vec<Option<f64>> = values.iter().map(|value| value.parse().ok()).collect();
    let mut distinct: Vec<&str> = values.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() <= 2 * GROUPS {
        let place = |value: &&str| distinct.iter().position(|other| other == value).unwrap_or(0);
        return values.iter().map(place).collect();
    }
    // The sum of a list says most: for layer widths, how large the network is.
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
    fn a_decisive_key_explains_nearly_everything_and_an_idle_key_nearly_nothing() {
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
