//! Commands that answer questions: stdout and stderr, exit codes, evaluations, predictions and reports.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{GrayImage, Luma};
use serde_json::Value;

use crate::COSINE;
use crate::program::{RunFolder, TestFolder, json};

#[test]
fn a_training_prints_its_folder_and_nothing_else() {
    let test_folder = TestFolder::new(COSINE);
    for view in ["plain", "json", "none"] {
        let ended =
            test_folder.run(&["train", "experiment.toml", "training.epochs=2", "--ui", view]).expect(0);
        assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.stdout);
        ended.run_folder(&test_folder).expect_state("finished");
        let lines: Vec<&str> = ended.stderr.lines().filter(|line| line.contains("epoch")).collect();
        assert_eq!(lines.is_empty(), view == "none", "{}", ended.stderr);
        if view == "json" {
            let events = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
            assert!(events.filter(|event| event["event"] == "epoch").count() == 2, "{}", ended.stderr);
        }
    }
}

#[test]
fn a_warm_up_that_is_longer_than_the_run_causes_a_warning() {
    let test_folder = TestFolder::new(COSINE);
    let train = |warmup: &str| {
        test_folder
            .run(&["train", "experiment.toml", "training.max_steps=10", "--no-report", warmup])
            .expect(0)
    };
    train("lr_scheduler.warmup_steps=40").says(&[
        "warning: lr_scheduler.warmup_steps is 40, but the run has 10 optimizer steps",
        "reaches 2.500e-4, not optimizer.lr = 0.001",
    ]);
    let fits = train("lr_scheduler.warmup_steps=10");
    assert!(!fits.stderr.contains("warning"), "{}", fits.stderr);
}

#[test]
fn a_training_prints_its_result_as_json() {
    let test_folder = TestFolder::new(COSINE);
    let ended = test_folder.run(&["train", "experiment.toml", "training.epochs=2", "--json"]).expect(0);
    let result = json(&ended.stdout);
    let run = test_folder.only_run();
    let status = run.status();
    assert_eq!(test_folder.path().join(result["run"].as_str().unwrap()), run.path());
    assert_eq!(result["weights_sha256"], status["weights_sha256"]);
    assert_eq!(result["test"]["accuracy"], status["test"]["accuracy"]);
    assert_eq!(result["stop_reason"], "completed");
}

#[test]
fn the_artifacts_folder_is_the_environments_or_the_arguments() {
    let test_folder = TestFolder::new(COSINE);
    let train = ["train", "experiment.toml", "training.epochs=1"];
    let output = test_folder.command(&train).env("KILN_ARTIFACTS", "elsewhere").output().unwrap();
    assert!(output.stdout.starts_with(b"elsewhere/cosine/"), "{output:?}");
    let both = [&train[..], &["--artifacts", "here"]].concat();
    let output = test_folder.command(&both).env("KILN_ARTIFACTS", "elsewhere").output().unwrap();
    assert!(output.stdout.starts_with(b"here/cosine/"), "{output:?}");
    assert!(test_folder.runs().is_empty());
    assert!(test_folder.run(&["runs", "list", "--artifacts", "here"]).expect(0).stdout.contains("cosine/"));
}

#[test]
fn runs_are_listed_shown_and_compared() {
    let test_folder = TestFolder::new(COSINE);
    assert!(test_folder.run(&["runs", "list"]).expect(0).stdout.contains("no runs in artifacts"));
    assert_eq!(
        json(&test_folder.run(&["runs", "list", "--json"]).expect(0).stdout),
        Value::Array(Vec::new())
    );
    let [one, two] =
        ["optimizer.lr=1e-3", "optimizer.lr=1e-2"].map(|lr| test_folder.train(&["training.epochs=2", lr]));
    let list = test_folder.run(&["runs", "list"]).expect(0);
    assert_eq!(list.stdout.matches("finished").count(), 2, "{}", list.stdout);
    assert_eq!(
        json(&test_folder.run(&["runs", "list", "--json"]).expect(0).stdout).as_array().unwrap().len(),
        2
    );
    let show = test_folder.run(&["runs", "show", one.text()]).expect(0);
    let weights = one.status()["weights_sha256"].as_str().unwrap().to_owned();
    assert!(show.stdout.contains(&weights) && show.stdout.contains("validation"), "{}", show.stdout);
    let shown = json(&test_folder.run(&["runs", "show", one.text(), "--json"]).expect(0).stdout);
    assert_eq!(shown["status"]["weights_sha256"], weights);
    assert_eq!(shown["metrics"].as_array().unwrap().len(), one.read("metrics.jsonl").lines().count());
    let compare = test_folder.run(&["runs", "compare", one.text(), two.text()]).expect(0);
    assert!(compare.stdout.contains("optimizer.lr"), "{}", compare.stdout);
    let compared =
        json(&test_folder.run(&["runs", "compare", one.text(), two.text(), "--json"]).expect(0).stdout);
    assert_eq!(compared["config"][0]["key"], "optimizer.lr");
    test_folder.run(&["runs", "compare", one.text()]).expect(2);
}

