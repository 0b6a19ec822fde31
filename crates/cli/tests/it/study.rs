//! Studies: many runs in worker processes, in spite of kills, signals and failed trials.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{Random, TestFolder, send, wait_for};

const BASE: &str = r#"
name = "base"
[data]
validation = 0
limit = 400
[model]
hidden = [16]
dropout = 0.2
[training]
epochs = 6
batch_size = 32
[checkpoint]
interval_steps = 5
[dashboard]
log_interval = 5
"#;

/// Two trials that are the same computation and one that differs, with two seeds.
const STUDY: &str = r#"
name = "small"
base = "experiment.toml"
seeds = [0, 1]
[[trial]]
name = "nll"
overrides = { loss.name = "nll" }
[[trial]]
name = "cross-entropy"
overrides = { loss.name = "cross-entropy" }
[[trial]]
name = "sgd"
overrides = { optimizer.name = "sgd", optimizer.lr = 0.1 }
"#;

fn test_folder(study: &str) -> TestFolder {
    TestFolder::with_study(BASE, study)
}

fn folder(test_folder: &TestFolder) -> PathBuf {
    test_folder.artifacts().join("studies/small")
}

/// The leaderboard without its last column, which is a time.
fn leaderboard(test_folder: &TestFolder) -> Vec<String> {
    let text = fs::read_to_string(folder(test_folder).join("leaderboard.csv")).unwrap();
    text.lines().map(|line| line.rsplit_once(',').unwrap().0.to_owned()).collect()
}

fn results(test_folder: &TestFolder) -> Value {
    serde_json::from_str(&fs::read_to_string(folder(test_folder).join("study.json")).unwrap()).unwrap()
}

/// Every run folder of the study, with its current step.
fn runs(test_folder: &TestFolder) -> BTreeMap<PathBuf, u64> {
    let below = |folder: PathBuf| {
        let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
        // A name that starts with a dot is an unfinished folder.
        let is_whole = |path: &PathBuf| !path.file_name().unwrap().to_string_lossy().starts_with('.');
        entries.filter(|path| path.is_dir() && is_whole(path)).collect::<Vec<_>>()
    };
    let names = below(folder(test_folder).join("trials")).into_iter().flat_map(below);
    let folders = names.flat_map(below).filter(|path| path.join("status.json").is_file());
    folders
        .map(|folder| {
            let status: Value =
                serde_json::from_str(&fs::read_to_string(folder.join("status.json")).unwrap()).unwrap();
            (folder, status["step"].as_u64().unwrap())
        })
        .collect()
}

#[test]
fn a_study_ranks_its_trials_names_shared_traces_and_trains_nothing_twice() {
    let test_folder = test_folder(STUDY);
    let first = test_folder.run_study(&[]).expect(0);
    assert_eq!(first.stdout.lines().next_back(), Some("artifacts/studies/small"));
    let results = results(&test_folder);
    assert_eq!(results["shared_traces"], serde_json::json!([["nll", "cross-entropy"]]));
    assert_eq!(results["trials"].as_array().unwrap().len(), 3);
    for name in
        ["leaderboard.md", "leaderboard.html", "analysis.md", "intervals.svg", "loss.png", "accuracy.svg"]
    {
        assert!(fs::metadata(folder(&test_folder).join(name)).unwrap().len() > 200, "{name}");
    }
    let runs_before = runs(&test_folder);
    assert_eq!(runs_before.len(), 6);
    let board = fs::read_to_string(folder(&test_folder).join("leaderboard.csv")).unwrap();
    test_folder.run_study(&[]).expect(0).says(&["6 runs, 6 of them finished before"]);
    assert_eq!(runs(&test_folder), runs_before);
    assert_eq!(fs::read_to_string(folder(&test_folder).join("leaderboard.csv")).unwrap(), board);
}

#[test]
fn figures_do_not_depend_on_the_number_of_workers() {
    let [one, three] = ["1", "3"].map(|jobs| {
        let test_folder = test_folder(STUDY);
        test_folder.run_study(&["--jobs", jobs]).expect(0);
        leaderboard(&test_folder)
    });
    assert_eq!(one, three);
}

