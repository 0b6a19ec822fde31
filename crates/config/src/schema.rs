//! The JSON Schema of experiment files, for editors.

use schemars::schema_for;
use serde_json::{Value, json};

use crate::Experiment;
use crate::keys::split;
use crate::range::{RULES, Range, Rule};

/// The JSON Schema (draft 2020-12) of an experiment file: types, meanings, defaults, names to choose from
/// and ranges.
#[must_use]
pub fn schema() -> Value {
    let mut schema = schema_for!(Experiment).to_value();
    drop_nulls(&mut schema);
    schema["title"] = json!("Kiln experiment");
    schema["description"] = json!("One experiment: everything that decides a training run.");
    schema["properties"]["extends"] = json!({
        "description": "A base file whose values this one starts from, relative to this file.",
        "type": "string",
        "minLength": 1,
    });
    for rule in RULES {
        let mut definition = definition(&schema, rule);
        restrict(&mut definition, rule);
        *place(&mut schema, rule.key) = definition;
    }
    schema
}

/// TOML has no null: a key is left out instead.
fn drop_nulls(node: &mut Value) {
    match node {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            if let Some(Value::Array(types)) = fields.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = &types[..] {
                    let only = only.clone();
                    fields.insert("type".to_owned(), only);
                }
            }
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(values) => values.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// The key's own definition; of a number that is shared between keys, a copy to restrict.
fn definition(schema: &Value, rule: &Rule) -> Value {
    let own = place(&mut schema.clone(), rule.key).clone();
    let shared = own["$ref"].as_str().and_then(|reference| schema.pointer(reference.trim_start_matches('#')));
    let Some(shared) = shared.filter(|shared| shared["anyOf"].is_array()) else { return own };
    let mut copy = shared.clone();
    for field in ["description", "default"] {
        if let Some(value) = own.get(field) {
            copy[field] = value.clone();
        }
    }
    copy
}

fn place<'a>(schema: &'a mut Value, key: &str) -> &'a mut Value {
    let (section, leaf) = split(key);
    if section.is_empty() {
        return &mut schema["properties"][leaf];
    }
    let reference = schema["properties"][section]["$ref"].as_str().unwrap_or_default();
    let pointer = format!("{}/properties/{leaf}", reference.trim_start_matches('#'));
    schema.pointer_mut(&pointer).expect("a test holds the rules to the schema")
}

/// Writes the rule into every number and text of the definition.
fn restrict(node: &mut Value, rule: &Rule) {
    for part in ["items", "anyOf"] {
        match node.get_mut(part) {
            Some(Value::Array(options)) => options.iter_mut().for_each(|option| restrict(option, rule)),
            Some(items) if items.get("$ref").is_none() => restrict(items, rule),
            _ => {}
        }
    }
    match node["type"].as_str() {
        Some("integer") => bound(node, rule.whole.unwrap_or(rule.range)),
        Some("number") => bound(node, rule.range),
        Some("string") => {
            if let Some(pattern) = rule.text.pattern() {
                node["pattern"] = json!(pattern);
            }
        }
        _ => {}
    }
}

fn bound(node: &mut Value, range: Range) {
    let (low, high) = (
        if range.low_open { "exclusiveMinimum" } else { "minimum" },
        if range.high_open { "exclusiveMaximum" } else { "maximum" },
    );
    let whole = node["type"] == "integer";
    let number = |bound: f64| if whole { json!(bound as i64) } else { json!(bound) };
    if range.low.is_finite() {
        node[low] = number(range.low);
    }
    if range.high.is_finite() {
        node[high] = number(range.high);
    }
}
