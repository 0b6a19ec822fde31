//! Trained networks behind HTTP: the Open Inference Protocol v2 with Triton's extensions for binary tensors and
//! classification, plain JSON for rows and pictures, Prometheus metrics, limits, reload, and a shutdown that loses no
//! request.
//!
//! [`serve`] opens the runs that [`Settings`] name and answers requests until a signal stops it. The answer to a row depends
//! on that row alone: it is bit-identical to `kiln predict`, whatever else the server computes at the same time. Requests
//! are not batched together: a row takes tens of microseconds, less than waiting for another request would.
//!
//! The way of a request: `server.rs` accepts connections and holds the state that requests share; `router.rs` admits the
//! request and finds its handler; `request.rs` gives it a slot and a deadline, and reads its body. `protocol.rs`, with
//! `infer_request.rs` and `tensor.rs`, answers by the Open Inference Protocol, `grpc/` does the same over gRPC, and
//! `simple.rs` answers plain JSON. The models are in `catalog.rs`, parsers of JSON bodies in `json.rs`, counters in
//! `metrics.rs`, and the description of the interface in `openapi.rs`.
//!
//! This crate prints nothing: it reports [`Event`]s to its caller.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed"))]

mod catalog;
#[cfg(feature = "grpc")]
mod grpc;
mod infer_request;
mod json;
mod metrics;
mod openapi;
mod protocol;
mod request;
mod router;
mod server;
mod simple;
mod tensor;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kiln_files::sha256_hex;

use crate::request::Refusal;

pub use server::serve;

/// The runs to serve, the address and the limits.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The runs, each as `RUN` or `NAME=RUN`. `RUN` is a folder, the name of a run (the latest of that name), the beginning
    /// of a run's id, or `latest`.
    pub runs: Vec<String>,
    /// The folder of the runs.
    pub artifacts: PathBuf,
    /// The address to listen on.
    pub host: IpAddr,
    /// The port; 0 lets the system choose one.
    pub port: u16,
    /// The token that requests must carry, if any. Health checks never need it.
    pub token: Option<Token>,
    /// Whether `POST /v2/repository/models/{m}/load` reopens the runs.
    pub allow_reload: bool,
    /// How long open requests may take to finish after SIGTERM or SIGINT.
    pub drain: Duration,
    /// The limits.
    pub limits: Limits,
}

/// The limits of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body, both as sent and after decompression.
    pub body_bytes: usize,
    /// Rows of a request.
    pub rows: usize,
    /// Requests at a time that are read, computed or, for a long answer, sent. The server answers one more with 429.
    pub concurrency: usize,
    /// How long a request may take, from its header to its answer.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body_bytes: 64 << 20, rows: 1 << 16, concurrency: 256, time: Duration::from_secs(30) }
    }
}

/// The token that requests must carry: as a bearer token, or as the password of any user, for which browsers show a prompt.
/// Only its hash is kept.
#[derive(Clone)]
pub struct Token {
    sha256: String,
}

