//! Which device to compute on: the only crate that knows backend features.

mod compiled;
mod error;
mod probe;
mod select;

pub use compiled::{compiled_in, feature_of};
pub use error::BackendError;
pub use probe::{Probe, probe};
pub use select::{Selected, select};
