//! Why a server does not start, or stopped.

use std::io;
use std::net::SocketAddr;

/// Why a server does not start, or stopped before its requests were answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// A run cannot be found or opened.
    #[error("{word}: {cause}")]
    Run {
        /// The run as it was asked for.
        word: String,
        /// Why not.
        cause: Box<kiln::Error>,
    },
    /// A name that a model cannot have.
    #[error("{word}: expected NAME=RUN with a name of letters, digits, `-`, `_` and `.`, found {name:?}")]
    Name {
        /// The run as it was asked for.
        word: String,
        /// The name.
        name: String,
    },
    /// One run was asked for twice under one name.
    #[error("the run {version} is asked for twice under the name {name:?}")]
    Twice {
        /// The name.
        name: String,
        /// The run's id.
        version: String,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        cause: io::Error,
    },
    /// Threads or signals cannot be had.
    #[error("cannot start the server: {0}")]
    Start(io::Error),
    /// Connections were still open when the time to drain was over: a request had not come whole, or an answer was not sent.
    #[error(
        "{connections} connections were cut: their requests were not answered within the {seconds} s that they had"
    )]
    Cut {
        /// How many.
        connections: usize,
        /// The time that they had.
        seconds: u64,
    },
    /// A second signal ended the server at once.
    #[error("stopped at once by a second signal: {connections} connections were cut")]
    Stopped {
        /// How many.
        connections: usize,
    },
}
