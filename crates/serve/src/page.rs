//! The page of a model, on which anybody asks it, and the list of pages where there are several.

use kiln_export::{Answers, ExportError, Network, PageFacts, page};

use crate::catalog::Catalog;
use crate::model::{Model, Takes};
use crate::settings::Limits;

/// Begins a document without script.
const HEAD: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
                    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
                    <link rel=\"icon\" href=\"data:,\">\n<title>Kiln</title>\n\
                    <style>:root { color-scheme: light dark } body { font: 16px/1.5 system-ui, sans-serif; \
                    max-width: 40rem; margin: 3rem auto; padding: 0 1rem }</style>\n";

/// The page of `model`, which has its answers from this server, within its limits. Of a run that keeps too little for one, a page
/// that says so.
pub(crate) fn model_page(model: &Model, limits: &Limits) -> String {
    let path = match model.takes {
        Takes::Rows(_) => format!("/models/{}/predict", model.name),
        Takes::Pictures(_) => format!("/v2/models/{}/infer", model.name),
    };
    let server = Answers::Server { path: &path, rows: limits.rows, bytes: limits.body_bytes };
    let page = || -> Result<String, ExportError> {
        let network = Network::of(&model.trained)?;
        Ok(page(&network, &PageFacts::of(&model.trained)?, server))
    };
    page().unwrap_or_else(|error| {
        let name = &model.name;
        let error = error.to_string().replace('&', "&amp;").replace('<', "&lt;");
        format!("{HEAD}<h1>{name}</h1>\n<p>No page can be drawn: {error}.\n<p><a href=\"/docs\">How to ask it</a>\n")
    })
}

/// A page that leads to those of all models.
pub(crate) fn list(catalog: &Catalog) -> String {
    let links = catalog.names().map(|name| format!("<li><a href=\"/models/{name}\">{name}</a>\n"));
    let links: String = links.collect();
    format!(
        "{HEAD}<h1>Networks trained with Kiln</h1>\n<ul>\n{links}</ul>\n<p><a href=\"/docs\">How to ask them from a program</a>\n"
    )
}
