//! Backpropagation by hand, done by the program: one example through a small network, every quantity named.

mod activation;
mod file;
mod network;
mod quantity;

pub use file::TraceFile;
pub use network::trace;
pub use quantity::{Kind, Quantity, Trace};
