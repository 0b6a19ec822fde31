//! From a user's own table to predictions.

use std::fs;

use serde_json::Value;

use crate::program::{Workplace, json};
use crate::run_folder::RunFolder;

/// Two classes that a number and a word tell apart; an id, a gap, a comma in quotes.
fn customers(rows: std::ops::Range<usize>, with_class: bool) -> String {
    let row = |row: usize| {
        let (is_kept, age) = (!row.is_multiple_of(3), 20 + row * 7 % 50);
        let age = if row % 11 == 5 { String::new() } else { (age + usize::from(is_kept) * 40).to_string() };
        // Not quite the class, or it would be taken for what gives it away.
        let plan = if is_kept == row.is_multiple_of(13) { "plus" } else { "\"basic, yearly\"" };
        let class = if with_class { if is_kept { ";yes" } else { ";no" } } else { "" };
        format!("C-{row:04};{age};{plan};{}{class}\n", row.is_multiple_of(2))
    };
    let head = if with_class { "customer;age;plan;mail;stays\n" } else { "customer;age;plan;mail\n" };
    head.to_owned() + &rows.map(row).collect::<String>()
}

/// The examples in the report name the line of the file and its values; those of earlier versions do not, and are shown.
fn examples_name_lines_and_values(workplace: &Workplace, run: &RunFolder) {
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
    // As one of an earlier version.
    let old = |mut gallery: Value| {
        gallery.as_object_mut().unwrap().remove("columns");
        for (_, example) in gallery["examples"].as_object_mut().unwrap() {
            example.as_object_mut().unwrap().retain(|key, _| key != "line" && key != "values");
        }
        gallery.to_string()
    };
    fs::write(run.file("evaluation/test/gallery.json"), old(gallery)).unwrap();
    workplace.run(&["report", run.text()]).expect(0);
    assert!(!run.read("report.html").contains("<th scope=\"col\">line</th>"));
}

#[test]
fn a_table_leads_to_predictions_in_four_commands() {
    let workplace = Workplace::new("");
    let place = |name: &str| workplace.path().join(name);
    fs::write(place("customers.csv"), customers(0..200, true)).unwrap();
    workplace
        .run(&["train", "customers.csv"])
        .expect(2)
        .says(&["is a table", "kiln new customers.csv --label"]);
    workplace.run(&["new", "customers.csv"]).expect(2).says(&["which column", "\"stays\""]);
    let seen = workplace.run(&["new", "customers.csv", "--label", "stays"]).expect(0);
    for words in [
        "200 examples",
        "customer  id",
        "plan      category",
        "kiln train customers.toml",
        "left out: \"customer\"",
    ] {
        assert!(seen.stdout.contains(words), "{words:?} in {}", seen.stdout);
    }
    workplace.run(&["new", "customers.csv", "--label", "stays"]).expect(2).says(&["is there already"]);
    let ended = workplace.run(&["train", "customers.toml", "--ui", "plain", "training.epochs=8"]).expect(0);
    ended.says(&["data: left out: \"customer\""]);
    let run = workplace.only_run();
    assert!(run.read("train.log").contains("left out"));
    assert!(run.read("evaluation/test/predictions.csv").lines().next().unwrap().ends_with(",loss,line"));
    let report = run.read("report.html");
    assert!(
        report.contains("id=\"data\"") && report.contains("<th scope=\"row\">plan</th><td>category</td>"),
        "{report}"
    );
    examples_name_lines_and_values(&workplace, &run);

    let mut rows = customers(200..220, false);
    rows.push_str("C-0300;30\nC-0301;999;never seen;true\n");
    fs::write(place("new.csv"), rows).unwrap();
    let ended = workplace.run(&["predict", run.text(), "new.csv", "--output", "answers.csv"]).expect(0);
    ended.says(&["1 of 22 rows could not be answered", "no training row had", "outside the range"]);
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
    // Row 203 has no age; of row 200, all is known.
    assert!(lines[4].ends_with(",,age: missing") && lines[1].ends_with(",,"), "{answers}");
    let left = fs::read_dir(workplace.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.map(|name| name.into_string().unwrap()).all(|name| !name.contains("answers.csv.")));
    let bare: String = customers(200..202, false).lines().skip(1).map(|row| format!("{row}\n")).collect();
    fs::write(place("bare.csv"), bare).unwrap();
    let by_place = "the file has no header: its 4 columns are matched";
    workplace.run(&["predict", run.text(), "bare.csv", "--output", "bare.out"]).expect(0).says(&[by_place]);
    workplace.run(&["predict", run.text(), "bare.csv"]).expect(0).says(&[by_place]);
    // The answers are those of the other way to predict.
    let plain = json(&workplace.run(&["predict", run.text(), "customers.csv", "--json"]).expect(0).stdout);
    fs::write(place("same.csv"), customers(0..200, true)).unwrap();
    workplace.run(&["predict", run.text(), "same.csv", "-o", "same.out"]).expect(0);
    let same = fs::read_to_string(place("same.out")).unwrap();
    for (row, line) in same.lines().skip(1).enumerate() {
        let top = &plain[0]["predictions"][row]["top"][0];
        let class = line.split(',').rev().nth(4).unwrap();
        assert_eq!(top["class"].as_str(), Some(class), "row {row}: {line}");
    }
}

