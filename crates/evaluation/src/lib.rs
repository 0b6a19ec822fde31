//! One prediction pass over a split, and the figures that follow from it.

mod error;
mod pass;
mod stored_model;

pub use error::EvaluationError;
pub use pass::{PassFigures, evaluate};
pub use stored_model::{StoredModel, load_model};
