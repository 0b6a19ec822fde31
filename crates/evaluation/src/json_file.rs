//! JSON files of an evaluation.

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::EvaluationError;

/// Reads the JSON file at `path`, which must hold what `expected` says.
///
/// # Errors
/// Where it cannot be read or holds something else.
pub fn read_json<T: DeserializeOwned>(path: &Path, expected: &str) -> Result<T, EvaluationError> {
    let text = fs::read(path).map_err(|cause| EvaluationError::Io {
        action: "read",
        path: path.to_owned(),
        cause,
    })?;
    serde_json::from_slice(&text).map_err(|error| EvaluationError::Malformed {
        path: path.to_owned(),
        line: error.line() as u64,
        expected: expected.to_owned(),
        found: error.to_string(),
    })
}
