//! ARCHITECTURE.md's table of which crate may import which.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Crate, the crates of ours that it may import, and libraries that it must not know.
const RULES: [(&str, &[&str], &[&str]); 11] = [
    ("config", &[], &["burn", "clap"]),
    ("artifacts", &["config"], &["burn", "clap"]),
    ("cpu", &["config"], &["burn", "clap"]),
    ("backend", &["config", "cpu"], &["clap"]),
    ("data", &["config"], &["clap", "indicatif", "ratatui"]),
    ("model", &["config", "cpu"], &["clap", "ratatui"]),
    ("training", &["config", "artifacts", "backend", "cpu", "data", "model"], &["clap"]),
    ("plot", &[], &["burn", "clap"]),
    ("evaluation", &["config", "artifacts", "backend", "data", "model", "plot"], &["clap", "ratatui"]),
    (
        "study",
        &["config", "artifacts", "backend", "data", "model", "plot", "training", "evaluation"],
        &["clap"],
    ),
    (
        "cli",
        &["config", "artifacts", "backend", "data", "model", "plot", "training", "evaluation", "study"],
        &[],
    ),
];

/// Ordinary dependencies of every workspace crate, by name.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    let name = |value: &Value| value["name"].as_str().expect("a name").to_owned();
    packages
        .iter()
        .map(|package| {
            let all = package["dependencies"].as_array().expect("a list of dependencies");
            (name(package), all.iter().filter(|entry| entry["kind"].is_null()).map(name).collect())
        })
        .collect()
}

#[test]
fn crates_import_only_what_the_architecture_allows() {
    let found = dependencies();
    assert_eq!(found.len(), RULES.len(), "every crate has a rule: {:?}", found.keys());
    for (crate_name, allowed, unknown) in RULES {
        let imports = &found[&format!("kiln-{crate_name}")];
        for import in imports.iter().filter_map(|import| import.strip_prefix("kiln-")) {
            assert!(allowed.contains(&import), "{crate_name} must not import {import}");
        }
        for library in unknown {
            let knows = |import: &String| import == library || import.starts_with(&format!("{library}-"));
            assert!(!imports.iter().any(knows), "{crate_name} must not know {library}");
        }
    }
}