#[test]
fn experiments_are_checked_shown_and_explained() {
    let test_folder = TestFolder::new(COSINE);
    test_folder.run(&["config", "check", "experiment.toml"]).expect(0);
    assert_eq!(
        json(&test_folder.run(&["config", "check", "experiment.toml", "--json"]).expect(0).stdout)["ok"],
        true
    );
    let wrong =
        test_folder.run(&["config", "check", "experiment.toml", "optimizer.learning_rate=1"]).expect(2);
    assert!(wrong.says(&["optimizer.learning_rate", "optimizer.lr"]).stdout.is_empty());
    let show = test_folder.run(&["config", "show", "experiment.toml", "optimizer.lr=0.5"]).expect(0);
    assert!(show.stdout.contains("lr = 0.5") && show.stdout.contains("experiment.toml"), "{}", show.stdout);
    let shown = json(&test_folder.run(&["config", "show", "experiment.toml", "--json"]).expect(0).stdout);
    assert_eq!(shown["experiment"]["model"]["hidden"], serde_json::json!([32, 16]));
    assert!(
        json(&test_folder.run(&["config", "schema"]).expect(0).stdout)["properties"]["optimizer"].is_object()
    );
    assert!(
        test_folder.run(&["config", "explain", "optimizer.lr"]).expect(0).stdout.contains("Learning rate")
    );
    json(&test_folder.run(&["config", "explain", "optimizer.lr", "--json"]).expect(0).stdout);
    test_folder.run(&["config", "explain", "optimizer.lrr"]).expect(2).says(&["optimizer.lr"]);
}

#[test]
fn data_is_described() {
    let test_folder = TestFolder::new(COSINE);
    let data = test_folder.run(&["data", "experiment.toml"]).expect(0);
    assert!(data.stdout.contains("8x8") && data.stdout.contains("validation"), "{}", data.stdout);
    assert!(json(&test_folder.run(&["data", "--json"]).expect(0).stdout).is_object());
}

#[test]
fn the_program_helps_completes_words_and_explains_wrong_arguments() {
    let test_folder = TestFolder::new(COSINE);
    let help = test_folder.run(&["--help"]).expect(0);
    for verb in ["train", "resume", "watch", "runs", "data", "config", "completions", "130 stopped"] {
        assert!(help.stdout.contains(verb), "{verb} is missing: {}", help.stdout);
    }
    let script = test_folder.run(&["completions", "bash"]).expect(0);
    assert_eq!(script.stdout, "source <(COMPLETE=bash kiln)\n");
    let registration = test_folder.command(&[]).env("COMPLETE", "bash").output().unwrap();
    assert!(String::from_utf8_lossy(&registration.stdout).contains("complete -o"), "{registration:?}");
    test_folder.train(&["training.epochs=1"]);
    let completed = |words: &[&str]| {
        let mut command = test_folder.command(&[&["--", "kiln"], words].concat());
        command.env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", words.len().to_string());
        String::from_utf8(command.env("_CLAP_IFS", "\n").output().unwrap().stdout).unwrap()
    };
    assert!(completed(&["resume", "cos"]).contains("cosine"));
    assert!(completed(&["train", "opt"]).contains("optimizer.lr="));
    assert!(completed(&["config", "explain", "lr_sch"]).contains("lr_scheduler.warmup_steps"));
    test_folder.run(&["--version"]).expect(0);
    test_folder.run(&["trian"]).expect(2).says(&["train"]);
    test_folder.run(&["train", "missing.toml"]).expect(2).says(&["missing.toml"]);
    test_folder.run(&["runs", "show", "nothing"]).expect(1).says(&["no run \"nothing\""]);
}

