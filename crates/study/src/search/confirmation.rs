//! Which trials are trained again with fresh seeds, and who wins.

use super::Search;
use super::history::{History, best_first, mean};
use super::wave::{Stage, Wave, WaveTask};

/// The next round of the confirmation; none where it is over, or where nothing was found to confirm.
pub(crate) fn confirmation_wave(search: &Search, history: &History) -> Option<Wave> {
    let round = history.rounds;
    let trials = match round {
        0 if search.confirm.best > 0 => {
            let best = history.complete(search).into_iter().take(search.confirm.best);
            let chosen: Vec<usize> = best.collect();
            if chosen.is_empty() {
                return None;
            }
            let base = history.trials[0].error.is_none().then_some(0);
            base.into_iter().chain(chosen).collect()
        }
        0 => return None,
        _ if round > search.confirm.repeats => return None,
        _ => close_call(history)?.to_vec(),
    };
    let until = Some(search.base.training.epochs);
    let seeds = search.fresh_seeds(round);
    // Seed by seed, so that a confirmation that is stopped has compared like with like.
    let tasks = seeds
        .iter()
        .flat_map(|&seed| trials.iter().map(move |&trial| WaveTask { trial, seed, until }))
        .collect();
    Some(Wave { stage: Stage::Confirmation(round), begun: Vec::new(), tasks })
}

/// The test of the winner.
pub(crate) fn test_wave(history: &History) -> Option<Wave> {
    let trial = winner(history).filter(|_| !history.is_tested)?;
    let seeds = history.trials[trial].confirmed.iter().filter(|(_, loss)| loss.is_finite());
    let tasks = seeds.map(|(&seed, _)| WaveTask { trial, seed, until: None }).collect();
    Some(Wave { stage: Stage::Test, begun: Vec::new(), tasks })
}

/// The trial with the lowest mean loss over fresh seeds; the base, 0, may be it.
pub(crate) fn winner(history: &History) -> Option<usize> {
    ranked(history).first().copied()
}

/// Trials that were trained with fresh seeds, the best first. Each seed deals the data anew, and some deals are harder: only
/// means over the same seeds compare. So all are ranked by the seeds that all have, and the two of a close call, by all theirs.
pub(crate) fn ranked(history: &History) -> Vec<usize> {
    let losses = |trial: usize, seeds: &[u64]| -> Option<f64> {
        let confirmed = &history.trials[trial].confirmed;
        let losses: Option<Vec<f64>> = seeds.iter().map(|seed| confirmed.get(seed).copied()).collect();
        losses.filter(|losses| !losses.is_empty()).map(|losses| mean(&losses)).filter(|loss| loss.is_finite())
    };
    let shared = shared_seeds(history);
    let all = 0..history.trials.len();
    let mut ranked = best_first(all.filter_map(|trial| Some((losses(trial, &shared)?, trial))));
    if let &[first, second, ..] = &ranked[..]
        && paired_difference(history, first, second).is_some_and(|difference| difference.mean < 0.0)
    {
        ranked.swap(0, 1);
    }
    ranked
}

/// The fresh seeds that every trial of the confirmation was trained with.
pub(crate) fn shared_seeds(history: &History) -> Vec<u64> {
    let confirmed = || history.trials.iter().map(|trial| &trial.confirmed).filter(|seeds| !seeds.is_empty());
    let Some(first) = confirmed().next() else { return Vec::new() };
    first.keys().copied().filter(|seed| confirmed().all(|seeds| seeds.contains_key(seed))).collect()
}

/// The two best, if what lies between them is less than twice its standard error.
fn close_call(history: &History) -> Option<[usize; 2]> {
    let &[first, second, ..] = &ranked(history)[..] else { return None };
    let difference = paired_difference(history, first, second)?;
    (difference.mean < 2.0 * difference.standard_error).then_some([first, second])
}

/// By how much one trial's loss is above another's, over the seeds that both have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Difference {
    pub(crate) mean: f64,
    pub(crate) standard_error: f64,
    pub(crate) seeds: usize,
}

/// How far `worse` is above `better`; none where they share no seed.
pub(crate) fn paired_difference(history: &History, better: usize, worse: usize) -> Option<Difference> {
    let [better, worse] = [better, worse].map(|trial| &history.trials[trial].confirmed);
    let differences: Vec<f64> =
        worse.iter().filter_map(|(seed, loss)| Some(loss - better.get(seed)?)).collect();
    let seeds = differences.len();
    if seeds == 0 {
        return None;
    }
    let mean = mean(&differences);
    let squares: f64 = differences.iter().map(|difference| (difference - mean).powi(2)).sum();
    // One seed says nothing of the spread.
    let variance = if seeds > 1 { squares / (seeds - 1) as f64 } else { f64::INFINITY };
    Some(Difference { mean, standard_error: (variance / seeds as f64).sqrt(), seeds })
}
