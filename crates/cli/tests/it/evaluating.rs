//! What a finished run knows: evaluations, predictions, the report.

use std::fs;
use std::path::Path;

use crate::experiments::COSINE;
use crate::program::{Workplace, json};
use crate::run_folder::RunFolder;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{GrayImage, Luma};

/// Two classes that a line separates.
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

fn trained_on_digits() -> (Workplace, RunFolder) {
    let workplace = Workplace::new(COSINE);
    let run = workplace.train_with_report(&["training.epochs=8"]);
    (workplace, run)
}

/// Every file below `folder`, by its path in it.
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
    let (_workplace, run) = trained_on_digits();
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
    assert!(report.contains(&format!("{accuracy:.4}")), "the accuracy stands in the report");
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
    let (workplace, run) = trained_on_digits();
    let (before, metrics) = (run.snapshot(), run.read("evaluation/test/metrics.json"));
    let ended = workplace.run(&["evaluate", run.text()]).expect(0);
    assert!(ended.stdout.contains("precision") && ended.stdout.contains("weighted avg"), "{}", ended.stdout);
    run.expect_unchanged(&before);
    let ended = workplace.run(&["evaluate", run.text(), "--split", "train", "--json"]).expect(0);
    let train = json(&ended.stdout)["metrics"].clone();
    assert_eq!(train["examples"], 1293);
    assert_eq!(json(&run.read("evaluation/train/metrics.json")), train);
    assert!(run.file("evaluation/train/report.html").is_file());
    let first = run.checkpoints()[0];
    workplace.run(&["evaluate", run.text(), "--ckpt", &format!("step-{first}")]).expect(0);
    assert_eq!(
        json(&run.read(&format!("evaluation/test-step-{first}/metrics.json")))["checkpoint_step"],
        first
    );
    let folder = run.file("checkpoints").join(format!("step-{first}"));
    workplace.run(&["evaluate", run.text(), "--ckpt", folder.to_str().unwrap()]).expect(0);
    workplace.run(&["evaluate", run.text(), "--ckpt", "step-1x"]).expect(2).says(&["step-N"]);
    workplace.run(&["evaluate", run.text(), "--ckpt", "step-1"]).expect(1).says(&["no checkpoint of step 1"]);
    assert_eq!(run.read("evaluation/test/metrics.json"), metrics);
}

#[test]
fn a_report_is_made_again_from_what_is_there() {
    let workplace = Workplace::new(COSINE);
    let run = workplace.train(&["training.epochs=2"]);
    assert!(!run.file("report.html").exists() && run.file("evaluation/test/metrics.json").is_file());
    let printed = workplace.run(&["report", run.text()]).expect(0).stdout;
    let first = run.read("report.html");
    assert!(printed.trim_end().ends_with("report.html"));
    workplace.run(&["report", run.text()]).expect(0);
    assert_eq!(run.read("report.html"), first, "the same report every time");
    workplace.run(&["report", run.text(), "--evaluation", "none"]).expect(2).says(&["kiln evaluate"]);
    let gallery = run.read("evaluation/test/gallery.json");
    fs::write(run.file("evaluation/test/gallery.json"), gallery.replace("\"truth\":1", "\"truth\":99"))
        .unwrap();
    workplace.run(&["report", run.text()]).expect(1).says(&["gallery.json", "kiln evaluate"]);
    fs::write(run.file("evaluation/test/predictions.csv"), "index,true\n").unwrap();
    workplace.run(&["report", run.text()]).expect(1).says(&["predictions.csv"]);
    assert_eq!(run.read("report.html"), first, "the old report stays");
}

#[test]
fn a_run_finds_its_data_from_any_working_directory() {
    let workplace = Workplace::new(TABLE);
    fs::write(workplace.path().join("train.csv"), table(0..60)).unwrap();
    fs::write(workplace.path().join("test.csv"), table(60..80)).unwrap();
    let stopped = workplace.start_training(&["data.test_path=test.csv", "training.max_time=1e-6"]);
    stopped.wait().expect(130);
    let run = workplace.only_run();
    let elsewhere = workplace.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let resume = ["resume", run.text(), "training.max_time=600", "--ui", "none", "--no-report"];
    workplace.run_in(&elsewhere, &resume).expect(0);
    let ended = workplace.run_in(&elsewhere, &["evaluate", run.text(), "--json"]).expect(0);
    assert_eq!(json(&ended.stdout)["metrics"]["examples"], 20);
    // What the user wrote stays as it was written.
    assert!(run.read("config.input.toml").contains("path = \"train.csv\""));
    assert_eq!(run.read("overrides.txt").lines().next(), Some("data.test_path=test.csv"));
}