#[test]
fn closing_the_output_early_causes_no_error() {
    let test_folder = TestFolder::new(COSINE);
    test_folder.train(&["training.epochs=1"]);
    let questions: [&[&str]; 5] =
        [&["runs", "list"], &["runs", "show"], &["config", "schema"], &["--help"], &["completions", "bash"]];
    for question in questions {
        let mut child =
            test_folder.command(question).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !stderr.contains("panicked"), "{question:?}: {output:?}");
    }
}

#[test]
fn a_step_is_taken_apart() {
    let test_folder = TestFolder::new(COSINE);
    for fused in ["backend.fused=true", "backend.fused=false"] {
        let ended =
            test_folder.run(&["bench", "experiment.toml", "--steps", "40", "--json", fused]).expect(0);
        let found = json(&ended.stdout);
        for part in ["data", "forward", "optimizer", "metrics", "step", "matrix_products"] {
            assert!(found["microseconds"][part].as_f64().unwrap() > 0.0, "{part}: {found:#}");
        }
        assert!(found["test_pass_seconds"].as_f64().unwrap() > 0.0);
    }
    let ended = test_folder.run(&["bench", "experiment.toml", "--steps", "40"]).expect(0);
    assert!(ended.stdout.contains("times Burn's matrix products alone"), "{}", ended.stdout);
    assert!(test_folder.runs().is_empty(), "nothing is kept");
}

/// Two classes that are separable by a line.
fn table(rows: std::ops::Range<i32>) -> String {
    let row = |at: i32| format!("{},{},{}\n", at, 7 * at % 5, if at % 2 == 0 { "even" } else { "odd" });
    let columns = rows.map(|at| row(at).replacen(',', &format!(".{},", at % 2 * 5), 1));
    format!("x,y,label\n{}", columns.collect::<String>())
}

const TABLE: &str = r#"
name = "table"
[data]
source = "csv"
path = "train.csv"
[model]
hidden = [8]
[training]
epochs = 3
[backend]
threads = 1
"#;

fn trained_on_digits() -> (TestFolder, RunFolder) {
    let test_folder = TestFolder::new(COSINE);
    let run = test_folder.train_with_report(&["training.epochs=8"]);
    (test_folder, run)
}

/// The sorted names of the files in `folder`.
fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_training_ends_with_an_evaluation_plots_a_gallery_and_a_report() {
    let (_test_folder, run) = trained_on_digits();
    let evaluation = [
        "classification_report.json",
        "classification_report.txt",
        "confusion_matrix.csv",
        "gallery.json",
        "metrics.json",
        "predictions.csv",
        "roc.csv",
    ];
    assert_eq!(files(&run.file("evaluation/test")), evaluation);
    let plots =
        ["accuracy", "confusion_matrix", "confusion_rates", "loss", "precision_recall", "reliability", "roc"];
    let both = plots.map(|name| [format!("{name}.png"), format!("{name}.svg")]).concat();
    assert_eq!(files(&run.file("plots")), both);
    assert_eq!(
        files(&run.file("gallery")),
        ["least_certain.png", "most_confident_mistakes.png", "random.png"]
    );
    let report = run.read("report.html");
    let accuracy = run.status()["test"]["accuracy"].as_f64().unwrap();
    assert!(report.contains(&format!("{accuracy:.4}")), "the report contains the accuracy");
    for outside in ["http://", "https://", "<script", "<link rel=\"stylesheet\""] {
        let found = report.replace("http://www.w3.org/2000/svg", "").contains(outside);
        assert!(!found, "the report needs {outside}");
    }
    let links = report.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap());
    for target in links {
        assert!(report.contains(&format!("id=\"{target}\"")), "#{target} leads nowhere");
    }
}

