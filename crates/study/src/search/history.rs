//! What a search knows by now.

use std::collections::BTreeMap;

use super::Search;
use super::propose::Observation;
use super::wave::{Begun, Stage, Wave, WaveTask};
use crate::work::TaskResult;

/// Every trial so far, and what training it cost.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// By number; 0 is the base.
    pub(crate) trials: Vec<TrialState>,
    /// Rounds of confirmation that are done.
    pub(crate) rounds: usize,
    /// Whether the winner was tested.
    pub(crate) is_tested: bool,
}

/// What is known of a trial.
#[derive(Clone, Debug)]
pub(crate) struct TrialState {
    pub(crate) settings: Vec<(String, String)>,
    coordinates: Vec<f64>,
    /// Why it cannot be trained, or failed.
    pub(crate) error: Option<String>,
    /// Losses by rung and seed. A training that ended early has one at every rung after.
    losses: BTreeMap<usize, BTreeMap<u64, f64>>,
    /// How many seeds the search trains it with.
    seeds: usize,
    /// Losses by fresh seed.
    pub(crate) confirmed: BTreeMap<u64, f64>,
    /// Test figures by fresh seed.
    pub(crate) tested: BTreeMap<u64, BTreeMap<String, Option<f64>>>,
    /// Epochs that it trained in the search, and the seconds of that, by seed.
    trained: BTreeMap<u64, (u64, f64)>,
}

impl TrialState {
    fn new(begun: &Begun, search: &Search) -> Self {
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

    /// The mean loss at a rung, once it has come there with every seed of the search; infinite where it failed.
    pub(crate) fn loss_at(&self, rung: usize) -> Option<f64> {
        let losses = self.losses.get(&rung).filter(|losses| losses.len() == self.seeds)?;
        Some(mean(&losses.values().copied().collect::<Vec<_>>()))
    }

    /// The last rung that it reached with every seed, with its loss there.
    pub(crate) fn last(&self) -> Option<(usize, f64)> {
        self.losses.keys().rev().find_map(|&rung| Some((rung, self.loss_at(rung)?)))
    }

    /// Epochs that it trained in the search with the seed that trained longest.
    pub(crate) fn epochs_of_a_seed(&self) -> Option<u64> {
        self.trained.values().map(|(epochs, _)| *epochs).max()
    }

    /// Epochs that it trained in the search, over all seeds.
    pub(crate) fn epochs(&self) -> u64 {
        self.trained.values().map(|(epochs, _)| epochs).sum()
    }

    /// Seconds of that.
    pub(crate) fn seconds(&self) -> f64 {
        // The sum of nothing is -0.
        self.trained.values().map(|(_, seconds)| seconds).sum::<f64>() + 0.0
    }
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

impl History {
    /// Takes in a wave that is about to be worked off.
    pub(crate) fn begin(&mut self, search: &Search, wave: &Wave) {
        self.trials.extend(wave.begun.iter().map(|begun| TrialState::new(begun, search)));
    }

    /// Takes in what a wave came to, in the order of its tasks.
    pub(crate) fn end(&mut self, search: &Search, wave: &Wave, results: &[TaskResult]) {
        for (task, result) in wave.tasks.iter().zip(results) {
            self.note(search, wave.stage, *task, result);
        }
        match wave.stage {
            Stage::Search => {}
            Stage::Confirmation(round) => self.rounds = round + 1,
            Stage::Test => self.is_tested = true,
        }
    }

    fn note(&mut self, search: &Search, stage: Stage, task: WaveTask, result: &TaskResult) {
        let loss = match result.figure(search.monitor) {
            Some(figure) if result.error.is_none() => search.loss(figure),
            _ => f64::INFINITY,
        };
        let trial = &mut self.trials[task.trial];
        match stage {
            Stage::Search => {
                let until = task.until.unwrap_or(search.base.training.epochs);
                let reached = if result.is_over { usize::MAX } else { until };
                for rung in search.rungs().into_iter().filter(|&rung| rung >= until && rung <= reached) {
                    trial.losses.entry(rung).or_default().insert(task.seed, loss);
                }
                if let Some(error) = &result.error {
                    trial.error.get_or_insert_with(|| error.clone());
                }
                // A run tells of its whole training. One that failed costs what it was to train: a budget must end.
                let failed = result.error.as_ref().map_or(0, |_| until as u64);
                trial.trained.insert(task.seed, (result.epochs.max(failed), result.seconds));
            }
            Stage::Confirmation(_) => drop(trial.confirmed.insert(task.seed, loss)),
            Stage::Test => drop(trial.tested.insert(task.seed, result.test.clone())),
        }
    }

    /// Epochs that the search has trained, without base, confirmation and test.
    pub(crate) fn epochs(&self) -> u64 {
        self.trials.iter().skip(1).map(TrialState::epochs).sum()
    }

    /// Seconds of that.
    pub(crate) fn seconds(&self) -> f64 {
        self.trials.iter().skip(1).map(TrialState::seconds).sum::<f64>() + 0.0
    }

    /// All trials but the base, as the estimators see them: the farther trained come first, as nothing worse was promoted,
    /// and of those at one rung the better.
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

    /// These trials, the farther trained first, and of those at one rung the better; those that failed are last.
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

    /// Trials that were trained in full in the search, without the base: the best first.
    pub(crate) fn complete(&self, search: &Search) -> Vec<usize> {
        let whole = search.base.training.epochs;
        let loss = |trial: usize| self.trials[trial].loss_at(whole).filter(|loss| loss.is_finite());
        best_first((1..self.trials.len()).filter_map(|trial| Some((loss(trial)?, trial))))
    }
}

/// Trials by their losses, the best first; of equal ones, the earlier.
pub(crate) fn best_first(losses: impl Iterator<Item = (f64, usize)>) -> Vec<usize> {
    let mut losses: Vec<(f64, usize)> = losses.collect();
    losses.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
    losses.into_iter().map(|(_, trial)| trial).collect()
}

fn is_known(trial: &TrialState) -> bool {
    trial.error.is_some() || !trial.losses.is_empty()
}
