//! What a server is to serve, where, and within which limits.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::Token;

/// What a server is to serve, where, and within which limits.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The runs, each as `RUN` or `NAME=RUN`: its folder, its name (the latest of that name), the beginning of its id, or
    /// `latest`.
    pub runs: Vec<String>,
    /// The folder that runs are kept in.
    pub artifacts: PathBuf,
    /// The address to listen on.
    pub host: IpAddr,
    /// The port; 0 lets the system choose one.
    pub port: u16,
    /// The token that requests must bring; without one they need none. Health needs none in any case.
    pub token: Option<Token>,
    /// Whether `POST /v2/repository/models/{m}/load` reopens the runs.
    pub allow_reload: bool,
    /// How long requests may take to end after SIGTERM or SIGINT.
    pub drain: Duration,
    /// The limits.
    pub limits: Limits,
}

/// What a request may ask for at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body, as sent and unpacked.
    pub body_bytes: usize,
    /// Rows of a request.
    pub rows: usize,
    /// Requests that are read, computed or, where the answer is long, sent at a time; one more is answered with 429.
    pub concurrency: usize,
    /// How long a request may take, from its head to its answer.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body_bytes: 64 << 20, rows: 1 << 16, concurrency: 256, time: Duration::from_secs(30) }
    }
}