#[test]
fn an_evaluation_repeated_gives_the_same_bytes_and_others_have_places_of_their_own() {
    let (test_folder, run) = trained_on_digits();
    let (before, metrics) = (run.snapshot(), run.read("evaluation/test/metrics.json"));
    let ended = test_folder.run(&["evaluate", run.text()]).expect(0);
    assert!(ended.stdout.contains("precision") && ended.stdout.contains("weighted avg"), "{}", ended.stdout);
    run.expect_unchanged(&before);
    let ended = test_folder.run(&["evaluate", run.text(), "--split", "train", "--json"]).expect(0);
    let train = json(&ended.stdout)["metrics"].clone();
    assert_eq!(train["examples"], 1293);
    assert_eq!(json(&run.read("evaluation/train/metrics.json")), train);
    assert!(run.file("evaluation/train/report.html").is_file());
    let first = run.checkpoints()[0];
    test_folder.run(&["evaluate", run.text(), "--ckpt", &format!("step-{first}")]).expect(0);
    assert_eq!(
        json(&run.read(&format!("evaluation/test-step-{first}/metrics.json")))["checkpoint_step"],
        first
    );
    let folder = run.file("checkpoints").join(format!("step-{first}"));
    test_folder.run(&["evaluate", run.text(), "--ckpt", folder.to_str().unwrap()]).expect(0);
    test_folder.run(&["evaluate", run.text(), "--ckpt", "step-1x"]).expect(2).says(&["step-N"]);
    test_folder
        .run(&["evaluate", run.text(), "--ckpt", "step-1"])
        .expect(1)
        .says(&["no checkpoint of step 1"]);
    assert_eq!(run.read("evaluation/test/metrics.json"), metrics);
}

#[test]
fn a_report_is_made_again_from_what_is_there() {
    let test_folder = TestFolder::new(COSINE);
    let run = test_folder.train(&["training.epochs=2"]);
    assert!(!run.file("report.html").exists() && run.file("evaluation/test/metrics.json").is_file());
    let printed = test_folder.run(&["report", run.text()]).expect(0).stdout;
    let first = run.read("report.html");
    assert!(printed.trim_end().ends_with("report.html"));
    test_folder.run(&["report", run.text()]).expect(0);
    assert_eq!(run.read("report.html"), first, "the same report every time");
    test_folder.run(&["report", run.text(), "--evaluation", "none"]).expect(2).says(&["kiln evaluate"]);
    let gallery = run.read("evaluation/test/gallery.json");
    fs::write(run.file("evaluation/test/gallery.json"), gallery.replace("\"truth\":1", "\"truth\":99"))
        .unwrap();
    test_folder.run(&["report", run.text()]).expect(1).says(&["gallery.json", "kiln evaluate"]);
    fs::write(run.file("evaluation/test/predictions.csv"), "index,true\n").unwrap();
    test_folder.run(&["report", run.text()]).expect(1).says(&["predictions.csv"]);
    assert_eq!(run.read("report.html"), first, "the old report stays");
}

#[test]
fn a_run_finds_its_data_from_any_working_directory() {
    let test_folder = TestFolder::new(TABLE);
    fs::write(test_folder.path().join("train.csv"), table(0..60)).unwrap();
    fs::write(test_folder.path().join("test.csv"), table(60..80)).unwrap();
    let stopped = test_folder.start_training(&["data.test_path=test.csv", "training.max_time=1e-6"]);
    stopped.wait().expect(130);
    let run = test_folder.only_run();
    let elsewhere = test_folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let resume = ["resume", run.text(), "training.max_time=600", "--ui", "none", "--no-report"];
    test_folder.run_in(&elsewhere, &resume).expect(0);
    let ended = test_folder.run_in(&elsewhere, &["evaluate", run.text(), "--json"]).expect(0);
    assert_eq!(json(&ended.stdout)["metrics"]["examples"], 20);
    // The user's own text is stored unchanged.
    assert!(run.read("config.input.toml").contains("path = \"train.csv\""));
    assert_eq!(run.read("overrides.txt").lines().next(), Some("data.test_path=test.csv"));
}

