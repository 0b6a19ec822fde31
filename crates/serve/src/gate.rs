//! What every request passes through: who may ask, how many at a time, what is counted and logged, and where a panic ends.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::{FutureExt, stream};
use http_body_util::BodyExt;

use crate::event::Event;
#[cfg(feature = "grpc")]
use crate::grpc::is_health as is_health_call;
use crate::metrics::ModelMetrics;
use crate::model::Model;
use crate::refusal::{Failed, Refusal};
use crate::state::Server;
use crate::work::{Place, panicked};

/// Bytes of an answer that keeps its place until it is sent.
const HELD: u64 = 1 << 18;
/// Bytes that such an answer is sent in at a time.
const PIECE: usize = 1 << 16;

/// The model that an answer is counted for.
#[derive(Clone)]
struct Counted(Arc<ModelMetrics>);

/// The status that an answer over gRPC is counted and logged with: that of HTTP is always 200.
#[derive(Clone)]
pub(crate) struct CountedAs(pub(crate) StatusCode);

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
    let admitted = admitted(&server, request);
    let place = admitted.as_ref().ok().and_then(|request| request.extensions().get::<Place>().cloned());
    let mut response = match admitted {
        Ok(request) => match AssertUnwindSafe(next.run(request)).catch_unwind().await {
            Ok(response) => response,
            Err(panic) => refused(&path, panicked(&*panic)),
        },
        Err(refusal) => refused(&path, refusal),
    };
    if let Some(Failed(message)) = response.extensions_mut().remove::<Failed>() {
        server.observer.tell(&Event::Failed { path: &path, message: &message });
    }
    let took = begun.elapsed();
    let counted_as = response.extensions_mut().remove::<CountedAs>();
    let status = counted_as.map_or_else(|| response.status(), |CountedAs(status)| status);
    match response.extensions_mut().remove::<Counted>() {
        Some(Counted(metrics)) => metrics.count(status, took),
        None => server.metrics.count_other(status),
    }
    if server.is_draining() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let (method, status) = (method.as_str(), status.as_u16());
    server.observer.tell(&Event::Answered { method, path: &path, status, took });
    if response.body().size_hint().lower() > HELD { held(response, place).await } else { response }
}

/// A long `response` in pieces, which keep the request's place until they are sent: whoever asks for much and reads nothing takes
/// places, and not ever more memory. What comes over gRPC goes as it is.
async fn held(response: Response, place: Option<Place>) -> Response {
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
    let pieces = (0..bytes.len()).step_by(PIECE).map(move |at| {
        let _held = &place;
        Ok::<_, Infallible>(bytes.slice(at..bytes.len().min(at + PIECE)))
    });
    Response::from_parts(parts, Body::from_stream(stream::iter(pieces)))
}

/// `request`, if it may ask and there is a place for it.
fn admitted(server: &Server, mut request: Request) -> Result<Request, Refusal> {
    let path = request.uri().path();
    let is_health = path.starts_with("/v2/health/") || is_health_call(path);
    if let Some(token) = server.token.as_ref().filter(|_| !is_health) {
        token.check(request.headers())?;
    }
    // A page of another site may make a browser send what it likes, with the password that the browser knows.
    let from = request.headers().get("sec-fetch-site");
    if request.method() == Method::POST && from.is_some_and(|from| from == "cross-site") {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "a page of another site asks: that is not answered"));
    }
    if request.method() == Method::POST && !is_health {
        let permit = Arc::clone(&server.places).try_acquire_owned();
        let permit = permit.map_err(|_| Refusal::too_many(server.limits.concurrency))?;
        request.extensions_mut().insert(Place::new(permit, server.limits.time));
    }
    Ok(request)
}

/// Whether a path is a call of gRPC that asks how the server is: of a server without gRPC, none is.
#[cfg(not(feature = "grpc"))]
fn is_health_call(_: &str) -> bool {
    false
}

/// `refusal` as whoever asked for `path` hears it.
fn refused(path: &str, refusal: Refusal) -> Response {
    #[cfg(feature = "grpc")]
    if path.starts_with(crate::grpc::SERVICE) {
        return crate::grpc::refused(&refusal);
    }
    #[cfg(not(feature = "grpc"))]
    let _ = path;
    refusal.into_response()
}
