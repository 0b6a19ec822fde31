//! The same result: repeated, on every backend, and however often the run is killed, resumed or made longer.

use std::time::{Duration, Instant};
use std::{fs, thread};

use serde_json::Value;

use crate::program::{Ended, Random, RunFolder, TestFolder, wait_for};
use crate::{ACCUMULATION, COSINE, LONG, MEMBERS, PLATEAU};

#[test]
fn the_same_experiment_gives_the_same_bytes() {
    for experiment in [COSINE, PLATEAU, ACCUMULATION, MEMBERS] {
        let test_folder = TestFolder::new(experiment);
        let [first, second] = [(); 2].map(|()| test_folder.train(&[]));
        assert_ne!(first.path(), second.path());
        first.expect_state("finished");
        first.result().expect_same(&second.result());
    }
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    for experiment in [COSINE, MEMBERS] {
        let test_folder = TestFolder::new(experiment);
        let [alone, shared] =
            ["backend.threads=1", "backend.threads=3"].map(|threads| test_folder.train(&[threads]).result());
        assert_eq!(alone.metrics(), shared.metrics());
        assert_eq!(alone.weights(), shared.weights());
    }
}

#[test]
fn another_seed_gives_other_weights() {
    let test_folder = TestFolder::new(COSINE);
    let [first, second] = ["seed=42", "seed=43"].map(|seed| test_folder.train(&[seed]).result());
    assert_ne!(first.weights(), second.weights());
    assert_ne!(first.metrics(), second.metrics());
}

#[test]
fn where_and_how_often_checkpoints_are_saved_changes_no_figure() {
    let often = TestFolder::new(COSINE).train(&["checkpoint.interval_steps=3"]).result();
    let seldom = TestFolder::new(COSINE).train(&["checkpoint.interval=12"]).result();
    assert_eq!(often.metrics(), seldom.metrics());
    assert_eq!(often.weights(), seldom.weights());
}

/// Small enough to take seconds on a software GPU.
const DIGITS: &str = r#"
name = "backends"
[model]
hidden = [32]
[optimizer]
lr = 3e-3
[training]
epochs = 4
batch_size = 128
"#;

/// The compiled-in backends that find a device here.
fn working(test_folder: &TestFolder) -> Vec<String> {
    let doctor = test_folder.run(&["doctor", "--json"]).expect(0);
    let checks: Vec<Value> = serde_json::from_str(&doctor.stdout).unwrap();
    let works = |check: &&Value| !check["parity"].is_null();
    checks.iter().filter(works).map(|check| check["backend"].as_str().unwrap().to_owned()).collect()
}

/// Trains `experiment` on every working backend, and on flex with Burn's own operations. The `figure` of the test split must
/// differ by at most `within`.
fn agree(experiment: &str, figure: &str, within: f64) {
    let test_folder = TestFolder::new(experiment);
    let backends = working(&test_folder);
    assert!(backends.contains(&"flex".to_owned()), "{backends:?}");
    let mut settings: Vec<_> = backends.iter().map(|backend| format!("backend.name={backend}")).collect();
    settings.push("backend.fused=false".to_owned());
    let figures: Vec<_> = settings
        .iter()
        .map(|setting| {
            test_folder.train(&["backend.name=flex", setting]).status()["test"][figure].as_f64().unwrap()
        })
        .collect();
    let least = figures.iter().copied().fold(f64::NAN, f64::min);
    let most = figures.iter().copied().fold(f64::NAN, f64::max);
    assert!(most - least <= within, "{figure}: {settings:?}: {figures:?}");
}

#[test]
fn backends_agree_on_the_digits() {
    agree(DIGITS, "accuracy", 0.01);
}

#[test]
fn backends_agree_on_members_and_waves() {
    agree(MEMBERS, "loss", 0.01);
}

#[test]
fn backends_that_are_missing_name_the_feature() {
    let test_folder = TestFolder::new(DIGITS);
    for backend in ["rocm", "metal"] {
        let ended = test_folder.run(&["train", "experiment.toml", &format!("backend.name={backend}")]);
        assert_eq!(ended.status.code(), Some(2), "{ended:?}");
        assert!(ended.stderr.contains(&format!("--features {backend}")), "{ended:?}");
        assert!(test_folder.runs().is_empty(), "no run folder is left");
    }
}

