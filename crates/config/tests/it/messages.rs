//! The messages and the documentation: mistakes in files, variables and arguments; `explain`, the reference and the
//! schema.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use kiln_config::{
    Activation, Automatic, ConfigError, DIGITS, DataSource, Experiment, Explanation, Holdout, Initialization,
    LossName, Normalization, OptimizerName, Origin, Request, Resolved, Source, Transpose, explain, keys,
    reference, resolve, schema,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{file, message, text};

/// Every file in `tests/broken` has a mistake on each line that ends in `# expect: KEY`.
#[test]
fn every_broken_file_is_refused_naming_file_line_and_key() {
    let files = files();
    assert!(files.len() >= 50, "only {} broken files", files.len());
    let mut messages = String::new();
    for file in files {
        let Err(error) = crate::file(&file, &[]) else { panic!("{} was accepted", file.display()) };
        let expected = expected(&file);
        assert!(!expected.is_empty(), "{} expects nothing", file.display());
        assert_eq!(places(&error), expected.iter().map(|(line, _)| *line).collect::<Vec<_>>(), "{error}");
        for (line, key) in &expected {
            let place = format!("{}:{line}: ", file.display());
            let named = error.problems.iter().map(ToString::to_string).any(|message| {
                message.strip_prefix(&place).is_some_and(|message| message.contains(key.as_str()))
            });
            assert!(named, "{place}{key} is not in\n{error}");
        }
        writeln!(messages, "{error}").unwrap();
    }
    insta::assert_snapshot!(messages);
}

