//! The paths of the server with their handlers, and the function in front of them, which checks the token, limits how
//! many requests run at a time, counts and logs them, and stops panics.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::{FutureExt, stream};
use http_body_util::BodyExt;
use kiln_evaluation::html_page;
use kiln_export::{AnswerSource, ExportError, Network, PageFacts};
use kiln_table::quoted;
use maud::html;
use serde::Serialize;
use serde_json::json;

use crate::catalog::{Catalog, ModelInput, ServedVersion};
#[cfg(feature = "grpc")]
use crate::grpc;
use crate::metrics::ModelMetrics;
use crate::openapi::openapi;
use crate::protocol::{index, infer, model_metadata, server_metadata};
use crate::request::{InternalError, Refusal, Slot, json_response, panicked};
use crate::server::Server;
use crate::simple::{predict, predict_of_model};
use crate::{Event, Limits};

/// All paths of the server, behind [`admit_and_answer`].
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
        .layer(from_fn_with_state(Arc::clone(server), admit_and_answer))
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

async fn page(model: &Arc<ServedVersion>, limits: Limits) -> Result<Response, Refusal> {
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

/// Reopens all runs, so that all models are of the same time.
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
    // The request carries its slot: the reload keeps it even if the client leaves.
    let reload = tokio::task::spawn_blocking(move || {
        let _request = request;
        server.try_reload().map(|result| result.map_err(|error| error.to_string()))
    });
    match reload.await {
        Ok(Some(Ok(()))) => Ok(json_of(&json!({}))),
        Ok(Some(Err(error))) => Err(Refusal::internal(format!(
            "the reload failed, and the previous runs are still served: {error}"
        ))),
        Ok(None) => Err(Refusal::busy("another reload is in progress: try again later")),
        Err(error) => Err(Refusal::internal(error.to_string())),
    }
}

async fn no_path(request: Request) -> Refusal {
    let message = format!("there is no {}; GET /docs shows every path", quoted(request.uri().path()));
    Refusal::new(StatusCode::NOT_FOUND, message)
}

async fn no_method(request: Request) -> Refusal {
    let message = format!(
        "method {} is not allowed for {}; the header Allow lists the allowed methods",
        quoted(request.method().as_str()),
        quoted(request.uri().path())
    );
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, message)
}

/// The page of `model`, which gets its answers from this server, within its limits. A run of Kiln's first version stores too
/// little for that; its page shows the error.
fn model_page(model: &ServedVersion, limits: &Limits) -> String {
    let path = match model.input {
        ModelInput::Rows(_) => format!("/models/{}/predict", model.name),
        ModelInput::Pictures(_) => format!("/v2/models/{}/infer", model.name),
    };
    let server = AnswerSource::Server { path: &path, rows: limits.rows, bytes: limits.body_bytes };
    let page = || -> Result<String, ExportError> {
        let network = Network::of(&model.trained)?;
        Ok(kiln_export::page(&network, &PageFacts::of(&model.trained)?, server))
    };
    page().unwrap_or_else(|error| {
        let body = html! {
            h1 { (model.name) }
            p { "This model has no page: " (error) "." }
            p { a href="/docs" { "How to use the model from a program" } }
        };
        html_page(&format!("{} · Kiln", model.name), "", &body)
    })
}

/// A page of links to the pages of all models.
fn list(catalog: &Catalog) -> String {
    let body = html! {
        h1 { "Networks trained with Kiln" }
        ul { @for name in catalog.names() { li { a href={ "/models/" (name) } { (name) } } } }
        p { a href="/docs" { "How to use the models from a program" } }
    };
    html_page("Kiln", "", &body)
}

/// An answer of more bytes keeps its slot until it is sent.
const HELD_BYTES: u64 = 1 << 18;
/// The bytes of each piece of such an answer.
const PIECE_BYTES: usize = 1 << 16;

/// The model whose metrics count an answer.
#[derive(Clone)]
struct CountedFor(Arc<ModelMetrics>);

/// The status with which a gRPC answer is counted and logged: its HTTP status is always 200.
#[derive(Clone)]
pub(crate) struct LoggedStatus(pub(crate) StatusCode);

