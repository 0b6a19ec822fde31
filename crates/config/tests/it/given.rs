//! Overrides and environment variables: how their values are read, and what is said of mistakes.

use kiln_config::{Activation, ConfigError, Experiment, Request, Resolved, Source, resolve};

use crate::{message, text};

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
fn a_key_that_holds_text_takes_whatever_is_given() {
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
fn a_switch_may_have_a_word_beside_it() {
    use kiln_config::{Automatic, Transpose};
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
fn mistakes_of_all_layers_are_told_together() {
    let source =
        Source::Text { name: "test.toml".to_owned(), text: "sed = 1\n[data]\nlimit = 0\n".to_owned() };
    let environment = vec![("KILN_SEED".to_owned(), "x".to_owned())];
    let overrides = vec!["model.dropout=2".to_owned()];
    let error = resolve(&Request { source, environment, overrides }).unwrap_err();
    assert_eq!(error.problems.len(), 4, "{error}");
}
