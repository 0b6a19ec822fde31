//! `kiln config`.

use kiln_config::{explain, keys, schema};
use serde_json::json;

use crate::arguments::ConfigAction;
use crate::experiment::resolved;
use crate::failure::Failure;
use crate::output::{print, print_json};

/// Checks, shows or explains experiment files.
pub(crate) fn config(action: &ConfigAction) -> Result<(), Failure> {
    match action {
        ConfigAction::Check { experiment, json } => {
            let resolved = resolved(experiment)?;
            if *json {
                print_json(&json!({ "ok": true, "name": resolved.experiment.name }));
            } else {
                print(&format!("{}: nothing is wrong", resolved.experiment.name));
            }
        }
        ConfigAction::Show { experiment, json } => {
            let resolved = resolved(experiment)?;
            if *json {
                let origins: serde_json::Map<_, _> = resolved
                    .origins
                    .iter()
                    .map(|(key, origin)| (key.clone(), json!(origin.to_string())))
                    .collect();
                print_json(&json!({ "experiment": resolved.experiment, "origins": origins }));
            } else {
                print(resolved.show().trim_end());
            }
        }
        ConfigAction::Schema => print_json(&schema()),
        ConfigAction::Explain { key: None, json } => {
            if *json {
                print_json(&keys());
            } else {
                print(&keys().join("\n"));
            }
        }
        ConfigAction::Explain { key: Some(key), json } => {
            let explanation = explain(key)?;
            if *json {
                print_json(&explanation);
            } else {
                print(&explanation.to_string());
            }
        }
    }
    Ok(())
}
