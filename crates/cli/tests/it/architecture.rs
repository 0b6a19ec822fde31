//! The rules of ARCHITECTURE.md on imports between crates.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// For each crate: the crates of this workspace that it may import, and libraries that it must not import.
const RULES: [(&str, &[&str], &[&str]); 18] = [
    ("kiln-config", &[], &["burn", "clap"]),
    ("kiln-files", &[], &["burn", "clap"]),
    ("kiln-artifacts", &["kiln-config", "kiln-files"], &["burn", "clap"]),
    ("kiln-kernels", &["kiln-config"], &["clap"]),
    ("kiln-backend", &["kiln-config", "kiln-kernels"], &["clap"]),
    ("kiln-table", &["kiln-files"], &["burn", "clap", "indicatif", "ratatui"]),
    ("kiln-data", &["kiln-config", "kiln-files", "kiln-table"], &["clap", "indicatif", "ratatui"]),
    ("kiln-model", &["kiln-config", "kiln-data", "kiln-files", "kiln-kernels"], &["clap", "ratatui"]),
    (
        "kiln-training",
        &[
            "kiln-config",
            "kiln-artifacts",
            "kiln-backend",
            "kiln-data",
            "kiln-files",
            "kiln-kernels",
            "kiln-model",
        ],
        &["clap"],
    ),
    ("kiln-plot", &[], &["burn", "clap"]),
    ("kiln-diagnosis", &["kiln-config", "kiln-artifacts"], &["burn", "clap", "maud"]),
    (
        "kiln-evaluation",
        &[
            "kiln-config",
            "kiln-artifacts",
            "kiln-data",
            "kiln-diagnosis",
            "kiln-files",
            "kiln-model",
            "kiln-plot",
        ],
        &["clap", "ratatui"],
    ),
    (
        "kiln",
        &[
            "kiln-config",
            "kiln-artifacts",
            "kiln-backend",
            "kiln-data",
            "kiln-diagnosis",
            "kiln-evaluation",
            "kiln-files",
            "kiln-kernels",
            "kiln-model",
            "kiln-training",
        ],
        &["clap"],
    ),
    (
        "kiln-export",
        &[
            "kiln",
            "kiln-artifacts",
            "kiln-config",
            "kiln-data",
            "kiln-evaluation",
            "kiln-files",
            "kiln-model",
            "kiln-table",
        ],
        &["clap", "indicatif"],
    ),
    (
        "kiln-study",
        &[
            "kiln",
            "kiln-config",
            "kiln-artifacts",
            "kiln-backend",
            "kiln-data",
            "kiln-diagnosis",
            "kiln-files",
            "kiln-model",
            "kiln-plot",
            "kiln-evaluation",
        ],
        &["clap"],
    ),
    (
        "kiln-serve",
        &["kiln", "kiln-data", "kiln-evaluation", "kiln-export", "kiln-files", "kiln-table"],
        &["burn", "clap", "indicatif", "ratatui"],
    ),
    (
        "kiln-cli",
        &[
            "kiln",
            "kiln-config",
            "kiln-artifacts",
            "kiln-backend",
            "kiln-data",
            "kiln-files",
            "kiln-plot",
            "kiln-training",
            "kiln-evaluation",
            "kiln-export",
            "kiln-serve",
            "kiln-study",
            "kiln-table",
        ],
        &[],
    ),
    ("cnn", &["kiln"], &["clap"]),
];

/// The normal dependencies of every workspace crate, by name.
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
        let imports = &found[crate_name];
        for import in imports.iter().filter(|import| *import == "kiln" || import.starts_with("kiln-")) {
            assert!(allowed.contains(&import.as_str()), "{crate_name} must not import {import}");
        }
        for library in unknown {
            let knows = |import: &String| import == library || import.starts_with(&format!("{library}-"));
            assert!(!imports.iter().any(knows), "{crate_name} must not know {library}");
        }
    }
}
