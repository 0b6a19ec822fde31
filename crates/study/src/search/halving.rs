//! Which trials a wave of the search trains: promoted ones first, then new ones, within the budget.

use super::Search;
use super::history::{History, best_first};
use super::propose::{Observation, propose};
use super::wave::{Begun, Stage, Wave, WaveTask};

/// The next wave of the search; none where its budget is spent and nobody is left to promote.
///
/// Promotion is that of ASHA (Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning") in waves: at every
/// rung, the best 1 in `factor` of the trials that have come there so far.
pub(crate) fn search_wave(search: &Search, history: &History) -> Option<Wave> {
    let mut budget = Budget { search, epochs: history.epochs(), is_over: is_out_of_time(search, history) };
    let mut wave = Wave { stage: Stage::Search, begun: Vec::new(), tasks: Vec::new() };
    let is_first = history.trials.is_empty();
    if is_first {
        begin(search, &mut wave, 0, Vec::new(), Vec::new(), search.base.training.epochs);
    }
    let first = search.rungs()[0];
    let mut room = search.wave;
    for (trial, rung, next) in promoted(search, history, false).into_iter().take(search.wave) {
        if budget.takes(next - rung) {
            promote(search, &mut wave, trial, next);
            room -= 1;
        }
    }
    let mut seen = if is_first { Vec::new() } else { history.observations() };
    let most = search.trials.unwrap_or(usize::MAX);
    while room > 0 && seen.len() < most && budget.takes(first) {
        let number = seen.len() + 1;
        let Some(proposal) = propose(search, number, &seen) else { break };
        let (settings, coordinates) = (proposal.settings.clone(), proposal.coordinates.clone());
        seen.push(Observation { coordinates, settings, place: None });
        begin(search, &mut wave, number, proposal.settings, proposal.coordinates, first);
        room -= 1;
    }
    if wave.tasks.is_empty() && wave.begun.is_empty() {
        // Nothing new can begin: whoever is best where it stands may go on, so that somebody comes to the end.
        for (trial, rung, next) in promoted(search, history, true).into_iter().take(search.wave) {
            let is_covered = budget.takes(next - rung);
            if is_covered || (wave.tasks.is_empty() && history.complete(search).is_empty()) {
                promote(search, &mut wave, trial, next);
            }
        }
    }
    (!wave.tasks.is_empty() || !wave.begun.is_empty()).then_some(wave)
}

fn is_out_of_time(search: &Search, history: &History) -> bool {
    search.seconds.is_some_and(|seconds| history.seconds() >= seconds)
}

/// What may still be trained.
struct Budget<'a> {
    search: &'a Search,
    epochs: u64,
    is_over: bool,
}

impl Budget<'_> {
    /// Takes the cost of training a trial for so many epochs more, if it is there.
    fn takes(&mut self, epochs: usize) -> bool {
        let cost = epochs as u64 * self.search.seeds.len() as u64;
        let is_enough = self.search.epochs.is_none_or(|most| self.epochs + cost <= most) && !self.is_over;
        if is_enough {
            self.epochs += cost;
        }
        is_enough
    }
}

fn begin(
    search: &Search,
    wave: &mut Wave,
    trial: usize,
    settings: Vec<(String, String)>,
    coordinates: Vec<f64>,
    until: usize,
) {
    let error = search.experiment("trial", &settings, search.seeds[0]).err().map(|error| error.to_string());
    if error.is_none() {
        promote(search, wave, trial, until);
    }
    let coordinates = coordinates.into_iter().map(|number| (!number.is_nan()).then_some(number)).collect();
    wave.begun.push(Begun { trial, settings, coordinates, error });
}

fn promote(search: &Search, wave: &mut Wave, trial: usize, until: usize) {
    let task = |&seed: &u64| WaveTask { trial, seed, until: Some(until) };
    wave.tasks.extend(search.seeds.iter().map(task));
}

/// Trials that may go on, with the rung where they stand and the next: the farthest first, and of those the best. At the
/// end of a search, at least one of each rung.
fn promoted(search: &Search, history: &History, is_end: bool) -> Vec<(usize, usize, usize)> {
    let Some(halving) = search.halving else { return Vec::new() };
    let rungs = search.rungs();
    let mut promoted = Vec::new();
    for pair in rungs.windows(2).rev() {
        let (rung, next) = (pair[0], pair[1]);
        let loss = |trial: usize, rung: usize| history.trials[trial].loss_at(rung);
        let there =
            best_first((1..history.trials.len()).filter_map(|trial| Some((loss(trial, rung)?, trial))));
        let quota = (there.len() / halving.factor).max(usize::from(is_end));
        let best =
            there.into_iter().take(quota).filter(|&trial| loss(trial, rung).is_some_and(f64::is_finite));
        let waiting = best.filter(|&trial| loss(trial, next).is_none());
        promoted.extend(waiting.map(|trial| (trial, rung, next)));
    }
    promoted
}

/// How many trials a search would begin at most, and how many epochs it would train, as far as that can be said before.
pub(crate) fn expected(search: &Search) -> (usize, u64) {
    let rungs = search.rungs();
    let factor = search.halving.map_or(1, |halving| halving.factor);
    let per_trial = |trials: f64| {
        let mut sum = 0.0;
        let (mut left, mut before) = (trials, 0);
        for &rung in &rungs {
            sum += left.floor().max(1.0) * (rung - before) as f64;
            (left, before) = (left / factor as f64, rung);
        }
        sum * search.seeds.len() as f64
    };
    let mut trials = search.trials.unwrap_or(usize::MAX);
    trials = search.points().map_or(trials, |points| trials.min(points));
    if let Some(epochs) = search.epochs {
        // Every trial costs an epoch at least; what more trials cost only grows.
        let (mut affordable, mut too_many) = (1, (epochs as usize).saturating_add(1).min(trials).max(2));
        while too_many - affordable > 1 {
            let middle = usize::midpoint(affordable, too_many);
            if per_trial(middle as f64) > epochs as f64 { too_many = middle } else { affordable = middle }
        }
        if per_trial(too_many as f64) <= epochs as f64 {
            affordable = too_many;
        }
        trials = trials.min(affordable);
    }
    let epochs = if trials == usize::MAX { 0 } else { per_trial(trials as f64) as u64 };
    (trials, search.epochs.map_or(epochs, |most| epochs.min(most)))
}
