//! Which layer wins, and what becomes of values that a later layer leaves without effect.

use std::fs;
use std::path::Path;

use kiln_config::{Experiment, Normalization, OptimizerName, Origin, Request, Source, resolve};
use tempfile::TempDir;

use crate::{file, message, owned, text};

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn line(path: &Path, line: usize) -> Origin {
    Origin::File { name: path.display().to_string(), line }
}

#[test]
fn each_layer_overrides_the_ones_before_it() {
    let folder = folder(&[
        ("base.toml", "seed = 1\n[training]\nepochs = 1\nbatch_size = 1\nmax_steps = 1\n"),
        (
            "a.toml",
            "extends = \"base.toml\"\n[training]\nepochs = 2\nbatch_size = 2\n[optimizer]\nlr = 0.2\n",
        ),
    ]);
    let path = folder.path().join("a.toml");
    let variables = [("KILN_TRAINING__EPOCHS", "3"), ("KILN_OPTIMIZER__LR", "0.3"), ("HOME", "/root")];
    let resolved = resolve(&Request {
        source: Source::File(path.clone()),
        environment: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        overrides: owned(&["optimizer.lr=0.4", "optimizer.lr=0.5"]),
    })
    .unwrap();
    let experiment = &resolved.experiment;
    assert_eq!(experiment.evaluation.batch_size, 256);
    assert_eq!((experiment.seed, experiment.training.max_steps), (1, Some(1)));
    assert_eq!((experiment.training.epochs, experiment.training.batch_size), (3, 2));
    assert!((experiment.optimizer.lr - 0.5).abs() < 1e-15);
    let origins = &resolved.origins;
    assert_eq!(origins["evaluation.batch_size"], Origin::Default);
    assert_eq!(origins["training.max_steps"], line(&folder.path().join("base.toml"), 5));
    assert_eq!(origins["training.batch_size"], line(&path, 4));
    assert_eq!(
        origins["training.epochs"],
        Origin::Environment { variable: "KILN_TRAINING__EPOCHS".to_owned() }
    );
    assert_eq!(origins["optimizer.lr"], Origin::CommandLine { text: "optimizer.lr=0.5".to_owned() });
    assert_eq!(resolved.overrides, ["optimizer.lr=0.4", "optimizer.lr=0.5"]);
    assert!(resolved.input.starts_with("extends = "));
}

#[test]
fn bases_are_found_beside_the_file_that_names_them_and_may_have_bases() {
    let folder = folder(&[
        ("bases/far.toml", "seed = 1\nname = \"far\"\ntags = [\"far\"]\n"),
        ("bases/near.toml", "extends = \"far.toml\"\nname = \"near\"\n"),
        ("runs/a.toml", "extends = \"../bases/near.toml\"\ntags = [\"a\"]\n"),
    ]);
    let experiment = file(&folder.path().join("runs/a.toml"), &[]).unwrap().experiment;
    assert_eq!((experiment.seed, experiment.name.as_str()), (1, "near"));
    assert_eq!(experiment.tags, ["a"]);
}

#[test]
fn the_base_for_tables_is_built_in_and_every_key_of_it_can_be_set() {
    let table = "extends = \"tabular\"\n[data]\npath = \"a.csv\"\n[model]\ndropout = 0.5\n";
    let resolved = text(table, &["model.hidden=[7]"]).unwrap();
    let Experiment { data, model, .. } = &resolved.experiment;
    assert_eq!((data.normalization, data.folds, model.members), (Normalization::Robust, 4, 4));
    assert_eq!((model.dropout, model.hidden.as_slice()), (0.5, [7].as_slice()));
    assert!(resolved.show().contains("# preset tabular:"), "{}", resolved.show());
    let given: Vec<String> = resolved.given().into_iter().map(|(key, _)| key).collect();
    assert_eq!(given, ["data.path", "model.hidden", "model.dropout"]);
}

#[test]
fn the_base_for_tables_says_that_it_is_for_tables() {
    let message = message(text("extends = \"tabular\"\n", &["data.source=digits"]));
    assert!(message.contains("`data.normalization` = \"robust\" is for the columns of a table"), "{message}");
}

#[test]
fn one_network_of_the_base_for_tables_needs_another_way_to_validate() {
    let table = "extends = \"tabular\"\n[data]\npath = \"a.csv\"\n";
    let refused = message(text(table, &["model.members=1"]));
    assert!(refused.contains("set `data.folds` to 0 and `data.validation` to a share"), "{refused}");
    let refused = message(text(table, &["data.validation=0.2"]));
    assert!(refused.contains("it needs 0"), "{refused}");
    text(table, &["model.members=1", "data.folds=0", "data.validation=0.2"]).unwrap();
    let with_file = text(table, &["data.validation_path=b.csv"]).unwrap();
    assert_eq!((with_file.experiment.data.folds, with_file.unused.len()), (0, 1));
}

