//! Newcomers: from their own table to predictions, classes by threshold, and the mistakes that they make.

use std::fs;
use std::ops::Range;

use serde_json::Value;

use crate::COSINE;
use crate::program::{RunFolder, TestFolder, json};

/// Two classes that a number and a word predict; an id, missing values, a comma in quotes.
fn customers(rows: Range<usize>, with_class: bool) -> String {
    let row = |row: usize| {
        let (is_kept, age) = (!row.is_multiple_of(3), 20 + row * 7 % 50);
        let age = if row % 11 == 5 { String::new() } else { (age + usize::from(is_kept) * 40).to_string() };
        // Slightly different from the class, or the column would count as a leak.
        let plan = if is_kept == row.is_multiple_of(13) { "plus" } else { "\"basic, yearly\"" };
        let class = if with_class { if is_kept { ";yes" } else { ";no" } } else { "" };
        format!("C-{row:04};{age};{plan};{}{class}\n", row.is_multiple_of(2))
    };
    let head = if with_class { "customer;age;plan;mail;stays\n" } else { "customer;age;plan;mail\n" };
    head.to_owned() + &rows.map(row).collect::<String>()
}

/// Checks that the examples in the report name their line and values. Galleries of earlier versions lack both, and still open.
fn examples_name_lines_and_values(test_folder: &TestFolder, run: &RunFolder) {
    let report = run.read("report.html");
    let gallery = json(&run.read("evaluation/test/gallery.json"));
    assert_eq!(gallery["columns"], serde_json::json!(["age", "plan", "mail"]));
    let (lines, row) = (customers(0..200, true), &gallery["examples"][gallery["random"][0].to_string()]);
    let line = lines.lines().nth(row["line"].as_u64().unwrap() as usize - 1).unwrap();
    let [age, plan, mail] = [0, 1, 2].map(|at| row["values"][at].as_str().unwrap());
    let age = if age == "missing" { "" } else { age };
    assert!(line.replace('"', "").contains(&format!(";{age};{plan};{mail};")), "{line} {row}");
    let cells = format!("<td>{}</td>", row["line"]);
    assert!(
        report.contains("<th scope=\"col\">line</th>")
            && report.contains(&cells)
            && report.contains("<th scope=\"col\">plan</th>")
    );
    // A gallery of an earlier version.
    let old = |mut gallery: Value| {
        gallery.as_object_mut().unwrap().remove("columns");
        for (_, example) in gallery["examples"].as_object_mut().unwrap() {
            example.as_object_mut().unwrap().retain(|key, _| key != "line" && key != "values");
        }
        gallery.to_string()
    };
    fs::write(run.file("evaluation/test/gallery.json"), old(gallery)).unwrap();
    test_folder.run(&["report", run.text()]).expect(0);
    assert!(!run.read("report.html").contains("<th scope=\"col\">line</th>"));
}

