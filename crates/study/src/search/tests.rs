//! Searches over made-up losses: what is decided, without training anything.

use std::collections::BTreeMap;

use kiln_config::random::{Purpose, Stream};

use super::confirmation::{confirmation_wave, ranked, test_wave, winner};
use super::halving::{expected, search_wave};
use super::history::History;
use super::wave::{Stage, Wave};
use super::*;
use crate::work::TaskResult;

const EPOCHS: usize = 27;

fn search(method: Method, trials: usize) -> Search {
    let real = |key: &str, min: f64, max: f64, log: bool| Dimension {
        key: key.to_owned(),
        domain: Domain::Number(Interval { min, max, log, step: None, whole: false }),
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

/// What a trial's settings come to with a seed after some epochs, and whether training is over then.
type Losses<'a> = dyn Fn(&[(String, String)], u64, usize) -> (f64, bool) + 'a;

/// A loss with its least at a rate of 0.01 and no dropout, which training brings down.
fn loss(settings: &[(String, String)], epochs: usize) -> f64 {
    let value = |key: &str, base: f64| {
        settings.iter().find(|(found, _)| found == key).map_or(base, |(_, value)| value.parse().unwrap())
    };
    let rate: f64 = value("optimizer.lr", 1e-3);
    (rate.log10() + 2.0).powi(2) + value("model.dropout", 0.3) + 1.0 / epochs as f64
}

/// Works a wave off.
fn work(search: &Search, history: &mut History, wave: &Wave, of: &Losses<'_>) {
    history.begin(search, wave);
    let results: Vec<TaskResult> = wave
        .tasks
        .iter()
        .map(|task| {
            let until = task.until.unwrap_or(EPOCHS);
            let (loss, is_over) = of(&history.trials[task.trial].settings, task.seed, until);
            let best = BTreeMap::from([(crate::work::figure_name(search.monitor), Some(loss))]);
            TaskResult { epochs: until as u64, is_over, best, seconds: until as f64, ..TaskResult::default() }
        })
        .collect();
    history.end(search, wave, &results);
}

/// The search to its end, and its waves.
fn run(search: &Search, of: &Losses<'_>) -> (History, Vec<Wave>) {
    let (mut history, mut waves) = (History::default(), Vec::new());
    loop {
        let searched = if history.rounds == 0 { search_wave(search, &history) } else { None };
        let next = searched.or_else(|| confirmation_wave(search, &history)).or_else(|| test_wave(&history));
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
fn one_in_three_goes_on_at_each_rung_and_the_best_comes_to_its_end() {
    let search = search(Method::Random, 27);
    let (history, waves) = run(&search, &plain);
    assert_eq!(search.rungs(), [3, 9, 27]);
    let at = |rung: usize| history.trials[1..].iter().filter(|trial| trial.loss_at(rung).is_some()).count();
    let reached = [at(3), at(9), at(27)];
    assert_eq!(reached[0], 27);
    // In waves, some are promoted that are overtaken later.
    assert!((9..=14).contains(&reached[1]) && (3..=7).contains(&reached[2]), "{reached:?}");
    let best = (1..28).min_by(|&left, &right| {
        let loss = |trial: usize| loss(&history.trials[trial].settings, 3);
        loss(left).total_cmp(&loss(right))
    });
    assert_eq!(history.complete(&search).first(), best.as_ref());
    assert!(waves.iter().all(|wave| wave.stage != Stage::Search || wave.tasks.len() <= search.wave + 1));
    assert_eq!(waves.last().unwrap().stage, Stage::Test);
}

#[test]
fn a_budget_in_epochs_is_kept_and_what_was_expected_is_near() {
    let mut search = search(Method::Random, 1000);
    search.epochs = Some(400);
    let (history, _) = run(&search, &plain);
    assert!((330..=400).contains(&history.epochs()), "{}", history.epochs());
    let (trials, epochs) = expected(&search);
    let begun = history.trials.len() - 1;
    assert!(epochs <= 400 && trials.abs_diff(begun) < begun / 3, "{trials} expected, {begun} begun");
    search.epochs = None;
    search.seconds = Some(200.0);
    let (history, _) = run(&search, &plain);
    // The wave in which the time is over is finished.
    assert!((200.0..400.0).contains(&history.seconds()), "{}", history.seconds());
}

#[test]
fn estimators_find_lower_losses_than_chance() {
    let mean = |method: Method| {
        let best = (0..20).map(|seed| {
            let mut search = search(method, 40);
            search.seed = seed;
            let (history, _) = run(&search, &plain);
            loss(&history.trials[history.complete(&search)[0]].settings, EPOCHS)
        });
        best.sum::<f64>() / 20.0
    };
    let [random, tpe] = [Method::Random, Method::Tpe].map(mean);
    // A third of both is what 27 epochs leave of any loss.
    let floor = 1.0 / EPOCHS as f64;
    assert!(tpe - floor < 0.7 * (random - floor), "tpe {tpe}, random {random}");
}

#[test]
fn proposals_follow_from_the_seed_and_no_two_are_equal() {
    let waves = |seed: u64| {
        let mut search = search(Method::Tpe, 30);
        search.seed = seed;
        run(&search, &plain).1
    };
    assert_eq!(waves(3), waves(3));
    assert_ne!(waves(3), waves(4));
    let mut few = search(Method::Random, 50);
    let choices = ["0.01", "0.02", "0.05"].map(str::to_owned).to_vec();
    few.space = vec![Dimension { domain: Domain::Choices(choices), ..few.space[0].clone() }];
    assert_eq!(run(&few, &plain).0.trials.len(), 4, "the base and three different trials");
}

#[test]
fn a_training_that_ends_early_has_come_to_every_rung() {
    let search = search(Method::Random, 9);
    let (history, _) = run(&search, &|settings, _, epochs| (loss(settings, epochs), true));
    assert!(history.trials[1..].iter().all(|trial| trial.loss_at(27).is_some()));
    assert_eq!(history.complete(&search).len(), 9);
}

#[test]
fn every_seed_of_the_search_counts_before_a_trial_is_compared() {
    let mut search = search(Method::Random, 6);
    search.seeds = vec![7, 8];
    // Over with one seed, not with the other.
    let (history, _) =
        run(&search, &|settings, seed, epochs| (loss(settings, epochs) + seed as f64, seed == 7));
    let whole = history.trials[1..].iter().filter(|trial| trial.loss_at(27).is_some()).count();
    assert!((1..=3).contains(&whole), "{whole}");
    let (rung, mean) = history.trials[1].last().unwrap();
    assert!((mean - loss(&history.trials[1].settings, rung) - 7.5).abs() < 1e-9);
}

#[test]
fn fresh_seeds_decide_and_a_close_call_gets_more_of_them() {
    let search = search(Method::Random, 9);
    // The search's seed flatters; on fresh seeds all trials are alike, but for noise.
    let noisy = |settings: &[(String, String)], seed: u64, epochs: usize| {
        let noise = Stream::new(seed, Purpose::Sampling, &[loss(settings, 1).to_bits()]).uniform();
        (if seed == 7 { loss(settings, epochs) } else { 0.5 + 0.1 * noise }, false)
    };
    let (history, waves) = run(&search, &noisy);
    let rounds = waves.iter().filter(|wave| matches!(wave.stage, Stage::Confirmation(_))).count();
    assert!((2..=3).contains(&rounds), "{rounds}");
    let (ranked, first) = (ranked(&history), winner(&history).unwrap());
    let more = ranked.iter().filter(|&&trial| history.trials[trial].confirmed.len() > 3);
    assert_eq!(more.collect::<Vec<_>>(), ranked[..2].iter().collect::<Vec<_>>(), "the two of the close call");
    assert_eq!(history.trials[first].tested.len(), history.trials[first].confirmed.len());
    let tested = history.trials.iter().filter(|trial| !trial.tested.is_empty()).count();
    assert_eq!(tested, 1, "the test data is seen by the winner alone");
    // A clear case needs one round.
    let clear = run(&search, &plain).1;
    assert_eq!(clear.iter().filter(|wave| matches!(wave.stage, Stage::Confirmation(_))).count(), 1);
}

#[test]
fn fresh_seeds_of_folds_are_whole_cross_validations() {
    let mut search = search(Method::Random, 9);
    (search.seeds, search.folds) = ((0..5).collect(), Some(5));
    assert_eq!(search.fresh_seeds(0), (5..10).collect::<Vec<u64>>());
    assert_eq!(search.fresh_seeds(1), (10..15).collect::<Vec<u64>>());
}

#[test]
fn a_figure_that_is_better_higher_is_maximized() {
    let mut search = search(Method::Random, 9);
    search.monitor = Monitor::ValidationAccuracy;
    let (history, _) = run(&search, &|settings, _, epochs| (-loss(settings, epochs), false));
    let best = history.complete(&search)[0];
    let least = (1..10).map(|trial| loss(&history.trials[trial].settings, 3)).fold(f64::INFINITY, f64::min);
    assert_eq!(loss(&history.trials[best].settings, 3), least);
}

#[test]
fn trials_that_fail_use_up_the_budget_too() {
    let mut search = search(Method::Random, 1_000_000);
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
fn estimators_come_to_every_point_of_a_small_space() {
    let mut small = search(Method::Tpe, 27);
    let choices = |count: usize| (1..=count).map(|index| format!("0.{index:02}")).collect();
    for (dimension, count) in small.space.iter_mut().zip([3, 9]) {
        dimension.domain = Domain::Choices(choices(count));
    }
    assert_eq!(run(&small, &plain).0.trials.len(), 28);
}

#[test]
fn a_wave_that_does_not_follow_is_told_from_one_that_does() {
    let search = search(Method::Random, 9);
    let first = search_wave(&search, &History::default()).unwrap();
    assert!(first.fits(&search, 0) && !first.fits(&search, 1));
    let mut strange = first.clone();
    strange.tasks[0].trial = 99;
    let mut short = first;
    short.begun[1].coordinates.pop();
    assert!(!strange.fits(&search, 0) && !short.fits(&search, 0));
}
