//! Why a request is not answered, as the client hears it.

use std::fmt::Display;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kiln_files::shortened;
use serde_json::json;

/// Why a request is not answered: a status, and what was expected and found, which the client gets as `{"error": "..."}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    header: Option<(HeaderName, HeaderValue)>,
}

/// Characters that a message has at most.
const MOST: usize = 2000;

/// Marks a response to a fault of the server's, with its message.
#[derive(Clone, Debug)]
pub(crate) struct Failed(pub(crate) String);

impl Refusal {
    /// With a message that is cut where it is long: requests are quoted in some.
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: shortened(&message.into(), MOST), header: None }
    }

    /// The request is wrong.
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// The request is wrong at `place`.
    pub(crate) fn at(place: impl Display, expected: impl Display, found: impl Display) -> Self {
        Self::bad(format!("{place}: expected {expected}, found {found}"))
    }

    /// The server is wrong.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    pub(crate) fn too_large(what: &str, expected: impl Display, found: impl Display) -> Self {
        let message = format!("{what}: expected {expected} at most, found {found}");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    }

    pub(crate) fn too_many(limit: usize) -> Self {
        Self::busy(format!("{limit} requests are being answered, and no more are taken at a time: try again"))
    }

    /// The server has no time for the request now; the client may try again.
    pub(crate) fn busy(message: impl Into<String>) -> Self {
        let mut refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, message);
        refusal.header = Some((header::RETRY_AFTER, HeaderValue::from_static("1")));
        refusal
    }

    pub(crate) fn unauthorized(message: &str) -> Self {
        let mut refusal = Self::new(StatusCode::UNAUTHORIZED, message);
        refusal.header =
            Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer, Basic realm=\"kiln\"")));
        refusal
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let failed = (self.status == StatusCode::INTERNAL_SERVER_ERROR).then(|| Failed(self.message.clone()));
        let body = json!({ "error": self.message }).to_string();
        let mut response = (self.status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        if let Some(failed) = failed {
            response.extensions_mut().insert(failed);
        }
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// A JSON answer.
pub(crate) fn json_response(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