#[test]
fn a_table_leads_to_predictions_in_four_commands() {
    let test_folder = TestFolder::new("");
    let place = |name: &str| test_folder.path().join(name);
    fs::write(place("customers.csv"), customers(0..200, true)).unwrap();
    test_folder
        .run(&["train", "customers.csv"])
        .expect(2)
        .says(&["is a table", "kiln new customers.csv --label"]);
    test_folder.run(&["new", "customers.csv"]).expect(2).says(&["which column", "\"stays\""]);
    let seen = test_folder.run(&["new", "customers.csv", "--label", "stays"]).expect(0);
    for words in [
        "200 examples",
        "customer  id",
        "plan      category",
        "kiln train customers.toml",
        "left out: \"customer\"",
    ] {
        assert!(seen.stdout.contains(words), "{words:?} in {}", seen.stdout);
    }
    test_folder.run(&["new", "customers.csv", "--label", "stays"]).expect(2).says(&["already exists"]);
    let ended = test_folder.run(&["train", "customers.toml", "--ui", "plain", "training.epochs=8"]).expect(0);
    ended.says(&["data: left out: \"customer\""]);
    let run = test_folder.only_run();
    assert!(run.read("train.log").contains("left out"));
    assert!(run.read("evaluation/test/predictions.csv").lines().next().unwrap().ends_with(",loss,line"));
    let report = run.read("report.html");
    assert!(
        report.contains("id=\"data\"") && report.contains("<th scope=\"row\">plan</th><td>category</td>"),
        "{report}"
    );
    examples_name_lines_and_values(&test_folder, &run);

    let mut rows = customers(200..220, false);
    rows.push_str("C-0300;30\nC-0301;999;never seen;true\n");
    fs::write(place("new.csv"), rows).unwrap();
    let ended = test_folder.run(&["predict", run.text(), "new.csv", "--output", "answers.csv"]).expect(0);
    ended.says(&["1 of 22 rows could not be predicted", "no training row had", "outside the range"]);
    let answers = fs::read_to_string(place("answers.csv")).unwrap();
    let lines: Vec<&str> = answers.lines().collect();
    assert_eq!(lines[0], "customer,age,plan,mail,class,probability_no,probability_yes,error,notes");
    assert_eq!(lines.len(), 23);
    assert!(lines[1].starts_with("C-0200,"), "{}", lines[1]);
    assert!(lines[21].ends_with("2 cells instead of 4, the first \"\"C-0300\"\"\","), "{}", lines[21]);
    assert!(
        lines[22].contains(",,\"age: outside 20 to 109; plan: unknown \"\"never seen\"\"\""),
        "{}",
        lines[22]
    );
    // Row 203 has no age; row 200 is complete.
    assert!(lines[4].ends_with(",,age: missing") && lines[1].ends_with(",,"), "{answers}");
    let left = fs::read_dir(test_folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.map(|name| name.into_string().unwrap()).all(|name| !name.contains("answers.csv.")));
    let bare: String = customers(200..202, false).lines().skip(1).map(|row| format!("{row}\n")).collect();
    fs::write(place("bare.csv"), bare).unwrap();
    let by_place = "the file has no header: its 4 columns are matched";
    test_folder.run(&["predict", run.text(), "bare.csv", "--output", "bare.out"]).expect(0).says(&[by_place]);
    test_folder.run(&["predict", run.text(), "bare.csv"]).expect(0).says(&[by_place]);
    // The predictions without --output are the same.
    let plain = json(&test_folder.run(&["predict", run.text(), "customers.csv", "--json"]).expect(0).stdout);
    fs::write(place("same.csv"), customers(0..200, true)).unwrap();
    test_folder.run(&["predict", run.text(), "same.csv", "-o", "same.out"]).expect(0);
    let same = fs::read_to_string(place("same.out")).unwrap();
    for (row, line) in same.lines().skip(1).enumerate() {
        let top = &plain[0]["predictions"][row]["top"][0];
        let class = line.split(',').rev().nth(4).unwrap();
        assert_eq!(top["class"].as_str(), Some(class), "row {row}: {line}");
    }
}

#[test]
fn settings_given_to_new_decide_how_it_reads_the_data_and_are_written_to_the_file() {
    let test_folder = TestFolder::new("");
    let place = |name: &str| test_folder.path().join(name);
    // Numbers that mean missing, a code, and a first row that looks like names.
    let rows = |row: usize| format!("{},{},{}\n", row % 9, row % 4, if row % 9 > 4 { "b" } else { "a" });
    fs::write(place("t.csv"), format!("x,y,a\n{}", (0..90).map(rows).collect::<String>())).unwrap();
    let new = |more: &[&str]| test_folder.run(&[&["new", "t.csv", "--force"], more].concat());
    new(&["data.header=false"]).expect(2).says(&["which column", "no header"]);
    new(&["data.label_column=3", "training.epochs=5"]).expect(2).says(&["training.epochs", "`kiln train`"]);
    new(&["--label", "3", "data.hedder=false"]).expect(2).says(&["data.header"]);
    new(&["--label", "3", "data.image_size=[2,2]"]).expect(2).says(&["data.image_size", "image-folder"]);
    let given = ["data.header=false", "data.missing=[\"x\", \"y\"]", "data.columns.category=[\"column 2\"]"];
    let seen = new(&[&["--label", "-1"], &given[..]].concat()).expect(0);
    assert!(
        seen.stdout.contains("91 examples") && seen.stdout.contains("column 2  category"),
        "{}",
        seen.stdout
    );
    let file = fs::read_to_string(place("t.toml")).unwrap();
    for line in [
        "label_column = -1",
        "header = false",
        "missing = [\"x\", \"y\"]",
        "category = [\"column 2\"]  #",
        "# number = []",
    ] {
        assert!(file.contains(&format!("\n{line}")), "{line:?} in {file}");
    }
    test_folder.run(&["train", "t.toml", "--ui", "none", "training.epochs=1"]).expect(0);
    // Only the user knows whether a column may reveal the class.
    let gives_away = |row: usize| format!("{},{},{}\n", row % 9, row % 2, ["n", "y"][row % 2]);
    fs::write(place("t.csv"), format!("u,v,w\n{}", (0..90).map(gives_away).collect::<String>())).unwrap();
    for (given, line) in [(None, "drop = [\"v\"]"), (Some("data.columns.drop=[]"), "drop = []")] {
        new(&["--label", "w"].into_iter().chain(given).collect::<Vec<_>>()).expect(0);
        let file = fs::read_to_string(place("t.toml")).unwrap();
        assert!(file.contains(&format!("\n{line}  #")), "{file}");
    }
}

