//! Runs that stop early: signals and limits, damaged checkpoints, full disks, non-finite numbers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::{Ended, RunFolder, TestFolder, skip, wait_for};
use crate::{COSINE, ENDLESS, LONG};

#[test]
fn a_run_stopped_with_ctrl_c_saves_a_checkpoint_and_resumes_to_the_same_weights() {
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
    let test_folder = TestFolder::new(COSINE);
    let train = ["train", "experiment.toml", "--ui", "plain", "--no-report", LONG];
    let mut process = test_folder.start_without_hangup(&train);
    process.wait_for_stderr("epoch 2/300 done");
    process.signal("HUP");
    process.wait_for_stderr("epoch 20/300 done");
    process.signal("INT");
    let ended = process.wait().expect(130);
    let run = interrupted(&test_folder, &ended, "ctrl_c");
    let mut process =
        test_folder.start_without_hangup(&["resume", run.text(), "--ui", "plain", "--no-report"]);
    process.wait_for_stderr("epoch 40/300 done");
    process.signal("HUP");
    process.wait().expect(0);
    run.expect_state("finished");
}

/// Whether the tests, and therefore their child processes, ignore the signal.
fn is_ignored(signal: &str) -> bool {
    Command::new("sh").args(["-c", &format!("kill -s {signal} $$")]).status().unwrap().success()
}

fn a_signal_stops_the_run(signal: &str) {
    let test_folder = TestFolder::new(COSINE);
    let undisturbed = test_folder.train(&[LONG]).result();
    let test_folder = TestFolder::new(COSINE);
    let mut process = test_folder.start_training(&[LONG]);
    process.wait_for_stderr("epoch 2/300 done");
    process.signal(signal);
    let ended = process.wait().expect(130);
    let run = interrupted(&test_folder, &ended, "ctrl_c");
    finish(&test_folder, &run, &[]);
    run.result().expect_same(&undisturbed);
}

/// Checks the state of an interrupted run, and that the message names the command to resume it.
#[track_caller]
fn interrupted(test_folder: &TestFolder, ended: &Ended, reason: &str) -> RunFolder {
    let run = test_folder.only_run();
    run.expect_state("interrupted");
    let status = run.status();
    assert_eq!(status["stop_reason"], reason);
    assert_eq!(status["step"].as_u64(), run.checkpoints().last().copied(), "a checkpoint of the last step");
    assert_eq!(run.read("checkpoints/last"), format!("step-{}\n", status["step"]));
    let named = ended.stderr.split("kiln resume ").nth(1).and_then(|rest| rest.split('`').next());
    let named = named.unwrap_or_else(|| panic!("no command to resume in: {}", ended.stderr));
    assert_eq!(test_folder.path().join(named), run.path());
    run
}

#[track_caller]
fn finish(test_folder: &TestFolder, run: &RunFolder, overrides: &[&str]) -> Ended {
    let ended = test_folder
        .run(&[&["resume", run.text(), "--ui", "plain", "--no-report"], overrides].concat())
        .expect(0);
    run.expect_state("finished");
    ended
}

#[test]
fn ctrl_c_in_the_first_moments_leaves_a_run_that_can_be_resumed_or_none() {
    let undisturbed = TestFolder::new(COSINE).train(&[]).result();
    for _ in 0..4 {
        let test_folder = TestFolder::new(COSINE);
        let process = test_folder.start_training(&[]);
        let run = test_folder.only_run();
        process.signal("INT");
        // No exit code: killed before the handler was set. 0: the signal came too late.
        let ended = process.wait();
        assert!(matches!(ended.status.code(), None | Some(130 | 0)), "{ended:#?}");
        if ended.status.code() != Some(0) {
            finish(&test_folder, &run, &[]);
        }
        run.result().expect_same(&undisturbed);
    }
}

#[test]
fn the_second_ctrl_c_leaves_at_once_and_loses_nothing_that_was_saved() {
    let undisturbed = TestFolder::new(COSINE).train(&[LONG]).result();
    let test_folder = TestFolder::new(COSINE);
    let process = test_folder.start_training(&[LONG]);
    let run = test_folder.only_run();
    run.wait_for_checkpoint(50);
    process.signal("INT");
    process.signal("INT");
    let ended = process.wait().expect(130);
    assert!(run.checkpoints().last() >= Some(&50), "{ended:#?}");
    let list = test_folder.run(&["runs", "show", run.text()]).expect(0);
    assert!(list.stdout.contains("interrupted"), "{}", list.stdout);
    finish(&test_folder, &run, &[]);
    run.result().expect_same(&undisturbed);
}

