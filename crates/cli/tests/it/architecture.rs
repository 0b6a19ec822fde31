//! The rules of ARCHITECTURE.md on imports between crates, the paths that it names, and the words of CONTRIBUTING.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// For each crate: the crates of this workspace that it may import, and libraries that it must not import.
const RULES: [(&str, &[&str], &[&str]); 17] = [
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
        &["kiln", "kiln-config", "kiln-data", "kiln-evaluation", "kiln-files", "kiln-model", "kiln-table"],
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
];

/// The normal dependencies of every package in `crates`, by name. Packages in `examples` are users' own.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    let name = |value: &Value| value["name"].as_str().expect("a name").to_owned();
    let is_ours =
        |package: &&Value| package["manifest_path"].as_str().is_some_and(|path| path.contains("/crates/"));
    packages
        .iter()
        .filter(is_ours)
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

/// Every file of Rust below `crates`, with its text.
fn sources() -> Vec<(PathBuf, String)> {
    let mut folders = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of the workspace") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source");
                sources.push((path, text));
            }
        }
    }
    sources
}

/// Phrases of CONTRIBUTING.md's section "Words" at which a reader stumbles.
const PHRASES: [&str; 22] = [
    "that which",
    "of which",
    "what there is",
    "there are none",
    "is none",
    "are none",
    "was none",
    "is said",
    "is told",
    "said of",
    "says of",
    "as far as",
    "goes on",
    "go on",
    "went on",
    "going on",
    "who always",
    "whoever",
    "its own affair",
    "ended badly",
    "left the finite",
    "there no more",
];

/// The phrase in a line's comment or text at which a reader stumbles, if there is one. "There is no X" is fine, "it is no
/// X" is not.
fn stumbling(line: &str) -> Option<String> {
    let prose = &line[line.find("//").or_else(|| line.find('"'))?..];
    let words: Vec<String> = prose
        .split(|sign: char| !sign.is_alphanumeric() && sign != '\'' && !"_{}".contains(sign))
        .filter(|word| !word.is_empty())
        .map(|word| if word == "None" { word.to_owned() } else { word.to_lowercase() })
        .collect();
    let has = |phrase: &&&str| {
        let parts: Vec<&str> = phrase.split(' ').collect();
        words.windows(parts.len()).any(|window| window.iter().map(String::as_str).eq(parts.iter().copied()))
    };
    if let Some(phrase) = PHRASES.iter().find(has) {
        return Some((*phrase).to_owned());
    }
    let comparisons = ["longer", "more", "better", "worse"];
    let denied = |at: &usize| {
        ["is", "are", "was", "were"].contains(&words[*at].as_str())
            && words.get(at + 1).is_some_and(|word| word == "no")
            && words.get(at + 2).is_some_and(|word| !comparisons.contains(&word.as_str()))
            && !(*at > 0 && words[at - 1] == "there")
    };
    (0..words.len()).find(denied).map(|at| format!("{} no", words[at]))
}

#[test]
fn comments_and_messages_use_plain_words() {
    assert_eq!(stumbling("// What is no image has nothing to look at.").as_deref(), Some("is no"));
    assert_eq!(stumbling("// There is no image; it is no longer there."), None);
    let own = Path::new(file!()).file_name();
    let mut found = Vec::new();
    for (path, text) in sources().iter().filter(|(path, _)| path.file_name() != own) {
        for (index, line) in text.lines().enumerate() {
            if let Some(phrase) = stumbling(line) {
                found.push(format!("{}:{}: {phrase}", path.display(), index + 1));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_paths_in_the_architecture_exist() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(crates.join("../ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let paths: Vec<&str> = text.split('`').skip(1).step_by(2).filter(|word| word.contains("/src/")).collect();
    assert!(paths.len() > 10, "{paths:?}");
    for path in paths {
        assert!(crates.join(path.trim_start_matches("crates/")).exists(), "{path}");
    }
}
