//! Which device to compute on: the only crate that knows backend features.

mod compiled;
mod error;
mod probe;
mod select;

pub use compiled::{ALL, compiled_in, is_host};
pub use error::BackendError;
pub use probe::{Probe, probe};
pub use select::{Selected, has_kernels, select};
