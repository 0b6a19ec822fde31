//! The page of a model, on which anybody asks it, and the list of pages where there are several.

use kiln_evaluation::html_page;
use kiln_export::{Answers, ExportError, Network, PageFacts, page};
use maud::html;

use crate::catalog::Catalog;
use crate::model::{Model, Takes};
use crate::settings::Limits;

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
        let body = html! {
            h1 { (model.name) }
            p { "No page can be drawn: " (error) "." }
            p { a href="/docs" { "How to ask it from a program" } }
        };
        html_page(&format!("{} · Kiln", model.name), "", &body)
    })
}

/// A page that leads to those of all models.
pub(crate) fn list(catalog: &Catalog) -> String {
    let body = html! {
        h1 { "Networks trained with Kiln" }
        ul { @for name in catalog.names() { li { a href={ "/models/" (name) } { (name) } } } }
        p { a href="/docs" { "How to ask them from a program" } }
    };
    html_page("Kiln", "", &body)
}