#[test]
fn everything_may_be_trained_on() {
    let test_folder = TestFolder::new(
        "[data]\nsource = \"csv\"\npath = \"all.csv\"\nlabel_column = \"stays\"\ntest = 0\n[training]\nepochs = 3\n",
    );
    fs::write(test_folder.path().join("all.csv"), customers(0..60, true)).unwrap();
    let run = test_folder.train(&[]);
    run.expect_state("finished");
    assert!(run.status()["test"].is_null());
    test_folder.run(&["evaluate", run.text()]).expect(2).says(&["has no test examples"]);
    test_folder.run(&["evaluate", run.text(), "--split", "train"]).expect(0);
}

#[test]
fn groups_stay_together_and_classes_are_weighted() {
    let test_folder = TestFolder::new(
        "[data]\nsource = \"csv\"\npath = \"all.csv\"\nlabel_column = -1\ngroup_column = \"g\"\n[loss]\nclass_weights = \"balanced\"\n\
         [training]\nepochs = 2\n",
    );
    let rows: String = (0..300)
        .map(|row| format!("g{},{},{}\n", row / 10, row % 7, if row % 5 == 0 { "a" } else { "b" }))
        .collect();
    fs::write(test_folder.path().join("all.csv"), format!("g,x,y\n{rows}")).unwrap();
    let run = test_folder.train(&[]);
    let predictions = run.read("evaluation/test/predictions.csv");
    let lines =
        predictions.lines().skip(1).map(|line| line.rsplit(',').next().unwrap().parse::<usize>().unwrap());
    let mut groups: Vec<usize> = lines.map(|line| (line - 2) / 10).collect();
    let count = groups.len();
    groups.dedup();
    assert_eq!(count, groups.len() * 10, "whole groups are tested");
    let weights = json(&run.read("data.json"))["class_weights"].clone();
    assert!(weights[0].as_f64().unwrap() > 3.0 * weights[1].as_f64().unwrap(), "{weights}");
    test_folder.run(&["resume", run.text()]).expect(0).says(&["finished"]);
}

#[test]
fn a_network_that_cannot_fit_is_refused_before_it_is_made() {
    let test_folder = TestFolder::new("");
    let ended = test_folder.run(&["train", "model.hidden=[16777216,16777216]"]).expect(2);
    ended.says(&["281476251779082 weights", "GB", "it would fit"]);
    assert!(!test_folder.path().join("artifacts").exists(), "nothing was made");
}

/// Two overlapping classes; the second is rarer.
const PATIENTS: &str = r#"
name = "rare"
[data]
source = "csv"
path = "rows.csv"
label_column = "sick"
[model]
hidden = [8]
[optimizer]
lr = 0.02
[training]
epochs = 20
batch_size = 32
[evaluation]
calibration = "temperature"
"#;

fn patients() -> String {
    let row = |row: u32| {
        let sick = row % 4 == 1;
        let marker = (f64::from(row) * 1.3).sin() + if sick { 1.2 } else { 0.0 };
        let other = (f64::from(row) * 0.7).cos();
        format!("{marker:.4},{other:.4},{}\n", if sick { "yes" } else { "no" })
    };
    "marker,other,sick\n".to_owned() + &(0..600).map(row).collect::<String>()
}

