//! A resolved experiment as text, and back.

use kiln_config::{Experiment, Holdout, OptimizerName};
use proptest::prelude::*;

use crate::text;

/// An override for any one key, most of which go together.
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
        // The run's own file can be trained again, though it spells out every default.
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
fn a_resolved_file_is_held_to_everything_else() {
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
