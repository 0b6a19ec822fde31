//! What may change when a run is resumed, and what may not.

use std::fs;

use crate::experiments::{COSINE, LONG};
use crate::program::{Ended, Workplace, wait_for};
use crate::run_folder::RunFolder;

/// A run that was interrupted in its second epoch or later.
fn interrupted(workplace: &Workplace) -> RunFolder {
    let mut process = workplace.start_training(&[LONG]);
    process.wait_for_stderr("epoch 1/300 done");
    process.signal("INT");
    process.wait().expect(130);
    workplace.only_run()
}

/// Resumes with `overrides`, which must be refused with no trace.
#[track_caller]
fn refused(workplace: &Workplace, run: &RunFolder, overrides: &[&str]) -> Ended {
    let before = run.snapshot();
    let ended = workplace.run(&[&["resume", run.text()], overrides].concat()).expect(2);
    run.expect_unchanged(&before);
    ended
}

#[test]
fn a_changed_setting_is_refused_by_name_and_leaves_no_trace() {
    let workplace = Workplace::new(COSINE);
    let run = interrupted(&workplace);
    refused(&workplace, &run, &["model.hidden=[3]"]).says(&["model.hidden = [3] (was [32, 16])"]);
    refused(&workplace, &run, &["optimizer.lr=1"]).says(&["optimizer.lr = 1.0 (was 0.001)"]);
    refused(&workplace, &run, &["data.limit=10"]).says(&["data.limit = 10 (was left out)"]);
    refused(&workplace, &run, &["seed=1", "training.epochs=3"]).says(&["seed = 1", "training.epochs = 3"]);
    // Settings that could not even be trained with.
    refused(&workplace, &run, &["data.limit=10", "training.drop_last=true"]).says(&["data.limit = 10"]);
    refused(&workplace, &run, &["loss.class_weights=[1.0]"]).says(&["loss.class_weights"]);
    refused(&workplace, &run, &["data.source=\"csv\"", "data.path=\"none.csv\""]).says(&["data.source"]);
    refused(&workplace, &run, &["model.hiden=[3]"]).says(&["model.hidden"]);
}

#[test]
fn a_changed_setting_is_refused_before_the_first_checkpoint_too() {
    let workplace = Workplace::new(COSINE);
    // An epoch of many slow steps: its end is the first checkpoint.
    let slow = ["model.hidden=[2048, 2048]", "training.batch_size=1", "checkpoint.interval_steps=1000000"];
    let process = workplace.start_training(&slow);
    let run = workplace.only_run();
    // Its files are being written until it trains; the time log is the last.
    wait_for("the run to train", || run.file("timings.jsonl").exists().then_some(()));
    process.signal("KILL");
    process.wait();
    assert!(run.checkpoints().is_empty());
    refused(&workplace, &run, &["model.hidden=[3]"]).says(&["model.hidden = [3] (was [2048, 2048])"]);
}

#[test]
fn an_edited_config_in_the_run_folder_is_refused() {
    let workplace = Workplace::new(COSINE);
    let run = interrupted(&workplace);
    let config = run.read("config.toml");
    let edited = config.replace("dropout = 0.2", "dropout = 0.3");
    assert_ne!(config, edited);
    fs::write(run.file("config.toml"), edited).unwrap();
    refused(&workplace, &run, &[]).says(&["model.dropout = 0.3 (was 0.2)"]);
    fs::write(run.file("config.toml"), config).unwrap();
    workplace.run(&["resume", run.text()]).expect(0);
}

#[test]
fn limits_and_views_may_change() {
    let undisturbed = Workplace::new(COSINE).train(&[LONG]).result();
    let workplace = Workplace::new(COSINE);
    let run = interrupted(&workplace);
    let allowed = ["training.max_time=600", "dashboard.ui=\"none\"", "evaluation.batch_size=100"];
    workplace.run(&[&["resume", run.text()], &allowed[..]].concat()).expect(0);
    run.result().expect_same(&undisturbed);
}

#[test]
fn a_finished_run_stays_as_it_is() {
    let workplace = Workplace::new(COSINE);
    let run = workplace.train(&[]);
    let before = run.snapshot();
    for _ in 0..2 {
        workplace.run(&["resume", run.text()]).expect(0).says(&["is finished"]);
        run.expect_unchanged(&before);
    }
}

#[test]
fn the_run_goes_by_its_folder_its_name_its_id_or_latest() {
    let workplace = Workplace::new(COSINE);
    let run = workplace.train(&["training.epochs=1"]);
    let id = run.path().file_name().unwrap().to_str().unwrap();
    for name in [run.text(), "cosine", "latest", id, &id[..13], &format!("cosine/{id}")] {
        workplace.run(&["resume", name]).expect(0).says(&["is finished"]);
    }
    workplace.run(&["resume", "cosinus"]).expect(1).says(&["cosine"]);
}
