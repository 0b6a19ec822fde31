//! What newcomers type, and the words that lead on.

use std::fs;

use crate::experiments::COSINE;
use crate::program::{Workplace, json};

#[test]
fn each_mistake_is_answered_with_what_was_meant() {
    let workplace = Workplace::new(COSINE);
    fs::create_dir(workplace.path().join("configs")).unwrap();
    fs::write(workplace.path().join("configs/mnist.toml"), "name = \"m\"\n[model]\nhidden = [4]\n").unwrap();
    fs::write(workplace.path().join("study.toml"), "name = \"s\"\n[[trial]]\nname = \"a\"\n").unwrap();
    fs::write(workplace.path().join("rows.csv"), "a,b,label\n1,2,x\n3,4,y\n").unwrap();
    let file = "experiment.toml";
    let mistakes: [(&[&str], &str); 19] = [
        (&["train", file, "training.epochs", "=", "2"], "no blanks around its =: training.epochs=2"),
        (&["train", file, "training.epochs=", "2"], "no blanks around its =: training.epochs=2"),
        (&["train", file, "--epochs", "2"], "written without dashes, as `training.epochs=VALUE`"),
        (&["train", file, "--training.epochs=2"], "written without dashes, as `training.epochs=VALUE`"),
        (&["train", "--config", file], "the experiment file stands by itself, `kiln train FILE`"),
        (
            &["train", "mnist"],
            "did you mean `kiln train configs/mnist.toml` or `kiln train data.source=mnist`?",
        ),
        (&["train", "config/mnist.toml"], "did you mean `kiln train configs/mnist.toml`"),
        (&["train", "rows.csv"], "`kiln new rows.csv --label COLUMN`"),
        (&["train", "study.toml"], "`kiln study study.toml` runs it"),
        (&["study", "configs/mnist.toml"], "`kiln train configs/mnist.toml` trains it"),
        (&["trace", "configs/mnist.toml"], "is no worked example"),
        (&["list"], "`kiln runs list`"),
        (&["ls"], "`kiln runs list`"),
        (&["test"], "`kiln evaluate`"),
        (&["version"], "`kiln --version`"),
        (&["init"], "`kiln new`"),
        (&["fit"], "`kiln train`"),
        (&["runs", "delete", "latest"], "no run"),
        (&["train", "data.path=/nope"], "has no effect with `data.source` = \"digits\""),
    ];
    for (words, meant) in mistakes {
        let ended = workplace.run(words);
        assert!(ended.stderr.contains(meant), "{words:?}: {}", ended.stderr);
        assert!(matches!(ended.status.code(), Some(1 | 2)), "{words:?}: {ended:?}");
    }
    assert!(workplace.runs().is_empty());
}

#[test]
fn a_picture_or_a_table_is_asked_of_the_latest_run_that_can_answer() {
    let workplace = Workplace::new(COSINE);
    workplace.train(&["training.epochs=1"]);
    fs::write(workplace.path().join("rows.csv"), "a,b\n1,2\n").unwrap();
    let ended = workplace.run(&["predict", "rows.csv"]).expect(1);
    ended.says(&["asking artifacts/cosine/", "is a table, and the network of this run looks at pictures"]);
    workplace.run(&["predict", "latest"]).expect(2).says(&["latest is a run: name the files"]);
    workplace.run(&["predict", "nosuch", "rows.csv"]).expect(1).says(&["no run \"nosuch\""]);
}