#[test]
fn a_run_stopped_by_max_time_saves_a_checkpoint_and_resumes_to_the_same_weights() {
    let undisturbed = TestFolder::new(COSINE).train(&[LONG]).result();
    let test_folder = TestFolder::new(COSINE);
    let limits = [LONG, "training.max_time=0.05"];
    let ended = test_folder.start_training(&limits).wait().expect(130);
    let run = interrupted(&test_folder, &ended, "max_time");
    let elapsed = run.status()["elapsed_seconds"].as_f64().unwrap();
    assert!((0.04..5.0).contains(&elapsed), "{elapsed}");
    finish(&test_folder, &run, &["training.max_time=600"]);
    run.result().expect_same(&undisturbed);
}

#[test]
fn max_steps_finishes_the_run() {
    let test_folder = TestFolder::new(COSINE);
    let run = test_folder.train(&["training.max_steps=50"]);
    let status = run.status();
    assert_eq!((&status["state"], &status["stop_reason"]), (&"finished".into(), &"max_steps".into()));
    assert_eq!(status["step"], 50);
    assert_eq!(status["steps"], 50);
    assert!(status["test"]["accuracy"].is_f64());
}

#[test]
fn a_run_that_is_being_trained_is_not_resumed_by_another_process() {
    let test_folder = TestFolder::new(ENDLESS);
    let process = test_folder.start_training(&[]);
    let run = test_folder.only_run();
    run.wait_for_checkpoint(1);
    let id = process.id();
    test_folder.run(&["resume", run.text()]).expect(1).says(&[
        "another process",
        &id.to_string(),
        "is training",
    ]);
    process.signal("INT");
    process.wait().expect(130);
    run.expect_state("interrupted");
}

/// Damages a file.
type Damage = fn(&PathBuf);

/// A run that was killed with at least two checkpoints.
fn killed(test_folder: &TestFolder) -> RunFolder {
    let process = test_folder.start_training(&[]);
    let run = test_folder.only_run();
    // From here on there are always two: `checkpoint.keep_latest_k`.
    wait_for("two checkpoints", || (run.checkpoints().len() >= 2).then_some(()));
    process.signal("KILL");
    process.wait();
    run
}

fn file(run: &RunFolder, step: u64, name: &str) -> PathBuf {
    run.file("checkpoints").join(format!("step-{step}")).join(name)
}

fn flip_a_bit(path: &PathBuf) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn cut_in_half(path: &PathBuf) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

#[test]
fn the_last_checkpoint_is_passed_over_when_it_is_damaged() {
    let undisturbed = TestFolder::new(COSINE).train(&[]).result();
    let damages: [(&str, Damage); 5] = [
        ("model.safetensors", cut_in_half),
        ("model.safetensors", flip_a_bit),
        ("optimizer.safetensors", flip_a_bit),
        ("manifest.json", flip_a_bit),
        ("manifest.json", |path| fs::remove_file(path).unwrap()),
    ];
    for (name, damage) in damages {
        let test_folder = TestFolder::new(COSINE);
        let run = killed(&test_folder);
        let steps = run.checkpoints();
        let [previous, last] = [steps[steps.len() - 2], steps[steps.len() - 1]];
        damage(&file(&run, last, name));
        let ended = test_folder.run(&["resume", run.text(), "--ui", "plain", "--no-report"]).expect(0);
        let named = [&format!("step-{last}"), name, &format!("after step {previous}")];
        let ended = ended.says(&[named[0], named[1], named[2]]);
        run.expect_state("finished");
        run.result().expect_same(&undisturbed);
        assert_eq!(ended.run_folder(&test_folder).path(), run.path());
    }
}

#[test]
fn without_a_good_checkpoint_the_run_starts_over_and_says_so() {
    let undisturbed = TestFolder::new(COSINE).train(&[]).result();
    let test_folder = TestFolder::new(COSINE);
    let run = killed(&test_folder);
    let steps = run.checkpoints();
    for step in &steps {
        cut_in_half(&file(&run, *step, "model.safetensors"));
    }
    let ended = test_folder.run(&["resume", run.text(), "--ui", "plain", "--no-report"]).expect(0);
    let all = format!("all checkpoints of the run ({}) are damaged", steps.len());
    let ended = ended.says(&[&all, "from the beginning"]);
    for step in steps {
        assert!(ended.stderr.contains(&format!("step-{step}")), "{}", ended.stderr);
    }
    assert!(
        !ended.stderr.contains("the run has no checkpoint"),
        "checkpoints were saved, and are damaged: {}",
        ended.stderr
    );
    run.result().expect_same(&undisturbed);
}

