//! Checkpoints that are no longer what was saved.

use std::fs;
use std::path::PathBuf;

use crate::experiments::COSINE;
use crate::program::{Workplace, wait_for};
use crate::run_folder::RunFolder;

/// What happens to a file.
type Damage = fn(&PathBuf);

/// A run that was killed with at least two checkpoints.
fn killed(workplace: &Workplace) -> RunFolder {
    let process = workplace.start_training(&[]);
    let run = workplace.only_run();
    // From then on there are always two: `checkpoint.keep_latest_k`.
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
    let undisturbed = Workplace::new(COSINE).train(&[]).result();
    let damages: [(&str, Damage); 5] = [
        ("model.safetensors", cut_in_half),
        ("model.safetensors", flip_a_bit),
        ("optimizer.safetensors", flip_a_bit),
        ("manifest.json", flip_a_bit),
        ("manifest.json", |path| fs::remove_file(path).unwrap()),
    ];
    for (name, damage) in damages {
        let workplace = Workplace::new(COSINE);
        let run = killed(&workplace);
        let steps = run.checkpoints();
        let [previous, last] = [steps[steps.len() - 2], steps[steps.len() - 1]];
        damage(&file(&run, last, name));
        let ended = workplace.run(&["resume", run.text(), "--ui", "plain", "--no-report"]).expect(0);
        let named = [&format!("step-{last}"), name, &format!("after step {previous}")];
        let ended = ended.says(&[named[0], named[1], named[2]]);
        run.expect_state("finished");
        run.result().expect_same(&undisturbed);
        assert_eq!(ended.run_folder(&workplace).path(), run.path());
    }
}

#[test]
fn without_a_good_checkpoint_the_run_starts_over_and_says_so() {
    let undisturbed = Workplace::new(COSINE).train(&[]).result();
    let workplace = Workplace::new(COSINE);
    let run = killed(&workplace);
    let steps = run.checkpoints();
    for step in &steps {
        cut_in_half(&file(&run, *step, "model.safetensors"));
    }
    let ended = workplace.run(&["resume", run.text(), "--ui", "plain", "--no-report"]).expect(0);
    let ended = ended.says(&["from the beginning"]);
    for step in steps {
        assert!(ended.stderr.contains(&format!("step-{step}")), "{}", ended.stderr);
    }
    assert!(
        !ended.stderr.contains("no checkpoint was saved"),
        "they were, and are damaged: {}",
        ended.stderr
    );
    run.result().expect_same(&undisturbed);
}

#[test]
fn a_mark_that_points_nowhere_does_not_stop_a_resume() {
    let undisturbed = Workplace::new(COSINE).train(&[]).result();
    for content in ["", "step-", "step-99999\n", "\0\0\0"] {
        let workplace = Workplace::new(COSINE);
        let run = killed(&workplace);
        fs::write(run.file("checkpoints/last"), content).unwrap();
        workplace.run(&["resume", run.text(), "--ui", "plain", "--no-report"]).expect(0);
        run.result().expect_same(&undisturbed);
    }
}

#[test]
fn a_metric_log_that_ends_in_half_a_line_is_cut_back() {
    let undisturbed = Workplace::new(COSINE).train(&[]).result();
    let workplace = Workplace::new(COSINE);
    let run = killed(&workplace);
    let mut log = run.read("metrics.jsonl");
    log.push_str("{\"split\":\"train\",\"sco");
    fs::write(run.file("metrics.jsonl"), log).unwrap();
    workplace.run(&["resume", run.text()]).expect(0);
    run.result().expect_same(&undisturbed);
}

#[test]
fn a_damaged_side_file_does_not_stop_a_resume() {
    let undisturbed = Workplace::new(COSINE).train(&[]).result();
    let damages: [(&str, Damage, &str); 6] = [
        ("timings.jsonl", |path| fs::remove_file(path).unwrap(), ""),
        ("timings.jsonl", cut_in_half, ""),
        ("run.json", cut_in_half, "kept as run.json.damaged"),
        ("run.json", |path| fs::remove_file(path).unwrap(), ""),
        ("status.json", cut_in_half, "no readable status.json"),
        ("status.json", |path| fs::remove_file(path).unwrap(), "no readable status.json"),
    ];
    for (name, damage, said) in damages {
        let workplace = Workplace::new(COSINE);
        let run = killed(&workplace);
        damage(&run.file(name));
        let ended = workplace.run(&["resume", run.text(), "--ui", "plain", "--no-report"]);
        ended.expect(0).says(&[said]);
        run.expect_state("finished");
        run.result().expect_same(&undisturbed);
    }
}