#[test]
fn a_study_of_a_relative_path_finds_again_what_it_trained() {
    let test_folder = TestFolder::new(TABLE);
    fs::write(test_folder.path().join("train.csv"), table(0..60)).unwrap();
    let study = "name = \"tables\"\nbase = \"experiment.toml\"\nseeds = [0]\n[[trial]]\nname = \"table\"\n";
    fs::write(test_folder.path().join("study.toml"), study).unwrap();
    let study = ["study", "study.toml", "--ui", "plain"];
    test_folder.run(&study).expect(0);
    test_folder.run(&study).expect(0).says(&["1 runs, 1 of them finished before"]);
}

#[test]
fn other_tables_are_evaluated_and_predicted() {
    let test_folder = TestFolder::new(TABLE);
    fs::write(test_folder.path().join("train.csv"), table(0..60)).unwrap();
    fs::write(test_folder.path().join("later.csv"), table(60..80)).unwrap();
    let run = test_folder.train(&[]);
    let ended = test_folder.run(&["evaluate", run.text(), "--data", "later.csv", "--json"]).expect(0);
    let found = json(&ended.stdout);
    assert_eq!(found["metrics"]["examples"], 20);
    let folder = test_folder.path().join(found["evaluation"].as_str().unwrap());
    assert!(folder.file_name().unwrap().to_string_lossy().starts_with("later-"));
    assert!(folder.join("report.html").is_file());
    fs::write(test_folder.path().join("other.csv"), "x,z,label\n1,2,odd\n").unwrap();
    test_folder
        .run(&["evaluate", run.text(), "--data", "other.csv"])
        .expect(1)
        .says(&["\"x\", \"y\"", "no \"y\""]);
    fs::write(test_folder.path().join("new.csv"), "x,y,label\n1,2,prime\n").unwrap();
    test_folder
        .run(&["evaluate", run.text(), "--data", "new.csv"])
        .expect(1)
        .says(&["prime", "\"even\", \"odd\""]);
    // Figures of other data must not replace those of the run.
    fs::copy(test_folder.path().join("later.csv"), test_folder.path().join("train.csv")).unwrap();
    let before = run.snapshot();
    test_folder.run(&["evaluate", run.text()]).expect(1).says(&["SHA-256", "--data PATH"]);
    run.expect_unchanged(&before);
    // Predictions need neither labels nor the training data.
    fs::remove_file(test_folder.path().join("train.csv")).unwrap();
    fs::write(test_folder.path().join("rows.csv"), "y,x\n1,2\n3,4\n").unwrap();
    let ended = test_folder.run(&["predict", run.text(), "rows.csv", "--json"]).expect(0);
    assert_eq!(json(&ended.stdout)[0]["predictions"].as_array().unwrap().len(), 2);
    let ended =
        test_folder.run(&["predict", run.text(), "other.csv", "rows.csv"]).expect(1).says(&["no \"y\""]);
    assert!(ended.stdout.contains("rows.csv[1]"), "the others are answered: {}", ended.stdout);
}

#[test]
fn pictures_of_any_size_and_polarity_are_answered_and_unreadable_ones_named() {
    let (test_folder, run) = trained_on_digits();
    // A digit one, dark on light, far from the middle.
    let one = GrayImage::from_fn(300, 200, |x, y| {
        Luma([if (200..225).contains(&x) && (20..170).contains(&y) { 40 } else { 235 }])
    });
    one.save(test_folder.path().join("one.png")).unwrap();
    fs::write(test_folder.path().join("broken.png"), b"\x89PNG nothing").unwrap();
    GrayImage::from_pixel(20, 20, Luma([255])).save(test_folder.path().join("empty.png")).unwrap();
    let arguments = ["predict", run.text(), "one.png", "broken.png", "empty.png", "none.png", "--json"];
    test_folder.run(&arguments).expect(1).says(&["3 of 4 files"]);
    let mut names = fs::read_dir(test_folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.all(|name| !name.to_string_lossy().contains("seen")), "written without being requested");
    let arguments = [&arguments[..], &["--seen", "seen/here"]].concat();
    let ended = test_folder.run(&arguments).expect(1).says(&["3 of 4 files"]);
    let answers = json(&ended.stdout);
    assert_eq!(answers[0]["predictions"][0]["top"].as_array().unwrap().len(), 3);
    assert_eq!(answers[0]["predictions"][0]["top"][0]["class"], "1", "{answers:#}");
    assert_eq!(answers[0]["seen"], "seen/here/one.png.seen.png");
    let seen = image::open(test_folder.path().join("seen/here/one.png.seen.png")).unwrap();
    assert_eq!((seen.width(), seen.height()), (8, 8));
    for (index, word) in [(1, "broken.png"), (2, "one grey level"), (3, "none.png")] {
        let error = answers[index]["error"].as_str().unwrap();
        assert!(error.contains(word), "{word:?} in {error}");
    }
}

