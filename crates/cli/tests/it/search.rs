//! Searches: the trials, their order and the winner depend neither on the number of workers nor on kills.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::program::{Process, Random, TestFolder, wait_for};

const BASE: &str = "name = \"base\"\n[data]\nlimit = 400\n[model]\nhidden = [16]\n[training]\nepochs = 9\n\
                    batch_size = 16\n[checkpoint]\ninterval_steps = 20\n[dashboard]\nlog_interval = 10\n";

const SEARCH: &str = r#"
name = "tune"
base = "experiment.toml"
[search]
trials = 24
wave = 5
[search.space]
optimizer.lr = { min = 1e-4, max = 0.1, log = true }
model.hidden = { length = [1, 2], min = 8, max = 48, log = true }
model.dropout = { min = 0.0, max = 0.5, step = 0.1 }
optimizer.name = { choices = ["adam", "sgd"] }
optimizer.momentum = { min = 0.5, max = 0.95, when = { optimizer.name = "sgd" } }
[search.halving]
min_epochs = 1
[search.confirm]
best = 2
seeds = 2
repeats = 1
"#;

fn test_folder(search: &str) -> TestFolder {
    TestFolder::with_study(BASE, search)
}

fn folder(test_folder: &TestFolder) -> PathBuf {
    test_folder.artifacts().join("studies/tune")
}

fn leaderboard(test_folder: &TestFolder) -> String {
    fs::read_to_string(folder(test_folder).join("leaderboard.csv")).unwrap()
}

fn report(test_folder: &TestFolder) -> Value {
    serde_json::from_str(&fs::read_to_string(folder(test_folder).join("study.json")).unwrap()).unwrap()
}

