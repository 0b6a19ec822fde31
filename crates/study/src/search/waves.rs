//! The waves of a search: what the next wave trains.
//!
//! A search wave promotes trials first, then begins new ones, within the budget. Confirmation waves train the best
//! trials again with fresh seeds, and the last wave tests the winner.

use crate::search::Search;
use crate::search::history::{History, NewTrial, Wave, WaveStage, WaveTask, best_first};
use crate::search::space::{Observation, propose};

/// The next wave of the search; `None` if its budget is spent and no trial is left to promote.
///
/// Promotion follows ASHA (Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning"), in waves: at
/// every rung, the best 1 in `factor` of the trials that have reached it so far.
pub(crate) fn search_wave(search: &Search, history: &History) -> Option<Wave> {
    let mut budget = Budget { search, epochs: history.epochs(), is_over: is_out_of_time(search, history) };
    let mut wave = Wave { stage: WaveStage::Search, begun: Vec::new(), tasks: Vec::new() };
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
        // Nothing new can begin. Promote the best at each rung, so that some trial is trained in full.
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

/// The rest of the search's budget.
struct Budget<'a> {
    search: &'a Search,
    epochs: u64,
    is_over: bool,
}

impl Budget<'_> {
    /// Spends the cost of training a trial for `epochs` more epochs, if the budget allows.
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
    wave.begun.push(NewTrial { trial, settings, coordinates, error });
}

fn promote(search: &Search, wave: &mut Wave, trial: usize, until: usize) {
    let task = |&seed: &u64| WaveTask { trial, seed, until: Some(until) };
    wave.tasks.extend(search.seeds.iter().map(task));
}

/// Trials to promote, with their rung and the next: the highest rung first, and the best first within a rung. At the
/// end of a search, at least one at each rung.
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

/// The expected cost of a search before it runs: trials to begin, and epochs to train.
pub(crate) fn expected_cost(search: &Search) -> (usize, u64) {
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
        // Binary search: a trial costs at least one epoch, and more trials never cost less.
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

/// The next round of the confirmation; `None` if it is over, or there is nothing to confirm.
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
        _ => history.close_call()?.to_vec(),
    };
    let until = Some(search.base.training.epochs);
    let seeds = search.fresh_seeds(round);
    // Seed by seed, so that a confirmation that is stopped has compared all trials with the same seeds.
    let tasks = seeds
        .iter()
        .flat_map(|&seed| trials.iter().map(move |&trial| WaveTask { trial, seed, until }))
        .collect();
    Some(Wave { stage: WaveStage::Confirmation(round), begun: Vec::new(), tasks })
}

