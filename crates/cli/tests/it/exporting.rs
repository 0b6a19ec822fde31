//! Exported and imported networks: every format must predict like Kiln, in Kiln's check and in other programs.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::program::{TestFolder, json, python_with, skip};

const DIGITS: &str = r#"
name = "digits"
data.source = "digits"
data.validation = 0.2
model.hidden = [24, 16]
training.epochs = 2
"#;

/// Rounding in single precision: sums are added in another order.
const ROUNDING: f64 = 1e-6;

/// Variants of networks for pictures.
const OF_PICTURES: &[&[&str]] = &[
    &["model.activation=relu"],
    &["model.activation=tanh"],
    &["model.activation=sigmoid"],
    &["model.activation=identity"],
    &["model.activation=gelu"],
    &["model.activation=silu"],
    &["model.activation=leaky-relu"],
    &["model.activation=softplus"],
    &["model.activation=selu"],
    &["model.activation=mish"],
    &["model.hidden=[]"],
    &["model.bias=false"],
    &["loss.name=nll"],
    &["loss.name=mse", "model.output=sigmoid"],
    &["model.dropout=0.3"],
    &["model.dropout=0.3", "model.dropout_mode=standard"],
    &["model.members=3", "model.dropout=0.2", "model.dropout_mode=standard"],
    &["data.normalization=standard"],
    &["evaluation.calibration=temperature"],
    &["model.members=2", "evaluation.calibration=temperature"],
];

/// Variants of networks for tables.
const OF_TABLES: &[&[&str]] = &[
    &["data.normalization=standard"],
    &["data.normalization=unit"],
    &["data.normalization=robust"],
    &["data.normalization=quantile"],
    &["data.normalization=robust", "model.number_embedding=periodic"],
    &["model.number_embedding=periodic", "model.members=8", "model.activation=mish"],
    &["evaluation.calibration=temperature", "evaluation.decision=cost", "evaluation.costs=[1, 7]"],
    &["data.columns.category=[\"size, cm\"]"],
    &["data.folds=0", "data.validation=0.2", "model.members=1", "model.output=sigmoid", "loss.name=mse"],
];

/// A table of `rows` rows with every kind of column. Three columns have no missing values, one of them a yes or no in words.
fn table(rows: usize) -> String {
    let mut text = "amount,spread,same,flag,sex,bit,city,when,\"size, cm\",grade\n".to_owned();
    for row in 0..rows {
        let grade = usize::from(row * 7 % 13 > 5 - row % 2);
        let jitter = (row * 7919 % 1000) as f64 / 1000.0;
        let pick = |words: [&str; 4]| words[(row * 31 / 3 + grade) % 4].to_owned();
        let or_missing = |every: usize, with: &str, value: String| {
            if row % every == every - 1 { with.to_owned() } else { value }
        };
        let cells = [
            or_missing(11, "", format!("{:.3}", 12345.0 + 800.0 * grade as f64 + 1000.0 * jitter)),
            or_missing(17, "-999", format!("{:.6}", (4.0 * jitter + grade as f64).exp())),
            "5".to_owned(),
            or_missing(13, "NA", if (row + grade) % 3 == 0 { "Yes" } else { "no" }.to_owned()),
            if row % 7 < 3 + grade { "female" } else { "male" }.to_owned(),
            or_missing(7, "?", (usize::from(jitter > 0.7) ^ grade).to_string()),
            or_missing(19, ["", "N.A."][row % 2], pick(["Köln", "Bonn", "\"New, York\"", "São \\ Paulo"])),
            or_missing(
                23,
                "",
                format!(
                    "20{}-0{}-{} 1{}:30:0{}",
                    19 + row % 3,
                    1 + row % 9,
                    10 + row % 19,
                    row % 7,
                    row % 10
                ),
            ),
            (row % 5 + grade).to_string(),
        ];
        text += &format!("{},{}\n", cells.join(","), ["low", "high"][grade]);
    }
    text
}