#[test]
fn a_study_of_a_relative_path_finds_again_what_it_trained() {
    let workplace = Workplace::new(TABLE);
    fs::write(workplace.path().join("train.csv"), table(0..60)).unwrap();
    let study = "name = \"tables\"\nbase = \"experiment.toml\"\nseeds = [0]\n[[trial]]\nname = \"table\"\n";
    fs::write(workplace.path().join("study.toml"), study).unwrap();
    let study = ["study", "study.toml", "--ui", "plain"];
    workplace.run(&study).expect(0);
    workplace.run(&study).expect(0).says(&["1 runs, 1 of them finished before"]);
}

#[test]
fn other_tables_are_evaluated_and_predicted() {
    let workplace = Workplace::new(TABLE);
    fs::write(workplace.path().join("train.csv"), table(0..60)).unwrap();
    fs::write(workplace.path().join("later.csv"), table(60..80)).unwrap();
    let run = workplace.train(&[]);
    let ended = workplace.run(&["evaluate", run.text(), "--data", "later.csv", "--json"]).expect(0);
    let found = json(&ended.stdout);
    assert_eq!(found["metrics"]["examples"], 20);
    let folder = workplace.path().join(found["evaluation"].as_str().unwrap());
    assert!(folder.file_name().unwrap().to_string_lossy().starts_with("later-"));
    assert!(folder.join("report.html").is_file());
    fs::write(workplace.path().join("other.csv"), "x,z,label\n1,2,odd\n").unwrap();
    workplace
        .run(&["evaluate", run.text(), "--data", "other.csv"])
        .expect(1)
        .says(&["\"x\", \"y\"", "no \"y\""]);
    fs::write(workplace.path().join("new.csv"), "x,y,label\n1,2,prime\n").unwrap();
    workplace
        .run(&["evaluate", run.text(), "--data", "new.csv"])
        .expect(1)
        .says(&["prime", "\"even\", \"odd\""]);
    // Figures of other data must not take the place of the run's own.
    fs::copy(workplace.path().join("later.csv"), workplace.path().join("train.csv")).unwrap();
    let before = run.snapshot();
    workplace.run(&["evaluate", run.text()]).expect(1).says(&["SHA-256", "--data PATH"]);
    run.expect_unchanged(&before);
    // A prediction needs neither labels nor the training data.
    fs::remove_file(workplace.path().join("train.csv")).unwrap();
    fs::write(workplace.path().join("rows.csv"), "y,x\n1,2\n3,4\n").unwrap();
    let ended = workplace.run(&["predict", run.text(), "rows.csv", "--json"]).expect(0);
    assert_eq!(json(&ended.stdout)[0]["predictions"].as_array().unwrap().len(), 2);
    let ended =
        workplace.run(&["predict", run.text(), "other.csv", "rows.csv"]).expect(1).says(&["no \"y\""]);
    assert!(ended.stdout.contains("rows.csv[1]"), "the others are answered: {}", ended.stdout);
}