#[test]
fn a_base_that_leads_back_to_the_file_is_refused_however_it_is_written() {
    let folder = folder(&[
        ("a.toml", "extends = \"b.toml\"\n"),
        ("b.toml", "seed = 2\nextends = \"./c/../a.toml\"\n"),
        ("c/d.toml", ""),
    ]);
    let message = message(file(&folder.path().join("a.toml"), &[]));
    assert!(message.contains("b.toml:2: `extends` goes round in a circle: "), "{message}");
    assert!(message.ends_with("c/../a.toml"), "{message}");
}

#[test]
fn a_mistake_in_a_base_names_the_base() {
    let folder =
        folder(&[("base.toml", "\n[model]\ndropout = 1\n"), ("a.toml", "extends = \"base.toml\"\n")]);
    let message = message(file(&folder.path().join("a.toml"), &["seed=x"]));
    let base = folder.path().join("base.toml");
    let expected = format!(
        "{}:3: `model.dropout` = 1 is not allowed; it must be at least 0 and below 1\n\
         command line `seed=x`: `seed` must be a whole number, found \"x\"",
        base.display()
    );
    assert_eq!(message, expected);
}

const MOMENTUM: &str = "[optimizer]\nname = \"sgd\"\nmomentum = 0.9\n";

#[test]
fn a_lower_layers_value_that_loses_its_effect_is_set_aside_and_told() {
    let resolved = text(MOMENTUM, &["optimizer.name=adam"]).unwrap();
    assert_eq!(resolved.experiment.optimizer.name, OptimizerName::Adam);
    assert!(resolved.experiment.optimizer.momentum.abs() < 1e-15);
    let (value, origin) = &resolved.unused["optimizer.momentum"];
    assert_eq!((value.as_float(), origin.to_string().as_str()), (Some(0.9), "test.toml:3"));
    let shown = "momentum = 0.0                           # default; 0.9 of test.toml:3 has no effect here\n";
    assert!(resolved.show().contains(shown), "{}", resolved.show());
}

#[test]
fn the_layer_that_gives_a_value_without_effect_is_told_off_even_over_a_base() {
    let message = message(text("[optimizer]\nname = \"adam\"\n", &["optimizer.momentum=0.9"]));
    let expected = "command line `optimizer.momentum=0.9`: `optimizer.momentum` = 0.9 has no effect with \
                    `optimizer.name` = \"adam\" (test.toml:2); it is for \"sgd\" or \"rmsprop\"";
    assert_eq!(message, expected);
}

#[test]
fn a_value_at_its_default_is_never_told_off() {
    text("optimizer.momentum = 0.0\nearly_stopping.patience = 5\ndata.image_size = [28, 28]\n", &[]).unwrap();
}

#[test]
fn early_stopping_may_be_switched_off_without_forgetting_its_settings() {
    let resolved = text("[early_stopping]\nenabled = false\npatience = 3\n", &[]).unwrap();
    assert_eq!(resolved.experiment.early_stopping.patience, 3);
    assert!(resolved.unused.is_empty());
}

#[test]
fn without_validation_an_untouched_checkpoint_monitor_is_fine_and_a_chosen_one_is_not() {
    let resolved = text("data.validation = 0\n", &[]).unwrap();
    assert!(
        resolved.show().contains("# default; nothing is held out, so the last checkpoint counts as best")
    );
    let message = message(text("checkpoint.monitor = \"validation_loss\"\n", &["data.validation=0"]));
    assert!(message.starts_with("command line `data.validation=0`: `checkpoint.monitor`"), "{message}");
    assert!(message.ends_with("; `checkpoint.monitor` is set in test.toml:1"), "{message}");
}

#[test]
fn a_mistake_is_told_once_and_not_by_its_consequences_too() {
    let found =
        message(text("[early_stopping]\nenabled = true\nmonitor = \"val_los\"\n", &["data.validation=0"]));
    assert_eq!(found.lines().count(), 1, "{found}");
    let found = message(text("[modle]\noutput = \"softmax\"\n[loss]\nname = \"nll\"\n", &[]));
    assert_eq!(found, "test.toml:1: unknown section `[modle]`; did you mean `[model]`?");
}
