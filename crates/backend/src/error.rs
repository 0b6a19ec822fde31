//! Why a backend cannot be had.

use kiln_config::BackendName;

/// A backend that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The program was built without it.
    #[error(
        "backend.name = \"{name}\" is not compiled in (this program has: {compiled}); build it with \
         `cargo build --release --features {name}`"
    )]
    NotCompiledIn {
        /// The backend asked for.
        name: BackendName,
        /// Those that are there.
        compiled: String,
    },
    /// It is compiled in, but no device answers.
    #[error(
        "backend.name = \"{name}\" finds no working device {device}: {cause}. Try `kiln doctor` to see what \
         works here, or backend.name=flex"
    )]
    NoDevice {
        /// The backend asked for.
        name: BackendName,
        /// Number of the device asked for.
        device: usize,
        /// What went wrong.
        cause: String,
    },
    /// None of those compiled in works.
    #[error("none of the backends compiled in works here: {tried}")]
    NothingWorks {
        /// Each one with its reason.
        tried: String,
    },
    /// The computing threads could not be set up.
    #[error("cannot set up {threads} computing threads: {cause}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What went wrong.
        cause: String,
    },
}
