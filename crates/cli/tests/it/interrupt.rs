//! Signals and limits: a run stops between two steps, says how to go on, and does.

use std::process::Command;

use crate::experiments::{COSINE, ENDLESS, LONG};
use crate::program::{Ended, Workplace, skip};
use crate::run_folder::RunFolder;

#[test]
fn ctrl_c_stops_with_a_checkpoint_and_the_run_goes_on_as_if_it_had_not() {
    a_signal_stops_the_run("INT");
}

#[test]
fn a_request_to_terminate_is_as_good_as_ctrl_c() {
    a_signal_stops_the_run("TERM");
}

#[test]
fn the_end_of_the_terminal_is_as_good_as_ctrl_c() {
    if is_ignored("HUP") {
        return skip("the tests were started with SIGHUP ignored, as by nohup");
    }
    a_signal_stops_the_run("HUP");
}

#[test]
fn under_nohup_neither_training_nor_resuming_heeds_the_end_of_the_terminal() {
    let workplace = Workplace::new(COSINE);
    let train = ["train", "experiment.toml", "--ui", "plain", "--no-report", LONG];
    let mut process = workplace.start_without_hangup(&train);
    process.wait_for_stderr("epoch 2/300 done");
    process.signal("HUP");
    process.wait_for_stderr("epoch 20/300 done");
    process.signal("INT");
    let ended = process.wait().expect(130);
    let run = interrupted(&workplace, &ended, "ctrl_c");
    let mut process = workplace.start_without_hangup(&["resume", run.text(), "--ui", "plain", "--no-report"]);
    process.wait_for_stderr("epoch 40/300 done");
    process.signal("HUP");
    process.wait().expect(0);
    run.expect_state("finished");
}

/// Whether the tests, and so all that they start, ignore the signal.
fn is_ignored(signal: &str) -> bool {
    Command::new("sh").args(["-c", &format!("kill -s {signal} $$")]).status().unwrap().success()
}

fn a_signal_stops_the_run(signal: &str) {
    let workplace = Workplace::new(COSINE);
    let undisturbed = workplace.train(&[LONG]).result();
    let workplace = Workplace::new(COSINE);
    let mut process = workplace.start_training(&[LONG]);
    process.wait_for_stderr("epoch 2/300 done");
    process.signal(signal);
    let ended = process.wait().expect(130);
    let run = interrupted(&workplace, &ended, "ctrl_c");
    finish(&workplace, &run, &[]);
    run.result().expect_same(&undisturbed);
}

/// Holds an interrupted run to its contract.
#[track_caller]
fn interrupted(workplace: &Workplace, ended: &Ended, reason: &str) -> RunFolder {
    let run = workplace.only_run();
    run.expect_state("interrupted");
    let status = run.status();
    assert_eq!(status["stop_reason"], reason);
    assert_eq!(status["step"].as_u64(), run.checkpoints().last().copied(), "a checkpoint of the last step");
    assert_eq!(run.read("checkpoints/last"), format!("step-{}\n", status["step"]));
    let named = ended.stderr.split("kiln resume ").nth(1).and_then(|rest| rest.split('`').next());
    let named = named.unwrap_or_else(|| panic!("no way to resume is named: {}", ended.stderr));
    assert_eq!(workplace.path().join(named), run.path());
    run
}

#[track_caller]
fn finish(workplace: &Workplace, run: &RunFolder, overrides: &[&str]) -> Ended {
    let ended = workplace
        .run(&[&["resume", run.text(), "--ui", "plain", "--no-report"], overrides].concat())
        .expect(0);
    run.expect_state("finished");
    ended
}

#[test]
fn ctrl_c_in_the_first_moments_leaves_a_run_that_can_be_resumed_or_none() {
    let undisturbed = Workplace::new(COSINE).train(&[]).result();
    for _ in 0..4 {
        let workplace = Workplace::new(COSINE);
        let process = workplace.start_training(&[]);
        let run = workplace.only_run();
        process.signal("INT");
        // By the signal itself before the handler is there, 130 after, 0 when it came too late.
        let ended = process.wait();
        assert!(matches!(ended.status.code(), None | Some(130 | 0)), "{ended:#?}");
        if ended.status.code() != Some(0) {
            finish(&workplace, &run, &[]);
        }
        run.result().expect_same(&undisturbed);
    }
}

#[test]
fn the_second_ctrl_c_leaves_at_once_and_loses_nothing_that_was_saved() {
    let undisturbed = Workplace::new(COSINE).train(&[LONG]).result();
    let workplace = Workplace::new(COSINE);
    let process = workplace.start_training(&[LONG]);
    let run = workplace.only_run();
    run.wait_for_checkpoint(50);
    process.signal("INT");
    process.signal("INT");
    let ended = process.wait().expect(130);
    assert!(run.checkpoints().last() >= Some(&50), "{ended:#?}");
    let list = workplace.run(&["runs", "show", run.text()]).expect(0);
    assert!(list.stdout.contains("interrupted"), "{}", list.stdout);
    finish(&workplace, &run, &[]);
    run.result().expect_same(&undisturbed);
}

#[test]
fn max_time_stops_with_a_checkpoint_and_the_run_goes_on_exactly() {
    let undisturbed = Workplace::new(COSINE).train(&[LONG]).result();
    let workplace = Workplace::new(COSINE);
    let limits = [LONG, "training.max_time=0.05"];
    let ended = workplace.start_training(&limits).wait().expect(130);
    let run = interrupted(&workplace, &ended, "max_time");
    let elapsed = run.status()["elapsed_seconds"].as_f64().unwrap();
    assert!((0.04..5.0).contains(&elapsed), "{elapsed}");
    finish(&workplace, &run, &["training.max_time=600"]);
    run.result().expect_same(&undisturbed);
}

#[test]
fn max_steps_finishes_the_run() {
    let workplace = Workplace::new(COSINE);
    let run = workplace.train(&["training.max_steps=50"]);
    let status = run.status();
    assert_eq!((&status["state"], &status["stop_reason"]), (&"finished".into(), &"max_steps".into()));
    assert_eq!(status["step"], 50);
    assert_eq!(status["steps"], 50);
    assert!(status["test"]["accuracy"].is_f64());
}

#[test]
fn a_run_that_is_being_trained_is_not_resumed_by_another_process() {
    let workplace = Workplace::new(ENDLESS);
    let process = workplace.start_training(&[]);
    let run = workplace.only_run();
    run.wait_for_checkpoint(1);
    let id = process.id();
    workplace.run(&["resume", run.text()]).expect(1).says(&[
        "another process",
        &id.to_string(),
        "is training",
    ]);
    process.signal("INT");
    process.wait().expect(130);
    run.expect_state("interrupted");
}
