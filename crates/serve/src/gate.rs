//! What every request passes through: who may ask, how many at a time, what is counted and logged, and where a panic ends.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;

use crate::event::Event;
#[cfg(feature = "grpc")]
use crate::grpc::is_health as is_health_call;
use crate::metrics::ModelMetrics;
use crate::model::Model;
use crate::refusal::{Failed, Refusal};
use crate::state::Server;
use crate::work::{Place, panicked};

/// The model that an answer is counted for.
#[derive(Clone)]
struct Counted(Arc<ModelMetrics>);

/// The status of a response whose own says nothing.
#[derive(Clone)]
pub(crate) struct Told(pub(crate) StatusCode);

/// `answer` as a response that is counted for `model`.
pub(crate) fn counted(model: &Model, answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    response.extensions_mut().insert(Counted(Arc::clone(&model.metrics)));
    response
}

/// Counts a request for as long as it lives.
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

/// Lets a request through to its handler.
pub(crate) async fn gate(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let _in_flight = InFlight::new(&server.metrics.in_flight);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = match admitted(&server, request) {
        Ok(request) => match AssertUnwindSafe(next.run(request)).catch_unwind().await {
            Ok(response) => response,
            Err(panic) => panicked(&*panic).into_response(),
        },
        Err(refusal) => refusal.into_response(),
    };
    if let Some(Failed(message)) = response.extensions_mut().remove::<Failed>() {
        server.observer.tell(&Event::Failed { path: &path, message: &message });
    }
    let took = begun.elapsed();
    let told = response.extensions_mut().remove::<Told>();
    let status = told.map_or_else(|| response.status(), |Told(status)| status);
    match response.extensions_mut().remove::<Counted>() {
        Some(Counted(metrics)) => metrics.count(status, took),
        None => server.metrics.count_other(status),
    }
    if server.is_draining() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let (method, status) = (method.as_str(), status.as_u16());
    server.observer.tell(&Event::Answered { method, path: &path, status, took });
    response
}

/// `request`, if it may ask and there is a place for it.
fn admitted(server: &Server, mut request: Request) -> Result<Request, Refusal> {
    let path = request.uri().path();
    let is_health = path.starts_with("/v2/health/") || is_health_call(path);
    if let Some(token) = server.token.as_ref().filter(|_| !is_health) {
        token.check(request.headers())?;
    }
    if request.method() == Method::POST && !is_health {
        let permit = Arc::clone(&server.places).try_acquire_owned();
        let permit = permit.map_err(|_| Refusal::too_many(server.limits.concurrency))?;
        request.extensions_mut().insert(Place::new(permit));
    }
    Ok(request)
}

/// Whether a path is a call of gRPC that asks how the server is: of a server without gRPC, none is.
#[cfg(not(feature = "grpc"))]
fn is_health_call(_: &str) -> bool {
    false
}
