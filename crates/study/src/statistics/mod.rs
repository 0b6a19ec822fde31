//! What several seeds say together.

mod mcnemar;
mod spread;

pub use mcnemar::{McNemar, Method};
pub use spread::Spread;
