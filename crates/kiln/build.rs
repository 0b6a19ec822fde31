//! Passes the versions of the compiler and of Burn to the program, for the provenance of each run.

use std::env;
use std::fs;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=../../Cargo.lock");
    // The names do not start with `KILN_`: `cargo run` passes these variables on, and the program would read settings.
    println!("cargo::rustc-env=BUILD_RUSTC_VERSION={}", rustc_version());
    println!("cargo::rustc-env=BUILD_BURN_VERSION={}", burn_version());
}

fn rustc_version() -> String {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let output = Command::new(rustc).arg("--version").output();
    output.ok().and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default().trim().to_owned()
}

/// The version of Burn in `Cargo.lock`.
fn burn_version() -> String {
    let lock = fs::read_to_string("../../Cargo.lock").unwrap_or_default();
    let entry = lock.split("[[package]]").find(|entry| entry.contains("\nname = \"burn\"\n"));
    let version = entry.and_then(|entry| entry.lines().find_map(|line| line.strip_prefix("version = ")));
    version.unwrap_or("unknown").trim_matches('"').to_owned()
}
