//! Which path is answered by what.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use kiln_table::quoted;
use serde::Serialize;
use serde_json::json;

use crate::gate::gate;
#[cfg(feature = "grpc")]
use crate::grpc;
use crate::model::Model;
use crate::openapi::openapi;
use crate::page::{list, model_page};
use crate::protocol::{index, infer, model_metadata, server_metadata};
use crate::refusal::{Refusal, json_response};
use crate::settings::Limits;
use crate::simple::{predict, predict_of_model};
use crate::state::Server;

/// All that the server answers.
pub(crate) fn router(server: &Arc<Server>) -> Router {
    let router = Router::new();
    #[cfg(feature = "grpc")]
    let router = router.route(&format!("{}{{call}}", grpc::SERVICE), post(grpc::call));
    router
        .route("/", get(front_page))
        .route("/docs", get(async || Html(include_str!("docs.html"))))
        .route("/openapi.json", get(description))
        .route("/metrics", get(metrics))
        .route("/predict", post(predict))
        .route("/models/{model}", get(page_of_model))
        .route("/models/{model}/predict", post(predict_of_model))
        .route("/v2", get(server_description))
        .route("/v2/health/live", get(async || json_of(&json!({ "live": true }))))
        .route("/v2/health/ready", get(ready))
        .route("/v2/models/{model}", get(model_description))
        .route("/v2/models/{model}/ready", get(model_ready))
        .route("/v2/models/{model}/infer", post(infer))
        .route("/v2/models/{model}/versions/{version}", get(model_description))
        .route("/v2/models/{model}/versions/{version}/ready", get(model_ready))
        .route("/v2/models/{model}/versions/{version}/infer", post(infer))
        .route("/v2/repository/index", post(repository_index))
        .route("/v2/repository/models/{model}/load", post(load))
        .fallback(no_path)
        .method_not_allowed_fallback(no_method)
        .layer(from_fn_with_state(Arc::clone(server), gate))
        .with_state(Arc::clone(server))
}

/// The model that a path names.
pub(crate) struct Target {
    pub(crate) model: String,
    pub(crate) version: Option<String>,
}

impl FromRequestParts<Arc<Server>> for Target {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<Server>) -> Result<Self, Refusal> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params =
            params.map_err(|error| Refusal::bad(format!("the path: expected UTF-8, found: {error}")))?;
        let of =
            |wanted: &str| params.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned());
        Ok(Self { model: of("model").unwrap_or_default(), version: of("version") })
    }
}

/// `value` as an answer.
fn json_of(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(json) => json_response(json),
        Err(error) => Refusal::internal(error.to_string()).into_response(),
    }
}

async fn front_page(State(server): State<Arc<Server>>) -> Result<Response, Refusal> {
    let catalog = server.catalog();
    match catalog.only() {
        Ok(model) => page(model, server.limits).await,
        Err(_) => Ok(Html(list(&catalog)).into_response()),
    }
}

async fn page_of_model(State(server): State<Arc<Server>>, target: Target) -> Result<Response, Refusal> {
    page(server.catalog().find(&target.model, None)?, server.limits).await
}

async fn page(model: &Arc<Model>, limits: Limits) -> Result<Response, Refusal> {
    if let Some(page) = model.page.get() {
        return Ok(Html(page.clone()).into_response());
    }
    let model = Arc::clone(model);
    let page =
        tokio::task::spawn_blocking(move || model.page.get_or_init(|| model_page(&model, &limits)).clone());
    page.await.map(|page| Html(page).into_response()).map_err(|error| Refusal::internal(error.to_string()))
}

async fn description(State(server): State<Arc<Server>>) -> Response {
    json_of(&openapi(&server.catalog(), &server.limits, server.allow_reload, server.token.is_some()))
}

async fn metrics(State(server): State<Arc<Server>>) -> Response {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], server.metrics.page()).into_response()
}

async fn server_description(State(server): State<Arc<Server>>) -> Response {
    json_of(&server_metadata(server.allow_reload))
}

async fn ready(State(server): State<Arc<Server>>) -> Response {
    let is_ready = !server.is_draining();
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, json_of(&json!({ "live": true, "ready": is_ready }))).into_response()
}

async fn model_description(State(server): State<Arc<Server>>, target: Target) -> Result<Response, Refusal> {
    let catalog = server.catalog();
    let model = catalog.find(&target.model, target.version.as_deref())?;
    Ok(json_of(&model_metadata(&catalog, model)))
}

async fn model_ready(State(server): State<Arc<Server>>, target: Target) -> Result<Response, Refusal> {
    let catalog = server.catalog();
    let model = catalog.find(&target.model, target.version.as_deref())?;
    let is_ready = !server.is_draining();
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok((status, json_of(&json!({ "name": model.name, "ready": is_ready }))).into_response())
}

async fn repository_index(State(server): State<Arc<Server>>) -> Response {
    json_of(&index(&server.catalog()))
}

/// Reopens all runs, so that no two models are of different times.
async fn load(
    State(server): State<Arc<Server>>,
    target: Target,
    request: Request,
) -> Result<Response, Refusal> {
    if !server.allow_reload {
        let message =
            "models are reloaded by SIGHUP; start the server with --allow-reload to allow it over HTTP";
        return Err(Refusal::new(StatusCode::FORBIDDEN, message));
    }
    server.catalog().find(&target.model, None)?;
    // With the request goes its place, which the reload keeps although its client may leave.
    let reload = tokio::task::spawn_blocking(move || {
        let _request = request;
        server.try_reload().map(|result| result.map_err(|error| error.to_string()))
    });
    match reload.await {
        Ok(Some(Ok(()))) => Ok(json_of(&json!({}))),
        Ok(Some(Err(error))) => {
            Err(Refusal::internal(format!("the runs that were are still served: {error}")))
        }
        Ok(None) => Err(Refusal::busy("the runs are being opened anew already: try again")),
        Err(error) => Err(Refusal::internal(error.to_string())),
    }
}

async fn no_path(request: Request) -> Refusal {
    let message = format!("there is no {}; GET /docs shows every path", quoted(request.uri().path()));
    Refusal::new(StatusCode::NOT_FOUND, message)
}

async fn no_method(request: Request) -> Refusal {
    let message = format!(
        "{} is no method of {}; the header Allow has those that are",
        quoted(request.method().as_str()),
        quoted(request.uri().path())
    );
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, message)
}
