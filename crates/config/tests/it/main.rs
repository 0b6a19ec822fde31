//! The experiment file from outside: which layer wins, text and back, and arbitrary text. `messages` has the mistakes.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its own files has failed")]

mod messages;

use std::fs;
use std::path::Path;

use kiln_config::{
    ConfigError, ConfigFault, Experiment, Holdout, Normalization, OptimizerName, Origin, Request, Resolved,
    Source, reference, resolve,
};
use proptest::prelude::*;
use tempfile::TempDir;

/// Resolves a text with overrides, without an environment.
fn text(text: &str, overrides: &[&str]) -> Result<Resolved, ConfigError> {
    let source = Source::Text { name: "test.toml".to_owned(), text: text.to_owned() };
    resolve(&Request { source, environment: Vec::new(), overrides: owned(overrides) })
}

/// Resolves a file with overrides, without an environment.
fn file(path: &Path, overrides: &[&str]) -> Result<Resolved, ConfigError> {
    let source = Source::File(path.to_owned());
    resolve(&Request { source, environment: Vec::new(), overrides: owned(overrides) })
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

/// The message of an experiment that must be refused.
fn message(outcome: Result<Resolved, ConfigError>) -> String {
    outcome.map(|resolved| resolved.experiment).unwrap_err().to_string()
}

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
fn the_base_for_tables_is_refused_for_other_data() {
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
    assert!(message.contains("b.toml:2: `extends` leads back to the same file: "), "{message}");
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
fn a_value_of_a_lower_layer_that_loses_its_effect_is_left_out_and_shown() {
    let resolved = text(MOMENTUM, &["optimizer.name=adam"]).unwrap();
    assert_eq!(resolved.experiment.optimizer.name, OptimizerName::Adam);
    assert!(resolved.experiment.optimizer.momentum.abs() < 1e-15);
    let (value, origin) = &resolved.unused["optimizer.momentum"];
    assert_eq!((value.as_float(), origin.to_string().as_str()), (Some(0.9), "test.toml:3"));
    let shown = "momentum = 0.0                           # default; 0.9 of test.toml:3 has no effect here\n";
    assert!(resolved.show().contains(shown), "{}", resolved.show());
}

#[test]
fn a_value_without_effect_is_refused_in_the_layer_that_gives_it() {
    let message = message(text("[optimizer]\nname = \"adam\"\n", &["optimizer.momentum=0.9"]));
    let expected = "command line `optimizer.momentum=0.9`: `optimizer.momentum` = 0.9 has no effect with \
                    `optimizer.name` = \"adam\" (test.toml:2); it is for \"sgd\" or \"rmsprop\"";
    assert_eq!(message, expected);
}

#[test]
fn a_value_at_its_default_is_never_refused_for_having_no_effect() {
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
fn a_mistake_is_reported_once_and_its_consequences_are_not() {
    let found =
        message(text("[early_stopping]\nenabled = true\nmonitor = \"val_los\"\n", &["data.validation=0"]));
    assert_eq!(found.lines().count(), 1, "{found}");
    let found = message(text("[modle]\noutput = \"softmax\"\n[loss]\nname = \"nll\"\n", &[]));
    assert_eq!(found, "test.toml:1: unknown section `[modle]`; did you mean `[model]`?");
}

/// A random override. Most of them fit together.
fn assignment() -> impl Strategy<Value = String> {
    let float = |key: &'static str| (1e-30_f64..0.999).prop_map(move |value| format!("{key}={value:e}"));
    let whole = |key: &'static str| (1_usize..1_000_000).prop_map(move |value| format!("{key}={value}"));
    prop_oneof![
        prop::sample::select(FLOATS).prop_flat_map(float),
        prop::sample::select(WHOLES).prop_flat_map(whole),
        prop::sample::select(WORDS).prop_map(ToString::to_string),
        any::<u32>().prop_map(|seed| format!("seed={seed}")),
        "[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,20}".prop_map(|name| format!("name={name}")),
        prop::collection::vec("\\PC{1,12}", 0..4).prop_map(|tags| format!("tags={}", quoted(&tags))),
        prop::collection::vec(1_usize..5000, 0..4).prop_map(|units| format!("model.hidden={units:?}")),
        (1e-9_f64..1e9).prop_map(|seconds| format!("training.max_time={seconds:?}")),
    ]
}

const FLOATS: &[&str] = &[
    "optimizer.lr",
    "optimizer.eps",
    "optimizer.weight_decay",
    "data.validation",
    "data.test",
    "model.dropout",
    "loss.l1",
    "loss.l2",
    "loss.label_smoothing",
    "training.max_norm",
    "training.max_value",
];
const WHOLES: &[&str] = &[
    "training.epochs",
    "training.batch_size",
    "training.gradient_accumulation",
    "training.max_steps",
    "lr_scheduler.warmup_steps",
    "checkpoint.interval",
    "checkpoint.interval_steps",
    "checkpoint.keep_latest_k",
    "dashboard.log_interval",
    "evaluation.batch_size",
    "data.test_limit",
    "data.validation",
];
const WORDS: &[&str] = &[
    "data.validation=0",
    "data.classes=[3, \"five\", 5]",
    "data.normalization=standard",
    "training.shuffle=false",
    "model.bias=false",
    "model.activation=leaky-relu",
    "model.initialization=he-normal",
    "optimizer={name=\"sgd\", momentum=0.9, nesterov=true}",
    "optimizer={name=\"adam\", betas=[0.5, 0.25]}",
    "optimizer.name=rmsprop",
    "lr_scheduler={name=\"step\", gamma=0.5}",
    "early_stopping={enabled=false, patience=3}",
    "checkpoint={monitor=\"train_accuracy\", mode=\"max\"}",
    "backend={name=\"flex\", threads=2}",
];

fn quoted(words: &[String]) -> String {
    serde_json::to_string(words).unwrap()
}

proptest! {
    #[test]
    fn a_resolved_experiment_reads_back_as_itself(overrides in prop::collection::vec(assignment(), 0..8)) {
        let overrides: Vec<&str> = overrides.iter().map(String::as_str).collect();
        let outcome = text("", &overrides);
        prop_assume!(outcome.is_ok());
        let resolved = outcome.unwrap();
        let written = resolved.to_toml();
        prop_assert_eq!(&Experiment::from_toml_str("config.toml", &written).unwrap(), &resolved.experiment);
        // The config.toml of a run can be used for another run, although it spells out every default.
        let again = text(&written, &[]).unwrap();
        prop_assert_eq!(&again.experiment, &resolved.experiment);
        prop_assert!(again.unused.is_empty());
        prop_assert_eq!(again.to_toml(), written);
        prop_assert_eq!(&text(&resolved.show(), &[]).map(|shown| shown.experiment), &Ok(resolved.experiment));
    }

    #[test]
    fn every_float_keeps_its_bits(lr in 1e-300_f64..1e30, constant in -1e30_f64..1e30) {
        let mut experiment = Experiment::default();
        experiment.optimizer.lr = lr;
        experiment.model.initialization_constant = constant;
        let read = Experiment::from_toml_str("config.toml", &experiment.to_toml()).unwrap();
        prop_assert_eq!(read.optimizer.lr.to_bits(), lr.to_bits());
        prop_assert_eq!(read.model.initialization_constant.to_bits(), constant.to_bits());
    }
}

#[test]
fn values_without_effect_do_not_stop_a_resolved_file_from_being_read() {
    let mut experiment = Experiment::default();
    experiment.optimizer.name = OptimizerName::Adam;
    experiment.optimizer.momentum = 0.9;
    experiment.data.validation = Holdout::Count(0);
    let mut written = experiment.to_toml();
    assert_eq!(Experiment::from_toml_str("config.toml", &written).unwrap(), experiment);
    written = written.replace("# monitor", "monitor");
    assert_eq!(Experiment::from_toml_str("config.toml", &written).unwrap(), experiment);
}

#[test]
fn a_resolved_file_is_checked_for_everything_else() {
    let message = |text: &str| Experiment::from_toml_str("config.toml", text).unwrap_err().to_string();
    assert_eq!(message("sede = 1\n"), "config.toml:1: unknown key `sede`; did you mean `seed`?");
    assert!(message("extends = \"base.toml\"\n").starts_with("config.toml:1: `extends` has no meaning here"));
    assert!(message("[model]\noutput = \"softmax\"\n").starts_with("config.toml:2: `model.output`"));
    assert!(message("[training]\nepochs = 0\n").starts_with("config.toml:2: `training.epochs` = 0"));
    assert!(message("[training\n").starts_with("config.toml:1: not valid TOML"));
}

#[test]
fn the_order_of_sections_is_that_of_the_types() {
    let text = Experiment::default().to_toml();
    let by_serde = toml::to_string(&Experiment::default()).unwrap();
    let names = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split(" =").next().unwrap_or_default().to_owned()).collect()
    };
    let ours: Vec<String> = names(&text).into_iter().filter(|line| !line.is_empty()).collect();
    let theirs: Vec<String> = names(&by_serde).into_iter().filter(|line| !line.is_empty()).collect();
    assert_eq!(ours, theirs);
}

/// Checks what must be true for every outcome.
fn check(outcome: Result<Resolved, ConfigError>, lines: usize) -> Result<(), TestCaseError> {
    let error = match outcome {
        Ok(resolved) => {
            let again = Experiment::from_toml_str("again", &resolved.to_toml());
            prop_assert_eq!(again, Ok(resolved.experiment));
            return Ok(());
        }
        Err(error) => error,
    };
    prop_assert!(!error.problems.is_empty());
    for problem in &error.problems {
        let unfit = matches!(problem.fault, ConfigFault::Unfit { .. });
        prop_assert!(!unfit, "validation accepted values that serde refuses: {}", problem);
        prop_assert!(problem.origin.is_some(), "no place: {}", problem);
        if let Some(Origin::File { line, .. }) = &problem.origin {
            prop_assert!((1..=lines.max(1)).contains(line), "{}", problem);
        }
        prop_assert!(!problem.to_string().contains('\n'), "more than one line: {:?}", problem);
    }
    Ok(())
}

fn lines(text: &str) -> usize {
    text.matches('\n').count() + 1
}

/// Pieces of files in random order.
fn patchwork() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(PIECES).prop_map(ToString::to_string),
        "[a-z_]{1,8} = [0-9.e-]{1,6}\n",
        "\\PC{0,8}",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

const PIECES: &[&str] = &[
    "[model]\n",
    "[optimizer]\n",
    "[data]\n",
    "[[model.weights]]\n",
    "[model.weights]\n",
    "weight = [[1.0, 2], [3]]\n",
    "weights = [{ weight = [[]] }]\n",
    "initialization = \"explicit\"\n",
    "hidden = [1, \"a\", [2]]\n",
    "hidden = []\n",
    "name = \"sgd\"\n",
    "name = 1979-05-27\n",
    "validation = 1e400\n",
    "validation = 99999999999999999999\n",
    "betas = {}\n",
    "model.hidden = [1]\n",
    "optimizer = 1\n",
    "classes = [0, \"a\", 0]\n",
    "\"\" = 1\n",
    "\"a.b\" = 1\n",
    "extends = \"\"\n",
    "seed = -0\n",
    "[",
    "=",
    "\"\"\"",
    "\u{0}",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_gives_an_experiment_or_a_message(any in any::<String>()) {
        check(text(&any, &[]), lines(&any))?;
    }

    #[test]
    fn pieces_of_files_in_any_order_give_an_experiment_or_a_message(patchwork in patchwork()) {
        check(text(&patchwork, &[]), lines(&patchwork))?;
    }

    #[test]
    fn any_override_gives_an_experiment_or_a_message(key in "[a-z._=]{0,12}", value in any::<String>()) {
        check(text("", &[&format!("{key}={value}")]), 1)?;
        check(text("", &[&format!("model.hidden={value}"), &format!("name={value}")]), 1)?;
    }

    #[test]
    fn a_valid_file_with_a_random_change_gives_an_experiment_or_a_message(
        at in any::<prop::sample::Index>(),
        length in 0_usize..30,
        piece in "\\PC{0,3}",
    ) {
        let letters: Vec<char> = reference().chars().collect();
        let start = at.index(letters.len());
        let end = (start + length).min(letters.len());
        let mutated: String =
            letters[..start].iter().copied().chain(piece.chars()).chain(letters[end..].iter().copied()).collect();
        check(text(&mutated, &[]), lines(&mutated))?;
    }
}

#[test]
fn deeply_nested_values_and_very_long_keys_are_refused() {
    let deep = format!("model.hidden = {}", "[".repeat(100_000));
    assert!(text(&deep, &[]).is_err());
    let closed = format!("model.hidden = {}1{}", "[".repeat(60), "]".repeat(60));
    assert!(text(&closed, &[]).is_err());
    let long = format!("{} = 1", "x".repeat(1_000_000));
    assert!(text(&long, &[]).is_err());
    let dotted = format!("a{} = 1", ".a".repeat(50));
    assert!(text(&dotted, &[]).is_err());
}
