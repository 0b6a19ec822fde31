//! The experiment files that come with the program.

use std::path::{Path, PathBuf};

use kiln_config::{
    Activation, DIGITS, DataSource, Experiment, Holdout, Initialization, LossName, Normalization,
    OptimizerName, keys, reference,
};

use crate::{file, text};

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
fn mnist_is_the_assignments() {
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

/// `configs/reference.toml` is what [`reference`] gives. After a change to a key, write the one into the
/// other: `INSTA_UPDATE=always cargo test -p kiln-config` does it.
#[test]
fn the_reference_is_that_of_the_code() {
    let path = folder().join("reference.toml");
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&path, reference()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), reference());
}

#[test]
fn the_reference_says_what_an_empty_file_says() {
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