fn files() -> Vec<PathBuf> {
    let entries = Path::new("tests/broken").read_dir().unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The lines that the error must name, each with the key.
fn expected(file: &Path) -> Vec<(usize, String)> {
    let text = std::fs::read_to_string(file).unwrap();
    let lines = text.lines().enumerate();
    lines
        .filter_map(|(index, line)| line.split_once("# expect: ").map(|(_, key)| (index + 1, key.to_owned())))
        .collect()
}

/// The lines that the error names, from top to bottom.
fn places(error: &ConfigError) -> Vec<usize> {
    let line = |origin: &Option<Origin>| match origin {
        Some(Origin::File { line, .. }) => *line,
        other => panic!("not a line: {other:?}"),
    };
    let mut lines: Vec<usize> = error.problems.iter().map(|problem| line(&problem.origin)).collect();
    lines.sort_unstable();
    lines
}

/// The message about the file `name` in a folder with `mnist.toml`, without the path of the folder.
fn refusal(name: &str, bytes: Option<&[u8]>) -> String {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("mnist.toml"), "").unwrap();
    fs::create_dir(folder.path().join("folder.toml")).unwrap();
    if let Some(bytes) = bytes {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let message = message(file(&folder.path().join(name), &[]));
    message.replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn a_missing_file_is_named_with_a_similar_one() {
    assert_eq!(
        refusal("mnits.toml", None),
        "cannot read `mnits.toml`: no such file; did you mean `mnist.toml`?"
    );
    assert_eq!(refusal("mnist", None), "cannot read `mnist`: no such file; did you mean `mnist.toml`?");
    assert_eq!(refusal("xyz.toml", None), "cannot read `xyz.toml`: no such file");
    assert_eq!(refusal("no/mnist.toml", None), "cannot read `no/mnist.toml`: there is no folder `no`");
}

#[test]
fn a_folder_is_refused() {
    assert_eq!(refusal("folder.toml", None), "cannot read `folder.toml`: it is a folder, not a file");
}

#[test]
fn an_error_names_the_line_of_bytes_that_are_not_text() {
    let message = refusal("a.toml", Some(b"seed = 1\nname = \"\xff\"\n"));
    assert_eq!(message, "cannot read `a.toml`: it is not UTF-8 text (line 2, byte 17)");
}

#[test]
fn a_file_of_the_wrong_size_is_not_read_to_the_end() {
    let message = refusal("a.toml", Some(&vec![b'#'; 16 * 1024 * 1024 + 1]));
    assert_eq!(message, "cannot read `a.toml`: it is larger than 16 MiB, too large for an experiment file");
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_are_accepted() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.toml");
    fs::write(&path, "\u{feff}seed = 1\r\n[training]\r\nepochs = 0\r\n").unwrap();
    let message = message(file(&path, &[]));
    assert!(message.starts_with(&format!("{}:3: `training.epochs`", path.display())), "{message}");
    fs::write(&path, "\u{feff}seed = 1\r\n").unwrap();
    assert_eq!(file(&path, &[]).unwrap().experiment.seed, 1);
}

fn overridden(overrides: &[&str]) -> Experiment {
    text("", overrides).unwrap().experiment
}

fn environment(variables: &[(&str, &str)]) -> Result<Resolved, ConfigError> {
    let source = Source::Text { name: "test.toml".to_owned(), text: String::new() };
    let environment =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    resolve(&Request { source, environment, overrides: Vec::new() })
}

#[test]
fn values_are_toml_and_bare_words_are_text() {
    let experiment =
        overridden(&["optimizer.lr=1e-3", "model.hidden=[256]", "model.activation=tanh", " seed = 0x10 "]);
    assert_eq!(experiment.model.hidden, [256]);
    assert_eq!(experiment.model.activation, Activation::Tanh);
    assert_eq!(experiment.seed, 16);
    assert!((experiment.optimizer.lr - 1e-3).abs() < 1e-15);
}

#[test]
fn a_key_that_holds_text_takes_any_value_as_text() {
    assert_eq!(overridden(&["name=007"]).name, "007");
    assert_eq!(overridden(&["name=true"]).name, "true");
    assert_eq!(overridden(&["name=\"quoted\""]).name, "quoted");
    let experiment = overridden(&["data.source=csv", "data.path=a=b [1].csv"]);
    assert_eq!(experiment.data.path.unwrap().to_str(), Some("a=b [1].csv"));
}

#[test]
fn an_inline_table_sets_several_keys_of_a_section() {
    let experiment = overridden(&["optimizer={name=\"sgd\", momentum=0.5}"]);
    assert!((experiment.optimizer.momentum - 0.5).abs() < 1e-15);
}

#[test]
fn a_switch_may_also_have_a_name_as_its_value() {
    let transpose = |text: &str| {
        overridden(&["data.source=idx", "data.path=x", &format!("data.transpose={text}")]).data.transpose
    };
    assert_eq!(transpose("auto"), Transpose::Auto(Automatic::Auto));
    assert_eq!(transpose("true"), Transpose::Switch(true));
    let error = message(text("", &["data.source=idx", "data.path=x", "data.transpose=maybe"]));
    assert!(error.contains("true or false or one of \"auto\"") && error.contains("maybe"), "{error}");
}

#[test]
fn variables_set_keys_and_reserved_ones_do_not() {
    let variables = [
        ("KILN_SEED", "3"),
        ("KILN_DATA__SOURCE", "mnist"),
        ("KILN_DATA_DIR", "x"),
        ("KILN_ARTIFACTS", "x"),
        ("KILN_LOG", "x"),
        ("KILN_TOKEN", "x"),
        ("PATH", "/bin"),
    ];
    let experiment = environment(&variables).unwrap().experiment;
    assert_eq!(experiment.seed, 3);
    assert_eq!(experiment.data.source, kiln_config::DataSource::Mnist);
}

#[test]
fn every_mistake_in_an_override_has_its_message() {
    let overrides = [
        "optimizer.lr=abc",
        "optimizer.lr=",
        "optimizer.lr=-1",
        "model.hidden=256",
        "model.hidden=[1,",
        "model.hidden=[1,2.5]",
        "model.activation=rleu",
        "training.shuffle=True",
        "data.validation=0.1x",
        "optimizer.nme=adam",
        "optimizer.sgd.lr=1",
        "optimizer=sgd",
        "optmizer.lr=1",
        "lr=3",
        "batchsize=3",
        "seed",
        "=3",
        "",
        "extends=base.toml",
        "name=a/b",
        "data.path=\"open",
        "seed=9223372036854775808",
        "seed=1\nname=\"x\"",
    ];
    let messages: Vec<String> = overrides.iter().map(|text_| message(text("", &[text_]))).collect();
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn every_mistake_in_the_environment_has_its_message() {
    let variables = [
        ("KILN_SEDE", "1"),
        ("KILN_LR", "1"),
        ("KILN_OPTIMIZER_LR", "1"),
        ("KILN_LOGS", "1"),
        ("KILN_DATADIR", "1"),
        ("KILN_FOO", "1"),
        ("KILN_", "1"),
        ("KILN_EXTENDS", "base.toml"),
        ("KILN_OPTIMIZER__LR", "fast"),
        ("KILN_MODEL__HIDDEN", "512,128"),
        ("KILN_TRAINING__EPOCHS", "0"),
    ];
    let messages: Vec<String> = variables.iter().map(|variable| message(environment(&[*variable]))).collect();
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn mistakes_of_all_layers_are_reported_together() {
    let source =
        Source::Text { name: "test.toml".to_owned(), text: "sed = 1\n[data]\nlimit = 0\n".to_owned() };
    let environment = vec![("KILN_SEED".to_owned(), "x".to_owned())];
    let overrides = vec!["model.dropout=2".to_owned()];
    let error = resolve(&Request { source, environment, overrides }).unwrap_err();
    assert_eq!(error.problems.len(), 4, "{error}");
}

#[test]
fn keys_of_every_kind_are_explained() {
    let names = [
        "optimizer.momentum",
        "data.validation",
        "loss.name",
        "training.max_time",
        "model.weights",
        "extends",
    ];
    let text: Vec<String> = names.iter().map(|name| explain(name).unwrap().to_string()).collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn every_key_has_a_meaning_and_each_section_lists_its_own() {
    for key in keys() {
        let Explanation::Key(explanation) = explain(key).unwrap() else { panic!("{key} is not a key") };
        assert!(explanation.meaning.len() > 10, "{key}");
        let Some((section, _)) = key.rsplit_once('.') else { continue };
        let Explanation::Section(section) = explain(&format!("[{section}]")).unwrap() else {
            panic!("{section}")
        };
        assert!(section.keys.contains(&explanation));
    }
}

#[test]
fn an_unknown_key_is_answered_with_the_most_similar() {
    let message = |name: &str| explain(name).unwrap_err().to_string();
    assert_eq!(message("learning_rate"), "unknown key `learning_rate`; did you mean `optimizer.lr`?");
    assert_eq!(message("optimiser"), "unknown key `optimiser`; did you mean `optimizer`?");
    assert_eq!(message("xyzzy"), "unknown key `xyzzy`");
}

fn property<'a>(schema: &'a Value, section: &str, key: &str) -> &'a Value {
    let mut node = schema;
    for name in section.split('.') {
        node = &node["properties"][name];
        if let Some(reference) = node["$ref"].as_str() {
            node = schema.pointer(reference.trim_start_matches('#')).unwrap();
        }
    }
    &node["properties"][key]
}

#[test]
fn the_schema_carries_ranges_defaults_and_meanings() {
    let schema = schema();
    let lr = property(&schema, "optimizer", "lr");
    assert_eq!((&lr["exclusiveMinimum"], &lr["default"]), (&json!(0.0), &json!(0.001)));
    assert_eq!(lr["description"], "Learning rate: the size of a step.");
    let hidden = property(&schema, "model", "hidden");
    assert_eq!((&hidden["items"]["minimum"], &hidden["items"]["maximum"]), (&json!(1), &json!(16_777_216)));
    let steps = property(&schema, "training", "max_steps");
    assert_eq!(
        (&steps["type"], &steps["minimum"], steps.get("default")),
        (&json!("integer"), &json!(1), None)
    );
    let validation = property(&schema, "data", "validation");
    assert_eq!(validation["anyOf"][0]["minimum"], 0);
    assert_eq!(validation["anyOf"][1]["exclusiveMaximum"], 1.0);
    assert_eq!(schema["properties"]["name"]["pattern"], "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$");
    assert_eq!(schema["properties"]["extends"]["type"], "string");
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn the_schema_has_every_key_and_no_null() {
    let schema = schema();
    for key in keys() {
        let node = match key.rsplit_once('.') {
            Some((section, leaf)) => property(&schema, section, leaf),
            None => &schema["properties"][key],
        };
        assert!(node["description"].is_string(), "{key}: {node}");
    }
    let text = schema.to_string();
    assert!(!text.contains(":null") && !text.contains("\"null\""));
}

fn folder() -> PathBuf {
    Path::new("../../configs").to_owned()
}

#[test]
fn every_file_in_configs_is_valid() {
    let entries = folder().read_dir().unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    assert!(files.len() >= 4);
    for path in files {
        let resolved = file(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
        assert!(resolved.unused.is_empty(), "{}", path.display());
    }
}

#[test]
fn the_built_in_experiment_needs_no_download() {
    let experiment = text(DIGITS, &[]).unwrap().experiment;
    assert_eq!(experiment.data.source, DataSource::Digits);
    assert_eq!(experiment.name, "digits");
}

#[test]
fn the_file_for_mnist_has_the_settings_of_the_assignment() {
    let Experiment { name: _, seed: _, data, model, loss, optimizer, training, dashboard, .. } =
        file(&folder().join("mnist.toml"), &[]).unwrap().experiment;
    assert_eq!((data.source, data.normalization), (DataSource::Mnist, Normalization::Unit));
    assert_eq!((data.validation, data.limit), (Holdout::Count(0), None));
    assert_eq!((model.hidden.as_slice(), model.activation), ([512, 128].as_slice(), Activation::Relu));
    assert_eq!(model.initialization, Initialization::Pytorch);
    assert!((model.dropout - 0.2).abs() < 1e-15);
    assert_eq!((loss.name, optimizer.name), (LossName::CrossEntropy, OptimizerName::Sgd));
    assert!((optimizer.lr - 0.01).abs() < 1e-15 && optimizer.momentum.abs() < 1e-15);
    assert_eq!((training.epochs, training.batch_size, dashboard.log_interval), (15, 64, 300));
}

/// `configs/reference.toml` must be the output of [`reference`]. After a change to a key, run
/// `INSTA_UPDATE=always cargo test --release --workspace --test it` to write it.
#[test]
fn the_reference_is_that_of_the_code() {
    let path = folder().join("reference.toml");
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&path, reference()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), reference());
}

#[test]
fn the_reference_has_the_same_effect_as_an_empty_file() {
    let resolved = file(&folder().join("reference.toml"), &[]).unwrap();
    assert_eq!(resolved.experiment, Experiment::default());
}

#[test]
fn the_reference_has_every_key_once_and_examples_that_are_valid() {
    let (mut section, mut found) = (String::new(), Vec::new());
    for line in reference().lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = format!("{name}.");
        }
        let assignment = line.strip_prefix("# ").unwrap_or(line);
        let Some((leaf, value)) = assignment.split_once(" = ").filter(|(leaf, _)| is_word(leaf)) else {
            continue;
        };
        let key = format!("{section}{leaf}");
        Experiment::from_toml_str("example", &format!("{key} = {value}"))
            .unwrap_or_else(|error| panic!("{error}"));
        found.push(key);
    }
    assert_eq!(found, keys());
}

fn is_word(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
