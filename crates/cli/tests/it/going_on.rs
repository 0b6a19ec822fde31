//! Runs that become longer than they were, and runs that begin with another's weights.

use crate::experiments::{COSINE, PLATEAU};
use crate::program::Workplace;

#[test]
fn a_finished_run_goes_on_as_if_it_had_been_longer_from_the_beginning() {
    let whole = Workplace::new(PLATEAU).train(&["training.epochs=9"]).result();
    let workplace = Workplace::new(PLATEAU);
    let run = workplace.train(&["training.epochs=4"]);
    let longer = ["resume", run.text(), "training.epochs=9", "--ui", "plain", "--no-report"];
    workplace.run(&longer).expect(0).says(&["going on in epoch 5 of 9"]);
    run.result().expect_same(&whole);
    assert!(run.read("config.toml").contains("epochs = 9"));
    assert!(run.read("overrides.txt").ends_with("training.epochs=9\n"), "{}", run.read("overrides.txt"));
    let again = workplace.run(&["resume", run.text()]).expect(0);
    let words = format!("`kiln resume {} training.epochs=18` makes it longer", run.text());
    again.says(&["nothing is left to do", &words]);
}

#[test]
fn early_stopping_can_be_given_more_patience() {
    let patience = |patience: &str| {
        let early = "early_stopping.enabled=true";
        Workplace::new(PLATEAU).train(&["training.epochs=40", early, patience]).result()
    };
    let whole = patience("early_stopping.patience=4");
    let workplace = Workplace::new(PLATEAU);
    let early = ["training.epochs=40", "early_stopping.enabled=true", "early_stopping.patience=1"];
    let run = workplace.train(&early);
    assert!(run.status()["epoch"].as_u64().unwrap() < 40, "it stopped early");
    // More epochs alone are none: it would have stopped there all the same.
    let before = run.result();
    workplace.run(&["resume", run.text(), "training.epochs=60", "--ui", "none", "--no-report"]).expect(0);
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
    workplace.run(&more).expect(0);
    run.result().expect_same(&whole);
    assert!(!run.read("config.toml").contains("max_time = 1000"), "that was for one process");
}

#[test]
fn a_schedule_that_spans_the_training_is_not_made_longer() {
    let workplace = Workplace::new(COSINE);
    let run = workplace.train(&["training.epochs=2"]);
    let before = run.snapshot();
    let ended = workplace.run(&["resume", run.text(), "training.epochs=4"]).expect(2);
    let again = workplace.run(&["resume", run.text()]).expect(0);
    again.says(&["nothing is left to do", &format!("`kiln train FILE --from {}`", run.text())]);
    ended.says(&["training.epochs = 4 (was 2)", "spans its whole training", "kiln train --from RUN"]);
    workplace.run(&["resume", run.text(), "training.epochs=1"]).expect(2);
    run.expect_unchanged(&before);
}

#[test]
fn a_run_begins_with_the_weights_of_another_and_needs_it_no_more() {
    let workplace = Workplace::new(COSINE);
    let first = workplace.train(&["training.epochs=3"]);
    let from = ["--from", first.text(), "seed=7", "training.epochs=2"];
    let one = workplace.train(&from).result();
    let tuned = Workplace::new(COSINE).train(&["seed=7", "training.epochs=2"]).result();
    assert_ne!(one.weights(), tuned.weights());
    // Killed before its first checkpoint or after, the run is the same.
    let mut process = workplace.start_training(&[
        "--from",
        first.text(),
        "seed=7",
        "training.epochs=2",
        "backend.threads=1",
    ]);
    process.wait_for_stderr("begins with the weights of");
    process.signal("KILL");
    process.wait();
    std::fs::remove_dir_all(first.path()).unwrap();
    let killed = workplace.runs().into_iter().find(|run| run.status()["state"] == "running").unwrap();
    workplace.run(&["resume", killed.text(), "--ui", "none", "--no-report"]).expect(0);
    killed.result().expect_same(&one);
}

#[test]
fn weights_of_other_layers_are_refused_before_a_run_is_made() {
    let workplace = Workplace::new(COSINE);
    let run = workplace.train(&["training.epochs=1"]);
    let ended =
        workplace.run(&["train", "experiment.toml", "--from", run.text(), "model.hidden=[8]"]).expect(1);
    ended.says(&["layers.0.weight", "expected shape [64, 8], found shape [64, 32]"]);
    workplace.run(&["train", "experiment.toml", "--from", "nosuch"]).expect(1).says(&["no run \"nosuch\""]);
    assert_eq!(workplace.runs().len(), 1);
}

#[test]
fn the_same_experiment_again_is_told_of_its_interrupted_run() {
    let workplace = Workplace::new(COSINE);
    let mut process = workplace.start_training(&["training.epochs=200"]);
    process.wait_for_stderr("epoch 1/200 done");
    process.signal("KILL");
    process.wait();
    let interrupted = workplace.only_run();
    let mut process = workplace.start_training(&["training.epochs=200"]);
    process.wait_for_stderr("epoch 1/200 done");
    let told = process.stderr();
    process.signal("TERM");
    process.wait().expect(130).says(&["stopped by SIGTERM after step", "and all of it is saved"]);
    assert!(
        told.contains(&format!(
            "`kiln resume artifacts/cosine/{}",
            interrupted.path().file_name().unwrap().to_string_lossy()
        )),
        "{told}"
    );
}
