//! `explain` and the JSON Schema.

use kiln_config::{Explanation, explain, keys, schema};
use serde_json::{Value, json};

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
        let Explanation::Key(explanation) = explain(key).unwrap() else { panic!("{key} is no key") };
        assert!(explanation.meaning.len() > 10, "{key}");
        let Some((section, _)) = key.rsplit_once('.') else { continue };
        let Explanation::Section(section) = explain(&format!("[{section}]")).unwrap() else {
            panic!("{section}")
        };
        assert!(section.keys.contains(&explanation));
    }
}

#[test]
fn an_unknown_key_is_answered_with_the_nearest() {
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