#[test]
fn a_folder_of_pictures_is_answered_in_a_table_and_a_bad_one_does_not_lose_the_rest() {
    let (test_folder, run) = trained_on_digits();
    let inner = test_folder.path().join("new/inner");
    fs::create_dir_all(&inner).unwrap();
    let one = GrayImage::from_fn(60, 60, |x, y| {
        Luma([if (28..32).contains(&x) && y > 5 && y < 55 { 250 } else { 9 }])
    });
    for at in 0..70 {
        one.save(inner.join(format!("{at:02}.png"))).unwrap();
    }
    fs::write(test_folder.path().join("new/broken.png"), b"\x89PNG nothing").unwrap();
    fs::write(test_folder.path().join("new/notes.txt"), "no picture").unwrap();
    fs::write(test_folder.path().join("new/sizes.csv"), "a,b\n").unwrap();
    let arguments = ["predict", run.text(), "new", "--output", "answers.csv"];
    test_folder.run(&arguments).expect(0).says(&["new: 2 other files skipped", "1 of 71 files could not"]);
    let answers = fs::read_to_string(test_folder.path().join("answers.csv")).unwrap();
    let lines: Vec<&str> = answers.lines().collect();
    assert!(lines[0].starts_with("file,class,probability_0,") && lines[0].ends_with(",probability_9,error"));
    assert_eq!(lines.len(), 72);
    assert!(
        lines[1].starts_with("new/broken.png,,") && lines[1].contains("unreadable picture"),
        "{}",
        lines[1]
    );
    let plain = test_folder.run(&["predict", run.text(), "new/inner", "--json"]).expect(0);
    for (at, line) in lines[2..].iter().enumerate() {
        let answer = &json(&plain.stdout)[at];
        let top = &answer["predictions"][0]["top"][0];
        assert_eq!(answer["file"], format!("new/inner/{at:02}.png"));
        let class = top["class"].as_str().unwrap();
        assert!(
            line.starts_with(&format!("new/inner/{at:02}.png,{class},")) && line.ends_with(','),
            "{line}"
        );
    }
    let printed = test_folder.run(&["predict", run.text(), "new/inner", "-o", "-"]).expect(0).stdout;
    assert_eq!(printed.lines().count(), 71);
    let over = ["predict", run.text(), "new/inner", "-o", "new/inner/07.png"];
    test_folder.run(&over).expect(2).says(&["07.png is an input file", "another file"]);
    fs::remove_dir_all(&inner).unwrap();
    fs::remove_file(test_folder.path().join("new/broken.png")).unwrap();
    test_folder.run(&arguments).expect(1).says(&["no pictures", "none among 2 files"]);
}

#[test]
fn a_test_image_in_its_own_size_gets_the_prediction_of_the_evaluation() {
    let (test_folder, run) = trained_on_digits();
    let gallery = json(&run.read("evaluation/test/gallery.json"));
    let position = gallery["random"][0].as_u64().unwrap();
    let example = &gallery["examples"][position.to_string()];
    let png = STANDARD.decode(example["png"].as_str().unwrap()).unwrap();
    fs::write(test_folder.path().join("own.png"), png).unwrap();
    let ended = test_folder.run(&["predict", run.text(), "own.png", "--json"]).expect(0);
    let top = json(&ended.stdout)[0]["predictions"][0]["top"][0].clone();
    assert_eq!(top["class"], example["predicted"].as_u64().unwrap().to_string());
    let [here, there] = [&top["probability"], &example["probability"]].map(|value| value.as_f64().unwrap());
    assert!((here - there).abs() < 1e-6, "{here} {there}");
}