fn patients_folder() -> TestFolder {
    let test_folder = TestFolder::new(PATIENTS);
    fs::write(test_folder.path().join("rows.csv"), patients()).unwrap();
    test_folder
}

#[test]
fn changed_data_is_not_mixed_with_the_data_of_a_run() {
    let test_folder = patients_folder();
    let ended =
        test_folder.run(&["train", "experiment.toml", "training.max_time=0.0001", "--no-report"]).expect(130);
    let run = ended.stdout.trim().to_owned();
    let rows = patients().replacen(",yes\n", ",no\n", 1);
    fs::write(test_folder.path().join("rows.csv"), rows).unwrap();
    let resume = ["resume", &run, "training.max_time=600"];
    test_folder.run(&resume).expect(2).says(&["cannot resume", "changed data (SHA-256 was"]);
    test_folder.run(&["evaluate", &run]).expect(1).says(&["the data has changed since the run was trained"]);
    fs::write(test_folder.path().join("rows.csv"), patients()).unwrap();
    test_folder.run(&resume).expect(0);
}

#[test]
fn a_threshold_decides_wherever_a_class_is_named() {
    let test_folder = patients_folder();
    let run = test_folder.train_with_report(&["evaluation.decision=recall", "evaluation.wished=0.95"]);
    let metrics = json(&run.read("evaluation/test/metrics.json"));
    let threshold = metrics["threshold"]["threshold"].as_f64().unwrap();
    assert!(threshold < 0.5 && metrics["threshold"]["positive"] == "yes", "{}", metrics["threshold"]);
    assert!(metrics["threshold"]["held_out"]["recall"].as_f64().unwrap() >= 0.95);
    assert!(metrics["accuracy_of_probable"].as_f64() > metrics["accuracy"].as_f64(), "it costs accuracy");
    let report = run.read("report.html");
    assert!(report.contains("Precision and recall by threshold") && report.contains("a recall of 0.95"));
    // Every prediction uses the threshold of the test.
    let by_threshold = |text: &str, class: usize, yes: usize| {
        let mut named = 0;
        for line in text.lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            let is_yes = cells[yes].parse::<f64>().unwrap() >= threshold;
            assert_eq!(cells[class] == "yes", is_yes, "{line}");
            named += usize::from(is_yes);
        }
        named
    };
    let header = |text: &str, name: &str| {
        text.lines().next().unwrap().split(',').position(|head| head == name).unwrap()
    };
    let answers = test_folder.run(&["predict", run.text(), "rows.csv", "--output", "-"]).expect(0).stdout;
    let [class, yes] = ["class", "probability_yes"].map(|name| header(&answers, name));
    assert!(by_threshold(&answers, class, yes) > 150, "more than there are in the class");
    test_folder
        .run(&["evaluate", run.text(), "--split", "validation"])
        .expect(0)
        .says(&["is predicted if its probability is at least"]);
    let again = json(&test_folder.run(&["evaluate", run.text(), "--json"]).expect(0).stdout);
    assert_eq!(again["metrics"], metrics);
}

#[test]
fn decisions_that_cannot_be_are_refused_before_a_run_is_made() {
    let test_folder = patients_folder();
    let train = |settings: &[&str]| test_folder.run(&[&["train", "experiment.toml"], settings].concat());
    let digits = ["data.source=digits", "evaluation.decision=cost"];
    let digits = ["train", digits[0], digits[1]];
    test_folder.run(&digits).expect(1).says(&["evaluation.decision", "data of two classes", "10 classes"]);
    train(&["evaluation.decision=cost", "evaluation.positive=ill"])
        .expect(1)
        .says(&["evaluation.positive", "\"ill\""]);
    train(&["evaluation.decision=recall", "data.validation=0", "evaluation.calibration=none"])
        .expect(2)
        .says(&["needs validation data to choose the threshold"]);
    train(&["evaluation.costs=[1, 5]"]).expect(2).says(&["has no effect with `evaluation.decision`"]);
    assert!(test_folder.runs().is_empty());
}