#[test]
fn a_mark_that_points_nowhere_does_not_stop_a_resume() {
    let undisturbed = TestFolder::new(COSINE).train(&[]).result();
    for content in ["", "step-", "step-99999\n", "\0\0\0"] {
        let test_folder = TestFolder::new(COSINE);
        let run = killed(&test_folder);
        fs::write(run.file("checkpoints/last"), content).unwrap();
        test_folder.run(&["resume", run.text(), "--ui", "plain", "--no-report"]).expect(0);
        run.result().expect_same(&undisturbed);
    }
}

#[test]
fn a_metric_log_that_ends_in_half_a_line_is_cut_back() {
    let undisturbed = TestFolder::new(COSINE).train(&[]).result();
    let test_folder = TestFolder::new(COSINE);
    let run = killed(&test_folder);
    let mut log = run.read("metrics.jsonl");
    log.push_str("{\"split\":\"train\",\"sco");
    fs::write(run.file("metrics.jsonl"), log).unwrap();
    test_folder.run(&["resume", run.text()]).expect(0);
    run.result().expect_same(&undisturbed);
}

#[test]
fn a_damaged_side_file_does_not_stop_a_resume() {
    let undisturbed = TestFolder::new(COSINE).train(&[]).result();
    let damages: [(&str, Damage, &str); 6] = [
        ("timings.jsonl", |path| fs::remove_file(path).unwrap(), ""),
        ("timings.jsonl", cut_in_half, ""),
        ("run.json", cut_in_half, "kept as run.json.damaged"),
        ("run.json", |path| fs::remove_file(path).unwrap(), ""),
        ("status.json", cut_in_half, "no readable status.json"),
        ("status.json", |path| fs::remove_file(path).unwrap(), "no readable status.json"),
    ];
    for (name, damage, said) in damages {
        let test_folder = TestFolder::new(COSINE);
        let run = killed(&test_folder);
        damage(&run.file(name));
        let ended = test_folder.run(&["resume", run.text(), "--ui", "plain", "--no-report"]);
        ended.expect(0).says(&[said]);
        run.expect_state("finished");
        run.result().expect_same(&undisturbed);
    }
}

/// A file system in memory, unmounted on drop.
struct Mount(PathBuf);

impl Mount {
    /// Mounts it at `path`. Skips if mounting is not permitted.
    fn new(path: &Path, options: &str) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let mount = Self(path.to_owned());
        if mount.call("mount", &["-t", "tmpfs", "-o", options, "tmpfs"]) {
            return Some(mount);
        }
        skip("mounting a file system is not permitted here");
        std::mem::forget(mount);
        None
    }

    fn remount(&self, options: &str) {
        assert!(self.call("mount", &["-o", &format!("remount,{options}")]));
    }

    fn call(&self, program: &str, arguments: &[&str]) -> bool {
        let output = Command::new(program).args(arguments).arg(&self.0).output();
        output.is_ok_and(|output| output.status.success())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a killed process may still exist.
        self.call("umount", &["-l"]);
    }
}

#[test]
fn a_read_only_folder_is_reported_before_training() {
    let test_folder = TestFolder::new(COSINE);
    let Some(_mount) = Mount::new(&test_folder.artifacts(), "size=1m,ro") else { return };
    let ended = test_folder.start_training(&[]).wait().expect(1);
    ended.says(&["artifacts", "Read-only file system", "--artifacts DIR", "KILN_ARTIFACTS"]);
}

#[test]
fn a_run_that_fills_the_disk_keeps_good_checkpoints_and_resumes_to_the_same_weights() {
    let undisturbed = TestFolder::new(COSINE).train(&["training.epochs=60"]).result();
    for size in ["size=140k", "size=180k", "size=220k"] {
        let test_folder = TestFolder::new(COSINE);
        let Some(mount) = Mount::new(&test_folder.artifacts(), size) else { return };
        let process = test_folder.start_training(&["training.epochs=60"]);
        process.wait().expect(1).says(&["no space is left", "kiln resume"]);
        let run = test_folder.only_run();
        let list = test_folder.run(&["runs", "list"]).expect(0);
        assert!(!list.stdout.contains("running"), "{}", list.stdout);
        mount.remount("size=64m");
        test_folder.run(&["resume", run.text()]).expect(0);
        run.result().expect_same(&undisturbed);
    }
}