/// Exports `run` in every format but the page, and compares its predictions for the test split with Kiln's.
fn export_all(test_folder: &TestFolder, run: &str, what: &str) {
    for format in ["onnx", "safetensors", "burnpack", "c"] {
        let ended =
            test_folder.run(&["export", run, "--format", format, "--force", "--json", "-o", "network"]);
        let answer = json(&ended.expect(0).stdout);
        let check = &answer["check"];
        if check.is_null() {
            skip(&format!("{format} was not run"));
            continue;
        }
        let difference = check["largest_difference"].as_f64().unwrap();
        assert!(difference <= ROUNDING, "{what}: {format}: {answer:#}");
        assert_eq!(check["split"], "test");
        assert!(check["ties"].as_u64().unwrap() <= 1, "{what}: {format}: {answer:#}");
        for file in answer["files"].as_array().unwrap() {
            let bytes = fs::read(test_folder.path().join(file["path"].as_str().unwrap())).unwrap();
            assert_eq!(bytes.len() as u64, file["bytes"], "{file}");
            assert_eq!(kiln_files::sha256_hex(&bytes), file["sha256"].as_str().unwrap(), "{file}");
        }
    }
}

/// Compares the files of [`export_all`] with Kiln's predictions for the file `input`: the graph in ONNX's checker and in
/// onnxruntime and, if installed, the safetensors file and its Python code in PyTorch.
fn check_with_peers(test_folder: &TestFolder, python: &str, run: &str, input: &str, what: &str) {
    test_folder.run(&["predict", run, input, "--output", "answers.csv"]).expect(0);
    let mut peers = vec![("onnx_peers.py", "network.onnx")];
    if python_with("torch, safetensors").is_some() {
        peers.push(("pytorch_peers.py", "network"));
    }
    for (script, file) in peers {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../export/tests").join(script);
        let output = Command::new(python)
            .arg(script)
            .args([file, input, "answers.csv"])
            .current_dir(test_folder.path())
            .output()
            .unwrap();
        let (text, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && !text.is_empty(), "{what}: {errors}");
        for line in text.lines() {
            let (difference, wrong) = line.split_once(' ').unwrap();
            assert!(difference.parse::<f64>().unwrap() <= ROUNDING && wrong == "0", "{what}: {file}: {line}");
        }
    }
}

/// Images as an IDX file.
fn idx(count: usize) -> Vec<u8> {
    let sizes = [0x0803, count as u32, 8, 8].map(u32::to_be_bytes);
    let pixels = (0..count * 64).map(|at| (at * 2_654_435_761 % 65_536 / 256) as u8);
    sizes.concat().into_iter().chain(pixels).collect()
}

#[test]
fn networks_of_pictures_answer_alike_in_every_format() {
    let test_folder = TestFolder::new(DIGITS);
    fs::write(test_folder.path().join("images.idx"), idx(200)).unwrap();
    let python = python_with("onnx, onnxruntime");
    for overrides in OF_PICTURES {
        let run = test_folder.train(overrides);
        export_all(&test_folder, run.text(), &format!("{overrides:?}"));
        if let Some(python) = &python {
            check_with_peers(&test_folder, python, run.text(), "images.idx", &format!("{overrides:?}"));
        }
    }
}

#[test]
fn networks_of_tables_answer_alike_in_every_format() {
    let test_folder = TestFolder::new("");
    fs::write(test_folder.path().join("rows.csv"), table(400)).unwrap();
    let new = ["new", "rows.csv", "--label", "grade", "data.missing=[\"-999\"]"];
    test_folder.run(&new).expect(0);
    let python = python_with("onnx, onnxruntime");
    for overrides in OF_TABLES {
        let words =
            [&["train", "rows.toml", "--no-report", "training.epochs=3", "model.hidden=[12]"], *overrides];
        let run = test_folder.run(&words.concat()).expect(0).stdout.trim().to_owned();
        export_all(&test_folder, &run, &format!("{overrides:?}"));
        if let Some(python) = &python {
            check_with_peers(&test_folder, python, &run, "rows.csv", &format!("{overrides:?}"));
        }
    }
}