#[test]
fn a_run_keeps_its_simple_models_and_asks_them_again() {
    let test_folder = patients_folder();
    let run = test_folder.train_with_report(&[]);
    let metrics = json(&run.read("evaluation/test/metrics.json"));
    let [guess, linear] = &metrics["baselines"].as_array().unwrap()[..] else { panic!("two baselines") };
    assert_eq!((&guess["model"], &linear["model"]), (&"most-frequent-class".into(), &"linear-model".into()));
    assert_eq!(guess["accuracy"], 0.75);
    assert!(run.read("report.html").contains("linear model"));
    let importance = json(&run.read("evaluation/test/importance.json"));
    assert_eq!(importance["columns"][0]["column"], "marker");
    let again = json(&test_folder.run(&["evaluate", run.text(), "--json"]).expect(0).stdout);
    assert_eq!(again["metrics"], metrics);
    assert_eq!(json(&run.read("evaluation/test/importance.json")), importance);
    // Like a run of an earlier version.
    fs::remove_dir_all(run.file("baselines")).unwrap();
    let again = json(&test_folder.run(&["evaluate", run.text(), "--json"]).expect(0).stdout);
    assert_eq!((again["metrics"].get("baselines"), &again["metrics"]["loss"]), (None, &metrics["loss"]));
    let none = ["evaluation.baselines=false", "evaluation.importance=false"];
    let run = test_folder.train_with_report(&none);
    assert!(!run.file("baselines").exists() && !run.file("evaluation/test/importance.json").exists());
}

#[test]
fn each_mistake_is_answered_with_what_was_meant() {
    let test_folder = TestFolder::new(COSINE);
    fs::create_dir(test_folder.path().join("configs")).unwrap();
    fs::write(test_folder.path().join("configs/mnist.toml"), "name = \"m\"\n[model]\nhidden = [4]\n")
        .unwrap();
    fs::write(test_folder.path().join("study.toml"), "name = \"s\"\n[[trial]]\nname = \"a\"\n").unwrap();
    fs::write(test_folder.path().join("rows.csv"), "a,b,label\n1,2,x\n3,4,y\n").unwrap();
    let file = "experiment.toml";
    let mistakes: [(&[&str], &str); 19] = [
        (&["train", file, "training.epochs", "=", "2"], "without blanks around the =: training.epochs=2"),
        (&["train", file, "training.epochs=", "2"], "without blanks around the =: training.epochs=2"),
        (&["train", file, "--epochs", "2"], "write settings without dashes, as `training.epochs=VALUE`"),
        (
            &["train", file, "--training.epochs=2"],
            "write settings without dashes, as `training.epochs=VALUE`",
        ),
        (&["train", "--config", file], "give the experiment file without an option: `kiln train FILE`"),
        (
            &["train", "mnist"],
            "did you mean `kiln train configs/mnist.toml` or `kiln train data.source=mnist`?",
        ),
        (&["train", "config/mnist.toml"], "did you mean `kiln train configs/mnist.toml`"),
        (&["train", "rows.csv"], "`kiln new rows.csv --label COLUMN`"),
        (&["train", "study.toml"], "run it with `kiln study study.toml`"),
        (&["study", "configs/mnist.toml"], "train it with `kiln train configs/mnist.toml`"),
        (&["trace", "configs/mnist.toml"], "is not a worked example"),
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
        let ended = test_folder.run(words);
        assert!(ended.stderr.contains(meant), "{words:?}: {}", ended.stderr);
        assert!(matches!(ended.status.code(), Some(1 | 2)), "{words:?}: {ended:?}");
    }
    assert!(test_folder.runs().is_empty());
}

#[test]
fn a_picture_or_a_table_is_asked_of_the_latest_run_that_can_answer() {
    let test_folder = TestFolder::new(COSINE);
    test_folder.train(&["training.epochs=1"]);
    fs::write(test_folder.path().join("rows.csv"), "a,b\n1,2\n").unwrap();
    let ended = test_folder.run(&["predict", "rows.csv"]).expect(1);
    ended.says(&["using artifacts/cosine/", "is a table, but the network of this run takes pictures"]);
    test_folder.run(&["predict", "latest"]).expect(2).says(&["latest is a run; add the files"]);
    test_folder.run(&["predict", "nosuch", "rows.csv"]).expect(1).says(&["no run \"nosuch\""]);
}

