//! Values given one by one: environment variables and `key=value` arguments.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::DeValue;

use crate::document::syntax_fault;
use crate::keys::Keys;
use crate::kind::Kind;
use crate::reader::{Found, Place, Reader};
use crate::setting::Findings;
use crate::{Fault, Origin, Problem, nearest};

/// How every environment variable begins that sets a key.
const PREFIX: &str = "KILN_";

/// Environment variables that the program itself reads; they are no keys of an experiment.
pub const RESERVED_VARIABLES: [&str; 3] = ["KILN_DATA_DIR", "KILN_ARTIFACTS", "KILN_LOG"];

/// Reads `KILN_OPTIMIZER__LR`; other programs' variables and reserved ones are passed over.
pub(crate) fn variable(findings: &mut Findings, rank: usize, variable: &str, value: &str) {
    let Some(rest) = variable.strip_prefix(PREFIX) else { return };
    if RESERVED_VARIABLES.contains(&variable) {
        return;
    }
    let path = rest.to_lowercase().replace("__", ".");
    let origin = Origin::Environment { variable: variable.to_owned() };
    let keys = Keys::experiment();
    if keys.find(&path).is_some() || keys.section(&path).is_some() || path == "extends" {
        return read(keys, findings, rank, origin, &path, value);
    }
    let hint = nearest::question(&nearest_variable(variable, &path).into_iter().collect::<Vec<_>>());
    let fault = Fault::UnknownVariable { variable: variable.to_owned(), hint };
    findings.problems.push(Problem::new(origin, fault));
}

/// Reads `optimizer.lr=1e-3`.
pub(crate) fn argument(keys: &Keys, findings: &mut Findings, rank: usize, text: &str) {
    let origin = Origin::CommandLine { text: text.to_owned() };
    match text.split_once('=').map(|(path, value)| (path.trim(), value)) {
        Some((path, value)) if !path.is_empty() => read(keys, findings, rank, origin, path, value),
        _ => findings.problems.push(Problem::new(origin, Fault::Override)),
    }
}

fn read(keys: &Keys, findings: &mut Findings, rank: usize, origin: Origin, path: &str, value: &str) {
    let mut reader = Reader { keys, place: Place::Fixed(origin), rank, findings };
    match parsed(keys, path, value.trim()) {
        Ok(found) => reader.entry(path, &(0..0), &found),
        Err(fault) => reader.report(path, &(0..0), fault),
    }
}

/// The value as TOML; a word that is none is text, and so is anything for a key that holds text.
fn parsed<'i>(keys: &Keys, path: &str, value: &'i str) -> Result<Found<'i>, Fault> {
    let holds_text = keys.find(path).is_some_and(|key| key.field.kind == Kind::Text);
    let text = || Spanned::new(0..value.len(), DeValue::String(Cow::Borrowed(value)));
    match DeValue::parse(value) {
        Ok(found) if !holds_text || found.get_ref().is_str() => Ok(found),
        Err(error)
            if value.starts_with(if holds_text { &['"', '\''][..] } else { &['"', '\'', '[', '{'] }) =>
        {
            Err(syntax_fault(error.message(), value))
        }
        _ => Ok(text()),
    }
}

/// Spelling first; then the key that the variable's words mean.
fn nearest_variable(variable: &str, path: &str) -> Option<String> {
    let names: Vec<String> = Keys::experiment().keys.iter().map(|key| name_of(&key.path)).collect();
    let all = names.iter().map(String::as_str).chain(RESERVED_VARIABLES);
    // The common prefix makes any two of them look alike, so it is left out of the comparison.
    let rest = variable.trim_start_matches(PREFIX);
    let meant = nearest::keys(Keys::experiment(), path).first().map(|key| name_of(key));
    let spelt = nearest::word(rest, all.map(|name| name.trim_start_matches(PREFIX)));
    spelt.map(|rest| format!("{PREFIX}{rest}")).or(meant)
}

/// `KILN_OPTIMIZER__LR` for `optimizer.lr`.
fn name_of(path: &str) -> String {
    format!("{PREFIX}{}", path.replacen('.', "__", 1).to_uppercase())
}
