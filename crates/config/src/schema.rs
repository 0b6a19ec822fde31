//! The JSON Schema of experiment files, for editors.

use schemars::schema_for;
use serde_json::{Value, json};

use crate::Experiment;
use crate::facts::Facts;

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
    Facts::strip(&mut schema);
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
