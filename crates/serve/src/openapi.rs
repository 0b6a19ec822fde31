//! `/openapi.json`.

use serde_json::{Value, json};

use crate::catalog::Catalog;
use crate::settings::Limits;

/// The description of all that the server answers, for the models that it has.
pub(crate) fn openapi(_: &Catalog, _: &Limits, _: bool, _: bool) -> Value {
    json!({ "openapi": "3.1.0", "info": { "title": "Kiln", "version": env!("CARGO_PKG_VERSION"), "description": "" }, "paths": {} })
}