#[test]
fn errors_are_json_where_answers_are() {
    let test_folder = TestFolder::new(COSINE);
    for (words, code) in [
        (&["train", "nosuch.toml", "--json"][..], 2),
        (&["runs", "show", "nosuch", "--json"], 1),
        (&["config", "check", "nosuch.toml", "--json"], 2),
        (&["ls", "--json"], 2),
    ] {
        let ended = test_folder.run(words).expect(code);
        let error = &json(&ended.stdout)["error"];
        assert_eq!(error["exit_code"], code);
        assert!(ended.stderr.contains(error["message"].as_str().unwrap()), "{ended:?}");
    }
    let diverging = ["train", "experiment.toml", "optimizer.name=sgd", "optimizer.lr=1e9", "--json"];
    let found = json(&test_folder.run(&diverging).expect(1).stdout);
    assert!(found["error"]["message"].as_str().unwrap().contains("loss became"), "{found}");
    let remedy = &found["findings"][0]["remedies"][0];
    assert_eq!(remedy["settings"], serde_json::json!(["optimizer.lr=0.1"]));
    assert_eq!(found["findings"][0]["kind"], "non-finite");
}

#[test]
fn json_lines_are_json_alone() {
    let test_folder = TestFolder::new(COSINE);
    let ended = test_folder.run(&["train", "experiment.toml", "training.epochs=2", "--ui", "json"]).expect(0);
    let events: Vec<_> = ended.stderr.lines().map(|line| json(line)["event"].clone()).collect();
    assert!(events.contains(&"notice".into()) && events.contains(&"test".into()), "{events:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_result_that_cannot_be_written_is_an_error() {
    let test_folder = TestFolder::new(COSINE);
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for words in [&["runs", "list"][..], &["train", "experiment.toml", "training.epochs=1", "--ui", "none"]] {
        let output = test_folder.command(words).stdout(full()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("cannot write the result to standard output"), "{stderr}");
    }
}

#[test]
fn runs_are_filtered_sorted_limited_and_deleted() {
    let test_folder = TestFolder::new(COSINE);
    for (name, epochs) in [("a", 1), ("b", 4), ("c", 2)] {
        test_folder.train(&[&format!("name={name}"), &format!("training.epochs={epochs}")]);
    }
    let names = |words: &[&str]| {
        let ended = test_folder.run(&[&["runs", "list"], words].concat()).expect(0);
        let lines = ended.stdout.lines().skip(1);
        lines.map(|line| line.split('/').next().unwrap().to_owned()).collect::<Vec<_>>().concat()
    };
    assert_eq!(names(&[]), "cba");
    assert_eq!(names(&["--sort", "name", "--limit", "2"]), "ab");
    assert_eq!(names(&["b/"]), "");
    assert_eq!(names(&["b"]), "b");
    assert_eq!(names(&["--state", "failed"]), "");
    assert_eq!(names(&["--sort", "accuracy"]).chars().next(), Some('b'));
    test_folder.run(&["runs", "delete", "a"]).expect(2).says(&["nothing is deleted without --yes"]);
    assert_eq!(names(&[]), "cba");
    let deleted = test_folder.run(&["runs", "delete", "a", "c", "--yes"]).expect(0);
    assert_eq!((deleted.stdout.lines().count(), names(&[])), (2, "b".to_owned()));
    assert!(!test_folder.artifacts().join("a").exists());
}

#[test]
fn runs_stand_beside_each_other_on_a_page() {
    let test_folder = TestFolder::new(COSINE);
    for settings in
        [["seed=1", "optimizer.lr=1e-3"], ["seed=2", "optimizer.lr=1e-3"], ["seed=1", "optimizer.lr=1e-2"]]
    {
        test_folder.train(&[&["training.epochs=3"][..], &settings].concat());
    }
    let runs: Vec<_> = test_folder.runs();
    let names: Vec<&str> = runs.iter().map(RunFolder::text).collect();
    let words = [&["runs", "compare"], &names[..], &["--html", "compared.html"]].concat();
    assert_eq!(test_folder.run(&words).expect(0).stdout, "compared.html\n");
    let page = fs::read_to_string(test_folder.path().join("compared.html")).unwrap();
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