#[test]
fn pictures_of_any_size_and_polarity_are_answered_and_unreadable_ones_named() {
    let (workplace, run) = trained_on_digits();
    // A one, drawn dark on light paper, far from the middle.
    let one = GrayImage::from_fn(300, 200, |x, y| {
        Luma([if (200..225).contains(&x) && (20..170).contains(&y) { 40 } else { 235 }])
    });
    one.save(workplace.path().join("one.png")).unwrap();
    fs::write(workplace.path().join("broken.png"), b"\x89PNG nothing").unwrap();
    GrayImage::from_pixel(20, 20, Luma([255])).save(workplace.path().join("empty.png")).unwrap();
    let arguments = ["predict", run.text(), "one.png", "broken.png", "empty.png", "none.png", "--json"];
    workplace.run(&arguments).expect(1).says(&["3 of 4 files"]);
    let mut names = fs::read_dir(workplace.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.all(|name| !name.to_string_lossy().contains("seen")), "nobody asked for it");
    let arguments = [&arguments[..], &["--seen", "seen/here"]].concat();
    let ended = workplace.run(&arguments).expect(1).says(&["3 of 4 files"]);
    let answers = json(&ended.stdout);
    assert_eq!(answers[0]["predictions"][0]["top"].as_array().unwrap().len(), 3);
    assert_eq!(answers[0]["predictions"][0]["top"][0]["class"], "1", "{answers:#}");
    assert_eq!(answers[0]["seen"], "seen/here/one.png.seen.png");
    let seen = image::open(workplace.path().join("seen/here/one.png.seen.png")).unwrap();
    assert_eq!((seen.width(), seen.height()), (8, 8));
    for (index, word) in [(1, "broken.png"), (2, "one grey level"), (3, "none.png")] {
        let error = answers[index]["error"].as_str().unwrap();
        assert!(error.contains(word), "{word:?} in {error}");
    }
}

#[test]
fn a_folder_of_pictures_is_answered_in_a_table_and_a_bad_one_does_not_lose_the_rest() {
    let (workplace, run) = trained_on_digits();
    let inner = workplace.path().join("new/inner");
    fs::create_dir_all(&inner).unwrap();
    let one = GrayImage::from_fn(60, 60, |x, y| {
        Luma([if (28..32).contains(&x) && y > 5 && y < 55 { 250 } else { 9 }])
    });
    for at in 0..70 {
        one.save(inner.join(format!("{at:02}.png"))).unwrap();
    }
    fs::write(workplace.path().join("new/broken.png"), b"\x89PNG nothing").unwrap();
    fs::write(workplace.path().join("new/notes.txt"), "no picture").unwrap();
    fs::write(workplace.path().join("new/sizes.csv"), "a,b\n").unwrap();
    let arguments = ["predict", run.text(), "new", "--output", "answers.csv"];
    workplace.run(&arguments).expect(0).says(&["new: 2 other files passed over", "1 of 71 files could not"]);
    let answers = fs::read_to_string(workplace.path().join("answers.csv")).unwrap();
    let lines: Vec<&str> = answers.lines().collect();
    assert!(lines[0].starts_with("file,class,probability_0,") && lines[0].ends_with(",probability_9,error"));
    assert_eq!(lines.len(), 72);
    assert!(
        lines[1].starts_with("new/broken.png,,") && lines[1].contains("unreadable picture"),
        "{}",
        lines[1]
    );
    let plain = workplace.run(&["predict", run.text(), "new/inner", "--json"]).expect(0);
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
    let printed = workplace.run(&["predict", run.text(), "new/inner", "-o", "-"]).expect(0).stdout;
    assert_eq!(printed.lines().count(), 71);
    let over = ["predict", run.text(), "new/inner", "-o", "new/inner/07.png"];
    workplace.run(&over).expect(2).says(&["07.png is asked about", "another file"]);
    fs::remove_dir_all(&inner).unwrap();
    fs::remove_file(workplace.path().join("new/broken.png")).unwrap();
    workplace.run(&arguments).expect(1).says(&["no pictures", "none among 2 files"]);
}

#[test]
fn a_test_image_in_its_own_size_gets_the_prediction_of_the_evaluation() {
    let (workplace, run) = trained_on_digits();
    let gallery = json(&run.read("evaluation/test/gallery.json"));
    let position = gallery["random"][0].as_u64().unwrap();
    let example = &gallery["examples"][position.to_string()];
    let png = STANDARD.decode(example["png"].as_str().unwrap()).unwrap();
    fs::write(workplace.path().join("own.png"), png).unwrap();
    let ended = workplace.run(&["predict", run.text(), "own.png", "--json"]).expect(0);
    let top = json(&ended.stdout)[0]["predictions"][0]["top"][0].clone();
    assert_eq!(top["class"], example["predicted"].as_u64().unwrap().to_string());
    let [here, there] = [&top["probability"], &example["probability"]].map(|value| value.as_f64().unwrap());
    assert!((here - there).abs() < 1e-6, "{here} {there}");
}