#[test]
fn an_export_is_the_same_every_time_and_overwrites_nothing() {
    let test_folder = TestFolder::new(DIGITS);
    let run = test_folder.train(&[]);
    let export = |output: &str| test_folder.run(&["export", run.text(), "--output", output]);
    export("one.onnx").expect(0).says(&["run on the test split (360 examples): the same classes"]);
    export("two").expect(0);
    let read = |name: &str| fs::read(test_folder.path().join(name)).unwrap();
    assert_eq!(read("one.onnx"), read("two.onnx"));
    for (format, ending) in
        [("safetensors", "safetensors"), ("burnpack", "bpk"), ("c", "h"), ("html", "html")]
    {
        for name in ["one", "two"] {
            test_folder.run(&["export", run.text(), "--format", format, "--output", name]).expect(0);
        }
        assert!(read(&format!("one.{ending}")) == read(&format!("two.{ending}")), "{format}");
    }
    export("one.onnx").expect(2).says(&["one.onnx already exists", "--force"]);
    export("nosuch/one.onnx").expect(2).says(&["the folder nosuch does not exist"]);
    let text = String::from_utf8_lossy(&read("one.onnx")).into_owned();
    let hash: Value = run.status()["weights_sha256"].clone();
    for word in
        ["weights_sha256", hash.as_str().unwrap(), "test_accuracy", "largest_difference", "greatest_pixel"]
    {
        assert!(text.contains(word), "{word}");
    }
}

/// A file made by `make_checkpoints.py`.
fn checkpoint(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../export/tests/checkpoints");
    folder.join(name).to_string_lossy().into_owned()
}

#[test]
fn checkpoints_of_pytorch_become_runs_that_are_tested() {
    let test_folder = TestFolder::new(DIGITS);
    let import = |name: &str, more: &[&str]| {
        let (path, overrides) = (checkpoint(name), ["model.hidden=[6]", "model.activation=tanh"]);
        let words = [&["import", &path, "experiment.toml", "--no-report"], &overrides[..], more];
        test_folder.run(&words.concat())
    };
    let answers = ["state.pt", "legacy.pt", "module.pt", "nested.pt", "double.pt", "state.safetensors"]
        .map(|name| json(&import(name, &["--json"]).expect(0).stdout));
    for answer in &answers {
        for same in ["weights_sha256", "test", "stop_reason"] {
            assert_eq!(answer[same], answers[0][same], "{answer:#}");
        }
    }
    assert_eq!(answers[0]["stop_reason"], "not_trained");
    let run = answers[0]["run"].as_str().unwrap();
    // Export the imported network, and import it again.
    export_all(&test_folder, run, "an imported network");
    let back =
        ["import", "network.onnx", "experiment.toml", "--json", "model.hidden=[6]", "model.activation=tanh"];
    let back = json(&test_folder.run(&back).expect(0).stdout);
    assert_eq!(back["weights_sha256"], answers[0]["weights_sha256"]);
    test_folder.run(&["resume", run]).expect(0).says(&["nothing is left to do", "--from"]);
    let from = ["train", "experiment.toml", "--from", run, "model.hidden=[6]", "model.activation=tanh"];
    test_folder.run(&from).expect(0).says(&["begins with the weights of"]);

    import("state.pt", &[]).expect(0).says(&["layers.0 [64, 6] is 0.weight, transposed", "test loss"]);
    import("state.pt", &["model.hidden=[7]"]).expect(2).says(&[
        "64 to 7",
        "0.weight [6, 64]",
        "model.hidden=[6] fits",
    ]);
    import("state.pt", &["model.bias=false"]).expect(2).says(&["no bias", "0.weight with a bias of 6"]);
    import("state.pt", &["model.members=2"]).expect(2).says(&["model.members=1"]);
    import("half.pt", &[]).expect(1).says(&["is of type F16", "model.float()"]);
    import("convolution.pt", &[]).expect(1).says(&["0.weight [2, 1, 3, 3] belongs to no linear layer"]);
    import("evil.pt", &[]).expect(2).says(&["no matrix at all"]);
    assert!(!test_folder.path().join("executed").exists(), "code of a checkpoint was run");
    let tanh = ["import", "network.onnx", "experiment.toml", "model.hidden=[6]"];
    test_folder.run(&tanh).expect(2).says(&["model.activation = \"relu\"", "model.activation=tanh fits"]);
    fs::write(test_folder.path().join("text.pt"), "no weights").unwrap();
    test_folder
        .run(&["import", "text.pt", "experiment.toml"])
        .expect(1)
        .says(&["expected a PyTorch checkpoint, a safetensors file or an ONNX graph"]);
}