/// Kills per experiment. `E2E_KILLS` sets another number.
const KILLS: u32 = 8;

#[test]
fn a_run_killed_under_a_cosine_schedule_with_dropout_resumes_to_the_same_weights() {
    survives_kills(COSINE, 1);
}

#[test]
fn a_run_killed_under_reduce_on_plateau_resumes_to_the_same_weights() {
    survives_kills(PLATEAU, 2);
}

#[test]
fn a_run_killed_under_gradient_accumulation_and_early_stopping_resumes_to_the_same_weights() {
    survives_kills(ACCUMULATION, 3);
}

#[test]
fn a_killed_run_with_members_that_leave_parts_out_resumes_to_the_same_weights() {
    survives_kills(MEMBERS, 4);
}

fn survives_kills(experiment: &str, seed: u64) {
    let kills = std::env::var("E2E_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let test_folder = TestFolder::new(experiment);
    let started = Instant::now();
    let undisturbed = test_folder.train(&[]).result();
    let whole = started.elapsed();
    let mut random = Random::new(seed);
    let mut done = 0;
    while done < kills {
        let test_folder = TestFolder::new(experiment);
        let (run, killed) = train_through_kills(&test_folder, whole, &mut random);
        done += killed;
        run.expect_state("finished");
        run.result().expect_same(&undisturbed);
    }
}

/// A run that is not finished after this many kills makes no progress.
const MAX_KILLS: u32 = 200;

/// Kills the training after random times, up to the duration of an undisturbed training, until it finishes. Returns the run
/// and the number of kills.
fn train_through_kills(test_folder: &TestFolder, whole: Duration, random: &mut Random) -> (RunFolder, u32) {
    let mut kills = 0;
    loop {
        assert!(kills < MAX_KILLS, "killed {kills} times, no progress: {}", test_folder.path().display());
        // Without a run folder there is nothing to resume yet.
        let run = test_folder.runs().pop();
        let process = match &run {
            Some(run) => test_folder.start(&["resume", run.text(), "--ui", "plain", "--no-report"]),
            None => test_folder.start_training(&[]),
        };
        thread::sleep(whole.mul_f64(random.fraction()));
        process.signal("KILL");
        let ended = process.wait();
        match ended.status.code() {
            None => kills += 1,
            Some(0) => return (finished_run(test_folder, &ended), kills),
            Some(_) => panic!("{ended:#?}"),
        }
    }
}

fn finished_run(test_folder: &TestFolder, ended: &Ended) -> RunFolder {
    let run = ended.run_folder(test_folder);
    assert_eq!(test_folder.runs().len(), 1, "resuming creates no second run");
    run
}

/// A run that was interrupted in its second epoch or later.
fn interrupted(test_folder: &TestFolder) -> RunFolder {
    let mut process = test_folder.start_training(&[LONG]);
    process.wait_for_stderr("epoch 1/300 done");
    process.signal("INT");
    process.wait().expect(130);
    test_folder.only_run()
}

/// Resumes with `overrides`. The run must refuse them and stay unchanged.
#[track_caller]
fn refused(test_folder: &TestFolder, run: &RunFolder, overrides: &[&str]) -> Ended {
    let before = run.snapshot();
    let ended = test_folder.run(&[&["resume", run.text()], overrides].concat()).expect(2);
    run.expect_unchanged(&before);
    ended
}

#[test]
fn a_changed_setting_is_refused_by_name_and_leaves_no_trace() {
    let test_folder = TestFolder::new(COSINE);
    let run = interrupted(&test_folder);
    refused(&test_folder, &run, &["model.hidden=[3]"]).says(&["model.hidden = [3] (was [32, 16])"]);
    refused(&test_folder, &run, &["optimizer.lr=1"]).says(&["optimizer.lr = 1.0 (was 0.001)"]);
    refused(&test_folder, &run, &["data.limit=10"]).says(&["data.limit = 10 (was left out)"]);
    refused(&test_folder, &run, &["seed=1", "training.epochs=3"]).says(&["seed = 1", "training.epochs = 3"]);
    // Settings that are invalid for any training.
    refused(&test_folder, &run, &["data.limit=10", "training.drop_last=true"]).says(&["data.limit = 10"]);
    refused(&test_folder, &run, &["loss.class_weights=[1.0]"]).says(&["loss.class_weights"]);
    refused(&test_folder, &run, &["data.source=\"csv\"", "data.path=\"none.csv\""]).says(&["data.source"]);
    refused(&test_folder, &run, &["model.hiden=[3]"]).says(&["model.hidden"]);
}

#[test]
fn a_changed_setting_is_refused_before_the_first_checkpoint_too() {
    let test_folder = TestFolder::new(COSINE);
    // An epoch of many slow steps. The first checkpoint is at its end.
    let slow = ["model.hidden=[2048, 2048]", "training.batch_size=1", "checkpoint.interval_steps=1000000"];
    let process = test_folder.start_training(&slow);
    let run = test_folder.only_run();
    // Wait until all files are written: the time log is the last.
    wait_for("the run to train", || run.file("timings.jsonl").exists().then_some(()));
    process.signal("KILL");
    process.wait();
    assert!(run.checkpoints().is_empty());
    refused(&test_folder, &run, &["model.hidden=[3]"]).says(&["model.hidden = [3] (was [2048, 2048])"]);
}

#[test]
fn an_edited_config_in_the_run_folder_is_refused() {
    let test_folder = TestFolder::new(COSINE);
    let run = interrupted(&test_folder);
    let config = run.read("config.toml");
    let edited = config.replace("dropout = 0.2", "dropout = 0.3");
    assert_ne!(config, edited);
    fs::write(run.file("config.toml"), edited).unwrap();
    refused(&test_folder, &run, &[]).says(&["model.dropout = 0.3 (was 0.2)"]);
    fs::write(run.file("config.toml"), config).unwrap();
    test_folder.run(&["resume", run.text()]).expect(0);
}

#[test]
fn limits_and_views_may_change() {
    let undisturbed = TestFolder::new(COSINE).train(&[LONG]).result();
    let test_folder = TestFolder::new(COSINE);
    let run = interrupted(&test_folder);
    let allowed = ["training.max_time=600", "dashboard.ui=\"none\"", "evaluation.batch_size=100"];
    test_folder.run(&[&["resume", run.text()], &allowed[..]].concat()).expect(0);
    run.result().expect_same(&undisturbed);
}

#[test]
fn a_finished_run_stays_as_it_is() {
    let test_folder = TestFolder::new(COSINE);
    let run = test_folder.train(&[]);
    let before = run.snapshot();
    for _ in 0..2 {
        test_folder.run(&["resume", run.text()]).expect(0).says(&["is finished"]);
        run.expect_unchanged(&before);
    }
}

#[test]
fn the_run_goes_by_its_folder_its_name_its_id_or_latest() {
    let test_folder = TestFolder::new(COSINE);
    let run = test_folder.train(&["training.epochs=1"]);
    let id = run.path().file_name().unwrap().to_str().unwrap();
    for name in [run.text(), "cosine", "latest", id, &id[..13], &format!("cosine/{id}")] {
        test_folder.run(&["resume", name]).expect(0).says(&["is finished"]);
    }
    test_folder.run(&["resume", "cosinus"]).expect(1).says(&["cosine"]);
}

#[test]
fn a_finished_run_trained_for_longer_equals_a_run_that_was_longer_from_the_beginning() {
    let whole = TestFolder::new(PLATEAU).train(&["training.epochs=9"]).result();
    let test_folder = TestFolder::new(PLATEAU);
    let run = test_folder.train(&["training.epochs=4"]);
    let longer = ["resume", run.text(), "training.epochs=9", "--ui", "plain", "--no-report"];
    test_folder.run(&longer).expect(0).says(&["resuming in epoch 5 of 9"]);
    run.result().expect_same(&whole);
    assert!(run.read("config.toml").contains("epochs = 9"));
    assert!(run.read("overrides.txt").ends_with("training.epochs=9\n"), "{}", run.read("overrides.txt"));
    let again = test_folder.run(&["resume", run.text()]).expect(0);
    let words = format!("`kiln resume {} training.epochs=18` trains it for longer", run.text());
    again.says(&["nothing is left to do", &words]);
}

#[test]
fn early_stopping_can_be_given_more_patience() {
    let patience = |patience: &str| {
        let early = "early_stopping.enabled=true";
        TestFolder::new(PLATEAU).train(&["training.epochs=40", early, patience]).result()
    };
    let whole = patience("early_stopping.patience=4");
    let test_folder = TestFolder::new(PLATEAU);
    let early = ["training.epochs=40", "early_stopping.enabled=true", "early_stopping.patience=1"];
    let run = test_folder.train(&early);
    assert!(run.status()["epoch"].as_u64().unwrap() < 40, "it stopped early");
    // More epochs alone change nothing: early stopping would have stopped the run anyway.
    let before = run.result();
    test_folder.run(&["resume", run.text(), "training.epochs=60", "--ui", "none", "--no-report"]).expect(0);
    run.result().expect_same(&before);
    let more = [
        "resume",
        run.text(),
        "early_stopping.patience=4",
        "training.max_time=1000",
        "--ui",
        "none",
        "--no-report",
    ];
    test_folder.run(&more).expect(0);
    run.result().expect_same(&whole);
    assert!(!run.read("config.toml").contains("max_time = 1000"), "valid for one process only");
}

#[test]
fn a_schedule_that_spans_the_training_is_not_made_longer() {
    let test_folder = TestFolder::new(COSINE);
    let run = test_folder.train(&["training.epochs=2"]);
    let before = run.snapshot();
    let ended = test_folder.run(&["resume", run.text(), "training.epochs=4"]).expect(2);
    let again = test_folder.run(&["resume", run.text()]).expect(0);
    again.says(&["nothing is left to do", &format!("`kiln train FILE --from {}`", run.text())]);
    ended.says(&[
        "training.epochs = 4 (was 2)",
        "the learning-rate schedule of this run depends on its length",
        "kiln train --from RUN",
    ]);
    test_folder.run(&["resume", run.text(), "training.epochs=1"]).expect(2);
    run.expect_unchanged(&before);
}

#[test]
fn a_run_begins_with_the_weights_of_another_and_needs_it_no_more() {
    let test_folder = TestFolder::new(COSINE);
    let first = test_folder.train(&["training.epochs=3"]);
    let from = ["--from", first.text(), "seed=7", "training.epochs=2"];
    let one = test_folder.train(&from).result();
    let tuned = TestFolder::new(COSINE).train(&["seed=7", "training.epochs=2"]).result();
    assert_ne!(one.weights(), tuned.weights());
    // The run is the same whether it is killed before or after its first checkpoint.
    let mut process = test_folder.start_training(&[
        "--from",
        first.text(),
        "seed=7",
        "training.epochs=2",
        "backend.threads=1",
    ]);
    process.wait_for_stderr("begins with the weights of");
    process.signal("KILL");
    process.wait();
    fs::remove_dir_all(first.path()).unwrap();
    let killed = test_folder.runs().into_iter().find(|run| run.status()["state"] == "running").unwrap();
    test_folder.run(&["resume", killed.text(), "--ui", "none", "--no-report"]).expect(0);
    killed.result().expect_same(&one);
}

#[test]
fn weights_of_other_layers_are_refused_before_a_run_is_made() {
    let test_folder = TestFolder::new(COSINE);
    let run = test_folder.train(&["training.epochs=1"]);
    let ended =
        test_folder.run(&["train", "experiment.toml", "--from", run.text(), "model.hidden=[8]"]).expect(1);
    ended.says(&["layers.0.weight", "expected shape [64, 8], found shape [64, 32]"]);
    test_folder.run(&["train", "experiment.toml", "--from", "nosuch"]).expect(1).says(&["no run \"nosuch\""]);
    assert_eq!(test_folder.runs().len(), 1);
}

#[test]
fn training_an_experiment_again_names_its_interrupted_run() {
    let test_folder = TestFolder::new(COSINE);
    let mut process = test_folder.start_training(&["training.epochs=200"]);
    process.wait_for_stderr("epoch 1/200 done");
    process.signal("KILL");
    process.wait();
    let interrupted = test_folder.only_run();
    let mut process = test_folder.start_training(&["training.epochs=200"]);
    process.wait_for_stderr("epoch 1/200 done");
    let told = process.stderr();
    process.signal("TERM");
    process.wait().expect(130).says(&["stopped by SIGTERM after step", "all progress is saved"]);
    assert!(
        told.contains(&format!(
            "`kiln resume artifacts/cosine/{}",
            interrupted.path().file_name().unwrap().to_string_lossy()
        )),
        "{told}"
    );
}
