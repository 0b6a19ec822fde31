//! `kiln config`: check, show or explain experiment files.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use kiln_config::{Experiment, explain, keys, schema};
use schemars::JsonSchema;
use serde::Serialize;

use super::bare_keys;
use crate::experiment::{ExperimentArguments, resolved};
use crate::failure::Failure;
use crate::output::{print, print_json};

#[derive(Debug, Args)]
pub(crate) struct ConfigArguments {
    #[command(subcommand)]
    pub(crate) action: ConfigAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigAction {
    /// Check an experiment file and list all of its errors.
    Check {
        #[command(flatten)]
        experiment: ExperimentArguments,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the resolved experiment with the origin of each value.
    Show {
        #[command(flatten)]
        experiment: ExperimentArguments,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of experiment files, for editors that complete and check TOML. For the schema of `--json` output,
    /// see `kiln schema`.
    Schema,
    /// Explain a key: its meaning, its possible values and its default.
    Explain {
        /// A key such as `optimizer.lr`, or a section such as `optimizer`. Default: list all keys.
        #[arg(add = ArgValueCompleter::new(bare_keys))]
        key: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// An experiment without errors.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CheckedExperiment")]
pub(crate) struct ValidExperiment {
    /// Always true: a wrong experiment is an error.
    ok: bool,
    /// The name of the experiment.
    name: String,
}

/// An experiment with the origins of its values.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ShownExperiment {
    /// The experiment.
    experiment: Experiment,
    /// The origin of the value of each key, such as `default` or `experiment.toml:3`.
    origins: BTreeMap<String, String>,
}

/// Checks, shows or explains experiment files.
pub(crate) fn config(action: &ConfigAction) -> Result<(), Failure> {
    match action {
        ConfigAction::Check { experiment, json } => {
            let resolved = resolved(experiment)?;
            if *json {
                print_json(&ValidExperiment { ok: true, name: resolved.experiment.name });
            } else {
                print(&format!("{}: no errors", resolved.experiment.name));
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