#[test]
fn what_new_is_told_of_the_data_decides_what_it_sees_and_stands_in_the_file() {
    let workplace = Workplace::new("");
    let place = |name: &str| workplace.path().join(name);
    // A number that stands for none, a code, and a first row that looks like names.
    let rows = |row: usize| format!("{},{},{}\n", row % 9, row % 4, if row % 9 > 4 { "b" } else { "a" });
    fs::write(place("t.csv"), format!("x,y,a\n{}", (0..90).map(rows).collect::<String>())).unwrap();
    let new = |more: &[&str]| workplace.run(&[&["new", "t.csv", "--force"], more].concat());
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
    workplace.run(&["train", "t.toml", "--ui", "none", "training.epochs=1"]).expect(0);
    // Nobody but the user knows whether a column may tell the class.
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
    let workplace = Workplace::new(
        "[data]\nsource = \"csv\"\npath = \"all.csv\"\nlabel_column = \"stays\"\ntest = 0\n[training]\nepochs = 3\n",
    );
    fs::write(workplace.path().join("all.csv"), customers(0..60, true)).unwrap();
    let run = workplace.train(&[]);
    run.expect_state("finished");
    assert!(run.status()["test"].is_null());
    workplace.run(&["evaluate", run.text()]).expect(2).says(&["held no test examples out"]);
    workplace.run(&["evaluate", run.text(), "--split", "train"]).expect(0);
}

#[test]
fn groups_stay_together_and_classes_are_weighted() {
    let workplace = Workplace::new(
        "[data]\nsource = \"csv\"\npath = \"all.csv\"\nlabel_column = -1\ngroup_column = \"g\"\n[loss]\nclass_weights = \"balanced\"\n\
         [training]\nepochs = 2\n",
    );
    let rows: String = (0..300)
        .map(|row| format!("g{},{},{}\n", row / 10, row % 7, if row % 5 == 0 { "a" } else { "b" }))
        .collect();
    fs::write(workplace.path().join("all.csv"), format!("g,x,y\n{rows}")).unwrap();
    let run = workplace.train(&[]);
    let predictions = run.read("evaluation/test/predictions.csv");
    let lines =
        predictions.lines().skip(1).map(|line| line.rsplit(',').next().unwrap().parse::<usize>().unwrap());
    let mut groups: Vec<usize> = lines.map(|line| (line - 2) / 10).collect();
    let count = groups.len();
    groups.dedup();
    assert_eq!(count, groups.len() * 10, "whole groups are tested");
    let weights = json(&run.read("data.json"))["class_weights"].clone();
    assert!(weights[0].as_f64().unwrap() > 3.0 * weights[1].as_f64().unwrap(), "{weights}");
    workplace.run(&["resume", run.text()]).expect(0).says(&["finished"]);
}

#[test]
fn a_network_that_cannot_fit_is_refused_before_it_is_made() {
    let workplace = Workplace::new("");
    let ended = workplace.run(&["train", "model.hidden=[16777216,16777216]"]).expect(2);
    ended.says(&["281476251779082 weights", "GB", "it would fit"]);
    assert!(!workplace.path().join("artifacts").exists(), "nothing was made");
}
