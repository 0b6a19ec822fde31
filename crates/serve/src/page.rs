//! The page at `/`.

use crate::model::Model;

/// The page of a model.
pub(crate) fn page(model: &Model) -> String {
    let Model { name, version, .. } = model;
    format!(
        "<!doctype html><meta charset=\"utf-8\"><title>{name}</title>\n<h1>{name}</h1>\n<p>{version}\n\
         <p><a href=\"/docs\">How to ask it</a> · <a href=\"/openapi.json\">OpenAPI</a> · \
         <a href=\"/v2/models/{name}\">Its tensors</a> · <a href=\"/metrics\">Metrics</a>\n"
    )
}
