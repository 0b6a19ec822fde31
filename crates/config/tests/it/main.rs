//! The experiment file from outside: messages, layers, text and back.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its own files has failed")]

mod any_text;
mod broken;
mod configs;
mod explanations;
mod files;
mod given;
mod layers;
mod round_trip;

use std::path::Path;

use kiln_config::{ConfigError, Request, Resolved, Source, resolve};

/// Resolves a text with overrides and nothing else.
fn text(text: &str, overrides: &[&str]) -> Result<Resolved, ConfigError> {
    let source = Source::Text { name: "test.toml".to_owned(), text: text.to_owned() };
    resolve(&Request { source, environment: Vec::new(), overrides: owned(overrides) })
}

/// Resolves a file with overrides and nothing else.
fn file(path: &Path, overrides: &[&str]) -> Result<Resolved, ConfigError> {
    let source = Source::File(path.to_owned());
    resolve(&Request { source, environment: Vec::new(), overrides: owned(overrides) })
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

/// The message of what had to be refused.
fn message(outcome: Result<Resolved, ConfigError>) -> String {
    outcome.map(|resolved| resolved.experiment).unwrap_err().to_string()
}