#[test]
fn a_study_that_is_killed_again_and_again_ends_as_one_that_was_not() {
    let undisturbed = test_folder(STUDY);
    let started = Instant::now();
    undisturbed.run_study(&[]).expect(0);
    let whole = started.elapsed();
    let mut random = Random::new(5);
    let disturbed = test_folder(STUDY);
    let mut before = BTreeMap::new();
    for _ in 0..5 {
        let process = disturbed.start(&["study", "study.toml", "--ui", "none"]);
        thread::sleep(whole.mul_f64(random.fraction() * 0.6));
        process.signal("KILL");
        process.wait();
        before.append(&mut finished(&disturbed));
    }
    disturbed.run_study(&[]).expect(0);
    are_left_alone(&disturbed, &before);
    assert_eq!(leaderboard(&disturbed), leaderboard(&undisturbed));
    assert_eq!(runs(&disturbed).len(), 6, "a started run is resumed, not repeated");
}

/// Checks that runs that were finished before a kill still have the same metric log.
fn are_left_alone(test_folder: &TestFolder, before: &BTreeMap<PathBuf, Vec<u8>>) {
    let now = finished(test_folder);
    for (path, log) in before {
        assert_eq!(now.get(path), Some(log), "{}", path.display());
    }
}

fn finished(test_folder: &TestFolder) -> BTreeMap<PathBuf, Vec<u8>> {
    let runs = runs(test_folder).into_keys();
    let status = |folder: &PathBuf| fs::read_to_string(folder.join("status.json")).unwrap();
    let finished = runs.filter(|folder| status(folder).contains("\"state\": \"finished\""));
    finished.map(|folder| (folder.clone(), fs::read(folder.join("metrics.jsonl")).unwrap())).collect()
}

#[test]
fn ctrl_c_stops_all_workers_with_a_checkpoint_and_the_study_resumes() {
    let undisturbed = test_folder(STUDY);
    let long = "training.epochs=40";
    undisturbed.run_study(&[long]).expect(0);
    let disturbed = test_folder(STUDY);
    let process = disturbed.start(&["study", "study.toml", long, "--ui", "plain"]);
    wait_for("two workers", || {
        (runs(&disturbed).values().filter(|step| **step > 0).count() >= 2).then_some(())
    });
    process.signal("INT");
    process
        .wait()
        .expect(130)
        .says(&["stopped by Ctrl-C", "resume with `kiln study study.toml training.epochs=40`"]);
    for folder in runs(&disturbed).into_keys() {
        let status = fs::read_to_string(folder.join("status.json")).unwrap();
        assert!(!status.contains("\"running\""), "{status}");
    }
    disturbed.run_study(&[long]).expect(0).says(&["resuming"]);
    assert_eq!(leaderboard(&disturbed), leaderboard(&undisturbed));
}

#[test]
fn under_nohup_neither_a_study_nor_its_workers_heed_the_end_of_the_terminal() {
    let test_folder = test_folder(STUDY);
    let process = test_folder.start_without_hangup(&[
        "study",
        "study.toml",
        "seeds=[0]",
        "training.epochs=300",
        "--ui",
        "none",
    ]);
    let worker = wait_for("a worker", || {
        let (folder, _) = runs(&test_folder).into_iter().find(|(_, step)| *step > 0)?;
        // `process 1234 on host`
        let holder = fs::read_to_string(folder.join("lock")).unwrap();
        holder.split(' ').nth(1).map(str::to_owned)
    });
    send("HUP", &worker);
    process.signal("HUP");
    process.wait().expect(0);
    assert_eq!(finished(&test_folder).len(), 3);
}

#[test]
fn workers_do_not_outlive_a_study_that_is_killed() {
    let test_folder = test_folder(STUDY);
    let process = test_folder.start(&["study", "study.toml", "training.epochs=100000", "--ui", "none"]);
    wait_for("a worker", || runs(&test_folder).values().any(|step| *step > 0).then_some(()));
    process.signal("KILL");
    process.wait();
    wait_for("the end of every worker", || {
        let running = runs(&test_folder)
            .into_keys()
            .any(|folder| fs::read_to_string(folder.join("status.json")).unwrap().contains("\"running\""));
        (!running).then_some(())
    });
    thread::sleep(Duration::from_millis(100));
    let steps = runs(&test_folder);
    thread::sleep(Duration::from_millis(200));
    assert_eq!(runs(&test_folder), steps);
}

#[test]
fn a_trial_that_diverges_fails_alone_with_its_diagnosis() {
    let failing = format!(
        "{STUDY}\n[[trial]]\nname = \"diverging\"\noverrides = {{ optimizer.name = \"sgd\", optimizer.lr = 1e6, \
         model.activation = \"relu\", model.hidden = [16, 16, 16] }}\n"
    );
    let test_folder = test_folder(&failing);
    let ended =
        test_folder.run_study(&["seeds=[0]"]).expect(1).says(&["FAILED: loss became", "failed: diverging"]);
    assert!(ended.stdout.contains("diverging: optimizer.lr=0.1 (now 1000000)"), "{}", ended.stdout);
    let results = results(&test_folder);
    let trials = results["trials"].as_array().unwrap();
    assert_eq!(trials.iter().filter(|trial| trial["rank"].is_u64()).count(), 3);
    assert_eq!(trials[3]["seeds"][0]["verdicts"], serde_json::json!(["exploding", "failed"]));
    test_folder.run_study(&["seeds=[0]"]).expect(1).says(&["4 runs, 3 of them finished before", "resuming"]);
}

