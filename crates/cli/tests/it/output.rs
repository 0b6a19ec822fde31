//! What goes to stdout and what to stderr, exit codes, and every command that answers a question.

use std::process::Stdio;

use serde_json::Value;

use crate::experiments::COSINE;
use crate::program::{Ended, Workplace};

#[track_caller]
fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:#?}"))
}

#[test]
fn a_training_prints_its_folder_and_nothing_else() {
    let workplace = Workplace::new(COSINE);
    for view in ["plain", "json", "none"] {
        let ended = workplace.run(&["train", "experiment.toml", "training.epochs=2", "--ui", view]).expect(0);
        assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.stdout);
        ended.run_folder(&workplace).expect_state("finished");
        let lines: Vec<&str> = ended.stderr.lines().filter(|line| line.contains("epoch")).collect();
        assert_eq!(lines.is_empty(), view == "none", "{}", ended.stderr);
        if view == "json" {
            let events = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
            assert!(events.filter(|event| event["event"] == "epoch").count() == 2, "{}", ended.stderr);
        }
    }
}

#[test]
fn a_warm_up_that_outlasts_the_run_is_said() {
    let workplace = Workplace::new(COSINE);
    let train = |warmup: &str| {
        workplace.run(&["train", "experiment.toml", "training.max_steps=10", "--no-report", warmup]).expect(0)
    };
    train("lr_scheduler.warmup_steps=40").says(&[
        "warning: lr_scheduler.warmup_steps is 40, but the run has 10 optimizer steps",
        "reaches 2.500e-4, not optimizer.lr = 0.001",
    ]);
    let fits = train("lr_scheduler.warmup_steps=10");
    assert!(!fits.stderr.contains("warning"), "{}", fits.stderr);
}

#[test]
fn the_result_of_a_training_as_json() {
    let workplace = Workplace::new(COSINE);
    let ended = workplace.run(&["train", "experiment.toml", "training.epochs=2", "--json"]).expect(0);
    let result = json(&ended);
    let run = workplace.only_run();
    let status = run.status();
    assert_eq!(workplace.path().join(result["run"].as_str().unwrap()), run.path());
    assert_eq!(result["weights_sha256"], status["weights_sha256"]);
    assert_eq!(result["test"]["accuracy"], status["test"]["accuracy"]);
    assert_eq!(result["stop_reason"], "completed");
}

#[test]
fn the_artifacts_folder_is_the_environments_or_the_arguments() {
    let workplace = Workplace::new(COSINE);
    let train = ["train", "experiment.toml", "training.epochs=1"];
    let output = workplace.command(&train).env("KILN_ARTIFACTS", "elsewhere").output().unwrap();
    assert!(output.stdout.starts_with(b"elsewhere/cosine/"), "{output:?}");
    let both = [&train[..], &["--artifacts", "here"]].concat();
    let output = workplace.command(&both).env("KILN_ARTIFACTS", "elsewhere").output().unwrap();
    assert!(output.stdout.starts_with(b"here/cosine/"), "{output:?}");
    assert!(workplace.runs().is_empty());
    assert!(workplace.run(&["runs", "list", "--artifacts", "here"]).expect(0).stdout.contains("cosine/"));
}

#[test]
fn runs_are_listed_shown_and_compared() {
    let workplace = Workplace::new(COSINE);
    assert!(workplace.run(&["runs", "list"]).expect(0).stdout.contains("no runs in artifacts"));
    assert_eq!(json(&workplace.run(&["runs", "list", "--json"]).expect(0)), Value::Array(Vec::new()));
    let [one, two] =
        ["optimizer.lr=1e-3", "optimizer.lr=1e-2"].map(|lr| workplace.train(&["training.epochs=2", lr]));
    let list = workplace.run(&["runs", "list"]).expect(0);
    assert_eq!(list.stdout.matches("finished").count(), 2, "{}", list.stdout);
    assert_eq!(json(&workplace.run(&["runs", "list", "--json"]).expect(0)).as_array().unwrap().len(), 2);
    let show = workplace.run(&["runs", "show", one.text()]).expect(0);
    let weights = one.status()["weights_sha256"].as_str().unwrap().to_owned();
    assert!(show.stdout.contains(&weights) && show.stdout.contains("validation"), "{}", show.stdout);
    let shown = json(&workplace.run(&["runs", "show", one.text(), "--json"]).expect(0));
    assert_eq!(shown["status"]["weights_sha256"], weights);
    assert_eq!(shown["metrics"].as_array().unwrap().len(), one.read("metrics.jsonl").lines().count());
    let compare = workplace.run(&["runs", "compare", one.text(), two.text()]).expect(0);
    assert!(compare.stdout.contains("optimizer.lr"), "{}", compare.stdout);
    let compared = json(&workplace.run(&["runs", "compare", one.text(), two.text(), "--json"]).expect(0));
    assert_eq!(compared["config"][0]["key"], "optimizer.lr");
    workplace.run(&["runs", "compare", one.text()]).expect(2);
}