impl Token {
    /// Hashes `token`.
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self { sha256: sha256_hex(token.as_bytes()) }
    }

    /// Checks the token in `headers`; 401 if it is absent or wrong.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let expected = "header Authorization: expected `Bearer` and the token of this server";
        let Some(value) = headers.get(header::AUTHORIZATION) else {
            return Err(Refusal::unauthorized(&format!("{expected}, found none")));
        };
        match token_of(value.as_bytes()).map(|token| sha256_hex(&token)) {
            Some(found) if are_equal(found.as_bytes(), self.sha256.as_bytes()) => Ok(()),
            _ => Err(Refusal::unauthorized(&format!("{expected}, found another"))),
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// The token in the value of an `Authorization` header.
fn token_of(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let at = value.iter().position(|&byte| byte == b' ')?;
    let (scheme, rest) = (&value[..at], value[at..].trim_ascii());
    if scheme.eq_ignore_ascii_case(b"Bearer") {
        return Some(rest.into());
    }
    let is_basic = scheme.eq_ignore_ascii_case(b"Basic");
    let pair = is_basic.then(|| STANDARD.decode(rest).ok())??;
    let colon = pair.iter().position(|&byte| byte == b':')?;
    Some(pair[colon + 1..].to_vec().into())
}

/// Compares two hashes in a time that does not depend on where they differ.
fn are_equal(left: &[u8], right: &[u8]) -> bool {
    let differing = left.iter().zip(right).fold(0, |differing, (left, right)| differing | (left ^ right));
    left.len() == right.len() && std::hint::black_box(differing) == 0
}

/// Something that happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The server is listening.
    Ready {
        /// The address, with the actual port.
        address: SocketAddr,
        /// The models.
        models: &'a [ServedModel],
    },
    /// A request was answered.
    Answered {
        /// Its method.
        method: &'a str,
        /// Its path.
        path: &'a str,
        /// The status of the answer.
        status: u16,
        /// From the request's header to its answer.
        took: Duration,
    },
    /// A request was answered with 500: the server or a network has a defect.
    Failed {
        /// The path of the request.
        path: &'a str,
        /// The error message of the answer.
        message: &'a str,
    },
    /// The runs were reopened.
    Reloaded {
        /// The models.
        models: &'a [ServedModel],
    },
    /// The runs could not be reopened. The server still serves the previous ones.
    ReloadFailed {
        /// Why.
        error: &'a ServeError,
    },
    /// A signal stops the server: it accepts no new connections and answers the open requests.
    Draining {
        /// The number of open requests.
        requests: usize,
    },
}

/// A model that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedModel {
    /// Its name.
    pub name: String,
    /// Its versions, which are ids of runs, the newest last.
    pub versions: Vec<String>,
    /// The versions whose training had not finished when they were opened.
    pub unfinished: Vec<String>,
}

/// Why a server does not start, or stopped before it had answered all requests.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// A run cannot be found or opened.
    #[error("{word}: {cause}")]
    Run {
        /// The run as given in [`Settings::runs`].
        word: String,
        /// Why not.
        cause: Box<kiln::Error>,
    },
    /// An invalid name of a model.
    #[error("{word}: expected NAME=RUN with a name of letters, digits, `-`, `_` and `.`, found {name:?}")]
    Name {
        /// The run as given in [`Settings::runs`].
        word: String,
        /// The name.
        name: String,
    },
    /// The same run is given twice under one name.
    #[error("run {version} is given twice under the name {name:?}")]
    Twice {
        /// The name.
        name: String,
        /// The run's id.
        version: String,
    },
    /// The server cannot listen on the address.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The operating system's error.
        cause: io::Error,
    },
    /// The system does not provide threads or signal handlers.
    #[error("cannot start the server: {0}")]
    Start(io::Error),
    /// Connections were still open at the end of the drain time: a request was incomplete, or an answer not yet sent.
    #[error("{connections} connections were cut: their requests were not answered within {seconds} s")]
    Cut {
        /// The number of connections.
        connections: usize,
        /// The drain time.
        seconds: u64,
    },
    /// A second signal stopped the server at once.
    #[error("stopped at once by a second signal: {connections} connections were cut")]
    Stopped {
        /// The number of connections.
        connections: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_accepted() {
        let token = Token::new("secret");
        let check = |value: &str| {
            token.check(&HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())])).is_ok()
        };
        assert!(check("Bearer secret") && check("bearer  secret "));
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        assert!(check(&basic(":secret")) && check(&basic("anybody:secret")));
        assert!(["secret", "secret:", "secret:other", "a:b:secret"].iter().all(|pair| !check(&basic(pair))));
        for wrong in ["Bearer", "Bearer ", "Bearer secre", "Bearer secrets", "Basic secret", "secret", ""] {
            assert!(!check(wrong), "{wrong}");
        }
        let none = token.check(&HeaderMap::new()).unwrap_err();
        assert_eq!((none.status.as_u16(), none.message.ends_with("found none")), (401, true));
    }
}