#[test]
fn a_disk_without_room_for_a_run_gets_none() {
    let test_folder = TestFolder::new(COSINE);
    let Some(_mount) = Mount::new(&test_folder.artifacts(), "size=8k") else { return };
    test_folder.start_training(&[]).wait().expect(1).says(&["no space is left"]);
    assert!(test_folder.runs().is_empty());
}

#[test]
fn a_run_folder_that_is_deleted_while_training_ends_the_run_with_a_clear_error() {
    let test_folder = TestFolder::new(ENDLESS);
    let earlier = test_folder.train(&["training.epochs=1"]);
    let before = earlier.snapshot();
    let process = test_folder.start_training(&[]);
    let is_new = |run: &RunFolder| run.path() != earlier.path();
    let run = wait_for("the second run", || test_folder.runs().into_iter().find(is_new));
    run.wait_for_checkpoint(50);
    fs::rename(run.path(), test_folder.path().join("moved")).unwrap();
    let ended = process.wait().expect(1);
    ended.says(&["error: cannot ", "its folder was removed or renamed"]);
    assert!(!run.path().exists(), "parts of a removed run must not reappear");
    earlier.expect_unchanged(&before);
    // Put back, the run resumes.
    fs::rename(test_folder.path().join("moved"), run.path()).unwrap();
    let last = run.checkpoints().last().copied().unwrap();
    let mut process = test_folder.start(&["resume", run.text(), "--ui", "plain", "--no-report"]);
    process.wait_for_stderr(&format!("after step {last}"));
    process.signal("INT");
    process.wait().expect(130);
}

#[test]
fn a_gradient_that_is_not_finite_names_step_layer_and_remedies() {
    let test_folder = TestFolder::new(COSINE);
    let blow_up = ["optimizer.name=\"sgd\"", "optimizer.lr=1e9", "checkpoint.interval_steps=1"];
    let ended = test_folder.start_training(&blow_up).wait().expect(1);
    let ended = ended.says(&["at step ", "layer", "optimizer.lr", "training.max_norm", "checkpoint of step"]);
    let run = test_folder.only_run();
    run.expect_state("failed");
    let status = run.status();
    assert_eq!(status["stop_reason"], "error");
    assert!(ended.stderr.contains(status["error"].as_str().unwrap()), "{status:#}");
    let kept = run.checkpoints().last().copied().unwrap();
    assert!(ended.stderr.contains(&format!("checkpoint of step {kept} is kept")), "{}", ended.stderr);
    // Resuming fails in the same way: the checkpoint is good, and nothing is random.
    let again = test_folder.run(&["resume", run.text(), "--ui", "plain", "--no-report"]).expect(1);
    assert_eq!(again.stderr.lines().next_back(), ended.stderr.lines().next_back());
}

#[test]
fn without_a_checkpoint_the_message_says_so() {
    let test_folder = TestFolder::new(COSINE);
    let blow_up = ["optimizer.name=\"sgd\"", "optimizer.lr=1e9"];
    test_folder.start_training(&blow_up).wait().expect(1).says(&["No checkpoint had been saved yet"]);
    assert!(test_folder.only_run().checkpoints().is_empty());
}

/// No later step would notice these weights.
#[test]
fn weights_that_are_not_finite_after_the_last_step_are_a_failure() {
    let test_folder = TestFolder::new(COSINE);
    let changes = [
        "model.hidden=[]",
        "lr_scheduler.warmup_steps=0",
        "optimizer.name=\"adam\"",
        "optimizer.lr=1e38",
        "training.epochs=1",
        "training.batch_size=2000",
    ];
    test_folder
        .start_training(&changes)
        .wait()
        .expect(1)
        .says(&["weights became NaN at step 1", "layers.0."]);
    test_folder.only_run().expect_state("failed");
}

/// The weights are finite, but no validation loss is.
#[test]
fn a_run_without_a_finite_validation_loss_has_no_best_checkpoint_and_is_resumed() {
    let test_folder = TestFolder::new("name = \"large\"\n[model]\nhidden = []\n[loss]\nname = \"mse\"\n");
    let changes =
        ["optimizer.name=\"sgd\"", "optimizer.lr=1e19", "training.epochs=1", "training.batch_size=2000"];
    test_folder.start_training(&changes).wait().expect(0);
    let run = test_folder.only_run();
    run.expect_state("finished");
    assert!(run.status()["best"].is_null(), "{:#}", run.status());
    test_folder.run(&["resume", run.text(), "--json"]).expect(0);
}