#[test]
fn errors_are_json_where_answers_are() {
    let workplace = Workplace::new(COSINE);
    for (words, code) in [
        (&["train", "nosuch.toml", "--json"][..], 2),
        (&["runs", "show", "nosuch", "--json"], 1),
        (&["config", "check", "nosuch.toml", "--json"], 2),
        (&["ls", "--json"], 2),
    ] {
        let ended = workplace.run(words).expect(code);
        let error = &json(&ended.stdout)["error"];
        assert_eq!(error["exit_code"], code);
        assert!(ended.stderr.contains(error["message"].as_str().unwrap()), "{ended:?}");
    }
    let diverging = ["train", "experiment.toml", "optimizer.name=sgd", "optimizer.lr=1e9", "--json"];
    let found = json(&workplace.run(&diverging).expect(1).stdout);
    assert!(found["error"]["message"].as_str().unwrap().contains("loss became"), "{found}");
    let remedy = &found["findings"][0]["remedies"][0];
    assert_eq!(remedy["settings"], serde_json::json!(["optimizer.lr=0.1"]));
    assert_eq!(found["findings"][0]["kind"], "non-finite");
}

#[test]
fn json_lines_are_json_alone() {
    let workplace = Workplace::new(COSINE);
    let ended = workplace.run(&["train", "experiment.toml", "training.epochs=2", "--ui", "json"]).expect(0);
    let events: Vec<_> = ended.stderr.lines().map(|line| json(line)["event"].clone()).collect();
    assert!(events.contains(&"notice".into()) && events.contains(&"test".into()), "{events:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_result_that_cannot_be_written_is_an_error() {
    let workplace = Workplace::new(COSINE);
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for words in [&["runs", "list"][..], &["train", "experiment.toml", "training.epochs=1", "--ui", "none"]] {
        let output = workplace.command(words).stdout(full()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("cannot write the result to standard output"), "{stderr}");
    }
}

#[test]
fn runs_are_filtered_sorted_limited_and_deleted() {
    let workplace = Workplace::new(COSINE);
    for (name, epochs) in [("a", 1), ("b", 4), ("c", 2)] {
        workplace.train(&[&format!("name={name}"), &format!("training.epochs={epochs}")]);
    }
    let names = |words: &[&str]| {
        let ended = workplace.run(&[&["runs", "list"], words].concat()).expect(0);
        let lines = ended.stdout.lines().skip(1);
        lines.map(|line| line.split('/').next().unwrap().to_owned()).collect::<Vec<_>>().concat()
    };
    assert_eq!(names(&[]), "cba");
    assert_eq!(names(&["--sort", "name", "--limit", "2"]), "ab");
    assert_eq!(names(&["b/"]), "");
    assert_eq!(names(&["b"]), "b");
    assert_eq!(names(&["--state", "failed"]), "");
    assert_eq!(names(&["--sort", "accuracy"]).chars().next(), Some('b'));
    workplace.run(&["runs", "delete", "a"]).expect(2).says(&["nothing is deleted without --yes"]);
    assert_eq!(names(&[]), "cba");
    let deleted = workplace.run(&["runs", "delete", "a", "c", "--yes"]).expect(0);
    assert_eq!((deleted.stdout.lines().count(), names(&[])), (2, "b".to_owned()));
    assert!(!workplace.artifacts().join("a").exists());
}

#[test]
fn runs_stand_beside_each_other_on_a_page() {
    let workplace = Workplace::new(COSINE);
    for settings in
        [["seed=1", "optimizer.lr=1e-3"], ["seed=2", "optimizer.lr=1e-3"], ["seed=1", "optimizer.lr=1e-2"]]
    {
        workplace.train(&[&["training.epochs=3"][..], &settings].concat());
    }
    let runs: Vec<_> = workplace.runs();
    let names: Vec<&str> = runs.iter().map(crate::run_folder::RunFolder::text).collect();
    let words = [&["runs", "compare"], &names[..], &["--html", "compared.html"]].concat();
    assert_eq!(workplace.run(&words).expect(0).stdout, "compared.html\n");
    let page = fs::read_to_string(workplace.path().join("compared.html")).unwrap();
    for part in
        ["3 runs compared", "Validation loss by epoch", "optimizer.lr", "With other seeds", " ± ", "<svg"]
    {
        assert!(page.contains(part), "{part}");
    }
    assert!(
        !page.contains("http://")
            || page.matches("http://").count() == page.matches("http://www.w3.org").count()
    );
}