#[test]
fn an_expectation_that_must_hold_and_does_not_is_a_verdict() {
    let expect = |value: &str, rest: &str| {
        format!(
            "{STUDY}\n[[expect]]\ntrial = \"sgd\"\nsource = \"test\"\nfigures = {{ test_accuracy = {value} }}\n\
             tolerance = 0.3\n{rest}"
        )
    };
    test_folder(&expect("0.8", "")).run_study(&["seeds=[0]"]).expect(0);
    test_folder(&expect("0.1", ""))
        .run_study(&["seeds=[0]"])
        .expect(3)
        .says(&["not reproduced: sgd: test_accuracy"]);
    test_folder(&expect("0.1", "must_hold = false")).run_study(&["seeds=[0]"]).expect(0);
}

#[test]
fn two_studies_of_one_name_do_not_run_at_once() {
    let test_folder = test_folder(STUDY);
    let process = test_folder.start(&["study", "study.toml", "training.epochs=100000", "--ui", "none"]);
    wait_for("a worker", || runs(&test_folder).values().next().map(|_| ()));
    test_folder.run_study(&[]).expect(1).says(&["another process is running the study"]);
    process.signal("INT");
    process.wait().expect(130);
}

#[test]
fn nothing_is_trained_where_any_trial_is_wrong() {
    let test_folder = test_folder(&STUDY.replace("optimizer.lr = 0.1", "optimizer.lrr = 0.1"));
    test_folder
        .run_study(&[])
        .expect(2)
        .says(&["study.toml:13: unknown key `optimizer.lrr`", "`optimizer.lr`"]);
    assert!(!test_folder.artifacts().exists());
}

/// In each repeat, every row is tested once, by a network that was not trained on it.
#[test]
fn a_study_in_folds_tests_every_row_once() {
    let text = "name = \"small\"\nfolds = 4\nrepeats = 2\n[experiment]\ndata.source = \"csv\"\n\
                data.path = \"rows.csv\"\ndata.group_column = \"group\"\nmodel.hidden = [4]\n\
                training.epochs = 2\ntraining.batch_size = 8\n[[trial]]\nname = \"net\"\n";
    let test_folder = TestFolder::with_study("", text);
    let row = |row: u32| {
        format!("{}.5,{},g{},{}\n", row * 7 % 50, row * 3 % 11, row / 3, ["a", "b"][row as usize % 2])
    };
    let rows = "x,y,group,label\n".to_owned() + &(0..60).map(row).collect::<String>();
    fs::write(test_folder.path().join("rows.csv"), rows).unwrap();
    test_folder.run_study(&[]).expect(0);
    let found = results(&test_folder);
    assert_eq!((&found["folds"], &found["seeds"].as_array().unwrap().len()), (&4.into(), &8));
    assert!(found["analysis"].to_string().contains("over 2 times 4 folds"), "{}", found["analysis"]);
    let text = fs::read_to_string(folder(&test_folder).join("out_of_fold/net.csv")).unwrap();
    let mut lines = text.lines();
    assert!(lines.next().unwrap().starts_with("seed,index,true,predicted,"));
    let mut tested = [[0; 62]; 2];
    let mut seeds_of_group = BTreeMap::<(u32, u32), u64>::new();
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        let (seed, line): (u64, usize) = (cells[0].parse().unwrap(), cells[cells.len() - 1].parse().unwrap());
        let repeat = seed as usize / 4;
        tested[repeat][line] += 1;
        // Rows 0 to 2, which are lines 2 to 4, are of one group, and so on.
        let group = (repeat as u32, (line as u32 - 2) / 3);
        assert_eq!(*seeds_of_group.entry(group).or_insert(seed), seed, "group {group:?} is split");
    }
    assert!(tested.iter().all(|lines| lines[2..62].iter().all(|&times| times == 1)), "{tested:?}");
    let parts =
        |repeat: u32| -> Vec<u64> { (0..20).map(|group| seeds_of_group[&(repeat, group)] % 4).collect() };
    assert_ne!(parts(0), parts(1), "the repeats have different folds");
}