/// The test of the winner.
pub(crate) fn test_wave(history: &History) -> Option<Wave> {
    let trial = history.winner().filter(|_| !history.is_tested)?;
    let seeds = history.trials[trial].confirmed.iter().filter(|(_, loss)| loss.is_finite());
    let tasks = seeds.map(|(&seed, _)| WaveTask { trial, seed, until: None }).collect();
    Some(Wave { stage: WaveStage::Test, begun: Vec::new(), tasks })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kiln_config::random::{Purpose, Stream};
    use kiln_config::{Experiment, Monitor};

    use super::*;
    use crate::search::{Confirm, Dimension, Domain, Halving, NumberRange, SearchMethod};
    use crate::work::{TaskResult, figure_name};

    const EPOCHS: usize = 27;

    fn search(method: SearchMethod, trials: usize) -> Search {
        let real = |key: &str, min: f64, max: f64, log: bool| Dimension {
            key: key.to_owned(),
            domain: Domain::Number(NumberRange { min, max, log, step: None, whole: false }),
            when: None,
        };
        let mut base = Experiment { seed: 7, ..Experiment::default() };
        base.training.epochs = EPOCHS;
        Search {
            method,
            seed: 0,
            wave: 6,
            trials: Some(trials),
            epochs: None,
            seconds: None,
            monitor: Monitor::ValidationLoss,
            space: vec![real("optimizer.lr", 1e-4, 0.1, true), real("model.dropout", 0.0, 0.5, false)],
            halving: Some(Halving { min_epochs: 3, factor: 3 }),
            confirm: Confirm::default(),
            base,
            seeds: vec![7],
            folds: None,
        }
    }

    /// The loss of settings with a seed after some epochs, and whether training is over then.
    type Losses<'a> = dyn Fn(&[(String, String)], u64, usize) -> (f64, bool) + 'a;

    /// A loss that falls with training, with its minimum at a learning rate of 0.01 and no dropout.
    fn loss(settings: &[(String, String)], epochs: usize) -> f64 {
        let value = |key: &str, base: f64| {
            settings.iter().find(|(found, _)| found == key).map_or(base, |(_, value)| value.parse().unwrap())
        };
        let rate: f64 = value("optimizer.lr", 1e-3);
        (rate.log10() + 2.0).powi(2) + value("model.dropout", 0.3) + 1.0 / epochs as f64
    }

    /// Runs a wave with losses from `of`.
    fn work(search: &Search, history: &mut History, wave: &Wave, of: &Losses<'_>) {
        history.begin(search, wave);
        let results: Vec<TaskResult> = wave
            .tasks
            .iter()
            .map(|task| {
                let until = task.until.unwrap_or(EPOCHS);
                let (loss, is_over) = of(&history.trials[task.trial].settings, task.seed, until);
                let best = BTreeMap::from([(figure_name(search.monitor), Some(loss))]);
                TaskResult {
                    epochs: until as u64,
                    is_over,
                    best,
                    seconds: until as f64,
                    ..TaskResult::default()
                }
            })
            .collect();
        history.end(search, wave, &results);
    }

    /// Runs a search to its end.
    fn run(search: &Search, of: &Losses<'_>) -> (History, Vec<Wave>) {
        let (mut history, mut waves) = (History::default(), Vec::new());
        loop {
            let searched = if history.rounds == 0 { search_wave(search, &history) } else { None };
            let next =
                searched.or_else(|| confirmation_wave(search, &history)).or_else(|| test_wave(&history));
            let Some(wave) = next else { return (history, waves) };
            work(search, &mut history, &wave, of);
            waves.push(wave);
            assert!(waves.len() < 200, "it ends");
        }
    }

    fn plain(settings: &[(String, String)], _: u64, epochs: usize) -> (f64, bool) {
        (loss(settings, epochs), epochs == EPOCHS)
    }

    #[test]
    fn one_in_three_is_promoted_at_each_rung_and_the_best_is_trained_in_full() {
        let search = search(SearchMethod::Random, 27);
        let (history, waves) = run(&search, &plain);
        assert_eq!(search.rungs(), [3, 9, 27]);
        let at =
            |rung: usize| history.trials[1..].iter().filter(|trial| trial.loss_at(rung).is_some()).count();
        let reached = [at(3), at(9), at(27)];
        assert_eq!(reached[0], 27);
        // In waves, some trials are promoted that later ones overtake.
        assert!((9..=14).contains(&reached[1]) && (3..=7).contains(&reached[2]), "{reached:?}");
        let best = (1..28).min_by(|&left, &right| {
            let loss = |trial: usize| loss(&history.trials[trial].settings, 3);
            loss(left).total_cmp(&loss(right))
        });
        assert_eq!(history.complete(&search).first(), best.as_ref());
        assert!(
            waves.iter().all(|wave| wave.stage != WaveStage::Search || wave.tasks.len() <= search.wave + 1)
        );
        assert_eq!(waves.last().unwrap().stage, WaveStage::Test);
    }

    #[test]
    fn a_budget_in_epochs_is_kept_and_the_expected_cost_is_close() {
        let mut search = search(SearchMethod::Random, 1000);
        search.epochs = Some(400);
        let (history, _) = run(&search, &plain);
        assert!((330..=400).contains(&history.epochs()), "{}", history.epochs());
        let (trials, epochs) = expected_cost(&search);
        let begun = history.trials.len() - 1;
        assert!(epochs <= 400 && trials.abs_diff(begun) < begun / 3, "{trials} expected, {begun} begun");
        search.epochs = None;
        search.seconds = Some(200.0);
        let (history, _) = run(&search, &plain);
        // The wave during which the time runs out is finished.
        assert!((200.0..400.0).contains(&history.seconds()), "{}", history.seconds());
    }

    #[test]
    fn estimators_find_lower_losses_than_chance() {
        let mean = |method: SearchMethod| {
            let best = (0..20).map(|seed| {
                let mut search = search(method, 40);
                search.seed = seed;
                let (history, _) = run(&search, &plain);
                loss(&history.trials[history.complete(&search)[0]].settings, EPOCHS)
            });
            best.sum::<f64>() / 20.0
        };
        let [random, tpe] = [SearchMethod::Random, SearchMethod::Tpe].map(mean);
        // Even the best settings keep this loss after 27 epochs.
        let floor = 1.0 / EPOCHS as f64;
        assert!(tpe - floor < 0.7 * (random - floor), "tpe {tpe}, random {random}");
    }

    #[test]
    fn proposals_follow_from_the_seed_and_no_two_are_equal() {
        let waves = |seed: u64| {
            let mut search = search(SearchMethod::Tpe, 30);
            search.seed = seed;
            run(&search, &plain).1
        };
        assert_eq!(waves(3), waves(3));
        assert_ne!(waves(3), waves(4));
        let mut few = search(SearchMethod::Random, 50);
        let choices = ["0.01", "0.02", "0.05"].map(str::to_owned).to_vec();
        few.space = vec![Dimension { domain: Domain::Choices(choices), ..few.space[0].clone() }];
        assert_eq!(run(&few, &plain).0.trials.len(), 4, "the base and three different trials");
    }

    #[test]
    fn a_training_that_ends_early_counts_at_every_rung() {
        let search = search(SearchMethod::Random, 9);
        let (history, _) = run(&search, &|settings, _, epochs| (loss(settings, epochs), true));
        assert!(history.trials[1..].iter().all(|trial| trial.loss_at(27).is_some()));
        assert_eq!(history.complete(&search).len(), 9);
    }

    #[test]
    fn every_seed_of_the_search_counts_before_a_trial_is_compared() {
        let mut search = search(SearchMethod::Random, 6);
        search.seeds = vec![7, 8];
        // Training ends early with one seed, not with the other.
        let (history, _) =
            run(&search, &|settings, seed, epochs| (loss(settings, epochs) + seed as f64, seed == 7));
        let whole = history.trials[1..].iter().filter(|trial| trial.loss_at(27).is_some()).count();
        assert!((1..=3).contains(&whole), "{whole}");
        let (rung, mean) = history.trials[1].last().unwrap();
        assert!((mean - loss(&history.trials[1].settings, rung) - 7.5).abs() < 1e-9);
    }

    #[test]
    fn fresh_seeds_decide_and_a_close_call_gets_more_of_them() {
        let search = search(SearchMethod::Random, 9);
        // The search's seed flatters some trials; with fresh seeds all are equal, except for noise.
        let noisy = |settings: &[(String, String)], seed: u64, epochs: usize| {
            let noise = Stream::new(seed, Purpose::Sampling, &[loss(settings, 1).to_bits()]).uniform();
            (if seed == 7 { loss(settings, epochs) } else { 0.5 + 0.1 * noise }, false)
        };
        let (history, waves) = run(&search, &noisy);
        let rounds = waves.iter().filter(|wave| matches!(wave.stage, WaveStage::Confirmation(_))).count();
        assert!((2..=3).contains(&rounds), "{rounds}");
        let (ranked, first) = (history.ranked(), history.winner().unwrap());
        let more = ranked.iter().filter(|&&trial| history.trials[trial].confirmed.len() > 3);
        assert_eq!(
            more.collect::<Vec<_>>(),
            ranked[..2].iter().collect::<Vec<_>>(),
            "the two of the close call"
        );
        assert_eq!(history.trials[first].tested.len(), history.trials[first].confirmed.len());
        let tested = history.trials.iter().filter(|trial| !trial.tested.is_empty()).count();
        assert_eq!(tested, 1, "the test data is seen by the winner alone");
        // A clear case needs one round.
        let clear = run(&search, &plain).1;
        assert_eq!(clear.iter().filter(|wave| matches!(wave.stage, WaveStage::Confirmation(_))).count(), 1);
    }

    #[test]
    fn fresh_seeds_of_folds_are_whole_cross_validations() {
        let mut search = search(SearchMethod::Random, 9);
        (search.seeds, search.folds) = ((0..5).collect(), Some(5));
        assert_eq!(search.fresh_seeds(0), (5..10).collect::<Vec<u64>>());
        assert_eq!(search.fresh_seeds(1), (10..15).collect::<Vec<u64>>());
    }

    #[test]
    fn a_figure_that_is_better_higher_is_maximized() {
        let mut search = search(SearchMethod::Random, 9);
        search.monitor = Monitor::ValidationAccuracy;
        let (history, _) = run(&search, &|settings, _, epochs| (-loss(settings, epochs), false));
        let best = history.complete(&search)[0];
        let least =
            (1..10).map(|trial| loss(&history.trials[trial].settings, 3)).fold(f64::INFINITY, f64::min);
        assert_eq!(loss(&history.trials[best].settings, 3), least);
    }

    #[test]
    fn trials_that_fail_use_up_the_budget_too() {
        let mut search = search(SearchMethod::Random, 1_000_000);
        search.epochs = Some(60);
        let mut history = History::default();
        for _ in 0..20 {
            let Some(wave) = search_wave(&search, &history) else { return };
            history.begin(&search, &wave);
            let failed = TaskResult { error: Some("loss became NaN".to_owned()), ..TaskResult::default() };
            history.end(&search, &wave, &vec![failed; wave.tasks.len()]);
        }
        panic!("twenty waves for sixty epochs");
    }

    #[test]
    fn estimators_reach_every_point_of_a_small_space() {
        let mut small = search(SearchMethod::Tpe, 27);
        let choices = |count: usize| (1..=count).map(|index| format!("0.{index:02}")).collect();
        for (dimension, count) in small.space.iter_mut().zip([3, 9]) {
            dimension.domain = Domain::Choices(choices(count));
        }
        assert_eq!(run(&small, &plain).0.trials.len(), 28);
    }

    #[test]
    fn a_wave_that_does_not_continue_the_search_is_recognized() {
        let search = search(SearchMethod::Random, 9);
        let first = search_wave(&search, &History::default()).unwrap();
        assert!(first.fits(&search, 0) && !first.fits(&search, 1));
        let mut strange = first.clone();
        strange.tasks[0].trial = 99;
        let mut short = first;
        short.begun[1].coordinates.pop();
        assert!(!strange.fits(&search, 0) && !short.fits(&search, 0));
    }
}
