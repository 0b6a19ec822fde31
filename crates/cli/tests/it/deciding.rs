//! Which of two classes is named, and what a network is held against.

use crate::program::{Workplace, json};

/// Two classes that overlap, the second rarer.
const EXPERIMENT: &str = r#"
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

fn rows() -> String {
    let row = |row: u32| {
        let sick = row % 4 == 1;
        let marker = (f64::from(row) * 1.3).sin() + if sick { 1.2 } else { 0.0 };
        let other = (f64::from(row) * 0.7).cos();
        format!("{marker:.4},{other:.4},{}\n", if sick { "yes" } else { "no" })
    };
    "marker,other,sick\n".to_owned() + &(0..600).map(row).collect::<String>()
}

fn workplace() -> Workplace {
    let workplace = Workplace::new(EXPERIMENT);
    std::fs::write(workplace.path().join("rows.csv"), rows()).unwrap();
    workplace
}

#[test]
fn a_threshold_decides_wherever_a_class_is_named() {
    let workplace = workplace();
    let run = workplace.train_with_report(&["evaluation.decision=recall", "evaluation.wished=0.95"]);
    let metrics = json(&run.read("evaluation/test/metrics.json"));
    let threshold = metrics["threshold"]["threshold"].as_f64().unwrap();
    assert!(threshold < 0.5 && metrics["threshold"]["positive"] == "yes", "{}", metrics["threshold"]);
    assert!(metrics["threshold"]["held_out"]["recall"].as_f64().unwrap() >= 0.95);
    assert!(metrics["accuracy_of_probable"].as_f64() > metrics["accuracy"].as_f64(), "it costs accuracy");
    let report = run.read("report.html");
    assert!(report.contains("Precision and recall by threshold") && report.contains("a recall of 0.95"));
    // As in the test, so in every answer.
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
    let answers = workplace.run(&["predict", run.text(), "rows.csv", "--output", "-"]).expect(0).stdout;
    let [class, yes] = ["class", "probability_yes"].map(|name| header(&answers, name));
    assert!(by_threshold(&answers, class, yes) > 150, "more than there are");
    workplace.run(&["evaluate", run.text(), "--split", "validation"]).expect(0).says(&["is said from"]);
    let again = json(&workplace.run(&["evaluate", run.text(), "--json"]).expect(0).stdout);
    assert_eq!(again["metrics"], metrics);
}

#[test]
fn decisions_that_cannot_be_are_refused_before_a_run_is_made() {
    let workplace = workplace();
    let train = |settings: &[&str]| workplace.run(&[&["train", "experiment.toml"], settings].concat());
    let digits = ["data.source=digits", "evaluation.decision=cost"];
    let digits = ["train", digits[0], digits[1]];
    workplace.run(&digits).expect(1).says(&["evaluation.decision", "data of two classes", "10 classes"]);
    train(&["evaluation.decision=cost", "evaluation.positive=ill"])
        .expect(1)
        .says(&["evaluation.positive", "\"ill\""]);
    train(&["evaluation.decision=recall", "data.validation=0", "evaluation.calibration=none"])
        .expect(2)
        .says(&["needs validation data to choose by"]);
    train(&["evaluation.costs=[1, 5]"]).expect(2).says(&["has no effect with `evaluation.decision`"]);
    assert!(workplace.runs().is_empty());
}

#[test]
fn a_run_keeps_its_simple_models_and_asks_them_again() {
    let workplace = workplace();
    let run = workplace.train_with_report(&[]);
    let metrics = json(&run.read("evaluation/test/metrics.json"));
    let [guess, linear] = &metrics["baselines"].as_array().unwrap()[..] else { panic!("two baselines") };
    assert_eq!((&guess["model"], &linear["model"]), (&"most-frequent-class".into(), &"linear-model".into()));
    assert_eq!(guess["accuracy"], 0.75);
    assert!(run.read("report.html").contains("linear model"));
    let importance = json(&run.read("evaluation/test/importance.json"));
    assert_eq!(importance["columns"][0]["column"], "marker");
    let again = json(&workplace.run(&["evaluate", run.text(), "--json"]).expect(0).stdout);
    assert_eq!(again["metrics"], metrics);
    assert_eq!(json(&run.read("evaluation/test/importance.json")), importance);
    // As of a run of an earlier version.
    std::fs::remove_dir_all(run.file("baselines")).unwrap();
    let again = json(&workplace.run(&["evaluate", run.text(), "--json"]).expect(0).stdout);
    assert_eq!((again["metrics"].get("baselines"), &again["metrics"]["loss"]), (None, &metrics["loss"]));
    let none = ["evaluation.baselines=false", "evaluation.importance=false"];
    let run = workplace.train_with_report(&none);
    assert!(!run.file("baselines").exists() && !run.file("evaluation/test/importance.json").exists());
}