/// `answer` as a response that the metrics of `model` count.
pub(crate) fn counted_for(model: &ServedVersion, answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    response.extensions_mut().insert(CountedFor(Arc::clone(&model.metrics)));
    response
}

/// Counts a request as in flight until it is dropped.
struct InFlight<'a>(&'a AtomicUsize);

impl<'a> InFlight<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Admits a request, passes it to its handler, and counts and logs the answer.
async fn admit_and_answer(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let _in_flight = InFlight::new(&server.metrics.in_flight);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let admitted = admitted(&server, request);
    let slot = admitted.as_ref().ok().and_then(|request| request.extensions().get::<Slot>().cloned());
    let mut response = match admitted {
        Ok(request) => match AssertUnwindSafe(next.run(request)).catch_unwind().await {
            Ok(response) => response,
            Err(panic) => refused(&path, panicked(&*panic)),
        },
        Err(refusal) => refused(&path, refusal),
    };
    if let Some(InternalError(message)) = response.extensions_mut().remove::<InternalError>() {
        server.observer.tell(&Event::Failed { path: &path, message: &message });
    }
    let took = begun.elapsed();
    let logged = response.extensions_mut().remove::<LoggedStatus>();
    let status = logged.map_or_else(|| response.status(), |LoggedStatus(status)| status);
    match response.extensions_mut().remove::<CountedFor>() {
        Some(CountedFor(metrics)) => metrics.count(status, took),
        None => server.metrics.count_other(status),
    }
    if server.is_draining() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let (method, status) = (method.as_str(), status.as_u16());
    server.observer.tell(&Event::Answered { method, path: &path, status, took });
    if response.body().size_hint().lower() > HELD_BYTES { held(response, slot).await } else { response }
}

/// A long `response` in pieces that keep the request's slot until they are sent: clients that request much and read nothing
/// use up slots, not more and more memory. A gRPC response stays as it is.
async fn held(response: Response, slot: Option<Slot>) -> Response {
    let (mut parts, body) = response.into_parts();
    let collected = match body.collect().await {
        Ok(collected) => collected,
        Err(error) => return Refusal::internal(error.to_string()).into_response(),
    };
    if collected.trailers().is_some() {
        return Response::from_parts(parts, Body::new(collected));
    }
    let bytes = collected.to_bytes();
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    let pieces = (0..bytes.len()).step_by(PIECE_BYTES).map(move |at| {
        let _held = &slot;
        Ok::<_, Infallible>(bytes.slice(at..bytes.len().min(at + PIECE_BYTES)))
    });
    Response::from_parts(parts, Body::from_stream(stream::iter(pieces)))
}

/// `request` with a slot, if its token is right and a slot is free.
fn admitted(server: &Server, mut request: Request) -> Result<Request, Refusal> {
    let path = request.uri().path();
    #[cfg(feature = "grpc")]
    let is_health_call = grpc::is_health(path);
    #[cfg(not(feature = "grpc"))]
    let is_health_call = false;
    let is_health = path.starts_with("/v2/health/") || is_health_call;
    if let Some(token) = server.token.as_ref().filter(|_| !is_health) {
        token.check(request.headers())?;
    }
    // A page of another site can make a browser send any request, with the password that the browser has stored.
    let from = request.headers().get("sec-fetch-site");
    if request.method() == Method::POST && from.is_some_and(|from| from == "cross-site") {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "requests from pages of another site are not answered",
        ));
    }
    if request.method() == Method::POST && !is_health {
        let permit = Arc::clone(&server.slots).try_acquire_owned();
        let permit = permit.map_err(|_| Refusal::too_many(server.limits.concurrency))?;
        request.extensions_mut().insert(Slot::new(permit, server.limits.time));
    }
    Ok(request)
}

/// `refusal` as a response for `path`, over gRPC or plain HTTP.
fn refused(path: &str, refusal: Refusal) -> Response {
    #[cfg(feature = "grpc")]
    if path.starts_with(grpc::SERVICE) {
        return grpc::refused(&refusal);
    }
    #[cfg(not(feature = "grpc"))]
    let _ = path;
    refusal.into_response()
}
