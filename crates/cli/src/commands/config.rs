//! `kiln config`.

use std::collections::BTreeMap;

use kiln_config::{Experiment, explain, keys, schema};
use schemars::JsonSchema;
use serde::Serialize;

use crate::arguments::ConfigAction;
use crate::experiment::resolved;
use crate::failure::Failure;
use crate::output::{print, print_json};

/// An experiment that nothing is wrong with.
#[derive(Serialize, JsonSchema)]
pub(crate) struct CheckedExperiment {
    /// Always true: what is wrong is an error.
    ok: bool,
    /// The name of the experiment.
    name: String,
}

/// An experiment with all its values, and where they come from.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ShownExperiment {
    /// The experiment.
    experiment: Experiment,
    /// Where the value of each key comes from, in words, such as `default` or `experiment.toml:3`.
    origins: BTreeMap<String, String>,
}

/// Checks, shows or explains experiment files.
pub(crate) fn config(action: &ConfigAction) -> Result<(), Failure> {
    match action {
        ConfigAction::Check { experiment, json } => {
            let resolved = resolved(experiment)?;
            if *json {
                print_json(&CheckedExperiment { ok: true, name: resolved.experiment.name });
            } else {
                print(&format!("{}: nothing is wrong", resolved.experiment.name));
            }
        }
        ConfigAction::Show { experiment, json } => {
            let resolved = resolved(experiment)?;
            if *json {
                let origins = resolved.origins.into_iter().map(|(key, origin)| (key, origin.to_string()));
                print_json(&ShownExperiment { experiment: resolved.experiment, origins: origins.collect() });
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