/// The decisions of the search, wave by wave.
fn waves(test_folder: &TestFolder) -> Vec<String> {
    let searches: Vec<PathBuf> = entries(&folder(test_folder).join("searches"));
    let [search] = &searches[..] else { panic!("one search: {searches:?}") };
    let mut waves = entries(search);
    waves.sort();
    waves.iter().map(|wave| fs::read_to_string(wave).unwrap()).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// The run folders of a trial.
fn runs_of(trial: &Path) -> Vec<PathBuf> {
    let below =
        |folder: &PathBuf| entries(folder).into_iter().filter(|path| path.is_dir()).collect::<Vec<_>>();
    below(&trial.to_owned()).iter().flat_map(below).filter(|run| run.join("config.toml").is_file()).collect()
}

#[test]
fn a_search_finds_better_settings_and_tests_the_winner_alone() {
    let test_folder = test_folder(SEARCH);
    let ended = test_folder.run_study(&[]).expect(0);
    let report = report(&test_folder);
    let trials = report["trials"].as_array().unwrap();
    assert_eq!(trials.len(), 25, "24 and the base");
    let winner = report["winner"]["name"].as_str().unwrap();
    assert_eq!(trials[0]["name"], winner);
    assert!(trials[0]["test_accuracy"]["mean"].as_f64().unwrap() > 0.85, "{:#}", trials[0]);
    assert!(trials[1..].iter().all(|trial| trial["test_accuracy"].is_null()));
    let verdict = ["wins", "leads"].map(|verb| format!("- {winner} {verb}: "));
    assert!(verdict.iter().any(|words| ended.stdout.contains(words)), "{}", ended.stdout);
    let best = test_folder.path().join(report["winner"]["run"].as_str().unwrap());
    assert!(best.join("config.toml").is_file(), "the winner's best run");
    let again = folder(&test_folder).join("winner.toml");
    test_folder.run(&["config", "check", again.to_str().unwrap()]).expect(0);
    // Trials other than the winner have no test figures anywhere in their folders.
    let tested = entries(&folder(&test_folder).join("trials"))
        .iter()
        .flat_map(|trial| runs_of(trial))
        .filter(|run| run.join("evaluation/test").exists())
        .count();
    assert_eq!(tested as u64, trials[0]["test_accuracy"]["count"].as_u64().unwrap());
    // Repeated: nothing is trained or decided again.
    let (board, waves_before) = (leaderboard(&test_folder), waves(&test_folder));
    test_folder.run_study(&[]).expect(0);
    assert_eq!((leaderboard(&test_folder), waves(&test_folder)), (board, waves_before));
}

#[test]
fn a_promoted_trial_is_the_run_that_was_never_paused() {
    let test_folder = test_folder(SEARCH);
    test_folder.run_study(&[]).expect(0);
    let report = report(&test_folder);
    let trained = report["trials"].as_array().unwrap().iter().filter(|trial| trial["stage"] == "trained");
    let paused: Vec<PathBuf> =
        trained.map(|trial| test_folder.path().join(trial["runs"][0].as_str().unwrap())).collect();
    assert!(!paused.is_empty());
    for run in paused {
        let experiment = run.join("config.toml");
        let alone = test_folder.run(&["train", experiment.to_str().unwrap(), "--ui", "plain", "--no-report"]);
        let alone = alone.expect(0).run_folder(&test_folder);
        let log = |folder: &Path| {
            let text = fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
            let lines = text.lines().filter(|line| !line.contains("\"split\":\"test\"")).map(str::to_owned);
            lines.collect::<Vec<String>>()
        };
        assert_eq!(log(&run), log(alone.path()), "{}", run.display());
        // After a manual resume, the run is tested and has the weights of the run that never paused.
        test_folder.run(&["resume", run.to_str().unwrap(), "--ui", "plain", "--no-report"]).expect(0);
        let weights = |folder: &Path| {
            let status: Value =
                serde_json::from_str(&fs::read_to_string(folder.join("status.json")).unwrap()).unwrap();
            status["weights_sha256"].as_str().unwrap().to_owned()
        };
        assert_eq!(weights(&run), weights(alone.path()));
    }
}

/// The child processes of `process`.
fn family(process: &Process) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", process.id())).into_iter().flatten();
    let children = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
    children.flat_map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Kills a worker. The worker may have ended in the meantime.
fn kill(worker: &str) {
    Command::new("kill").args(["-KILL", worker]).stderr(Stdio::null()).status().unwrap();
}

/// A hundred kills with one, two and eight workers: of a worker, of the study's process, or of both, like a host that dies.
#[test]
fn a_search_that_is_killed_a_hundred_times_is_the_same_search_byte_for_byte() {
    let undisturbed = test_folder(SEARCH);
    undisturbed.run_study(&["--jobs", "1"]).expect(0);
    let mut random = Random::new(11);
    for (jobs, kills) in [("1", 34), ("2", 33), ("8", 33)] {
        let disturbed = test_folder(SEARCH);
        let start = || disturbed.start(&["study", "study.toml", "--ui", "none", "--jobs", jobs]);
        let mut process = start();
        let mut kinds = [0; 3];
        for _ in 0..kills {
            thread::sleep(Duration::from_secs_f64(0.02 + 0.12 * random.fraction()));
            let workers = family(&process);
            let kind = (random.fraction() * 3.0) as usize;
            kinds[kind] += 1;
            if kind != 0 {
                process.signal("KILL");
            }
            if kind != 1 {
                for worker in workers.iter().take(if kind == 0 { 1 } else { usize::MAX }) {
                    kill(worker);
                }
            }
            if kind != 0 {
                process.wait();
                process = start();
            }
        }
        process.wait().expect(0);
        assert!(kinds.iter().all(|&kind| kind > 3), "{kinds:?}");
        assert_eq!(waves(&disturbed), waves(&undisturbed), "{jobs} workers");
        assert_eq!(leaderboard(&disturbed), leaderboard(&undisturbed), "{jobs} workers");
        let begun_twice: Vec<PathBuf> = entries(&folder(&disturbed).join("trials"))
            .into_iter()
            .filter(|trial| runs_of(trial).len() > 1)
            .collect();
        assert!(begun_twice.is_empty(), "a started run is resumed, not repeated: {begun_twice:?}");
    }
}

#[test]
fn workers_that_come_and_go_share_a_search() {
    let alone = test_folder(SEARCH);
    alone.run_study(&["--jobs", "1"]).expect(0);
    let shared = test_folder(SEARCH);
    let first = shared.start(&["study", "study.toml", "--ui", "none", "--jobs", "1"]);
    wait_for("the plan", || folder(&shared).join("plan.json").is_file().then_some(()));
    let work = || shared.start(&["study", "work", "tune", "--ui", "plain", "--jobs", "1"]);
    let (second, third) = (work(), work());
    wait_for("a result", || (!entries(&folder(&shared).join("results")).is_empty()).then_some(()));
    second.signal("TERM");
    // It may have finished before the signal came.
    let stopped = second.wait();
    assert!([0, 130].contains(&stopped.status.code().unwrap()), "{stopped:?}");
    first.signal("KILL");
    first.wait();
    third.wait().expect(0);
    assert_eq!((leaderboard(&shared), waves(&shared)), (leaderboard(&alone), waves(&alone)));
    let status = shared.run(&["study", "status", "tune", "--json"]).expect(0);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!((&status["is_finished"], &status["running"]), (&true.into(), &Value::Array(Vec::new())));
    assert!(entries(&folder(&shared).join("leases")).is_empty());
    let watched = shared.run(&["watch", "tune"]).expect(0);
    assert!(
        watched.stdout.contains("tune: finished") && watched.stdout.contains("best so far"),
        "{}",
        watched.stdout
    );
}

#[test]
fn a_cancelled_search_stops_in_every_process_and_resumes_on_request() {
    let alone = test_folder(SEARCH);
    let long = "training.epochs=40";
    alone.run_study(&[long]).expect(0);
    let cancelled = test_folder(SEARCH);
    let process = cancelled.start(&["study", "study.toml", long, "--ui", "none", "--jobs", "1"]);
    wait_for("a result", || {
        let results = folder(&cancelled).join("results");
        (results.is_dir() && !entries(&results).is_empty()).then_some(())
    });
    cancelled.run(&["study", "cancel", "tune"]).expect(0).says(&["cancelled"]);
    process.wait().expect(130);
    cancelled.run(&["study", "work", "tune", "--ui", "none"]).expect(1).says(&["was cancelled"]);
    cancelled.run_study(&[long]).expect(0);
    assert_eq!(leaderboard(&cancelled), leaderboard(&alone));
}

#[test]
fn a_dry_run_says_what_it_would_cost_and_leaves_nothing_behind() {
    let test_folder = test_folder(SEARCH);
    let ended = test_folder.run_study(&["--dry-run"]).expect(0);
    for words in ["trial-0001", "optimizer.lr", "24 trials, at least", "compared after 1, 3 and 9 epochs"] {
        assert!(ended.stdout.contains(words), "{words}\n{}", ended.stdout);
    }
    let submitted = ["study", "submit", "study.toml", "--engine", "slurm", "--workers", "3", "--dry-run"];
    let script = test_folder.run(&submitted).expect(0).stdout;
    assert!(script.contains("# sbatch --array=0-2") && script.contains("study work"), "{script}");
    assert!(!test_folder.artifacts().exists());
}

#[test]
fn a_grid_tries_every_point_and_settings_that_fail_are_last() {
    let grid = "name = \"tune\"\nbase = \"experiment.toml\"\n[search]\nmethod = \"grid\"\n[search.space]\n\
                optimizer.lr = { choices = [0.01, 1e30] }\noptimizer.name = { choices = [\"adam\", \"sgd\"] }\n\
                optimizer.momentum = { min = 0.0, max = 0.9, step = 0.9, when = { optimizer.name = \"sgd\" } }\n\
                [search.confirm]\nbest = 1\nseeds = 1\nrepeats = 0\n";
    let test_folder = test_folder(grid);
    test_folder.run_study(&["training.epochs=2"]).expect(0);
    let report = report(&test_folder);
    let trials = report["trials"].as_array().unwrap();
    let settings: BTreeSet<String> = trials.iter().map(|trial| trial["settings"].to_string()).collect();
    assert_eq!((trials.len(), settings.len()), (7, 7), "six points and the base");
    let failed: Vec<bool> = trials.iter().map(|trial| trial["stage"] == "failed").collect();
    assert!(failed.iter().any(|&failed| failed) && failed.is_sorted(), "{failed:?}");
}