#[test]
fn experiments_are_checked_shown_and_explained() {
    let workplace = Workplace::new(COSINE);
    workplace.run(&["config", "check", "experiment.toml"]).expect(0);
    assert_eq!(json(&workplace.run(&["config", "check", "experiment.toml", "--json"]).expect(0))["ok"], true);
    let wrong = workplace.run(&["config", "check", "experiment.toml", "optimizer.learning_rate=1"]).expect(2);
    assert!(wrong.says(&["optimizer.learning_rate", "optimizer.lr"]).stdout.is_empty());
    let show = workplace.run(&["config", "show", "experiment.toml", "optimizer.lr=0.5"]).expect(0);
    assert!(show.stdout.contains("lr = 0.5") && show.stdout.contains("experiment.toml"), "{}", show.stdout);
    let shown = json(&workplace.run(&["config", "show", "experiment.toml", "--json"]).expect(0));
    assert_eq!(shown["experiment"]["model"]["hidden"], serde_json::json!([32, 16]));
    assert!(json(&workplace.run(&["config", "schema"]).expect(0))["properties"]["optimizer"].is_object());
    assert!(workplace.run(&["config", "explain", "optimizer.lr"]).expect(0).stdout.contains("Learning rate"));
    json(&workplace.run(&["config", "explain", "optimizer.lr", "--json"]).expect(0));
    workplace.run(&["config", "explain", "optimizer.lrr"]).expect(2).says(&["optimizer.lr"]);
}

#[test]
fn data_is_described() {
    let workplace = Workplace::new(COSINE);
    let data = workplace.run(&["data", "experiment.toml"]).expect(0);
    assert!(data.stdout.contains("8x8") && data.stdout.contains("validation"), "{}", data.stdout);
    assert!(json(&workplace.run(&["data", "--json"]).expect(0)).is_object());
}

#[test]
fn help_completions_and_usage_errors() {
    let workplace = Workplace::new(COSINE);
    let help = workplace.run(&["--help"]).expect(0);
    for verb in ["train", "resume", "watch", "runs", "data", "config", "completions", "130 stopped"] {
        assert!(help.stdout.contains(verb), "{verb} is missing: {}", help.stdout);
    }
    let script = workplace.run(&["completions", "bash"]).expect(0);
    assert_eq!(script.stdout, "source <(COMPLETE=bash kiln)\n");
    let registration = workplace.command(&[]).env("COMPLETE", "bash").output().unwrap();
    assert!(String::from_utf8_lossy(&registration.stdout).contains("complete -o"), "{registration:?}");
    workplace.train(&["training.epochs=1"]);
    let completed = |words: &[&str]| {
        let mut command = workplace.command(&[&["--", "kiln"], words].concat());
        command.env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", words.len().to_string());
        String::from_utf8(command.env("_CLAP_IFS", "\n").output().unwrap().stdout).unwrap()
    };
    assert!(completed(&["resume", "cos"]).contains("cosine"));
    assert!(completed(&["train", "opt"]).contains("optimizer.lr="));
    assert!(completed(&["config", "explain", "lr_sch"]).contains("lr_scheduler.warmup_steps"));
    workplace.run(&["--version"]).expect(0);
    workplace.run(&["trian"]).expect(2).says(&["train"]);
    workplace.run(&["train", "missing.toml"]).expect(2).says(&["missing.toml"]);
    workplace.run(&["runs", "show", "nothing"]).expect(1).says(&["no run \"nothing\""]);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let workplace = Workplace::new(COSINE);
    workplace.train(&["training.epochs=1"]);
    let questions: [&[&str]; 5] =
        [&["runs", "list"], &["runs", "show"], &["config", "schema"], &["--help"], &["completions", "bash"]];
    for question in questions {
        let mut child =
            workplace.command(question).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !stderr.contains("panicked"), "{question:?}: {output:?}");
    }
}

#[test]
fn a_step_is_taken_apart() {
    let workplace = Workplace::new(COSINE);
    for fused in ["backend.fused=true", "backend.fused=false"] {
        let ended = workplace.run(&["bench", "experiment.toml", "--steps", "40", "--json", fused]).expect(0);
        let found = json(&ended);
        for part in ["data", "forward", "optimizer", "metrics", "step", "matrix_products"] {
            assert!(found["microseconds"][part].as_f64().unwrap() > 0.0, "{part}: {found:#}");
        }
        assert!(found["test_pass_seconds"].as_f64().unwrap() > 0.0);
    }
    let ended = workplace.run(&["bench", "experiment.toml", "--steps", "40"]).expect(0);
    assert!(ended.stdout.contains("times Burn's matrix products alone"), "{}", ended.stdout);
    assert!(workplace.runs().is_empty(), "nothing is kept");
}
